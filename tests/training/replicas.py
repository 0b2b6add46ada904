"""Small made-up copies of the data sets in their released layouts, with the truth of every photograph worked out by
OpenCV's own projection. A photograph is a flat head before a dark wall with light dots at four vertices (MARKS).
"""

from __future__ import annotations

import dataclasses
import functools
import json
from dataclasses import dataclass, field

import cv2
import jax.numpy as jnp
import numpy as np
from scipy.spatial.transform import Rotation

from flowface_jax.exporting.ply import write_ply
from flowface_jax.heads.generic import generic_head
from tests.cameras.readers.rig import source_pixels

WIDTH, HEIGHT = 320, 360
FOCAL = 900.0
HEAD_COLOUR, WALL, DOT = (150, 110, 90), (12, 16, 20), (255, 255, 255)
LENS = (-0.12, 0.05, 1e-3, -1e-3, 0.0)
MULTIFACE_VERTICES = 7306
FACESCAPE_SCALE = 3.7
"""Units of a made-up structure from motion per metre."""


@functools.cache
def head():
    return generic_head()


@functools.cache
def marks() -> np.ndarray:
    """Tip of the nose, outer ends of the eyes, lowest point of the chin."""
    template, regions = np.asarray(head().template), head().regions
    within = lambda region, values, pick: np.flatnonzero(regions[region])[pick(values[np.asarray(regions[region])])]
    x, y, z = template.T
    return np.asarray(
        [within("nose", z, np.argmax), within("eyes", x, np.argmin), within("eyes", x, np.argmax)]
        + [within("chin", y, np.argmin)]
    )


@dataclass
class Replica:
    """A copy on disk. truth: "subject/sequence/view/frame" to where OpenCV sees every vertex [V,2] px, corner origin.
    registrations: folder of the meshes, where the data set comes without.
    """

    root: object
    registrations: object = None
    truth: dict[str, np.ndarray] = field(default_factory=dict)


