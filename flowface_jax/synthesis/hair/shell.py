"""The head as a smooth closed surface about one centre: what hair lies on and what hats fit."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.heads.model import HeadModel
from flowface_jax.pytrees import pytree_dataclass

_DEGREE = 6


@pytree_dataclass
class ShellAssets:
    """What fits the shell of a posed head from a few hundred of its vertices.

    vertex_ids: [P] int32 on skull, face and upper neck. rest_mean: [3] m their mean in the template.
    rest_centre: [3] m. solver: [49,P] from radii to coefficients, for the template's directions.
    constant: [49] the share of made-up points that close the shell below the neck.
    """

    vertex_ids: jax.Array
    rest_mean: jax.Array
    rest_centre: jax.Array
    solver: jax.Array
    constant: jax.Array


@pytree_dataclass
class Shell:
    """A star-shaped surface: centre [3] m and coefficients of homogeneous polynomials of the direction."""

    centre: jax.Array
    coefficients: jax.Array


def _exponents() -> list[tuple[int, int, int]]:
    """Monomials x^a y^b z^c of degree 6 and 5: together they span all spherical harmonics up to degree 6."""
    degrees = (_DEGREE, _DEGREE - 1)
    return [(a, b, n - a - b) for n in degrees for a in range(n + 1) for b in range(n + 1 - a)]


def _basis(directions: np.ndarray) -> np.ndarray:
    x, y, z = directions.T
    return np.stack([x**a * y**b * z**c for a, b, c in _exponents()], -1)


def make_shell_assets(head: HeadModel) -> ShellAssets:
    """Choose the vertices that carry the shell and factor its least-squares fit (host)."""
    template = np.asarray(head.template, np.float64)
    regions = {name: np.asarray(mask) for name, mask in head.regions.items()}
    marks = np.asarray(head.landmarks.of(head.template), np.float64)
    skull = regions["scalp"] | regions["face"]
    away = regions["ears"] | regions["eyeballs"] | regions["mouth"] | regions["eyes"] | regions["nose"]
    for inner in ("teeth", "tongue", "mouth_interior", "gums_and_tongue", "mouth_socket", "eye_sockets", "eyelashes"):
        away = away | regions.get(inner, np.zeros_like(skull))
    nape = regions["neck"] & (template[:, 1] > marks[8, 1] + 0.02)
    ids = np.flatnonzero((skull | nape) & ~away)
    depth = template[regions["scalp"], 2].min()
    centre = np.array([0.0, marks[27, 1], 0.5 * (depth + marks[27, 2])])
    ids = _spread(template, ids, centre, 420)
    offsets = template[ids] - centre
    below = _downward_points(float(np.median(np.linalg.norm(offsets, axis=1))))
    all_offsets = np.concatenate([offsets, below])
    radii = np.linalg.norm(all_offsets, axis=1)
    design = _basis(all_offsets / radii[:, None])
    # Beneath the chin there is no skull: those points only keep the polynomials calm.
    weights = np.concatenate([np.ones(len(ids)), np.full(len(below), 0.3)])
    gram = (design * weights[:, None]).T @ design + 1e-3 * np.eye(design.shape[1])
    solver = np.linalg.solve(gram, (design * weights[:, None]).T)
    return ShellAssets(
        vertex_ids=jnp.asarray(ids, jnp.int32),
        rest_mean=jnp.asarray(template[ids].mean(0), jnp.float32),
        rest_centre=jnp.asarray(centre, jnp.float32),
        solver=jnp.asarray(solver[:, : len(ids)], jnp.float32),
        constant=jnp.asarray(solver[:, len(ids) :] @ radii[len(ids) :], jnp.float32),
    )


def _spread(template: np.ndarray, ids: np.ndarray, centre: np.ndarray, count: int) -> np.ndarray:
    """A subset whose directions from the centre are spread evenly (farthest-point sampling)."""
    offsets = template[ids] - centre
    directions = offsets / np.linalg.norm(offsets, axis=1, keepdims=True)
    count = min(count, len(ids))
    chosen = [int(np.argmax(directions[:, 1]))]
    nearest = 1 - directions @ directions[chosen[0]]
    for _ in range(count - 1):
        chosen.append(int(np.argmax(nearest)))
        nearest = np.minimum(nearest, 1 - directions @ directions[chosen[-1]])
    return ids[np.sort(np.array(chosen))]


def _downward_points(radius: float) -> np.ndarray:
    """Made-up points [60,3] about the neck's hole, below the head."""
    i = np.arange(60)
    y = -0.8 - 0.2 * (i + 0.5) / 60
    ring = np.sqrt(1 - y**2)
    angle = i * np.pi * (3 - 5**0.5)
    return radius * np.stack([ring * np.cos(angle), y, ring * np.sin(angle)], -1)


def fit_shell(assets: ShellAssets, vertices: jax.Array) -> Shell:
    """The shell of a posed head, vertices [V,3] m in the head's frame."""
    chosen = vertices[assets.vertex_ids]
    centre = assets.rest_centre + jnp.mean(chosen, 0) - assets.rest_mean
    radii = jnp.linalg.norm(chosen - centre, axis=-1)
    with jax.default_matmul_precision("highest"):
        coefficients = assets.solver @ radii + assets.constant
    return Shell(centre=centre, coefficients=coefficients)


def shell_radius(shell: Shell, directions: jax.Array) -> jax.Array:
    """Distance [...] m from the centre to the surface along unit directions [...,3]."""
    x, y, z = directions[..., 0], directions[..., 1], directions[..., 2]
    total = jnp.zeros_like(x)
    # Horner's scheme in z within each (degree, x-power) keeps this one fused loop.
    index = 0
    powers = {0: jnp.ones_like(x)}
    for n in range(1, _DEGREE + 1):
        powers[n] = powers[n - 1] * x
    for n in (_DEGREE, _DEGREE - 1):
        for a in range(n + 1):
            rest = n - a
            row = jnp.zeros_like(x)
            y_power = jnp.ones_like(x)
            z_powers = [jnp.ones_like(x)]
            for _ in range(rest):
                z_powers.append(z_powers[-1] * z)
            for b in range(rest + 1):
                row = row + shell.coefficients[index] * y_power * z_powers[rest - b]
                y_power = y_power * y
                index += 1
            total = total + powers[a] * row
    return total


def on_shell(shell: Shell, directions: jax.Array, clearance: jax.Array | float = 0.0) -> jax.Array:
    """Points [...,3] m at a clearance outside the shell along unit directions."""
    return shell.centre + directions * (shell_radius(shell, directions) + clearance)[..., None]
