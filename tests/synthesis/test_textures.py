"""Pictures laid out over the atlas give back the head's own texture, and say where they do not."""

from __future__ import annotations

import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.synthesis.textures import Texture, load_texture, load_texture_bank
from flowface_jax.synthesis.textures.colour import linear_to_srgb, srgb_to_linear
from flowface_jax.synthesis.textures.completing import MIRRORED, complete, push_pull
from flowface_jax.synthesis.textures.delighting import spherical_harmonics, without_light
from flowface_jax.synthesis.textures.merging import merge, weighted_median
from flowface_jax.synthesis.textures.unwrapping import make_texel_map, skin_triangles, unwrap
from tests.synthesis.domes import dome_head, head_rotation, picture, posed, skin_pattern

SIDE = 192
YAWS = (-40, -25, -10, 0, 10, 25, 40)


@pytest.fixture(scope="module")
def dome():
    head = dome_head()
    return head, make_texel_map(head, SIDE), skin_pattern(SIDE)


def _unwrapped(dome, yaws, change=None):
    """Pictures from these angles over the atlas; change(n, image) alters the n-th picture."""
    head, texels, texture = dome
    colours, weights = [], []
    for n, yaw in enumerate(yaws):
        image = picture(head, head_rotation(yaw), texture)
        image = image if change is None else change(n, image)
        colour, weight = unwrap(texels, image, posed(head, head_rotation(yaw)), head.triangles, skin_triangles(head))
        colours.append(colour)
        weights.append(weight)
    return np.stack(colours), np.stack(weights)


def _largest_error(found, expected, where):
    """99th percentile of the relative error."""
    return np.quantile(np.abs(found / expected - 1)[where], 0.99)


def test_one_picture_gives_back_the_texture_where_it_is_seen(dome):
    colour, weight = _unwrapped(dome, [0])
    seen = weight[0] > 0.05
    assert 0.3 < seen.mean() < 0.7
    assert _largest_error(srgb_to_linear(colour[0]), dome[2], seen) < 0.03


