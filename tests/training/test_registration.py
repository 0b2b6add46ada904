"""Registration of made-up scans, whose every vertex is known: on the surface, and moved along it as the skin moves."""

import dataclasses
import functools
import json

import cv2
import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.heads.ply import read_ply
from flowface_jax.heads.registration import vertex_normals
from flowface_jax.training.registration import (
    RegistrationConfig,
    register_expression,
    register_neutral,
    register_scans,
)
from flowface_jax.training.registration.fit import make_target
from flowface_jax.training.registration.propagation import CARRIED, MANUAL, carry, dis_flow, tracers
from flowface_jax.training.registration.scans import read_scan
from flowface_jax.training.registration.subject import face_rows
from flowface_jax.training.registration.views import camera_at, look
from tests.training.scan_subjects import EXPRESSION, annotation, head, make_scan, speckled, true_vertices, write_obj

MM = 1e-3
CONFIG = RegistrationConfig()


@functools.cache
def neutral_scan():
    return make_scan({}, speckled())


@functools.cache
def expression_scan():
    """Turned a little against the neutral one."""
    return make_scan(EXPRESSION, speckled(), turn=(2, -5, 4), seed=1)


@functools.cache
def neutral():
    return register_neutral(neutral_scan().scan, head(), CONFIG, MM, annotation(neutral_scan()))


@functools.cache
def expression(carried: bool):
    config = dataclasses.replace(CONFIG, carry=carried)
    return register_expression(
        expression_scan().scan, neutral(), neutral_scan().scan, head(), config, MM, detector=None
    )


def errors(vertices, truth):
    """mm across and along the surface, of face vertices."""
    rows = face_rows(head())
    normals = vertex_normals(truth, np.asarray(head().triangles))[rows]
    error = (vertices - truth)[rows]
    across = np.einsum("nd,nd->n", error, normals)
    return np.abs(across), np.linalg.norm(error - across[:, None] * normals, axis=1)


def slides():
    """mm by which the skin slides as no blend shape says, of face vertices."""
    return (
        1e3
        * np.linalg.norm(true_vertices(EXPRESSION) - true_vertices(EXPRESSION, slide=0.0), axis=1)[face_rows(head())]
    )


def motion_errors(found):
    """mm along the surface by which the way from neutral to expression is wrong, of face vertices."""
    error = (found.vertices - expression_scan().truth) @ found.placement.rotation
    before = (neutral().vertices - neutral_scan().truth) @ neutral().placement.rotation
    turned = expression_scan().truth @ found.placement.rotation
    return errors(error - before + turned, turned)[1]


def test_a_neutral_face_is_on_the_surface_and_at_its_landmarks():
    found = neutral()
    seen = found.distances[np.isfinite(found.distances)]
    across, along = errors(found.vertices, neutral_scan().truth)
    assert seen.mean() < 0.3
    assert seen.size > 0.95 * found.distances.size
    assert across.mean() < 0.1
    assert along.mean() < 0.8


@pytest.mark.minutes
def test_carried_points_keep_the_motion_along_the_surface():
    with_flow, without = expression(True), expression(False)
    truth = expression_scan().truth
    seen = with_flow.distances[np.isfinite(with_flow.distances)]
    assert seen.mean() < 0.3
    assert errors(with_flow.vertices, truth)[1].mean() < 1.0
    slid = slides() > 0.8
    assert motion_errors(with_flow)[slid].mean() < 0.5
    assert motion_errors(with_flow)[slid].mean() < 0.6 * motion_errors(without)[slid].mean()


def test_hair_and_holes_do_not_pull_the_mesh():
    scalp = np.asarray(head().regions["scalp"])
    off = np.linalg.norm((neutral().vertices - neutral_scan().truth)[scalp], axis=1)
    assert off.mean() < 8.0


@pytest.mark.minutes
def test_most_points_are_carried_and_the_rest_say_why():
    statuses = [point.status for point in expression(True).points]
    assert statuses.count(CARRIED) > 0.6 * len(statuses)
    lost = [point for point in expression(True).points if point.position is None]
    assert lost and all(point.status not in (CARRIED, MANUAL) for point in lost)


def test_flow_that_does_not_lead_back_is_dropped():
    model, scan = head(), neutral().placement.place(neutral_scan().scan)
    base = neutral().in_head_frame
    view = look(scan, camera_at(base[face_rows(model)].mean(0), 384))
    tracer = tracers(model, 60)

    def astray(first, second):
        return np.full((*first.shape[:2], 2), 4.0, np.float32)

    assert not carry(view, view, tracer, base, astray, 1.0).kept.any()
    still = carry(view, view, tracer, base, dis_flow, 1.0)
    assert still.kept.sum() > 50


