"""What the fit solves for (equation 11): parameters, the variables that move them, the chart between the two."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import jaxlie

from flowface_jax.pytrees import pytree_dataclass, static_field

UNITS = {
    "identity": 1.0,  # standard deviations
    "expression": 1.0,  # coefficients
    "joint_rotations": 1.0,  # radians
    "head_rotation": 1.0,  # radians
    "head_translation": 0.1,  # metres per unit: a step of 1e-2 moves the head 1 mm
    "offsets": 0.01,  # metres per unit: a step of 1e-2 moves a vertex 0.1 mm
    "camera_rotation": 1.0,  # radians
    "camera_translation": 0.1,  # metres per unit
    "log_focal": 1.0,  # natural logarithm
}
"""Size of one unit of each variable: one AdamW learning rate then suits all groups."""

Variables = dict[str, jax.Array]


@pytree_dataclass
class Parameters:
    """Everything the energy depends on. Float32, metres, radians, pixels.

    identity: [S]. expression: [F,E]. joint_rotations: [F,K,3] axis-angle. head_rotation: [F,3,3] and
    head_translation: [F,3], head-to-world. offsets: [N,3] on the evaluated vertices. camera_rotation: [C,3,3] and
    camera_translation: [C,3], world-to-camera. focal: [C].
    """

    identity: jax.Array
    expression: jax.Array
    joint_rotations: jax.Array
    head_rotation: jax.Array
    head_translation: jax.Array
    offsets: jax.Array
    camera_rotation: jax.Array
    camera_translation: jax.Array
    focal: jax.Array

    def to_world(self, local: jax.Array) -> jax.Array:
        """Head-frame points [F,N,3] in the world (equation 9), coordinates first: [F,3,N] m.

        Coordinates come before points, and the translation is a fourth column, so that this transform, the next one
        and their derivatives are matrix products with one long side.
        """
        return jnp.matmul(
            jnp.concatenate([self.head_rotation, self.head_translation[..., None]], axis=-1),
            _homogeneous(jnp.moveaxis(local, -1, 1)),
            precision="highest",
        )

    def to_pixels(self, world: jax.Array, principal_point: jax.Array) -> tuple[jax.Array, jax.Array]:
        """World points [F,3,N] in every image (equation 10), principal_point [C,2]: columns, rows, [C,F,N] px."""
        frames, _, count = world.shape
        flat = jnp.moveaxis(_homogeneous(world), 1, 0).reshape(4, frames * count)
        pose = jnp.concatenate([self.camera_rotation, self.camera_translation[..., None]], axis=-1)
        camera = jnp.matmul(pose.reshape(-1, 4), flat, precision="highest").reshape(-1, 3, frames, count)
        # A point at or behind the camera plane has no image; keep it finite and far so that it repels, never NaN.
        scale = self.focal[:, None, None] / jnp.maximum(camera[:, 2], MINIMUM_DEPTH)
        centre = principal_point[:, :, None, None]
        return camera[:, 0] * scale + centre[:, 0], camera[:, 1] * scale + centre[:, 1]


def _homogeneous(points: jax.Array) -> jax.Array:
    """[F,3,N] → [F,4,N] with a row of ones."""
    return jnp.concatenate([points, jnp.ones_like(points[:, :1])], axis=1)


MINIMUM_DEPTH = 0.02
"""Metres in front of the camera below which a point is held."""


@dataclasses.dataclass(frozen=True)
class Layout:
    """Which groups move, and how; static under jit.

    Each mode is "fixed", "shared" (one row for all frames or cameras) or "free". active_joints: joint indices that
    rotate. offset_count: M, how many distinct vertices are offset.
    """

    identity: str
    expression: str
    joint_pose: str
    head_pose: str
    focal: str
    camera_pose: str
    offsets: str
    active_joints: tuple[int, ...]
    offset_count: int = 0

    def focal_moves_depth(self, cameras: int) -> bool:
        """Whether a change of focal length takes the depths along (see `assemble`)."""
        return self.head_pose != "fixed" and (self.camera_pose != "fixed" or cameras == 1)


@pytree_dataclass
class Chart:
    """The point about which variables are counted; identity, expression, joints and offsets are absolute.

    base: Parameters. offset_rows: [R] evaluated vertices that may be offset. offset_slots: [R] which of the M offset
    variables each of them has. depth: [C] m, mean head depth in each camera at `base`. layout: static.
    """

    base: Parameters
    offset_rows: jax.Array
    offset_slots: jax.Array
    depth: jax.Array
    layout: Layout = static_field()


def initial_variables(chart: Chart) -> Variables:
    """Variables that reproduce `chart.base`: [..] float32 arrays, one entry per group that moves."""
    base, layout = chart.base, chart.layout
    frames, cameras = base.expression.shape[0], base.focal.shape[0]

    def rows(mode: str, count: int) -> int:
        return 1 if mode == "shared" else count

    variables: Variables = {}
    if layout.identity != "fixed":
        variables["identity"] = base.identity
    if layout.expression != "fixed":
        shared = layout.expression == "shared"
        variables["expression"] = base.expression.mean(0, keepdims=True) if shared else base.expression
    if layout.joint_pose != "fixed" and layout.active_joints:
        active = base.joint_rotations[:, jnp.asarray(layout.active_joints)]
        shared = layout.joint_pose == "shared"
        variables["joint_rotations"] = active.mean(0, keepdims=True) if shared else active
    if layout.head_pose != "fixed":
        count = rows(layout.head_pose, frames)
        variables["head_rotation"] = jnp.zeros((count, 3), base.identity.dtype)
        variables["head_translation"] = jnp.zeros((count, 3), base.identity.dtype)
    if layout.offsets != "fixed":
        start = (
            jnp.zeros((layout.offset_count, 3), base.offsets.dtype)
            .at[chart.offset_slots]
            .set(base.offsets[chart.offset_rows])
        )
        variables["offsets"] = start / UNITS["offsets"]
    if layout.camera_pose != "fixed" and cameras > 1:
        variables["camera_rotation"] = jnp.zeros((cameras - 1, 3), base.identity.dtype)
        variables["camera_translation"] = jnp.zeros((cameras - 1, 3), base.identity.dtype)
    if layout.focal != "fixed":
        variables["log_focal"] = jnp.zeros((rows(layout.focal, cameras),), base.identity.dtype)
    return variables


def assemble(variables: Variables, chart: Chart) -> Parameters:
    """The parameters that the variables stand for.

    A change of focal length is paired with the change of depth that keeps the head's size in the image: the two are
    nearly indistinguishable, and a solver would crawl along that valley. Where the depths are known (camera poses of a
    rig, or head poses, fixed) nothing is paired.
    """
    base, layout = chart.base, chart.layout
    frames = base.expression.shape[0]
    identity = variables.get("identity", base.identity)
    expression = variables.get("expression", base.expression)
    joints = base.joint_rotations
    if "joint_rotations" in variables:
        active = variables["joint_rotations"] * UNITS["joint_rotations"]
        active = jnp.broadcast_to(active, (frames, *active.shape[1:]))
        joints = joints.at[:, jnp.asarray(layout.active_joints)].set(active)
    offsets = base.offsets
    if "offsets" in variables:
        moved = variables["offsets"][chart.offset_slots] * UNITS["offsets"]
        offsets = offsets.at[chart.offset_rows].set(moved)

    log_focal = jnp.broadcast_to(variables.get("log_focal", jnp.zeros((1,), base.focal.dtype)), base.focal.shape)
    zoom = jnp.zeros_like(base.camera_translation).at[:, 2].set((jnp.exp(log_focal) - 1.0) * chart.depth)
    zoom = zoom if layout.focal_moves_depth(base.focal.shape[0]) else jnp.zeros_like(zoom)

    camera_rotation, camera_translation = base.camera_rotation, base.camera_translation
    if "camera_rotation" in variables:
        turned = jaxlie.SO3.exp(variables["camera_rotation"]).as_matrix() @ camera_rotation[1:]
        moved = camera_translation[1:] + UNITS["camera_translation"] * variables["camera_translation"]
        moved = moved + zoom[1:] - turned @ (camera_rotation[0].T @ zoom[0])
        camera_rotation = camera_rotation.at[1:].set(turned)
        camera_translation = camera_translation.at[1:].set(moved)

    head_rotation, head_translation = base.head_rotation, base.head_translation
    if "head_rotation" in variables:
        head_rotation = jaxlie.SO3.exp(variables["head_rotation"]).as_matrix() @ head_rotation
        head_translation = head_translation + UNITS["head_translation"] * variables["head_translation"]
        head_translation = head_translation + base.camera_rotation[0].T @ zoom[0]
    return Parameters(
        identity=identity,
        expression=jnp.broadcast_to(expression, base.expression.shape),
        joint_rotations=joints,
        head_rotation=jnp.broadcast_to(head_rotation, base.head_rotation.shape),
        head_translation=jnp.broadcast_to(head_translation, base.head_translation.shape),
        offsets=offsets,
        camera_rotation=camera_rotation,
        camera_translation=camera_translation,
        focal=base.focal * jnp.exp(log_focal),
    )
