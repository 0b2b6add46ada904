"""Light: environments, lamps, shadows, openness and what a surface sends back."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.heads.generic import generic_head
from flowface_jax.synthesis import lighting
from flowface_jax.synthesis.lighting.environment import evaluate, irradiance, project, sphere_directions, turned
from flowface_jax.synthesis.randomness import random_key
from flowface_jax.synthesis.rasteriser import interpolate, rasterise, vertex_normals
from flowface_jax.synthesis.scene import Finish, Surface

SIZE = 64
DISTANCE = 0.8


def environment_of(colour):
    directions = jnp.asarray(sphere_directions())
    return project(jnp.broadcast_to(jnp.asarray(colour, jnp.float32), directions.shape), directions)


def make_lighting(colour=0.0, ambient=0.0, direction=(0.0, 0.0, -1.0), extent=0.02):
    """One lamp in the camera's frame about a centre 0.8 m in front of it; by default beside the camera."""
    direction = jnp.asarray(direction, jnp.float32) / np.linalg.norm(direction)
    right = jnp.cross(jnp.array([0.0, -1.0, 0.0]), direction)
    return lighting.Lighting(
        environment=environment_of([ambient] * 3),
        direction=jnp.tile(direction, (3, 1)),
        right=jnp.tile(right / jnp.linalg.norm(right), (3, 1)),
        extent=jnp.full((3, 2), extent),
        panes=jnp.zeros(3),
        nearness=jnp.zeros(3),
        colour=jnp.zeros((3, 3)).at[0].set(colour),
        centre=jnp.array([0.0, 0.0, DISTANCE]),
    )


def sphere_mesh(radius, centre, rings=24, turns=48):
    lift, turn = np.linspace(-np.pi / 2, np.pi / 2, rings), np.arange(turns) * 2 * np.pi / turns
    lift, turn = (x.ravel() for x in np.meshgrid(lift, turn, indexing="ij"))
    points = np.stack([np.cos(lift) * np.cos(turn), np.sin(lift), np.cos(lift) * np.sin(turn)], -1)
    i, j = (x.ravel() for x in np.meshgrid(np.arange(rings - 1), np.arange(turns), indexing="ij"))
    a, b, c, d = i * turns + j, i * turns + (j + 1) % turns, (i + 1) * turns + j, (i + 1) * turns + (j + 1) % turns
    triangles = np.concatenate([np.stack([a, c, b], -1), np.stack([b, c, d], -1)]).astype(np.int32)
    return (points * radius + np.asarray(centre)).astype(np.float32), triangles


@functools.cache
def sphere_surface():
    """A sphere of 8 cm, 0.8 m in front of the camera: vertices, triangles, surface."""
    vertices, triangles = sphere_mesh(0.08, (0.0, 0.0, DISTANCE))
    return vertices, triangles, see(vertices, (vertices - np.array([0, 0, DISTANCE])) / 0.08, triangles)


@jax.jit
def see(vertices, normals, triangles):
    """The surface that a camera at the origin sees of a mesh."""
    pixels = vertices[:, :2] / vertices[:, 2:] * 3.5 * SIZE + SIZE / 2
    fragments = rasterise(jnp.asarray(pixels), jnp.asarray(vertices[:, 2]), jnp.asarray(triangles), (SIZE, SIZE))
    both = jnp.concatenate([jnp.asarray(vertices), jnp.asarray(normals)], axis=-1).astype(jnp.float32)
    values = interpolate(fragments, jnp.asarray(triangles), both)
    normal = values[..., 3:] / jnp.maximum(jnp.linalg.norm(values[..., 3:], axis=-1, keepdims=True), 1e-6)
    flat, colour = jnp.zeros((SIZE, SIZE)), jnp.zeros((SIZE, SIZE, 3))
    return Surface(
        seen=fragments.triangle >= 0,
        material=flat.astype(jnp.int32),
        position=values[..., :3],
        normal=normal,
        tangent=colour,
        detail=colour,
        colour=colour,
        openness=flat + 1.0,
    )


def make_finish(surface, albedo=1.0, roughness=0.5, specular=1.0, translucency=0.0, strand=0.0):
    flat = jnp.ones((SIZE, SIZE))
    return Finish(
        albedo=jnp.full((SIZE, SIZE, 3), albedo),
        roughness=flat * roughness,
        specular=flat * specular,
        translucency=flat * translucency,
        normal=surface.normal,
        strand=flat * strand,
    )


ONES = np.ones((SIZE, SIZE, 1), np.float32)
shade = jax.jit(lighting.shade)
shadow_map = jax.jit(lighting.shadow_map)
visibility = jax.jit(lighting.visibility)
openness = jax.jit(lighting.openness)
sample_lighting = jax.jit(lighting.sample_lighting)


def test_a_constant_environment_lights_every_side_with_itself():
    environment = environment_of([0.2, 0.5, 0.9])
    received = evaluate(irradiance(environment), tuple(jnp.asarray(sphere_directions(50)).T))
    np.testing.assert_allclose(jnp.stack(received, -1), np.tile([0.2, 0.5, 0.9], (50, 1)), atol=2e-3)


