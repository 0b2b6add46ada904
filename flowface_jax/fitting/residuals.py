"""Statistics of the distances between fitted and observed points, a few frames at a time."""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.alignment.alignment import Alignment
from flowface_jax.fitting.energy import head_vertices, squared_distances
from flowface_jax.fitting.parameters import Parameters
from flowface_jax.fitting.problem import FitProblem
from flowface_jax.fitting.regions import RegionPoints
from flowface_jax.pytrees import pytree_dataclass

OUTLIER_SIGMAS = 5.0
OUTLIER_WIDTHS = 0.01
"""A point is an outlier when it is further from the fit than this many standard deviations and this share of the face's
width: once in 270,000 for two Gaussian coordinates, near where the fit's robust kernel lets go (6 by default), and far
enough to be seen where an aligner is surer than it should be."""

FARTHEST_PX = 1e6
FARTHEST_SIGMAS = 1e6
"""Distances count as at most this far, and so do points that the track puts nowhere (NaN): sums stay finite."""

FACING_COSINE = 0.5
"""A point is expected to be seen where its normal is within 60 degrees of the viewing direction: aligners are equally
sure of all such points (see `aligners.noise.TURN_COSINES`)."""

UNCERTAIN = 0.05
"""A standard deviation above this share of the face's width tells nothing: a quarter of an eye's width."""

UNUSUAL = 3.0
"""A standard deviation this many times as large as that point's usual one, relative to the face's width, says that the
aligner does not see the point. Jitter and turning change it less than twofold on points that face the camera."""

USUAL_FRAMES = 200
"""What is usual is the median over this many frames, evenly spread."""

MEDIAN_OF_CHI_SQUARE = 2.0 * float(np.log(2.0))
"""Median of χ² with two degrees of freedom: what a median squared residual is compared with."""

CHUNK_VALUES = 2**21
"""Cameras x frames x points at a time: some 100 MB with all that is held at once."""


@pytree_dataclass
class PointStatistics:
    """Statistics over the Q points that count, in C cameras, F frames and R regions (see `RegionPoints`). Float32.

    median_px, p90_px: [C,F] distance between fitted and observed points. face_width_px: [C,F] width of the box around
    the observed points. outlier_share: [C,F] of the observed points. All NaN where nothing is observed.
    chi_square: [F,R] Σ(distance/σ)² over all cameras' observed points, divided by 2 for each: 1 where the stated σ are
    right. chi_square_median: [F,R] the same from the median of (distance/σ)², which outliers hardly move. Both NaN
    where the region has no observed point. Parameters are not subtracted from the degrees of freedom: a frame has some
    60 of its own, shared by all its regions and held by priors.
    facing: [C,F,R] how many points are expected to be seen (they face the camera, and it sees a face). hidden: [C,F,R]
    how many of those are not observed, or with a σ that tells nothing or is unusually large. astray: [C,F,R] how many
    of the others are outliers.
    """

    median_px: np.ndarray
    p90_px: np.ndarray
    face_width_px: np.ndarray
    outlier_share: np.ndarray
    chi_square: np.ndarray
    chi_square_median: np.ndarray
    facing: np.ndarray
    hidden: np.ndarray
    astray: np.ndarray


_FRAMES_SECOND = ("median_px", "p90_px", "face_width_px", "outlier_share", "facing", "hidden", "astray")


