"""What sampling needs to know of a head, measured once: its repertoire, and how shapes move lids, lips and eyes."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from scipy.spatial.transform import Rotation

from flowface_jax.heads.model import HeadModel
from flowface_jax.pytrees import pytree_dataclass, static_field
from flowface_jax.synthesis.people import repertoire
from flowface_jax.synthesis.people.identity import SPREAD

UPPER_LIDS, LOWER_LIDS = ((43, 44), (37, 38)), ((47, 46), (41, 40))
"""Multi-PIE landmarks in the middle of the lids, the subject's left eye first."""
UPPER_LIP, LOWER_LIP = (61, 62, 63), (67, 66, 65)
_CLOSES = -3e-4
"""Metres by which a shape at full strength must bring lids or lips together to count as closing them."""
_LARGEST_COEFFICIENT = 2.5
"""Standard deviations at which coefficients of a statistical basis are cut off."""
_FACE_DEVIATION = 6.2e-3
"""Metres, root mean square, by which the drawn faces may differ from the mean one."""
_DEFAULT_NECK = (0.0, -0.09, -0.015)
_EYE_DISTANCE = 0.063


@pytree_dataclass
class Opening:
    """A gap between two edges (N of them) as an affine function of the coefficients.

    neutral: [N] m. identity: [S,N] and expression: [E,N] m per unit. closing: [E,N] 1 for shapes that close it.
    """

    neutral: jax.Array
    identity: jax.Array
    expression: jax.Array
    closing: jax.Array

    def of_person(self, identity: jax.Array) -> jax.Array:
        """The gap [N] m of the neutral person with identity [≤S]."""
        return self.neutral + jnp.matmul(identity, self.identity[: identity.shape[-1]], precision="highest")


@pytree_dataclass
class PeopleAssets:
    """Measured on one head. Eyes are ordered left, right; directions up, down, in, out.

    expression_std: [E]. expression_limits: [E,2], finite. single: [E] 1 for shapes that are shown
    alone. partner: [E] int32, the same shape of the other side. left, right: [E] 1 for shapes of that side.
    combinations: [M,E] and visemes: [N,E] coefficients. excluding: [X,2,E] masks of groups that exclude each other.
    tongue: [E] mask. brows: [2,E], raised and lowered. lids: Opening of both eyes. lips: Opening of the mouth.
    blink: [2,E], 1 at each eye's blink. look: [2,4,E], 1 at the shape of each direction. look_turn: [2,4] rad by which
    that shape turns the eyeball by itself. eye_joints: [2,K] and jaw_joint: [K], 1 at the joint (0 where absent).
    eye_distance: m between the eyes' centres. neck: [3] m, the pivot between head and torso.
    identity_spread: standard deviation that identity coefficients are drawn with.
    statistical: whether expressions are coefficients without names.
    """

    expression_std: jax.Array
    expression_limits: jax.Array
    single: jax.Array
    partner: jax.Array
    left: jax.Array
    right: jax.Array
    combinations: jax.Array
    visemes: jax.Array
    excluding: jax.Array
    tongue: jax.Array
    brows: jax.Array
    lids: Opening
    lips: Opening
    blink: jax.Array
    look: jax.Array
    look_turn: jax.Array
    eye_joints: jax.Array
    jaw_joint: jax.Array
    eye_distance: jax.Array
    neck: jax.Array
    identity_spread: jax.Array
    viseme_names: tuple[str, ...] = static_field()
    statistical: bool = static_field()

    @property
    def identity_size(self) -> int:
        return self.lids.identity.shape[0]

    @property
    def expression_size(self) -> int:
        return self.expression_std.shape[0]

    @property
    def joint_count(self) -> int:
        return self.jaw_joint.shape[0]


def make_people_assets(head: HeadModel) -> PeopleAssets:
    """Measure the head. Heads whose expressions have no ARKit names, or that lack landmarks, joints or single shapes,
    get what they have.
    """
    names = head.expression_names
    statistical = "jawOpen" not in names
    combinations = _table(repertoire.COMBINATIONS, names)
    visemes = _table(repertoire.VISEMES, names)
    look = np.stack([[_one(f"{shape}{side}", names) for shape in repertoire.GAZE_SHAPES] for side in _SIDES])
    std = np.asarray(head.expression_std)
    limits = np.asarray(head.expression_limits, np.float64)
    reach = np.stack([-_LARGEST_COEFFICIENT * std, _LARGEST_COEFFICIENT * std], axis=1)
    joints = np.asarray(head.joint_template)
    eyes = [joints[head.joint_names.index(name)] for name in _EYE_JOINTS if name in head.joint_names]
    fields = {
        "expression_std": std,
        "expression_limits": np.where(np.isfinite(limits), limits, reach),
        "single": (1.0 - repertoire.mask(repertoire.NOT_ALONE, names)) * (not statistical),
        "left": _sided("Left", names),
        "right": _sided("Right", names),
        "combinations": combinations[1],
        "visemes": visemes[1],
        "excluding": np.stack([[repertoire.mask(g, names) for g in pair] for pair in repertoire.EXCLUDING]),
        "tongue": repertoire.mask((repertoire.TONGUE,), names),
        "brows": np.stack([repertoire.mask(group, names) for group in repertoire.BROWS]),
        "blink": np.stack([_one(f"{repertoire.BLINK}{side}", names) for side in _SIDES]),
        "look": look,
        "look_turn": _look_turn(head, look),
        "eye_joints": np.stack([_one(name, head.joint_names) for name in _EYE_JOINTS]),
        "jaw_joint": _one("jaw", head.joint_names),
        "eye_distance": np.linalg.norm(eyes[0] - eyes[1]) if len(eyes) == 2 else _EYE_DISTANCE,
        "identity_spread": _identity_spread(head),
        "neck": joints[head.joint_names.index("neck")] if "neck" in head.joint_names else np.asarray(_DEFAULT_NECK),
    }
    return PeopleAssets(
        **{name: jnp.asarray(value, jnp.float32) for name, value in fields.items()},
        partner=jnp.asarray(_partners(names), jnp.int32),
        lids=_opening(head, UPPER_LIDS, LOWER_LIDS),
        lips=_opening(head, (UPPER_LIP,), (LOWER_LIP,)),
        viseme_names=visemes[0],
        statistical=statistical,
    )


