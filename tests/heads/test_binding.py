"""Binding: another mesh takes part in the atlas, with lips, lids, eyeballs and regions where they belong."""

from importlib import resources

import jax.numpy as jnp
import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.heads.atlas import locate
from flowface_jax.heads.binding import Binding, bind
from flowface_jax.heads.generic import generic_head
from flowface_jax.heads.ict import load_ict
from flowface_jax.heads.model import REGION_NAMES, HeadModel, SurfacePoints, vertices
from tests.shared_data import ict_path

LIP_POINTS = {"upper": [82, 13, 312, 81, 311], "lower": [87, 14, 317, 178, 402]}


def _interpolate(found: SurfacePoints, values: np.ndarray) -> np.ndarray:
    return np.einsum("pkd,pk->pd", np.asarray(values)[found.vertex_ids], found.barycentric)


def _shuffled_person() -> tuple[np.ndarray, np.ndarray, np.ndarray, SurfacePoints]:
    """Another person on the built-in mesh with its vertices in random order: the order, then what `bind` takes."""
    head = generic_head()
    rng = np.random.default_rng(5)
    person = np.asarray(vertices(head, jnp.asarray(rng.normal(size=40).astype(np.float32)), jnp.zeros(0)))
    order = rng.permutation(head.vertex_count)
    place = np.argsort(order)
    landmarks = SurfacePoints(place[np.asarray(head.landmarks.vertex_ids)], head.landmarks.barycentric)
    return order, 1.04 * person[order], place[np.asarray(head.triangles)], landmarks


@pytest.fixture(scope="module")
def shuffled() -> tuple[np.ndarray, Binding]:
    order, template, triangles, landmarks = _shuffled_person()
    return order, bind(template, triangles, landmarks)


def test_a_known_mesh_gets_its_own_atlas_coordinates_back(shuffled: tuple[np.ndarray, Binding]) -> None:
    order, binding = shuffled
    head = generic_head()
    error = np.linalg.norm(binding.uv - np.asarray(head.uv)[order], axis=1)
    face = np.asarray(head.regions["face"])[order]
    assert np.median(error[face]) < 0.003
    assert np.percentile(error[face], 95) < 0.02
    assert binding.uv.dtype == np.float32 and binding.uv.min() >= 0 and binding.uv.max() <= 1


@pytest.mark.parametrize("name", REGION_NAMES)
def test_a_known_mesh_gets_its_own_regions_back(shuffled: tuple[np.ndarray, Binding], name: str) -> None:
    order, binding = shuffled
    true = np.asarray(generic_head().regions[name])[order]
    found = binding.regions[name]
    assert (true & found).sum() / (true | found).sum() > 0.75


def test_upper_lip_never_gets_lower_lip_coordinates(shuffled: tuple[np.ndarray, Binding]) -> None:
    order, binding = shuffled
    head = generic_head()
    for name, other in (("upper_lip", "lower_lip"), ("lower_lip", "upper_lip")):
        own = (np.asarray(head.regions[name]) & ~np.asarray(head.regions[other]))[order]
        assert own.sum() > 50
        assert not (binding.regions[other] & ~binding.regions[name])[own].any()
    middle = np.asarray(head.uv)[np.asarray(head.landmarks.vertex_ids)[[62, 66]]].mean((0, 1))[1]
    true, found = np.asarray(head.uv)[order, 1], binding.uv[:, 1]
    lips = np.asarray(head.regions["lips"])[order]
    clear = lips & (np.abs(true - middle) > 0.004)
    assert (np.sign(true - middle) == np.sign(found - middle))[clear].all()


def test_weights_are_one_on_face_and_ears_only(shuffled: tuple[np.ndarray, Binding]) -> None:
    _, binding = shuffled
    focus = binding.regions["face"] | binding.regions["ears"]
    np.testing.assert_allclose(binding.vertex_weights, np.where(focus, 1.0, 0.005))


def test_the_same_mesh_gives_the_same_bytes(shuffled: tuple[np.ndarray, Binding]) -> None:
    again = bind(*_shuffled_person()[1:])
    assert again.uv.tobytes() == shuffled[1].uv.tobytes()
    assert again.mediapipe.barycentric.tobytes() == shuffled[1].mediapipe.barycentric.tobytes()


