"""The glTF scene of a performance: metres, y up; our world, with OpenCV's axes, hangs under one turned node."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import math
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from flowface_jax.cameras.conversion import opengl_from_opencv
from flowface_jax.errors import InputError
from flowface_jax.exporting.gltf.document import INDICES, VERTICES, GltfDocument
from flowface_jax.exporting.gltf.skeleton import Skeleton, continuous, influences, make_skeleton
from flowface_jax.exporting.performance import Performance
from flowface_jax.exporting.target import Target
from flowface_jax.fitting.track import Track
from flowface_jax.heads.model import HeadModel
from flowface_jax.heads.registration import vertex_normals
from flowface_jax.reporting import Reporter
from flowface_jax.storage import require_file, write_bytes

_NEAR, _FAR = 0.01, 100.0
_SKIN_COLOUR = [0.72, 0.53, 0.44, 1.0]
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclasses.dataclass(frozen=True)
class GltfSettings:
    """texture: path of a PNG in the head's atlas (flowface texture writes one) as the head's colour; "" for plain skin.
    cameras: write the cameras. threshold_mm: displacements of blend shapes below it are left out.
    """

    texture: str = ""
    cameras: bool = True
    threshold_mm: float = 1e-4


def write_glb(performance: Performance, path: Path, settings: GltfSettings, reporter: Reporter) -> None:
    """Write the head as a skinned mesh with blend shapes, animated over the track's frames, and the cameras."""
    track, head = performance.track, performance.head
    version = importlib.metadata.version("flowface-jax")
    document = GltfDocument({"version": "2.0", "generator": f"flowface_jax {version}", "extras": _about(performance)})
    skeleton = make_skeleton(track, head)
    times = performance.frame_times
    animation = _Animation(document, (times - times[0]).astype("<f4"))

    children = _camera_nodes(document, performance) if settings.cameras else []
    joints, roots = _joint_nodes(document, performance, skeleton, animation)
    skin = document.add(
        "skins",
        {
            "joints": joints,
            # glTF stores matrices column by column.
            "inverseBindMatrices": document.array(skeleton.inverse_bind.transpose(0, 2, 1).astype("<f4")),
        },
    )
    mesh_node = document.add("nodes", {"name": "head", "mesh": _mesh(document, performance, settings), "skin": skin})
    turns = continuous(Rotation.from_rotvec(np.asarray(track.head_rotation, np.float64)).as_quat())
    pose = document.add("nodes", {"name": "head pose", "children": roots, **_at_first(turns, track.head_translation)})
    animation.move(pose, "rotation", turns)
    animation.move(pose, "translation", np.asarray(track.head_translation))
    if head.expression_size:
        animation.move(mesh_node, "weights", np.asarray(track.expression))
    world = document.add("nodes", {"name": "world", "rotation": [1.0, 0.0, 0.0, 0.0], "children": [*children, pose]})
    # A skinned mesh follows its joints alone, so it stands beside the world.
    document.set("scenes", [{"name": performance.name, "nodes": [world, mesh_node]}])
    document.set("scene", 0)
    animation.write(performance.name)
    write_bytes(path, document.glb())


class _Animation:
    """Channels that share their times; what does not move is not animated."""

    def __init__(self, document: GltfDocument, times: np.ndarray) -> None:
        self._document, self._count = document, len(times)
        self._times = document.array(times, bounds=True) if self._count > 1 else None
        self._samplers: list[dict[str, Any]] = []
        self._channels: list[dict[str, Any]] = []

    def move(self, node: int, path: str, values: np.ndarray) -> None:
        """Animate one property of a node: values [F,…]."""
        values = np.asarray(values, "<f4")
        if self._times is None or (values == values[:1]).all():
            return
        if path == "weights":
            values = values.reshape(-1)
        sampler = {"input": self._times, "output": self._document.array(values), "interpolation": "LINEAR"}
        self._samplers.append(sampler)
        self._channels.append({"sampler": len(self._samplers) - 1, "target": {"node": node, "path": path}})

    def write(self, name: str) -> None:
        """Add the animation to the document, where anything moves."""
        if self._channels:
            self._document.add("animations", {"name": name, "samplers": self._samplers, "channels": self._channels})


def _mesh(document: GltfDocument, performance: Performance, settings: GltfSettings) -> int:
    track, head = performance.track, performance.head
    base = np.asarray(track.neutral_vertices(head), "<f4")
    triangles = np.asarray(head.triangles)
    uv = np.asarray(head.uv) * [1.0, -1.0] + [0.0, 1.0]
    attributes = {
        "POSITION": document.array(base, VERTICES, bounds=True),
        "NORMAL": document.array(_normals(base, triangles), VERTICES),
        "TEXCOORD_0": document.array(uv.astype("<f4"), VERTICES),
    }
    for number, (joints, weights) in enumerate(influences(np.asarray(head.skinning_weights, np.float64))):
        attributes[f"JOINTS_{number}"] = document.array(joints, VERTICES)
        attributes[f"WEIGHTS_{number}"] = document.array(weights, VERTICES)
    shapes = np.moveaxis(np.asarray(head.expression_basis), -1, 0)
    primitive: dict[str, Any] = {
        "attributes": attributes,
        "indices": document.array(triangles.astype("<u4").ravel(), INDICES),
        "material": _material(document, settings),
    }
    mesh: dict[str, Any] = {"name": head.name, "primitives": [primitive]}
    if len(shapes):
        threshold = settings.threshold_mm / 1000.0
        primitive["targets"] = [{"POSITION": document.displacements(shape, threshold)} for shape in shapes]
        mesh["weights"] = np.asarray(track.expression[0], np.float64).tolist()
        # Where three.js and Blender look for the shapes' names.
        mesh["extras"] = {"targetNames": list(head.expression_names)}
    return document.add("meshes", mesh)


