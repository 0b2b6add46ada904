"""The report of a track: one HTML page with its video, curves, heat maps, tables and flagged frames."""

from flowface_jax.viewing.report.gathering import report_contents
from flowface_jax.viewing.report.page import page_html
from flowface_jax.viewing.report.truth import compare_with_truth
from flowface_jax.viewing.report.writing import write_report

__all__ = ["compare_with_truth", "page_html", "report_contents", "write_report"]
