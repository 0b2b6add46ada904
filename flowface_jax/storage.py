"""Reading and writing our files: nothing read is executed, nothing is left half-written."""

from __future__ import annotations

import io
import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from flowface_jax.errors import InputError


def require_file(path: str | os.PathLike[str], kind: str) -> Path:
    """The path, if a readable file is there. Raises InputError naming `kind` otherwise."""
    path = Path(path)
    if path.is_dir():
        raise InputError(f"expected {kind} but {path} is a folder; name the file itself")
    if not path.is_file():
        raise InputError(f"no such file: {path} (expected {kind}); check the path")
    return path


def read_npz(path: str | os.PathLike[str], kind: str, required: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
    """All plain arrays of an .npz file; object arrays (pickles) are refused.

    Raises InputError if the file is absent, damaged, holds pickled objects or lacks a `required` key.
    """
    path = require_file(path, kind)
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise InputError(f"{path} is a single .npy array; expected an .npz with {kind}")
        with archive:
            arrays = {name: archive[name] for name in archive.files}
    except ValueError as error:
        if "allow_pickle" in str(error) and zipfile.is_zipfile(path):
            raise InputError(
                f"{path} holds pickled Python objects, which are never loaded; save plain arrays instead"
            ) from None
        raise InputError(
            f"{path} is not a readable .npz file ({kind}); expected plain arrays; make or fetch it again"
        ) from None
    # zipfile reports features that a damaged header seems to ask for (encryption, other compression) as RuntimeError.
    except (OSError, EOFError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(
            f"{path} is damaged or truncated ({kind}): {_first_line(error)}; make or fetch it again"
        ) from None
    missing = [name for name in required if name not in arrays]
    if missing:
        raise InputError(
            f"{path} lacks {', '.join(missing)}, which {kind} must have; "
            f"it holds {', '.join(sorted(arrays)) or 'nothing'}"
        )
    return arrays


def write_npz(path: str | os.PathLike[str], arrays: Mapping[str, Any]) -> None:
    """Write arrays as a compressed .npz, atomically and with reproducible bytes (no time stamps)."""
    write_bytes(path, npz_bytes(arrays))


def npz_bytes(arrays: Mapping[str, Any], compress: bool = True) -> bytes:
    """The arrays as the bytes of an .npz, reproducible (no time stamps)."""
    method = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression=method, compresslevel=4) as archive:
        for name in sorted(arrays):
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = method
            payload = io.BytesIO()
            np.lib.format.write_array(payload, np.asarray(arrays[name]), allow_pickle=False)
            archive.writestr(entry, payload.getvalue())
    return buffer.getvalue()


def read_json(path: str | os.PathLike[str], kind: str) -> Any:
    """The parsed JSON file. Raises InputError if it is absent or not JSON."""
    path = require_file(path, kind)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid JSON ({kind}): {_first_line(error)}") from None


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write JSON with sorted keys, atomically. Non-finite numbers become null."""
    text = json.dumps(_finite(value), indent=2, sort_keys=True, allow_nan=False)
    write_bytes(path, (text + "\n").encode("utf-8"))


def write_bytes(path: str | os.PathLike[str], payload: bytes) -> None:
    """Replace the file in one step, so that a killed process never leaves half a file."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(payload)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, np.ndarray):
        return _finite(value.tolist())
    if isinstance(value, np.generic):
        return _finite(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
