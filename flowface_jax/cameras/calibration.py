"""`Calibration`: what a calibration file says about real cameras, and the way to their ideal pinhole images.

`Cameras` knows one focal length per camera and no lens distortion. A calibration keeps the numbers of the source images
(two focal lengths, skew, distortion) beside the ideal pinhole cameras, and maps points and images between the two.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import jax
import numpy as np

from flowface_jax.cameras.distortion import distort, undistort
from flowface_jax.cameras.model import Cameras, make_cameras
from flowface_jax.errors import InputError

_ROTATION_TOLERANCE = 1e-2


@dataclass(frozen=True)
class Calibration:
    """C calibrated cameras. Host (NumPy) arrays; pixels have the centre of the top-left one at (0.5, 0.5).

    cameras: the ideal pinholes; focal √(fx·fy), principal point, pose and image size of the source.
    intrinsics: [C,3,3] float64 of the source images: rows (fx, skew, cx), (0, fy, cy), (0, 0, 1), px.
    distortion: [C,8] float64 in OpenCV's order k1, k2, p1, p2, k3, k4, k5, k6; zeros where absent.
    frame_ids: [C] int64, the frame that each camera belongs to where the source lists one camera per image; −1 for a
        camera that stands for the whole recording.
    length_scale_to_metres: 1 where translations are metres (readers convert where the unit is known); None where the
        scale is arbitrary (structure from motion) and must come from the fit or from `scale_lengths`.
    source: the format that was read. notes: sentences about what was assumed.
    """

    cameras: Cameras
    intrinsics: np.ndarray
    distortion: np.ndarray
    frame_ids: np.ndarray
    length_scale_to_metres: float | None
    source: str
    notes: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        return len(self.frame_ids)

    @property
    def names(self) -> tuple[str, ...]:
        return self.cameras.names

    def index(self, camera: int | str) -> int:
        """The number of a camera given by name or number. Raises InputError if there is none."""
        if isinstance(camera, str):
            if camera not in self.names:
                raise InputError(f"no camera '{camera}' in the calibration; it has {_listed(self.names)}")
            return self.names.index(camera)
        if not 0 <= camera < self.count:
            raise InputError(f"no camera {camera}: the calibration has cameras 0 to {self.count - 1}")
        return int(camera)

    def is_ideal(self, camera: int | str) -> bool:
        """Whether the source images of this camera are those of the ideal pinhole already."""
        c = self.index(camera)
        k = self.intrinsics[c]
        return not self.distortion[c].any() and abs(k[0, 1]) < 1e-9 and abs(k[0, 0] - k[1, 1]) < 1e-6 * k[0, 0]


@dataclass(frozen=True)
class UndistortMaps:
    """Where each pixel of one camera's ideal image lies in its source image; made once, used for every frame.

    source_xy: [H,W,2] float32, OpenCV's pixel indices (centre of the top-left pixel at 0); NaN where the lens model
    shows nothing. None where the source image is the ideal one already. width, height: px.
    """

    source_xy: np.ndarray | None
    width: int
    height: int


def make_calibration(
    names: list[str] | tuple[str, ...],
    intrinsics: object,
    rotation: object,
    translation: object,
    image_size: object,
    distortion: object | None = None,
    frame_ids: object | None = None,
    length_scale_to_metres: float | None = 1.0,
    source: str = "unknown",
    notes: tuple[str, ...] = (),
) -> Calibration:
    """A checked `Calibration` from array-likes of the shapes that it states; rotations [C,3,3], translations [C,3],
    image_size [C,2] (width, height).

    The ideal focal length is √(fx·fy): it keeps the area of a pixel at the principal point, so that undistorting
    neither adds nor loses resolution on the whole and standard deviations in px keep their meaning. Rotations rounded
    in the file (up to 1e-2 from orthogonal) are replaced by the nearest rotation. Raises InputError for anything else
    that is unsound.
    """
    k = np.array(intrinsics, np.float64)
    count = len(names)
    if count == 0:
        raise InputError("expected at least one camera, found none")
    if k.shape != (count, 3, 3):
        raise InputError(f"camera intrinsics: expected shape ({count}, 3, 3), found {k.shape}")
    doubled = sorted({name for name in names if list(names).count(name) > 1}) if len(set(names)) < count else []
    if doubled:
        raise InputError(f"two cameras have the same name: {_listed(doubled)}; camera names must differ")
    for name, matrix in zip(names, k, strict=True):
        _check_intrinsics(name, matrix)
    coefficients = np.zeros((count, 8)) if distortion is None else np.array(distortion, np.float64)
    if coefficients.shape != (count, 8) or not np.isfinite(coefficients).all():
        raise InputError(
            f"camera distortion: expected {count} rows of 8 finite numbers, found shape {coefficients.shape}"
        )
    frames = np.full(count, -1, np.int64) if frame_ids is None else np.array(frame_ids, np.int64)
    cameras = make_cameras(
        focal=np.sqrt(k[:, 0, 0] * k[:, 1, 1]),
        principal_point=k[:, :2, 2],
        rotation=nearest_rotations(rotation, names),
        translation=translation,
        image_size=image_size,
        names=tuple(names),
    )
    return Calibration(cameras, k, coefficients, frames, length_scale_to_metres, source, tuple(notes))


def ideal_calibration(cameras: Cameras, source: str = "flowface") -> Calibration:
    """The calibration of cameras that are ideal pinholes already."""
    focal, centre = np.asarray(cameras.focal, np.float64), np.asarray(cameras.principal_point, np.float64)
    k = np.zeros((cameras.count, 3, 3))
    k[:, 0, 0] = k[:, 1, 1] = focal
    k[:, :2, 2] = centre
    k[:, 2, 2] = 1.0
    frames = np.full(cameras.count, -1, np.int64)
    return Calibration(cameras, k, np.zeros((cameras.count, 8)), frames, 1.0, source)


def select_cameras(calibration: Calibration, names: list[str] | tuple[str, ...]) -> Calibration:
    """Only the named cameras, in the order of `names`. Raises InputError for a name that is absent."""
    ids = np.asarray([calibration.index(str(name)) for name in names], np.int64)
    if not len(ids):
        raise InputError("expected at least one camera name to select, found none")
    chosen: Cameras = jax.tree.map(lambda array: array[ids], calibration.cameras)
    return replace(
        calibration,
        cameras=replace(chosen, names=tuple(calibration.names[c] for c in ids)),
        intrinsics=calibration.intrinsics[ids],
        distortion=calibration.distortion[ids],
        frame_ids=calibration.frame_ids[ids],
    )


def scale_lengths(calibration: Calibration, factor: float) -> Calibration:
    """The same cameras in a world measured in units `factor` times as many: translations × factor, now metres.

    Use it where `length_scale_to_metres` is None and the scale is known from elsewhere.
    """
    if not (np.isfinite(factor) and factor > 0):
        raise InputError(f"length scale: expected a positive number of metres per unit, found {factor}")
    cameras = replace(calibration.cameras, translation=calibration.cameras.translation * factor)
    return replace(calibration, cameras=cameras, length_scale_to_metres=1.0)


def undistort_points(calibration: Calibration, camera: int | str, points: np.ndarray) -> np.ndarray:
    """Points [N,2] px of the source image to px of the ideal pinhole image: [N,2] float64.

    NaN where the lens model explains no ray for the point (outside its invertible radius). Raises InputError for a
    wrong shape.
    """
    c, points = calibration.index(camera), _checked_points(points)
    if calibration.is_ideal(c):
        return points
    plane = _apply(np.linalg.inv(calibration.intrinsics[c]), points)
    return _apply(_ideal_matrix(calibration, c), undistort(plane, calibration.distortion[c]))


def distort_points(calibration: Calibration, camera: int | str, points: np.ndarray) -> np.ndarray:
    """Points [N,2] px of the ideal pinhole image to px of the source image: the inverse of `undistort_points`."""
    c, points = calibration.index(camera), _checked_points(points)
    if calibration.is_ideal(c):
        return points
    plane = _apply(np.linalg.inv(_ideal_matrix(calibration, c)), points)
    return _apply(calibration.intrinsics[c], distort(plane, calibration.distortion[c]))


def undistort_maps(calibration: Calibration, camera: int | str) -> UndistortMaps:
    """The sampling map of one camera for `undistort_image`; keep it for all frames of that camera."""
    c = calibration.index(camera)
    width, height = (int(n) for n in np.asarray(calibration.cameras.image_size[c]))
    if calibration.is_ideal(c):
        return UndistortMaps(None, width, height)
    columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    source = distort_points(calibration, c, np.stack([columns.ravel(), rows.ravel()], axis=-1))
    # OpenCV's remap counts pixels from the centre of the top-left one, our coordinates from its corner.
    return UndistortMaps((source - 0.5).reshape(height, width, 2).astype(np.float32), width, height)


def undistort_image(
    calibration: Calibration, camera: int | str, image: np.ndarray, maps: UndistortMaps | None = None
) -> np.ndarray:
    """The image [H,W] or [H,W,channels] as the ideal pinhole would have seen it, bilinear; black where unknown.

    maps: from `undistort_maps` of the same camera; made anew where absent. An image that is ideal already is returned
    itself. Raises InputError where the image does not have the calibrated size.
    """
    maps = undistort_maps(calibration, camera) if maps is None else maps
    if image.ndim not in (2, 3) or image.shape[:2] != (maps.height, maps.width):
        raise InputError(
            f"camera {camera} is calibrated for images of {maps.width} x {maps.height} px, found shape "
            f"{list(image.shape)}; scale the image or the calibration"
        )
    if maps.source_xy is None:
        return image
    outside = -1e4  # OpenCV turns NaN into an arbitrary pixel; a far point gives the black border.
    source = np.nan_to_num(maps.source_xy, nan=outside)
    return cv2.remap(image, source, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)


def nearest_rotations(matrices: object, names: list[str] | tuple[str, ...]) -> np.ndarray:
    """The rotations [C,3,3] nearest to almost orthogonal matrices (numbers rounded in a text file).

    Raises InputError naming the camera for a matrix that is no rotation: scaled, mirrored or not finite.
    """
    matrices = np.array(matrices, np.float64)
    if matrices.shape != (len(names), 3, 3):
        raise InputError(f"camera rotation: expected shape ({len(names)}, 3, 3), found {matrices.shape}")
    result = np.empty_like(matrices)
    for c, matrix in enumerate(matrices):
        found = not np.isfinite(matrix).all() or np.abs(matrix @ matrix.T - np.eye(3)).max() > _ROTATION_TOLERANCE
        if found or np.linalg.det(matrix) < 0:
            raise InputError(
                f"camera '{names[c]}': expected a right-handed rotation matrix, found {np.round(matrix, 4).tolist()}"
            )
        left, _, right = np.linalg.svd(matrix)
        result[c] = left @ right
    return result


def _check_intrinsics(name: str, matrix: np.ndarray) -> None:
    if not np.isfinite(matrix).all():
        raise InputError(f"camera '{name}': intrinsics hold NaN or infinity")
    if matrix[0, 0] <= 0 or matrix[1, 1] <= 0:
        raise InputError(f"camera '{name}': focal lengths must be positive px, found {matrix[0, 0]}, {matrix[1, 1]}")
    if np.abs(matrix[2] - (0, 0, 1)).max() > 1e-9 or abs(matrix[1, 0]) > 1e-9:
        raise InputError(f"camera '{name}': intrinsics must have rows (fx, s, cx), (0, fy, cy), (0, 0, 1)")


def _checked_points(points: np.ndarray) -> np.ndarray:
    points = np.asarray(points, np.float64)
    if points.ndim != 2 or points.shape[1] != 2:
        raise InputError(f"image points: expected shape [N, 2], found {list(points.shape)}")
    return points


def _ideal_matrix(calibration: Calibration, c: int) -> np.ndarray:
    k = calibration.intrinsics[c]
    focal = np.sqrt(k[0, 0] * k[1, 1])
    return np.asarray([[focal, 0, k[0, 2]], [0, focal, k[1, 2]], [0, 0, 1]])


def _apply(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ matrix[:2, :2].T + matrix[:2, 2]


def _listed(names: list[str] | tuple[str, ...], most: int = 8) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown}, … ({len(names)} in all)"
