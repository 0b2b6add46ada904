"""What an `Alignment` accepts, stores and says of a head."""

import zipfile

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from flowface_jax.alignment import Alignment, make_alignment
from flowface_jax.errors import InputError
from flowface_jax.heads.model import HeadModel, SurfacePoints
from flowface_jax.storage import read_npz, write_npz

CAMERAS, FRAMES, POINTS = 2, 3, 6
ARRAYS = ("mean", "std", "valid", "image_size", "vertex_ids", "barycentric", "frame_times", "frame_ids")


def fields(**changes) -> dict:
    generator = np.random.default_rng(0)
    return {
        "mean": generator.uniform(0, 500, (CAMERAS, FRAMES, POINTS, 2)).astype(np.float32),
        "std": generator.uniform(0.5, 9, (CAMERAS, FRAMES, POINTS)).astype(np.float32),
        "valid": np.ones((CAMERAS, FRAMES), bool),
        "image_size": np.asarray([[640, 480], [1024, 768]]),
        "point_set": "vertices",
    } | changes


def surface_fields(**changes) -> dict:
    return fields(
        point_set="surface",
        vertex_ids=np.arange(3 * POINTS).reshape(POINTS, 3),
        barycentric=np.tile([0.2, 0.3, 0.5], (POINTS, 1)),
        **changes,
    )


def edited(name: str, index, value) -> dict:
    result = fields()
    result[name] = np.array(result[name])
    result[name][index] = value
    return result


def head(vertex_count: int, mediapipe_count: int = 0) -> HeadModel:
    """A head of which only the counts matter here."""
    nothing = jnp.zeros((0,))
    none = SurfacePoints(jnp.zeros((0, 3), jnp.int32), jnp.zeros((0, 3)))
    mediapipe = SurfacePoints(jnp.zeros((mediapipe_count, 3), jnp.int32), jnp.full((mediapipe_count, 3), 1 / 3))
    empty = {field: nothing for field in ("identity_basis", "expression_basis", "expression_std", "expression_limits")}
    empty |= {field: nothing for field in ("joint_template", "joint_identity", "joint_expression", "pose_correctives")}
    empty |= {field: nothing for field in ("skinning_weights", "triangles", "uv", "vertex_weights")}
    return HeadModel(
        template=jnp.zeros((vertex_count, 3)),
        **empty,
        landmarks=none,
        mediapipe=mediapipe,
        regions={},
        joint_parents=(),
        joint_names=(),
        expression_names=(),
        name="small",
        licence="none",
    )


def assert_same(a: Alignment, b: Alignment) -> None:
    for name in ARRAYS:
        left, right = getattr(a, name), getattr(b, name)
        assert left.dtype == right.dtype, name
        assert left.tobytes() == right.tobytes(), name
    assert (a.point_set, a.camera_names, a.source) == (b.point_set, b.camera_names, b.source)


def test_counts_follow_the_axes():
    alignment = make_alignment(**fields())
    assert (alignment.camera_count, alignment.frame_count, alignment.point_count) == (CAMERAS, FRAMES, POINTS)


@settings(max_examples=30, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 4)),
    data=st.data(),
    names=st.booleans(),
)
def test_saving_and_loading_keeps_every_bit(tmp_path_factory, shape, data, names):
    cameras, frames, _ = shape
    finite = st.floats(-1e4, 1e4, width=32)
    std = st.one_of(st.floats(np.float32(1e-3), 1e4, width=32), st.just(np.inf))
    alignment = make_alignment(
        mean=data.draw(hnp.arrays(np.float32, (*shape, 2), elements=finite)),
        std=data.draw(hnp.arrays(np.float32, shape, elements=std)),
        valid=data.draw(hnp.arrays(bool, (cameras, frames))),
        image_size=data.draw(hnp.arrays(np.int32, (cameras, 2), elements=st.integers(1, 9000))),
        point_set="vertices",
        frame_times=data.draw(hnp.arrays(np.float64, frames, elements=st.floats(0, 1e6))),
        frame_ids=data.draw(hnp.arrays(np.int64, frames, elements=st.integers(0, 2**40))),
        camera_names=[f"caméra {c}" for c in range(cameras)] if names else None,
        source="drawn",
    )
    path = tmp_path_factory.mktemp("alignment") / "alignment.npz"
    alignment.save(path)
    assert_same(Alignment.load(path), alignment)


