"""`Texture`: the skin of a person over the atlas, its file, and banks of them."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import cv2
import numpy as np

from flowface_jax.errors import InputError
from flowface_jax.storage import read_npz, write_bytes, write_npz
from flowface_jax.synthesis.textures.colour import linear_to_srgb, srgb_to_linear

FORMAT = "flowface-texture/1"
ARRAYS = "texture.npz"
CONVENTIONS = (
    "albedo: sRGB uint8 [A,A,3]; divide by 255 and undo the sRGB curve (IEC 61966-2-1) for linear reflectance",
    "atlas: row 0 is v = 1, column 0 is u = 0; the centre of row i, column j is u = (j+.5)/A, v = 1-(i+.5)/A",
    "atlas sides: u grows to the subject's left",
    "confidence: uint8, 255 seen well, about 128 copied from the other side of the face, 0 filled in or not skin",
    "frames: camera number and frame number in the video of each picture that was merged",
)


@dataclasses.dataclass(frozen=True)
class Texture:
    """Skin over the atlas.

    albedo: [A,A,3] sRGB uint8, row 0 at v = 1. confidence: [A,A] uint8, 255 seen well, about 128 mirrored, 0 filled.
    head_name: the head that it was made with. source: names of the videos. frames: [N,2] int32 (camera, frame) merged.
    lit: the light of the video is still in it.
    """

    albedo: np.ndarray
    confidence: np.ndarray
    head_name: str
    source: tuple[str, ...]
    frames: np.ndarray
    lit: bool

    @property
    def side(self) -> int:
        """Texels along the atlas, A."""
        return self.albedo.shape[0]

    @staticmethod
    def from_linear(
        linear: np.ndarray,
        confidence: np.ndarray,
        head_name: str,
        source: tuple[str, ...],
        frames: np.ndarray,
        lit: bool,
    ) -> Texture:
        """From linear reflectance [A,A,3] and confidence [A,A] in [0,1]."""
        bytes_of_confidence = np.round(255 * np.clip(confidence, 0, 1)).astype(np.uint8)
        return Texture(linear_to_srgb(linear), bytes_of_confidence, head_name, source, frames, lit)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the .npz file (or texture.npz into the folder `path`) and beside it pictures of albedo and confidence.

        Returns the .npz file's path.
        """
        file = texture_file(path)
        arrays = {
            "format": np.asarray(FORMAT),
            "conventions": np.asarray(CONVENTIONS),
            "albedo": self.albedo,
            "confidence": self.confidence,
            "head_name": np.asarray(self.head_name),
            "source": np.asarray(self.source),
            "frames": self.frames,
            "lit": np.asarray(self.lit),
        }
        write_npz(file, arrays)
        write_bytes(file.with_suffix(".png"), _png(self.albedo[..., ::-1]))
        write_bytes(confidence_picture(file), _png(self.confidence))
        return file


def texture_file(path: str | os.PathLike[str]) -> Path:
    """The file that a texture saved to `path` goes to: an .npz file itself, else texture.npz in that folder."""
    path = Path(path)
    return path if path.suffix == ".npz" else path / ARRAYS


def confidence_picture(file: Path) -> Path:
    """Where the picture of the confidence lies beside a texture file."""
    return file.with_name("confidence.png" if file.name == ARRAYS else f"{file.stem}_confidence.png")


def load_texture(path: str | os.PathLike[str]) -> Texture:
    """Read a texture file (or texture.npz in a folder). Raises InputError if it is absent or damaged."""
    path = Path(path)
    file = path / ARRAYS if path.is_dir() else path
    required = ("format", "albedo", "confidence", "head_name", "source", "frames", "lit")
    arrays = read_npz(file, "a flowface texture", required)
    if str(arrays["format"]) != FORMAT:
        raise InputError(f"{file} is not a flowface texture: expected format {FORMAT}, found {arrays['format']}")
    albedo, confidence = arrays["albedo"], arrays["confidence"]
    side = albedo.shape[0] if albedo.ndim else 0
    sound = albedo.shape == (side, side, 3) and confidence.shape == (side, side) and side > 0
    if not sound or albedo.dtype != np.uint8 or confidence.dtype != np.uint8:
        raise InputError(
            f"{file}: expected albedo [A,A,3] and confidence [A,A] as uint8, "
            f"found {list(albedo.shape)} {albedo.dtype} and {list(confidence.shape)} {confidence.dtype}"
        )
    source = tuple(str(name) for name in np.atleast_1d(arrays["source"]))
    return Texture(albedo, confidence, str(arrays["head_name"]), source, arrays["frames"], bool(arrays["lit"]))


def load_texture_bank(folder: str | os.PathLike[str], side: int) -> tuple[np.ndarray, np.ndarray]:
    """All textures below a folder, in the order of their paths, brought to one side.

    Returns albedo [N,A,A,3] linear float32 and confidence [N,A,A] float32 in [0,1]. Raises InputError where no texture
    lies there, or one is damaged.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"no such folder: {folder}; expected one with textures made by flowface texture")
    if side < 1:
        raise InputError(f"expected a side of at least 1 texel, found {side}")
    files = sorted(folder.rglob("*.npz"))
    if not files:
        raise InputError(f"{folder} holds no texture (.npz); make some with flowface texture")
    albedo = np.empty((len(files), side, side, 3), np.float32)
    confidence = np.empty((len(files), side, side), np.float32)
    for n, file in enumerate(files):
        texture = load_texture(file)
        albedo[n] = resized(srgb_to_linear(texture.albedo), side)
        confidence[n] = resized(texture.confidence.astype(np.float32) / 255, side)
    return albedo, confidence


def resized(image: np.ndarray, side: int) -> np.ndarray:
    """The float image [A,A,…] at another side: averaged where it shrinks, interpolated where it grows."""
    if image.shape[0] == side:
        return image
    return cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA if image.shape[0] > side else cv2.INTER_LINEAR)


def _png(image: np.ndarray) -> bytes:
    _, encoded = cv2.imencode(".png", image)
    return encoded.tobytes()
