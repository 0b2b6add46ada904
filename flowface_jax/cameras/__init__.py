"""Cameras: the pinhole model, calibrations of real cameras, readers of foreign calibration files, conventions."""

from flowface_jax.cameras.calibration import (
    Calibration,
    UndistortMaps,
    distort_points,
    ideal_calibration,
    make_calibration,
    scale_lengths,
    select_cameras,
    undistort_image,
    undistort_maps,
    undistort_points,
)
from flowface_jax.cameras.model import Cameras, make_cameras, project
from flowface_jax.cameras.source import load_cameras

__all__ = [
    "Calibration",
    "Cameras",
    "UndistortMaps",
    "distort_points",
    "ideal_calibration",
    "load_cameras",
    "make_calibration",
    "make_cameras",
    "project",
    "scale_lengths",
    "select_cameras",
    "undistort_image",
    "undistort_maps",
    "undistort_points",
]
