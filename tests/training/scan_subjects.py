"""Made-up scans of the built-in head: another topology, noise, holes, shoulders and hair, a texture that moves with the
skin, and the truth of every vertex.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from flowface_jax.heads.generic import generic_head
from flowface_jax.heads.model import HeadModel
from flowface_jax.heads.registration import positions_of
from flowface_jax.training.registration.scans import Scan, clean

NOISE = 0.0002
HOLE = 0.006
_CELL = 0.0016
_EYE_SIDE = 64
EXPRESSION = {"mouthSmileLeft": 0.6, "mouthSmileRight": 0.7, "jawOpen": 0.2, "browInnerUp": 0.5, "cheekPuff": 0.2,
              "mouthLeft": 0.3, "noseSneerLeft": 0.3}  # fmt: skip


@functools.cache
def head() -> HeadModel:
    return generic_head()


def true_vertices(expression: dict[str, float], seed: int = 3, slide: float = 0.002) -> np.ndarray:
    """The subject [V,3] m: an identity of the model, and skin that slides as no blend shape says, up to `slide` m."""
    model, random = head(), np.random.default_rng(seed)
    identity = 0.8 * random.normal(size=model.identity_size)
    coefficients = np.zeros(model.expression_size)
    for name, value in expression.items():
        coefficients[model.expression_names.index(name)] = value
    shape = np.asarray(model.template, np.float64) + np.asarray(model.identity_basis) @ identity
    shape = shape + np.asarray(model.expression_basis) @ coefficients
    if expression:
        left, right = (
            np.exp(-(((shape - centre) / 0.022) ** 2).sum(1)) for centre in ((0.045, -0.01, 0.06), (-0.03, 0.05, 0.08))
        )
        shape = shape + slide * np.outer(left, (0.5, -1.0, -0.4)) + slide * np.outer(right, (1.0, 0.3, 0.4))
    return shape


@dataclass(frozen=True)
class MadeScan:
    """scan in mm somewhere in space. truth [V,3] in its coordinates."""

    scan: Scan
    truth: np.ndarray
    parts: tuple


def make_scan(
    expression: dict[str, float], texture: np.ndarray, turn: tuple[float, float, float] = (4, -7, 3), seed: int = 0
) -> MadeScan:
    """A scan in mm, turned by degrees about x, y, z and moved."""
    model, random = head(), np.random.default_rng(seed)
    truth = true_vertices(expression)
    rotation = Rotation.from_euler("xyz", turn, degrees=True).as_matrix()
    place = lambda points: 1e3 * points @ rotation.T + np.asarray([20.0, -35.0, 50.0])  # noqa: E731
    triangles = np.asarray(model.triangles)
    eyes = np.asarray(model.regions["eyeballs"])[triangles].all(1)
    inner = np.zeros(len(triangles), bool)
    for name in ("eyeballs", "teeth", "tongue", "mouth_interior"):
        inner |= np.asarray(model.regions[name])[triangles].all(1)
    skin, uv = _resampled(truth, triangles[~inner], np.asarray(model.uv, np.float64), random)
    vertices = [skin[0] + random.normal(0, NOISE, skin[0].shape)]
    faces, uvs, ids = [skin[1]], [uv[skin[1]]], [np.zeros(len(skin[1]), np.int32)]
    # Holes of a few millimetres in the cheek and the brow.
    for centre in (
        truth[np.abs(truth - (-0.05, -0.03, 0.05)).sum(1).argmin()],
        truth[np.abs(truth - (0.03, 0.06, 0.08)).sum(1).argmin()],
    ):
        keep = (np.linalg.norm(skin[0] - centre, axis=1) > HOLE)[faces[0]].all(1)
        faces[0], uvs[0], ids[0] = faces[0][keep], uvs[0][keep], ids[0][keep]
    ball = triangles[eyes]
    centres = {side: truth[np.asarray(model.regions[f"{side}_eyeball"])].mean(0) for side in ("left", "right")}
    around = np.where(truth[:, :1] > truth[:, 0].mean(), centres["left"], centres["right"])
    eye_uv = 0.5 + (truth - around)[:, :2] / 0.03
    extras = [(truth, ball, eye_uv[ball], 1)]
    for centre, radii, colour in (
        ((0, -0.30, -0.05), (0.22, 0.10, 0.10), 2),
        ((0, 0.085, -0.045), (0.083, 0.075, 0.085), 3),
    ):
        positions, faces_of = _blob(truth.mean(0) * 0 + centre, radii, random)
        extras.append((positions, faces_of, np.full((len(faces_of), 3, 2), 0.5), colour))
    for positions, own, corner_uv, number in extras:
        faces.append(own + sum(len(v) for v in vertices))
        vertices.append(positions)
        uvs.append(corner_uv)
        ids.append(np.full(len(own), number, np.int32))
    flat = [np.full((2, 2, 3), colour, np.uint8) for colour in ((60, 70, 110), (50, 38, 30))]
    parts = (
        place(np.concatenate(vertices)), np.concatenate(faces).astype(np.int32), np.concatenate(uvs),
        np.concatenate(ids), (texture, _eye_texture(), *flat),
    )  # fmt: skip
    return MadeScan(clean(*parts), place(truth), parts)


def speckled(side: int = 1024, seed: int = 5) -> np.ndarray:
    """Skin with blotches and freckles of many sizes: a texture over the atlas [A,A,3] uint8."""
    random = np.random.default_rng(seed)
    values = np.zeros((side, side), np.float32)
    for cells, share in ((24, 0.05), (90, 0.06), (260, 0.06)):
        coarse = random.normal(size=(cells, cells)).astype(np.float32)
        values += share * cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    return np.clip(np.asarray([205, 155, 130]) * np.exp(values)[..., None], 0, 255).astype(np.uint8)


def annotation(made: MadeScan) -> dict[str, np.ndarray]:
    """The landmarks of brows, eyes, nose and lips where they are, in scan units."""
    positions = positions_of(head().landmarks, made.truth)
    return {f"multipie_{number}": positions[number] for number in range(17, 68)}


def write_obj(path, made: MadeScan) -> None:
    """The scan as OBJ, material file and pictures."""
    vertices, triangles, uv, ids, textures = made.parts
    path.parent.mkdir(parents=True, exist_ok=True)
    corner = np.arange(3 * len(triangles)).reshape(-1, 3) + 1
    lines = [f"mtllib {path.stem}.mtl"]
    lines += [f"v {x:.4f} {y:.4f} {z:.4f}" for x, y, z in vertices]
    lines += [f"vt {u:.5f} {v:.5f}" for u, v in uv.reshape(-1, 2)]
    for number in range(len(textures)):
        lines.append(f"usemtl m{number}")
        rows = np.c_[triangles + 1, corner][ids == number][:, [0, 3, 1, 4, 2, 5]]
        lines += [f"f {a}/{b} {c}/{d} {e}/{f}" for a, b, c, d, e, f in rows]
        cv2.imwrite(str(path.with_name(f"{path.stem}_{number}.png")), textures[number][..., ::-1])
    path.write_text("\n".join(lines) + "\n")
    materials = [f"newmtl m{n}\nmap_Kd {path.stem}_{n}.png\n" for n in range(len(textures))]
    path.with_suffix(".mtl").write_text("".join(materials))


def _resampled(vertices, triangles, uv, random) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """The surface with other vertices: divided finely, then one vertex kept in each cell of a turned grid."""
    for _ in range(2):
        edges = np.sort(triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
        unique, new = np.unique(edges, axis=0, return_inverse=True)
        new = new.reshape(-1, 3) + len(vertices)
        vertices = np.concatenate([vertices, vertices[unique].mean(1)])
        uv = np.concatenate([uv, uv[unique].mean(1)])
        (a, b, c), (ab, bc, ca) = triangles.T, new.T
        triangles = np.concatenate([np.stack(t, 1) for t in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))])
    cells = np.floor(vertices @ Rotation.random(random_state=7).as_matrix().T / _CELL).astype(np.int64)
    _, first, new = np.unique(cells, axis=0, return_index=True, return_inverse=True)
    merged = new.reshape(-1)[triangles]
    merged = merged[(merged[:, 0] != merged[:, 1]) & (merged[:, 1] != merged[:, 2]) & (merged[:, 2] != merged[:, 0])]
    return (vertices[first], merged), uv[first]


def _blob(centre, radii, random) -> tuple[np.ndarray, np.ndarray]:
    """A bumpy ellipsoid: shoulders, or a shock of hair."""
    u, v = np.meshgrid(np.linspace(0, 2 * np.pi, 90, endpoint=False), np.linspace(0.05, np.pi - 0.05, 45))
    unit = np.stack([np.sin(v) * np.cos(u), np.cos(v), np.sin(v) * np.sin(u)], -1).reshape(-1, 3)
    i, j = np.meshgrid(np.arange(44), np.arange(90), indexing="ij")
    k = lambda a, b: (a * 90 + b % 90).ravel()  # noqa: E731
    triangles = np.concatenate(
        [np.c_[k(i, j), k(i, j + 1), k(i + 1, j)], np.c_[k(i, j + 1), k(i + 1, j + 1), k(i + 1, j)]]
    )
    return np.asarray(centre) + unit * radii * (1 + 0.02 * random.normal(size=(len(unit), 1))), triangles


def _eye_texture() -> np.ndarray:
    image = np.full((_EYE_SIDE, _EYE_SIDE, 3), 235, np.uint8)
    cv2.circle(image, (_EYE_SIDE // 2, _EYE_SIDE // 2), 13, (70, 90, 60), -1)
    cv2.circle(image, (_EYE_SIDE // 2, _EYE_SIDE // 2), 6, (10, 10, 10), -1)
    return image
