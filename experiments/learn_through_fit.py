"""What gradients through the fit are good for: energy weights and an alignment network learnt from errors in 3D.

    python experiments/learn_through_fit.py --out output/learn_through_fit

Weights: λ_prior, λ_temp and a factor on σ are learnt by gradient descent on the distance between fitted and true
vertices of made-up performances of the built-in head, two calibrated cameras, whose observations are `--noise` px off
but claim a third of that, and measured on other people. Network: a small one, trained for a while by its negative
log-likelihood on rendered crops, goes on for as many steps either by that or by the distance in 3D of the head that is
fitted to what it predicts; both are measured by fits to held-out crops, after the heads' centres are put together (one
image hardly tells how far away a head is).
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from flowface_jax import FitConfig, HeadModel, load_head
from flowface_jax.alignment.alignment import make_alignment
from flowface_jax.cameras import make_cameras
from flowface_jax.fitting.differentiable import DifferentiableFit, differentiable_fit
from flowface_jax.fitting.energy import head_vertices, observed_points
from flowface_jax.fitting.implicit import ImplicitSettings, minimise
from flowface_jax.fitting.objective import Objective
from flowface_jax.network import AlignmentNetwork, LossConfig, NetworkConfig, alignment_loss, initial_variables
from flowface_jax.network.losses import Targets
from flowface_jax.network.outputs import AlignedPoints, points_of
from flowface_jax.storage import write_bytes
from flowface_jax.synthesis.assets import make_render_assets
from flowface_jax.synthesis.crops import crops
from flowface_jax.synthesis.sequences import make_performance, observe

CONFIG = FitConfig(joints=(), offsets="fixed", identity_size=12, expression_size=12, temporal_vertices=48)
SETTINGS = ImplicitSettings(max_iterations=15, newton_steps=0, energy_tolerance=1e-6)
"""Single precision and no polish: descent does not need exact gradients."""


def main() -> None:
    """Run both parts and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", choices=["weights", "network"], default=["weights", "network"])
    parser.add_argument("--people", type=int, default=6, help="performances to learn from, and as many held out")
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--noise", type=float, default=3.0, help="px on a face of 512")
    parser.add_argument("--points", type=int, default=80, help="observed vertices of the face")
    parser.add_argument("--weight-steps", type=int, default=40)
    parser.add_argument("--crops", type=int, default=48, help="rendered crops to learn from; a third as many held out")
    parser.add_argument("--side", type=int, default=64, help="px of a crop")
    parser.add_argument("--pretraining", type=int, default=200, help="steps of negative log-likelihood before")
    parser.add_argument("--steps", type=int, default=80, help="steps of either loss after")
    parser.add_argument("--out", type=Path, default=Path("output/learn_through_fit"), help="folder for the table")
    options = parser.parse_args()
    head = load_head("generic")
    face = np.flatnonzero(np.asarray(head.regions["face"]))
    points = face[np.linspace(0, len(face) - 1, options.points).astype(int)]
    lines = []
    if "weights" in options.parts:
        lines += _learn_weights(head, points, options)
    if "network" in options.parts:
        lines += _learn_network(head, points, options)
    text = "\n".join(lines) + "\n"
    print(text)
    options.out.mkdir(parents=True, exist_ok=True)
    write_bytes(options.out / "learn_through_fit.md", text.encode())


# Energy weights.


