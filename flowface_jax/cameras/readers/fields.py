"""Taking numbers out of calibration files with errors that name the file and the line or key."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from flowface_jax.cameras.calibration import Calibration, make_calibration
from flowface_jax.errors import InputError
from flowface_jax.storage import require_file


def read_lines(path: Path, kind: str) -> list[str]:
    """The lines of a text file without line ends. Raises InputError if it is absent, empty or not text."""
    path = require_file(path, kind)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise InputError(f"{path} is not a text file; expected {kind}") from None
    if not any(line.strip() for line in lines):
        raise InputError(f"{path} is empty; expected {kind}")
    return lines


def line_numbers(path: Path, lines: list[str], index: int, count: int, what: str, label: bool = False) -> list[float]:
    """Exactly `count` finite numbers of line `index` (0-based); `label`: a leading "name:" is skipped.

    Raises InputError with the 1-based line number.
    """
    if index >= len(lines):
        raise InputError(f"{path} ends at line {len(lines)}: expected {what} on line {index + 1}; fetch the file again")
    text = lines[index].partition(":")[2] if label and ":" in lines[index] else lines[index]
    numbers = parse_numbers(text)
    if numbers is None or len(numbers) != count:
        raise InputError(
            f"{path}, line {index + 1}: expected {what} ({count} numbers), found '{lines[index].strip()[:60]}'"
        )
    return numbers


def parse_numbers(text: str) -> list[float] | None:
    """The blank-separated numbers of a text, or None if a word is not a finite number."""
    try:
        numbers = [float(word) for word in text.split()]
    except ValueError:
        return None
    return numbers if all(math.isfinite(number) for number in numbers) else None


def number_array(path: Path, record: Mapping[str, Any], key: str, shape: tuple[int, ...], owner: str) -> np.ndarray:
    """A finite float64 array of a certain shape under a key of a JSON or .npz record.

    Raises InputError naming the key and its owner (a view, a frame).
    """
    if key not in record:
        raise InputError(f"{path}: {owner} lacks '{key}'; fetch the file again")
    try:
        array = np.asarray(record[key], np.float64)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{path}: {owner}: '{key}' is not an array of numbers") from None
    if array.shape != shape or not np.isfinite(array).all():
        raise InputError(f"{path}: {owner}: expected '{key}' of shape {shape} with finite numbers, found {array.shape}")
    return array


def intrinsic_matrix(fx: float, fy: float, cx: float, cy: float, skew: float = 0.0) -> np.ndarray:
    """The matrix [3,3] with rows (fx, skew, cx), (0, fy, cy), (0, 0, 1)."""
    return np.asarray([[fx, skew, cx], [0, fy, cy], [0, 0, 1]], np.float64)


def corner_origin(matrix: np.ndarray) -> np.ndarray:
    """OpenCV-style intrinsics (centre of the top-left pixel at 0) in our pixels (centre at 0.5)."""
    matrix = np.array(matrix, np.float64)
    matrix[..., :2, 2] += 0.5
    return matrix


def calibration_of(path: Path, **fields: Any) -> Calibration:
    """`make_calibration` of a file's content, its errors naming the file."""
    try:
        return make_calibration(**fields)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
