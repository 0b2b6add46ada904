"""What one window of a long video tells the next: a Gaussian on the shared unknowns and the last two frames.

An acceleration couples three frames, so two frames and what all frames share are all that later frames see of earlier
ones. Eliminating every other unknown from the normal equations at a window's solution leaves a quadratic energy on
them, exact to second order there. It comes out of the Cholesky factor as a sum of squares, ½‖root · difference +
residual‖², which stays one whatever rounding does.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import jaxlie
import numpy as np

from flowface_jax.fitting.chain import factorise, halfway
from flowface_jax.fitting.columns import Columns, pack, retract
from flowface_jax.fitting.linearisation import rows_of
from flowface_jax.fitting.normal_equations import FELT, NormalEquations
from flowface_jax.fitting.parameters import UNITS, Chart, Parameters, Variables
from flowface_jax.pytrees import pytree_dataclass

CARRIED = 2
"""Frames that a window takes over from the one before it, its first two."""

CURVED = ("head_rotation", "head_translation", "camera_rotation", "camera_translation", "log_focal")
"""Groups in which steps do not simply add up: rotations, and what moves along with a focal length."""


@pytree_dataclass
class HandOver:
    """A quadratic energy about `anchor` (Parameters of two frames): ½‖root · difference + residual‖².

    root: [n,n] and residual: [n], n = 2d + s unknowns: the first carried frame's, the second's, the shared ones.
    """

    anchor: Parameters
    root: jax.Array
    residual: jax.Array

    def energy(self, parameters: Parameters, chart: Chart, columns: Columns) -> jax.Array:
        """The energy of parameters whose first two frames are the carried ones."""
        moved = difference(carried(parameters), self.anchor, chart, columns)
        return 0.5 * jnp.sum((jnp.matmul(self.root, moved, precision="highest") + self.residual) ** 2)

    def add_to(
        self, system: NormalEquations, parameters: Parameters, chart: Chart, columns: Columns
    ) -> NormalEquations:
        """The system with this energy's curvature JᵀJ and gradient Jᵀr on its first two frames and the border."""
        with jax.default_matmul_precision("highest"):
            value, jacobian = _linearised(carried(parameters), self.anchor, chart, columns)
            residual, rows = self.root @ value + self.residual, self.root @ jacobian
            d = columns.frame_size
            first, second, shared = rows[:, :d], rows[:, d : 2 * d], rows[:, 2 * d :]
            return NormalEquations(
                diagonal=system.diagonal.at[0].add(first.T @ first).at[1].add(second.T @ second),
                following=system.following.at[0].add(first.T @ second),
                second=system.second,
                border=system.border.at[0].add(first.T @ shared).at[1].add(second.T @ shared),
                shared=system.shared + shared.T @ shared,
                gradient_rows=system.gradient_rows.at[0].add(first.T @ residual).at[1].add(second.T @ residual),
                gradient_shared=system.gradient_shared + shared.T @ residual,
            )

    def on_frames(self, columns: Columns) -> HandOver:
        """Only what matters once the shared unknowns are final, as NumPy arrays: root [2d,n], residual [2d].

        The root is triangular, so that the rows left out feel the shared unknowns alone.
        """
        kept = CARRIED * columns.frame_size
        host = jax.tree.map(np.asarray, self)
        return HandOver(host.anchor, host.root[:kept].copy(), host.residual[:kept].copy())

    def padded(self) -> HandOver:
        """`on_frames` with rows of zeros in place of those left out, so that both have one shape."""
        missing = self.root.shape[1] - self.root.shape[0]
        return HandOver(self.anchor, np.pad(self.root, ((0, missing), (0, 0))), np.pad(self.residual, (0, missing)))


def nothing_handed_over(parameters: Parameters, columns: Columns) -> HandOver:
    """What the first window receives: no energy at all."""
    size = CARRIED * columns.frame_size + columns.shared_size
    dtype = parameters.identity.dtype
    return HandOver(carried(parameters), jnp.zeros((size, size), dtype), jnp.zeros((size,), dtype))


def carried(parameters: Parameters, first: jax.Array | int = 0) -> Parameters:
    """The parameters of the two frames from `first` on."""
    return rows_of(parameters, first, CARRIED)