def _normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """[V,3] float32 of unit length, as glTF asks: any direction where a vertex has no triangle."""
    normals = vertex_normals(vertices.astype(np.float64), triangles)
    return np.where(np.linalg.norm(normals, axis=1, keepdims=True) > 0.5, normals, [0.0, 0.0, 1.0]).astype("<f4")


def _material(document: GltfDocument, settings: GltfSettings) -> int:
    surface: dict[str, Any] = {"metallicFactor": 0.0, "roughnessFactor": 0.6}
    if settings.texture:
        picture = require_file(settings.texture, "a PNG in the head's atlas").read_bytes()
        if not picture.startswith(_PNG):
            raise InputError(f"glb.texture: expected a PNG, found {settings.texture}; flowface texture writes one")
        surface["baseColorTexture"] = {"index": document.add("textures", {"source": document.image(picture)})}
    else:
        surface["baseColorFactor"] = _SKIN_COLOUR
    return document.add("materials", {"name": "skin", "pbrMetallicRoughness": surface, "doubleSided": True})


def _joint_nodes(
    document: GltfDocument, performance: Performance, skeleton: Skeleton, animation: _Animation
) -> tuple[list[int], list[int]]:
    """The joints' nodes, and those of them that have no parent."""
    head = performance.head
    first = document.count("nodes")
    parents = head.joint_parents
    nodes = []
    for k, name in enumerate(head.joint_names):
        node: dict[str, Any] = {"name": name, **_at_first(skeleton.rotations[:, k], skeleton.translations[:, k])}
        children = [first + c for c, parent in enumerate(parents) if parent == k]
        if children:
            node["children"] = children
        nodes.append(document.add("nodes", node))
        animation.move(nodes[-1], "rotation", skeleton.rotations[:, k])
        animation.move(nodes[-1], "translation", skeleton.translations[:, k])
    return nodes, [nodes[k] for k, parent in enumerate(parents) if parent < 0]


def _at_first(rotations: np.ndarray, translations: np.ndarray) -> dict[str, list[float]]:
    """Where a node is in the first frame: what programs show before they play."""
    return {
        "rotation": np.asarray(rotations[0], np.float64).tolist(),
        "translation": np.asarray(translations[0], np.float64).tolist(),
    }


def _camera_nodes(document: GltfDocument, performance: Performance) -> list[int]:
    cameras = performance.track.cameras
    poses = opengl_from_opencv(np.asarray(cameras.rotation), np.asarray(cameras.translation))
    nodes = []
    for c, name in enumerate(cameras.names):
        width, height = (int(n) for n in np.asarray(cameras.image_size)[c])
        focal, centre = float(cameras.focal[c]), np.asarray(cameras.principal_point, np.float64)[c]
        lens = {
            "yfov": 2.0 * math.atan(0.5 * height / focal),
            "aspectRatio": width / height,
            "znear": _NEAR,
            "zfar": _FAR,
        }
        extras = {"focal_px": focal, "principal_point_px": centre.tolist(), "image_size": [width, height]}
        camera = document.add("cameras", {"name": name, "type": "perspective", "perspective": lens, "extras": extras})
        pose = {
            "rotation": Rotation.from_matrix(poses[c, :3, :3]).as_quat().tolist(),
            "translation": poses[c, :3, 3].tolist(),
        }
        nodes.append(document.add("nodes", {"name": name, "camera": camera, **pose}))
    return nodes


def _about(performance: Performance) -> dict[str, Any]:
    """What glTF has no place for."""
    track, head = performance.track, performance.head
    return {
        "head": head.name,
        "licence": head.licence,
        "frame_ids": np.asarray(track.frame_ids).tolist(),
        "frames_without_a_face": np.asarray(track.frame_ids)[~performance.seen].tolist(),
        "left_out": _left_out(track, head),
    }


def _left_out(track: Track, head: HeadModel) -> list[str]:
    """In what the file differs from the track."""
    turned = np.abs(np.asarray(track.joint_rotations)).max(axis=(0, 2))
    notes = []
    if head.pose_correctives.shape[-1] and turned.any():
        notes.append("pose correctives: glTF has no shapes that joints drive")
    # Ours are added after skinning; where joints turn a vertex, its offset is turned with it here.
    moved = np.linalg.norm(np.asarray(track.offsets), axis=1) * (np.asarray(head.skinning_weights) @ turned)
    if moved.max(initial=0.0) > 0:
        notes.append(f"offsets turn with the joints: up to {1000 * moved.max():.2f} mm from the track")
    return notes


TARGET = Target("glb", "glTF 2.0 with skeleton, blend shapes, animation and cameras", GltfSettings, write_glb, ".glb")
