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


def _rows(table: str, *rows: tuple[str, tuple[float, ...]]) -> tuple[Row, ...]:
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
