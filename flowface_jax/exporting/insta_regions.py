"""INSTA's segmentation codes: from the label maps of a face parser, or drawn from the tracked head's regions."""

from __future__ import annotations

import dataclasses
from typing import Final

import cv2
import numpy as np

from flowface_jax.heads.model import HeadModel
from flowface_jax.synthesis.rasteriser import Fragments
from flowface_jax.viewing.visibility import front_facing

CODES: Final = {
    "background": 0,
    "skin": 250,
    "left_brow": 240,
    "right_brow": 230,
    "left_eye": 210,
    "right_eye": 200,
    "glasses": 190,
    "left_ear": 180,
    "right_ear": 170,
    "earring": 160,
    "nose": 150,
    "mouth": 140,
    "upper_lip": 130,
    "lower_lip": 120,
    "neck": 110,
    "necklace": 100,
    "cloth": 90,
    "hair": 80,
    "hat": 70,
}
"""The red value of each class in INSTA's seg_mask pictures, in the order of CelebAMask-HQ's 19 class numbers."""


@dataclasses.dataclass(frozen=True, eq=False)
class RegionPainter:
    """vertex_codes: [V] uint8. lips: [V] bool. triangles: [T,3]."""

    vertex_codes: np.ndarray
    lips: np.ndarray
    triangles: np.ndarray

    def picture(self, fragments: Fragments, mesh_px: np.ndarray) -> np.ndarray:
        """Codes [H,W] uint8 of what each pixel shows of the head, whose vertices lie at mesh_px [V,2].

        Where the mouth is open, its inside: the head's back seen between the lips.
        """
        triangle, mixture = np.asarray(fragments.triangle), np.asarray(fragments.barycentric)
        corner = np.take_along_axis(self.triangles[triangle], mixture.argmax(-1)[..., None], axis=-1)[..., 0]
        shown = np.where(triangle >= 0, self.vertex_codes[corner], CODES["background"]).astype(np.uint8)
        inside = (triangle >= 0) & ~front_facing(mesh_px, self.triangles)[triangle]
        if self.lips.any():
            hull = np.zeros(shown.shape, np.uint8)
            outline = cv2.convexHull(mesh_px[self.lips].clip(-1e6, 1e6).astype(np.int32))
            cv2.fillConvexPoly(hull, outline, 1)
            shown[inside & (hull > 0)] = CODES["mouth"]
        return shown


def region_painter(head: HeadModel) -> RegionPainter:
    """What paints a head's regions. Hair, clothes and whatever else is no part of the head stay background."""
    template = np.asarray(head.template)
    regions = {name: np.asarray(mask) for name, mask in head.regions.items()}
    left = template[:, 0] > 0
    codes = np.full(head.vertex_count, CODES["skin"], np.uint8)

    def paint(region: str, code: str, where: np.ndarray | bool = True) -> None:
        if region in regions:
            codes[regions[region] & where] = CODES[code]

    paint("scalp", "hair")
    paint("neck", "neck")
    paint("boundary", "neck")
    paint("ears", "left_ear", left)
    paint("ears", "right_ear", ~left)
    paint("nose", "nose")
    lips = regions.get("lips", regions.get("mouth", np.zeros(head.vertex_count, bool)))
    if lips.any():
        middle = np.median(template[lips, 1])
        codes[lips] = np.where(template[lips, 1] >= middle, CODES["upper_lip"], CODES["lower_lip"])
    paint("eyeballs", "left_eye", left)
    paint("eyeballs", "right_eye", ~left)
    return RegionPainter(codes, lips, np.asarray(head.triangles))


def codes_of_labels(labels: np.ndarray) -> np.ndarray:
    """INSTA's codes [H,W] uint8 of class numbers [H,W] as face-parsing.PyTorch writes them (CelebAMask-HQ's 19)."""
    table = np.zeros(256, np.uint8)
    table[: len(CODES)] = list(CODES.values())
    return table[labels]