@pytest.fixture(scope="module")
def ict() -> HeadModel:
    return load_ict(ict_path(), identity_size=2, bind_to_atlas=False)


@pytest.fixture(scope="module")
def ict_bound(ict: HeadModel) -> Binding:
    return bind(np.asarray(ict.template), np.asarray(ict.triangles), ict.landmarks)


def _on_generic(uv: np.ndarray) -> SurfacePoints:
    head = generic_head()
    return locate(np.asarray(head.uv), np.asarray(head.triangles), uv)


@pytest.mark.shared_data
def test_landmarks_of_ict_meet_those_of_the_built_in_head_through_the_atlas(ict: HeadModel, ict_bound: Binding) -> None:
    head = generic_head()
    uv = _interpolate(ict.landmarks, ict_bound.uv)
    place = _interpolate(_on_generic(uv), np.asarray(head.template))
    error = np.linalg.norm(place - np.asarray(head.landmarks.of(head.template)), axis=1)
    assert error[17:].max() < 3e-3
    assert error[:17].max() < 8e-3


@pytest.mark.shared_data
def test_ict_coordinates_lead_back_to_the_same_place_of_ict(ict: HeadModel, ict_bound: Binding) -> None:
    triangles, template = np.asarray(ict.triangles), np.asarray(ict.template)
    face = (triangles < 9409).all(1)
    rows = np.flatnonzero(ict_bound.regions["face"][:9409])
    place = _interpolate(locate(ict_bound.uv, triangles[face], ict_bound.uv[rows]), template)
    error = np.linalg.norm(place - template[rows], axis=1)
    assert np.percentile(error, 98) < 1e-3


@pytest.mark.shared_data
def test_no_lip_of_ict_corresponds_to_the_other_lip(ict: HeadModel, ict_bound: Binding) -> None:
    """ICT's lips touch; which one a vertex belongs to is told by whether it goes down with the jaw."""
    head = generic_head()
    upper, lower = np.asarray(head.regions["upper_lip"]), np.asarray(head.regions["lower_lip"])
    corners = _on_generic(ict_bound.uv).vertex_ids
    lips = ict_bound.regions["lips"] & (np.arange(26719) < 9409)
    drop = -np.asarray(ict.expression_basis)[:, 1, ict.expression_names.index("jawOpen")]
    goes_down, stays = (lips & (drop > 0.6 * drop[lips].max()) for drop in (drop, drop[lips].max() - drop))
    assert goes_down.sum() > 100 and stays.sum() > 100
    assert not (upper & ~lower)[corners[goes_down]].all(1).any()
    assert not (lower & ~upper)[corners[stays]].all(1).any()


@pytest.mark.shared_data
def test_no_eyelid_of_ict_corresponds_to_the_other_lid(ict: HeadModel, ict_bound: Binding) -> None:
    head = generic_head()
    inner, outer = np.asarray(head.landmarks.of(head.uv))[[42, 45]]
    u, v = ict_bound.uv.T
    above = v - np.interp(u, [inner[0], outer[0]], [inner[1], outer[1]])
    eye = ict_bound.regions["left_eye"] & (np.arange(26719) < 9409)
    closing = -np.asarray(ict.expression_basis)[:, 1, ict.expression_names.index("eyeBlinkLeft")]
    upper = eye & (closing > 0.6 * closing[eye].max())
    height = np.asarray(ict.template)[:, 1]
    lower = eye & (height < np.asarray(ict.landmarks.of(ict.template))[[42, 45], 1].min() - 0.002)
    assert upper.sum() > 40 and lower.sum() > 100
    assert (above[upper] > 0).all()
    assert (above[lower] < 0).all()


@pytest.mark.shared_data
def test_spheres_by_the_eyes_become_eyeballs(ict_bound: Binding) -> None:
    eyeballs = np.zeros(26719, bool)
    eyeballs[21451:24591] = True
    np.testing.assert_array_equal(ict_bound.regions["eyeballs"], eyeballs)
    assert (ict_bound.vertex_weights[eyeballs] < 0.01).all()
    assert (np.linalg.norm(ict_bound.uv[21451:23021] - ict_bound.uv[45], axis=1) < 0.5).all()


