"""What the tracker says of pictures that are hard, or show no face at all: a sheet to look at.

    python experiments/bundled/hard_cases.py --weights runs/nano/network.safetensors --clips CLIPS \
        --samples runs/captures/validation --out output/hard

Every picture goes through what `flowface track` does with an image: MediaPipe's detector, the network, the fit and its
verdict. Below each is the answer, or why it was refused; and what the network says when it is shown the place
directly, whatever the detector found. The profile is the most turned of --samples, or rendered (minutes) without them.
The animal is a drawing, as no photograph of one is at hand.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
from pathlib import Path

import cv2
import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.aligners import open_frames
from flowface_jax.aligners.cropping import crop_image, face_square
from flowface_jax.aligners.detection import Detector
from flowface_jax.aligners.mediapipe import mediapipe_detector
from flowface_jax.aligners.network import align_network, is_sure
from flowface_jax.aligners.prediction import Predictor, load_predictor
from flowface_jax.compilation import keep_compilations
from flowface_jax.errors import InputError
from flowface_jax.evaluation.alignment_accuracy import box_side, on_surface
from flowface_jax.evaluation.alignment_pictures import below, draw_captions, draw_contours, draw_points, std_colours
from flowface_jax.evaluation.labelled_crops import turn_degrees
from flowface_jax.heads.model import HeadModel
from flowface_jax.heads.source import load_head
from flowface_jax.pipeline import TRACK_CONFIG, fit_alignment
from flowface_jax.storage import write_bytes, write_json
from flowface_jax.synthesis.image.backgrounds import build_background
from flowface_jax.synthesis.image.obstacles import sample_occluders
from flowface_jax.synthesis.image.occluders import Occluders, apply_occluders
from flowface_jax.synthesis.image.settings import sample_background
from flowface_jax.synthesis.randomness import random_key
from flowface_jax.training.archive import open_archive
from flowface_jax.viewing.colours import WARNING
from flowface_jax.viewing.tiling import contact_sheet

SIDE = 512
"""Px of the pictures that are drawn."""
CELL = 480
SMALL_FACE = 40
STD_LIMIT = 0.04
"""Of the box: the σ that is drawn red."""
HAND_STICKS = 14
"""A hand has so many sticks, the forearm last; things have fewer."""
EMPTY_ROOM = 8
"""Seed of a background without a person in it."""
SEARCHED = 400
"""Samples that are looked through for a profile."""


@dataclasses.dataclass(frozen=True)
class Case:
    """A picture [H,W,3] and where in it the face is, or what might be taken for one: box [4] px."""

    name: str
    image: np.ndarray
    box: np.ndarray


@dataclasses.dataclass(frozen=True)
class Answer:
    """What came of a picture. mean: [V,2] px and std: [V] px, or None. says: of the tracker; direct: of the network."""

    case: Case
    mean: np.ndarray | None
    std: np.ndarray | None
    says: str
    direct: str


def main() -> None:
    """Make the pictures, ask, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, required=True, help="trained network (.safetensors)")
    parser.add_argument("--head", default="generic", help="head as for flowface track --head")
    parser.add_argument("--clips", type=Path, required=True, help="folder with .mp4 files")
    parser.add_argument("--names", nargs=2, default=["d10", "d14"], help="the two clips that faces are taken from")
    parser.add_argument("--samples", type=Path, default=None, help="folder of samples to take a profile from")
    parser.add_argument("--no-fits", action="store_true", help="do not fit the head")
    parser.add_argument("--out", type=Path, required=True, help="folder for the sheet and the pictures")
    options = parser.parse_args()
    keep_compilations()
    head = load_head(options.head)
    predictor, detector = load_predictor(options.weights, head), mediapipe_detector()
    first, second = (_first_face(options.clips / f"{name}.mp4", detector) for name in options.names)
    cases = [*cases_of(first, second), _profile(options.samples, head)]
    found = [ask(case, predictor, head, detector, options.out / "pictures", not options.no_fits) for case in cases]
    write_sheet(found, head, options.out)
    for answer in found:
        print(f"{answer.case.name}: {answer.says} [{answer.direct}]")


