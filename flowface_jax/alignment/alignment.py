"""`Alignment`: where each observed surface point is in each image and how sure that is; what stage 1 tells stage 2."""

from __future__ import annotations

import os
from typing import Literal

import numpy as np

from flowface_jax.conventions import CONVENTIONS
from flowface_jax.errors import InputError
from flowface_jax.heads.model import HeadModel, SurfacePoints
from flowface_jax.pytrees import pytree_dataclass, static_field
from flowface_jax.storage import read_npz, write_npz

FORMAT = "flowface-alignment/1"
PointSet = Literal["vertices", "mediapipe", "landmarks", "surface"]


@pytree_dataclass
class Alignment:
    """Observations of P surface points in F frames of C cameras. Host (NumPy) arrays.

    mean: [C,F,P,2] float32 px of the full image. std: [C,F,P] float32 px, > 0; infinity means "not observed".
    valid: [C,F] bool, False where that camera saw no face in that frame. image_size: [C,2] int32 (width, height).
    vertex_ids: [P,3] int32 and barycentric: [P,3] float32, used where point_set is "surface"; else [placed,3].
    frame_times: [F] float64 seconds since the start; frame_ids: [F] int64 number of the frame in its source.
    point_set: "vertices" (every vertex of the head, in order), "mediapipe" (the 478 points), "landmarks" (the 68),
        or "surface" (triangle + barycentric, for one certain head). camera_names: C names. source: what made it.
    placed: how many points, the last ones, were placed by hand (see `alignment.key_points`): they are not of the point
        set, count fully, and are never taken for outliers.
    """

    mean: np.ndarray
    std: np.ndarray
    valid: np.ndarray
    image_size: np.ndarray
    vertex_ids: np.ndarray
    barycentric: np.ndarray
    frame_times: np.ndarray
    frame_ids: np.ndarray
    point_set: PointSet = static_field()
    camera_names: tuple[str, ...] = static_field()
    source: str = static_field()
    placed: int = static_field(default=0)

    @property
    def camera_count(self) -> int:
        return self.mean.shape[0]

    @property
    def frame_count(self) -> int:
        return self.mean.shape[1]

    @property
    def point_count(self) -> int:
        return self.mean.shape[2]

    def points_on(self, head: HeadModel) -> SurfacePoints:
        """The observed points as places on this head. Raises InputError where counts or vertex ids do not fit it."""
        if self.point_set == "surface":
            if int(self.vertex_ids.max(initial=-1)) >= head.vertex_count:
                raise InputError(
                    f"the alignment names vertex {int(self.vertex_ids.max())}, but head '{head.name}' has "
                    f"{head.vertex_count} vertices; use the head that the alignment was made for"
                )
            return SurfacePoints(self.vertex_ids, self.barycentric)
        found = self._of_point_set(head)
        if not self.placed:
            return found
        return SurfacePoints(
            np.concatenate([np.asarray(found.vertex_ids), self.vertex_ids]),
            np.concatenate([np.asarray(found.barycentric), self.barycentric]),
        )

    def _of_point_set(self, head: HeadModel) -> SurfacePoints:
        """The points that were not placed by hand, of a set that every head has."""
        count = self.point_count - self.placed
        if self.point_set == "vertices":
            if count != head.vertex_count:
                raise InputError(
                    f"the alignment has {count} vertices, but head '{head.name}' has {head.vertex_count}; "
                    "use the head that the alignment was made for"
                )
            ids = np.repeat(np.arange(head.vertex_count, dtype=np.int32)[:, None], 3, axis=1)
            return SurfacePoints(ids, np.tile(np.asarray([[1, 0, 0]], np.float32), (len(ids), 1)))
        embedded = head.mediapipe if self.point_set == "mediapipe" else head.landmarks
        if embedded.count == 0:
            raise InputError(
                f"head '{head.name}' has no {self.point_set} embedding; bind it first (flowface convert head)"
            )
        if embedded.count != count:
            raise InputError(f"the alignment has {count} {self.point_set} points, expected {embedded.count}")
        return embedded

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the .npz form, conventions included."""
        write_npz(
            path,
            {
                "format": np.asarray(FORMAT),
                "conventions": np.asarray([f"{key}: {text}" for key, text in CONVENTIONS.items()]),
                "mean_px": self.mean,
                "std_px": self.std,
                "valid": self.valid,
                "image_size": self.image_size,
                "vertex_ids": self.vertex_ids,
                "barycentric": self.barycentric,
                "frame_times_s": self.frame_times,
                "frame_ids": self.frame_ids,
                "point_set": np.asarray(self.point_set),
                "camera_names": np.asarray(self.camera_names),
                "source": np.asarray(self.source),
                "placed": np.asarray(self.placed),
            },
        )

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Alignment:
        """Read and check the .npz form. Raises InputError for anything that is not a sound alignment."""
        arrays = read_npz(
            path, "a flowface alignment", required=("mean_px", "std_px", "valid", "image_size", "point_set")
        )
        if str(arrays.get("format", FORMAT)) != FORMAT:
            raise InputError(f"{path} is of the form {arrays['format']}; this version reads {FORMAT}")
        frames = arrays["mean_px"].shape[1] if arrays["mean_px"].ndim == 4 else 0
        cameras = arrays["mean_px"].shape[0] if arrays["mean_px"].ndim == 4 else 0
        try:
            return make_alignment(
                mean=arrays["mean_px"],
                std=arrays["std_px"],
                valid=arrays["valid"],
                image_size=arrays["image_size"],
                point_set=str(arrays["point_set"]),  # type: ignore[arg-type]
                vertex_ids=arrays.get("vertex_ids"),
                barycentric=arrays.get("barycentric"),
                frame_times=arrays.get("frame_times_s", np.arange(frames, dtype=np.float64)),
                frame_ids=arrays.get("frame_ids", np.arange(frames)),
                camera_names=[str(n) for n in arrays.get("camera_names", [f"camera{c}" for c in range(cameras)])],
                source=str(arrays.get("source", "unknown")),
                placed=int(arrays.get("placed", 0)),
            )
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        except (TypeError, ValueError, OverflowError) as error:
            raise InputError(f"{path}: an array of the alignment does not hold numbers ({error})") from None


def make_alignment(
    mean: np.ndarray,
    std: np.ndarray,
    valid: np.ndarray,
    image_size: np.ndarray,
    point_set: PointSet,
    vertex_ids: np.ndarray | None = None,
    barycentric: np.ndarray | None = None,
    frame_times: np.ndarray | None = None,
    frame_ids: np.ndarray | None = None,
    camera_names: list[str] | tuple[str, ...] | None = None,
    source: str = "unknown",
    placed: int = 0,
) -> Alignment:
    """An `Alignment` from array-likes, checked; unobserved points (std infinite) get mean 0 so that no NaN remains.

    Raises InputError for wrong shapes, NaN or non-positive standard deviations, or non-finite means that are not
    marked as unobserved.
    """
    mean = np.array(mean, np.float32)
    std = np.array(std, np.float32)
    valid = np.array(valid, bool)
    if mean.ndim != 4 or mean.shape[-1] != 2:
        raise InputError(f"alignment mean: expected shape [cameras, frames, points, 2], found {list(mean.shape)}")
    cameras, frames, count, _ = mean.shape
    size = np.array(image_size, np.int32)
    for name, array, shape in (
        ("std", std, (cameras, frames, count)),
        ("valid", valid, (cameras, frames)),
        ("image_size", size, (cameras, 2)),
    ):
        if array.shape != shape:
            raise InputError(f"alignment {name}: expected shape {list(shape)}, found {list(array.shape)}")
    if cameras * frames * count == 0:
        raise InputError(f"the alignment is empty: {cameras} cameras, {frames} frames, {count} points")
    if (size <= 0).any():
        raise InputError(f"alignment image_size: expected positive widths and heights, found {size.tolist()}")
    if point_set not in ("vertices", "mediapipe", "landmarks", "surface"):
        raise InputError(
            f"alignment point_set: expected vertices, mediapipe, landmarks or surface, found '{point_set}'"
        )
    _settle_observations(mean, std, valid)
    if not 0 <= placed < count:
        raise InputError(f"alignment placed: expected 0 to {count - 1} of its {count} points, found {placed}")
    vertex_ids, barycentric = _surface_points(count if point_set == "surface" else placed, vertex_ids, barycentric)
    times = np.arange(frames, dtype=np.float64) if frame_times is None else np.array(frame_times, np.float64)
    ids = np.arange(frames) if frame_ids is None else np.array(frame_ids, np.int64)
    names = tuple(camera_names) if camera_names is not None else tuple(f"camera{c}" for c in range(cameras))
    if times.shape != (frames,) or ids.shape != (frames,) or len(names) != cameras:
        raise InputError("alignment frame_times, frame_ids and camera_names must match the frames and cameras")
    if not np.isfinite(times).all():
        raise InputError("alignment frame_times hold NaN or infinity")
    return Alignment(mean, std, valid, size, vertex_ids, barycentric, times, ids, point_set, names, source, placed)


def _settle_observations(mean: np.ndarray, std: np.ndarray, valid: np.ndarray) -> None:
    """Check what is observed; in place, give what is not an infinite standard deviation and the mean 0."""
    if np.isnan(std[valid]).any():
        raise InputError("alignment standard deviations hold NaN; mark unobserved points with infinity")
    if (std[valid] <= 0).any():
        raise InputError("alignment standard deviations must be positive; mark unobserved points with infinity")
    observed = valid[..., None] & np.isfinite(std)
    if not np.isfinite(mean[observed]).all():
        raise InputError("alignment means hold NaN or infinity at points that are marked as observed")
    std[~valid] = np.inf
    mean[~observed] = 0.0


def _surface_points(
    count: int, vertex_ids: np.ndarray | None, barycentric: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Checked vertex ids and barycentric coordinates of the `count` points that need them: [count,3] each."""
    if count == 0:
        return np.zeros((0, 3), np.int32), np.zeros((0, 3), np.float32)
    if vertex_ids is None or barycentric is None:
        raise InputError("an alignment of surface points needs vertex_ids and barycentric")
    vertex_ids, barycentric = np.array(vertex_ids, np.int32), np.array(barycentric, np.float32)
    if vertex_ids.shape != (count, 3) or barycentric.shape != (count, 3):
        raise InputError(f"alignment vertex_ids and barycentric: expected shape [{count}, 3]")
    # Written with "not <=" so that NaN is refused too.
    if vertex_ids.min() < 0 or not np.abs(barycentric.sum(1) - 1).max() <= 1e-3:
        raise InputError("alignment surface points: negative vertex ids, or barycentric rows that do not sum to 1")
    return vertex_ids, barycentric
