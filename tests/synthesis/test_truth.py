"""Ground truth held against itself and against rays cast through the mesh, on both heads."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from flowface_jax.heads.generic import generic_head
from flowface_jax.heads.model import vertices
from flowface_jax.synthesis.materials.surfaces import triangle_materials
from flowface_jax.synthesis.rasteriser import interpolate, project, rasterise, vertex_normals
from flowface_jax.synthesis.scene import Material
from flowface_jax.synthesis.truth import Segment, describe, image_flow, make_dense_grid, triangle_segments
from tests.shared_data import ict_head

SIZE = 256
FOCAL, CENTRE = jnp.float32(1000.0), jnp.asarray([128.0, 128.0])
TURNED = Rotation.from_euler("xyz", [170, 25, 8], degrees=True).as_matrix()


@dataclasses.dataclass
class Scene:
    """A bare head before a camera: what `describe` is told, and what it tells."""

    head: object
    dense: object
    triangles: jax.Array
    segments: jax.Array
    points: jax.Array


@pytest.fixture(scope="module", params=["generic", "ict"])
def scene(request):
    head = generic_head() if request.param == "generic" else ict_head()
    random = np.random.default_rng(3)
    identity = jnp.asarray(random.normal(size=head.identity_size), jnp.float32)
    expression = np.zeros(head.expression_size, np.float32)
    expression[list(head.expression_names).index("jawOpen")] = 0.6
    material, drawn = triangle_materials(head)
    triangles = np.asarray(head.triangles)
    lips = np.asarray(head.regions.get("lips", np.zeros(head.vertex_count, bool)))
    return Scene(
        head,
        make_dense_grid(head, material == Material.SKIN),
        jnp.asarray(triangles[drawn]),
        jnp.asarray(triangle_segments(material, triangles, lips)[drawn]),
        _placed(vertices(head, identity, jnp.asarray(expression))),
    )


def _placed(local, rotation=TURNED, translation=(0.01, 0.0, 0.8)):
    return jnp.asarray(np.asarray(local) @ np.float32(rotation).T + np.float32(translation))


def _truth(scene, points=None, triangles=None, segments=None, occluded=None, veiled=None):
    points = scene.points if points is None else points
    triangles = scene.triangles if triangles is None else triangles
    segments = scene.segments if segments is None else segments
    pixels, depth = project(points, FOCAL, CENTRE)
    fragments = rasterise(pixels, depth, triangles, (SIZE, SIZE), near=0.01)
    return fragments, describe(
        points,
        scene.dense,
        fragments,
        pixels,
        depth,
        triangles,
        vertex_normals(points, triangles),
        segments,
        jnp.zeros((SIZE, SIZE)) if occluded is None else occluded,
        jnp.zeros((SIZE, SIZE), bool) if veiled is None else veiled,
        scene.head.regions["face"],
        jnp.zeros(len(points), bool).at[scene.triangles.reshape(-1)].set(True),
        FOCAL,
        CENTRE,
        jnp.eye(3),
        jnp.zeros(3),
    )


def _first_hits(pixels, points, triangles):
    """Depth [N] m at which rays through pixels [N,2] first meet the mesh; in exact double precision, no rasteriser."""
    a, b, c = (points[triangles[:, k]] for k in range(3))
    result = np.full(len(pixels), np.inf)
    for i, pixel in enumerate(pixels):
        ray = np.append((pixel - np.asarray(CENTRE)) / float(FOCAL), 1.0)
        normal = np.cross(ray, c - a)
        determinant = ((b - a) * normal).sum(1)
        with np.errstate(divide="ignore", invalid="ignore"):
            u = (-a * normal).sum(1) / determinant
            across = np.cross(-a, b - a)
            v = (ray * across).sum(1) / determinant
            depth = ((c - a) * across).sum(1) / determinant
        # Rays through a vertex meet its triangles in a corner.
        hit = (u > -1e-4) & (v > -1e-4) & (u + v < 1 + 1e-4) & (depth > 0.01)
        result[i] = depth[hit].min(initial=np.inf)
    return result


def test_the_rendered_surface_lies_at_its_pixels(scene):
    fragments, truth = _truth(scene)
    place = interpolate(fragments, scene.triangles, scene.points)
    seen = np.asarray(fragments.seen)
    pixels = np.asarray(project(place, FOCAL, CENTRE)[0])[seen]
    rows, columns = np.nonzero(seen)
    assert np.abs(pixels - np.stack([columns + 0.5, rows + 0.5], 1)).max() < 0.1
    np.testing.assert_allclose(np.asarray(place)[seen, 2], np.asarray(truth.depth)[seen], atol=2e-5)


def test_visible_vertices_are_those_that_rays_meet_first(scene):
    truth = _truth(scene)[1]
    pixels, depth = np.asarray(truth.vertices, np.float64), np.asarray(truth.vertex_depth, np.float64)
    visible = np.asarray(truth.visible)
    used = np.unique(np.asarray(scene.triangles))
    inside = used[(pixels[used] > 1).all(1) & (pixels[used] < SIZE - 1).all(1)]
    random = np.random.default_rng(0)
    points, triangles = np.asarray(scene.points, np.float64), np.asarray(scene.triangles)
    for wanted, choice in ((True, inside[visible[inside]]), (False, inside[~visible[inside]])):
        chosen = random.choice(choice, min(150, len(choice)), replace=False)
        first = _first_hits(pixels[chosen], points, triangles)
        on_surface = first > depth[chosen] - 6e-4
        # Beside the edge of something nearer the answer is as sharp as the picture.
        assert (on_surface == wanted).mean() > 0.95, wanted
    assert visible[inside].mean() > 0.2 and not visible[~np.isin(np.arange(len(visible)), used)].any()


def test_flow_is_the_motion_of_the_same_surface_points(scene):
    fragments, _ = _truth(scene)
    turn = Rotation.from_euler("xyz", [4, -6, 3], degrees=True).as_matrix()
    after = _placed(scene.points - jnp.asarray([0, 0, 0.8]), turn, (0.0, 0.01, 0.85))
    flow = np.asarray(image_flow(fragments, scene.triangles, scene.points, after, FOCAL, CENTRE))
    seen = np.asarray(fragments.seen)
    assert np.isnan(flow[~seen]).all()
    chosen = np.random.default_rng(1).choice(seen.sum(), 400, replace=False)
    corners = np.asarray(scene.triangles)[np.asarray(fragments.triangle)[seen][chosen]]
    weights = np.asarray(fragments.barycentric, np.float64)[seen][chosen]
    ends = [np.einsum("nk,nkd->nd", weights, np.asarray(p, np.float64)[corners]) for p in (scene.points, after)]
    before, later = (1000.0 * end[:, :2] / end[:, 2:] for end in ends)
    np.testing.assert_allclose(flow[seen][chosen], later - before, atol=1e-3)
    assert np.abs(later - before).max() > 5
    still = np.asarray(image_flow(fragments, scene.triangles, scene.points, scene.points, FOCAL, CENTRE))
    assert (still[seen] == 0).all()


def test_the_dense_map_holds_the_same_points_as_the_vertices(scene):
    truth = _truth(scene)[1]
    side = truth.dense.shape[0]
    exact = project(scene.dense.points.of(scene.points), FOCAL, CENTRE)[0]
    np.testing.assert_array_equal(np.asarray(truth.dense).reshape(-1, 2), np.asarray(exact))
    # Between texels the map is read as a network's would be: face vertices come out to a fraction of a pixel.
    uv = np.asarray(scene.head.uv)
    place = np.stack([uv[:, 0] * side - 0.5, (1.0 - uv[:, 1]) * side - 0.5], 1)
    first = np.clip(np.floor(place).astype(int), 0, side - 2)
    share = place - first
    read, usable = np.zeros((len(uv), 2)), np.asarray(scene.head.regions["face"]).copy()
    for dx in (0, 1):
        for dy in (0, 1):
            weight = np.abs(1 - dx - share[:, 0]) * np.abs(1 - dy - share[:, 1])
            read += weight[:, None] * np.asarray(truth.dense)[first[:, 1] + dy, first[:, 0] + dx]
            usable &= np.asarray(truth.dense_weight)[first[:, 1] + dy, first[:, 0] + dx] > 0.5
    on_skin = np.isin(np.arange(len(uv)), np.asarray(scene.dense.points.vertex_ids))
    error = np.linalg.norm(read - np.asarray(truth.vertices), axis=1)[usable & on_skin]
    assert len(error) > 200 and np.median(error) < 0.5 and np.percentile(error, 90) < 2.5


def test_segments_agree_with_depth_and_with_visible_vertices(scene):
    truth = _truth(scene)[1]
    segments, depth = np.asarray(truth.segmentation), np.asarray(truth.depth)
    assert ((segments == Segment.BACKGROUND) == np.isinf(depth)).all()
    assert {Segment.SKIN, Segment.LIPS, Segment.EYES} <= set(np.unique(segments))
    pixels = np.floor(np.asarray(truth.vertices)[np.asarray(truth.visible)]).astype(int)
    around = [
        segments[np.clip(pixels[:, 1] + y, 0, SIZE - 1), np.clip(pixels[:, 0] + x, 0, SIZE - 1)]
        for x in (-1, 0, 1)
        for y in (-1, 0, 1)
    ]
    assert (np.stack(around) != Segment.BACKGROUND).any(0).all()
    normals = np.linalg.norm(np.asarray(truth.normals), axis=-1)
    np.testing.assert_allclose(normals[depth < np.inf], 1.0, atol=1e-3)
    assert (normals[np.isinf(depth)] == 0).all()


def test_the_box_holds_the_face_and_no_more(scene):
    truth = _truth(scene)[1]
    face = np.asarray(truth.vertices)[np.asarray(scene.head.regions["face"])]
    np.testing.assert_array_equal(np.asarray(truth.face_box), np.concatenate([face.min(0), face.max(0)]))


def test_occluders_and_dark_lenses_hide(scene):
    plain = _truth(scene)[1]
    half = np.arange(SIZE)[None, :] < 128
    hidden = _truth(scene, occluded=jnp.asarray(np.tile(half, (SIZE, 1)), jnp.float32))[1]
    veiled = _truth(scene, veiled=jnp.asarray(np.tile(half, (SIZE, 1))))[1]
    left = np.asarray(plain.vertices)[:, 0] < 128
    for truth, segment in ((hidden, Segment.OCCLUDER), (veiled, Segment.ACCESSORY)):
        np.testing.assert_array_equal(np.asarray(truth.visible), np.asarray(plain.visible) & ~left)
        assert not np.asarray(truth.dense_visible)[np.asarray(truth.dense)[..., 0] < 128].any()
        assert (np.asarray(truth.segmentation)[:, :128] == segment).all()
        np.testing.assert_array_equal(np.asarray(truth.depth), np.asarray(plain.depth))


def test_behind_the_camera_there_is_only_background(scene):
    truth = _truth(scene, points=scene.points - jnp.asarray([0, 0, 2.0]))[1]
    assert not np.asarray(truth.visible).any() and not np.asarray(truth.dense_visible).any()
    assert np.isinf(np.asarray(truth.depth)).all() and (np.asarray(truth.segmentation) == Segment.BACKGROUND).all()


def test_triangles_without_area_change_nothing(scene):
    plain = _truth(scene)[1]
    broken = np.asarray([[0, 0, 0], [5, 5, 9], [7, 3, 7]])
    triangles = jnp.concatenate([jnp.asarray(broken, scene.triangles.dtype), scene.triangles])
    segments = jnp.concatenate([jnp.full(3, int(Segment.HAIR)), scene.segments])
    truth = _truth(scene, triangles=triangles, segments=segments)[1]
    for name in ("visible", "depth", "segmentation", "dense_visible"):
        np.testing.assert_array_equal(np.asarray(getattr(truth, name)), np.asarray(getattr(plain, name)))
    assert np.isfinite(np.asarray(truth.normals)).all()
