"""The built-in head: a plausible, symmetric, well-formed head whose lids and mouth open and close."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from flowface_jax.heads.atlas import closest_points
from flowface_jax.heads.generic import generic_head, mesh
from flowface_jax.heads.model import REGION_NAMES, vertices
from tests.shared_data import ict_path

MM = 1000.0


@pytest.fixture(scope="module")
def head():
    return generic_head()


@pytest.fixture(scope="module")
def built():
    return mesh.build()


@pytest.fixture(scope="module")
def template(head):
    return np.asarray(head.template, np.float64) * MM


def expressed(head, **amplitudes: float) -> np.ndarray:
    """Vertices [V,3] mm of the neutral identity with the named expressions."""
    expression = np.zeros(head.expression_size, np.float32)
    for name, amplitude in amplitudes.items():
        expression[head.expression_names.index(name)] = amplitude
    return np.asarray(vertices(head, jnp.zeros(0), jnp.asarray(expression)), np.float64) * MM


def doubled_areas(uv: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    a, b, c = (uv[triangles[:, k]] for k in range(3))
    return (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])


def triangle_normals(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    a, b, c = (points[triangles[:, k]] for k in range(3))
    return np.cross(b - a, c - a)


def edge_counts(triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    edges = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1)
    return np.unique(edges, axis=0, return_counts=True)


def lid_gap(built, points: np.ndarray) -> float:
    """Largest distance (mm) from the left upper lid margin to the lower one."""
    margin = points[built.parts["lid_margin"]]
    n = len(margin) // 2
    upper, lower = margin[1:n], margin[np.r_[n : 2 * n, 0]]
    dense = np.concatenate([lower[:-1] + t * np.diff(lower, axis=0) for t in np.linspace(0, 1, 20)])
    return float(np.linalg.norm(upper[:, None] - dense, axis=2).min(axis=1).max())


def dive(head, built, points: np.ndarray, ball_points: np.ndarray) -> float:
    """How far (mm) the deepest point of the left lids' visible edge lies inside the eyeball, negative if outside."""
    ball = built.parts["eyeball"]
    centre = np.asarray(head.joint_template[3]) * MM
    local = np.full(len(points), -1)
    local[ball] = np.arange(len(ball))
    own = np.all(np.isin(np.asarray(head.triangles), ball), axis=1)
    lids = points[np.concatenate([built.parts[k] for k in ("lid_edge", "lid_margin", "lid_lash")])]
    found, distance = closest_points(lids, ball_points[ball], local[np.asarray(head.triangles)[own]])
    surface = found.of(jnp.asarray(ball_points[ball]))
    inside = np.linalg.norm(lids - centre, axis=1) < np.linalg.norm(np.asarray(surface) - centre, axis=1)
    return float(np.where(inside, distance, -distance).max())


def test_counts_names_and_shapes(head):
    v, s, e = head.vertex_count, head.identity_size, head.expression_size
    assert 4500 <= v <= 6000 and s == 100 and e == 52
    assert len(set(head.expression_names)) == 52
    assert {"jawOpen", "eyeBlinkLeft", "mouthSmileRight", "browInnerUp", "tongueOut"} <= set(head.expression_names)
    assert head.joint_names == ("root", "neck", "jaw", "left_eye", "right_eye")
    assert head.joint_parents == (-1, 0, 1, 1, 1)
    assert head.pose_correctives.shape == (v, 3, 0) and head.skinning_weights.shape == (v, 5)
    assert head.joint_identity.shape == (5, 3, s) and head.joint_expression.shape == (5, 3, e)
    np.testing.assert_allclose(head.skinning_weights.sum(axis=1), 1.0, atol=1e-6)
    np.testing.assert_allclose(head.expression_limits, np.tile([0.0, 1.0], (52, 1)))
    for array in (head.template, head.identity_basis, head.expression_basis, head.joint_identity, head.uv):
        assert array.dtype == jnp.float32 and bool(jnp.all(jnp.isfinite(array)))


def test_exactly_mirror_symmetric(head, built):
    twin = built.mirror
    flip = np.array([-1.0, 1.0, 1.0], np.float32)
    np.testing.assert_array_equal(twin[twin], np.arange(head.vertex_count))
    template = np.asarray(head.template)
    np.testing.assert_array_equal(template[twin] * flip, template)
    np.testing.assert_allclose(np.asarray(head.uv)[twin, 0], 1.0 - np.asarray(head.uv)[:, 0], atol=1e-6)
    for name, mask in head.regions.items():
        other = name.replace("left", "?").replace("right", "left").replace("?", "right")
        np.testing.assert_array_equal(np.asarray(mask)[twin], np.asarray(head.regions[other]), err_msg=name)


