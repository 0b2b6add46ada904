"""Image quality of avatars (tables 6 and 7): of folders of pictures, and of synthetic captures drawn again.

Drawn again: the captured person with its own looks, light and room, but shaped, posed and seen as a track says. What
differs from the truth is the tracking alone, so the numbers are bounds for avatars, not avatars.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from flowface_jax.aligners.images import IMAGE_SUFFIXES, read_image
from flowface_jax.capturing import moments
from flowface_jax.errors import InputError
from flowface_jax.evaluation.images import LpipsNetwork, load_lpips, lpips, ms_ssim, psnr, ssim
from flowface_jax.evaluation.tables import Column, Row, Table
from flowface_jax.fitting.track import ARRAYS, Track
from flowface_jax.heads.generic import generic_head
from flowface_jax.heads.model import HeadModel
from flowface_jax.synthesis.film import make_film_renderer
from flowface_jax.synthesis.sequences import Motion
from paper_tables.captures import TRUTH, Captured, CaptureSize, film_settings, filmed, motion_of, size_of
from paper_tables.output import add_output, apart, beside, named_paths, write_tables

LOST = Column("missing pictures", "%", "lower", 1)
Values = tuple[float, float, float, float]


def avatar_table(name: str, description: str, published: Table, middle: float | None) -> None:
    """The program of table 6 or 7. middle: share of each sequence that counts, about its middle; None: its end."""
    options = _options(name, description)
    network = None if options.lpips is None else load_lpips(options.lpips, options.heads)
    if options.truth is None:
        rows = redrawn_rows(options.synthetic, generic_head(), network, options.frames, middle)
        part = "last" if middle is None else "middle"
        note = f"synthetic captures of {options.synthetic}, {part} fifth of each sequence, drawn again as tracked"
        tables = apart(published, "Synthetic captures drawn again as tracked", rows, (note,), (LOST,))
    else:
        folders = named_paths(options.pictures, "--pictures")
        if not folders:
            raise InputError("--pictures: expected NAME=FOLDER of each tracker's avatars, found none")
        rows = [folder_row(key, folder, options.truth, network, middle) for key, folder in folders.items()]
        tables = beside(published, rows, (), (LOST,))
    print(write_tables(options.out, name, tables))


def folder_row(name: str, folder: Path, truth: Path, network: LpipsNetwork | None, middle: float | None = None) -> Row:
    """The row of a folder of pictures against the truth's of the same paths, means over the sequences' means.

    Pictures of one folder are a sequence. middle: share of each sequence of the truth that counts, about its middle;
    None: all. Raises InputError where the truth holds no picture, or nothing is predicted.
    """
    by_sequence: dict[Path, list[Path]] = {}
    for path in sorted(p for p in truth.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES):
        by_sequence.setdefault(path.parent, []).append(path)
    if not by_sequence:
        raise InputError(f"{truth}: expected pictures, found none")
    measured, missing, count = [], 0, 0
    for pictures in by_sequence.values():
        wanted = pictures if middle is None else middle_part(pictures, middle)
        values = []
        for path in wanted:
            predicted = folder / path.relative_to(truth)
            if predicted.is_file():
                values.append(compare(read_image(predicted), read_image(path), network))
        count, missing = count + len(wanted), missing + len(wanted) - len(values)
        if values:
            measured.append(np.mean(values, axis=0))
    return _row(name, measured, missing, count)


def redrawn_rows(
    folder: Path, head: HeadModel, network: LpipsNetwork | None, frames: int, middle: float | None
) -> list[Row]:
    """A row for every method that tracked all sequences, from `frames` pictures of each sequence's test part.

    middle: as for `folder_row`; None: the last pictures. Raises InputError where nothing was tracked.
    """
    size, sequences = size_of(folder), filmed(folder)
    names = [{p.parent.name for p in one.folder.glob(f"*/{ARRAYS}")} - {TRUTH} for one in sequences]
    methods = sorted(set.intersection(*names))
    if not methods:
        raise InputError(f"{folder}: no method tracked all sequences; finish the benchmark")
    measured: dict[str, list[np.ndarray]] = {name: [] for name in methods}
    for one in sequences:
        every = list(range(size.frames))
        part = middle_part(every, middle) if middle is not None else every[-max(1, size.frames // 5) :]
        chosen = [part[k] for k in np.unique(np.linspace(0, len(part) - 1, frames).round().astype(int))]
        true = [read_image(one.frames / f"{frame:05d}.png") for frame in chosen]
        for name in methods:
            drawn = redraw(one, size, head, Track.load(one.folder / name), chosen)
            pairs = zip(drawn, true, strict=True)
            measured[name].append(np.mean([compare(*pair, network) for pair in pairs], axis=0))
    return [_row(name, values, 0, 1) for name, values in measured.items()]


def redraw(
    one: Captured, size: CaptureSize, head: HeadModel, track: Track, frames: Sequence[int]
) -> Iterator[np.ndarray]:
    """Pictures [H,W,3] uint8 of some frames of a capture, with the head where a track has it.

    Shoulders go with the head, whose distance a camera of unknown focal length leaves open; the room stays as it was
    before the true camera.
    """
    tracked = _as_tracked(motion_of(head, size, one), track)
    render = make_film_renderer(head, tracked, film_settings(size, one))
    for moment in moments(head, tracked, track):
        if moment.frame in frames:
            yield render(moment, track.cameras)[0].image


def compare(picture: np.ndarray, truth: np.ndarray, network: LpipsNetwork | None) -> Values:
    """PSNR dB, SSIM, MS-SSIM and LPIPS (NaN without its network) of one picture [H,W,3] uint8."""
    perceptual = float("nan") if network is None else float(lpips(picture, truth, network)[0])
    return float(psnr(picture, truth)[0]), float(ssim(picture, truth)[0]), float(ms_ssim(picture, truth)[0]), perceptual


def middle_part(items: Sequence, share: float) -> Sequence:
    """The share of a sequence that lies about its middle, at least one item."""
    count = max(1, round(share * len(items)))
    first = (len(items) - count) // 2
    return items[first : first + count]


def _options(name: str, description: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--truth", type=Path, metavar="DIR", help="true pictures, a folder for each sequence")
    parser.add_argument("--pictures", nargs="+", default=[], metavar="NAME=DIR", help="what each avatar shows")
    parser.add_argument("--lpips", type=Path, metavar="FILE", help="weights of LPIPS' network, for its column")
    parser.add_argument("--heads", type=Path, metavar="FILE", help="LPIPS' linear layers, where they are apart")
    parser.add_argument("--frames", type=int, default=2, help="pictures of each synthetic sequence")
    add_output(parser, name)
    return parser.parse_args()


def _as_tracked(motion: Motion, track: Track) -> Motion:
    """The motion in the frame of its one camera, where a monocular track has its world, with the track's person."""
    turn = np.asarray(motion.cameras.rotation, np.float64)[0]
    shift = np.asarray(motion.cameras.translation, np.float64)[0]
    head = Rotation.from_rotvec(track.head_rotation).as_matrix()
    relative = motion.head_rotation.transpose(0, 2, 1)
    apart = np.einsum("fij,fj->fi", relative, motion.torso_translation - motion.head_translation)
    return dataclasses.replace(
        motion,
        identity=np.asarray(track.identity),
        cameras=track.cameras,
        torso_rotation=head @ relative @ motion.torso_rotation,
        torso_translation=np.einsum("fij,fj->fi", head, apart) + track.head_translation,
        room_rotation=turn @ motion.room_rotation,
        room_translation=motion.room_translation @ turn.T + shift,
    )


def _row(name: str, measured: Sequence[np.ndarray], missing: int, count: int) -> Row:
    if not measured:
        raise InputError(f"{name}: expected at least one picture with the name of a true one, found none")
    values = [float(v) if np.isfinite(v) else None for v in np.mean(measured, axis=0)]
    return Row(name, (*values, 100 * missing / count))
