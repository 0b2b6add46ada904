"""`Track`: the fitted head, frame by frame, with what made it and how well it fits."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jaxlie
import numpy as np

from flowface_jax.cameras.model import Cameras, make_cameras
from flowface_jax.conventions import CONVENTIONS
from flowface_jax.errors import InputError
from flowface_jax.fitting.uncertainty import Uncertainty
from flowface_jax.heads.model import HeadModel, vertices
from flowface_jax.pytrees import pytree_dataclass, static_field
from flowface_jax.storage import read_json, read_npz, write_json, write_npz

FORMAT = "flowface-track/1"
ARRAYS = "track.npz"
RECORD = "track.json"


def _no_regions() -> np.ndarray:
    return np.zeros((0, 0), np.float32)


@pytree_dataclass
class Track:
    """The result of a fit. Host (NumPy) arrays, float32 unless said.

    identity: [S]. expression: [F,E]. joint_rotations: [F,K,3] axis-angle. head_rotation: [F,3] axis-angle and
    head_translation: [F,3] m, head-to-world. offsets: [V,3] m. cameras: Cameras (world = first camera's frame where
    they were solved for). observed: [C,F] bool. residual_px and residual_p90_px: [C,F] px, median and 90th percentile
    distance between observed and fitted points (NaN where unseen). face_width_px: [C,F] px, width of the box around
    the observed points. These three are over the points of face and ears. frame_times: [F] s. frame_ids: [F] int.
    energy_history: [n]. record: JSON text with settings, versions, timings, convergence, notes, per-frame flags and the
    verdict on the track (see `summary`).

    Per region, where the track was fitted (else R = 0, as in older files): region_names: R names, the first "all".
    region_chi_square: [F,R] mean of (distance/σ)²/2 over the region's observed points in all cameras, 1 where the
    stated σ are right. region_chi_square_median: [F,R] the same from their median, which outliers hardly move.
    region_hidden and region_astray: [F,R] share of the points that face a camera but are not observed (or with a σ
    that tells nothing), and that are outliers. All NaN where the region cannot be judged.

    uncertainty: standard deviations of all of it, or None where they were not asked for or the file is older.
    """

    identity: np.ndarray
    expression: np.ndarray
    joint_rotations: np.ndarray
    head_rotation: np.ndarray
    head_translation: np.ndarray
    offsets: np.ndarray
    cameras: Cameras
    observed: np.ndarray
    residual_px: np.ndarray
    residual_p90_px: np.ndarray
    face_width_px: np.ndarray
    frame_times: np.ndarray
    frame_ids: np.ndarray
    energy_history: np.ndarray
    record: str = static_field()
    region_chi_square: np.ndarray = dataclasses.field(default_factory=_no_regions)
    region_chi_square_median: np.ndarray = dataclasses.field(default_factory=_no_regions)
    region_hidden: np.ndarray = dataclasses.field(default_factory=_no_regions)
    region_astray: np.ndarray = dataclasses.field(default_factory=_no_regions)
    region_names: tuple[str, ...] = static_field(default=())
    uncertainty: Uncertainty | None = None

    @property
    def frame_count(self) -> int:
        return self.expression.shape[0]

    @property
    def summary(self) -> dict[str, Any]:
        """The record as a dictionary: settings, versions, timings, convergence, notes, flags, quality."""
        return json.loads(self.record)

    @property
    def verdict(self) -> str | None:
        """One word on the whole track, of `fitting.verdict.VERDICTS`; None where it was not judged."""
        return self.summary.get("quality", {}).get("verdict")

    def local_vertices(self, head: HeadModel, frame: int) -> jax.Array:
        """Vertices in the head's own frame: [V,3] m. Raises InputError for another head than the track's."""
        self._check(head)
        return self._local(head, frame)

    def world_vertices(self, head: HeadModel, frame: int) -> jax.Array:
        """Vertices in the world (equation 9): [V,3] m. Raises InputError as `local_vertices` does."""
        return self._to_world(self.local_vertices(head, frame), frame)

    def each_world_vertices(self, head: HeadModel) -> Iterator[jax.Array]:
        """The world vertices [V,3] m of every frame in turn, the head checked once."""
        self._check(head)
        for frame in range(self.frame_count):
            yield self._to_world(self._local(head, frame), frame)

    def image_vertices(self, head: HeadModel, frame: int) -> jax.Array:
        """Vertices in every camera's image: [C,V,2] px."""
        return self.cameras.project(self.world_vertices(head, frame))

    def neutral_vertices(self, head: HeadModel) -> jax.Array:
        """The person's neutral head, offsets included: [V,3] m."""
        self._check(head)
        zero = jnp.zeros((head.expression_size,))
        return vertices(head, jnp.asarray(self.identity), zero, None, jnp.asarray(self.offsets))

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write track.npz and track.json (conventions included) into the folder."""
        folder = Path(folder)
        arrays = {
            "format": np.asarray(FORMAT),
            "conventions": np.asarray([f"{key}: {text}" for key, text in CONVENTIONS.items()]),
            "camera_names": np.asarray(self.cameras.names),
            "camera_focal_px": self.cameras.focal,
            "camera_principal_point_px": self.cameras.principal_point,
            "camera_rotation_world_to_camera": self.cameras.rotation,
            "camera_translation_world_to_camera_m": self.cameras.translation,
            "camera_image_size": self.cameras.image_size,
        }
        arrays |= {stored: np.asarray(getattr(self, field)) for field, stored in _STORED.items()}
        arrays["region_names"] = np.asarray(self.region_names, np.str_)
        arrays |= {field: np.asarray(getattr(self, field)) for field in _PER_REGION}
        if self.uncertainty is not None:
            arrays |= {stored: np.asarray(getattr(self.uncertainty, field)) for field, stored in _UNCERTAINTY.items()}
        write_npz(folder / ARRAYS, arrays)
        write_json(folder / RECORD, {"format": FORMAT, "conventions": CONVENTIONS, **self.summary})

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Track:
        """Read a track from its folder (or its track.npz). Raises InputError if either file is absent or damaged."""
        path = Path(path)
        folder = path if path.is_dir() else path.parent
        if not (folder / ARRAYS).is_file():
            raise InputError(f"{folder} holds no {ARRAYS}; name a folder that flowface track or flowface fit wrote")
        arrays = read_npz(folder / ARRAYS, "a flowface track", required=(*_STORED.values(), "camera_focal_px"))
        record = read_json(folder / RECORD, "the track's record")
        if not isinstance(record, dict) or record.get("format") != FORMAT:
            raise InputError(f'{folder / RECORD} is not a track record: expected "format": "{FORMAT}"')
        cameras = make_cameras(
            arrays["camera_focal_px"],
            arrays["camera_principal_point_px"],
            arrays["camera_rotation_world_to_camera"],
            arrays["camera_translation_world_to_camera_m"],
            arrays["camera_image_size"],
            [str(name) for name in arrays["camera_names"]],
        )
        fields = {field: arrays[stored] for field, stored in _STORED.items()}
        fields |= _regions_of(arrays, len(fields["frame_ids"]), folder / ARRAYS)
        fields["uncertainty"] = _uncertainty_of(arrays, fields, cameras.count, folder / ARRAYS)
        text = {key: value for key, value in record.items() if key not in ("format", "conventions")}
        return Track(cameras=cameras, record=json.dumps(text, sort_keys=True), **fields)

    def _local(self, head: HeadModel, frame: int) -> jax.Array:
        return _posed(head, self.identity, self.expression[frame], self.joint_rotations[frame], self.offsets)

    def _to_world(self, local: jax.Array, frame: int) -> jax.Array:
        rotation = jaxlie.SO3.exp(jnp.asarray(self.head_rotation[frame])).as_matrix()
        return jnp.matmul(local, rotation.T, precision="highest") + self.head_translation[frame]

    def _check(self, head: HeadModel) -> None:
        expected = (len(self.offsets), self.expression.shape[1], self.joint_rotations.shape[1])
        found = (head.vertex_count, head.expression_size, head.joint_count)
        stored = self.summary.get("head", {}).get("fingerprint")
        same = expected == found
        if same and stored is not None:
            difference = np.abs(np.asarray(stored) - np.asarray(head_fingerprint(head)))
            same = bool(difference.max() < FINGERPRINT_TOLERANCE)
        if not same:
            made_with = self.summary.get("head", {}).get("name", "another head")
            raise InputError(
                f"the track was made with head '{made_with}' ({expected[0]} vertices, {expected[1]} expressions), "
                f"found head '{head.name}' ({found[0]} vertices, {found[1]} expressions); load the same head"
            )


_STORED = {
    "identity": "identity",
    "expression": "expression",
    "joint_rotations": "joint_rotations_axis_angle",
    "head_rotation": "head_rotation_axis_angle",
    "head_translation": "head_translation_m",
    "offsets": "offsets_m",
    "observed": "observed",
    "residual_px": "residual_px",
    "residual_p90_px": "residual_p90_px",
    "face_width_px": "face_width_px",
    "frame_times": "frame_times_s",
    "frame_ids": "frame_ids",
    "energy_history": "energy_history",
}

_PER_REGION = ("region_chi_square", "region_chi_square_median", "region_hidden", "region_astray")


def _regions_of(arrays: dict[str, np.ndarray], frames: int, path: Path) -> dict[str, Any]:
    """The per-region fields; no regions where the file, written by an older version, has none. Raises InputError."""
    names = tuple(str(name) for name in arrays.get("region_names", ()))
    fields = {field: arrays.get(field, np.zeros((frames, 0), np.float32)) for field in _PER_REGION}
    for field, values in fields.items():
        if names and values.shape != (frames, len(names)):
            raise InputError(
                f"{path}: {field} has shape {list(values.shape)}, expected [{frames}, {len(names)}], one column for "
                "each of region_names; fit the track again"
            )
    return {"region_names": names, **fields}


_UNCERTAINTY = {
    "identity": "std_identity",
    "expression": "std_expression",
    "joint_rotations": "std_joint_rotations_rad",
    "head_rotation": "std_head_rotation_rad",
    "head_translation": "std_head_translation_m",
    "offsets": "std_offsets_m",
    "camera_rotation": "std_camera_rotation_rad",
    "camera_translation": "std_camera_translation_m",
    "focal": "std_focal_px",
    "vertices_mm": "std_vertices_mm",
    "neutral_mm": "std_neutral_vertices_mm",
}


def _uncertainty_of(
    arrays: dict[str, np.ndarray], fields: dict[str, Any], cameras: int, path: Path
) -> Uncertainty | None:
    """The standard deviations, or None where the file has none. Raises InputError where their shapes do not fit."""
    if _UNCERTAINTY["identity"] not in arrays:
        return None
    expected = {field: fields[field].shape for field in _UNCERTAINTY if field in fields}
    expected |= {"camera_rotation": (cameras, 3), "camera_translation": (cameras, 3), "focal": (cameras,)}
    count = len(fields["offsets"])
    frames = 1 if len(arrays.get(_UNCERTAINTY["vertices_mm"], ())) == 1 else len(fields["frame_ids"])
    expected |= {"vertices_mm": (frames, count), "neutral_mm": (count,)}
    for field, stored in _UNCERTAINTY.items():
        found = list(arrays[stored].shape) if stored in arrays else "nothing"
        if found != list(expected[field]):
            raise InputError(
                f"{path}: {stored} has shape {found}, expected {list(expected[field])}; fit the track again"
            )
    return Uncertainty(**{field: arrays[stored] for field, stored in _UNCERTAINTY.items()})


_posed = jax.jit(vertices)


def head_fingerprint(head: HeadModel) -> list[float]:
    """A few numbers (m) that tell heads apart, so that a track is never decoded with another head: projections of the
    template and of the leading basis vectors on fixed random directions.

    Compared with FINGERPRINT_TOLERANCE: the built-in head is computed, and the last digits differ between machines.
    """
    random = np.random.default_rng(0)
    direction = random.normal(size=(head.vertex_count, 3)) / np.sqrt(head.vertex_count)
    parts = [np.asarray(head.template, np.float64)[..., None]]
    parts += [np.asarray(basis[..., :4], np.float64) for basis in (head.identity_basis, head.expression_basis)]
    return np.einsum("vd,vdn->n", direction, np.concatenate(parts, axis=-1)).tolist()


FINGERPRINT_TOLERANCE = 1e-5
