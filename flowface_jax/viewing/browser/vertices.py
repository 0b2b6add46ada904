"""The vertices of a track when they are wanted: worked out some frames at a time, the last ones kept."""

from __future__ import annotations

import dataclasses
import threading
from collections import OrderedDict

import jax
import jax.numpy as jnp
import jaxlie
import numpy as np

from flowface_jax.fitting.track import Track
from flowface_jax.heads.model import HeadModel, vertices

CHUNK = 16
"""Frames worked out together: the head's bases are read once for all of them."""
MEMORY = 192_000_000
"""Bytes of vertices that are kept."""


@dataclasses.dataclass(frozen=True)
class Edits:
    """Coefficients that a user holds instead of the track's: (index, value) pairs, in the order of the indices."""

    identity: tuple[tuple[int, float], ...] = ()
    expression: tuple[tuple[int, float], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.identity or self.expression)

    def holding(self, group: str, index: int, value: float) -> Edits:
        """The same with one more coefficient of a group, "identity" or "expression"."""
        held = dict(getattr(self, group)) | {index: value}
        return dataclasses.replace(self, **{group: tuple(sorted(held.items()))})


NO_EDITS = Edits()


class VertexStore:
    """World vertices of a track's frames; may be asked from several threads. Memory is bounded by `memory` bytes."""

    def __init__(self, track: Track, head: HeadModel, memory: int = MEMORY) -> None:
        """Raises InputError for another head than the track's."""
        self.neutral = np.asarray(track.neutral_vertices(head))
        self._track, self._head = track, head
        self._chunks: OrderedDict[int, np.ndarray] = OrderedDict()
        self._most = max(2, memory // (CHUNK * self.neutral.nbytes))
        self._lock = threading.Lock()

    def world(self, frame: int, edits: Edits = NO_EDITS) -> np.ndarray:
        """Vertices [V,3] m in the world. frame: its place in the track."""
        if edits:
            return self._computed(np.asarray([frame]), edits)[0]
        with self._lock:
            number = frame // CHUNK
            if number not in self._chunks:
                # The last chunk is filled up, so that one program serves all of them.
                rows = np.minimum(np.arange(number * CHUNK, (number + 1) * CHUNK), self._track.frame_count - 1)
                self._chunks[number] = self._computed(rows, NO_EDITS)
                while len(self._chunks) > self._most:
                    self._chunks.popitem(last=False)
            self._chunks.move_to_end(number)
            return self._chunks[number][frame % CHUNK]

    def coefficients(self, frame: int, edits: Edits = NO_EDITS) -> tuple[np.ndarray, np.ndarray]:
        """Identity [S] and expression [E] as shown in a frame."""
        identity = np.array(self._track.identity, np.float32)
        expression = np.array(self._track.expression[frame], np.float32)
        for values, held in ((identity, edits.identity), (expression, edits.expression)):
            for index, value in held:
                values[index] = value
        return identity, expression

    def _computed(self, frames: np.ndarray, edits: Edits) -> np.ndarray:
        track = self._track
        coefficients = [self.coefficients(int(frame), edits) for frame in frames]
        return np.asarray(
            _world(
                self._head,
                coefficients[0][0],
                np.stack([expression for _, expression in coefficients]),
                np.asarray(track.joint_rotations)[frames],
                np.asarray(track.offsets),
                np.asarray(track.head_rotation)[frames],
                np.asarray(track.head_translation)[frames],
            )
        )


@jax.jit
def _world(
    head: HeadModel,
    identity: jax.Array,
    expression: jax.Array,
    joint_rotations: jax.Array,
    offsets: jax.Array,
    rotation: jax.Array,
    translation: jax.Array,
) -> jax.Array:
    """World vertices [n,V,3] m of n frames."""

    def one(expression: jax.Array, joints: jax.Array, rotation: jax.Array, translation: jax.Array) -> jax.Array:
        local = vertices(head, identity, expression, joints, offsets)
        turn = jaxlie.SO3.exp(rotation).as_matrix()
        return jnp.matmul(local, turn.T, precision="highest") + translation

    return jax.vmap(one)(expression, joint_rotations, rotation, translation)
