"""The synthetic benchmark's methods: what each makes of a sequence, kept in files, and its scores.

network_lm, network_adamw: our network in every frame, then the fit of all frames with either solver. mediapipe_lm:
MediaPipe's points instead. mediapipe: MediaPipe's mesh alone, each picture by itself; smoothed over time by the
Gaussian filter where temporal information may be shared. network_single, mediapipe_single: the fit of each picture
by itself, identity and camera too. Cameras are never known to a method.
"""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np

from flowface_jax.aligners.detection import Detector
from flowface_jax.aligners.mediapipe import align_mediapipe, detect_faces
from flowface_jax.aligners.network import align_network
from flowface_jax.aligners.prediction import NetworkPredictor, load_predictor
from flowface_jax.aligners.registry import check_aligner, load_detector, resolve_aligner, weights_file
from flowface_jax.aligners.video import open_frames
from flowface_jax.alignment.alignment import Alignment, make_alignment
from flowface_jax.errors import InputError
from flowface_jax.evaluation.mesh_sequence import MeshSequence, Projected, sequence_of_track
from flowface_jax.evaluation.readers.mediapipe_points import triangles
from flowface_jax.evaluation.real_clips import MESH_POINTS
from flowface_jax.evaluation.reconstruction.chamfer import ChamferConfig
from flowface_jax.evaluation.reconstruction.key_points import head_key_points, vertex_key_points
from flowface_jax.evaluation.scoring.inputs import MEDIAPIPE_KEY_POINTS
from flowface_jax.evaluation.tracking_benchmark import (
    ScoreConfig,
    SequenceScores,
    lost_sequence,
    score_filtered,
    score_sequence,
)
from flowface_jax.fitting.fit import fit
from flowface_jax.fitting.track import RECORD, Track
from flowface_jax.heads.model import HeadModel
from flowface_jax.job_folders import ALIGNMENT_FILE
from flowface_jax.network.weights import load_weights
from flowface_jax.pipeline import TRACK_CONFIG, fit_alignment
from flowface_jax.storage import read_json, read_npz, write_json, write_npz
from flowface_jax.synthesis.sequences import FRAMES_PER_SECOND
from paper_tables.captures import Captured

NETWORK, MEDIAPIPE, ALONE = "network", "mediapipe", "points"
SINGLE, SEQUENCE = "single", "sequence"
"""The two halves of table 2: without and with temporal information sharing."""
_POINTS_FILE, _ABOUT_FILE = "points.npz", "aligned.json"
_TRACK_KIND = "a record of aligned frames"


@dataclasses.dataclass(frozen=True)
class Method:
    """aligner: NETWORK, MEDIAPIPE or ALONE. solver: of the fit, "" for none. halves: of table 2 it takes part in."""

    title: str
    aligner: str
    solver: str = ""
    halves: tuple[str, ...] = (SEQUENCE,)


METHODS = {
    "network_lm": Method("{network} + LM", NETWORK, "levenberg_marquardt"),
    "network_adamw": Method("{network} + AdamW", NETWORK, "adamw"),
    "mediapipe_lm": Method("MediaPipe + LM", MEDIAPIPE, "levenberg_marquardt"),
    "mediapipe": Method("MediaPipe", ALONE, "", (SINGLE, SEQUENCE)),
    "network_single": Method("{network} + LM", NETWORK, "levenberg_marquardt", (SINGLE,)),
    "mediapipe_single": Method("MediaPipe + LM", MEDIAPIPE, "levenberg_marquardt", (SINGLE,)),
}
SCORING = ScoreConfig(chamfer=ChamferConfig(stride=6))
"""Chamfer distances change slowly from frame to frame and take a second each."""
DEFAULT_METHODS = ("network_lm", "network_adamw", "mediapipe_lm", "mediapipe")


