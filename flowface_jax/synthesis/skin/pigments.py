"""Natural colours: skin from its melanin and blood, hair from eumelanin, pheomelanin and age."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

# Linear reflectance of skin with little, medium and much melanin, at average blood content.
_TONES = np.log(np.array([[0.66, 0.445, 0.345], [0.40, 0.215, 0.130], [0.082, 0.040, 0.023]], np.float32))
_BLOOD = np.array([0.16, 0.80, 0.62], np.float32)
_CAROTENE = np.array([0.0, 0.05, 0.34], np.float32)
# Absorption of the two melanins of hair at red, green and blue.
_EUMELANIN = np.array([0.419, 0.697, 1.37], np.float32)
_PHEOMELANIN = np.array([0.187, 0.4, 1.05], np.float32)
_GREY = np.array([0.44, 0.43, 0.415], np.float32)


def log_skin(melanin: jax.Array, blood: jax.Array, carotene: jax.Array | float = 0.0) -> list[jax.Array]:
    """Logarithms of skin's red, green and blue reflectance, each [...].

    melanin: [...] 0 the fairest to 1 the darkest skin. blood: [...] 0 average, 1 as red as lips, negative paler.
    carotene: [...] 0 average, positive yellower. Outside [-0.15, 1.15] melanin saturates.
    """
    m = jnp.clip(melanin, -0.15, 1.15)
    first, middle, last = _TONES
    linear = -3 * first + 4 * middle - last
    square = 2 * first - 4 * middle + 2 * last
    # Blood shows less through dark skin.
    shown = blood * (1.0 - 0.45 * jnp.clip(m, 0.0, 1.0))
    return [first[c] + m * (linear[c] + m * square[c]) - shown * _BLOOD[c] - carotene * _CAROTENE[c] for c in range(3)]


def skin_colour(melanin: jax.Array, blood: jax.Array, carotene: jax.Array | float = 0.0) -> jax.Array:
    """Linear reflectance [...,3] of skin; arguments as for `log_skin`."""
    return jnp.exp(jnp.stack(log_skin(melanin, blood, carotene), -1))


def nearest_skin(colour: jax.Array) -> jax.Array:
    """The natural skin colour [3] nearest in hue to a linear colour [3]: removes a camera's cast, keeps the
    person's tone.
    """
    melanin, blood, carotene = jnp.meshgrid(
        jnp.linspace(0.0, 1.0, 21), jnp.linspace(-0.3, 0.5, 9), jnp.linspace(-0.3, 0.5, 5), indexing="ij"
    )
    candidates = jnp.stack(log_skin(melanin, blood, carotene), -1).reshape(-1, 3)
    gap = candidates - jnp.log(jnp.clip(colour, 1e-3, 1.0))
    return jnp.exp(candidates[jnp.argmin((gap**2).sum(-1))])


def hair_colour(eumelanin: jax.Array, pheomelanin: jax.Array, grey: jax.Array) -> jax.Array:
    """Linear reflectance [...,3] of hair.

    eumelanin: [...] 0.02 platinum, 0.3 blond, 1.3 brown, 8 black. pheomelanin: [...] 0 to 1.2 (red). grey: [...] share
    of grey hairs. Square-root absorption, as light scattered many times in hair has.
    """
    absorption = eumelanin[..., None] * _EUMELANIN + pheomelanin[..., None] * _PHEOMELANIN
    colour = 0.006 + 0.80 * jnp.exp(-3.0 * jnp.sqrt(absorption))
    return colour + grey[..., None] * (_GREY - colour)
