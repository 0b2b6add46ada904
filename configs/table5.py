"""The rows of the paper's table 5: the fit with parts of it left out.

    --config=configs/table5.py:ours

Rows: without_mica, without_offsets, ours. `fit` holds settings of the fit and `neutral` says whether MICA's neutral
head is given to it. (The row 'MICA only' fits nothing.)
"""

from ml_collections import ConfigDict

ROWS = {
    "without_mica": ({}, False),
    "without_offsets": ({"offsets": "fixed"}, True),
    "ours": ({}, True),
}


def get_config(row: str) -> ConfigDict:
    """The fit of a row. Raises ValueError for a name that is none."""
    if row not in ROWS:
        raise ValueError(f"configs/table5.py: expected a row after the colon, one of {', '.join(ROWS)}; found '{row}'")
    settings, neutral = ROWS[row]
    return ConfigDict({"fit": settings, "neutral": neutral})
