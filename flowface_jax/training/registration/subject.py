"""One scan after another of a subject: the neutral face first, then every expression from it (appendix D.1)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from flowface_jax.errors import InputError
from flowface_jax.heads.model import HeadModel
from flowface_jax.heads.registration import positions_of, vertex_normals
from flowface_jax.training.registration.config import RegistrationConfig
from flowface_jax.training.registration.detection import Detector, FaceNotFound, find_landmarks, mediapipe_points
from flowface_jax.training.registration.fit import (
    Points,
    Target,
    expression_shape,
    fit_shape,
    make_target,
    neutral_shape,
)
from flowface_jax.training.registration.landmarks import Landmarks, chosen, joined, on_head
from flowface_jax.training.registration.nonrigid import deform, matched_vertices
from flowface_jax.training.registration.placement import Placement, place_by_points
from flowface_jax.training.registration.propagation import CARRIED, MANUAL, Flow, Tracer, carry, dis_flow, tracers
from flowface_jax.training.registration.scans import Scan
from flowface_jax.training.registration.views import View, camera_at, look

_AROUND = 0.28
"""Metres around the middle of the head that are looked at: shoulders are left out."""
_NEAR = 0.005
_WORST_LANDMARK = 0.02
_FEWEST_CARRIED = 30
_ROUNDS = 2


@dataclass(frozen=True)
class TracedPoint:
    """A point that helped, or was dropped. position: [3] in scan coordinates, None where lost."""

    name: str
    status: str
    position: tuple[float, float, float] | None


@dataclass(frozen=True)
class Registered:
    """vertices: [V,3] in the scan's coordinates. placement: of the head's frame in them. distances: [N] mm from face
    vertices to the scan, infinite where it shows nothing near. points: what was carried or annotated. notes: remarks.
    """

    vertices: np.ndarray
    placement: Placement
    distances: np.ndarray
    points: tuple[TracedPoint, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def in_head_frame(self) -> np.ndarray:
        """The vertices [V,3] m as the head model has them."""
        return self.placement.to_head(self.vertices)


def register_neutral(
    scan: Scan,
    head: HeadModel,
    config: RegistrationConfig,
    unit: float | None = None,
    annotated: dict[str, np.ndarray] | None = None,
    detector: Detector = mediapipe_points,
) -> Registered:
    """The head on a subject's neutral scan.

    unit: metres per scan unit; None solves for it. annotated: landmark names and positions in scan units; None finds
    MediaPipe's. Raises FaceNotFound, and InputError for landmarks that do not fit a head.
    """
    if annotated is None:
        landmarks = find_landmarks(scan, head, unit, config.found_std, detector)
    else:
        landmarks = on_head(annotated, head, config.landmark_std)
    template = np.asarray(head.template, np.float64)
    placement, misses = place_by_points(positions_of(landmarks.surface, template), landmarks.positions, unit)
    if float(np.nanmedian(misses)) > _WORST_LANDMARK:
        raise InputError(
            f"the landmarks miss the head model by {1e3 * float(np.nanmedian(misses)):.0f} mm; expected annotations of "
            "this scan, in its unit (--units), under the names of the head's landmarks"
        )
    shape = neutral_shape(head, config.identity_size, config.expression_size)
    points = Points(landmarks.surface, placement.to_head(landmarks.positions), landmarks.std)
    target = _target(scan, placement, head)
    fitted = fit_shape(shape, target, points, _sample(head, config), unit is None)
    placement = placement.after(fitted.scale, fitted.rotation, fitted.translation)
    points = replace(points, positions=placement.to_head(landmarks.positions))
    vertices = deform(shape.of(fitted.coefficients), head, target := _target(scan, placement, head), points)
    status = "annotated" if annotated is not None else "found"
    return Registered(
        placement.to_scan(vertices),
        placement,
        face_distances(vertices, head, target),
        tuple(
            TracedPoint(name, status, tuple(position.tolist()))
            for name, position in zip(landmarks.names, landmarks.positions, strict=True)
        ),
    )


def register_expression(
    scan: Scan,
    neutral: Registered,
    neutral_scan: Scan,
    head: HeadModel,
    config: RegistrationConfig,
    unit: float | None = None,
    corrections: dict[str, np.ndarray] | None = None,
    flow: Flow = dis_flow,
    detector: Detector | None = mediapipe_points,
) -> Registered:
    """The head on another scan of the subject, moved along the surface as the texture moved.

    corrections: positions of points in scan units that were put right by hand, by name; they are not carried. flow: any
    dense optical flow. detector: None where the scans are known to lie alike. Raises FaceNotFound where no face is
    found and the scan does not lie where the neutral one does.
    """
    base = neutral.in_head_frame
    placement, found, notes = _first_placement(scan, neutral, head, config, unit, detector)
    tracer = tracers(head, config.carried_points)
    camera = camera_at(base[np.asarray(head.regions["face"])].mean(0), config.side)
    before = look(neutral.placement.place(neutral_scan), camera)
    shape = expression_shape(head, base, config.expression_size)
    traced: tuple[TracedPoint, ...] = ()
    # The second round looks from where the first has put the camera: what is left is the motion of the skin.
    for _ in range(_ROUNDS):
        evidence = found
        if config.carry:
            traced = _traced(scan, placement, before, tracer, base, flow, config, corrections or {})
            evidence = _evidence(traced, tracer, head, found, config)
        target = _target(scan, placement, head)
        fitted = fit_shape(shape, target, _points(evidence, placement), _sample(head, config), unit is None)
        placement = placement.after(fitted.scale, fitted.rotation, fitted.translation)
    target = _target(scan, placement, head)
    vertices = deform(shape.of(fitted.coefficients), head, target, _points(evidence, placement))
    if config.carry and sum(point.status == CARRIED for point in traced) < _FEWEST_CARRIED:
        notes = (*notes, "hardly any point could be carried; motion along the surface is the head model's")
    return Registered(placement.to_scan(vertices), placement, face_distances(vertices, head, target), traced, notes)


def face_distances(vertices: np.ndarray, head: HeadModel, target: Target) -> np.ndarray:
    """mm [N] from the face's vertices to the scan, both in the head's frame; infinite beyond 5 mm and on its rim."""
    rows = face_rows(head)
    normals = vertex_normals(vertices, np.asarray(head.triangles))[rows]
    nearest, _, ok = target.closest(vertices[rows], normals, 0.3, _NEAR)
    return np.where(ok, 1e3 * np.linalg.norm(nearest - vertices[rows], axis=1), np.inf)


def face_rows(head: HeadModel) -> np.ndarray:
    """The vertices [N] that distances are told of: those of the face that a scan can show."""
    rows = matched_vertices(head)
    return rows[np.asarray(head.regions["face"])[rows]]


def _target(scan: Scan, placement: Placement, head: HeadModel) -> Target:
    """The scan in the head's frame, only what is near the head."""
    middle = np.asarray(head.template, np.float64)[np.asarray(head.regions["face"])].mean(0)
    near = placement.place(scan).nearby(middle, _AROUND)
    if not len(near.triangles):
        raise FaceNotFound("the scan has no surface where its landmarks put the head")
    return make_target(near)


