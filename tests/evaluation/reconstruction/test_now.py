"""The NoW benchmark on made-up scans."""

from __future__ import annotations

import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.evaluation.reconstruction import cumulative_curve, evaluate_now, now_error, summarise_now
from flowface_jax.evaluation.reconstruction.face_circle import face_circle
from flowface_jax.evaluation.reconstruction.now import Scan, remove_flat_triangles
from flowface_jax.evaluation.reconstruction.now_files import (
    CHALLENGES,
    NowImage,
    Prediction,
    joint_groups,
    neutral_face,
    obj_bytes,
    read_image_list,
    write_submission,
)
from flowface_jax.heads.generic import generic_head
from tests.evaluation.reconstruction.faces import head, moved, scanned, skin


def _scan(noise=0.0, **similarity):
    """A scan of the built-in head, and where its vertices were before."""
    vertices, triangles, places, *_ = head()
    points = scanned(vertices, skin(vertices, triangles), 20000)[0]
    points = points + np.random.default_rng(1).normal(0, 1, points.shape) * noise
    return Scan(moved(points, **similarity), moved(places, **similarity))


def test_the_circle_is_the_published_one():
    points = np.asarray([[-45, 40, 0], [-15, 40, 0], [15, 40, 0], [45, 40, 0], [0, 0, 0], [-25, -30, 0], [25, -30, 0]])
    centre, radius = face_circle(points)
    np.testing.assert_allclose(centre, [0, 12, 0])
    assert radius == pytest.approx(1.4 * (90 + 40) / 2)


@pytest.mark.parametrize(("unit", "size"), [("m", 1e-3), ("cm", 0.1), ("mm", 1.0)])
def test_the_right_face_has_no_error_wherever_it_lies(unit, size):
    vertices, triangles, places, *_ = head()
    scan = _scan(degrees=(5, 60, -30), shift=(100, 50, -20))
    prediction = moved(vertices, size, (40, 0, 10), (0, size, 2 * size))
    landmarks = moved(places, size, (40, 0, 10), (0, size, 2 * size))
    for metrical in (None, unit):
        found = now_error(prediction, triangles, landmarks[None], scan, metrical)
        assert len(found.distances) == found.cut.sum() > 3000
        assert found.distances.max() < 0.01 and not found.reflected


def test_size_counts_only_in_the_metrical_challenge():
    vertices, triangles, places, *_ = head()
    scan = _scan()
    sizes = [now_error(s * vertices, triangles, s * places, scan).distances for s in (1.0, 1.1, 0.03)]
    assert max(one.max() for one in sizes) < 0.01
    metrical = now_error(1.1 * vertices, triangles, 1.1 * places, scan, "mm").distances
    assert metrical.mean() > 0.5


def test_noise_of_a_scan_is_the_error_that_is_found():
    vertices, triangles, places, *_ = head()
    found = now_error(vertices, triangles, places, _scan(noise=1.0))
    # The distance from a smooth surface is the part of the noise along its normal.
    assert summarise_now([found]).mean == pytest.approx(np.sqrt(2 / np.pi), rel=0.06)
    assert summarise_now([found]).median == pytest.approx(0.6745, rel=0.06)


def test_landmarks_that_are_off_are_forgiven_and_mirrored_ones_reported():
    vertices, triangles, places, *_ = head()
    scan = _scan()
    off = places + np.random.default_rng(2).normal(0, 3, (7, 3))
    assert now_error(vertices, triangles, off, scan).distances.max() < 0.02
    mirrored = now_error(vertices * [-1, 1, 1], triangles, places * [-1, 1, 1], scan)
    assert mirrored.reflected and mirrored.distances.max() < 0.02


def test_numbers_are_over_all_vertices_of_all_images_together():
    numbers = summarise_now([np.asarray([0.0, 0.0, 0.0]), np.asarray([4.0])], missing=2)
    assert (numbers.median, numbers.mean, numbers.images, numbers.missing, numbers.vertices) == (0, 1, 2, 2, 4)
    assert numbers.std == pytest.approx(np.std([0, 0, 0, 4]))
    places, share = cumulative_curve([np.asarray([0.0, 1.0, 2.0, 9.0])], points=9)
    np.testing.assert_allclose(places, np.arange(9))
    np.testing.assert_allclose(share, [25, 50, 75, 75, 75, 75, 75, 75, 75])


