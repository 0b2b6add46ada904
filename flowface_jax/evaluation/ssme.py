"""The screen space motion error: how well a track's motion over the image agrees with the truth's.

FlowFace (CVPR 2024), section 3.3, equations 15 to 17, read as follows where the paper leaves it open.

- Pixels: those of frame t at which the true mesh shows a triangle of the region, all of whose corners are in the
  region's mask, and which the predicted mesh covers too, whatever it shows there. The share that it covers is reported
  as `coverage`; a pixel that it does not cover has no predicted flow and does not count. Nearest triangles win, and
  both sides of a triangle are drawn.
- Flow: of the surface point which that pixel shows, on each mesh by itself, to where the mesh takes it in frame t+h.
  A point is followed even when something hides it in frame t+h or it leaves the image: a tracked mesh says where it
  is. `only_seen_later` leaves such points out, as far as the truth tells.
- Equation 15: printed as a squared norm of the masked flow; the text averages the L2 distance over pixels, in px, and
  so does this: the mean over the region's pixels of the length of the difference.
- Equation 16: the mean over the frames t for which both t and t+h have a result in both meshes; others are left out
  and the number of those that count is reported.
- Equation 17: printed as a sum; the text and the published numbers are the average over the windows, and so is `mean`;
  `printed_sum` is the sum.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np

from flowface_jax.errors import InputError
from flowface_jax.evaluation.mesh_sequence import MeshSequence, Projected, seen_by
from flowface_jax.evaluation.screen_flow import (
    Points,
    ScreenMesh,
    followed,
    pixel_grid,
    region_sums,
    screen_mesh,
    seen_triangles,
    wholly_seen,
)

REGIONS = ("face", "eyes", "nose", "mouth", "ears")
"""The regions of the paper's tables."""
WINDOWS = 30
"""N_H: one second at 30 frames per second."""
_SMALLEST_BATCH = 256


@dataclasses.dataclass(frozen=True)
class SsmeConfig:
    """How the error is computed.

    longest_window: N_H, frames. stride: count every so manieth column and row of pixels. only_seen_later: leave out
    points that are hidden in the truth at t+h, or beyond the image. prediction_perspective, truth_perspective: False
    for an orthographic or weak-perspective camera. pixels_at_once: bounds the memory, less than a kilobyte each at
    30 windows.
    """

    longest_window: int = WINDOWS
    stride: int = 1
    only_seen_later: bool = False
    prediction_perspective: bool = True
    truth_perspective: bool = True
    pixels_at_once: int = 65536

    def __post_init__(self) -> None:
        for name in ("longest_window", "stride", "pixels_at_once"):
            if getattr(self, name) < 1:
                raise InputError(f"ssme.{name}: expected 1 or more, found {getattr(self, name)}")


@dataclasses.dataclass(frozen=True, eq=False)
class SsmeResult:
    """The error of R regions at N_H windows over F frames, px. Host arrays.

    regions: names. windows: [N_H] frames. ssme: [R,N_H] (equation 16), NaN where no frame counts. mean: [R] over the
    windows in which a frame counts (equation 17 as an average). frames_counted: [R,N_H]. coverage: [R] share of the
    region's pixels that the prediction covers, over the frames looked at. per_frame: [F,N_H,R] float64 EPE from t to
    t+h (equation 15), NaN where it does not count. pixels: [F,R] of the region in the truth, 0 where not looked at.
    """

    regions: tuple[str, ...]
    windows: np.ndarray
    ssme: np.ndarray
    mean: np.ndarray
    frames_counted: np.ndarray
    coverage: np.ndarray
    per_frame: np.ndarray
    pixels: np.ndarray

    @property
    def printed_sum(self) -> np.ndarray:
        """[R] px: equation 17 to the letter, the sum over the windows in which a frame counts."""
        return np.where(np.isnan(self.mean), np.nan, np.nansum(self.ssme, axis=1))

    def of(self, region: str) -> float:
        """The mean error of one region, px. Raises InputError for a region that was not measured."""
        if region not in self.regions:
            raise InputError(f"expected a region of {', '.join(self.regions)}, found '{region}'")
        return float(self.mean[self.regions.index(region)])


