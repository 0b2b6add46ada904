"""One door for every head: the built-in one by name, a file or folder recognised by what is in it."""

from __future__ import annotations

import inspect
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flowface_jax.assets import ASSETS, asset_folder
from flowface_jax.errors import InputError, MissingAssetError
from flowface_jax.heads.flame import load_flame
from flowface_jax.heads.gnm import load_gnm
from flowface_jax.heads.ict import find_folder, load_ict
from flowface_jax.heads.model import HeadModel
from flowface_jax.heads.store import read_head

GENERIC = "generic"
GNM_FILE = "gnm_head.npz"
LIGHT_FILE = "ict_facekit_light.npz"
UNDERSTOOD = (
    "'generic' (the built-in head), a downloaded head's name (gnm, ict-facekit), an .npz saved by flowface, "
    "a FLAME .pkl or .npz, GNM's gnm_head.npz or its folder, "
    "ICT-FaceKit's light .npz or a folder with it or its FaceXModel"
)


def load_head(source: str | os.PathLike[str], **options: Any) -> HeadModel:
    """The head that `source` names: 'generic', a downloaded one by name, or the path of any head that is understood.

    options go to the reader (`load_flame`, `load_gnm`, `load_ict`); an own file and the built-in head take none.
    Raises InputError, listing what is understood, where `source` is none of these or takes no such option.
    """
    reader, arguments = _reader(source)
    accepted = list(inspect.signature(reader).parameters)[len(arguments) :]
    unknown = sorted(set(options) - set(accepted))
    if unknown:
        raise InputError(f"{source} takes no option {', '.join(unknown)}; it takes {', '.join(accepted) or 'none'}")
    return reader(*arguments, **options)


def _reader(source: str | os.PathLike[str]) -> tuple[Callable[..., HeadModel], tuple[Any, ...]]:
    """The function that reads the source, and its leading arguments."""
    if str(source) == GENERIC:
        from flowface_jax.heads.generic import generic_head

        return generic_head, ()
    path = Path(source)
    if not path.exists() and str(source) in ASSETS:
        path = asset_folder() / str(source)
        if not path.is_dir():
            raise MissingAssetError(f"head '{source}' is not in {asset_folder()}; fetch it: flowface download {source}")
    if not path.exists():
        raise InputError(f"no head at {path}; expected {UNDERSTOOD}")
    if path.is_dir():
        if (path / GNM_FILE).is_file():
            return load_gnm, (path / GNM_FILE,)
        # A checkout with only some of the shapes may lie beside the whole model in one file: that one is meant.
        if (path / LIGHT_FILE).is_file():
            return load_ict, (path / LIGHT_FILE,)
        if find_folder(path) is None:
            raise InputError(
                f"{path} is a folder without {GNM_FILE} or ICT-FaceKit's FaceXModel; expected {UNDERSTOOD}"
            )
        return load_ict, (path,)
    if zipfile.is_zipfile(path):
        return _reader_of_npz(path), (path,)
    if _looks_pickled(path):
        return load_flame, (path,)
    raise InputError(f"{path} is no head file that is understood; expected {UNDERSTOOD}")


def _reader_of_npz(path: Path) -> Callable[..., HeadModel]:
    try:
        with zipfile.ZipFile(path) as archive:
            keys = {name.removesuffix(".npy") for name in archive.namelist()}
    except (zipfile.BadZipFile, OSError):
        raise InputError(f"{path} is damaged or truncated; fetch or save it again") from None
    for marks, reader in (
        ({"format", "about", "identity_basis"}, read_head),
        ({"v_template", "shapedirs"}, load_flame),
        ({"template_vertex_positions", "vertex_identity_basis"}, load_gnm),
        ({"neutral", "identity", "expression"}, load_ict),
    ):
        if marks <= keys:
            return reader
    raise InputError(f"{path} holds {', '.join(sorted(keys)[:8]) or 'nothing'}; expected {UNDERSTOOD}")


def _looks_pickled(path: Path) -> bool:
    """Binary pickles begin with 0x80; protocol 0 and 1 with the opening of a dictionary."""
    with path.open("rb") as file:
        start = file.read(2)
    return start[:1] == b"\x80" or start in (b"(d", b"}q")