def test_what_turns_away_has_no_weight_and_turning_shows_it(dome):
    _, weight = _unwrapped(dome, [-40, 40])
    left, right = weight[:, :, : SIDE // 4].max(), weight[:, :, -SIDE // 4 :].max()
    assert left > 0.2 and right > 0.2
    # A head that turns to its left shows its right side, which has small u.
    assert weight[1, :, -SIDE // 8 :].max() == 0
    assert weight[0, :, : SIDE // 8].max() == 0


def test_merged_pictures_give_back_the_texture_of_a_larger_part(dome):
    linear, seen = merge(*_unwrapped(dome, YAWS), dome[1].normal)
    assert (seen > 0.05).mean() > 0.6
    assert _largest_error(linear, dome[2], seen > 0.05) < 0.03


def test_what_passes_before_the_face_in_few_pictures_does_not_remain(dome):
    def with_hand(n, image):
        image = image.copy()
        if n in (3, 4):
            image[100:180, 100:150] = (20, 60, 220)
        return image

    linear, seen = merge(*_unwrapped(dome, YAWS, with_hand), dome[1].normal)
    assert _largest_error(linear, dome[2], seen > 0.05) < 0.04


def test_pictures_of_different_exposure_join_without_edges(dome):
    def exposed(n, image):
        return linear_to_srgb(srgb_to_linear(image) * (0.75, 1.25)[n % 2])

    linear, seen = merge(*_unwrapped(dome, YAWS, exposed), dome[1].normal)
    ratio = linear / dome[2]
    # The exposure itself is free, its evenness is not.
    assert np.std(np.log(ratio[seen > 0.1])) < 0.01


def test_the_unseen_side_is_the_mirror_image_and_the_back_is_smooth(dome):
    head, texels, _ = dome
    texture = skin_pattern(SIDE)
    texture = (texture + texture[:, ::-1]) / 2
    seen = np.zeros((SIDE, SIDE), np.float32)
    seen[SIDE // 4 : 3 * SIDE // 4, SIDE // 2 : 7 * SIDE // 8] = 1
    linear, confidence = complete(np.where(seen[..., None] > 0, texture, 0), seen, texels, head, keep_light=True)
    sure = confidence > 0.99
    mirrored = sure[:, ::-1] & ~sure
    assert sure.any() and mirrored.any()
    np.testing.assert_allclose(linear[sure], texture[sure], rtol=1e-3)
    # Half the full weight is given to the mirror image, the rest continues what lies around.
    assert np.allclose(confidence[mirrored], MIRRORED, atol=0.01)
    assert _largest_error(linear, texture, mirrored) < 0.03
    assert np.all(confidence[: SIDE // 8] == 0) and np.isfinite(linear).all()
    assert linear.min() > 0.5 * texture.min() and linear.max() < 1.5 * texture.max()


def test_hair_beside_the_face_is_not_kept(dome):
    head, texels, texture = dome
    hairy = texture.copy()
    hairy[:, : SIDE // 5] = 0.01
    linear, confidence = complete(hairy, np.ones((SIDE, SIDE), np.float32), texels, head, keep_light=True)
    assert confidence[:, : SIDE // 6].max() <= MIRRORED + 0.01
    assert linear[:, : SIDE // 6].min() > 0.1
    assert confidence[SIDE // 2, SIDE // 2] > 0.99


def test_shading_of_order_two_is_taken_out(dome):
    texels = dome[1]
    skin = np.float32([0.36, 0.21, 0.15])
    light = np.random.default_rng(0).normal(size=(9, 3)) * 0.12
    shaded = skin * np.exp(spherical_harmonics(texels.normal) @ light).astype(np.float32)
    weight = texels.skin.astype(np.float32)
    even = without_light(shaded, weight, texels.normal)
    assert np.log(shaded).std(axis=(0, 1)).max() > 0.1
    assert np.log(even[texels.skin]).std(axis=0).max() < 0.02


def test_a_known_place_keeps_its_value_when_the_rest_is_filled():
    image = np.random.default_rng(0).random((37, 53, 3)).astype(np.float32)
    weight = np.zeros((37, 53), np.float32)
    weight[10:20, 5:30] = 1
    filled = push_pull(image, weight)
    np.testing.assert_allclose(filled[weight > 0], image[weight > 0], rtol=1e-5)
    assert filled.min() >= 0 and filled.max() <= 1 + 1e-5


def test_the_weighted_median_ignores_a_minority():
    values = np.float32([1, 2, 50])[:, None, None, None]
    assert weighted_median(values, np.float32([2, 2, 1])[:, None, None])[0, 0, 0] == 2
    assert weighted_median(values, np.float32([0, 0, 1])[:, None, None])[0, 0, 0] == 50
    assert weighted_median(values, np.zeros((3, 1, 1), np.float32))[0, 0, 0] == 0


def _texture(value=0.25):
    linear = np.full((64, 64, 3), value, np.float32)
    confidence = np.linspace(0, 1, 64)[None].repeat(64, 0)
    return Texture.from_linear(linear, confidence, "dome", ("a.mp4",), np.int32([[0, 3]]), lit=False)


def test_a_texture_file_is_read_back_and_always_the_same(tmp_path):
    first, second = (_texture().save(tmp_path / name) for name in ("one", "two"))
    assert first.read_bytes() == second.read_bytes()
    assert (tmp_path / "one" / "texture.png").is_file() and (tmp_path / "one" / "confidence.png").is_file()
    again = load_texture(tmp_path / "one")
    assert np.array_equal(again.albedo, _texture().albedo)
    assert np.array_equal(again.confidence, _texture().confidence)
    assert (again.head_name, again.source, again.lit) == ("dome", ("a.mp4",), False)


def test_a_bank_is_linear_and_of_one_side(tmp_path):
    _texture(0.25).save(tmp_path / "b.npz")
    _texture(0.5).save(tmp_path / "a")
    albedo, confidence = load_texture_bank(tmp_path, 32)
    assert albedo.shape == (2, 32, 32, 3) and confidence.shape == (2, 32, 32)
    np.testing.assert_allclose(albedo[:, 5, 5, 1], [0.5, 0.25], atol=0.005)
    assert confidence.min() >= 0 and 0.95 < confidence.max() <= 1


def test_files_that_are_no_textures_are_refused(tmp_path):
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    with pytest.raises(InputError, match="lacks"):
        load_texture(tmp_path / "other.npz")
    with pytest.raises(InputError, match="no such file"):
        load_texture(tmp_path / "absent.npz")
    with pytest.raises(InputError, match="no such folder"):
        load_texture_bank(tmp_path / "absent", 32)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no texture"):
        load_texture_bank(tmp_path / "empty", 32)