def screen_space_motion_error(
    prediction: Projected,
    prediction_triangles: np.ndarray,
    prediction_valid: np.ndarray,
    truth: Projected,
    truth_triangles: np.ndarray,
    truth_valid: np.ndarray,
    regions: Mapping[str, np.ndarray],
    config: SsmeConfig | None = None,
) -> SsmeResult:
    """The screen space motion error of a prediction against the truth, as this module says.

    Both over the same F frames of the same image; numbers of vertices and triangles may differ. prediction_triangles:
    [T',3]. truth_triangles: [T,3]. prediction_valid, truth_valid: [F] bool. regions: masks [V] bool over the truth's
    vertices, by name. Memory does not grow with frames x pixels. Raises InputError for meshes that `screen_mesh`
    refuses, different numbers of frames or image sizes, fewer than two frames, masks that hold no triangle.
    """
    config = SsmeConfig() if config is None else config
    tracked = screen_mesh(
        prediction, prediction_triangles, prediction_valid, config.prediction_perspective, "prediction"
    )
    true = screen_mesh(truth, truth_triangles, truth_valid, config.truth_perspective, "truth")
    _check_pair(tracked, true)
    labels = _triangle_labels(regions, true)
    windows = np.arange(1, config.longest_window + 1)
    frames, region_count = true.frame_count, labels.shape[1]
    errors = np.full((frames, len(windows), region_count), np.nan)
    pixels, covered = np.zeros((2, frames, region_count), np.int64)
    both = tracked.valid & true.valid
    visibility = _Visibility(true, config)
    for t in np.flatnonzero(both):
        later = t + windows
        counts = (later < frames) & both[np.minimum(later, frames - 1)]
        if counts.any():
            sums, kept, pixels[t], covered[t] = _frame_sums(tracked, true, labels, int(t), config, visibility)
            usable = (kept > 0) & counts[:, None]
            errors[t][usable] = sums[usable] / kept[usable]
    return _result(tuple(regions), windows, errors, pixels, covered)


def sequence_motion_error(
    prediction: MeshSequence,
    truth: MeshSequence,
    config: SsmeConfig | None = None,
    camera: int = 0,
    regions: Mapping[str, np.ndarray] | None = None,
) -> SsmeResult:
    """The screen space motion error of a sequence in one of the truth's cameras, over `regions` [V] bool of the truth's
    vertices, else over those of the paper's that it has; with perspective as `seen_by` finds it in either.

    Raises InputError where a sequence has no such camera, the truth none of the regions, or as
    `screen_space_motion_error`.
    """
    if regions is None:
        regions = {name: truth.regions[name] for name in REGIONS if name in truth.regions}
    if not regions:
        raise InputError(f"{truth.name or 'the truth'}: expected masks of {', '.join(REGIONS)}, found none of them")
    seen, true = seen_by(prediction, camera), seen_by(truth, camera)
    config = dataclasses.replace(
        config or SsmeConfig(), prediction_perspective=seen.perspective, truth_perspective=true.perspective
    )
    return screen_space_motion_error(
        seen.projected,
        prediction.triangles,
        prediction.valid,
        true.projected,
        truth.triangles,
        truth.valid,
        regions,
        config,
    )


def _check_pair(tracked: ScreenMesh, true: ScreenMesh) -> None:
    if tracked.frame_count != true.frame_count:
        raise InputError(
            f"expected a prediction for each of the truth's {true.frame_count} frames, found {tracked.frame_count}; "
            "give frames without a result as invalid ones"
        )
    if tracked.projected.size != true.projected.size:
        raise InputError(
            f"expected prediction and truth in the same image, found {tracked.projected.size} and "
            f"{true.projected.size} px; scale one to the other"
        )
    if true.frame_count < 2:
        raise InputError("expected at least two frames to measure motion, found one")


def _triangle_labels(regions: Mapping[str, np.ndarray], true: ScreenMesh) -> np.ndarray:
    """[T,R] bool: triangles whose corners are all in the region's mask."""
    if not regions:
        raise InputError("expected at least one region of the truth, found none")
    count = true.homogeneous.shape[1]
    columns = []
    for name, mask in regions.items():
        mask = np.asarray(mask)
        if mask.shape != (count,) or mask.dtype != bool:
            raise InputError(
                f"region '{name}': expected true or false for each of the truth's {count} vertices, found "
                f"{mask.dtype} {mask.shape}"
            )
        columns.append(mask[true.triangles].all(1))
        if not columns[-1].any():
            raise InputError(f"region '{name}' is empty: it holds no triangle of the truth; leave it out")
    return np.stack(columns, axis=1)


