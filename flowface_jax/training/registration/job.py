"""`flowface register`: folders of scans become folders of registered meshes, one subject after another."""

from __future__ import annotations

import logging
import os
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from flowface_jax.errors import InputError
from flowface_jax.exporting.ply import write_ply
from flowface_jax.heads.model import HeadModel
from flowface_jax.heads.ply import read_ply
from flowface_jax.reporting import Reporter, SilentReporter
from flowface_jax.storage import read_json, write_bytes, write_json
from flowface_jax.training.registration import report
from flowface_jax.training.registration.config import RegistrationConfig
from flowface_jax.training.registration.detection import FaceNotFound
from flowface_jax.training.registration.landmarks import SUFFIXES as LANDMARK_SUFFIXES
from flowface_jax.training.registration.landmarks import read_landmarks
from flowface_jax.training.registration.placement import Placement
from flowface_jax.training.registration.propagation import MANUAL, Flow, dis_flow
from flowface_jax.training.registration.scans import SUFFIXES, Scan, read_scan
from flowface_jax.training.registration.subject import Registered, register_expression, register_neutral

FORMAT = "flowface-registration/1"
_SEPARATORS = "_- ."

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Subject:
    """scans: expression to its file. neutral: which of them is the neutral face."""

    name: str
    scans: dict[str, Path]
    neutral: str


@dataclass(frozen=True)
class _Job:
    head: HeadModel
    out: Path
    config: RegistrationConfig
    unit: float | None
    landmarks: Path | None
    points: Path | None
    overwrite: bool
    flow: Flow


def find_subjects(root: Path, neutral: str | None = None) -> list[Subject]:
    """The subject whose scans lie in a folder, or the subjects in its subfolders.

    neutral: the name of neutral scans without suffix; None takes the one with "neutral" in its name, or the only one.
    A name that begins with the subject's loses that part. Raises InputError for no scan or no neutral one.
    """
    if not root.is_dir():
        raise InputError(f"no folder {root}; expected a subject's scans (.obj, .ply), or a subfolder for each subject")
    folders = [root] if _scans_in(root) else [folder for folder in sorted(root.iterdir()) if folder.is_dir()]
    found = [_subject(folder.resolve().name, _scans_in(folder), neutral) for folder in folders if _scans_in(folder)]
    if not found:
        raise InputError(f"{root} holds no scan ({', '.join(SUFFIXES)}), nor do its subfolders")
    return found


def register_scans(
    root: str | os.PathLike[str],
    head: HeadModel,
    out: str | os.PathLike[str],
    *,
    config: RegistrationConfig | None = None,
    unit: float | None = None,
    neutral: str | None = None,
    landmarks: str | os.PathLike[str] | None = None,
    points: str | os.PathLike[str] | None = None,
    jobs: int = 1,
    overwrite: bool = False,
    flow: Flow = dis_flow,
    reporter: Reporter | None = None,
) -> Counter[str]:
    """Register all scans of a folder; returns how many got which verdict ("skipped" for those done before).

    Written are <out>/<subject>/<expression>.ply (scan coordinates, the head's topology), .json (report), .points.json
    (carried points, to correct by hand) and .png (picture). Files that are there stay unless `overwrite`; a run that
    was interrupted goes on. A scan that cannot be used is told in its report and stops nothing.

    unit: metres per scan unit, None where unknown. landmarks: annotation of the neutral scan, or a folder with
    <subject>.json, .csv or .pp. points: a folder with corrected <subject>/<expression>.points.json. Raises InputError
    for a folder without scans and for annotations that are missing or damaged.
    """
    subjects = find_subjects(Path(root), neutral)
    if jobs < 1:
        raise InputError(f"jobs: expected 1 or more, found {jobs}")
    marks = None if landmarks is None else Path(landmarks)
    if marks is not None and not marks.exists():
        raise InputError(f"no landmarks at {marks}; expected a file, or a folder with <subject>.json, .csv or .pp")
    if marks is not None and marks.is_file() and len(subjects) > 1:
        raise InputError(
            f"{marks} is one file, but there are {len(subjects)} subjects; give a folder with one for each"
        )
    job = _Job(
        head, Path(out), config or RegistrationConfig(), unit, marks, None if points is None else Path(points),
        overwrite, flow,
    )  # fmt: skip
    verdicts: Counter[str] = Counter()
    bar = (reporter or SilentReporter()).bar("register", sum(len(s.scans) for s in subjects), "scans")
    lock, stop = threading.Lock(), threading.Event()

    def told(result: str) -> None:
        with lock:
            verdicts[result] += 1
            bar.advance_to(sum(verdicts.values()))

    def one(subject: Subject) -> None:
        for result in _register_subject(job, subject):
            told(result)
            if stop.is_set():
                return

    with ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(one, subject) for subject in subjects]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        finally:
            stop.set()
            for future in futures:
                future.cancel()
    bar.close()
    return verdicts