def test_sided_expressions_are_mirror_images(head, built):
    flip = np.array([-1.0, 1.0, 1.0])
    for name in head.expression_names:
        if name.endswith("Left"):
            left = np.asarray(head.expression_basis[..., head.expression_names.index(name)])
            right = np.asarray(head.expression_basis[..., head.expression_names.index(name[:-4] + "Right")])
            np.testing.assert_allclose(right, left[built.mirror] * flip, atol=1e-9, err_msg=name)


def test_landmarks_are_symmetric_and_ordered(head):
    points = np.asarray(head.landmarks.of(head.template)) * MM
    assert points.shape == (68, 3)
    assert np.all(np.diff(points[:17, 0]) > 0), "the contour runs from the subject's right to the left"
    assert np.all(points[36:42, 0] < 0) and np.all(points[42:48, 0] > 0)
    np.testing.assert_allclose(points[:17][::-1] * [-1, 1, 1], points[:17], atol=1e-3)
    np.testing.assert_allclose(points[[27, 28, 29, 30, 33, 51, 57, 62, 66, 8], 0], 0.0, atol=1e-4)
    np.testing.assert_allclose(points[[45, 54, 35, 26]] * [-1, 1, 1], points[[36, 48, 31, 17]], atol=1e-3)


def test_manifold_and_open_only_where_stated(head, built):
    """Two triangles at every edge but at the neck's rim, the throat, the backs of lids, eyeballs, teeth and tongue."""
    edges, counts = edge_counts(np.asarray(head.triangles))
    assert counts.max() == 2
    allowed = built.mask("rim", "cavity_4", "lid_back", "eyeball", "teeth_upper", "teeth_lower", "tongue")
    assert np.all(allowed[edges[counts == 1]])
    skin = np.all(built.mask("skin")[np.asarray(head.triangles)], axis=1)
    used = np.asarray(head.triangles)[skin]
    skin_edges, _ = edge_counts(used)
    euler = len(np.unique(used)) - len(skin_edges) + len(used)
    assert euler == 1 - 7, "the skin is a disc with seven holes: eyes, nostrils, ears, mouth"
    assert np.unique(np.asarray(head.triangles)).size == head.vertex_count


def test_normals_point_outwards(head, template):
    triangles = np.asarray(head.triangles)
    for name, centre in (("face", (0, 5, 5)), ("scalp", (0, 20, 0)), ("left_eyeball", (31.5, 30, 65))):
        own = np.all(np.asarray(head.regions[name])[triangles], axis=1)
        own &= ~np.any(np.asarray(head.regions["nostrils"] | head.regions["eyelids"])[triangles], axis=1)
        outward = template[triangles[own]].mean(axis=1) - np.asarray(centre)
        facing = np.sum(triangle_normals(template, triangles[own]) * outward, axis=1) > 0
        assert facing.mean() > 0.985, name
    volume = np.sum(template[triangles[:, 0]] * triangle_normals(template, triangles)) / 6.0
    assert volume > 3e6, "a head encloses more than three litres"


def test_no_degenerate_or_folded_triangles_on_the_face(head, template):
    triangles = np.asarray(head.triangles)
    normals = triangle_normals(template, triangles)
    assert np.linalg.norm(normals, axis=1).min() > 1e-3
    quiet = np.asarray(
        head.regions["face"] & ~head.regions["nostrils"] & ~head.regions["eyelids"] & ~head.regions["lips"]
    )
    own = np.flatnonzero(np.all(quiet[triangles], axis=1))
    unit = normals[own] / np.linalg.norm(normals[own], axis=1, keepdims=True)
    by_edge: dict[tuple[int, int], list[int]] = {}
    for k, triangle in enumerate(triangles[own]):
        for a, b in zip(triangle, np.roll(triangle, -1), strict=True):
            by_edge.setdefault((min(a, b), max(a, b)), []).append(k)
    cosines = [float(unit[pair[0]] @ unit[pair[1]]) for pair in by_edge.values() if len(pair) == 2]
    assert min(cosines) > -0.2 and np.quantile(cosines, 0.01) > 0.6