def ask(case: Case, predictor: Predictor, head: HeadModel, detector: Detector, folder: Path, fit: bool) -> Answer:
    """The picture, written into the folder, through the tracker, and its place through the network alone."""
    path = folder / f"{re.sub('[^a-z0-9]+', '_', case.name.lower()).strip('_')}.png"
    _write_image(path, case.image)
    direct = _ask_directly(case, predictor, head)
    try:
        alignment = align_network([open_frames(path)], predictor, head, detector)
    except InputError as error:
        return Answer(case, None, None, f"flagged: {error}", direct)
    mean, std = alignment.mean[0, 0], alignment.std[0, 0]
    sigma = np.median(std[_face(head)]) / box_side(mean[_face(head)])
    says = f"followed, median σ {100 * sigma:.1f} % of the box"
    if fit:
        track = fit_alignment(alignment, head, config=dataclasses.replace(TRACK_CONFIG, error_bars=False))
        flags = [reason for flag in track.summary["flags"] for reason in flag["reasons"]]
        residual = track.summary["residual"]["median_percent_of_face_width"]
        says += f"; fit: {track.verdict}, residual {residual:.1f} %"
        says += "; flagged: " + "; ".join(flags) if flags else "; no flag"
    return Answer(case, mean, std, says, direct)


def _ask_directly(case: Case, predictor: Predictor, head: HeadModel) -> str:
    face = np.flatnonzero(_face(head))
    crop = crop_image(case.image, face_square(case.box), predictor.image_size)
    found = predictor.start(crop[None])()
    presence = None if found.presence is None else float(found.presence[0])
    sure = is_sure(found.mean[0], found.std[0], face, presence, predictor.image_size)
    share = np.median(found.std[0, face]) / box_side(found.mean[0, face])
    told = "" if presence is None else f", face with {100 * presence:.0f} %"
    return f"shown directly: {'sure' if sure else 'not sure'}, σ {100 * share:.1f} %{told}"


def write_sheet(found: list[Answer], head: HeadModel, out: Path) -> None:
    """hard_cases.png, points coloured by σ, and hard_cases.json."""
    cells = []
    for answer in found:
        image, scale = _fitted(answer.case.image)
        if answer.mean is not None and answer.std is not None:
            mean, std = answer.mean[_face(head)], answer.std[_face(head)]
            radius = float(np.clip(box_side(mean) * scale / 300, 0.6, 1.2))
            draw_points(image, mean * scale, std_colours(std, float(box_side(mean)), STD_LIMIT), radius)
            draw_contours(image, on_surface(answer.mean, head.mediapipe) * scale, (255, 255, 255))
        else:
            cv2.rectangle(image, (0, 0), (image.shape[1] - 1, image.shape[0] - 1), WARNING, 8)
        draw_captions(image, [answer.case.name], top=True)
        cells.append(below(_squared(image), [answer.says, answer.direct]))
    _write_image(out / "hard_cases.png", contact_sheet(cells, columns=5, cell_width=CELL))
    rows = [{"case": a.case.name, "tracker": a.says, "network": a.direct} for a in found]
    write_json(out / "hard_cases.json", rows)


# --- the pictures -----------------------------------------------------------------------------------------------------


def cases_of(face: Case, other: Case) -> list[Case]:
    """Hard pictures made from two faces, and drawings."""
    image, box = face.image, face.box
    height, width = image.shape[:2]
    cases = [
        dataclasses.replace(face, name="as it is"),
        Case("upside down", image[::-1, ::-1].copy(), np.asarray([width, height, width, height]) - box[[2, 3, 0, 1]]),
        Case("turned by 90 degrees", np.rot90(image).copy(), _turned(box, width)),
        _half_out(face),
        *(_occluded(face, kind) for kind in ("hand", "shape", "see-through shape")),
        _small(face),
        _dark(face),
        _two(face, other),
        _cartoon(face),
        _smiley(),
        _animal(),
        _background(),
    ]
    return cases


def _turned(box: np.ndarray, width: int) -> np.ndarray:
    """The box after a quarter turn against the clock."""
    left, top, right, bottom = box
    return np.asarray([top, width - right, bottom, width - left])


def _half_out(face: Case) -> Case:
    """The left half of the face's box is beyond the picture."""
    middle = round(float(face.box[0] + face.box[2]) / 2)
    return Case("half out of the frame", face.image[:, middle:].copy(), face.box - [middle, 0, middle, 0])


def _occluded(face: Case, kind: str) -> Case:
    """Behind a hand or a random shape of the training's own occluders: the first drawn that hides a fair part."""
    left, top, right, bottom = np.clip(face.box, 0, None).astype(int)
    linear = (face.image.astype(np.float32) / 255) ** 2.2
    for seed in range(200):
        drawn = _sample_occluders(random_key(seed), jnp.asarray(face.box, jnp.float32))
        opacity = np.asarray(drawn.shapes.opacity)
        clear = ((opacity > 0) & (opacity < 1)).any()
        forearm = np.asarray(drawn.sticks.radii)[HAND_STICKS - 1, 0] > 0
        wanted = {
            "hand": forearm and not opacity.any(),
            "shape": (opacity == 1).any() and not clear,
            "see-through shape": _large_and_clear(drawn, face.box),
        }
        if not wanted[kind]:
            continue
        hidden_picture, hidden = _apply_occluders(jnp.asarray(linear), _alone(drawn, kind == "hand"))
        share = float(np.asarray(hidden)[top:bottom, left:right].mean())
        if kind == "see-through shape" or 0.2 < share < 0.6:
            picture = np.clip(np.asarray(hidden_picture), 0, 1) ** (1 / 2.2)
            return Case(f"behind a {kind}", np.rint(255 * picture).astype(np.uint8), face.box)
    raise InputError(f"no occluder of the kind '{kind}' hides enough of the face")


