"""USD: the head as a mesh with a point for every vertex and frame (point cache), and the cameras.

USD measures a camera's film and focal length in tenths of a scene unit; ours are in px, so a film of 36 mm width is
assumed: only ratios matter for what the camera sees.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flowface_jax.cameras.conversion import opengl_from_opencv
from flowface_jax.errors import MissingDependencyError
from flowface_jax.exporting.mesh_sequences import posed_vertices
from flowface_jax.exporting.performance import Performance
from flowface_jax.exporting.target import Target
from flowface_jax.reporting import Reporter

if TYPE_CHECKING:
    from pxr import Usd

_FILM_MM = 36.0
_METRES_IN_A_TENTH_OF_A_UNIT = 0.1
_IDENTIFIER = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"


@dataclasses.dataclass(frozen=True)
class UsdSettings:
    """cameras: write the cameras. subdivided: as a Catmull-Clark surface instead of plain polygons."""

    cameras: bool = True
    subdivided: bool = False


def write_usd(performance: Performance, path: Path, settings: UsdSettings, reporter: Reporter) -> None:
    """Write a binary .usd stage. Raises MissingDependencyError where usd-core is not installed."""
    try:
        from pxr import Sdf, Usd, UsdGeom
    except ImportError:
        raise MissingDependencyError("exporting USD needs usd-core: pip install 'flowface-jax[usd]'") from None
    track, head = performance.track, performance.head
    stage = Usd.Stage.CreateNew(str(path))
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.y)
    UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    codes = _time_codes(performance)
    stage.SetTimeCodesPerSecond(performance.frame_rate)
    stage.SetFramesPerSecond(performance.frame_rate)
    stage.SetStartTimeCode(float(codes[0]))
    stage.SetEndTimeCode(float(codes[-1]))
    root = UsdGeom.Xform.Define(stage, "/performance")
    stage.SetDefaultPrim(root.GetPrim())
    root.GetPrim().SetCustomDataByKey("head", head.name)
    root.GetPrim().SetCustomDataByKey("licence", head.licence)
    # Our world has OpenCV's axes: y points down there.
    root.AddRotateXOp().Set(180.0)
    mesh = UsdGeom.Mesh.Define(stage, "/performance/head")
    triangles = np.asarray(head.triangles)
    mesh.CreateFaceVertexCountsAttr(np.full(len(triangles), 3, np.int32))
    mesh.CreateFaceVertexIndicesAttr(triangles.astype(np.int32).ravel())
    scheme = UsdGeom.Tokens.catmullClark if settings.subdivided else UsdGeom.Tokens.none
    mesh.CreateSubdivisionSchemeAttr(scheme)
    coordinates = UsdGeom.PrimvarsAPI(mesh).CreatePrimvar(
        "st", Sdf.ValueTypeNames.TexCoord2fArray, UsdGeom.Tokens.vertex
    )
    coordinates.Set(np.asarray(head.uv, np.float32))
    _write_points(mesh, performance, codes, reporter)
    if settings.cameras:
        for c in range(track.cameras.count):
            _write_camera(stage, performance, c)
    stage.GetRootLayer().Save()


def _time_codes(performance: Performance) -> np.ndarray:
    """[F] in frames at the stage's rate; films of varying rate keep their true times."""
    times = performance.frame_times
    codes = (times - times[0]) * performance.frame_rate
    whole = np.rint(codes)
    return whole if np.abs(codes - whole).max() < 0.02 else codes


def _write_points(mesh: Any, performance: Performance, codes: np.ndarray, reporter: Reporter) -> None:
    points, extent = mesh.CreatePointsAttr(), mesh.CreateExtentAttr()
    bar = reporter.bar("usd", performance.track.frame_count, "frames")
    for frame, vertices in enumerate(posed_vertices(performance, "world")):
        points.Set(np.ascontiguousarray(vertices, np.float32), float(codes[frame]))
        box = np.stack([vertices.min(0), vertices.max(0)]).astype(np.float32)
        extent.Set(box, float(codes[frame]))
        bar.advance_to(frame + 1)
    bar.close()


def _write_camera(stage: Usd.Stage, performance: Performance, c: int) -> None:
    from pxr import Gf, UsdGeom

    cameras = performance.track.cameras
    name = "".join(letter if letter in _IDENTIFIER else "_" for letter in cameras.names[c])
    camera = UsdGeom.Camera.Define(stage, f"/performance/camera_{c:02d}_{name}")
    width, height = (int(n) for n in np.asarray(cameras.image_size)[c])
    centre = np.asarray(cameras.principal_point, np.float64)[c]
    # Tenths of the scene's unit, a metre: 36 mm of film are 0.36 of them.
    film = _FILM_MM / 1000.0 / _METRES_IN_A_TENTH_OF_A_UNIT
    per_px = film / width
    camera.CreateHorizontalApertureAttr(film)
    camera.CreateVerticalApertureAttr(per_px * height)
    camera.CreateFocalLengthAttr(per_px * float(cameras.focal[c]))
    # The film's centre seen from the axis, x right and y up.
    camera.CreateHorizontalApertureOffsetAttr(per_px * (0.5 * width - centre[0]))
    camera.CreateVerticalApertureOffsetAttr(per_px * (centre[1] - 0.5 * height))
    camera.CreateClippingRangeAttr(Gf.Vec2f(0.01, 100.0))
    pose = opengl_from_opencv(np.asarray(cameras.rotation)[c], np.asarray(cameras.translation)[c])
    # USD's matrices act on row vectors.
    camera.AddTransformOp().Set(Gf.Matrix4d(pose.T.tolist()))


TARGET = Target("usd", "USD with a point cache and cameras (needs usd-core)", UsdSettings, write_usd, ".usd")