def test_atlas_has_no_overlap(head):
    uv, triangles = np.asarray(head.uv, np.float64), np.asarray(head.triangles)
    assert uv.min() >= 0.0 and uv.max() <= 1.0
    assert doubled_areas(uv, triangles).min() > 0
    side = 1024
    covered = np.zeros((side, side), np.int32)
    for corners in uv[triangles] * side:
        low = np.maximum(np.floor(corners.min(axis=0)).astype(int), 0)
        high = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + 1, side)
        x, y = np.meshgrid(np.arange(low[0], high[0]) + 0.5, np.arange(low[1], high[1]) + 0.5)
        inside = np.ones(x.shape, bool)
        for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            inside &= (b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0]) > 1e-7
        covered[low[1] : high[1], low[0] : high[0]] += inside
    assert covered.max() == 1
    assert (covered > 0).mean() > 0.85, "the unit square is used well"


def test_atlas_looks_like_a_frontal_photograph(head):
    uv = np.asarray(head.uv)
    where = {name: uv[np.asarray(head.regions[name])].mean(axis=0) for name in head.regions}
    assert where["left_eye"][0] > 0.55 and where["right_eye"][0] < 0.45
    assert where["forehead"][1] > where["left_eye"][1] > where["nose"][1] > where["mouth"][1] > where["chin"][1]


def test_regions(head):
    assert set(REGION_NAMES) <= set(head.regions)
    face, scalp, neck = (np.asarray(head.regions[name]) for name in ("face", "scalp", "neck"))
    assert not np.any(face & scalp) and not np.any(face & neck) and not np.any(scalp & neck)
    for inner in ("eyes", "nose", "lips"):
        assert np.all(face[np.asarray(head.regions[inner])]), inner
    assert not np.any(face & np.asarray(head.regions["eyeballs"]))
    expected = np.where(face | np.asarray(head.regions["ears"]), 1.0, 0.005).astype(np.float32)
    np.testing.assert_array_equal(np.asarray(head.vertex_weights), expected)
    assert all(np.any(np.asarray(mask)) for mask in head.regions.values())


def test_identity_columns_are_orthogonal_and_sorted(head):
    basis = np.asarray(head.identity_basis, np.float64).reshape(-1, head.identity_size)
    gram = basis.T @ basis
    size = np.sqrt(np.diag(gram))
    assert np.abs(gram / np.outer(size, size) - np.eye(len(size))).max() < 1e-5
    assert np.all(np.diff(size) <= 1e-9)
    rms = np.sqrt(np.sum(np.square(np.asarray(head.identity_basis)[np.asarray(head.regions["face"])]), axis=(1, 2)))
    assert 3.0 < np.median(rms) * MM < 9.0, "a person's face differs from the mean by several millimetres"


def test_random_people_keep_lids_on_eyeballs_and_lips_closed(head, built):
    rng = np.random.default_rng(0)
    contact = built.parts["lip_contact"]
    n = len(contact) // 2
    for _ in range(8):
        identity = jnp.asarray(rng.normal(size=head.identity_size), jnp.float32)
        points = np.asarray(vertices(head, identity, jnp.zeros(0)), np.float64) * MM
        gap = np.linalg.norm(points[contact[:n]] - points[contact[::-1][:n]], axis=1)
        assert gap.max() < 0.6
        joints = np.asarray(head.joint_template + head.joint_identity @ identity) * MM
        ball = points[built.parts["eyeball"]] - joints[3]
        np.testing.assert_allclose(np.linalg.norm(ball[100:], axis=1), 12.0, atol=0.6)
        edge = np.linalg.norm(points[built.parts["lid_edge"]] - joints[3], axis=1)
        assert edge.min() > 11.4 and np.median(edge) < 13.5


def test_mouth_opens_by_expression_and_by_joint(head, built, template):
    contact = built.parts["lip_contact"]
    upper, lower = contact[0], contact[-1]
    opened = expressed(head, jawOpen=1.0)
    assert np.linalg.norm(template[upper] - template[lower]) < 0.3
    assert 28.0 < np.linalg.norm(opened[upper] - opened[lower]) < 45.0
    closed = expressed(head, jawOpen=1.0, mouthClose=1.0)
    n = len(contact) // 2
    assert np.linalg.norm(closed[contact[:n]] - closed[contact[::-1][:n]], axis=1).max() < 0.5
    rotations = jnp.zeros((5, 3)).at[2, 0].set(np.radians(22.0))
    turned = np.asarray(vertices(head, jnp.zeros(0), jnp.zeros(0), rotations)) * MM
    assert np.linalg.norm(turned[upper] - turned[lower]) > 28.0
    assert np.linalg.norm(turned[upper] - template[upper]) < 1.0


