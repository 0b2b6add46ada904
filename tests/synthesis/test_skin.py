"""Skin textures: features lie on their landmarks, colours are natural, draws repeat."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.heads.generic import generic_head
from flowface_jax.heads.model import HeadModel
from flowface_jax.synthesis.randomness import random_key
from flowface_jax.synthesis.skin.assets import SkinAssets, make_skin_assets
from flowface_jax.synthesis.skin.parameters import SkinParameters, sample_skin
from flowface_jax.synthesis.skin.pigments import nearest_skin, skin_colour
from flowface_jax.synthesis.skin.real import mix_real_texture
from flowface_jax.synthesis.skin.texture import SkinTexture, build_skin_texture
from tests.shared_data import ict_head

SIDE, COUNT = 128, 6


@pytest.fixture(scope="module", params=["generic", "ict"])
def worn(request: pytest.FixtureRequest) -> tuple[HeadModel, SkinAssets]:
    head = generic_head() if request.param == "generic" else ict_head()
    return head, make_skin_assets(head, SIDE)


@pytest.fixture(scope="module")
def assets() -> SkinAssets:
    return make_skin_assets(generic_head(), SIDE)


def at(picture: jax.Array, head: HeadModel, ids: list[int]) -> np.ndarray:
    """Values of a map at landmarks."""
    uv = np.asarray(head.landmarks.of(head.uv))[ids]
    rows, columns = ((1 - uv[:, 1]) * SIDE).astype(int), (uv[:, 0] * SIDE).astype(int)
    return np.asarray(picture)[rows, columns]


build = jax.jit(jax.vmap(build_skin_texture, in_axes=(0, None)))
sample = jax.jit(jax.vmap(sample_skin))


@pytest.fixture(scope="module")
def people() -> SkinParameters:
    """Many people's skins, stacked."""
    return sample(jax.random.split(random_key(0), 500))


@pytest.fixture(scope="module")
def painted(people: SkinParameters, assets: SkinAssets) -> SkinTexture:
    """The textures of the first of them."""
    return build(first_of(people), assets)


def first_of(people: SkinParameters) -> SkinParameters:
    return jax.tree.map(lambda leaf: leaf[:COUNT], people)


def test_features_lie_on_their_landmarks(worn: tuple[HeadModel, SkinAssets]) -> None:
    head, maps = worn
    assert (np.abs(at(maps.brow_across, head, [18, 19, 20, 23, 24, 25])) < 3.5).all()
    assert (np.abs(at(maps.eye_distance, head, [36, 37, 39, 41, 42, 44, 45, 47])) < 3.5).all()
    assert (at(maps.masks["lips"], head, [61, 63, 65, 67]) > 0.8).all()
    assert (at(maps.masks["lips"], head, [33, 8, 30, 36]) < 0.05).all()
    assert (at(maps.lip_edge, head, [33, 8]) < -5).all()
    assert (at(maps.hairline, head, [8, 19, 24, 27, 30, 51]) < -15).all()
    assert (at(maps.beard["goatee"], head, [8]) > 0.5).all()
    assert (at(maps.beard["jaw"], head, [5, 11]) > 0.4).all()
    assert (at(maps.masks["nostrils"], head, [27, 30, 51]) < 0.05).all()


def test_scalp_is_hairy_and_face_is_not(worn: tuple[HeadModel, SkinAssets]) -> None:
    head, maps = worn
    template, uv = np.asarray(head.template), np.asarray(head.uv)
    crown = np.asarray(head.regions["scalp"]) & (template[:, 1] > 0.12)
    columns, rows = (uv[crown] * SIDE).astype(int).clip(0, SIDE - 1).T
    assert (np.asarray(maps.hairline)[SIDE - 1 - rows, columns] > 0).mean() > 0.9
    assert float((np.asarray(maps.probe) * (np.asarray(maps.hairline) > 0)).sum()) == 0


def test_upper_and_lower_sides_are_told_apart(worn: tuple[HeadModel, SkinAssets]) -> None:
    head, maps = worn
    assert (at(maps.lip_upper, head, [50, 51, 52]) > 0.9).all() and (at(maps.lip_upper, head, [56, 57, 58]) < 0.1).all()
    assert (at(maps.eye_above, head, [19, 24]) == 1).all() and (at(maps.eye_above, head, [31, 35]) == 0).all()
    assert (at(maps.eye_along, head, [36, 45]) > 0.8).all() and (at(maps.eye_along, head, [39, 42]) < 0.2).all()


