"""VOCASET as FaceFormer and CodeTalker read it: one sequence of meshes with its sound, and the person's neutral head.

Written for data sets of speech such as the paper's 3D-MEAD (appendix H): vertices_npy/SUBJECT_sentenceNN.npy [T,3V] m
at an even rate, wav/SUBJECT_sentenceNN.wav, templates.pkl (SUBJECT → [V,3] m) and FLAME_sample.ply. Heads rest in
FLAME's own frame. VOCASET has 60 frames per second; its loaders take every second one.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import re
import shutil
from pathlib import Path
from typing import Final

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.errors import InputError
from flowface_jax.exporting.flame import JAW, LEFT_EYE, RIGHT_EYE, require_flame
from flowface_jax.exporting.performance import Performance
from flowface_jax.exporting.ply import write_ply
from flowface_jax.exporting.sound import has_sound, write_wav
from flowface_jax.exporting.target import Target
from flowface_jax.foreign.pickle_writer import pickle_bytes
from flowface_jax.foreign.safe_pickle import read_pickle
from flowface_jax.heads.model import vertices
from flowface_jax.reporting import Reporter
from flowface_jax.storage import write_bytes

logger = logging.getLogger(__name__)
NAME = "vocaset"
TEMPLATES: Final = "templates.pkl"
SAMPLE: Final = "FLAME_sample.ply"
_MESHES, _SOUNDS = "vertices_npy", "wav"
_LONGEST_GAP_S = 0.5


@dataclasses.dataclass(frozen=True)
class VocasetSettings:
    """subject: name of the person, that of the track's folder if empty. sentence: number of the sequence, 1 to 99
    (VOCASET: 1 to 40 to train, 21 to 40 to validate and test). frame_rate: per second; 60 is VOCASET's, of which
    loaders take every second. eyes: let the eyes turn as tracked. sound: file with the sound, starting with the clip;
    the clip's own if empty, "none" for no sound. sound_rate: samples per second. earlier: folder of an earlier export,
    whose sequences and subjects are taken along.
    """

    subject: str = ""
    sentence: int = 1
    frame_rate: float = 60.0
    eyes: bool = True
    sound: str = ""
    sound_rate: int = 16000
    earlier: str = ""


def write_vocaset(performance: Performance, folder: Path, settings: VocasetSettings, reporter: Reporter) -> None:
    """Write the folder. Raises InputError without a FLAME head, and for settings that the layout cannot hold."""
    require_flame(performance, NAME)
    subject = settings.subject or re.sub(r"[^A-Za-z0-9_-]+", "_", performance.name).strip("_") or "subject"
    _check(settings, subject)
    sequence = f"{subject}_sentence{settings.sentence:02d}"
    templates = _taken_along(folder, settings.earlier, sequence) if settings.earlier else {}
    template = np.asarray(performance.track.neutral_vertices(performance.head), np.float32)
    for name, other in templates.items():
        if np.shape(other) != template.shape:
            raise InputError(
                f"{settings.earlier}: expected a template {list(template.shape)} of {name}, another head's"
            )
    write_bytes(folder / TEMPLATES, pickle_bytes({**templates, subject: template}))
    write_ply(folder / SAMPLE, np.asarray(performance.head.template), np.asarray(performance.head.triangles))
    times = even_times(performance, settings.frame_rate)
    _write_meshes(performance, folder / _MESHES / f"{sequence}.npy", times, settings, reporter)
    source = _sound_of(performance, settings)
    if source is not None:
        end = float(times[-1]) + 1.0 / settings.frame_rate
        write_wav(folder / _SOUNDS / f"{sequence}.wav", source, float(times[0]), end, settings.sound_rate)


def _check(settings: VocasetSettings, subject: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", subject):
        raise InputError(f"vocaset.subject: expected letters, digits, - and _, found '{subject}'")
    if not 1 <= settings.sentence <= 99:
        raise InputError(f"vocaset.sentence: expected 1 to 99, found {settings.sentence}")
    if not 1 <= settings.frame_rate <= 1000 or not 1000 <= settings.sound_rate <= 192000:
        raise InputError("vocaset: expected a frame_rate of 1 to 1000 and a sound_rate of 1000 to 192000 per second")


def even_times(performance: Performance, rate: float) -> np.ndarray:
    """Evenly spaced times [T] s from the first to the last frame that shows a face. Raises InputError for one frame."""
    times = performance.frame_times
    seen = times[performance.seen]
    if len(seen) < 2:
        raise InputError("vocaset: expected at least two frames that show a face")
    gaps = np.diff(seen)
    if gaps.max() > _LONGEST_GAP_S:
        logger.warning("vocaset: for %.1f s no face is seen; the meshes of that time are interpolated", gaps.max())
    return seen[0] + np.arange(int(np.floor((seen[-1] - seen[0]) * rate + 1e-6)) + 1) / rate


def _write_meshes(
    performance: Performance, path: Path, times: np.ndarray, settings: VocasetSettings, reporter: Reporter
) -> None:
    """Vertices [T,3V] float32 m, one frame in memory at a time; coefficients are interpolated linearly in time."""
    track, head = performance.track, performance.head
    joints = np.array(track.joint_rotations, np.float64)
    kept = [JAW, LEFT_EYE, RIGHT_EYE] if settings.eyes else [JAW]
    joints[:, [joint for joint in range(joints.shape[1]) if joint not in kept]] = 0.0
    known, seen = performance.frame_times, performance.seen
    flat = np.concatenate([np.asarray(track.expression, np.float64), joints.reshape(len(joints), -1)], axis=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    out = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(len(times), 3 * head.vertex_count))
    identity, offsets = jnp.asarray(track.identity), jnp.asarray(track.offsets)
    columns = np.stack([np.interp(times, known[seen], column) for column in flat[seen].T], axis=1).astype(np.float32)
    bar = reporter.bar(NAME, len(times), "frames")
    for number, row in enumerate(columns):
        expression, turned = row[: head.expression_size], row[head.expression_size :].reshape(-1, 3)
        out[number] = np.asarray(_vertices(head, identity, expression, turned, offsets)).reshape(-1)
        bar.advance_to(number + 1)
    out.flush()
    bar.close()


def _sound_of(performance: Performance, settings: VocasetSettings) -> Path | None:
    """The file that the sound is taken from, if any."""
    if settings.sound == "none":
        return None
    if settings.sound:
        path = Path(settings.sound)
        if not path.is_file() or not has_sound(path):
            raise InputError(f"vocaset.sound: {path} holds no sound; name a file that does, or none")
        return path
    path = getattr(performance.sources[0], "path", None) if performance.sources else None
    if path is None or not has_sound(path):
        logger.warning(
            "vocaset: no wav is written, which the loaders of FaceFormer and CodeTalker need: %s",
            "the clip holds no sound" if performance.sources else "name the clip with --video, or vocaset.sound=FILE",
        )
        return None
    return path


def _taken_along(folder: Path, earlier: str, sequence: str) -> dict[str, np.ndarray]:
    """Copy the sequences of an earlier export, and return its templates. Raises InputError where it is none."""
    source = Path(earlier)
    templates = read_pickle(source / TEMPLATES, "templates of an earlier export")
    if not isinstance(templates, dict) or not all(isinstance(one, np.ndarray) for one in templates.values()):
        raise InputError(f"{source / TEMPLATES}: expected a head for every subject; name an earlier export")
    for kind in (_MESHES, _SOUNDS):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for file in sorted((source / kind).glob("*.*")) if (source / kind).is_dir() else []:
            if file.stem != sequence:
                _copied(file, folder / kind / file.name)
    return {str(name): np.asarray(one, np.float32) for name, one in templates.items()}


def _copied(file: Path, target: Path) -> None:
    """The same file under another name where the disk allows it, else a copy."""
    try:
        os.link(file, target)
    except OSError:
        shutil.copyfile(file, target)


_vertices = jax.jit(vertices)
TARGET = Target(NAME, "VOCASET's layout, for CodeTalker and FaceFormer (FLAME heads)", VocasetSettings, write_vocaset)
