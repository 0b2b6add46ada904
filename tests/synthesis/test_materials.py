"""Materials of a head: the cut mesh keeps its geometry, every pixel gets a usable finish."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowface_jax.heads.generic import generic_head
from flowface_jax.heads.model import HeadModel
from flowface_jax.synthesis.materials.evaluation import evaluate_materials
from flowface_jax.synthesis.materials.eyeballs import LIMBUS_ANGLE, fit_sphere
from flowface_jax.synthesis.materials.eyes import sample_eyes
from flowface_jax.synthesis.materials.mouths import sample_mouth
from flowface_jax.synthesis.materials.relief import with_relief
from flowface_jax.synthesis.materials.surfaces import make_head_surface, triangle_materials
from flowface_jax.synthesis.randomness import random_key
from flowface_jax.synthesis.scene import Finish, Material, Surface
from flowface_jax.synthesis.skin.texture import SkinTexture
from tests.shared_data import ict_head


@pytest.fixture(scope="module", params=["generic", "ict"])
def head(request: pytest.FixtureRequest) -> HeadModel:
    return generic_head() if request.param == "generic" else ict_head()


COUNT = 4
KEYS = jax.random.split(random_key(0), COUNT)


def picture(seed: int, side: int = 48) -> Surface:
    """A tilted plane whose pixels are of all materials with random details."""
    random = np.random.default_rng(seed)
    rows, columns = np.meshgrid(np.arange(side), np.arange(side), indexing="ij")
    position = np.stack([columns * 1e-3, rows * 1e-3, 0.5 + columns * 2e-4], -1)
    normal = np.broadcast_to(np.array([0.2, 0.0, -1.0]) / np.sqrt(1.04), position.shape)
    detail = random.normal(size=(side, side, 3)) * 0.5
    arrays = dict(
        position=position,
        normal=normal,
        tangent=0 * position,
        detail=detail,
        colour=random.uniform(size=position.shape),
    )
    return Surface(
        seen=jnp.ones((side, side), bool),
        material=jnp.asarray(random.integers(0, len(Material), (side, side)), jnp.int32),
        openness=jnp.ones((side, side)),
        **{name: jnp.asarray(value, jnp.float32) for name, value in arrays.items()},
    )


def flat_skin(side: int = 32) -> SkinTexture:
    ones = jnp.ones((side, side))
    return SkinTexture(jnp.full((side, side, 3), 0.3), 0.5 * ones, ones, 0 * ones)


def test_the_cut_mesh_keeps_its_geometry(head: HeadModel) -> None:
    surface = make_head_surface(head)
    material, drawn = triangle_materials(head)
    assert np.array_equal(surface.vertex_ids[surface.triangles], np.asarray(head.triangles)[drawn])
    assert np.array_equal(surface.material, material[drawn])


def test_every_vertex_has_one_material(head: HeadModel) -> None:
    surface = make_head_surface(head)
    triangles, material = np.asarray(surface.triangles), np.asarray(surface.material)
    low, high = np.full(len(surface.vertex_ids), 99), np.full(len(surface.vertex_ids), -1)
    np.minimum.at(low, triangles, material[:, None])
    np.maximum.at(high, triangles, material[:, None])
    assert np.array_equal(low, high)
    assert np.isfinite(np.asarray(surface.detail)).all()


def test_all_parts_of_the_face_are_there(head: HeadModel) -> None:
    surface = make_head_surface(head)
    counts = np.bincount(np.asarray(surface.material), minlength=len(Material))
    for material in (Material.SKIN, Material.EYE, Material.TEETH, Material.MOUTH):
        assert counts[int(material)] > 100
    lips = np.asarray(head.regions["lips"])[np.asarray(head.triangles)].all(1)
    assert (triangle_materials(head)[0][lips] == Material.SKIN).mean() > 0.6


def test_pupils_look_ahead_and_irises_have_human_size(head: HeadModel) -> None:
    surface = make_head_surface(head)
    eye = np.unique(np.asarray(surface.triangles)[np.asarray(surface.material) == Material.EYE])
    detail = np.asarray(surface.detail)[eye]
    places = np.asarray(head.template)[np.asarray(surface.vertex_ids)[eye]]
    assert np.allclose(np.linalg.norm(detail, axis=1), 1, atol=1e-5)
    for side in (-1, 1):
        mine = np.sign(places[:, 0]) == side
        foremost = detail[mine][places[mine, 2].argmax()]
        assert foremost[2] > 0.97
        iris = np.arccos(np.clip(detail[mine, 2], -1, 1)) < LIMBUS_ANGLE + 0.03
        assert 0.009 < np.ptp(places[mine][iris], axis=0)[:2].max() < 0.0135


def test_spheres_are_found_in_spite_of_a_cornea() -> None:
    random = np.random.default_rng(0)
    directions = random.normal(size=(600, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    bulge = 1 + 0.08 * np.clip((directions[:, 2] - 0.87) / 0.13, 0, 1)
    centre, radius = fit_sphere(0.012 * directions * bulge[:, None] + np.array([0.03, 0.02, 0.06]))
    assert np.abs(centre - [0.03, 0.02, 0.06]).max() < 1e-4 and abs(radius - 0.012) < 1e-4


@jax.jit
def evaluate(scenes: Surface, keys: jax.Array) -> Finish:
    """Finishes of stacked scenes with one person's eyes and mouth each."""
    one = lambda scene, key: evaluate_materials(scene, flat_skin(), sample_eyes(key), sample_mouth(key))
    return jax.vmap(one)(scenes, keys)