def test_every_skin_colour_is_natural(people: SkinParameters) -> None:
    colour = np.asarray(jax.jit(skin_colour)(people.melanin, people.blood, people.carotene))
    red, green, blue = colour.T
    assert (red > green).all() and (green > blue).all()
    hue = 60 * (green - blue) / (red - blue)
    assert (hue > 8).all() and (hue < 42).all()
    lightness = colour.mean(1)
    assert lightness.min() < 0.07 and lightness.max() > 0.4


def test_hair_and_brows_have_hair_colours(people: SkinParameters) -> None:
    for colour in (people.hair, people.brow_colour, people.beard_colour):
        colour = np.asarray(colour)
        assert (colour >= 0).all() and (colour <= 1).all()
        assert (colour[:, 0] >= colour[:, 1] - 1e-3).all() and (colour[:, 1] >= colour[:, 2] - 1e-3).all()


def test_textures_are_finite_and_in_range(painted: SkinTexture) -> None:
    assert painted.albedo.shape == (COUNT, SIDE, SIDE, 3)
    assert all(np.isfinite(np.asarray(leaf)).all() for leaf in jax.tree.leaves(painted))
    assert float(painted.albedo.min()) > 0 and float(painted.albedo.max()) < 1
    assert float(painted.roughness.min()) >= 0.05 and float(painted.roughness.max()) <= 1
    assert float(jnp.abs(painted.relief).max()) < 3


def test_the_same_person_has_the_same_bytes(people: SkinParameters, painted: SkinTexture, assets: SkinAssets) -> None:
    again = np.asarray(build(first_of(people), assets).albedo)
    assert again.tobytes() == np.asarray(painted.albedo).tobytes()
    assert len({picture.tobytes() for picture in again}) == COUNT


def test_brows_and_beards_show(people: SkinParameters, assets: SkinAssets) -> None:
    head, dark = generic_head(), jnp.tile(jnp.array([0.02, 0.012, 0.008]), (COUNT, 1))
    first = first_of(people)
    bearded = dataclasses.replace(
        first,
        melanin=jnp.full(COUNT, 0.1),
        brow=jnp.tile(jnp.array([4.0, 0.5, 1.0, 0.5, 1.0, 0.0]), (COUNT, 1)),
        brow_colour=dark,
        beard=jnp.ones((COUNT, 7)),
        beard_length=jnp.ones(COUNT),
        beard_colour=dark,
        lipstick=jnp.zeros((COUNT, 4)),
        foundation=jnp.zeros(COUNT),
    )
    with_beard, shaved = (
        np.asarray(build(parameters, assets).albedo.mean(-1))
        for parameters in (bearded, dataclasses.replace(bearded, beard=jnp.zeros((COUNT, 7))))
    )
    cheek = (with_beard * np.asarray(assets.probe)).sum((1, 2))
    for k in range(COUNT):
        assert at(with_beard[k], head, [18, 19, 24, 25]).mean() < 0.5 * cheek[k]
        assert at(with_beard[k], head, [8]).mean() < 0.5 * cheek[k]
        assert at(shaved[k], head, [8]).mean() > 0.6 * cheek[k]


def test_real_skin_takes_over_where_it_was_seen(painted: SkinTexture, assets: SkinAssets) -> None:
    made_up = jax.tree.map(lambda leaf: leaf[0], painted)
    stripes = 0.3 + 0.1 * (jnp.arange(SIDE) % 2)[None, :, None] * jnp.ones((SIDE, 1, 1))
    bank = (stripes * jnp.array([1.2, 0.8, 0.6]))[None]
    seen = jnp.ones((1, SIDE, SIDE)).at[:, : SIDE // 2].set(0.0)
    mixed = jax.jit(lambda key: mix_real_texture(key, made_up, bank, seen, assets))(random_key(4))
    assert isinstance(mixed, SkinTexture) and np.isfinite(np.asarray(mixed.albedo)).all()
    ratio = (
        np.asarray(mixed.albedo)[SIDE * 5 // 8, SIDE // 4 + 1 : SIDE // 2 : 2]
        / np.asarray(mixed.albedo)[SIDE * 5 // 8, SIDE // 4 : SIDE // 2 : 2]
    )
    assert np.allclose(ratio, 4 / 3, rtol=0.02)
    unseen = np.asarray(mixed.albedo / made_up.albedo)[SIDE // 4, SIDE // 4 : -SIDE // 4]
    assert np.allclose(unseen, unseen.mean(0), rtol=1e-3)


def test_colour_casts_are_removed() -> None:
    greenish = skin_colour(jnp.float32(0.4), jnp.float32(0.0)) * jnp.array([0.8, 1.3, 0.9])
    red, green, blue = np.asarray(nearest_skin(greenish))
    assert red > green > blue


def test_bad_sizes_are_refused() -> None:
    with pytest.raises(InputError, match="texels"):
        make_skin_assets(generic_head(), 8)