_SIDES = ("Left", "Right")
_EYE_JOINTS = ("left_eye", "right_eye")


def _identity_spread(head: HeadModel) -> float:
    """Wider than the population, but no wider than faces differ: bases disagree on how far a unit moves a face."""
    face = np.asarray(head.regions["face"])
    basis = np.asarray(head.identity_basis)[face]
    if not basis.size:
        return SPREAD
    return float(min(SPREAD, _FACE_DEVIATION / np.sqrt((basis**2).sum((1, 2)).mean())))


def _one(name: str, names: tuple[str, ...]) -> np.ndarray:
    """1 at the name, all 0 where it is absent."""
    return np.asarray([float(name == other) for other in names], np.float32)


def _sided(side: str, names: tuple[str, ...]) -> np.ndarray:
    """Shapes of one side of the face. `mouthLeft` and `jawLeft` move the whole mouth, so they have none."""
    return np.asarray([float(name.endswith(side) and name not in (f"mouth{side}", f"jaw{side}")) for name in names])


def _partners(names: tuple[str, ...]) -> list[int]:
    other = {"Left": "Right", "Right": "Left"}
    result = []
    for index, name in enumerate(names):
        side = next((s for s in other if name.endswith(s) and name not in (f"mouth{s}", f"jaw{s}")), None)
        mate = name if side is None else name.removesuffix(side) + other[side]
        result.append(names.index(mate) if mate in names else index)
    return result


def _table(recipes: dict[str, repertoire.Recipe], names: tuple[str, ...]) -> tuple[tuple[str, ...], np.ndarray]:
    """The recipes whose main shape the head has, and their coefficients; one empty recipe where it has none."""
    kept = {}
    for title, recipe in recipes.items():
        main = max(recipe, key=lambda name: recipe[name])
        if repertoire.spelled(main, names):
            kept[title] = repertoire.vector(recipe, names)
    return (tuple(kept), np.stack(list(kept.values()))) if kept else (("neutral",), np.zeros((1, len(names))))


def _opening(head: HeadModel, upper: tuple[tuple[int, ...], ...], lower: tuple[tuple[int, ...], ...]) -> Opening:
    """The vertical gap between landmarks as the head's bases move it; nothing where the head has no landmarks."""
    count, s, e = len(upper), head.identity_size, head.expression_size
    if head.landmarks.count == 0:
        zero = jnp.zeros((e, count))
        return Opening(jnp.zeros(count), jnp.zeros((s, count)), zero, zero)
    ids, barycentric = np.asarray(head.landmarks.vertex_ids), np.asarray(head.landmarks.barycentric, np.float64)

    def gap(height: np.ndarray) -> np.ndarray:
        at = np.einsum("pk,pk...->p...", barycentric, height[ids])
        return np.stack([at[list(u)].mean(0) - at[list(l)].mean(0) for u, l in zip(upper, lower, strict=True)], axis=-1)

    moves = gap(np.asarray(head.expression_basis)[:, 1])
    values = (gap(np.asarray(head.template)[:, 1]), gap(np.asarray(head.identity_basis)[:, 1]), moves, moves < _CLOSES)
    return Opening(*(jnp.asarray(value, jnp.float32) for value in values))


def _look_turn(head: HeadModel, look: np.ndarray) -> np.ndarray:
    """How far each gaze shape turns its own eyeball, [2,4] rad."""
    result = np.zeros(look.shape[:2])
    axes = {0: 0, 1: 0, 2: 1, 3: 1}
    for eye, (joint, region) in enumerate(zip(_EYE_JOINTS, ("left_eyeball", "right_eyeball"), strict=True)):
        if joint not in head.joint_names or region not in head.regions:
            continue
        ball = np.asarray(head.regions[region])
        rest = np.asarray(head.template)[ball] - np.asarray(head.joint_template)[head.joint_names.index(joint)]
        for direction in range(look.shape[1]):
            moved = np.asarray(head.expression_basis)[ball] @ look[eye, direction]
            if np.abs(moved).max(initial=0.0) > 1e-5:
                turn = Rotation.align_vectors(rest + moved, rest)[0].as_rotvec()
                result[eye, direction] = abs(turn[axes[direction]])
    return result