def _large_and_clear(drawn: Occluders, box: np.ndarray) -> bool:
    """Whether there is one shape alone, across half the face and hiding half of the light or more."""
    opacity, radius = np.asarray(drawn.shapes.opacity), np.asarray(drawn.shapes.radius)
    fitting = (opacity >= 0.5) & (opacity < 1) & (radius > 0.25 * float((box[2:] - box[:2]).max()))
    return bool(fitting.any() and (fitting == (opacity > 0)).all())


_sample_occluders = jax.jit(lambda key, box: sample_occluders(key, box, probability=1.0))
_apply_occluders = jax.jit(apply_occluders)


def _alone(drawn: Occluders, hand: bool) -> Occluders:
    """Only the hand or only the shapes."""
    shapes = dataclasses.replace(drawn.shapes, opacity=drawn.shapes.opacity * (not hand))
    return Occluders(shapes, dataclasses.replace(drawn.sticks, radii=drawn.sticks.radii * hand))


def _small(face: Case) -> Case:
    """A face of 40 px in a large picture."""
    scale = SMALL_FACE / float((face.box[2:] - face.box[:2]).max())
    size = [max(2, round(side * scale)) for side in face.image.shape[1::-1]]
    ground = cv2.GaussianBlur(cv2.resize(face.image, (SIDE, SIDE), interpolation=cv2.INTER_AREA), (0, 0), 40)
    left, top = 300, 180
    ground[top : top + size[1], left : left + size[0]] = cv2.resize(face.image, size, interpolation=cv2.INTER_AREA)
    return Case(f"{SMALL_FACE} px small", ground, face.box * scale + [left, top, left, top])


def _dark(face: Case) -> Case:
    """Underexposed by four stops, with noise."""
    linear = (face.image / 255.0) ** 2.2 / 16 + np.random.default_rng(0).normal(0, 0.004, face.image.shape)
    return Case("dark and noisy", np.rint(255 * np.clip(linear, 0, 1) ** (1 / 2.2)).astype(np.uint8), face.box)


def _two(face: Case, other: Case) -> Case:
    """Two people side by side; the larger face is asked for."""
    height, width = face.image.shape[:2]
    scale = height / other.image.shape[0]
    both = [face.image, cv2.resize(other.image, (round(other.image.shape[1] * scale), height))]
    boxes = [face.box, other.box * scale + [width, 0, width, 0]]
    larger = max(boxes, key=lambda box: float(np.prod(box[2:] - box[:2])))
    return Case("two faces", np.concatenate(both, axis=1), larger)