def test_surface_points_are_kept(tmp_path):
    alignment = make_alignment(**surface_fields(frame_times=[0.0, 0.04, 0.08], frame_ids=[3, 6, 9]))
    alignment.save(tmp_path / "a.npz")
    assert_same(Alignment.load(tmp_path / "a.npz"), alignment)


def test_infinite_std_means_unobserved_and_leaves_no_nan():
    changed = edited("std", (0, 1, 2), np.inf)
    changed["mean"][0, 1, 2] = np.nan
    alignment = make_alignment(**changed)
    assert np.isinf(alignment.std[0, 1, 2])
    np.testing.assert_array_equal(alignment.mean[0, 1, 2], 0)
    assert np.isfinite(alignment.mean).all()


def test_frame_without_a_face_is_wholly_unobserved_whatever_it_held():
    changed = edited("valid", (1, 2), False)
    changed["mean"][1, 2] = np.nan
    changed["std"][1, 2] = -1
    alignment = make_alignment(**changed)
    assert np.isinf(alignment.std[1, 2]).all() and (alignment.mean[1, 2] == 0).all()
    assert np.isfinite(alignment.std[0]).all()


def test_the_callers_arrays_are_not_written_to():
    given_fields = edited("valid", (0, 0), False)
    before = {name: np.array(given_fields[name]) for name in ("mean", "std")}
    make_alignment(**given_fields)
    for name, array in before.items():
        np.testing.assert_array_equal(given_fields[name], array)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (edited("std", (0, 0, 0), np.nan), "hold NaN; mark unobserved"),
        (edited("std", (0, 0, 0), 0.0), "must be positive"),
        (edited("std", (0, 0, 0), -2.0), "must be positive"),
        (edited("std", (0, 0, 0), -np.inf), "must be positive"),
        (edited("mean", (0, 0, 0, 1), np.nan), "means hold NaN"),
        (edited("mean", (0, 0, 0, 1), np.inf), "means hold NaN"),
        (fields(mean=np.zeros((FRAMES, POINTS, 2))), "mean: expected shape"),
        (fields(mean=np.zeros((CAMERAS, FRAMES, POINTS, 3))), "mean: expected shape"),
        (fields(std=np.ones((CAMERAS, FRAMES, POINTS, 2))), "std: expected shape"),
        (fields(std=np.ones((CAMERAS, FRAMES))), "std: expected shape"),
        (fields(valid=np.ones(FRAMES, bool)), "valid: expected shape"),
        (fields(image_size=[640, 480]), "image_size: expected shape"),
        (fields(image_size=[[640, 0], [640, 480]]), "positive widths"),
        (fields(point_set="pixels"), "point_set"),
        (fields(frame_times=[0.0]), "must match"),
        (fields(frame_ids=[0]), "must match"),
        (fields(camera_names=["a"]), "must match"),
        (fields(frame_times=[0.0, np.nan, 2.0]), "frame_times hold NaN"),
        (fields(point_set="surface"), "needs vertex_ids"),
        (surface_fields() | {"barycentric": np.ones((POINTS, 3))}, "do not sum to 1"),
        (surface_fields() | {"barycentric": np.full((POINTS, 3), np.nan)}, "do not sum to 1"),
        (surface_fields() | {"vertex_ids": np.full((POINTS, 3), -1)}, "negative vertex ids"),
        (surface_fields() | {"vertex_ids": np.zeros((POINTS, 4))}, "expected shape"),
        (
            fields(mean=np.zeros((CAMERAS, 0, POINTS, 2)), std=np.ones((CAMERAS, 0, POINTS)))
            | {"valid": np.ones((CAMERAS, 0))},
            "empty",
        ),
    ],
)
def test_unsound_values_are_refused(changed, message):
    with pytest.raises(InputError, match=message):
        make_alignment(**changed)


