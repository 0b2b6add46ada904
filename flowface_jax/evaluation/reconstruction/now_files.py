"""NoW's folders: its lists and scans, the folder that is submitted, and the error of a whole submission.

Scans and landmarks: `scans/SUBJECT/*.obj` and `scans_lmks_onlypp/SUBJECT/*.pp`, both mm. Images are named in a list,
one a line, SUBJECT/CHALLENGE/IMG_nnnn.jpg at its end. A submission holds, for every image of the list,
SUBJECT/CHALLENGE/IMG_nnnn.obj (or .ply) with vertices and triangles alone, and landmarks of the same name in .npy (or
.txt); the test set's numbers come only from handing such a folder in.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import jax.numpy as jnp
import numpy as np

from flowface_jax.errors import InputError
from flowface_jax.evaluation.reconstruction.key_points import head_key_points, place_key_points, read_key_points
from flowface_jax.evaluation.reconstruction.now import (
    MILLIMETRES,
    NowError,
    NowSummary,
    Scan,
    Unit,
    now_error,
    remove_flat_triangles,
    summarise_now,
)
from flowface_jax.evaluation.reconstruction.surface import checked_mesh, checked_points
from flowface_jax.heads.model import HeadModel
from flowface_jax.heads.model import vertices as head_vertices
from flowface_jax.heads.obj import read_obj
from flowface_jax.heads.ply import read_ply
from flowface_jax.storage import require_file, write_bytes

CHALLENGES = ("multiview_neutral", "multiview_expressions", "multiview_occlusions", "selfie")
LISTS = {"validation": "imagepathsvalidation.txt", "test": "imagepathstest.txt"}
Pooling = Literal["subject", "challenge"]


class NowImage(NamedTuple):
    """One image of the benchmark: its subject, its challenge, its name without ending."""

    subject: str
    challenge: str
    name: str

    def path(self, folder: str | os.PathLike[str], ending: str) -> Path:
        """Where a file of this image lies in a folder laid out as the benchmark's."""
        return Path(folder) / self.subject / self.challenge / f"{self.name}{ending}"


class Prediction(NamedTuple):
    """A neutral face for an image: vertices [V,3] and landmarks [7,3] in one unit, triangles [T,3]."""

    vertices: np.ndarray
    triangles: np.ndarray
    landmarks: np.ndarray


class NowResult(NamedTuple):
    """The error of each measured image, those without a prediction, and the numbers over all and by challenge."""

    errors: Mapping[NowImage, NowError]
    missing: tuple[NowImage, ...]
    summary: NowSummary
    by_challenge: Mapping[str, NowSummary]


def read_image_list(path: str | os.PathLike[str]) -> list[NowImage]:
    """The images of a list, in its order. Raises InputError for lines that are no SUBJECT/CHALLENGE/IMAGE."""
    path = require_file(path, "a list of NoW images")
    images = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        parts = line.strip().replace("\\", "/").split("/")
        if parts == [""]:
            continue
        if len(parts) < 3 or parts[-2] not in CHALLENGES:
            raise InputError(f"{path} line {number}: expected SUBJECT/CHALLENGE/IMAGE.jpg, found {line.strip()[:60]!r}")
        images.append(NowImage(parts[-3], parts[-2], Path(parts[-1]).stem))
    if not images:
        raise InputError(f"{path}: expected a list of NoW images, found none")
    return images


def neutral_face(head: HeadModel, identity: np.ndarray, offsets: np.ndarray | None = None) -> Prediction:
    """What is submitted for a track: its head without expression and at rest, m, and the seven landmarks on it.

    identity: [≤S]. offsets: [V,3] m, or None.
    """
    vertices = np.asarray(
        head_vertices(
            head,
            jnp.asarray(identity),
            jnp.zeros(head.expression_size),
            offsets=None if offsets is None else jnp.asarray(offsets),
        ),
        np.float64,
    )
    return Prediction(
        vertices, np.asarray(head.triangles), place_key_points(head_key_points(head), vertices[None], head.name)[0]
    )


def joint_groups(images: Iterable[NowImage], pooling: Pooling = "subject") -> dict[str, list[NowImage]]:
    """The images that are fitted together, with one shared face, for the multi-view numbers.

    The publications that report them do not say which images they pool: all of a subject ("subject"), or those of
    each of its challenges ("challenge"); state which. Each image of a group is then given the group's mesh.
    """
    if pooling not in ("subject", "challenge"):
        raise InputError(f"expected to pool images by subject or challenge, found '{pooling}'")
    groups: dict[str, list[NowImage]] = {}
    for image in images:
        key = image.subject if pooling == "subject" else f"{image.subject}/{image.challenge}"
        groups.setdefault(key, []).append(image)
    return groups