class _Visibility:
    """Which true triangles are seen in the frames ahead; each frame is drawn once and forgotten when it is past."""

    def __init__(self, true: ScreenMesh, config: SsmeConfig) -> None:
        self._true, self._config = true, config
        self._known: dict[int, np.ndarray] = {}

    def ahead(self, frame: int) -> np.ndarray | None:
        """[T,N_H] bool, or None where that is not asked for."""
        if not self._config.only_seen_later:
            return None
        wanted = range(frame + 1, frame + 1 + self._config.longest_window)
        known, self._known = self._known, {}
        nothing = np.zeros(len(self._true.triangles), bool)
        for later in wanted:
            if later < self._true.frame_count and self._true.valid[later]:
                self._known[later] = known[later] if later in known else wholly_seen(self._true, later)
        return np.stack([self._known.get(later, nothing) for later in wanted], axis=1)


def _frame_sums(
    tracked: ScreenMesh, true: ScreenMesh, labels: np.ndarray, frame: int, config: SsmeConfig, visibility: _Visibility
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Sums of errors and numbers of pixels that count [N_H,R], pixels of the regions and those covered [R]."""
    grid = np.zeros(true.projected.size[::-1], bool)
    grid[config.stride // 2 :: config.stride, config.stride // 2 :: config.stride] = True
    true_triangle, shown = seen_triangles(true, frame), seen_triangles(tracked, frame)
    wanted = np.append(labels.any(1), False)[true_triangle] & grid
    members = labels[true_triangle[wanted]]
    both = wanted & (shown >= 0)
    place = np.flatnonzero(both)
    points = [followed(mesh, frame, config.longest_window) for mesh in (tracked, true)]
    triangles = shown.ravel()[place], true_triangle.ravel()[place]
    sums, kept = _summed(points, triangles, place, labels, true, visibility.ahead(frame), config.pixels_at_once)
    return sums.T, kept.T, members.sum(0), labels[triangles[1]].sum(0)


def _summed(
    points: list[Points],
    triangles: tuple[np.ndarray, np.ndarray],
    place: np.ndarray,
    labels: np.ndarray,
    true: ScreenMesh,
    seen: np.ndarray | None,
    pixels_at_once: int,
) -> tuple[np.ndarray, np.ndarray]:
    """`region_sums` [R,N_H] over all pixels `place`, batch by batch; batches come in few sizes, so few are compiled."""
    grid, reach = pixel_grid(true.projected.size), jnp.asarray(true.middle)
    visible = None if seen is None else jnp.asarray(seen)
    sums, kept = np.zeros((2, labels.shape[1], points[0].later.shape[-1]))
    for first in range(0, len(place), pixels_at_once):
        batch = slice(first, min(first + pixels_at_once, len(place)))
        count = batch.stop - batch.start
        length = min(pixels_at_once, max(_SMALLEST_BATCH, 1 << (count - 1).bit_length()))
        # Padding repeats the first pixel, which then belongs to no region.
        rows = np.where(np.arange(length) < count, batch.start + np.arange(length), batch.start)
        member = labels[triangles[1][rows]] & (np.arange(length) < count)[:, None]
        sides = [side._replace(triangle=jnp.asarray(t[rows])) for side, t in zip(points, triangles, strict=True)]
        found = region_sums(*sides, jnp.asarray(grid[place[rows]]), jnp.asarray(member, jnp.float32), visible, reach)
        sums, kept = sums + np.asarray(found[0], np.float64), kept + np.asarray(found[1], np.float64)
    return sums, kept


def _result(
    names: tuple[str, ...], windows: np.ndarray, errors: np.ndarray, pixels: np.ndarray, covered: np.ndarray
) -> SsmeResult:
    counted = np.isfinite(errors)
    frames = counted.sum(0).T
    with np.errstate(invalid="ignore", divide="ignore"):
        ssme = np.where(counted, errors, 0).sum(0).T / np.where(frames > 0, frames, np.nan)
        used = np.isfinite(ssme)
        mean = np.where(used, ssme, 0).sum(1) / np.where(used.any(1), used.sum(1), np.nan)
        total = pixels.sum(0)
        coverage = covered.sum(0) / np.where(total > 0, total, np.nan)
    return SsmeResult(names, windows, ssme, mean, frames, coverage, errors, pixels)