def test_a_submission_is_written_read_and_measured(tmp_path):
    vertices, triangles, places, *_ = head()
    data, out = tmp_path / "data", tmp_path / "out"
    _write_data(data)
    images = read_image_list(data / "imagepathsvalidation.txt")
    assert images[0] == NowImage("FaMoS_1", "selfie", "IMG_0041") and len(images) == 3
    predictions = {image: 0.001 * (1 + 0.1 * n) for n, image in enumerate(images)}
    write_submission(
        out, images[:2], lambda i: Prediction(predictions[i] * vertices, triangles, predictions[i] * places)
    )
    written = sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file())
    assert written == [
        f"FaMoS_1/{c}/IMG_{n}.{e}"
        for c, n in (("multiview_neutral", "0042"), ("selfie", "0041"))
        for e in ("npy", "obj")
    ]
    assert all(
        line.startswith(("v ", "f ")) and len(line.split()) == 4 for line in (out / written[1]).read_text().splitlines()
    )
    assert np.load(out / written[0], allow_pickle=False).shape == (7, 3)
    result = evaluate_now(data, out)
    assert result.missing == (images[2],) and result.summary.images == 2
    assert result.summary.mean < 0.01 and set(result.by_challenge) == {"multiview_neutral", "selfie"}
    assert evaluate_now(data, out, metrical_unit="m").by_challenge["multiview_neutral"].mean > 0.5


def test_the_neutral_face_of_a_track_is_its_head_at_rest():
    vertices, triangles, places, *_ = head()
    model = generic_head()
    offsets = np.full((len(vertices), 3), [0, 0, 0.001], np.float32)
    found = neutral_face(model, np.zeros(5, np.float32), offsets)
    np.testing.assert_allclose(1000 * found.vertices, vertices + [0, 0, 1], atol=1e-3)
    np.testing.assert_allclose(1000 * found.landmarks, places + [0, 0, 1], atol=1e-3)
    assert now_error(*found, _scan(), "m").distances.max() < 0.01


def test_images_fitted_together_are_those_of_a_subject_or_of_its_challenges():
    images = [NowImage(s, c, f"IMG_{n}") for s in ("a", "b") for c in CHALLENGES[:2] for n in range(3)]
    assert {k: len(v) for k, v in joint_groups(images).items()} == {"a": 6, "b": 6}
    assert len(joint_groups(images, "challenge")) == 4
    with pytest.raises(InputError, match="pool"):
        joint_groups(images, "image")


def test_flat_triangles_can_be_left_out():
    vertices = np.asarray([[0, 0, 0], [1, 0, 0], [2, 0, 0], [0, 1, 0]], float)
    triangles = np.asarray([[0, 1, 2], [0, 1, 3], [3, 3, 1]])
    np.testing.assert_array_equal(remove_flat_triangles(vertices, triangles), [[0, 1, 3]])


def test_wrong_inputs_are_named(tmp_path):
    vertices, triangles, places, *_ = head()
    scan = _scan()
    cases = [
        ((vertices, triangles, places[:6], scan), "7,3"),
        ((vertices, triangles, np.full((7, 3), np.nan), scan), "landmarks"),
        ((np.full_like(vertices, np.nan), triangles, places, scan), "NaN"),
        ((vertices, triangles, places, Scan(scan.vertices / 1000, scan.landmarks / 1000)), "millimetres"),
        ((vertices, triangles, places, scan, "m"), "unit"),
        ((vertices, triangles, places, scan, "inch"), "inch"),
    ]
    for arguments, message in cases:
        with pytest.raises(InputError, match=message):
            now_error(*arguments)
    with pytest.raises(InputError, match="at least one"):
        summarise_now([], 3)
    (tmp_path / "list.txt").write_text("IMG_1.jpg\n")
    with pytest.raises(InputError, match="line 1"):
        read_image_list(tmp_path / "list.txt")
    with pytest.raises(InputError, match="landmarks"):
        write_submission(
            tmp_path, [NowImage("a", "selfie", "b")], lambda i: Prediction(vertices, triangles, places[:3])
        )


def _write_data(folder):
    vertices, triangles, places, *_ = head()
    for part in ("scans", "scans_lmks_onlypp"):
        (folder / part / "FaMoS_1").mkdir(parents=True)
    (folder / "scans" / "FaMoS_1" / "scan.obj").write_bytes(obj_bytes(vertices, skin(vertices, triangles)))
    points = "".join(f' <point x="{x}" y="{y}" z="{z}" active="1" name="{n}"/>\n' for n, (x, y, z) in enumerate(places))
    (folder / "scans_lmks_onlypp" / "FaMoS_1" / "scan_picked_points.pp").write_text(f"<P>\n{points}</P>\n")
    names = ["selfie/IMG_0041.jpg", "multiview_neutral/IMG_0042.jpg", "selfie/IMG_0043.jpg"]
    (folder / "imagepathsvalidation.txt").write_text("".join(f"./x/FaMoS_1/{name}\n" for name in names))