def test_irradiance_is_the_cosine_weighted_mean_of_the_radiance():
    directions = jnp.asarray(sphere_directions(4000))
    sky = jnp.stack([1.0 + directions[:, 1], 1.5 + directions[:, 0] * directions[:, 2], 1.0 - directions[:, 0]], -1)
    normal = jnp.array([0.6, 0.64, 0.48])
    direct = 4.0 * (jnp.maximum(directions @ normal, 0.0)[:, None] * sky).mean(axis=0)
    received = evaluate(irradiance(project(sky, directions)), tuple(normal))
    np.testing.assert_allclose(jnp.stack(received), direct, rtol=5e-3)


def test_turning_an_environment_turns_its_light():
    directions = jnp.asarray(sphere_directions())
    environment = project(jnp.tile(1.0 + directions[:, :1] + directions[:, 1:2] ** 2, (1, 3)), directions)
    turn = jnp.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    there = evaluate(turned(environment, turn), tuple(turn @ directions.T))
    np.testing.assert_allclose(there, evaluate(environment, tuple(directions.T)), atol=1e-5)


def test_a_white_body_vanishes_in_a_white_furnace():
    _, _, surface = sphere_surface()
    for roughness in (0.1, 0.5, 1.0):
        image = shade(surface, make_finish(surface, roughness=roughness), make_lighting(ambient=1.0), ONES)
        np.testing.assert_allclose(image[surface.seen], 1.0, atol=6e-3)
    assert not np.asarray(image[~surface.seen]).any()


def test_a_lamp_gives_no_more_light_back_than_it_sheds():
    _, _, surface = sphere_surface()
    for translucency in (0.0, 1.0):
        finish = make_finish(surface, translucency=translucency, roughness=0.6)
        image = np.asarray(shade(surface, finish, make_lighting(colour=1.0), ONES))[np.asarray(surface.seen)]
        assert 0.55 < image.mean() < 0.72  # a white ball lit from the front: 2/3 over its disc
        assert image.max() < 1.1