@pytest.mark.shared_data
def test_mediapipe_points_through_the_atlas_agree_with_those_found_on_ict(ict: HeadModel, ict_bound: Binding) -> None:
    with resources.files("flowface_jax.heads").joinpath("data/ict_mediapipe.npz").open("rb") as file:
        stored = np.load(file, allow_pickle=False)
        own = _interpolate(SurfacePoints(stored["vertex_ids"], stored["barycentric"]), np.asarray(ict.template))
    error = np.linalg.norm(_interpolate(ict_bound.mediapipe, np.asarray(ict.template)) - own, axis=1)
    assert np.median(error) < 4e-3
    assert np.median(error[468:]) < 3e-3


def test_stored_mediapipe_points_lie_on_lips_lids_and_eyeballs_of_the_built_in_head() -> None:
    head = generic_head()
    points = SurfacePoints(np.asarray(head.mediapipe.vertex_ids), np.asarray(head.mediapipe.barycentric))
    assert points.count == 478
    regions = {name: np.asarray(mask) for name, mask in head.regions.items()}
    assert regions["eyeballs"][points.vertex_ids[468:]].all()
    open_jaw = np.asarray(vertices(head, jnp.zeros(0), jnp.eye(52)[head.expression_names.index("jawOpen")]))
    place = _interpolate(points, open_jaw)
    gap = place[LIP_POINTS["upper"], 1] - place[LIP_POINTS["lower"], 1]
    assert (gap > 8e-3).all(), "upper and lower inner lip points must part when the jaw opens"
    neutral = _interpolate(points, np.asarray(head.template))
    assert (neutral[[33, 61, 234, 468], 0] < 0).all()
    np.testing.assert_allclose(neutral[[33, 61, 234, 468]] * [-1, 1, 1], neutral[[263, 291, 454, 473]], atol=5e-4)
    assert regions["eyes"][points.vertex_ids[[159, 145, 386, 374]]].any(1).all()


def test_stored_mediapipe_points_were_found_in_the_atlas_of_today() -> None:
    """After a change of the built-in head, run experiments/mediapipe_embedding.py --head generic again."""
    head = generic_head()
    with resources.files("flowface_jax.heads").joinpath("data/mediapipe_atlas.npz").open("rb") as file:
        stored = np.load(file, allow_pickle=False)["landmarks_uv"]
    np.testing.assert_allclose(stored, np.asarray(head.landmarks.of(head.uv)), atol=2e-3)


def test_stored_files_are_small_and_say_where_they_come_from() -> None:
    for name in ("ict_mediapipe.npz", "mediapipe_atlas.npz"):
        path = resources.files("flowface_jax.heads").joinpath("data", name)
        assert len(path.read_bytes()) < 30_000
        with path.open("rb") as file:
            assert "MediaPipe" in str(np.load(file, allow_pickle=False)["source"])


def _inputs() -> tuple[np.ndarray, np.ndarray, SurfacePoints]:
    head = generic_head()
    return np.array(head.template), np.array(head.triangles), head.landmarks


def test_a_head_in_millimetres_is_refused_with_a_word_about_units() -> None:
    template, triangles, landmarks = _inputs()
    with pytest.raises(InputError, match="metres"):
        bind(1000 * template, triangles, landmarks)


def test_a_mirrored_head_is_refused() -> None:
    template, triangles, landmarks = _inputs()
    with pytest.raises(InputError, match="mirrored"):
        bind(template * [-1, 1, 1], triangles, landmarks)


def test_a_mesh_inside_out_is_refused() -> None:
    template, triangles, landmarks = _inputs()
    with pytest.raises(InputError, match="counter-clockwise"):
        bind(template, triangles[:, ::-1], landmarks)


@pytest.mark.parametrize("broken", ["nan", "no triangles", "no landmarks", "51 landmarks", "landmark ids"])
def test_unusable_input_is_refused(broken: str) -> None:
    template, triangles, landmarks = _inputs()
    if broken == "nan":
        template[3] = np.nan
    elif broken == "no triangles":
        triangles = triangles[:0]
    elif broken == "no landmarks":
        landmarks = SurfacePoints(landmarks.vertex_ids[:0], landmarks.barycentric[:0])
    elif broken == "51 landmarks":
        landmarks = SurfacePoints(landmarks.vertex_ids[17:], landmarks.barycentric[17:])
    else:
        landmarks = SurfacePoints(landmarks.vertex_ids + len(template), landmarks.barycentric)
    with pytest.raises(InputError):
        bind(template, triangles, landmarks)
