"""`differentiable_fit`: the fit as a function of an alignment's numbers, to be differentiated and trained through.

refit = differentiable_fit(alignment, head, cameras)
loss = lambda mean: ((refit.vertices(refit(mean)) - truth) ** 2).sum()
gradient = jax.jit(jax.grad(loss))(alignment.mean)
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.alignment.alignment import Alignment
from flowface_jax.cameras.model import Cameras
from flowface_jax.errors import InputError
from flowface_jax.fitting.config import FitConfig
from flowface_jax.fitting.energy import EnergyWeights
from flowface_jax.fitting.fit import make_chart, make_layout
from flowface_jax.fitting.implicit import ImplicitSettings, minimise
from flowface_jax.fitting.initialise import initialise
from flowface_jax.fitting.objective import Objective, make_objective
from flowface_jax.fitting.parameters import Parameters
from flowface_jax.fitting.problem import make_problem
from flowface_jax.heads.model import HeadModel, restrict, vertices
from flowface_jax.pytrees import pytree_dataclass, static_field

_OF_FRAMES = ("expression", "joint_rotations", "head_rotation", "head_translation")


@pytree_dataclass
class DifferentiableFit:
    """A fit with its host's work done: starting point, sizes, what is observed. A pytree: hand it to compiled
    functions as an argument, or the head's bases become constants of the program.

    objective: the energy at the prepared alignment, frames padded. head: the full head. mean: [C,F,P,2] px and std:
    [C,F,P] px, as prepared, infinite where not observed. settings and per_image are static under jit.
    """

    objective: Objective
    head: HeadModel
    mean: jax.Array
    std: jax.Array
    settings: ImplicitSettings = static_field()
    per_image: bool = static_field()

    @property
    def weights(self) -> EnergyWeights:
        """The energy weights of the settings; `dataclasses.replace` them to try or to learn others."""
        return self.objective.weights

    @property
    def start(self) -> Parameters:
        """The prepared starting point."""
        return self._real(self.objective.chart.base)

    def __call__(
        self,
        mean: jax.Array | None = None,
        std: jax.Array | None = None,
        weights: EnergyWeights | None = None,
        *,
        neutral_template: jax.Array | None = None,
        start: Parameters | None = None,
    ) -> Parameters:
        """The fitted parameters of the real frames; traceable and differentiable with respect to every argument.

        mean: [C,F,P,2] px. std: [C,F,P] px, infinite where not observed. neutral_template: [V,3] m, of a fit that was
        prepared with one. start: where to begin, for instance the last result; the solution depends on it through
        groups that are held fixed alone (known cameras: replace them there to differentiate by them).
        What is not given is as prepared.
        """
        return self._real(minimise(self.settings, self.prepared(mean, std, weights, neutral_template, start)))

    def prepared(
        self,
        mean: jax.Array | None = None,
        std: jax.Array | None = None,
        weights: EnergyWeights | None = None,
        neutral_template: jax.Array | None = None,
        start: Parameters | None = None,
    ) -> Objective:
        """The objective of a call, for `implicit.minimise` where more of the problem is to change."""
        dtype = self.mean.dtype
        mean = jnp.asarray(self.mean if mean is None else mean, dtype)
        std = jnp.asarray(self.std if std is None else std, dtype)
        if mean.shape != self.mean.shape or std.shape != self.std.shape:
            raise InputError(
                f"this fit was prepared for means of shape {list(self.mean.shape)} and deviations of shape "
                f"{list(self.std.shape)}, found {list(mean.shape)} and {list(std.shape)}; prepare another"
            )
        observed = jnp.isfinite(std)
        inverse_std = jnp.where(observed, 1.0 / jnp.where(observed, std, 1.0), 0.0)
        problem = dataclasses.replace(
            self.objective.problem,
            mean=self._padded(jnp.where(observed[..., None], mean, 0.0)),
            inverse_std=self._padded(inverse_std),
        )
        if self.per_image:
            images = jnp.maximum(observed.any(-1).sum(), 1).astype(dtype)
            problem = dataclasses.replace(problem, identity_scale=images)
        if neutral_template is not None:
            problem = dataclasses.replace(problem, neutral_residual=self._residual(neutral_template))
        chart = self.objective.chart
        if start is not None:
            chart = dataclasses.replace(chart, base=self._extended(start))
        return dataclasses.replace(
            self.objective, problem=problem, chart=chart, weights=self.weights if weights is None else weights
        )

    def vertices(self, parameters: Parameters, vertex_ids: jax.Array | np.ndarray | None = None) -> jax.Array:
        """The full head in the world, [F,V,3] m, or only its vertices `vertex_ids` [N]; differentiable."""
        head = self.head if vertex_ids is None else restrict(self.head, jnp.asarray(vertex_ids))
        offsets = jnp.zeros((self.head.vertex_count, 3), parameters.offsets.dtype)
        offsets = offsets.at[self.objective.problem.vertex_ids].set(parameters.offsets)
        offsets = offsets if vertex_ids is None else offsets[jnp.asarray(vertex_ids)]
        frozen = not parameters.joint_rotations.shape[1]
        local = jax.vmap(
            lambda expression, joints: vertices(
                head, parameters.identity, expression, None if frozen else joints, offsets
            )
        )(parameters.expression, parameters.joint_rotations)
        return jnp.moveaxis(parameters.to_world(local), 1, -1)

    def _residual(self, neutral_template: jax.Array) -> jax.Array:
        if not self.objective.problem.neutral_residual.shape[0]:
            raise InputError("this fit was prepared without a neutral template; give one to differentiable_fit")
        target, template = jnp.asarray(neutral_template, self.mean.dtype), self.head.template
        return template - template.mean(0) - (target - target.mean(0))

    def _padded(self, values: jax.Array) -> jax.Array:
        extra = self.objective.problem.frame_count - values.shape[1]
        return jnp.pad(values, [(0, 0), (0, extra)] + [(0, 0)] * (values.ndim - 2))

    def _real(self, parameters: Parameters) -> Parameters:
        count = self.mean.shape[1]
        return dataclasses.replace(parameters, **{name: getattr(parameters, name)[:count] for name in _OF_FRAMES})

    def _extended(self, parameters: Parameters) -> Parameters:
        """With the last frame repeated for the padding, which is never looked at but must be sane."""
        extra = self.objective.problem.frame_count - self.mean.shape[1]

        def extended(values: jax.Array) -> jax.Array:
            return jnp.concatenate([values, jnp.repeat(values[-1:], extra, axis=0)])

        return dataclasses.replace(parameters, **{name: extended(getattr(parameters, name)) for name in _OF_FRAMES})


def differentiable_fit(
    alignment: Alignment,
    head: HeadModel,
    cameras: Cameras | None = None,
    config: FitConfig | None = None,
    neutral_template: np.ndarray | None = None,
    settings: ImplicitSettings | None = None,
) -> DifferentiableFit:
    """Do the host's work of `fit` once; arguments as there, and settings of the solver and its derivative.

    The alignment gives the shapes, the starting point and what is observed; later calls may change its numbers.
    Computes in float64 if `jax_enable_x64` is set here and in the calls, else in float32, in which gradients are right
    to about a thousandth. Raises InputError as `fit` does.
    """
    config = config or FitConfig()
    layout = make_layout(alignment, head, cameras, config)
    state, focal_guess = initialise(alignment, head, cameras, layout, config)
    principal_point = alignment.image_size / 2.0 if cameras is None else np.asarray(cameras.principal_point)
    problem = make_problem(alignment, head, principal_point, config, neutral_template)
    chart = make_chart(problem, head, state, layout, config)
    base = dataclasses.replace(
        chart.base,
        head_rotation=_nearest_rotations(chart.base.head_rotation),
        camera_rotation=_nearest_rotations(chart.base.camera_rotation),
    )
    problem, chart, weights, guess, head = _in_full_precision(
        (problem, dataclasses.replace(chart, base=base), EnergyWeights.of(config), np.asarray(focal_guess), head)
    )
    dtype = chart.base.identity.dtype
    return DifferentiableFit(
        objective=make_objective(problem, chart, weights, guess),
        head=head,
        mean=jnp.asarray(alignment.mean, dtype),
        std=jnp.where(jnp.asarray(alignment.valid)[..., None], jnp.asarray(alignment.std, dtype), jnp.inf),
        settings=settings or ImplicitSettings(),
        per_image=config.identity_prior == "per_image",
    )


def _in_full_precision(tree: object) -> object:
    """Floating-point leaves in JAX's widest type."""
    dtype = jnp.result_type(float)

    def widened(leaf: object) -> jax.Array:
        array = np.asarray(leaf)
        return jnp.asarray(array, dtype) if np.issubdtype(array.dtype, np.floating) else jnp.asarray(array)

    return jax.tree.map(widened, tree)


def _nearest_rotations(matrices: jax.Array) -> np.ndarray:
    """Rotations that were rounded to float32 are none in float64."""
    left, _, right = np.linalg.svd(np.asarray(matrices, np.float64))
    return left @ right