def look_at(beside: float, above: float, distance: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Rotation and translation of an upright camera before a head in its own frame, degrees and metres."""
    a, b = np.radians([beside, above])
    direction = np.asarray([np.sin(a) * np.cos(b), np.sin(b), np.cos(a) * np.cos(b)])
    right = np.cross(-direction, (0, 1, 0)) / np.linalg.norm(np.cross(-direction, (0, 1, 0)))
    rotation = np.stack([right, np.cross(-direction, right), -direction])
    return rotation, -rotation @ (np.asarray([0, -0.02, 0.03]) + distance * direction)


def photograph(pixels: np.ndarray, size: tuple[int, int] = (WIDTH, HEIGHT)) -> np.ndarray:
    """The picture [H,W,3] uint8 of vertices at px (corner origin)."""
    image = np.full((size[1], size[0], 3), WALL, np.uint8)
    hull = cv2.convexHull(np.round(pixels - 0.5).astype(np.int32))
    cv2.fillPoly(image, [hull], HEAD_COLOUR)
    spread = 1.5 * size[0] / WIDTH
    for dot in pixels[marks()]:
        left, top = (max(int(edge - 5 * spread), 0) for edge in dot)
        window = image[top : top + int(11 * spread), left : left + int(11 * spread)]
        y, x = np.mgrid[: window.shape[0], : window.shape[1]] + 0.5
        squared = (x + left - dot[0]) ** 2 + (y + top - dot[1]) ** 2
        weight = np.exp(-0.5 * squared / spread**2)[..., None]
        window[:] = np.round(window * (1 - weight) + np.asarray(DOT) * weight)
    return image


def write_image(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    options = [cv2.IMWRITE_JPEG_QUALITY, 98] if path.suffix == ".jpg" else [cv2.IMWRITE_PNG_COMPRESSION, 1]
    path.write_bytes(cv2.imencode(path.suffix, image[..., ::-1], options)[1].tobytes())


def intrinsics() -> np.ndarray:
    """OpenCV's: the centre of the top-left pixel at 0."""
    return np.asarray([[FOCAL, 0, WIDTH / 2 - 3.3], [0, 1.01 * FOCAL, HEIGHT / 2 + 4.2], [0, 0, 1]])


FACESCAPE_VIEWS = {0: (5, 3), 1: (60, -10), 2: (-85, 20), 3: (120, 0), 4: (10, 60), 5: (-20, 10), 6: (25, -5)}
"""View to degrees beside and above. 3 and 4 are beyond the paper's limits, 5 is marked invalid, 6 has no photograph."""
FACESCAPE_USABLE = ("0", "1", "2")


def facescape(tmp_path, subjects=("7",), expressions=("1_neutral", "10_dimpler")) -> Replica:
    replica = Replica(tmp_path / "facescape", tmp_path / "registrations")
    turn, shift = Rotation.from_euler("xyz", [20, -70, 160], degrees=True).as_matrix(), np.asarray([4.0, -2.0, 9.0])
    for number, (subject, expression) in enumerate((s, e) for s in subjects for e in expressions):
        template = np.asarray(head().template, np.float64) * (1 + 0.02 * number)
        world = FACESCAPE_SCALE * template @ turn.T + shift
        for path in (
            replica.root / "MESH" / subject / f"{expression}.ply",
            replica.registrations / subject / f"{expression}.ply",
        ):
            write_ply(path, world, np.asarray(head().triangles))
        params = {}
        for view, angles in FACESCAPE_VIEWS.items():
            rotation, translation = look_at(*angles)
            rotation = rotation @ turn.T
            translation = FACESCAPE_SCALE * translation - rotation @ shift
            # The file holds vertices as float32.
            stored = np.asarray(world, np.float32).astype(np.float64)
            pixels = source_pixels(rotation, translation, intrinsics(), LENS, stored) + 0.5
            params |= {
                f"{view}_K": intrinsics().tolist(),
                f"{view}_Rt": np.c_[rotation, translation].tolist(),
                f"{view}_distortion": list(LENS),
                f"{view}_width": WIDTH,
                f"{view}_height": HEIGHT,
                f"{view}_valid": view != 5,
                f"{view}_ori": 0,
            }
            if view != 6:
                write_image(replica.root / "IMGS" / subject / expression / f"{view}.jpg", photograph(pixels))
            replica.truth[f"{subject}/{expression}/{view}/0"] = pixels
        (replica.root / "IMGS" / subject / expression / "params.json").write_text(json.dumps(params))
    return replica


def tka_text(rotation, translation, size) -> str:
    """A Tsai camera of full-size images without distortion; pixels are 0.005 mm."""
    position = -rotation.T @ (1000 * translation)
    rows = [" ".join(f"{v:.12f}" for v in row) for row in rotation]
    fields = [f"X: {position[0]}", f"Y: {position[1]}", f"Z: {position[2]}", f"f: {4 * FOCAL * 0.005}", "K: 0", "K2: 0"]
    fields += ["S: 1", "x: 0.005", "y: 0.005", f"a: {size[0] / 2 + 6}", f"b: {size[1] / 2 - 10}"]
    return "\n".join(["M:", *rows, *fields, f"is: {size[0]} {size[1]}", "c: 0.0", ""])


FAMOS_VIEWS = {"00_A": (0, 0), "00_C": (10, 5), "01_C": (-40, 0), "02_C": (170, 0)}
"""00_A is grey, 02_C behind the head; 01_C is calibrated as a landscape and its images are stored turned."""


def famos(tmp_path, subjects=("FaceTalk_1",), frames=range(1, 24)) -> Replica:
    """Every fourth frame is on disk, so that of frames 1, 5, …, 21 every tenth is 1, 13 (one without a mesh: 13)."""
    replica = Replica(tmp_path / "famos")
    sequence = "anger"
    for subject in subjects:
        calibrations = replica.root / "calibrations" / subject / sequence
        calibrations.mkdir(parents=True)
        rotate = np.asarray([[0, -1, 0], [1, 0, 0], [0, 0, 1]], np.float64)
        for view, angles in FAMOS_VIEWS.items():
            rotation, translation = look_at(*angles)
            size = (4 * WIDTH, 4 * HEIGHT)
            if view == "01_C":
                # A camera on its side: undone by the turn of 90° with which its images were stored.
                rotation, translation, size = rotate @ rotation, rotate @ translation, size[::-1]
            (calibrations / f"{view}.tka").write_text(tka_text(rotation, translation, size))
        for frame in list(frames)[::4]:
            world = np.asarray(head().template, np.float64) + [0, 0, 0.001 * frame]
            name = f"{sequence}.{frame:06d}"
            if frame != 13:
                write_ply(replica.root / "registrations" / subject / sequence / f"{name}.ply", world, head().triangles)
            stored = np.asarray(world, np.float32).astype(np.float64)
            for view, angles in FAMOS_VIEWS.items():
                rotation, translation = look_at(*angles)
                centre = (WIDTH / 2 + 1.5, HEIGHT / 2 - 2.5) if view != "01_C" else (WIDTH / 2 - 2.5, HEIGHT / 2 - 1.5)
                k = np.asarray([[FOCAL, 0, centre[0]], [0, FOCAL, centre[1]], [0, 0, 1]])
                pixels = source_pixels(rotation, translation, k, points=stored)
                folder = replica.root / "training_images_4" / subject / sequence / f"{frame:06d}"
                write_image(folder / f"{name}.{view}.png", photograph(pixels))
                replica.truth[f"{subject}/{sequence}/{view}/{frame:06d}"] = pixels
    return replica


def stirling(tmp_path, names=("F1001_N",)) -> Replica:
    """The head itself, in millimetres, with a texture whose red and green are its coordinates u and v."""
    replica = Replica(tmp_path / "stirling", tmp_path / "registrations")
    side = 256
    u = (np.arange(side) + 0.5) / side
    texture = np.zeros((side, side, 3), np.uint8)
    texture[..., 0], texture[..., 1], texture[..., 2] = 40 + 200 * u[None], (40 + 200 * u[::-1])[:, None], 128
    for name in names:
        vertices = 1000 * np.asarray(head().template, np.float64) + [5.0, 3.0, -20.0]
        lines = [f"mtllib {name}.mtl"]
        lines += [f"v {x:.5f} {y:.5f} {z:.5f}" for x, y, z in vertices]
        lines += [f"vt {a:.6f} {b:.6f}" for a, b in np.asarray(head().uv)]
        lines += ["usemtl skin", *(f"f {a}/{a} {b}/{b} {c}/{c}" for a, b, c in np.asarray(head().triangles) + 1)]
        folder = replica.root / "scans"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.obj").write_text("\n".join(lines) + "\n")
        (folder / f"{name}.mtl").write_text(f"newmtl skin\nKd 1 1 1\nmap_Kd textures\\{name}.png\n")
        write_image(folder / f"{name}.png", texture)
        subject, expression = name.split("_")
        write_ply(replica.registrations / subject / f"{expression}.ply", vertices, head().triangles)
    return replica


@functools.cache
def multiface_head():
    """The built-in head with as many vertices as Multiface's topology, the added ones on its first vertex."""
    added = MULTIFACE_VERTICES - head().vertex_count
    grown = lambda array: jnp.concatenate([array, jnp.broadcast_to(array[:1], (added, *array.shape[1:]))])
    regions = {name: jnp.concatenate([region, jnp.zeros(added, bool)]) for name, region in head().regions.items()}
    return dataclasses.replace(head(), template=grown(head().template), regions=regions, name="multiface")


MULTIFACE_VIEWS = {"400002": (0, 0), "400067": (50, -20), "400099": (0, 0)}
"""400099 has images but no calibration."""


def multiface(tmp_path, frames=("000102", "000105", "000108"), posed_obj=True) -> Replica:
    """One capture; images in the published size (1334 x 2048), of the first frame only."""
    replica = Replica(tmp_path / "m--20190529--1300--002421669--GHS")
    turn, shift = Rotation.from_euler("y", 30, degrees=True).as_matrix(), np.asarray([10.0, -5.0, 1000.0])
    segment = "EXP_ROM"
    meshes = replica.root / "tracked_mesh" / segment
    meshes.mkdir(parents=True)
    k = np.asarray([[5000.0, 0, 660.0], [0, 5010.0, 1030.0], [0, 0, 1]])
    krt = []
    template = 1000 * np.asarray(multiface_head().template, np.float64)
    for number, frame in enumerate(frames):
        unposed = (template + [0, number, 0]).astype("<f4")
        posed = unposed.astype(np.float64) @ turn.T + shift
        (meshes / f"{frame}.bin").write_bytes(unposed.tobytes())
        rows = [" ".join(f"{v:.9f}" for v in row) for row in np.c_[turn, shift]]
        (meshes / f"{frame}_transform.txt").write_text("\n".join(rows) + "\n")
        written = posed if posed_obj else unposed
        # The OBJ lacks the last vertices, as those of the data set may.
        lines = [f"v {x:.4f} {y:.4f} {z:.4f}" for x, y, z in written[: head().vertex_count]]
        (meshes / f"{frame}.obj").write_text("\n".join([*lines, "vt 0 0", "f 1/1 2/1 3/1"]) + "\n")
        for camera, angles in MULTIFACE_VIEWS.items():
            rotation, translation = look_at(*angles)
            rotation = rotation @ turn.T
            translation = 1000 * translation - rotation @ shift
            if not number and camera != "400099":
                pose = np.c_[rotation, translation]
                krt += [camera, *(" ".join(map(str, row)) for row in k), "0 0 0 0 0"]
                krt += [*(" ".join(map(str, row)) for row in pose), ""]
            pixels = source_pixels(rotation, translation, k, points=posed) + 0.5
            if not number:
                image = photograph(pixels, (1334, 2048))
                write_image(replica.root / "images" / segment / camera / f"{frame}.png", image)
            replica.truth[f"002421669/{replica.root.name}/{segment}/{camera}/{frame}"] = pixels
    (replica.root / "KRT").write_text("\n".join(krt))
    (replica.root / "frame_list.txt").write_text("".join(f"{segment} {frame}\n" for frame in frames))
    return replica
