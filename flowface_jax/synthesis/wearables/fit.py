"""Where things are worn: places of the posed head that glasses, hats and clothes hold on to."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.heads.model import HeadModel, SurfacePoints
from flowface_jax.pytrees import pytree_dataclass
from flowface_jax.synthesis.hair.shell import Shell, ShellAssets, fit_shell, make_shell_assets


@pytree_dataclass
class WearableAssets:
    """What fitting wearables needs of a head.

    landmarks: the 68. rest_landmarks: [68,3] m of the template. ear_tops: [2] int32 vertices where a temple rests,
    left then right. ear_middle: [2] int32 vertices in the middle of the ears. shell: the head as a smooth surface.
    """

    landmarks: SurfacePoints
    rest_landmarks: jax.Array
    ear_tops: jax.Array
    ear_middles: jax.Array
    shell: ShellAssets


@pytree_dataclass
class Fit:
    """The measures of one posed head: landmarks [68,3], ear_tops and ear_middles [2,3] m, shell, neck [3] m (its
    axis at the chin's height, jaw at rest)."""

    landmarks: jax.Array
    ear_tops: jax.Array
    ear_middles: jax.Array
    shell: Shell
    neck: jax.Array


def make_wearable_assets(head: HeadModel) -> WearableAssets:
    """Find ears and shell of a head (host); heads without ears use the sides of the skull."""
    template = np.asarray(head.template, np.float64)
    marks = np.asarray(head.landmarks.of(head.template))
    ears = np.asarray(head.regions["ears"])
    tops, middles = [], []
    for sign, jaw in ((1.0, 16), (-1.0, 0)):
        ids = np.flatnonzero(ears & (template[:, 0] * sign > 0))
        if not len(ids):
            ids = np.argsort(np.linalg.norm(template - marks[jaw] - [0, 0.01, -0.03], axis=1))[:40]
        points = template[ids]
        high = points[:, 1] > np.percentile(points[:, 1], 75)
        tops.append(ids[high][np.argmin(np.abs(points[high, 0]))])
        middles.append(ids[np.argmin(np.linalg.norm(points - points.mean(0), axis=1))])
    return WearableAssets(
        landmarks=head.landmarks,
        rest_landmarks=head.landmarks.of(head.template),
        ear_tops=jnp.asarray(tops, jnp.int32),
        ear_middles=jnp.asarray(middles, jnp.int32),
        shell=make_shell_assets(head),
    )


def fit_head(assets: WearableAssets, head_vertices: jax.Array) -> Fit:
    """Measure a posed head, vertices [V,3] m in the head's frame."""
    marks = assets.landmarks.of(head_vertices)
    shell = fit_shell(assets.shell, head_vertices)
    rise = jnp.mean(marks[27:31, 1] - assets.rest_landmarks[27:31, 1])
    chin = assets.rest_landmarks[8, 1] + rise
    return Fit(
        landmarks=marks,
        ear_tops=head_vertices[assets.ear_tops],
        ear_middles=head_vertices[assets.ear_middles],
        shell=shell,
        neck=jnp.stack([shell.centre[0], chin, shell.centre[2] - 0.008]),
    )
