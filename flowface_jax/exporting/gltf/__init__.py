"""glTF 2.0 binary: head, skeleton, blend shapes, cameras and animation in one file."""

from flowface_jax.exporting.gltf.scene import TARGET, GltfSettings, write_glb

__all__ = ["TARGET", "GltfSettings", "write_glb"]
