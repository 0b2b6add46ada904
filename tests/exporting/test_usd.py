"""USD: opened by usd-core, the mesh lies in its cameras where the track has it."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from flowface_jax.errors import MissingDependencyError
from flowface_jax.exporting import export
from tests.exporting.performances import FRAMES, HEIGHT, WIDTH, image_vertices, performance


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    pytest.importorskip("pxr", reason="usd-core is not installed: pip install 'flowface-jax[usd]'")
    return export(performance(), "usd", tmp_path_factory.mktemp("usd") / "head.usd")


def test_every_frame_lies_in_both_cameras_images(exported):
    from pxr import Gf, Usd, UsdGeom

    stage = Usd.Stage.Open(str(exported))
    mesh = UsdGeom.Mesh(stage.GetPrimAtPath("/performance/head"))
    cameras = [UsdGeom.Camera(prim) for prim in stage.Traverse() if prim.IsA(UsdGeom.Camera)]
    assert stage.GetEndTimeCode() - stage.GetStartTimeCode() == FRAMES - 1
    for frame in range(FRAMES):
        code = stage.GetStartTimeCode() + frame
        place = np.asarray(UsdGeom.Xformable(mesh).ComputeLocalToWorldTransform(code))
        points = np.asarray(mesh.GetPointsAttr().Get(code))
        box = np.asarray(mesh.GetExtentAttr().Get(code))
        np.testing.assert_allclose(box, [points.min(0), points.max(0)], atol=1e-6)
        world = np.c_[points, np.ones(len(points))] @ place
        for number, camera in enumerate(cameras):
            lens = camera.GetCamera(code)
            seen = world @ np.asarray(lens.transform.GetInverse())
            # The frustum of the film, offsets included, fills the image.
            window = lens.frustum.GetWindow()
            (left, bottom), (right, top) = np.asarray(window.GetMin()), np.asarray(window.GetMax())
            flat = seen[:, :2] / -seen[:, 2:3]
            pixels = (flat - [left, top]) / [right - left, bottom - top] * [WIDTH, HEIGHT]
            assert np.abs(pixels - image_vertices()[number, frame]).max() < 0.1
    assert isinstance(lens.frustum, Gf.Frustum)


def test_usdcheckers_rules_find_nothing(exported):
    from pxr import Usd, UsdUtils

    if hasattr(UsdUtils, "ComplianceChecker"):
        checker = UsdUtils.ComplianceChecker(arkit=False, skipARKitRootLayerCheck=True)
        checker.CheckCompliance(str(exported))
        assert checker.GetErrors() == [] and checker.GetFailedChecks() == [] and checker.GetWarnings() == []
        return
    # Releases from 2026 on have the rules as validators.
    from pxr import UsdValidation

    validators = UsdValidation.ValidationRegistry().GetOrLoadAllValidators()
    assert len(validators) > 10
    found = UsdValidation.ValidationContext(validators).Validate(Usd.Stage.Open(str(exported)))
    assert [error.GetErrorAsString() for error in found] == []


def test_units_and_axes_are_stated(exported):
    from pxr import Usd, UsdGeom

    stage = Usd.Stage.Open(str(exported))
    assert UsdGeom.GetStageMetersPerUnit(stage) == 1.0 and UsdGeom.GetStageUpAxis(stage) == "Y"
    assert stage.GetTimeCodesPerSecond() == pytest.approx(30)
    assert stage.GetDefaultPrim().GetPath() == "/performance"


def test_without_usd_core_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pxr", None)
    with pytest.raises(MissingDependencyError, match=r"flowface-jax\[usd\]"):
        export(performance(), "usd", tmp_path / "head.usd")
    assert list(tmp_path.iterdir()) == []
