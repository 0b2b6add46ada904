"""What this installation can do: packages, devices, codecs and assets."""

from __future__ import annotations

import dataclasses
import importlib
import platform
from importlib.metadata import PackageNotFoundError, version

import av
import jax

from flowface_jax.aligners import AUTO, resolve_aligner
from flowface_jax.assets import ASSETS, asset_folder
from flowface_jax.network.bundled import bundled_names

PACKAGES = (
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax-checkpoint",
    "numpy",
    "scipy",
    "opencv-python-headless",
    "av",
    "jaxlie",
)
EXTRAS = {"mediapipe": "the MediaPipe aligner", "viser": "the viewer", "torch": "peer comparisons"}
EXTRA_OF = {"mediapipe": "mediapipe", "viser": "viewer", "torch": "peers"}


@dataclasses.dataclass(frozen=True)
class Finding:
    """One line of the report. remedy: what to do where not ok."""

    topic: str
    detail: str
    ok: bool
    remedy: str = ""


def diagnose() -> list[Finding]:
    """Everything that a user would be asked for when something does not work."""
    findings = [Finding("flowface-jax", f"{_version('flowface-jax')} on Python {platform.python_version()}", True)]
    findings += [_package(name) for name in PACKAGES]
    findings += [_device(), _codec()]
    findings += [_extra(name, purpose) for name, purpose in EXTRAS.items()]
    findings.append(_networks())
    findings.append(Finding("head generic", "built in", True))
    for name, asset in ASSETS.items():
        folder = asset_folder() / name
        there = folder.is_dir()
        detail = str(folder) if there else f"not in {asset_folder()} ({asset.licence})"
        findings.append(Finding(f"head {name}", detail, there, f"flowface download {name}"))
    findings.append(Finding("head FLAME", "licensed: pass its path with --head (see third_party/README.md)", True))
    return findings


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _package(name: str) -> Finding:
    found = _version(name)
    return Finding(name, found or "not installed", found is not None, "pip install flowface-jax")


def _device() -> Finding:
    devices = jax.devices()
    kinds = ", ".join(sorted({f"{d.platform}: {d.device_kind}" for d in devices}))
    return Finding("devices", f"{len(devices)} x {kinds}", True)


def _codec() -> Finding:
    there = "libx264" in av.codecs_available
    return Finding("H.264 encoder", "libx264" if there else "absent", there, "pip install --force-reinstall av")


def _networks() -> Finding:
    """The bundled networks, and which aligner is used where none is named."""
    names = bundled_names()
    detail = f"{', '.join(names)}; " if names else "none bundled; "
    return Finding("networks", f"{detail}--aligner auto is {resolve_aligner(AUTO)}", True)


def _extra(name: str, purpose: str) -> Finding:
    remedy = f"pip install 'flowface-jax[{EXTRA_OF[name]}]' for {purpose}"
    found = _version(name)
    if found is None:
        return Finding(name, "not installed", False, remedy)
    if name == "mediapipe":
        try:
            importlib.import_module("mediapipe.python.solutions.face_mesh")
        except Exception as error:  # a broken binary package can raise anything at import
            return Finding(name, f"{found} does not import its face mesh: {type(error).__name__}", False, remedy)
    return Finding(name, found, True)