def _learn_weights(head: HeadModel, points: np.ndarray, options: argparse.Namespace) -> list[str]:
    fits = [_performed(head, points, seed, options) for seed in range(2 * options.people)]
    learnt, held_out = fits[: options.people], fits[options.people :]
    logarithms = {"prior": jnp.zeros(()), "temporal": jnp.zeros(()), "std": jnp.zeros(())}
    optimiser = optax.adam(0.1)
    state = optimiser.init(logarithms)
    before = [_mean_error(logarithms, part) for part in (learnt, held_out)]
    for _ in range(options.weight_steps):
        gradients = [_weights_gradient(logarithms, *fit) for fit in learnt]
        gradient = jax.tree.map(lambda *parts: sum(parts) / len(parts), *gradients)
        updates, state = optimiser.update(gradient, state)
        logarithms = optax.apply_updates(logarithms, updates)
    after = [_mean_error(logarithms, part) for part in (learnt, held_out)]
    factor = {name: float(jnp.exp(value)) for name, value in logarithms.items()}
    return [
        f"Energy weights, {options.people} performances of {options.frames} frames, {options.noise:g} px of noise "
        "stated as a third, two calibrated cameras; root mean square distance of vertices in the world, mm:",
        "",
        "| | λ_prior | λ_temp | σ × | learnt from | held out |",
        "|---|---|---|---|---|---|",
        f"| as set | {CONFIG.prior_weight:.3g} | {CONFIG.temporal_weight:.3g} | 1 | {before[0]:.3f} "
        f"| {before[1]:.3f} |",
        f"| learnt | {CONFIG.prior_weight * factor['prior']:.3g} | {CONFIG.temporal_weight * factor['temporal']:.3g} | "
        f"{factor['std']:.3g} | {after[0]:.3f} | {after[1]:.3f} |",
        "",
    ]


def _performed(
    head: HeadModel, points: np.ndarray, seed: int, options: argparse.Namespace
) -> tuple[DifferentiableFit, jax.Array]:
    """A prepared fit to one performance, and the truth [F,P,3] m."""
    performance = make_performance(head, seed, options.frames, 2)
    alignment = observe(performance, head, seed, noise_px=options.noise, points=points)
    alignment = dataclasses.replace(alignment, std=alignment.std / 3.0)
    refit = differentiable_fit(alignment, head, performance.cameras, CONFIG, settings=SETTINGS)
    return refit, jnp.asarray(performance.world[:, points], jnp.float32)


def _weights_loss(logarithms: dict[str, jax.Array], refit: DifferentiableFit, truth: jax.Array) -> jax.Array:
    """Mean squared distance of the observed vertices, mm²."""
    weights = dataclasses.replace(
        refit.weights,
        prior=refit.weights.prior * jnp.exp(logarithms["prior"]),
        temporal=refit.weights.temporal * jnp.exp(logarithms["temporal"]),
    )
    found = minimise(refit.settings, refit.prepared(std=refit.std * jnp.exp(logarithms["std"]), weights=weights))
    points = _fitted_points(found, refit.objective)[: len(truth)]
    return 1e6 * jnp.mean(jnp.sum((points - truth) ** 2, axis=-1))


_weights_gradient = jax.jit(jax.grad(_weights_loss))
_weights_error = jax.jit(_weights_loss)


def _mean_error(logarithms: dict[str, jax.Array], fits: list) -> float:
    return float(np.sqrt(np.mean([float(_weights_error(logarithms, *fit)) for fit in fits])))


def _fitted_points(parameters: Any, objective: Objective) -> jax.Array:
    """The observed points as fitted, [F,P,3] m in the world."""
    world = parameters.to_world(head_vertices(parameters, objective.problem))
    return jnp.moveaxis(observed_points(objective.problem, world), 1, -1)


# The alignment network.


@dataclasses.dataclass(frozen=True)
class Crops:
    """Crops as the network sees them [N,D,D,3], with their points [N,P,2] px and [N,P,3] m in the camera's frame, the
    camera's focal [N] px and principal_point [N,2] px.
    """

    image: jax.Array
    pixels: jax.Array
    points: jax.Array
    focal: jax.Array
    principal_point: jax.Array

    def __getitem__(self, chosen: Any) -> Crops:
        return Crops(*(getattr(self, field.name)[chosen] for field in dataclasses.fields(self)))