def hand_over(
    system: NormalEquations,
    parameters: Parameters,
    end: jax.Array,
    free_rows: jax.Array,
    damping: jax.Array,
    columns: Columns,
) -> HandOver:
    """Eliminate all frames but the last two before frame `end`, which must be the last that the system feels.

    free_rows [F,d]: 0.0 where an unknown lies at a limit and stays there. damping: 0 is exact; where what the window
    saw leaves a direction open, the factor needs a little. NaNs come out where it is too little.
    """
    d = columns.frame_size
    conditioned, scale_rows, scale_shared = system.conditioned(
        damping, free_rows, jnp.ones_like(system.gradient_shared)
    )
    factor = factorise(conditioned)
    rows, shared = halfway(factor, free_rows * system.gradient_rows / scale_rows, system.gradient_shared / scale_shared)

    def last_two(values: jax.Array) -> jax.Array:
        return jax.lax.dynamic_slice_in_dim(values, end - CARRIED, CARRIED)

    lower, following, border = (last_two(v) for v in (factor.chain.lower, factor.chain.following, factor.chain.border))
    none = jnp.zeros((d, d), lower.dtype)
    to_frames = jnp.zeros((shared.shape[0], d), lower.dtype)
    root = jnp.block(
        [
            [lower[0].T, following[0].T, border[0]],
            [none, lower[1].T, border[1]],
            [to_frames, to_frames, factor.reduced.T],
        ]
    )
    curvature = jnp.concatenate([last_two(jnp.diagonal(system.diagonal, axis1=1, axis2=2)).reshape(-1),
                                 jnp.diagonal(system.shared)])  # fmt: skip
    scale = jnp.concatenate([last_two(scale_rows).reshape(-1), scale_shared])
    # Unknowns that are not felt stand in the factor as unit rows: nothing is known about them.
    root = root * jnp.where(curvature > FELT, scale, 0.0)
    return HandOver(carried(parameters, end - CARRIED), root, jnp.concatenate([last_two(rows).reshape(-1), shared]))


def difference(parameters: Parameters, anchor: Parameters, chart: Chart, columns: Columns) -> jax.Array:
    """The step [n] from `anchor` to `parameters` (both of two frames) in the chart: the inverse of `retract`."""
    layout = chart.layout
    cameras = anchor.focal.shape[0]
    log_focal = jnp.log(parameters.focal / anchor.focal)
    zoom = jnp.zeros_like(anchor.camera_translation).at[:, 2].set(jnp.expm1(log_focal) * chart.depth)
    zoom = zoom if layout.focal_moves_depth(cameras) else jnp.zeros_like(zoom)
    with jax.default_matmul_precision("highest"):
        moved_along = anchor.camera_rotation[0].T @ zoom[0]
        camera_shift = parameters.camera_translation - anchor.camera_translation - zoom
        camera_shift = camera_shift + parameters.camera_rotation @ moved_along
    head_shift = parameters.head_translation - anchor.head_translation - moved_along
    offsets = jnp.zeros((layout.offset_count, 3), anchor.offsets.dtype)
    offsets = offsets.at[chart.offset_slots].set((parameters.offsets - anchor.offsets)[chart.offset_rows])
    joints = parameters.joint_rotations - anchor.joint_rotations
    if joints.shape[1]:
        joints = joints[:, jnp.asarray(layout.active_joints, jnp.int32)]
    steps: Variables = {
        "identity": parameters.identity - anchor.identity,
        "expression": parameters.expression - anchor.expression,
        "joint_rotations": joints,
        "head_rotation": _turn(parameters.head_rotation, anchor.head_rotation),
        "head_translation": head_shift,
        "offsets": offsets,
        "camera_rotation": _turn(parameters.camera_rotation, anchor.camera_rotation)[1:],
        "camera_translation": camera_shift[1:],
        "log_focal": log_focal,
    }
    # Where one row stands for all frames or cameras, every row is the same.
    counts = {name: shape[0] for name, shape in columns.shared}
    steps = {name: step[: counts.get(name)] / UNITS[name] for name, step in steps.items()}
    shared, rows = pack(steps, columns, CARRIED)
    return jnp.concatenate([rows.reshape(-1), shared])


def _turn(rotation: jax.Array, anchor: jax.Array) -> jax.Array:
    """log(R R*ᵀ) of rotations [n,3,3]: [n,3] rad."""
    return jaxlie.SO3.from_matrix(jnp.matmul(rotation, jnp.swapaxes(anchor, -1, -2), precision="highest")).log()


def _linearised(
    parameters: Parameters, anchor: Parameters, chart: Chart, columns: Columns
) -> tuple[jax.Array, jax.Array]:
    """The difference [n] at `parameters`, and its derivative [n,n] by their own step."""
    d, size = columns.frame_size, CARRIED * columns.frame_size + columns.shared_size
    curved = jnp.asarray(_curved(columns), jnp.int32)

    def after(step: jax.Array) -> jax.Array:
        whole = jnp.zeros((size,), step.dtype).at[curved].set(step)
        moved = retract(parameters, whole[CARRIED * d :], whole[: CARRIED * d].reshape(CARRIED, d), chart, columns)
        return difference(moved, anchor, chart, columns)

    still = jnp.zeros(curved.shape, parameters.identity.dtype)
    jacobian = jnp.eye(size, dtype=still.dtype).at[:, curved].set(jax.jacfwd(after)(still))
    return after(still), jacobian


def _curved(columns: Columns) -> np.ndarray:
    """Where the groups of `CURVED` stand among the n unknowns."""
    d = columns.frame_size
    places = [
        np.arange(part.start, part.stop) + start
        for slices, starts in ((columns.frame_slices(), range(0, CARRIED * d, max(d, 1))),
                               (columns.shared_slices(), (CARRIED * d,)))
        for name, part in slices.items() if name in CURVED
        for start in starts
    ]  # fmt: skip
    return np.concatenate(places) if places else np.zeros(0, np.int64)