def _scans_in(folder: Path) -> dict[str, Path]:
    scans: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in SUFFIXES and path.is_file():
            if path.stem in scans:
                raise InputError(f"{path} and {scans[path.stem].name} are scans of one name; keep one of them")
            scans[path.stem] = path
    return scans


def _subject(name: str, scans: dict[str, Path], neutral: str | None) -> Subject:
    short = {_expression(name, stem): path for stem, path in scans.items()}
    if len(short) < len(scans):
        short = scans
    if neutral is not None:
        wanted = [stem for stem in short if neutral in (stem, short[stem].stem)]
    else:
        wanted = [stem for stem in short if "neutral" in stem.lower()]
        wanted = wanted or (list(short) if len(short) == 1 else [])
    if len(wanted) != 1:
        raise InputError(
            f"subject {name}: expected one neutral scan, found {len(wanted)} among "
            f"{', '.join(short)}; name it: --neutral"
        )
    return Subject(name, short, wanted[0])


def _expression(subject: str, stem: str) -> str:
    rest = stem[len(subject) :].strip(_SEPARATORS) if stem.startswith(subject) else stem
    return rest or "neutral"


def _register_subject(job: _Job, subject: Subject) -> Iterator[str]:
    """Verdicts, scan by scan, the neutral one first."""
    folder = job.out / subject.name
    annotated = _annotation(job, subject)
    scan, neutral, result = _neutral(job, subject, annotated)
    yield result
    for name, path in subject.scans.items():
        if name == subject.neutral:
            continue
        if _is_done(job, folder / name):
            yield "skipped"
        elif neutral is None or scan is None:
            yield _fail(folder / name, report.POOR, "the subject's neutral scan could not be registered")
        else:
            yield _expression_of(job, folder / name, path, scan, neutral)


def _neutral(
    job: _Job, subject: Subject, annotated: dict[str, np.ndarray] | None
) -> tuple[Scan | None, Registered | None, str]:
    """The neutral scan and the head on it, made now or before."""
    stem = job.out / subject.name / subject.neutral
    try:
        scan = read_scan(subject.scans[subject.neutral])
        if _is_done(job, stem):
            return scan, _read(stem, job.head), "skipped"
        registered = register_neutral(scan, job.head, job.config, job.unit, annotated)
    except FaceNotFound as error:
        return None, None, _fail(stem, report.NO_FACE, str(error))
    except InputError as error:
        if job.landmarks is not None and job.landmarks.is_file():
            raise
        return None, None, _fail(stem, report.POOR, str(error))
    return scan, registered, _write(job, stem, scan, registered)


def _expression_of(job: _Job, stem: Path, path: Path, neutral_scan: Scan, neutral: Registered) -> str:
    corrections = _corrections(job, stem)
    try:
        scan = read_scan(path)
        registered = register_expression(
            scan, neutral, neutral_scan, job.head, job.config, job.unit, corrections, job.flow
        )
    except FaceNotFound as error:
        return _fail(stem, report.NO_FACE, str(error))
    except InputError as error:
        return _fail(stem, report.POOR, str(error))
    return _write(job, stem, scan, registered)


