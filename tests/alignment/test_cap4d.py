"""CAP4D's alignment.npz: what is read from it and written to it."""

import numpy as np
import pytest

from flowface_jax.alignment import load_alignment, make_alignment, read_cap4d_alignment, write_cap4d_alignment
from flowface_jax.alignment.cap4d import UNOBSERVED_STD, crop_boxes_of, read_cap4d_crop_boxes
from flowface_jax.errors import InputError
from flowface_jax.storage import read_npz, write_npz
from tests.alignment.test_alignment import fields, surface_fields

VIEWS, STEPS, VERTICES = 2, 3, 5023


def file_arrays() -> dict:
    """The documented layout, made up."""
    generator = np.random.default_rng(2)
    valid = np.ones((VIEWS, STEPS), bool)
    valid[1, 2] = False
    return {
        "vertex_coords": generator.uniform(0, 500, (VIEWS, STEPS, VERTICES, 2)).astype(np.float32),
        "vertex_confidences": generator.uniform(1, 30, (VIEWS, STEPS, VERTICES, 1)).astype(np.float32),
        "crop_boxes": np.tile([10, 20, 410, 420], (VIEWS, STEPS, 1)),
        "valid_mask": valid,
        "gaze": np.zeros((VIEWS, STEPS, 2), np.float32),
        "gaze_confidences": np.ones((VIEWS, STEPS, 2), np.float32),
        "resolutions": np.asarray([[480, 640], [768, 1024]]),
        "n_timesteps": np.asarray(STEPS),
        "n_views": np.asarray(VIEWS),
        "camera_order": np.asarray(["cam0", "cam1"]),
    }


def write(tmp_path, **changes):
    arrays = {key: value for key, value in (file_arrays() | changes).items() if value is not None}
    write_npz(tmp_path / "alignment.npz", arrays)
    return tmp_path / "alignment.npz"


def test_confidences_are_standard_deviations_and_resolutions_are_height_first(tmp_path):
    arrays = file_arrays()
    alignment = read_cap4d_alignment(write(tmp_path))
    assert alignment.point_set == "vertices" and alignment.camera_names == ("cam0", "cam1")
    np.testing.assert_array_equal(alignment.image_size, [[640, 480], [1024, 768]])
    seen = arrays["valid_mask"]
    np.testing.assert_array_equal(alignment.mean[seen], arrays["vertex_coords"][seen])
    np.testing.assert_array_equal(alignment.std[seen], arrays["vertex_confidences"][seen][..., 0])
    assert np.isinf(alignment.std[1, 2]).all()


def test_other_pixel_conventions_can_be_stated(tmp_path):
    path = write(tmp_path)
    shifted, plain = read_cap4d_alignment(path, pixel_centre=0.0), read_cap4d_alignment(path)
    np.testing.assert_allclose(shifted.mean[0] - plain.mean[0], 0.5, atol=1e-4)


def test_vanishing_deviations_are_raised_to_the_floor(tmp_path):
    sigma = file_arrays()["vertex_confidences"]
    sigma[0, 0, :3, 0] = [0.0, 1e-6, 0.4]
    path = write(tmp_path, vertex_confidences=sigma)
    np.testing.assert_allclose(read_cap4d_alignment(path).std[0, 0, :3], [0.1, 0.1, 0.4])
    np.testing.assert_allclose(read_cap4d_alignment(path, smallest_std=0.5).std[0, 0, :3], 0.5)
    with pytest.raises(InputError, match="smallest_std"):
        read_cap4d_alignment(path, smallest_std=0)


def test_what_is_written_is_read_back(tmp_path):
    changed = fields()
    changed["std"][0, 1, 2] = np.inf
    changed["valid"][1, 0] = False
    alignment = make_alignment(**changed, camera_names=["left", "right"])
    write_cap4d_alignment(alignment, tmp_path / "a.npz")
    back = read_cap4d_alignment(tmp_path / "a.npz")
    for name in ("mean", "std", "valid", "image_size"):
        np.testing.assert_array_equal(getattr(back, name), getattr(alignment, name))
    assert back.camera_names == ("left", "right")


def test_written_file_has_the_documented_layout(tmp_path):
    changed = fields()
    changed["std"][0, 1, 2] = np.inf
    write_cap4d_alignment(make_alignment(**changed), tmp_path / "a.npz")
    arrays, expected = read_npz(tmp_path / "a.npz", "a CAP4D alignment"), file_arrays()
    assert set(arrays) == set(expected)
    for key, array in arrays.items():
        assert array.ndim == expected[key].ndim and array.dtype.kind == expected[key].dtype.kind, key
        if array.dtype.kind == "f":
            assert np.isfinite(array).all() and array.dtype == np.float32, key
    np.testing.assert_array_equal(arrays["resolutions"], [[480, 640], [768, 1024]])
    assert arrays["vertex_confidences"][0, 1, 2, 0] == UNOBSERVED_STD
    assert arrays["vertex_confidences"].shape == (2, 3, 6, 1)