def test_light_from_behind_leaves_the_front_dark():
    _, _, surface = sphere_surface()
    image = shade(surface, make_finish(surface, translucency=1.0), make_lighting(5.0, direction=(0, 0, 1)), ONES)
    middle = np.asarray(image)[SIZE // 2 - 6 : SIZE // 2 + 6, SIZE // 2 - 6 : SIZE // 2 + 6]
    assert middle.max() < 0.02


def test_red_light_creeps_round_the_terminator_of_skin():
    _, _, surface = sphere_surface()
    light = make_lighting(colour=1.0, direction=(1.0, 0.0, 0.0))
    image = np.asarray(shade(surface, make_finish(surface, specular=0.0, translucency=1.0), light, ONES))
    terminator = image[SIZE // 2, SIZE // 2]
    assert terminator[0] > 1.5 * terminator[2] > 0.0


def test_a_polished_ball_shows_the_lamp_where_it_mirrors_it():
    _, _, surface = sphere_surface()
    image = np.asarray(shade(surface, make_finish(surface, albedo=0.02, roughness=0.06), make_lighting(1.0), ONES))
    peak = np.unravel_index(image.sum(axis=-1).argmax(), (SIZE, SIZE))
    assert np.hypot(peak[0] - SIZE / 2, peak[1] - SIZE / 2) < 3
    assert image[peak].min() > 0.3


def test_a_ball_shadows_the_wall_behind_it_and_not_itself():
    ball, triangles, surface = sphere_surface()
    wall = np.array([[x, y, DISTANCE + 0.12] for x in (-0.3, 0.3) for y in (-0.3, 0.3)], np.float32)
    vertices = np.concatenate([ball, wall])
    triangles = np.concatenate([triangles, np.array([[0, 1, 2], [2, 1, 3]], np.int32) + len(ball)])
    light = make_lighting(1.0, direction=(-1.0, 0.0, -1.0))
    shadows = shadow_map(light, jnp.asarray(vertices), jnp.asarray(triangles))
    on_ball, facing = np.asarray(visibility(shadows, surface)), np.asarray(surface.normal @ light.direction[0])
    assert on_ball[np.asarray(surface.seen) & (facing > 0.15)].min() > 0.95
    normals = np.tile(np.float32([0, 0, -1]), (4, 1))
    behind = see(wall, normals, np.array([[0, 1, 2], [2, 1, 3]], np.int32))
    on_wall = np.asarray(visibility(shadows, behind))
    place = np.asarray(behind.position)
    ray = place - np.array([0.0, 0.0, DISTANCE])
    across = np.linalg.norm(np.cross(ray, np.asarray(light.direction[0])), axis=-1)
    assert on_wall[across < 0.065].max() < 0.1
    assert on_wall[(across > 0.095) & (np.abs(place[..., 0]) < 0.1)].min() > 0.9


def test_the_far_side_of_a_ball_is_in_its_own_shadow():
    ball, triangles, surface = sphere_surface()
    light = make_lighting(1.0, direction=(-1.0, 0.0, 0.2))
    shadows = shadow_map(light, jnp.asarray(ball), jnp.asarray(triangles))
    dark = np.asarray(surface.seen) & (np.asarray(surface.normal @ light.direction[0]) < -0.55)
    assert dark.sum() > 100
    assert np.asarray(visibility(shadows, surface))[dark].max() < 0.1


@functools.cache
def occlusion():
    head = generic_head()
    return head, lighting.make_occlusion_assets(head)


def test_hollows_of_the_head_see_less_of_the_sky_than_its_cheeks():
    head, assets = occlusion()
    baked = np.asarray(assets.baked)
    assert baked.min() >= 0.0 and baked.max() <= 1.0
    regions = {name: np.asarray(mask) for name, mask in head.regions.items()}
    cheeks = np.median(baked[regions["cheeks"]])
    assert cheeks > 0.8
    assert baked[regions["nostrils"]].min() < 0.5 * cheeks
    assert baked[regions["mouth_interior"]].mean() < 0.2


def test_the_mouth_is_dark_when_closed_and_lighter_when_open():
    head, assets = occlusion()
    normals = vertex_normals(head.template, head.triangles)
    landmarks = head.landmarks.of(head.template)
    opened = landmarks.at[65:68, 1].add(-0.025)
    teeth = np.asarray(head.regions["teeth"])
    closed_mean, open_mean = (
        np.asarray(openness(assets, head.template, normals, points))[teeth].mean() for points in (landmarks, opened)
    )
    assert closed_mean < 0.05
    assert open_mean > 3.0 * closed_mean


def test_places_close_behind_something_nearer_are_darkened():
    _, _, surface = sphere_surface()
    depth = jnp.where(jnp.arange(SIZE) < SIZE // 2, 0.8, 0.82)
    step = Surface(
        **{**vars(surface), "seen": jnp.ones((SIZE, SIZE), bool)}
        | {"position": jnp.zeros((SIZE, SIZE, 3)).at[..., 2].set(depth)}
        | {"normal": jnp.zeros((SIZE, SIZE, 3)).at[..., 2].set(-1.0)}
    )
    row = np.asarray(lighting.contact_openness(step))[SIZE // 2]
    assert row[SIZE // 2 + 1] < 0.85
    assert row[: SIZE // 2 - 1].min() > 0.99 and row[-8:].min() > 0.97


def test_hair_shines_across_its_strands():
    _, _, surface = sphere_surface()
    along = jnp.broadcast_to(jnp.array([0.0, 1.0, 0.0]), (SIZE, SIZE, 3))
    along = along - surface.normal * (along * surface.normal).sum(-1, keepdims=True)
    hair = Surface(**{**vars(surface), "tangent": along / jnp.maximum(jnp.linalg.norm(along, axis=-1), 0.1)[..., None]})
    image = np.asarray(shade(hair, make_finish(hair, albedo=0.03, strand=1.0), make_lighting(1.0), ONES)).mean(axis=-1)
    column = image[:, SIZE // 2]
    assert column[SIZE // 2 - 8 : SIZE // 2 + 8].max() > 3.0 * max(column[SIZE // 2 + 15], column[SIZE // 2 - 15])


def test_the_same_key_gives_the_same_bytes():
    first, again = (jax.tree.leaves(sample_lighting(random_key(3))) for _ in range(2))
    assert all(np.asarray(a).tobytes() == np.asarray(b).tobytes() for a, b in zip(first, again, strict=True))


@functools.cache
def photographs():
    return [sample_lighting(random_key(seed)) for seed in range(200)]


def test_two_hundred_photographs_are_finite_varied_and_mostly_well_exposed():
    assert all(np.isfinite(np.asarray(leaf)).all() for light in photographs() for leaf in jax.tree.leaves(light))
    metered = jnp.array([[0.0, 0.0, 1.0], [0.6, 0.0, 0.8], [-0.6, 0.0, 0.8]])
    received = jax.jit(lighting.received)
    brightness = np.array([np.asarray(received(light, metered)).mean() for light in photographs()])
    assert np.mean((brightness > 0.4) & (brightness < 2.0)) > 0.8
    assert brightness.std() > 0.15


def test_random_photographs_shade_finitely():
    _, _, surface = sphere_surface()
    level, ahead = jnp.diag(jnp.array([1.0, -1.0, -1.0])), jnp.array([0.0, 0.0, DISTANCE])
    for light in photographs()[:24]:
        image = np.asarray(shade(surface, make_finish(surface, 0.4), lighting.placed(light, level, ahead), ONES))
        assert np.isfinite(image).all() and image.min() >= 0.0
        assert 0.01 < image[np.asarray(surface.seen)].mean() < 2.5