def test_lifting_a_pixel_gives_the_point_that_projects_there():
    scan = neutral().placement.place(neutral_scan().scan)
    middle = neutral().in_head_frame[face_rows(head())].mean(0)
    view = look(scan, camera_at(middle, 384, beside=20))
    pixels = np.random.default_rng(0).uniform(120, 260, (50, 2))
    points, cosine = view.lift(pixels)
    seen = cosine > 0
    assert seen.sum() > 30
    np.testing.assert_allclose(view.camera.project(points[seen])[0], pixels[seen], atol=1e-6)
    nearest, _, _ = make_target(scan).closest(points[seen], np.zeros((seen.sum(), 3)), -1.0, 0.1)
    # A pixel is taken for the triangle at its centre: a fraction of its 0.8 mm.
    np.testing.assert_allclose(nearest, points[seen], atol=3e-4)


def test_landmarks_of_another_scan_are_refused():
    wrong = {name: position * [1, -0.2, 4] for name, position in annotation(neutral_scan()).items()}
    with pytest.raises(InputError, match="landmarks miss"):
        register_neutral(neutral_scan().scan, head(), CONFIG, MM, wrong)
    few = dict(list(annotation(neutral_scan()).items())[:3])
    with pytest.raises(InputError, match="at least 4"):
        register_neutral(neutral_scan().scan, head(), CONFIG, MM, few)


def test_an_obj_with_its_textures_is_read_as_it_was_made(tmp_path):
    made = neutral_scan()
    write_obj(tmp_path / "s.obj", made)
    scan = read_scan(tmp_path / "s.obj")
    assert len(scan.triangles) == pytest.approx(len(made.scan.triangles), rel=0.01)
    assert len(scan.textures) == 4
    assert scan.uv.shape == (len(scan.triangles), 3, 2)


def _plain_head(folder):
    """A ball with no face on it."""
    angles = np.stack(np.meshgrid(np.linspace(0, 6.2, 60), np.linspace(0.1, 3.0, 40)), -1).reshape(-1, 2)
    points = 90 * np.stack(
        [np.cos(angles[:, 0]) * np.sin(angles[:, 1]), np.cos(angles[:, 1]), np.sin(angles).prod(1)], -1
    )
    faces = [(60 * i + j + 1, 60 * i + j + 2, 60 * (i + 1) + j + 1) for i in range(39) for j in range(59)]
    text = "".join(f"v {x} {y} {z}\n" for x, y, z in points) + "".join(f"f {a} {b} {c}\n" for a, b, c in faces)
    (folder / "ball.obj").write_text(text)


@pytest.mark.minutes
def test_a_folder_is_registered_resumed_and_corrected(tmp_path):
    """By MediaPipe where it finds a face on the plain texture, else as the neutral scan lies."""
    folder = tmp_path / "scans" / "F1001"
    write_obj(folder / "F1001_neutral.obj", neutral_scan())
    write_obj(folder / "F1001_smile.obj", expression_scan())
    _plain_head(folder)
    marks = tmp_path / "F1001.json"
    marks.write_text(json.dumps({name: p.tolist() for name, p in annotation(neutral_scan()).items()}))
    out = tmp_path / "out"
    call = functools.partial(register_scans, tmp_path / "scans", head(), unit=MM, landmarks=marks)
    verdicts = call(out)
    assert verdicts == {"good": 2, "no face": 1}
    assert json.loads((out / "F1001" / "ball.json").read_text())["verdict"] == "no face"
    assert cv2.imread(str(out / "F1001" / "smile.png")).shape[1] > 1000
    before = (out / "F1001" / "smile.ply").read_bytes()
    assert errors(read_ply(out / "F1001" / "smile.ply").vertices, expression_scan().truth)[1].mean() < 1.0

    assert call(out)["skipped"] == 2
    (out / "F1001" / "smile.ply").unlink()
    assert call(out)["skipped"] == 1
    assert np.allclose(read_ply(out / "F1001" / "smile.ply").vertices, _vertices(before, tmp_path), atol=0.1)

    points = json.loads((out / "F1001" / "smile.points.json").read_text())
    corrected = next(p for p in points["points"] if p["status"] == CARRIED)
    corrected["status"], corrected["position"] = MANUAL, (np.asarray(corrected["position"]) + 1.0).tolist()
    (tmp_path / "fixed" / "F1001").mkdir(parents=True)
    (tmp_path / "fixed" / "F1001" / "smile.points.json").write_text(json.dumps(points))
    call(out, points=tmp_path / "fixed", overwrite=True)
    again = json.loads((out / "F1001" / "smile.points.json").read_text())["points"]
    assert next(p for p in again if p["name"] == corrected["name"]) == corrected


def _vertices(payload, folder):
    (folder / "before.ply").write_bytes(payload)
    return read_ply(folder / "before.ply").vertices
