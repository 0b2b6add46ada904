"""What FlowFace (CVPR 2024) and those it compares with published, as tables to which own rows are added."""

from __future__ import annotations

from flowface_jax.evaluation.tables import Column, Row, Table

_PAPER = "FlowFace, CVPR 2024"
_IMAGES = (
    Column("PSNR", "dB", "higher", 1),
    Column("SSIM", "", "higher", 3),
    Column("MS-SSIM", "", "higher", 3),
    Column("LPIPS", "", "lower", 4),
)
_NOW = tuple(Column(name, "mm", "lower") for name in ("median", "mean", "std"))
MULTIFACE_REGIONS = ("face", "mouth", "nose", "eyes", "ears")
"""In the order of table 2."""
MULTIFACE_COLUMNS = (
    *(Column(f"CD {region}", "mm") for region in MULTIFACE_REGIONS),
    *(Column(f"SSME {region}", "px") for region in MULTIFACE_REGIONS),
)
ABLATION_COLUMNS = (
    Column("iterations", "", "", 0),
    Column("parameters", "M", "", 1),
    Column("latency", "ms", "lower", 0),
    Column("CD", "mm"),
    Column("SSME", "px"),
)


def _rows(table: str, *rows: tuple[str, tuple[float | None, ...]]) -> tuple[Row, ...]:
    return tuple(Row(name, values, published=True, source=f"{_PAPER}, {table}") for name, values in rows)