def _is_done(job: _Job, stem: Path) -> bool:
    return not job.overwrite and _file(stem, "ply").is_file()


def _write(job: _Job, stem: Path, scan: Scan, registered: Registered) -> str:
    """All files of one scan; the mesh last, so that it stands for them all."""
    about = {"format": FORMAT, "head": job.head.name, **report.report_of(registered, job.config)}
    picture = report.overlay(scan, registered, job.head)
    payload = cv2.imencode(".png", np.ascontiguousarray(picture[..., ::-1]))[1].tobytes()
    write_bytes(_file(stem, "png"), payload)
    points = [{"name": p.name, "status": p.status, "position": p.position} for p in registered.points]
    write_json(_file(stem, "points.json"), {"format": FORMAT, "points": points})
    write_json(_file(stem, "json"), about)
    write_ply(_file(stem, "ply"), registered.vertices, np.asarray(job.head.triangles), unit="as in the scan")
    return about["verdict"]


def _fail(stem: Path, result: str, reason: str) -> str:
    """Say in the report why there is no mesh."""
    logger.warning("%s/%s: %s", stem.parent.name, stem.name, reason)
    for suffix in ("ply", "png", "points.json"):
        _file(stem, suffix).unlink(missing_ok=True)
    write_json(_file(stem, "json"), {"format": FORMAT, "verdict": result, "notes": [reason]})
    return result


def _read(stem: Path, head: HeadModel) -> Registered:
    """What `_write` wrote, as far as expressions need it."""
    vertices = read_ply(_file(stem, "ply")).vertices
    about = read_json(_file(stem, "json"), "the report of a registration")
    if len(vertices) != head.vertex_count or about.get("head") != head.name:
        raise InputError(
            f"{_file(stem, 'ply')} was made with the head '{about.get('head')}', not '{head.name}'; give another --out"
        )
    try:
        value = about["placement"]
        placement = Placement(
            float(value["scan_units_per_metre"]),
            np.asarray(value["rotation"], np.float64).reshape(3, 3),
            np.asarray(value["translation"], np.float64).reshape(3),
        )
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{_file(stem, 'json')} is damaged; make it again with --overwrite") from None
    return Registered(vertices, placement, np.zeros(0))


def _annotation(job: _Job, subject: Subject) -> dict[str, np.ndarray] | None:
    """The annotated landmarks of a subject's neutral scan, or None where they are to be found."""
    if job.landmarks is None:
        return None
    if job.landmarks.is_file():
        return read_landmarks(job.landmarks)
    for suffix in LANDMARK_SUFFIXES:
        path = job.landmarks / f"{subject.name}{suffix}"
        if path.is_file():
            return read_landmarks(path)
    logger.warning("%s: no landmarks in %s; they are looked for", subject.name, job.landmarks)
    return None


def _corrections(job: _Job, stem: Path) -> dict[str, np.ndarray]:
    """Points that the user put right: those whose status says "manual"."""
    path = None if job.points is None else _file(job.points / stem.parent.name / stem.name, "points.json")
    if path is None or not path.is_file():
        return {}
    value = read_json(path, "corrected points")
    try:
        rows = [(str(p["name"]), p["position"]) for p in value["points"] if p["status"] == MANUAL]
        found = {name: np.asarray(position, np.float64) for name, position in rows}
    except (KeyError, TypeError, ValueError):
        found = {"": np.zeros(0)}
    if any(position.shape != (3,) or not np.isfinite(position).all() for position in found.values()):
        raise InputError(f'{path}: expected "points" with name, status and position [x, y, z]; one is damaged')
    return found


def _file(stem: Path, suffix: str) -> Path:
    return stem.with_name(f"{stem.name}.{suffix}")
