"""The trained networks that come with the package, by name: which there are, their files, and which suits a device."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from flowface_jax.errors import InputError

FOLDER: Path = Path(__file__).parent
"""Where their weights are: NAME.safetensors."""
FOR_ACCELERATORS: Final = ("flowface-b1", "flowface-nano")
FOR_PROCESSORS: Final = ("flowface-nano",)
"""Those to choose from where no name is given, the best first; the others are too slow without an accelerator."""


def bundled_names() -> tuple[str, ...]:
    """The networks whose weights are in the package, in alphabetical order."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.safetensors")))


def bundled_file(name: str) -> Path:
    """The weights of a bundled network. Raises InputError, naming those that there are, where it is none."""
    names = bundled_names()
    if name not in names:
        raise InputError(f"no network '{name}' comes with this package; expected one of: {', '.join(names) or 'none'}")
    return FOLDER / f"{name}.safetensors"


def default_network(accelerated: bool) -> str | None:
    """The best bundled network for a computer with or without an accelerator; None where the package has none."""
    there = bundled_names()
    return next((name for name in (FOR_ACCELERATORS if accelerated else FOR_PROCESSORS) if name in there), None)