FACESCAPE = Table(
    "FaceScape benchmark, lab images",
    (Column("CD", "mm"), Column("NME", "rad", digits=3)),
    _rows(
        "table 1",
        ("MGCNet", (4.00, 0.093)),
        ("PRNet", (3.56, 0.126)),
        ("SADRNet", (6.75, 0.133)),
        ("DECA", (4.69, 0.108)),
        ("3DDFAv2", (3.60, 0.096)),
        ("HRN", (3.67, 0.087)),
        ("FlowFace", (2.21, 0.083)),
    ),
    ("NME is the mean normal error, means over the 660 lab images",),
)
MULTIFACE_SINGLE_IMAGE = Table(
    "Multiface tracking benchmark, without temporal information sharing (single images)",
    MULTIFACE_COLUMNS,
    _rows(
        "table 2",
        ("DECA", (1.37, 1.29, 1.32, 1.08, 2.68, 5.66, 6.16, 3.60, 4.25, 8.34)),
        ("EMOCA", (1.47, 1.46, 1.49, 1.10, 2.71, 6.14, 7.32, 3.99, 4.26, 8.55)),
        ("HRN", (1.49, 1.39, 1.24, 1.09, None, 5.75, 6.04, 4.20, 4.84, None)),
        ("3DDFAv2", (1.53, 1.52, 1.59, 1.24, None, 7.91, 9.47, 6.65, 6.55, None)),
        ("PRNet", (1.55, 1.59, 1.50, 1.28, None, 8.45, 10.66, 5.98, 6.03, None)),
        ("SADRNet", (1.49, 1.52, 1.49, 1.22, None, 7.11, 8.21, 5.15, 5.53, None)),
        ("FlowFace", (1.20, 1.30, 1.05, 0.97, 2.34, 2.58, 3.14, 1.33, 2.07, 1.72)),
    ),
)
MULTIFACE_SEQUENCE = Table(
    "Multiface tracking benchmark, with temporal information sharing (sequences)",
    MULTIFACE_COLUMNS,
    _rows(
        "table 2",
        ("DECA", (1.37, 1.29, 1.32, 1.08, 2.68, 5.26, 6.12, 3.22, 3.87, 7.10)),
        ("EMOCA", (1.47, 1.46, 1.49, 1.10, 2.71, 5.63, 6.95, 3.56, 3.87, 7.28)),
        ("HRN", (1.49, 1.39, 1.24, 1.09, None, 4.63, 5.39, 3.02, 3.68, None)),
        ("3DDFAv2", (1.53, 1.52, 1.59, 1.24, None, 6.71, 8.43, 5.43, 5.44, None)),
        ("PRNet", (1.55, 1.59, 1.50, 1.28, None, 7.54, 9.80, 5.25, 5.35, None)),
        ("SADRNet", (1.49, 1.52, 1.49, 1.22, None, 6.18, 7.46, 4.31, 4.72, None)),
        ("MPT", (1.30, 1.47, 1.11, 0.96, None, 5.74, 7.34, 4.64, 4.01, None)),
        ("FlowFace", (1.19, 1.31, 1.04, 0.96, 2.34, 2.50, 3.16, 1.27, 2.03, 1.68)),
    ),
)
NOW_SINGLE_VIEW = Table(
    "NoW challenge, test set, non-metrical, single view",
    _NOW,
    _rows(
        "table 3",
        ("MGCNet", (1.31, 1.87, 2.63)),
        ("PRNet", (1.50, 1.98, 1.88)),
        ("DECA", (1.09, 1.38, 1.18)),
        ("Deep3D", (1.11, 1.41, 1.21)),
        ("Dense", (1.02, 1.28, 1.08)),
        ("MICA", (0.90, 1.11, 0.92)),
        ("TokenFace", (0.76, 0.95, 0.82)),
        ("FlowFace", (0.87, 1.07, 0.88)),
    ),
)
NOW_MULTI_VIEW = Table(
    "NoW challenge, test set, non-metrical, multi-view",
    _NOW,
    _rows("table 3", ("Deep3D", (1.08, 1.35, 1.15)), ("Dense", (0.81, 1.01, 0.84)), ("FlowFace", (0.71, 0.88, 0.73))),
)
NETWORK_ABLATION = Table(
    "Ablations of the alignment network on the Multiface tracking benchmark",
    ABLATION_COLUMNS,
    _rows(
        "table 4",
        ("ResNet-101", (None, 73.4, 9, 1.54, 3.90)),
        ("BiSeNet-v2", (3, 17.6, 23, 1.21, 3.52)),
        ("MiT-b1", (3, 17.3, 29, 1.22, 3.21)),
        ("MiT-b2", (3, 31.0, 46, 1.20, 2.78)),
        *(
            (f"MiT-b5, {n}", (n, 88.2, *values))
            for n, *values in (
                (1, 66, 1.25, 2.70),
                (2, 71, 1.21, 2.61),
                (3, 75, 1.18, 2.58),
                (4, 80, 1.23, 2.62),
            )
        ),
    ),
    ("latencies of the published rows: Quadro RTX 5000",),
)
FIT_ABLATION_SINGLE_VIEW = Table(
    "Ablations of the fit, NoW validation set, single view",
    _NOW,
    _rows(
        "table 5",
        ("without MICA", (0.99, 1.23, 1.03)),
        ("MICA only", (0.91, 1.13, 0.94)),
        ("FlowFace", (0.82, 1.02, 0.85)),
    ),
)
FIT_ABLATION_MULTI_VIEW = Table(
    "Ablations of the fit, NoW validation set, multi-view",
    _NOW,
    _rows(
        "table 5",
        ("without MICA", (0.71, 0.88, 0.76)),
        ("without offsets", (0.68, 0.84, 0.72)),
        ("FlowFace", (0.67, 0.83, 0.71)),
    ),
)
ALIGNMENT = Table(
    "2D alignment on 84 validation subjects",
    (Column("NME"),),
    _rows("section 4.5", ("PRNet", (2.52,)), ("Dense (ResNet-101)", (1.63,)), ("FlowFace", (1.30,))),
    ("over the vertices of the face; printed without a unit and without the length it is relative to",),
)
AVATARS_INSTA = Table(
    "Avatars on the videos of INSTA",
    _IMAGES,
    _rows("table 6", ("MPT", (31.5, 0.949, 0.973, 0.0410)), ("FlowFace", (31.9, 0.953, 0.977, 0.0367))),
)
AVATARS_MULTIFACE = Table(
    "Avatars on Multiface",
    _IMAGES,
    _rows("table 7", ("MPT", (20.2, 0.885, 0.939, 0.1821)), ("FlowFace", (20.1, 0.884, 0.945, 0.1452))),
)
SPEECH = Table(
    "Speech-driven animation on VOCASET",
    (Column("LVE", "10⁻⁵ m²", "lower"),),
    _rows("appendix H", ("VOCA-Train", (3.13,)), ("VOCA-Train + 3D-MEAD-Train", (2.85,))),
)