@pytest.mark.parametrize("side", ["Left", "Right"])
def test_blink_closes_the_lids_on_the_eyeball(head, built, side):
    flip = np.array([1.0, 1.0, 1.0]) if side == "Left" else np.array([-1.0, 1.0, 1.0])
    order = np.arange(head.vertex_count) if side == "Left" else built.mirror

    def posed(amplitude: float) -> np.ndarray:
        return (expressed(head, **{f"eyeBlink{side}": amplitude})[order]) * flip

    ball = posed(0.0)
    assert lid_gap(built, posed(0.0)) > 7.0
    assert lid_gap(built, posed(1.0)) < 0.7
    for amplitude in (0.0, 0.25, 0.5, 0.75, 1.0):
        assert dive(head, built, posed(amplitude), ball) < 0.5


def test_gaze_turns_the_eyeball_about_its_joint(head, built):
    centre = np.asarray(head.joint_template[3]) * MM
    pupil = built.parts["eyeball"][0]
    for name, axis, sign in (
        ("eyeLookOutLeft", 0, 1),
        ("eyeLookInLeft", 0, -1),
        ("eyeLookUpLeft", 1, 1),
        ("eyeLookDownLeft", 1, -1),
    ):
        gaze = expressed(head, **{name: 1.0})[pupil] - centre
        angle = np.degrees(np.arctan2(sign * gaze[axis], gaze[2]))
        assert 20.0 < angle < 35.0, name
        k = head.expression_names.index(name)
        assert np.abs(np.asarray(head.joint_expression[3, :, k])).max() * MM < 0.01


def test_expressions_move_what_their_names_say(head, template):
    points = np.asarray(head.landmarks.of(head.template)) * MM

    def moved(name: str) -> np.ndarray:
        return np.asarray(head.landmarks.of(jnp.asarray(expressed(head, **{name: 1.0})))) - points

    assert moved("mouthSmileLeft")[54, 1] > 4 and abs(moved("mouthSmileLeft")[48, 1]) < 0.5
    assert moved("mouthFrownRight")[48, 1] < -4
    assert moved("browDownLeft")[22:25, 1].min() < -3 and moved("browOuterUpRight")[18, 1] > 3
    assert moved("mouthPucker")[54, 0] < -5 and moved("mouthLeft")[57, 0] > 5 and moved("jawRight")[8, 0] < -5
    assert moved("jawForward")[8, 2] > 4 and moved("mouthUpperUpLeft")[53, 1] > 2
    for name in head.expression_names:
        basis = np.asarray(head.expression_basis[..., head.expression_names.index(name)])
        assert 1.0 < np.linalg.norm(basis, axis=1).max() * MM < 50.0, name


def test_generation_is_deterministic(head):
    again = generic_head.__wrapped__()
    for name in ("template", "identity_basis", "expression_basis", "uv", "triangles", "skinning_weights"):
        np.testing.assert_array_equal(np.asarray(getattr(again, name)), np.asarray(getattr(head, name)), err_msg=name)


def test_face_is_close_to_an_average_face_of_another_model(head):
    """Median distance to ICT-FaceKit's neutral face after similarity alignment: a check, not a fit."""
    with np.load(ict_path(), allow_pickle=False) as stored:
        other = stored["neutral"].astype(np.float64)[:9409] * 10.0
        quads = stored["faces"]
        landmarks = other[stored["landmarks68"]]
    quads = quads[np.all(quads < 9409, axis=1)]
    triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    face = np.asarray(head.template, np.float64)[np.asarray(head.regions["face"])] * MM
    moved = align(np.asarray(head.landmarks.of(head.template), np.float64) * MM, landmarks)(face)
    for _ in range(5):
        found, distance = closest_points(moved, other, triangles)
        nearest = np.einsum("pkd,pk->pd", other[found.vertex_ids], found.barycentric)
        moved = align(moved, nearest)(moved)
    assert np.median(distance) < 2.0 and np.quantile(distance, 0.9) < 5.0


def align(source: np.ndarray, target: np.ndarray):
    """The similarity that maps source [N,3] to target [N,3] in the least-squares sense (Umeyama 1991)."""
    a, b = source - source.mean(axis=0), target - target.mean(axis=0)
    u, values, vt = np.linalg.svd(b.T @ a)
    sign = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = u @ sign @ vt
    scale = np.sum(values * np.diag(sign)) / np.sum(a**2)
    return lambda points: scale * (points - source.mean(axis=0)) @ rotation.T + target.mean(axis=0)
