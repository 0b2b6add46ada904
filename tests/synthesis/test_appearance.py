"""People look like people: what they wear, how their hair is cut and what colour it has go together."""

import functools

import jax
import numpy as np

from flowface_jax.synthesis.appearance import sample_appearance
from flowface_jax.synthesis.randomness import random_key


@functools.cache
def people():
    """Some facts about 600 people, each an array of their length."""

    def facts(key):
        person = sample_appearance(key)
        skin, hair = person.skin, person.hair
        return {
            "masculine": skin.masculine,
            "age": skin.age,
            "bearded": skin.beard.max() * skin.beard_length,
            "lipstick": skin.lipstick[3],
            "long": hair.cut + hair.tie,
            "lightness": hair.colour.mean(),
            "melanin": skin.melanin,
            "same": abs(hair.colour - skin.hair).max(),
            "scarf": person.hat.present * person.hat.scarf,
        }

    drawn = jax.jit(jax.vmap(facts))(jax.random.split(random_key(3), 600))
    return {name: np.asarray(values) for name, values in drawn.items()}


def test_beards_come_with_neither_lipstick_nor_headscarves():
    facts = people()
    bearded = facts["bearded"] > 0.2
    assert 0.1 < bearded.mean() < 0.4
    assert (facts["lipstick"][bearded] > 0).mean() < 0.05
    assert not facts["scarf"][bearded].any()


def test_long_hair_is_commoner_among_the_feminine_and_occurs_among_the_masculine():
    facts = people()
    masculine = facts["masculine"] > 0
    long = facts["long"] > 0
    assert long[~masculine].mean() > 0.5
    assert 0.01 < long[masculine].mean() < 0.2


def test_the_young_and_dark_skinned_seldom_have_light_hair():
    facts = people()
    light = facts["lightness"] > 0.15
    dark_skinned = facts["melanin"] > 0.6
    young = facts["age"] < 0.35
    assert 0.05 < light.mean() < 0.4
    assert light[dark_skinned & young].mean() < 0.05


def test_locks_have_the_colour_of_the_short_hair_between_them():
    assert people()["same"].max() < 1e-6
