"""What every benchmark reads: a mesh with fixed triangles in motion, whoever made it, and where cameras see it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from flowface_jax.cameras.model import Cameras
from flowface_jax.conventions import METRES_TO_MILLIMETRES
from flowface_jax.errors import InputError
from flowface_jax.fitting.track import Track
from flowface_jax.heads.model import HeadModel

SMALLEST, LARGEST = 0.05, 1.0
"""m: the longest side of the box round a face or head lies between them; outside, the unit is another one."""


@dataclasses.dataclass(frozen=True, eq=False)
class MeshSequence:
    """A mesh over F frames. Host arrays.

    vertices: [F,V,3] float32 m, in the world of `cameras` where there are any. triangles: [T,3] int32. valid: [F] bool,
    frames in which there is a result; vertices of the others may hold anything. regions: [V] bool by name. cameras: C
    fixed pinhole cameras, or None. seen: what cameras of another kind show, or None. frames_per_second: or None where
    unknown. name: for tables.
    """

    vertices: np.ndarray
    triangles: np.ndarray
    valid: np.ndarray
    regions: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    cameras: Cameras | None = None
    seen: Projected | None = None
    frames_per_second: float | None = None
    name: str = ""

    @property
    def frame_count(self) -> int:
        return self.vertices.shape[0]

    def projected(self, camera: int = 0) -> Projected:
        """Where a camera sees the vertices. Raises InputError where the sequence has no such camera."""
        if self.cameras is None:
            if self.seen is None:
                raise InputError(f"{self.name or 'the sequence'}: expected cameras, found none; give --cameras FILE")
            return self.seen
        if not 0 <= camera < self.cameras.count:
            raise InputError(f"{self.name}: expected a camera of 0 to {self.cameras.count - 1}, found {camera}")
        rotation, translation = (np.asarray(a)[camera] for a in (self.cameras.rotation, self.cameras.translation))
        local = self.vertices @ rotation.T + translation
        with np.errstate(divide="ignore", invalid="ignore"):
            pixels = np.asarray(self.cameras.focal)[camera] * local[..., :2] / local[..., 2:]
        pixels = pixels + np.asarray(self.cameras.principal_point)[camera]
        width, height = (int(n) for n in np.asarray(self.cameras.image_size)[camera])
        return Projected(pixels.astype(np.float32), local[..., 2].astype(np.float32), (width, height))


@dataclasses.dataclass(frozen=True, eq=False)
class Projected:
    """Where one camera sees V vertices over F frames, whatever kind of camera it is.

    pixels: [F,V,2] float32 px. depth: [F,V] float32, growing away from the camera, in any unit; negative or zero depth
    is behind a pinhole camera. size: (width, height) px.
    """

    pixels: np.ndarray
    depth: np.ndarray
    size: tuple[int, int]


@dataclasses.dataclass(frozen=True, eq=False)
class View:
    """What one camera shows of a sequence. perspective: False where depth is no distance from a pinhole."""

    projected: Projected
    perspective: bool


def seen_by(sequence: MeshSequence, camera: int) -> View:
    """A sequence as a camera of the truth shows it; a sequence of one camera is shown by that, whichever it is.

    Cameras of other kinds than pinholes count as without perspective where a depth is not positive. Raises InputError
    where there is no such camera.
    """
    projected = sequence.projected(own_camera(sequence, camera))
    pinhole = sequence.cameras is not None or bool((projected.depth[sequence.valid] > 0).all())
    return View(projected, pinhole)


def own_camera(sequence: MeshSequence, camera: int) -> int:
    """Which of a sequence's cameras is camera N of the truth: a monocular track has one, whichever that was."""
    return 0 if sequence.cameras is None or sequence.cameras.count == 1 else camera


def sequence_of_track(track: Track, head: HeadModel, name: str = "") -> MeshSequence:
    """A track as a mesh sequence in world coordinates. Raises InputError if the head is not the track's."""
    vertices = np.stack([np.asarray(world, np.float32) for world in track.each_world_vertices(head)])
    times = np.asarray(track.frame_times)
    rate = float(1 / np.median(np.diff(times))) if len(times) > 1 else None
    regions = {region: np.asarray(mask) for region, mask in head.regions.items()}
    valid = np.asarray(track.observed).any(0)
    return MeshSequence(vertices, np.asarray(head.triangles), valid, regions, track.cameras, None, rate, name)


def check_sequence(sequence: MeshSequence) -> MeshSequence:
    """The sequence, if it is one of a head in metres. Raises InputError for wrong shapes, vertices of valid frames that
    are not finite, triangles beyond the vertices, no valid frame, or a size that no head has.
    """
    name, vertices = sequence.name or "the sequence", sequence.vertices
    if vertices.ndim != 3 or vertices.shape[2] != 3 or sequence.valid.shape != vertices.shape[:1]:
        raise InputError(f"{name}: expected vertices [F,V,3] and valid [F], found {vertices.shape}")
    if sequence.triangles.size and not 0 <= sequence.triangles.min() <= sequence.triangles.max() < vertices.shape[1]:
        raise InputError(f"{name}: expected triangles of vertices 0 to {vertices.shape[1] - 1}")
    if not sequence.valid.any():
        raise InputError(f"{name}: expected at least one frame with a result, found none")
    good = vertices[sequence.valid]
    if not np.isfinite(good).all():
        frames = np.flatnonzero(sequence.valid)[~np.isfinite(good).all((1, 2))]
        raise InputError(f"{name}: vertices of frame {frames[0]} are not finite; mark such frames as invalid")
    side = float(np.median((good.max(1) - good.min(1)).max(-1)))
    if not SMALLEST <= side <= LARGEST:
        raise InputError(
            f"{name}: expected a head {SMALLEST * METRES_TO_MILLIMETRES:.0f} to {LARGEST * METRES_TO_MILLIMETRES:.0f} "
            f"mm long, found {side * METRES_TO_MILLIMETRES:.4g} mm; say in which unit it is (--unit mm|cm|m)"
        )
    return sequence