def _learn_network(head: HeadModel, points: np.ndarray, options: argparse.Namespace) -> list[str]:
    config = NetworkConfig(
        "mit_b0", options.side, options.side // 4, iterations=1, drop_path=0.0, head_dropout=0.0, feature_size=64,
        hidden_size=64, correlation_levels=3,
    )  # fmt: skip
    train, test = _rendered(head, points, options)
    network = AlignmentNetwork(config)
    learner = _Learner(network, head.uv[points])
    params, statistics = jax.device_put(tuple(initial_variables(network, 0)[n] for n in ("params", "batch_stats")))
    params, statistics = learner.train(params, statistics, train, None, options.pretraining, 1e-3)
    fits = {name: _prepared_fits(head, points, learner, params, statistics, part, options.side)
            for name, part in (("train", train), ("test", test))}  # fmt: skip

    def measured(params: Any, statistics: Any) -> list[float]:
        learnt_from = learner.measure(params, statistics, train, fits["train"])[0]
        return [learnt_from, *learner.measure(params, statistics, test, fits["test"])]

    rows = [("before", *measured(params, statistics))]
    for name, with_fits in (("negative log-likelihood", None), ("distance in 3D", fits["train"])):
        further = learner.train(params, statistics, train, with_fits, options.steps, 2e-4)
        rows.append((f"{options.steps} steps of {name}", *measured(*further)))
    return [
        f"Alignment network, {len(train.image)} crops of {options.side} px, {options.pretraining} steps of negative "
        f"log-likelihood first, {len(test.image)} held-out crops (root mean square distance of a crop's fitted points; "
        "mean over crops, held-out ones also median):",
        "",
        "| | learnt from, mm | held out, mm | median | points, px of the crop | mean log σ |",
        "|---|---|---|---|---|---|",
        *(f"| {n} | {t:.2f} | {a:.2f} | {b:.2f} | {p:.2f} | {s:.2f} |" for n, t, a, b, p, s in rows),
        "",
    ]


def _rendered(head: HeadModel, points: np.ndarray, options: argparse.Namespace) -> tuple[Crops, Crops]:
    """Crops to learn from, and held-out ones."""
    assets, chunk = make_render_assets(head), 16
    # The renderer takes minutes to optimise and seconds to run.
    jax.config.update("jax_disable_most_optimizations", True)
    count = options.crops + options.crops // 3
    try:
        pictures = [crops(assets, 3, first, chunk, size=options.side) for first in range(0, count, chunk)]
    finally:
        jax.config.update("jax_disable_most_optimizations", False)
    picture = jax.tree.map(lambda *parts: jnp.concatenate(parts)[:count], *pictures)
    truth = picture.truth
    pixels, depth = truth.vertices[:, points], truth.vertex_depth[:, points, None]
    rays = (pixels - truth.principal_point[:, None]) / truth.focal[:, None, None]
    everything = Crops(
        picture.image, pixels, jnp.concatenate([rays * depth, depth], axis=-1), truth.focal, truth.principal_point
    )
    return everything[: options.crops], everything[options.crops :]


def _prepared_fits(
    head: HeadModel, points: np.ndarray, learner: _Learner, params: Any, statistics: Any, part: Crops, side: int
) -> Objective:
    """Fits to the network's present predictions, begun once and for all there; stacked."""
    objectives = []
    for first in range(0, len(part.image), BATCH):
        chosen = part[first : first + BATCH]
        seen = learner.predict(params, statistics, chosen.image)
        for k in range(len(chosen.image)):
            cameras = make_cameras(
                [float(chosen.focal[k])], [np.asarray(chosen.principal_point[k])], [np.eye(3)], [np.zeros(3)],
                [[side, side]],
            )  # fmt: skip
            alignment = make_alignment(
                seen.mean[-1, k][None, None], np.asarray(seen.std[-1, k])[None, None], [[True]], [[side, side]],
                "surface", np.repeat(points[:, None], 3, axis=1), np.tile([[1.0, 0.0, 0.0]], (len(points), 1)),
            )  # fmt: skip
            objectives.append(differentiable_fit(alignment, head, cameras, CONFIG, settings=SETTINGS).objective)
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *objectives)


BATCH = 8


