"""The paper's table 1: single-image reconstruction on the FaceScape benchmark's lab images.

    python experiments/table1.py --facescape BENCHMARK --predictions Ours=RUNS/ours HRN=RUNS/hrn
    python experiments/table1.py --synthetic output/benchmark

BENCHMARK is FaceScape's `benchmark` folder. RUNS/NAME holds for each image NN_F_VV a mesh NN_F_VV.obj (mm, in the
image's OpenCV camera) or a folder NN_F_VV of `flowface track --focal …`. Without data: single frames of the synthetic
captures, fitted with the true focal length (as the benchmark gives it), against their true meshes.

What the paper used and we do not have: its predictions and its network. The published means are those of the lab
split, images without a prediction left out; whether the paper's own row left any out is not stated.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from paper_tables.captures import Captured, filmed
from paper_tables.methods import frames_of
from paper_tables.output import add_output, apart, beside, named_paths, run, write_tables

from flowface_jax.alignment.alignment import Alignment
from flowface_jax.cameras.model import make_cameras
from flowface_jax.errors import InputError
from flowface_jax.evaluation import published
from flowface_jax.evaluation.mesh_sequence import sequence_of_track
from flowface_jax.evaluation.readers import open_sequence
from flowface_jax.evaluation.reconstruction.facescape import (
    FacescapeErrors,
    LabView,
    Mesh,
    facescape_errors,
    mesh_in_camera,
    summarise_facescape,
)
from flowface_jax.evaluation.reconstruction.facescape_files import lab_images, read_lab_truth
from flowface_jax.evaluation.tables import Column, Row
from flowface_jax.fitting.fit import fit
from flowface_jax.fitting.track import Track
from flowface_jax.heads.generic import generic_head
from flowface_jax.heads.model import HeadModel
from flowface_jax.heads.obj import read_obj
from flowface_jax.job_folders import ALIGNMENT_FILE
from flowface_jax.pipeline import TRACK_CONFIG

EXTRA = (Column("completeness", "%", "higher", 1), Column("missing", "%", "lower", 1))
LAB_PX = 256
"""Side of the lab's pictures, whose pixels `LabView` counts in."""


def main() -> None:
    """Measure and write the table."""
    options = _options()
    if options.facescape is None:
        rows = synthetic_rows(filmed(options.synthetic), options.frames, generic_head())
        note = f"single frames of synthetic captures of {options.synthetic}, known focal length"
        tables = apart(published.FACESCAPE, "FaceScape's measures on synthetic captures", rows, (note,), EXTRA)
    else:
        folders = named_paths(options.predictions, "--predictions")
        if not folders:
            raise InputError("--predictions: expected NAME=FOLDER of each method, found none")
        rows = [_row(name, list(_lab_errors(options, folder))) for name, folder in folders.items()]
        tables = beside(published.FACESCAPE, rows, (), EXTRA)
    print(write_tables(options.out, "table1", tables))


def synthetic_rows(sequences: Sequence[Captured], frames: int, head: HeadModel) -> list[Row]:
    """A row for everything that aligned a sequence, from `frames` single frames of each."""
    errors: dict[str, list[FacescapeErrors | None]] = {}
    for one in sequences:
        truth = one.truth()
        for path in sorted(one.folder.glob(f"*/{ALIGNMENT_FILE}")):
            if path.parent.name != "truth":
                found = _frame_errors(Alignment.load(path), truth, frames, head)
                errors.setdefault(path.parent.name, []).extend(found)
    return [_row(f"{name} + LM", found) for name, found in sorted(errors.items())]


def true_face(truth: Track, head: HeadModel, frame: int) -> Mesh:
    """The true mesh of a frame, mm in its camera, cut to face and ears: the benchmark's scans are faces."""
    vertices, triangles = mesh_in_camera(sequence_of_track(_frame(truth, frame), head))
    kept = np.asarray(head.regions["face"]) | np.asarray(head.regions["ears"])
    return vertices, triangles[kept[triangles].all(1)]