def _cartoon(face: Case) -> Case:
    """Few colours and dark outlines."""
    smooth = face.image
    for _ in range(5):
        smooth = cv2.bilateralFilter(smooth, 9, 60, 7)
    flat = (smooth // 48) * 48 + 24
    grey = cv2.medianBlur(cv2.cvtColor(face.image, cv2.COLOR_RGB2GRAY), 5)
    lines = cv2.adaptiveThreshold(grey, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY, 11, 4)
    return Case("as a cartoon", np.where(lines[..., None] > 0, flat, 20).astype(np.uint8), face.box)


def _smiley() -> Case:
    picture = np.full((SIDE, SIDE, 3), (120, 160, 200), np.uint8)
    cv2.circle(picture, (256, 256), 170, (250, 210, 60), -1, cv2.LINE_AA)
    for x in (195, 317):
        cv2.ellipse(picture, (x, 205), (18, 30), 0, 0, 360, (40, 30, 20), -1, cv2.LINE_AA)
    cv2.ellipse(picture, (256, 280), (95, 75), 0, 15, 165, (40, 30, 20), 12, cv2.LINE_AA)
    return Case("a drawn smiley", picture, np.asarray([86.0, 86, 426, 426]))


def _animal() -> Case:
    """A cat's head, drawn: ears, eyes with slits, nose, whiskers."""
    picture = np.full((SIDE, SIDE, 3), (110, 140, 90), np.uint8)
    fur, dark = (190, 140, 90), (50, 35, 25)
    for sign in (-1, 1):
        ear = np.asarray([[256 + sign * 60, 130], [256 + sign * 150, 40], [256 + sign * 165, 210]])
        cv2.fillPoly(picture, [ear], fur, cv2.LINE_AA)
        inner = (ear + [256 + sign * 125, 150]) // 2
        cv2.fillPoly(picture, [inner], (220, 160, 150), cv2.LINE_AA)
    cv2.ellipse(picture, (256, 270), (175, 155), 0, 0, 360, fur, -1, cv2.LINE_AA)
    for sign in (-1, 1):
        centre = (256 + sign * 75, 240)
        cv2.ellipse(picture, centre, (40, 30), 0, 0, 360, (170, 200, 70), -1, cv2.LINE_AA)
        cv2.ellipse(picture, centre, (9, 29), 0, 0, 360, dark, -1, cv2.LINE_AA)
        cv2.ellipse(picture, (256 + sign * 32, 350), (34, 26), 0, 0, 180, dark, 4, cv2.LINE_AA)
        for k in range(3):
            ends = (256 + sign * 60, 325 + 12 * k), (256 + sign * 205, 295 + 32 * k)
            cv2.line(picture, *ends, (240, 235, 225), 2, cv2.LINE_AA)
    cv2.fillPoly(picture, [np.asarray([[232, 305], [280, 305], [256, 332]])], (200, 110, 110), cv2.LINE_AA)
    return Case("an animal (drawn)", picture, np.asarray([81.0, 115, 431, 425]))


def _background() -> Case:
    room = np.asarray(build_background(sample_background(random_key(EMPTY_ROOM)), SIDE))
    picture = np.rint(255 * np.clip(room, 0, 1) ** (1 / 2.2)).astype(np.uint8)
    return Case("no face", picture, np.asarray([120.0, 100, 400, 420]))


def _profile(samples: Path | None, head: HeadModel) -> Case:
    """The most turned face of samples, or a rendered one, not beyond a right angle."""
    if samples is None:
        return _rendered_profile(head)
    archive = open_archive(samples)
    turns = []
    for index in range(min(SEARCHED, len(archive))):
        sample = archive[index]
        turns.append(abs(turn_degrees(on_surface(sample.points, head.mediapipe), head)))
    sample = archive[int(np.argmax(turns))]
    return Case(f"profile (rendered, {max(turns):.0f} degrees)", sample.image, np.asarray(sample.face_box, np.float64))


def _rendered_profile(head: HeadModel) -> Case:
    from flowface_jax.synthesis.assets import make_render_assets
    from flowface_jax.synthesis.crops import crops, sample_sitting

    assets = make_render_assets(head)
    keys = jax.vmap(lambda index: jax.random.fold_in(random_key(0), index))(jnp.arange(SEARCHED, dtype=jnp.uint32))
    angles = np.degrees(np.asarray(jax.vmap(lambda key: sample_sitting(key, assets).pose.angles)(keys)))
    index = int(np.argmax(np.where(np.abs(angles[:, 1:]).max(1) < 15, np.abs(angles[:, 0]), 0)))
    picture = crops(assets, 0, index, 1, size=384, margin=1.8)
    image = np.rint(255 * np.asarray(picture.image[0])).astype(np.uint8)
    box = np.asarray(picture.truth.face_box[0], np.float64)
    return Case(f"profile (rendered, {abs(angles[index, 0]):.0f} degrees)", image, box)


def _first_face(path: Path, detector: Detector) -> Case:
    """The first frame of a clip and its largest face."""
    image = next(iter(open_frames(path))).image
    boxes, _ = detector(image)
    if not len(boxes):
        raise InputError(f"the first frame of {path} shows no face; name another clip")
    return Case(path.stem, image, boxes[0])


def _face(head: HeadModel) -> np.ndarray:
    return np.asarray(head.regions["face"])


def _fitted(image: np.ndarray) -> tuple[np.ndarray, float]:
    """The picture in a cell, and its scale."""
    scale = CELL / max(image.shape[:2])
    size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR), scale


def _squared(image: np.ndarray) -> np.ndarray:
    square = np.zeros((CELL, CELL, 3), np.uint8)
    top, left = (CELL - image.shape[0]) // 2, (CELL - image.shape[1]) // 2
    square[top : top + image.shape[0], left : left + image.shape[1]] = image
    return square


def _write_image(path: Path, image: np.ndarray) -> None:
    write_bytes(path, cv2.imencode(".png", image[..., ::-1])[1].tobytes())


if __name__ == "__main__":
    main()
