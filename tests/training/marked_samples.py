"""Made-up samples for tests of augmentation: pictures whose marks say where their points are."""

import numpy as np

from flowface_jax.training.samples import SampleBatch, SampleConfig

HEAD_COLOUR, BACKGROUND_COLOUR = (200, 60, 40), (0, 160, 0)


def batch_of(image, points, foreground, index=None):
    """A batch of pictures [B,R,R,3] whose faces lie in the middle, in the usual size."""
    count, side = image.shape[:2]
    half = side / SampleConfig.margin / 2
    box = [side / 2 - 0.8 * half, side / 2 - half, side / 2 + 0.8 * half, side / 2 + half]
    return SampleBatch(
        image=image,
        points=points,
        known=np.ones(points.shape[:2], bool),
        foreground=foreground,
        face_box=np.tile(np.asarray(box, np.float32), (count, 1)),
        index=np.arange(count, dtype=np.uint32) if index is None else np.asarray(index, np.uint32),
    )


def dotted_samples(count, side, spread):
    """White dots with a standard deviation of `spread` px on black, at points off the pixels' raster."""
    places = (np.arange(5) + 0.5) * side / 5
    points = np.stack(np.meshgrid(places, places), -1).reshape(-1, 2)
    points = points + np.random.default_rng(0).uniform(-0.5, 0.5, (count, *points.shape))
    centres = np.arange(side) + 0.5
    across = np.exp(-0.5 * ((centres - points[..., :1]) / spread) ** 2)
    down = np.exp(-0.5 * ((centres - points[..., 1:]) / spread) ** 2)
    light = np.einsum("bpi,bpj->bij", down, across)
    image = np.repeat(np.round(255 * np.clip(light, 0, 1)).astype(np.uint8)[..., None], 3, -1)
    return batch_of(image, points.astype(np.float32), np.full((count, side, side), 255, np.uint8))


def heads(count, side, known=True, texture=False):
    """A disc of one colour before another colour; texture: random pixels instead of the disc's colour."""
    centres = np.arange(side) + 0.5 - side / 2
    inside = np.hypot(centres[:, None], centres[None]) < 0.31 * side
    image = np.where(inside[..., None], HEAD_COLOUR, BACKGROUND_COLOUR).astype(np.uint8)
    image = np.tile(image, (count, 1, 1, 1))
    random = np.random.default_rng(1)
    if texture:
        image = np.where(inside[..., None], random.integers(0, 256, image.shape), image).astype(np.uint8)
    foreground = np.where(inside | (not known), 255, 0).astype(np.uint8)
    points = random.uniform(0, side, (count, 7, 2)).astype(np.float32)
    return batch_of(image, points, np.tile(foreground, (count, 1, 1)))


def measured(image, points, reach):
    """Where the dots near points [V,2] of a picture [D,D] are, and which of them lie well inside it."""
    size = image.shape[0]
    inside = ((points > reach + 1) & (points < size - reach - 1)).all(-1)
    found = []
    for x, y in points[inside]:
        left, top = int(x - reach), int(y - reach)
        part = image[top : top + 2 * reach + 1, left : left + 2 * reach + 1]
        rows, columns = np.mgrid[: part.shape[0], : part.shape[1]] + 0.5
        found.append([left + (part * columns).sum() / part.sum(), top + (part * rows).sum() / part.sum()])
    return np.asarray(found), inside
