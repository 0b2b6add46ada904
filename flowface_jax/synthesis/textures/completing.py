"""Where no camera looked: the other side of the face, and beyond that a smooth continuation of the skin."""

from __future__ import annotations

import cv2
import numpy as np

from flowface_jax.heads.model import HeadModel
from flowface_jax.synthesis.textures.delighting import without_light
from flowface_jax.synthesis.textures.unwrapping import TexelMap

SEEN_LOW, SEEN_HIGH = 0.002, 0.03
"""Weights of the best view between which confidence rises from 0 to 1: views at about 75 and 60 degrees."""
MIRRORED = 0.5
"""Confidence of a texel copied from the other side."""
SCALP = 0.3
"""Confidence left to what is seen on the scalp: mostly hair."""
CENTRE, RADII = (0.5, 0.44), (0.18, 0.25)
"""Rounded rectangle of the atlas (u, v) inside which brows, lips and beard belong to the face in any colour."""
TONE_SPREAD = np.float32([0.55, 0.17, 0.17])
"""Differences of log brightness, red-green and blue-green by which colours outside it may leave the skin's."""


def complete(
    linear: np.ndarray, seen: np.ndarray, texels: TexelMap, head: HeadModel, keep_light: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Fill the whole atlas from a merged picture: linear colour [A,A,3] and confidence [A,A] in [0,1].

    linear: [A,A,3]. seen: [A,A], the best view's weight. What was not seen is copied from the other side in matching
    colour; what neither side shows continues the skin around it. Hair, clothes and background that lie on the outer
    face count as not seen. With keep_light the shading of the video stays in.
    """
    confidence = np.clip((seen - SEEN_LOW) / (SEEN_HIGH - SEEN_LOW), 0, 1).astype(np.float32)
    confidence *= texels.skin
    bare = confidence * _bare_skin(texels, head)
    if not keep_light:
        linear = without_light(linear, bare, texels.normal)
    inner = _central(texels.side)
    alike = _skin_coloured(linear, bare)
    confidence *= np.maximum(alike, inner)
    other = matched_mirror(linear, confidence)
    other_share = (1 - confidence) * confidence[:, ::-1]
    known = confidence + other_share
    mixed = (confidence[..., None] * linear + other_share[..., None] * other) / np.maximum(known, 1e-6)[..., None]
    known = np.clip((known - 0.1) / 0.7, 0, 1)
    filled = push_pull(mixed, np.clip(2 * known - 1, 0, 1) * np.maximum(alike, inner))
    result = known[..., None] * mixed + (1 - known[..., None]) * filled
    certain = 1 - (1 - SCALP) * _region(texels, head, ("scalp",))
    return result, certain * (confidence + MIRRORED * other_share)


def matched_mirror(linear: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """The picture's mirror image [A,A,3], its colours shifted smoothly to agree where both sides are known."""
    mirror = linear[:, ::-1]
    both = confidence * confidence[:, ::-1]
    if not both.any():
        return mirror
    smooth, smooth_mirror = (_smooth(image, both) for image in (linear, mirror))
    ratio = push_pull(np.log((smooth + 0.01) / (smooth_mirror + 0.01)), both**2)
    return mirror * np.exp(cv2.GaussianBlur(ratio, (0, 0), len(linear) / 32))


def push_pull(image: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The image [A,A,D] continued smoothly into where weight [A,A] is 0, and smoothed where it is small.

    Pyramid scheme of Gortler et al. 1996: averages of what is known, ever coarser, fill what is not.
    """
    weight = np.clip(weight, 0, 1).astype(np.float32)
    if min(weight.shape) <= 2:
        total = max(float(weight.sum()), 1e-9)
        mean = (image * weight[..., None]).sum((0, 1)) / total
        return np.where(weight[..., None] > 0, image, mean).astype(np.float32)
    half = ((weight.shape[1] + 1) // 2, (weight.shape[0] + 1) // 2)
    share = cv2.resize(_blur(weight), half, interpolation=cv2.INTER_AREA)
    mean = cv2.resize(_blur(image * weight[..., None]), half, interpolation=cv2.INTER_AREA)
    mean = mean.reshape(*share.shape, -1) / np.maximum(share, 1e-8)[..., None]
    coarse = push_pull(mean, np.minimum(4 * share, 1))
    coarse = cv2.resize(coarse, weight.shape[::-1], interpolation=cv2.INTER_LINEAR).reshape(image.shape)
    return weight[..., None] * image + (1 - weight[..., None]) * _blur(coarse).reshape(image.shape)


def _blur(image: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(image, (5, 5), 1.0, borderType=cv2.BORDER_REPLICATE)


def _smooth(image: np.ndarray, weight: np.ndarray) -> np.ndarray:
    sigma = len(image) / 48
    total = cv2.GaussianBlur(weight, (0, 0), sigma)
    return cv2.GaussianBlur(image * weight[..., None], (0, 0), sigma) / np.maximum(total, 1e-6)[..., None]


def _bare_skin(texels: TexelMap, head: HeadModel) -> np.ndarray:
    """[A,A] in [0,1]: the central face without brows, eyes, lips and nostrils."""
    features = _region(texels, head, ("brows", "lips", "nostrils", "eyelids"))
    return _central(texels.side) * (features < 0.01) * texels.skin


def _skin_coloured(linear: np.ndarray, bare: np.ndarray) -> np.ndarray:
    """[A,A] in [0,1]: 1 where the colour is that of the bare skin, 0 on hair and clothes."""
    side = len(linear)
    chosen = bare > 0.5
    if chosen.sum() < 64:
        return np.ones((side, side), np.float32)
    colour = cv2.GaussianBlur(linear, (0, 0), side / 400)
    log = np.log(np.maximum(colour, 2e-3))
    tone = np.stack([log[..., 1], log[..., 0] - log[..., 1], log[..., 2] - log[..., 1]], -1)
    away = np.abs(tone - np.median(tone[chosen], axis=0)) / TONE_SPREAD
    alike = np.clip(2 * (1.5 - np.sqrt((away**2).sum(-1))), 0, 1)
    # Eroded, so that the blurred edge between hair and skin goes with the hair.
    size = 2 * (side // 100) + 1
    alike = cv2.erode(alike, np.ones((size, size), np.uint8))
    return cv2.GaussianBlur(alike, (0, 0), side / 150)


def _central(side: int) -> np.ndarray:
    """[A,A]: 1 where the face's features lie, falling to 0 just outside."""
    centre = (np.arange(side, dtype=np.float32) + 0.5) / side
    u, v = centre[None, :], 1 - centre[:, None]
    radius = (((u - CENTRE[0]) / RADII[0]) ** 4 + ((v - CENTRE[1]) / RADII[1]) ** 4) ** 0.25
    return np.clip((1.1 - radius) / 0.1, 0, 1)


def _region(texels: TexelMap, head: HeadModel, names: tuple[str, ...]) -> np.ndarray:
    """[A,A]: share of the named regions that the head has."""
    inside = np.zeros(head.vertex_count, bool)
    for name in names:
        if name in head.regions:
            inside |= np.asarray(head.regions[name])
    return texels.spread(inside[:, None].astype(np.float32))[..., 0]
