"""How the numbers of one tensor lie in PyTorch and in our variables, and the way from one to the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Layout:
    """foreign_shape: the foreign tensor's shape, from our own. convert: foreign tensor and own shape to own tensor."""

    foreign_shape: Callable[[Shape], Shape]
    convert: Callable[[np.ndarray, Shape], np.ndarray]


SAME: Final = Layout(lambda own: own, lambda tensor, own: tensor)

CONVOLUTION: Final = Layout(
    lambda own: (own[3], own[2], own[0], own[1]), lambda tensor, own: tensor.transpose(2, 3, 1, 0)
)
"""[out,in,h,w] to [h,w,in,out]; depthwise [out,1,h,w] to [h,w,1,out]."""

LINEAR: Final = Layout(lambda own: own[::-1], lambda tensor, own: tensor.T)
"""[out,in] to [in,out]."""


def half(index: int) -> Layout:
    """Linear layer or bias whose outputs are the first (0) or second (1) half of the foreign one's."""

    def convert(tensor: np.ndarray, own: Shape) -> np.ndarray:
        return tensor[index * own[-1] : (index + 1) * own[-1]].T

    return Layout(lambda own: (2 * own[-1], *own[-2::-1]), convert)


def padded_inputs(count: int) -> Layout:
    """Convolution that had `count` inputs; further ones of ours start with zeros, so they change nothing at first."""

    def convert(tensor: np.ndarray, own: Shape) -> np.ndarray:
        kernel = np.zeros(own, tensor.dtype)
        kernel[:, :, :count] = tensor.transpose(2, 3, 1, 0)
        return kernel

    return Layout(lambda own: (own[3], count, own[0], own[1]), convert)


def flattened_image(side: int) -> Layout:
    """Linear layer on a flattened image of side × side cells: inputs from (channel, row, column) to (row, column,
    channel) order."""

    def convert(tensor: np.ndarray, own: Shape) -> np.ndarray:
        return tensor.reshape(own[1], -1, side, side).transpose(2, 3, 1, 0).reshape(own)

    return Layout(lambda own: own[::-1], convert)


def of_leaf(leaf: str, shape: Shape) -> Layout:
    """The usual layout of a variable of this name and shape."""
    if leaf != "kernel":
        return SAME
    return CONVOLUTION if len(shape) == 4 else LINEAR