@dataclasses.dataclass(frozen=True)
class Setup:
    """head: the built-in one. scores: how errors are computed. network: ready for the head, or None where no method
    needs one. label: how it is called in files and tables. weights: SHA-256 of its file. parameters: how
    many numbers it has learned. detector: for its first frame.
    """

    head: HeadModel
    scores: ScoreConfig = SCORING
    network: NetworkPredictor | None = None
    label: str = NETWORK
    weights: str = ""
    parameters: int = 0
    detector: Detector | None = None

    def title(self, method: str) -> str:
        """The method's name in tables."""
        return METHODS[method].title.format(network=self.label)


def make_setup(head: HeadModel, aligner: str, detector: str, methods: Sequence[str], label: str | None = None) -> Setup:
    """What all methods need, checked. Raises InputError for unknown methods, and for a network that is not there where
    a method needs it.
    """
    unknown = [name for name in methods if name not in METHODS]
    if unknown or not methods:
        raise InputError(f"--methods: expected some of {', '.join(METHODS)}, found '{unknown[0] if unknown else ''}'")
    if not any(METHODS[name].aligner == NETWORK for name in methods):
        return Setup(head)
    aligner = resolve_aligner(aligner)
    file = None if aligner == MEDIAPIPE else weights_file(_checked(aligner, detector))
    if file is None:
        raise InputError(
            "--aligner: expected a network (a bundled one's name or its weights), found none; "
            "or choose --methods without one: mediapipe_lm,mediapipe"
        )
    network = load_predictor(file, head, name=Path(aligner).stem)
    checksum = hashlib.sha256(file.read_bytes()).hexdigest()
    learned = sum(np.size(leaf) for leaf in jax.tree.leaves(load_weights(file).variables["params"]))
    return Setup(head, SCORING, network, label or Path(aligner).stem, checksum, learned, load_detector(detector))


def _checked(aligner: str, detector: str) -> str:
    check_aligner(aligner, detector)
    return aligner


def scores_of(one: Captured, method: str, setup: Setup, half: str) -> SequenceScores:
    """The scores of a method on a sequence, from its file or else by running what is missing."""
    _check_weights(one, METHODS[method].aligner, setup)
    path = one.folder / "scores" / f"{_file_name(method, setup)}_{half}.json"
    if not path.is_file():
        for name, scores in _measured(one, method, setup).items():
            scores.save(path.with_name(f"{_file_name(method, setup)}_{name}.json"))
    return SequenceScores.load(path)


def _check_weights(one: Captured, aligner: str, setup: Setup) -> None:
    """Refuse what other weights of the same name left, in which scores would be mixed."""
    path = _aligned_folder(one, aligner, setup) / _ABOUT_FILE
    if aligner == NETWORK and path.is_file() and read_json(path, _TRACK_KIND).get("weights") != setup.weights:
        raise InputError(
            f"{path.parent} was made by other weights called '{setup.label}'; delete the folders and scores of that "
            "name, or name another --out"
        )


def milliseconds(one: Captured, method: str, setup: Setup) -> float:
    """What aligning took for each frame of a sequence, ms; NaN where that is not known."""
    path = _aligned_folder(one, METHODS[method].aligner, setup) / _ABOUT_FILE
    if not path.is_file():
        return float("nan")
    about = read_json(path, _TRACK_KIND)
    return 1e3 * about["seconds"] / max(1, about["frames"])


def reason_lost(one: Captured, method: str, setup: Setup) -> str:
    """Why nothing was found in a sequence; "" where something was."""
    path = _aligned_folder(one, METHODS[method].aligner, setup) / _ABOUT_FILE
    return str(read_json(path, _TRACK_KIND).get("lost", "")) if path.is_file() else ""


def tracked(one: Captured, method: str, setup: Setup) -> Track | None:
    """A fitted method's track of a sequence, from its folder or else made; None where no frame was aligned."""
    chosen = METHODS[method]
    folder = one.folder / _file_name(method, setup)
    if (folder / RECORD).is_file():
        return Track.load(folder)
    alignment = aligned(one, chosen.aligner, setup)
    if alignment is None:
        return None
    track = fit_alignment(alignment, setup.head, config=dataclasses.replace(TRACK_CONFIG, solver=chosen.solver))
    track.save(folder)
    return track


