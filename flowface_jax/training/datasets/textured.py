"""Scans with their textures: an OBJ, its material file and the pictures that this names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flowface_jax.aligners.images import IMAGE_SUFFIXES, read_image
from flowface_jax.errors import InputError
from flowface_jax.heads.obj import ObjMesh, read_obj


@dataclass(frozen=True)
class TexturedScan:
    """A scan in its own unit.

    vertices: [V,3] float64. triangles: [T,3] int32. uv: [T,3,2] float64 texture coordinates of each corner, v up.
    texture_ids: [T] int32 into textures, −1 where a triangle has none. textures: RGB uint8 pictures.
    """

    vertices: np.ndarray
    triangles: np.ndarray
    uv: np.ndarray
    texture_ids: np.ndarray
    textures: tuple[np.ndarray, ...]


def read_textured_scan(path: Path) -> TexturedScan:
    """A scan with the texture of each material; without a material file, the picture named like the scan.

    Raises InputError where the scan or every texture is missing or damaged, or texture coordinates are.
    """
    mesh = read_obj(path)
    has_uv = (mesh.triangle_uvs >= 0).all(1)
    if not has_uv.any():
        raise InputError(f"{path} has no texture coordinates; expected a textured scan")
    files = _texture_files(path, mesh)
    names = sorted({file for file in files if file is not None})
    textures = tuple(read_image(name) for name in names)
    by_material = np.asarray([-1 if file is None else names.index(file) for file in files], np.int32)
    uv = mesh.uv[np.maximum(mesh.triangle_uvs, 0)]
    # Triangles before the first `usemtl` have material −1: the last entry, which stands for them.
    ids = np.where(has_uv, by_material[mesh.materials], -1).astype(np.int32)
    return TexturedScan(mesh.vertices, mesh.triangles, uv, ids, textures)


def _texture_files(path: Path, mesh: ObjMesh) -> list[Path | None]:
    """The picture of every material, and of triangles without one (last)."""
    own = next((file for file in sorted(path.parent.glob(f"{_escaped(path.stem)}.*")) if _is_picture(file)), None)
    maps = _material_maps(path)
    # One picture for all that the material file does not explain: many scans were saved under other material names.
    fallback = own or (next(iter(maps.values())) if len(set(maps.values())) == 1 else None)
    files = [maps.get(name, fallback) for name in mesh.material_names] + [fallback]
    if all(file is None for file in files):
        raise InputError(f"{path} has no texture: no material file names one and no picture is named like the scan")
    return files


def _material_maps(path: Path) -> dict[str, Path]:
    """Material to its picture (map_Kd), of the material files that are there."""
    maps: dict[str, Path] = {}
    for file in dict.fromkeys([*_named_libraries(path), path.with_suffix(".mtl")]):
        # A name in a file is only ever looked for beside the scan.
        library = path.parent / Path(file).name
        if not library.is_file():
            continue
        name = ""
        for line in library.read_text(encoding="utf-8", errors="replace").splitlines():
            words = line.split(maxsplit=1)
            if len(words) == 2 and words[0] == "newmtl":
                name = words[1].strip()
            elif len(words) == 2 and words[0].lower() == "map_kd":
                picture = path.parent / words[1].replace("\\", "/").split("/")[-1].strip()
                if picture.is_file():
                    maps[name] = picture
    return maps


def _named_libraries(path: Path) -> list[str]:
    with path.open(encoding="utf-8", errors="replace") as file:
        return [line.split(maxsplit=1)[1].strip() for line in file if line.startswith("mtllib ")]


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES


def _escaped(stem: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in stem)