def lab_view(truth: Track, head: HeadModel, frame: int) -> LabView:
    """What the lab's files say of a picture, of a frame before the truth's first camera."""
    cameras = truth.cameras
    scale = LAB_PX / int(cameras.image_size[0, 0])
    x, y = np.asarray(cameras.principal_point, np.float64)[0] * scale
    focal = float(cameras.focal[0]) * scale
    intrinsics = np.asarray([[focal, 0, x], [0, focal, y], [0, 0, 1]])
    vertices, _ = mesh_in_camera(sequence_of_track(_frame(truth, frame), head))
    # The mean of the ears lies on the axis about which the benchmark unrolls a head.
    centre = vertices[np.asarray(head.regions["ears"])].mean(0)
    local = np.asarray(truth.local_vertices(head, frame), np.float64)
    return LabView(intrinsics, centre, _rotation(local, vertices))


def _frame_errors(alignment: Alignment, truth: Track, frames: int, head: HeadModel) -> Iterator[FacescapeErrors | None]:
    for frame in np.unique(np.linspace(0, alignment.frame_count - 1, frames + 2).round().astype(int)[1:-1]):
        if not alignment.valid[0, frame]:
            yield None
            continue
        known = truth.cameras
        camera = make_cameras(
            known.focal,
            known.principal_point,
            np.eye(3)[None],
            np.zeros((1, 3)),
            known.image_size,
            alignment.camera_names,
        )
        config = dataclasses.replace(TRACK_CONFIG, error_bars=False)
        track = fit(frames_of(alignment, [int(frame)]), head, camera, config)
        mesh = mesh_in_camera(sequence_of_track(track, head))
        true = true_face(truth, head, int(frame))
        yield facescape_errors(mesh, true, lab_view(truth, head, int(frame)))


def _frame(track: Track, frame: int) -> Track:
    """A track of one of its frames."""
    per_frame = ("expression", "joint_rotations", "head_rotation", "head_translation", "frame_times", "frame_ids")
    per_camera = ("observed", "residual_px", "residual_p90_px", "face_width_px")
    cut = {name: getattr(track, name)[frame : frame + 1] for name in per_frame}
    return dataclasses.replace(
        track, **cut, **{name: getattr(track, name)[:, frame : frame + 1] for name in per_camera}
    )


def _rotation(local: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """The rotation [3,3] that takes a head's own axes to a camera's."""
    u, _, vt = np.linalg.svd((seen - seen.mean(0)).T @ (local - local.mean(0)))
    return u @ np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))]) @ vt


def _lab_errors(options: argparse.Namespace, folder: Path) -> Iterator[FacescapeErrors | None]:
    for image in lab_images():
        prediction = _lab_prediction(folder, image.name, options.head)
        if prediction is None:
            yield None
        else:
            true, view = read_lab_truth(options.facescape, image)
            yield facescape_errors(prediction, true, view)


def _lab_prediction(folder: Path, name: str, head: str) -> Mesh | None:
    if (folder / f"{name}.obj").is_file():
        mesh = read_obj(folder / f"{name}.obj")
        return mesh.vertices, mesh.triangles
    if (folder / name).exists():
        return mesh_in_camera(open_sequence(folder / name, head=head))
    return None


def _row(name: str, errors: Sequence[FacescapeErrors | None]) -> Row:
    found = summarise_facescape(errors)
    missing = 100 * found.missing / len(errors)
    return Row(name, (found.chamfer, found.normal, 100 * found.completeness, missing))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--facescape", type=Path, metavar="DIR", help="FaceScape's benchmark folder")
    parser.add_argument("--predictions", nargs="+", default=[], metavar="NAME=DIR", help="what each method wrote")
    parser.add_argument("--head", default="generic", help="head of flowface tracks")
    parser.add_argument("--frames", type=int, default=2, help="single frames of each synthetic sequence")
    add_output(parser, "table1")
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