def aligned(one: Captured, aligner: str, setup: Setup) -> Alignment | None:
    """NETWORK's or MEDIAPIPE's alignment of a sequence, from its file or else made; None where it found nothing."""
    folder = _aligned_folder(one, aligner, setup)
    if (folder / _ABOUT_FILE).is_file():
        return Alignment.load(folder / ALIGNMENT_FILE) if (folder / ALIGNMENT_FILE).is_file() else None
    source = open_frames(one.frames, FRAMES_PER_SECOND)
    about: dict[str, object] = {"frames": source.info.frame_count, "weights": setup.weights}
    started = time.perf_counter()
    alignment = None
    try:
        if aligner == NETWORK:
            alignment = align_network([source], setup.network, setup.head, setup.detector)
        else:
            alignment = align_mediapipe([source])
        alignment.save(folder / ALIGNMENT_FILE)
    except InputError as error:
        # The pictures are ours and the network is ready: what is left is that no frame shows it a face.
        about["lost"] = str(error)
    write_json(folder / _ABOUT_FILE, about | {"seconds": time.perf_counter() - started})
    return alignment


def prediction_of(one: Captured, method: str, setup: Setup) -> MeshSequence | None:
    """What a method says of a sequence; None where it found nothing."""
    chosen = METHODS[method]
    if chosen.aligner == ALONE:
        points, size = _points(one, setup)
        return points_sequence(points, size, setup.head, one.name) if np.isfinite(points).any() else None
    if chosen.halves == (SINGLE,):
        alignment = aligned(one, chosen.aligner, setup)
        return None if alignment is None else fitted_singly(alignment, setup.head, one.name)
    track = tracked(one, method, setup)
    return None if track is None else sequence_of_track(track, setup.head, one.name)


def points_sequence(points: np.ndarray, size: tuple[int, int], head: HeadModel, name: str = "") -> MeshSequence:
    """MediaPipe's points [F,478,3] px, NaN in frames without a face, as a mesh in the image and a metric one.

    The metric mesh is the points as they are, without perspective (z is MediaPipe's, in pixels like x), scaled in each
    frame so that the outer corners of the eyes are as far apart as those of the mean built-in head. Its depth is weak;
    the motion error needs the image alone.
    """
    mesh = points[:, :MESH_POINTS].astype(np.float32)
    valid = np.isfinite(mesh).all((1, 2))
    seen = Projected(np.nan_to_num(mesh[..., :2]), np.nan_to_num(mesh[..., 2]), size)
    corners = np.asarray(head_key_points(head).of(head.template), np.float64)
    true_width = np.linalg.norm(corners[0] - corners[3])
    right, left = MEDIAPIPE_KEY_POINTS[0], MEDIAPIPE_KEY_POINTS[3]
    width = np.linalg.norm(mesh[:, right] - mesh[:, left], axis=-1)
    scale = np.where(valid, true_width / np.where(valid, width, 1.0), 0.0)
    solid = np.nan_to_num(mesh) * np.float32([1, -1, -1]) * scale[:, None, None]
    return MeshSequence(solid.astype(np.float32), triangles(), valid, {}, None, seen, FRAMES_PER_SECOND, name)


