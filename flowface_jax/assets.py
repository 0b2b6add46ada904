"""Fetching the freely licensed heads (GNM, ICT-FaceKit) from where their authors publish them.

Every file is checked against a SHA-256. Where none is known in advance it is recorded on the first download in
CHECKSUMS.json beside the files, and `verify` holds the files to it from then on. Nothing fetched is executed.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import tempfile
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

from flowface_jax.errors import FlowfaceError, InputError
from flowface_jax.storage import read_json, write_json

CHECKSUM_FILE = "CHECKSUMS.json"
_CHUNK = 1 << 20
_TIMEOUT_SECONDS = 60
_LARGEST_FILE = 256 << 20
_logger = logging.getLogger(__name__)

Progress = Callable[[str, int, int | None], None]


class DownloadError(FlowfaceError):
    """A file could not be fetched, or is not the one that was expected."""


@dataclass(frozen=True)
class RemoteFile:
    """One file: its name here, the address that it is at, its SHA-256 and size in bytes where known."""

    name: str
    url: str
    sha256: str | None = None
    size: int | None = None


@dataclass(frozen=True)
class Asset:
    """A head model that may be downloaded: what it is, its licence and its files."""

    name: str
    about: str
    licence: str
    page: str
    files: tuple[RemoteFile, ...]

    @property
    def notice(self) -> str:
        """What a user is to be told before the download."""
        pinned = sum(file.sha256 is not None for file in self.files)
        trust = f"{pinned} of {len(self.files)} files are checked against a checksum known in advance"
        if pinned < len(self.files):
            trust += f"; the others' are recorded in {CHECKSUM_FILE} on this first download"
        return f"{self.about}. Licence: {self.licence} ({self.page}). {trust}."


_GNM_MODEL = "https://huggingface.co/google/gnm-v3/resolve/c01e90d298d82301f9fd18f54806be751775cb7c/v3_0/"
_GNM_CODE = "https://raw.githubusercontent.com/google/GNM/0ae8cc7aa2ef3c08dbc7fd35d6772869380e7f96/"
_ICT = "https://raw.githubusercontent.com/USC-ICT/ICT-FaceKit/da5f95a607f5e6b37755b38d3385d7f2853732e5/"
_ICT_SHA256 = {
    "FaceXModel/ICTFaceModelMaterial.mtl": "9c2c6daf384a2d1f5536d330339a897a312f57d89587b9be31bec7fe7b37c297",
    "FaceXModel/eyeBlink_L.obj": "f5ed1c3072a400083b7d4f7f5cb3d73882b7ebb95c3232f957394db8cf7fe19e",
    "FaceXModel/generic_neutral_mesh.obj": "eedbc2576d8e5ea57f55255b8f98263213a1efb5431d8bfceed1d7aef10271f9",
    "FaceXModel/identity000.obj": "918160cf82d541336b4c367cf93199c9827832bde02511b8fbdf9019d6f1a773",
    "FaceXModel/jawOpen.obj": "8d84355e10f48b05550980cee385bcd426f4797090da76a20de0535bb2f99f4a",
    "FaceXModel/vertex_indices.json": "4f9b35306299980dd46bee4a6b79bb95dfae1953693b74b35a64f7febfd081a5",
}
_ICT_SIDED = (
    "browDown browInnerUp browOuterUp cheekPuff cheekSquint eyeBlink eyeLookDown eyeLookIn eyeLookOut eyeLookUp "
    "eyeSquint eyeWide mouthDimple mouthFrown mouthLowerDown mouthPress mouthSmile mouthStretch mouthUpperUp noseSneer"
)
_ICT_WHOLE = (
    "jawForward jawLeft jawOpen jawRight mouthClose mouthFunnel mouthLeft mouthPucker mouthRight mouthRollLower "
    "mouthRollUpper mouthShrugLower mouthShrugUpper"
)


def _ict_files() -> tuple[RemoteFile, ...]:
    expressions = [f"{name}_{side}" for name in _ICT_SIDED.split() for side in "LR"] + _ICT_WHOLE.split()
    meshes = ["generic_neutral_mesh", *(f"identity{i:03d}" for i in range(100)), *sorted(expressions)]
    names = ["LICENSE", "FaceXModel/vertex_indices.json", "FaceXModel/ICTFaceModelMaterial.mtl"]
    names += [f"FaceXModel/{mesh}.obj" for mesh in meshes]
    return tuple(RemoteFile(name, _ICT + name, _ICT_SHA256.get(name)) for name in names)


ASSETS: dict[str, Asset] = {
    "gnm": Asset(
        name="gnm",
        about="GNM Head 3.0, Google's statistical head model (53 MB)",
        licence="Apache-2.0",
        page="https://huggingface.co/google/gnm-v3",
        files=(
            RemoteFile(
                "gnm_head.npz",
                _GNM_MODEL + "gnm_head.npz",
                "61d78bbfb4ad8e0b38495804a4caef3214d3df00f8c3f68761e63b41ce3747eb",
                53_328_601,
            ),
            RemoteFile(
                "head_sparse_68.txt",
                _GNM_CODE + "gnm/shape/data/landmarks/head_sparse_68.txt",
                "d8b6066a87ca37c48bcf4d0834542db841709b65cb983e873fa1e441a22219d0",
            ),
            RemoteFile("LICENSE", _GNM_CODE + "LICENSE"),
        ),
    ),
    "ict-facekit": Asset(
        name="ict-facekit",
        about="the ICT Face Model Light, 100 identity and 53 expression shapes (390 MB)",
        licence="MIT",
        page="https://github.com/USC-ICT/ICT-FaceKit",
        files=_ict_files(),
    ),
}


def asset_folder() -> Path:
    """Where downloaded heads are kept and looked for by name: $FLOWFACE_HOME, else `.flowface` in the home folder."""
    named = os.environ.get("FLOWFACE_HOME")
    return Path(named) if named else Path.home() / ".flowface"


def download(
    asset: str,
    destination: str | os.PathLike[str],
    base_url: str | None = None,
    opener: Callable[..., Any] = urllib.request.urlopen,
    progress: Progress | None = None,
) -> list[Path]:
    """Fetch every file of an asset ('gnm' or 'ict-facekit') into the folder `destination`, which must not exist yet.

    base_url: a mirror that has the same file names below it. opener: called as urllib's urlopen. progress: called with
    (file name, bytes so far, bytes in all or None). The folder appears in one step once all files are there and right;
    a failed download leaves nothing. Returns the paths of the files.
    Raises InputError for an unknown asset or an existing destination, DownloadError where fetching or a checksum fails.
    """
    known = _known(asset)
    destination = Path(destination)
    if destination.exists():
        raise InputError(f"{destination} exists already and is not overwritten; name another folder or remove it")
    _logger.info("%s", known.notice)
    destination.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=destination.parent, prefix=f".{destination.name}."))
    try:
        checksums = {}
        for file in known.files:
            url = file.url if base_url is None else f"{base_url.rstrip('/')}/{file.name}"
            checksums[file.name] = _fetch(file, url, partial / file.name, opener, progress)
        write_json(partial / CHECKSUM_FILE, {"asset": known.name, "licence": known.licence, "sha256": checksums})
        partial.chmod(0o755)
        partial.rename(destination)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return [destination / file.name for file in known.files]


def verify(asset: str, folder: str | os.PathLike[str]) -> None:
    """Check a downloaded folder against the known checksums and those recorded on its download.

    Raises InputError naming the first file that is missing or has changed.
    """
    known, folder = _known(asset), Path(folder)
    recorded = read_json(folder / CHECKSUM_FILE, "the checksums recorded on download")
    recorded = recorded.get("sha256", {}) if isinstance(recorded, dict) else {}
    for file in known.files:
        path, expected = folder / file.name, file.sha256 or recorded.get(file.name)
        if not path.is_file():
            raise InputError(f"{path} is missing; download {asset} again")
        if expected is None:
            raise InputError(f"{folder / CHECKSUM_FILE} has no checksum of {file.name}; download {asset} again")
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if found != expected:
            raise InputError(f"{path} has changed: expected SHA-256 {expected}, found {found}; download {asset} again")


def _known(asset: str) -> Asset:
    if asset not in ASSETS:
        raise InputError(f"no asset {asset!r} can be downloaded; expected one of {', '.join(ASSETS)}")
    return ASSETS[asset]


def _fetch(file: RemoteFile, url: str, path: Path, opener: Callable[..., Any], progress: Progress | None) -> str:
    """Write the file and return its SHA-256. Raises DownloadError."""
    digest, received = hashlib.sha256(), 0
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with opener(url, timeout=_TIMEOUT_SECONDS) as response, path.open("wb") as output:
            announced = response.headers.get("Content-Length")
            total = int(announced) if announced and announced.isdigit() else file.size
            while chunk := response.read(_CHUNK):
                received += len(chunk)
                if received > _LARGEST_FILE:
                    raise DownloadError(f"{url} is larger than {_LARGEST_FILE} bytes, which no file of this asset is")
                digest.update(chunk)
                output.write(chunk)
                if progress is not None:
                    progress(file.name, received, total)
    except (OSError, HTTPException, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DownloadError(f"cannot fetch {url}: {reason}; check the connection or give base_url, a mirror") from None
    if total is not None and received != total:
        raise DownloadError(f"{url} ended after {received} of {total} bytes; try again")
    if file.sha256 is not None and digest.hexdigest() != file.sha256:
        raise DownloadError(f"{url} is not the expected file: SHA-256 {digest.hexdigest()} instead of {file.sha256}")
    return digest.hexdigest()