def point_statistics(
    parameters: Parameters,
    problem: FitProblem,
    points: RegionPoints,
    usual: np.ndarray,
    frames: int,
    chunk_values: int = CHUNK_VALUES,
) -> PointStatistics:
    """Statistics of the first `frames` frames; the memory needed does not grow with their number.

    usual: [C,Q], see `usual_spread`.
    """
    cameras, padded, count = problem.mean.shape[:3]
    size = int(np.clip(chunk_values // (cameras * count), 1, padded))
    result: dict[str, np.ndarray] = {}
    for first in range(0, frames, size):
        # The last chunk begins early rather than be shorter, so that one program serves all.
        start = min(first, padded - size)
        chunk = _statistics(parameters, problem, points, usual, jnp.int32(start), size)
        for field in dataclasses.fields(chunk):
            values = np.asarray(getattr(chunk, field.name), np.float32)
            axis = 1 if field.name in _FRAMES_SECOND else 0
            if field.name not in result:
                shape = (*values.shape[:axis], frames, *values.shape[axis + 1 :])
                result[field.name] = np.empty(shape, np.float32)
            into = (slice(None),) * axis + (slice(first, min(first + size, frames)),)
            of = (slice(None),) * axis + (slice(first - start, min(first + size, frames) - start),)
            result[field.name][into] = values[of]
    return PointStatistics(**result)


def usual_spread(alignment: Alignment, points: RegionPoints) -> np.ndarray:
    """Each point's usual σ over the face's width in each camera: [C,Q], the median over frames in which it is observed;
    infinite where it never is.
    """
    usual = np.full((alignment.camera_count, len(points.chosen)), np.inf, np.float32)
    for c in range(alignment.camera_count):
        seen = np.flatnonzero(alignment.valid[c])
        frames = seen[np.unique(np.linspace(0, max(len(seen) - 1, 0), min(USUAL_FRAMES, len(seen))).astype(int))]
        std = alignment.std[c, frames][:, points.chosen]
        observed = np.isfinite(std)
        columns = alignment.mean[c, frames][:, points.chosen, 0]
        width = np.where(observed, columns, -np.inf).max(1) - np.where(observed, columns, np.inf).min(1)
        ordered = np.sort(np.where(observed, std / np.maximum(width, 1.0)[:, None], np.inf), axis=0)
        if len(frames):
            middle = np.maximum(observed.sum(0) - 1, 0) // 2
            usual[c] = np.take_along_axis(ordered, middle[None], axis=0)[0]
    return usual


@functools.partial(jax.jit, static_argnames=("size",))
def _statistics(
    parameters: Parameters,
    problem: FitProblem,
    points: RegionPoints,
    usual: jax.Array,
    start: jax.Array,
    size: int,
) -> PointStatistics:
    """The statistics of `size` frames from `start` on."""
    parameters, problem = _frames_of(parameters, problem, start, size)
    world = parameters.to_world(head_vertices(parameters, problem))
    squared = squared_distances(parameters, problem, world)[..., points.chosen]
    information = problem.inverse_std[..., points.chosen]
    columns = problem.mean[:, :, points.chosen, 0]
    observed = information > 0
    distance = jnp.sqrt(jnp.where(jnp.isfinite(squared), jnp.minimum(squared, FARTHEST_PX**2), FARTHEST_PX**2))
    normalised = jnp.minimum(distance * information, FARTHEST_SIGMAS) ** 2
    seen = observed.any(-1)
    ordered = jnp.sort(jnp.where(observed, distance, jnp.nan), axis=-1)
    number = observed.sum(-1)
    width = jnp.where(observed, columns, -jnp.inf).max(-1) - jnp.where(observed, columns, jnp.inf).min(-1)
    width = jnp.where(seen, jnp.minimum(width, FARTHEST_PX), jnp.nan)
    outlier = observed & (normalised > OUTLIER_SIGMAS**2) & (distance > OUTLIER_WIDTHS * width[..., None])
    chi_square, chi_square_median = _chi_squares(normalised, observed, points)
    facing = _facing(parameters, points) & seen[..., None]
    spread = jnp.where(observed, 1.0 / jnp.where(observed, information, 1.0), jnp.inf) / width[..., None]
    hidden = facing & ((spread > UNCERTAIN) | (spread > UNUSUAL * usual[:, None]))
    return PointStatistics(
        median_px=_quantile(ordered, number, 0.5),
        p90_px=_quantile(ordered, number, 0.9),
        face_width_px=width,
        outlier_share=jnp.where(seen, outlier.sum(-1) / jnp.maximum(number, 1), jnp.nan),
        chi_square=chi_square,
        chi_square_median=chi_square_median,
        facing=_by_region(facing, points),
        hidden=_by_region(hidden, points),
        astray=_by_region(facing & ~hidden & outlier, points),
    )


def _frames_of(
    parameters: Parameters, problem: FitProblem, start: jax.Array, size: int
) -> tuple[Parameters, FitProblem]:
    """Parameters and observations of `size` frames from `start` on."""

    def part(values: jax.Array, axis: int = 0) -> jax.Array:
        return jax.lax.dynamic_slice_in_dim(values, start, size, axis)

    parameters = dataclasses.replace(
        parameters,
        expression=part(parameters.expression),
        joint_rotations=part(parameters.joint_rotations),
        head_rotation=part(parameters.head_rotation),
        head_translation=part(parameters.head_translation),
    )
    observations = {"mean": part(problem.mean, 1), "inverse_std": part(problem.inverse_std, 1)}
    return parameters, dataclasses.replace(problem, **observations)


def _chi_squares(normalised: jax.Array, observed: jax.Array, points: RegionPoints) -> tuple[jax.Array, jax.Array]:
    """Reduced χ² [F,R] from the mean and from the median of squared residuals [C,F,Q] in units of σ²."""
    cameras = normalised.shape[0]
    number = _by_region(observed, points).sum(0)
    mean = _by_region(jnp.where(observed, normalised, 0.0), points).sum(0) / (2.0 * jnp.maximum(number, 1))
    # One sort for all regions: by region first, then by value, what is not observed at each region's end.
    sizes = np.diff(points.starts)
    region = jnp.asarray(np.repeat(np.arange(len(sizes)), sizes * cameras), jnp.int32)
    values = jnp.where(observed, normalised, jnp.inf)[..., points.listed]
    values = jnp.moveaxis(values, 0, -1).reshape(values.shape[1], -1)
    _, ordered = jax.lax.sort((jnp.broadcast_to(region, values.shape), values), num_keys=2)
    starts = cameras * jnp.asarray(points.starts[:-1], jnp.int32)
    number = number.astype(jnp.int32)
    places = jnp.stack([jnp.maximum(number - 1, 0) // 2, number // 2], axis=-1)
    places = starts[:, None] + places
    middle = jnp.take_along_axis(ordered, places.reshape(len(places), -1), axis=1).reshape(places.shape).mean(-1)
    seen = number > 0
    return jnp.where(seen, mean, jnp.nan), jnp.where(seen, middle / MEDIAN_OF_CHI_SQUARE, jnp.nan)


def _facing(parameters: Parameters, points: RegionPoints) -> jax.Array:
    """Which points [C,F,Q] face the camera, by the neutral head's normals and the head's pose."""
    with jax.default_matmul_precision("highest"):
        camera = -jnp.einsum("cji,cj->ci", parameters.camera_rotation, parameters.camera_translation)
        towards = camera[:, None] - parameters.head_translation
        towards = jnp.einsum("fji,cfj->cfi", parameters.head_rotation, towards) - points.middle
        towards = towards / jnp.maximum(jnp.linalg.norm(towards, axis=-1, keepdims=True), 1e-9)
        return jnp.einsum("cfi,qi->cfq", towards, points.normals) >= FACING_COSINE


def _by_region(values: jax.Array, points: RegionPoints) -> jax.Array:
    """Sums of values [C,F,Q] over each region: [C,F,R]."""
    return jnp.einsum("cfq,rq->cfr", values.astype(jnp.float32), points.members, precision="highest")


def _quantile(ordered: jax.Array, number: jax.Array, share: float) -> jax.Array:
    """Quantile [C,F] of the first `number` [C,F] of ascending values [C,F,Q], between neighbours linearly."""
    place = share * jnp.maximum(number - 1, 0)
    below = jnp.floor(place).astype(jnp.int32)
    ends = jnp.stack([below, jnp.minimum(below + 1, jnp.maximum(number - 1, 0))], axis=-1)
    lower, upper = jnp.moveaxis(jnp.take_along_axis(ordered, ends, axis=-1), -1, 0)
    return lower + (place - below) * (upper - lower)
