"""What no alignment can mean, taken out before the fit so that it cannot overflow: said in the track's notes."""

from __future__ import annotations

import dataclasses

import numpy as np

from flowface_jax.alignment.alignment import Alignment

FARTHEST = 100.0
"""Distance from the image's centre, in longer image sides, beyond which a point is taken as not observed."""
SMALLEST_STD_PX = 1e-3
"""No image tells a position better than this; smaller standard deviations are raised to it."""


def credible(alignment: Alignment) -> tuple[Alignment, list[str]]:
    """The alignment without points that lie absurdly far off or that are absurdly certain, and a note for each kind;
    an image of which no point is observed is no longer valid.

    The very same alignment comes back, uncopied, where there is nothing to change.
    """
    mean, std, notes = alignment.mean, alignment.std, []
    limits = FARTHEST * alignment.image_size.max(1)
    far = [
        ~(np.abs(positions - size / 2.0) <= limit).all(-1)
        for positions, size, limit in zip(mean, alignment.image_size, limits, strict=True)
    ]
    if any(part.any() for part in far):
        far = np.stack(far)
        count = int((far & np.isfinite(std)).sum())
        if count:
            notes.append(f"{count} point(s) lie more than {FARTHEST:g} image sides away and count as not observed.")
        mean, std = np.where(far[..., None], np.float32(0), mean), np.where(far, np.float32(np.inf), std)
    certain = std < SMALLEST_STD_PX
    if certain.any():
        notes.append(
            f"{int(certain.sum())} point(s) are stated to be known better than {SMALLEST_STD_PX:g} px; they count as "
            f"known to {SMALLEST_STD_PX:g} px. Are the standard deviations in pixels?"
        )
        std = np.maximum(std, np.float32(SMALLEST_STD_PX))
    valid = alignment.valid & np.stack([np.isfinite(deviations).any(-1) for deviations in std])
    if mean is alignment.mean and std is alignment.std and (valid == alignment.valid).all():
        return alignment, notes
    return dataclasses.replace(alignment, mean=mean, std=std, valid=valid), notes
