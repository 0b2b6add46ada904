"""Points carried from the neutral scan to an expression by optical flow between their frontal views (appendix D.1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial import cKDTree

from flowface_jax.heads.model import HeadModel, SurfacePoints
from flowface_jax.heads.registration import positions_of
from flowface_jax.training.registration.landmarks import at_vertices, joined
from flowface_jax.training.registration.nonrigid import matched_vertices
from flowface_jax.training.registration.views import View

Flow = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Two pictures [H,W,3] uint8 to the motion [H,W,2] px of every pixel of the first."""

CARRIED, MANUAL = "carried", "manual"
_INNER = slice(17, 68)
_VISIBLE = 0.003
_NEIGHBOURS, _UNLIKE = 8, 0.004


@dataclass(frozen=True)
class Tracer:
    """Points on the topology that are carried. names: P strings. surface: P points."""

    names: tuple[str, ...]
    surface: SurfacePoints


@dataclass(frozen=True)
class Carried:
    """positions: [P,3] m on the expression, in the head's frame, NaN where lost. status: P of "carried" or why not."""

    positions: np.ndarray
    status: tuple[str, ...]

    @property
    def kept(self) -> np.ndarray:
        """[P] bool."""
        return np.isfinite(self.positions).all(1)


def dis_flow(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Dense inverse search (Kroeger et al., ECCV 2016), as OpenCV has it: a `Flow`."""
    method = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    method.setFinestScale(0)
    method.setGradientDescentIterations(40)
    method.setVariationalRefinementIterations(10)
    grey = [cv2.createCLAHE(2.0, (8, 8)).apply(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)) for image in (first, second)]
    return method.calc(*grey, None)


def tracers(head: HeadModel, count: int) -> Tracer:
    """The landmarks of brows, eyes, nose and lips, and `count` vertices spread evenly over the face."""
    allowed = matched_vertices(head)
    allowed = allowed[np.asarray(head.regions["face"])[allowed]]
    template = np.asarray(head.template, np.float64)
    spread = allowed[_farthest(template[allowed], min(count, len(allowed)))]
    landmarks = SurfacePoints(
        np.asarray(head.landmarks.vertex_ids)[_INNER], np.asarray(head.landmarks.barycentric)[_INNER]
    )
    names = [f"multipie_{number}" for number in range(17, 68)] + [f"vertex_{vertex}" for vertex in spread]
    return Tracer(tuple(names), joined(landmarks, at_vertices(spread)))


def carry(
    neutral: View, expression: View, tracer: Tracer, vertices: np.ndarray, flow: Flow, tolerance: float
) -> Carried:
    """Where the flow takes points of the registered neutral mesh [V,3] m; both views are of the head's frame.

    A point is lost where the neutral view does not show it, where flow there and back disagree by more than
    `tolerance` px, where the pixel that it comes to shows no surface, or where it moves unlike its neighbours.
    """
    points = positions_of(tracer.surface, vertices)
    pixels, _ = neutral.camera.project(points)
    seen, _ = neutral.lift(pixels)
    hidden = ~(np.linalg.norm(seen - points, axis=1) < _VISIBLE)
    there, back = flow(neutral.image, expression.image), flow(expression.image, neutral.image)
    moved = pixels + _sampled(there, pixels)
    astray = ~(np.linalg.norm(moved + _sampled(back, moved) - pixels, axis=1) < tolerance)
    lifted, _ = expression.lift(moved)
    nowhere = ~np.isfinite(lifted).all(1)
    unlike = _unlike_neighbours(points, lifted, ~(hidden | astray | nowhere))
    status = np.select(
        [hidden, astray, nowhere, unlike],
        ["hidden in the neutral view", "flow there and back disagree", "no surface there", "unlike its neighbours"],
        CARRIED,
    )
    return Carried(np.where((status == CARRIED)[:, None], lifted, np.nan), tuple(status.tolist()))


def _sampled(flow: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """The flow [N,2] at pixels [N,2], corner origin."""
    places = np.nan_to_num(pixels - 0.5, nan=-1e3).astype(np.float32)[None]
    return cv2.remap(flow, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[0]


def _unlike_neighbours(points: np.ndarray, moved: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """[P] bool: the point's motion is far from the median motion of the points around it."""
    unlike = np.zeros(len(points), bool)
    rows = np.flatnonzero(kept)
    if len(rows) <= _NEIGHBOURS:
        return unlike
    motion = moved[rows] - points[rows]
    near = cKDTree(points[rows]).query(points[rows], k=_NEIGHBOURS + 1)[1][:, 1:]
    usual = np.median(motion[near], axis=1)
    # Around the mouth neighbours truly part: what moves far may differ more.
    allowed = _UNLIKE + 0.5 * np.linalg.norm(usual, axis=1)
    unlike[rows] = np.linalg.norm(motion - usual, axis=1) > allowed
    return unlike


def _farthest(places: np.ndarray, count: int) -> np.ndarray:
    """Rows [count] spread evenly: farthest-point sampling from the foremost."""
    rows = np.zeros(count, np.int64)
    rows[:1] = places[:, 2].argmax()
    distance = np.linalg.norm(places - places[rows[0]], axis=1) if count else np.zeros(0)
    for k in range(1, count):
        rows[k] = distance.argmax()
        distance = np.minimum(distance, np.linalg.norm(places - places[rows[k]], axis=1))
    return np.sort(rows)