def test_loading_checks_as_making_does_and_names_the_file(tmp_path):
    path = tmp_path / "a.npz"
    make_alignment(**fields()).save(path)
    arrays = read_npz(path, "an alignment")
    for key, value, message in (
        ("std_px", np.full_like(arrays["std_px"], np.nan), "hold NaN"),
        ("valid", np.ones(2, bool), "valid: expected shape"),
        ("mean_px", np.zeros(3), "mean: expected shape"),
        ("mean_px", np.asarray(["a", "b"]), "does not hold numbers"),
        ("format", np.asarray("flowface-alignment/9"), "this version reads"),
    ):
        write_npz(path, arrays | {key: value})
        with pytest.raises(InputError, match=f"a.npz.*{message}"):
            Alignment.load(path)


@pytest.mark.parametrize("key", ["mean_px", "std_px", "valid", "image_size", "point_set"])
def test_missing_array_is_named(tmp_path, key):
    path = tmp_path / "a.npz"
    make_alignment(**fields()).save(path)
    arrays = read_npz(path, "an alignment")
    del arrays[key]
    write_npz(path, arrays)
    with pytest.raises(InputError, match=f"lacks {key}"):
        Alignment.load(path)


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_truncated_file_is_refused(tmp_path, kept):
    path = tmp_path / "a.npz"
    make_alignment(**fields()).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(InputError, match="a.npz"):
        Alignment.load(path)


def test_flipped_bytes_inside_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    make_alignment(**fields()).save(path)
    with zipfile.ZipFile(path) as archive:
        offset = archive.getinfo("mean_px.npy").header_offset + 60
    content = bytearray(path.read_bytes())
    for i in range(offset, offset + 40):
        content[i] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(InputError, match="a.npz"):
        Alignment.load(path)


def test_pickled_arrays_are_never_loaded(tmp_path):
    path = tmp_path / "a.npz"
    good = {"std_px": np.ones(1), "valid": np.ones(1), "image_size": np.ones(1), "point_set": "vertices"}
    np.savez(path, mean_px=np.asarray([{"a": 1}], dtype=object), **good)
    with pytest.raises(InputError, match="pickled"):
        Alignment.load(path)


def test_absent_file_and_folder_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        Alignment.load(tmp_path / "a.npz")
    with pytest.raises(InputError, match="folder"):
        Alignment.load(tmp_path)


def test_vertices_belong_to_a_head_of_as_many_vertices():
    alignment = make_alignment(**fields())
    surface = alignment.points_on(head(POINTS))
    vertices = np.random.default_rng(0).normal(size=(POINTS, 3)).astype(np.float32)
    np.testing.assert_allclose(surface.of(vertices), vertices)
    with pytest.raises(InputError, match="6 vertices, but head 'small' has 7"):
        alignment.points_on(head(POINTS + 1))


def test_surface_points_need_a_head_with_those_vertices():
    alignment = make_alignment(**surface_fields())
    assert alignment.points_on(head(3 * POINTS)).count == POINTS
    with pytest.raises(InputError, match="names vertex 17"):
        alignment.points_on(head(3 * POINTS - 1))


def test_mediapipe_points_need_a_bound_head():
    alignment = make_alignment(**fields(point_set="mediapipe"))
    assert alignment.points_on(head(10, mediapipe_count=POINTS)).count == POINTS
    with pytest.raises(InputError, match="no mediapipe embedding"):
        alignment.points_on(head(10))
    with pytest.raises(InputError, match="expected 478"):
        alignment.points_on(head(10, mediapipe_count=478))