def write_submission(
    folder: str | os.PathLike[str], images: Sequence[NowImage], predict: Callable[[NowImage], Prediction]
) -> None:
    """Write a prediction for every image of the list, as the benchmark wants it: .obj and .npy.

    predict: gives each image's prediction; for joint fits the same one for all images of a group. The unit is the
    prediction's own. Raises InputError for a prediction with NaN or wrong shapes.
    """
    for image in images:
        vertices, triangles, landmarks = predict(image)
        vertices, triangles = checked_mesh(vertices, triangles, "/".join(image))
        checked_points(vertices, f"{'/'.join(image)}: vertices")
        landmarks = checked_points(landmarks, f"{'/'.join(image)}: landmarks")
        if landmarks.shape != (7, 3):
            raise InputError(f"{'/'.join(image)}: expected landmarks [7,3], found {list(landmarks.shape)}")
        write_bytes(image.path(folder, ".obj"), obj_bytes(vertices, triangles))
        buffer = io.BytesIO()
        np.lib.format.write_array(buffer, landmarks.astype(np.float32), allow_pickle=False)
        write_bytes(image.path(folder, ".npy"), buffer.getvalue())


def obj_bytes(vertices: np.ndarray, triangles: np.ndarray) -> bytes:
    """A Wavefront OBJ of vertices [V,3] and triangles [T,3] (from 0) and nothing else."""
    lines = [f"v {row[0]:.9g} {row[1]:.9g} {row[2]:.9g}" for row in vertices.tolist()]
    lines += [f"f {row[0]} {row[1]} {row[2]}" for row in (triangles + 1).tolist()]
    return ("\n".join(lines) + "\n").encode("ascii")


def read_prediction(folder: str | os.PathLike[str], image: NowImage) -> Prediction | None:
    """What a submission holds for an image; None where mesh or landmarks are absent. .obj and .npy come first."""
    meshes = [path for path in (image.path(folder, e) for e in (".obj", ".ply")) if path.is_file()]
    points = [path for path in (image.path(folder, e) for e in (".npy", ".txt")) if path.is_file()]
    if not meshes or not points:
        return None
    mesh = read_obj(meshes[0]) if meshes[0].suffix == ".obj" else read_ply(meshes[0])
    return Prediction(mesh.vertices, mesh.triangles, read_key_points(points[0]))


def read_scan(folder: str | os.PathLike[str], subject: str) -> Scan:
    """A subject's scan and its landmarks, mm, from `scans` and `scans_lmks_onlypp` of the benchmark's folder."""
    found = []
    for part, ending in (("scans", "*.obj"), ("scans_lmks_onlypp", "*.pp")):
        files = sorted((Path(folder) / part / subject).glob(ending))
        if not files:
            raise InputError(
                f"expected {part}/{subject}/{ending} in {folder}, found none; unpack the NoW evaluation data"
            )
        found.append(files[0])
    return Scan(read_obj(found[0]).vertices, read_key_points(found[1]))


def evaluate_now(
    data: str | os.PathLike[str],
    submission: str | os.PathLike[str],
    images: Sequence[NowImage] | None = None,
    metrical_unit: Unit | None = None,
    without_flat_triangles: bool = False,
) -> NowResult:
    """The error of a submission on the scans that are at hand (the validation set).

    data: the evaluation folder. images: None for its validation list. metrical_unit: unit of the submission, for the
    metrical challenge. Raises InputError where data is not there, files are damaged, or nothing was predicted.
    """
    if metrical_unit is not None and metrical_unit not in MILLIMETRES:
        raise InputError(f"expected a unit of {', '.join(MILLIMETRES)}, found '{metrical_unit}'")
    if images is None:
        images = read_image_list(Path(data) / LISTS["validation"])
    scans: dict[str, Scan] = {}
    errors: dict[NowImage, NowError] = {}
    missing = []
    for image in images:
        prediction = read_prediction(submission, image)
        if prediction is None:
            missing.append(image)
            continue
        if image.subject not in scans:
            scans = {image.subject: read_scan(data, image.subject)}
        vertices, triangles, landmarks = prediction
        if without_flat_triangles:
            triangles = remove_flat_triangles(vertices, triangles)
        try:
            errors[image] = now_error(vertices, triangles, landmarks, scans[image.subject], metrical_unit)
        except InputError as error:
            raise InputError(f"{'/'.join(image)}: {error}") from None
    summary = summarise_now(list(errors.values()), len(missing))
    return NowResult(errors, tuple(missing), summary, _by_challenge(errors, missing))


def _by_challenge(errors: Mapping[NowImage, NowError], missing: Sequence[NowImage]) -> dict[str, NowSummary]:
    numbers = {}
    for challenge in CHALLENGES:
        found = [error for image, error in errors.items() if image.challenge == challenge]
        if found:
            numbers[challenge] = summarise_now(found, sum(image.challenge == challenge for image in missing))
    return numbers
