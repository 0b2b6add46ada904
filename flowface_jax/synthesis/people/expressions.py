"""What the face does below and above the eyes: single shapes, emotions, speech, extremes, made consistent."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from flowface_jax.synthesis.people.assets import PeopleAssets

KINDS = {"neutral": 0.08, "single": 0.2, "combination": 0.25, "speech": 0.2, "both": 0.15, "several": 0.12}
"""Share of each kind of expression."""
_OVERLAP = 1e-3
"""Metres by which lips that touch may press into each other."""
_TONGUE_ROOM = 0.022
"""Metres between the lips at which the tongue may come out all the way."""
_JAW_TURN = 0.12
"""Radians, standard deviation of a jaw joint that no expression turns; half of it opens, up to 0.5."""


def sample_expression(key: jax.Array, assets: PeopleAssets) -> jax.Array:
    """Coefficients [E] of a random expression, gaze and lids left at rest (`eyes` adds them).

    Heads with ARKit's shapes show a mixture of kinds (`KINDS`); statistical bases are drawn from their prior.
    """
    if assets.statistical:
        std = assets.expression_std
        drawn = std * jax.random.truncated_normal(key, -2.5, 2.5, std.shape)
        return jnp.clip(drawn, assets.expression_limits[:, 0], assets.expression_limits[:, 1])
    keys = jax.random.split(key, 7)
    kind = jax.random.choice(keys[0], len(KINDS), p=jnp.asarray(list(KINDS.values())))
    single, combination, speech = (
        sample(k, assets) for sample, k in zip((_single, _combination, _speech), keys[1:4], strict=True)
    )
    several = _several(keys[4], assets)
    both = jnp.maximum(0.7 * combination, speech)
    mixed = jnp.stack([jnp.zeros_like(single), single, combination, speech, both, several])[kind]
    stirring = 0.06 * jnp.maximum(jax.random.normal(keys[5], mixed.shape), 0.0) * assets.single
    return settle_exclusions(_one_sided(keys[6], mixed + stirring, assets), assets)


def sample_jaw(key: jax.Array, assets: PeopleAssets) -> jax.Array:
    """Rotation [3] of the jaw joint, rad, for statistical heads that have one; zero where shapes open the jaw."""
    opening, side = jax.random.split(key)
    turn = jnp.clip(_JAW_TURN * jax.random.normal(opening), 0.0, 0.5)
    turned = jnp.stack([turn, 0.02 * jax.random.normal(side), 0.0])
    return turned * assets.jaw_joint.any() * assets.statistical


def settle_exclusions(expression: jax.Array, assets: PeopleAssets) -> jax.Array:
    """The expression [E] within its limits; of groups that exclude each other, the weaker yields to the stronger."""
    low, high = assets.expression_limits[:, 0], assets.expression_limits[:, 1]
    expression = jnp.clip(expression, low, high)
    if assets.statistical:
        return expression

    def yielding(current: jax.Array, groups: jax.Array) -> tuple[jax.Array, None]:
        strength = jnp.max(groups * current, axis=1)
        weaker = jnp.where(strength[0] < strength[1], groups[0], groups[1])
        return current * (1.0 - weaker * jnp.clip(jnp.max(strength), 0.0, 1.0)), None

    return jax.lax.scan(yielding, expression, assets.excluding)[0]


def settle_mouth(expression: jax.Array, identity: jax.Array, assets: PeopleAssets) -> jax.Array:
    """The expression [E] without lips that pass through each other, and no tongue through closed lips.

    Shapes that bring the lips together (mouthClose, shrugs, rolls) are weakened to what the others leave open.
    """
    lips = assets.lips
    moves, closing = lips.expression[:, 0], lips.closing[:, 0]
    bases = lips.of_person(identity)[0] + jnp.sum((1.0 - closing) * moves * expression)
    wanted = -jnp.sum(closing * moves * expression)
    share = jnp.clip((bases + _OVERLAP) / jnp.maximum(wanted, 1e-6), 0.0, 1.0)
    expression = expression * (1.0 - closing * (1.0 - share))
    room = lips.of_person(identity)[0] + jnp.sum(moves * expression)
    return expression * (1.0 - assets.tongue * (1.0 - jnp.clip(room / _TONGUE_ROOM, 0.0, 1.0)))


def _single(key: jax.Array, assets: PeopleAssets) -> jax.Array:
    """One shape at any strength, half of the time on both sides."""
    which, strength, twice = jax.random.split(key, 3)
    picked = jax.random.choice(which, assets.expression_size, p=assets.single / jnp.maximum(assets.single.sum(), 1.0))
    shape = jax.nn.one_hot(picked, assets.expression_size)
    both = jnp.maximum(shape, jax.nn.one_hot(assets.partner[picked], assets.expression_size))
    amount = jax.random.uniform(strength) ** 0.7
    return amount * jnp.where(jax.random.bernoulli(twice), both, shape)


def _combination(key: jax.Array, assets: PeopleAssets) -> jax.Array:
    """A whole expression, its parts varied."""
    which, strength, parts = jax.random.split(key, 3)
    picked = jax.random.randint(which, (), 0, assets.combinations.shape[0])
    amount = jax.random.uniform(strength, minval=0.35, maxval=1.3)
    varied = jax.random.uniform(parts, (assets.expression_size,), minval=0.6, maxval=1.2)
    # The same variation on both sides; `_one_sided` is what makes faces uneven.
    return amount * assets.combinations[picked] * jnp.maximum(varied, varied[assets.partner])


def _speech(key: jax.Array, assets: PeopleAssets) -> jax.Array:
    """A moment between two speech sounds."""
    which, between, strength = jax.random.split(key, 3)
    first, second = jax.random.randint(which, (2,), 0, assets.visemes.shape[0])
    share = jax.random.beta(between, 0.5, 0.5)
    amount = jax.random.uniform(strength, minval=0.5, maxval=1.5)
    return amount * ((1.0 - share) * assets.visemes[first] + share * assets.visemes[second])


def _several(key: jax.Array, assets: PeopleAssets) -> jax.Array:
    """Some four strong shapes at once, mirrored: the corners of what a face can do."""
    which, strength = jax.random.split(key)
    chance = jax.random.uniform(which, (assets.expression_size,))
    chosen = jnp.minimum(chance, chance[assets.partner]) < 0.05
    amount = jax.random.uniform(strength, (assets.expression_size,), minval=0.4, maxval=1.0)
    return chosen * jnp.maximum(amount, amount[assets.partner]) * assets.single


def _one_sided(key: jax.Array, expression: jax.Array, assets: PeopleAssets) -> jax.Array:
    """A third of all expressions is weaker on one side, the others nearly even."""
    uneven, side, amount, even = jax.random.split(key, 4)
    weak = jnp.where(jax.random.bernoulli(uneven, 0.33), jax.random.uniform(amount), 1.0)
    weak = weak * jax.random.uniform(even, minval=0.88, maxval=1.0)
    weaker = jnp.where(jax.random.bernoulli(side), assets.left, assets.right)
    return expression * (1.0 - weaker * (1.0 - weak))