def _sample(head: HeadModel, config: RegistrationConfig) -> np.ndarray:
    """Vertices of the model fit, evenly taken."""
    rows = matched_vertices(head)
    return rows[np.linspace(0, len(rows) - 1, min(config.surface_points, len(rows))).astype(np.int64)]


def _first_placement(
    scan: Scan,
    neutral: Registered,
    head: HeadModel,
    config: RegistrationConfig,
    unit: float | None,
    detector: Detector | None,
) -> tuple[Placement, Landmarks, tuple[str, ...]]:
    """Where the head is in the expression's scan, by what a detector finds or as in the neutral scan."""
    nothing = Landmarks((), chosen(head.mediapipe, np.zeros(0, np.int64)), np.zeros((0, 3)), np.zeros(0))
    try:
        if detector is None:
            raise FaceNotFound("the scan does not lie where the neutral one does")
        found = find_landmarks(scan, head, unit, config.found_std, detector)
        placement, _ = place_by_points(positions_of(found.surface, neutral.in_head_frame), found.positions, unit)
        return placement, found, ()
    except FaceNotFound:
        target = _target(scan, neutral.placement, head)
        if np.isfinite(face_distances(neutral.in_head_frame, head, target)).mean() < 0.5:
            raise
        told = ("no face was found; the scan is taken to lie where the neutral one does",) if detector else ()
        return neutral.placement, nothing, told


def _traced(
    scan: Scan,
    placement: Placement,
    before: View,
    tracer: Tracer,
    base: np.ndarray,
    flow: Flow,
    config: RegistrationConfig,
    corrections: dict[str, np.ndarray],
) -> tuple[TracedPoint, ...]:
    """Points of the topology on this scan, by flow or by hand."""
    after = look(placement.place(scan), before.camera)
    carried = carry(before, after, tracer, base, flow, config.flow_tolerance)
    positions = placement.to_scan(carried.positions)
    points = []
    for name, status, kept, position in zip(tracer.names, carried.status, carried.kept, positions, strict=True):
        if name in corrections:
            status, kept, position = MANUAL, True, corrections[name]
        points.append(TracedPoint(name, status, tuple(position.tolist()) if kept else None))
    return tuple(points)


def _evidence(
    traced: tuple[TracedPoint, ...], tracer: Tracer, head: HeadModel, found: Landmarks, config: RegistrationConfig
) -> Landmarks:
    """Carried and corrected points; where these are few, the found landmarks too."""
    rows = np.asarray([number for number, point in enumerate(traced) if point.position is not None], np.int64)
    own = Landmarks(
        tuple(tracer.names[row] for row in rows),
        chosen(tracer.surface, rows),
        np.asarray([traced[row].position for row in rows], np.float64).reshape(-1, 3),
        np.full(len(rows), config.carried_std),
    )
    if len(rows) >= _FEWEST_CARRIED:
        return own
    return Landmarks(
        (*own.names, *found.names),
        joined(own.surface, found.surface),
        np.concatenate([own.positions, found.positions]),
        np.concatenate([own.std, found.std]),
    )


def _points(landmarks: Landmarks, placement: Placement) -> Points:
    return Points(landmarks.surface, placement.to_head(landmarks.positions), landmarks.std)