def fitted_singly(alignment: Alignment, head: HeadModel, name: str = "") -> MeshSequence:
    """Each frame of a single view fitted by itself, with its own identity and focal length, in camera coordinates."""
    frames = alignment.frame_count
    vertices = np.zeros((frames, head.vertex_count, 3), np.float32)
    pixels, depth = np.zeros((frames, head.vertex_count, 2), np.float32), np.ones(vertices.shape[:2], np.float32)
    for frame in np.flatnonzero(alignment.valid[0]):
        one = sequence_of_track(fit_frame(alignment, int(frame), head), head)
        vertices[frame], seen = one.vertices[0], one.projected()
        pixels[frame], depth[frame] = seen.pixels[0], seen.depth[0]
    size = tuple(int(side) for side in alignment.image_size[0])
    seen = Projected(pixels, depth, (size[0], size[1]))
    return MeshSequence(
        vertices, np.asarray(head.triangles), alignment.valid[0].copy(), {}, None, seen, FRAMES_PER_SECOND, name
    )


def fit_frame(alignment: Alignment, frame: int, head: HeadModel) -> Track:
    """The track of one frame alone."""
    return fit(frames_of(alignment, [frame]), head, config=dataclasses.replace(TRACK_CONFIG, error_bars=False))


def frames_of(alignment: Alignment, frames: Sequence[int]) -> Alignment:
    """The alignment of some of its frames."""
    chosen = list(frames)
    return make_alignment(
        mean=alignment.mean[:, chosen],
        std=alignment.std[:, chosen],
        valid=alignment.valid[:, chosen],
        image_size=alignment.image_size,
        point_set=alignment.point_set,
        vertex_ids=alignment.vertex_ids if alignment.point_set == "surface" else None,
        barycentric=alignment.barycentric if alignment.point_set == "surface" else None,
        frame_times=alignment.frame_times[chosen],
        frame_ids=alignment.frame_ids[chosen],
        camera_names=list(alignment.camera_names),
        source=alignment.source,
    )


def _measured(one: Captured, method: str, setup: Setup) -> dict[str, SequenceScores]:
    """Scores by half of table 2."""
    halves, truth = METHODS[method].halves, one.true_sequence(setup.head)
    prediction = prediction_of(one, method, setup)
    if prediction is None:
        return dict.fromkeys(halves, lost_sequence(truth))
    ours = head_key_points(setup.head)
    theirs = vertex_key_points(np.asarray(MEDIAPIPE_KEY_POINTS)) if METHODS[method].aligner == ALONE else ours
    scores = score_sequence(prediction, truth, theirs, ours, setup.scores)
    if halves == (SINGLE, SEQUENCE):
        return {SINGLE: scores, SEQUENCE: score_filtered(scores, prediction, truth, setup.scores)}
    return {halves[0]: scores}


def _points(one: Captured, setup: Setup) -> tuple[np.ndarray, tuple[int, int]]:
    """MediaPipe's points [F,478,3] px of the largest face of each picture by itself, NaN where none was found."""
    folder = _aligned_folder(one, ALONE, setup)
    source = open_frames(one.frames, FRAMES_PER_SECOND)
    if not (folder / _ABOUT_FILE).is_file():
        started = time.perf_counter()
        frames = [_largest(faces) for _, faces in detect_faces(source, static=True)]
        write_npz(folder / _POINTS_FILE, {"points_px": np.stack(frames)})
        write_json(folder / _ABOUT_FILE, {"frames": len(frames), "seconds": time.perf_counter() - started})
    points = read_npz(folder / _POINTS_FILE, "MediaPipe's points", ("points_px",))["points_px"]
    return points, (int(source.info.size[0]), int(source.info.size[1]))


def _largest(faces: np.ndarray) -> np.ndarray:
    if not len(faces):
        return np.full(faces.shape[1:], np.nan, np.float32)
    return faces[np.ptp(faces[..., :2], axis=1).prod(-1).argmax()]


def _aligned_folder(one: Captured, aligner: str, setup: Setup) -> Path:
    return one.folder / {NETWORK: setup.label, MEDIAPIPE: "mediapipe", ALONE: "mediapipe_points"}[aligner]


def _file_name(method: str, setup: Setup) -> str:
    """Of a method's track and scores: with the network's name where it uses one."""
    return method.replace(NETWORK, setup.label) if METHODS[method].aligner == NETWORK else method