class _Learner:
    """Trains one network by either loss; holds nothing but compiled programs."""

    def __init__(self, network: AlignmentNetwork, uv: jax.Array) -> None:
        self.network, self.uv = network, jnp.asarray(uv)
        self.predict = jax.jit(self._predict)
        self._errors_jit = jax.jit(self._errors)
        self._step = jax.jit(self._one_step, static_argnames=("through_fit",))

    def _predict(self, params: Any, statistics: Any, images: jax.Array) -> AlignedPoints:
        output = self.network.apply({"params": params, "batch_stats": statistics}, images)
        return points_of(output, self.uv, self.network.config.interpolated)

    def _errors(self, seen: AlignedPoints, truth: jax.Array, fits: Objective) -> jax.Array:
        """Mean squared distance [B] mm² of the points fitted to predictions, centres put together."""

        def one(mean: jax.Array, std: jax.Array, truth: jax.Array, objective: Objective) -> jax.Array:
            inverse_std = 1.0 / jnp.maximum(std, 0.05)
            problem = dataclasses.replace(objective.problem, mean=mean[None, None], inverse_std=inverse_std[None, None])
            found = minimise(SETTINGS, dataclasses.replace(objective, problem=problem))
            points = _fitted_points(found, objective)[0]
            away = (points - points.mean(0)) - (truth - truth.mean(0))
            return 1e6 * jnp.mean(jnp.sum(away**2, axis=-1))

        return jax.vmap(one)(seen.mean[-1], seen.std[-1], truth, fits)

    def _loss(self, params: Any, statistics: Any, part: Any, fits: Objective | None) -> tuple[jax.Array, Any]:
        image, pixels, points = part
        variables = {"params": params, "batch_stats": statistics}
        if fits is None:
            output, changed = self.network.apply(variables, image, train=True, mutable=["batch_stats"])
            targets = Targets(pixels, jnp.ones(pixels.shape[1]) / pixels.shape[1])
            loss = alignment_loss(output, self.uv, targets, self.network.config, LossConfig(std_floor=0.1))[0]
            return loss, changed["batch_stats"]
        # As the network will be used: with the statistics that it has learnt.
        errors = self._errors(self._predict(params, statistics, image), points, fits)
        # The root, so that a crop that is quite wrong does not outweigh the others.
        return jnp.mean(jnp.sqrt(errors + 1e-6)), statistics

    def _one_step(
        self, params: Any, statistics: Any, state: Any, part: Any, fits: Objective | None, rate: jax.Array,
        through_fit: bool,
    ) -> tuple[Any, Any, Any, jax.Array]:  # fmt: skip
        (loss, statistics), gradient = jax.value_and_grad(self._loss, has_aux=True)(
            params, statistics, part, fits if through_fit else None
        )
        updates, state = _OPTIMISER.update(gradient, state, params)
        params = optax.apply_updates(params, jax.tree.map(lambda u: rate * u, updates))
        return params, statistics, state, loss

    def train(
        self, params: Any, statistics: Any, train: Crops, fits: Objective | None, steps: int, rate: float
    ) -> tuple[Any, Any]:
        """The network's variables after some steps on random batches."""
        state, random = _OPTIMISER.init(params), np.random.default_rng(0)
        for _ in range(steps):
            chosen = random.choice(len(train.image), BATCH, replace=False)
            part = train[chosen]
            theirs = None if fits is None else jax.tree.map(lambda leaf, at=chosen: leaf[at], fits)
            params, statistics, state, _ = self._step(
                params, statistics, state, (part.image, part.pixels, part.points), theirs, jnp.float32(rate),
                through_fit=fits is not None,
            )  # fmt: skip
        return params, statistics

    def measure(self, params: Any, statistics: Any, test: Crops, fits: Objective) -> tuple[float, float, float, float]:
        """Mean and median over crops of the fitted points' distance, mm; predicted points' distance px; log σ."""
        distances, pixels, spread = [], [], []
        for first in range(0, len(test.image), BATCH):
            part = test[first : first + BATCH]
            seen = self.predict(params, statistics, part.image)
            theirs = jax.tree.map(lambda leaf, at=first: leaf[at : at + BATCH], fits)
            distances += list(np.sqrt(self._errors_jit(seen, part.points, theirs)))
            pixels.append(float(jnp.linalg.norm(seen.mean[-1] - part.pixels, axis=-1).mean()))
            spread.append(float(seen.log_std[-1].mean()))
        return float(np.mean(distances)), float(np.median(distances)), float(np.mean(pixels)), float(np.mean(spread))


_OPTIMISER = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(1.0, weight_decay=0.0))


if __name__ == "__main__":
    main()
