"""Skin textures over the atlas, made from real pictures: unwrapping, merging, completing, the file."""

from flowface_jax.synthesis.textures.texture import Texture, load_texture, load_texture_bank

__all__ = ["Texture", "load_texture", "load_texture_bank"]