def test_crop_boxes_are_square_and_a_fifth_larger_than_the_face(tmp_path):
    mean = np.zeros((1, 2, 3, 2))
    mean[0, 0] = [[100, 50], [200, 90], [999, 999]]
    std = np.ones((1, 2, 3))
    std[0, 0, 2] = np.inf
    alignment = make_alignment(mean, std, [[True, False]], [[640, 480]], "vertices")
    # 100 wide: half is int(50 · 1.2) = 60 about (150, 70).
    np.testing.assert_array_equal(crop_boxes_of(alignment)[0], [[90, 10, 210, 130], [0, 0, 0, 0]])
    write_cap4d_alignment(alignment, tmp_path / "a.npz")
    np.testing.assert_array_equal(read_cap4d_crop_boxes(tmp_path / "a.npz")[0, 0], [90, 10, 210, 130])


def test_given_boxes_and_gaze_are_written(tmp_path):
    boxes = np.arange(24).reshape(2, 3, 4)
    gaze = np.full((2, 3, 2), 0.25)
    write_cap4d_alignment(make_alignment(**fields()), tmp_path / "a.npz", boxes, gaze, 2 * gaze)
    arrays = read_npz(tmp_path / "a.npz", "a CAP4D alignment")
    np.testing.assert_array_equal(arrays["crop_boxes"], boxes)
    np.testing.assert_array_equal(arrays["gaze"], gaze)
    np.testing.assert_array_equal(arrays["gaze_confidences"], 2 * gaze)
    with pytest.raises(InputError, match="crop_boxes: expected shape"):
        write_cap4d_alignment(make_alignment(**fields()), tmp_path / "a.npz", boxes[0])


def test_only_whole_heads_can_be_written(tmp_path):
    with pytest.raises(InputError, match="'surface' points"):
        write_cap4d_alignment(make_alignment(**surface_fields()), tmp_path / "a.npz")
    assert not (tmp_path / "a.npz").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"valid_mask": None}, "lacks valid_mask"),
        ({"vertex_coords": np.zeros((3, 5, 2))}, "vertex_coords: expected shape"),
        ({"vertex_confidences": np.ones((2, 3, 7, 1))}, "vertex_confidences: expected shape"),
        ({"vertex_confidences": np.full((2, 3, 5023, 1), -1.0)}, "must not be negative"),
        ({"vertex_confidences": np.full((2, 3, 5023, 1), np.nan)}, "NaN"),
        ({"vertex_coords": np.full((2, 3, 5023, 2), np.nan)}, "NaN"),
        ({"valid_mask": np.ones(3, bool)}, "valid: expected shape"),
        ({"resolutions": np.asarray([480, 640])}, "resolutions: expected shape"),
        ({"vertex_coords": np.asarray(["a"])}, "vertex_coords does not hold numbers"),
    ],
)
def test_damaged_arrays_are_named_with_the_file(tmp_path, changes, message):
    with pytest.raises(InputError, match=f"alignment.npz.*{message}"):
        read_cap4d_alignment(write(tmp_path, **changes))


def test_boxes_may_be_absent_from_a_file_but_are_then_not_read(tmp_path):
    path = write(tmp_path, crop_boxes=None)
    assert read_cap4d_alignment(path).frame_count == STEPS
    with pytest.raises(InputError, match="lacks crop_boxes"):
        read_cap4d_crop_boxes(path)


def test_loading_recognises_both_forms_by_their_arrays(tmp_path):
    own = make_alignment(**fields(), source="ours")
    own.save(tmp_path / "own.npz")
    assert load_alignment(tmp_path / "own.npz").source == "ours"
    assert load_alignment(write(tmp_path)).source == "cap4d"


def test_loading_anything_else_says_what_was_expected(tmp_path):
    write_npz(tmp_path / "track.npz", {"identity": np.zeros(3)})
    (tmp_path / "text.npz").write_text("no zip")
    np.save(tmp_path / "array.npy", np.zeros(3))
    for name, message in (
        ("track.npz", "expected flowface's .* or CAP4D's .* found identity"),
        ("text.npz", "not an .npz"),
        ("array.npy", "not an .npz"),
        ("absent.npz", "no such file"),
    ):
        with pytest.raises(InputError, match=message):
            load_alignment(tmp_path / name)
