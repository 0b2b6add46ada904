"""A glTF reader of our own, from the specification: what a viewer shows of a GLB at a keyframe."""

from __future__ import annotations

import json
import struct

import numpy as np
from scipy.spatial.transform import Rotation

DTYPES = {5126: "<f4", 5123: "<u2", 5125: "<u4", 5121: "u1"}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}


class Glb:
    """The file's JSON and arrays."""

    def __init__(self, payload: bytes) -> None:
        magic, version, length = struct.unpack_from("<4sII", payload)
        assert (magic, version, length) == (b"glTF", 2, len(payload))
        size, kind = struct.unpack_from("<I4s", payload, 12)
        assert kind == b"JSON" and size % 4 == 0
        self.json = json.loads(payload[20 : 20 + size])
        binary, kind = struct.unpack_from("<I4s", payload, 20 + size)
        assert kind == b"BIN\0"
        self.binary = payload[28 + size : 28 + size + binary]

    def _values(self, view, component, count):
        view = self.json["bufferViews"][view]
        start = view.get("byteOffset", 0)
        return np.frombuffer(self.binary[start : start + view["byteLength"]], DTYPES[component])[:count]

    def array(self, number):
        accessor = self.json["accessors"][number]
        width = WIDTHS[accessor["type"]]
        shape = (accessor["count"], width)
        values = np.zeros(shape, DTYPES[accessor["componentType"]])
        if "bufferView" in accessor:
            flat = self._values(accessor["bufferView"], accessor["componentType"], np.prod(shape))
            values = flat.reshape(shape).copy()
        if "sparse" in accessor:
            sparse = accessor["sparse"]
            rows = self._values(sparse["indices"]["bufferView"], sparse["indices"]["componentType"], sparse["count"])
            kind = accessor["componentType"]
            changed = self._values(sparse["values"]["bufferView"], kind, sparse["count"] * width)
            values[rows] = changed.reshape(-1, width)
        for name, reduce in (("min", np.min), ("max", np.max)):
            if name in accessor:
                np.testing.assert_allclose(reduce(values, axis=0), accessor[name], rtol=1e-6)
        return values[:, 0] if width == 1 else values

    def animated(self, node, path, frame, otherwise):
        for animation in self.json.get("animations", []):
            for channel in animation["channels"]:
                if channel["target"] == {"node": node, "path": path}:
                    values = self.array(animation["samplers"][channel["sampler"]]["output"])
                    count = len(self.array(animation["samplers"][channel["sampler"]]["input"]))
                    return values.reshape(count, -1)[frame]
        return np.asarray(otherwise, np.float64)

    def world_matrices(self, frame):
        """[N,4,4] of all nodes."""
        nodes = self.json["nodes"]
        parents = {child: n for n, node in enumerate(nodes) for child in node.get("children", [])}

        def matrix(n):
            local = np.eye(4)
            turn = self.animated(n, "rotation", frame, nodes[n].get("rotation", [0, 0, 0, 1]))
            local[:3, :3] = Rotation.from_quat(turn).as_matrix()
            local[:3, 3] = self.animated(n, "translation", frame, nodes[n].get("translation", [0, 0, 0]))
            return matrix(parents[n]) @ local if n in parents else local

        return np.stack([matrix(n) for n in range(len(nodes))])

    def skinned_vertices(self, frame):
        """[V,3] of the one skinned mesh, in the scene: blend shapes, then joints; its own node's place is ignored."""
        [number] = [n for n, node in enumerate(self.json["nodes"]) if "skin" in node]
        node = self.json["nodes"][number]
        mesh, skin = self.json["meshes"][node["mesh"]], self.json["skins"][node["skin"]]
        [primitive] = mesh["primitives"]
        vertices = self.array(primitive["attributes"]["POSITION"]).astype(np.float64)
        weights = self.animated(number, "weights", frame, mesh.get("weights", []))
        for weight, target in zip(weights, primitive.get("targets", []), strict=True):
            vertices = vertices + weight * self.array(target["POSITION"])
        world = self.world_matrices(frame)
        bind = self.array(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
        joints = np.stack([world[j] @ b for j, b in zip(skin["joints"], bind, strict=True)])
        blended = 0
        for n in range(8):
            if f"JOINTS_{n}" in primitive["attributes"]:
                ids = self.array(primitive["attributes"][f"JOINTS_{n}"])
                share = self.array(primitive["attributes"][f"WEIGHTS_{n}"])
                blended = blended + np.einsum("vk,vkij->vij", share, joints[ids])
        homogeneous = np.concatenate([vertices, np.ones((len(vertices), 1))], axis=1)
        return np.einsum("vij,vj->vi", blended, homogeneous)[:, :3]

    def projected(self, camera, points):
        """Points [V,3] of the scene in a camera's image, px: a glTF camera looks along −z, y up."""
        [node] = [n for n, node in enumerate(self.json["nodes"]) if node.get("camera") == camera]
        pose = self.world_matrices(0)[node]
        seen = (points - pose[:3, 3]) @ pose[:3, :3]
        lens = self.json["cameras"][camera]
        width, height = lens["extras"]["image_size"]
        focal = 0.5 * height / np.tan(0.5 * lens["perspective"]["yfov"])
        assert np.isclose(lens["perspective"]["aspectRatio"], width / height)
        centre = lens["extras"]["principal_point_px"]
        flat = focal * seen[:, :2] / -seen[:, 2:]
        return flat * [1, -1] + centre