def stacked(scenes: list[Surface]) -> Surface:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *scenes)


def test_every_pixel_gets_a_usable_finish() -> None:
    finish = evaluate(stacked([picture(seed) for seed in range(COUNT)]), KEYS)
    assert isinstance(finish, Finish)
    for leaf in jax.tree.leaves(finish):
        assert np.isfinite(np.asarray(leaf)).all()
    assert float(finish.albedo.min()) >= 0 and float(finish.albedo.max()) <= 1
    assert float(finish.roughness.min()) >= 0.05 and float(finish.roughness.max()) <= 1
    assert np.allclose(jnp.linalg.norm(finish.normal, axis=-1), 1, atol=1e-4)


def test_skin_comes_from_its_texture_and_hair_alone_is_strand() -> None:
    scenes = stacked([picture(seed) for seed in range(COUNT)])
    finish = evaluate(scenes, KEYS)
    material = np.asarray(scenes.material)
    assert np.allclose(np.asarray(finish.albedo)[material == Material.SKIN], 0.3, atol=1e-6)
    hairy = (material == Material.HAIR) | (material == Material.LASH)
    assert np.array_equal(np.asarray(finish.strand) == 1, hairy)


def test_relief_tilts_normals_away_from_the_rise() -> None:
    rows, columns = np.indices((48, 48)) * 1e-3
    position = jnp.asarray(np.stack([columns, rows, np.full_like(rows, 0.5)]), jnp.float32)
    normal, where = jnp.zeros_like(position).at[2].set(-1.0), jnp.ones((48, 48), bool)
    relief = jax.jit(with_relief)
    inner = np.asarray(relief(normal, position, 0.2 * position[0], where))[:, 5:-5, 5:-5]
    assert (inner[0] < -0.1).all() and np.allclose(inner[1], 0, atol=1e-5)
    assert np.allclose(relief(normal, position, 0 * position[0], where), normal, atol=1e-6)


def test_pupils_are_dark_and_sclera_is_bright() -> None:
    angles = jnp.array([0.0, 0.05, 0.9])
    detail = jnp.stack([jnp.sin(angles), 0 * angles, jnp.cos(angles)], -1)
    scene = picture(0)
    scene = dataclasses.replace(
        scene, detail=scene.detail.at[0, :3].set(detail), material=scene.material.at[0, :3].set(int(Material.EYE))
    )
    bright = np.asarray(evaluate(stacked([scene] * COUNT), KEYS).albedo.mean(-1))[:, 0]
    assert (bright[:, :2] < 0.03).all() and (bright[:, 2] > 0.15).all()
