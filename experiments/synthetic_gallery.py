"""Pictures of what the renderer makes: 64 training crops of a head, and people of real videos under new light.

    python experiments/synthetic_gallery.py crops --head generic --out docs/images/crops_generic.jpg
    python experiments/synthetic_gallery.py relit --tracks output/clips/generic --textures output/textures \
        --clips CLIPS --names d0 d14 --out docs/images/relit.jpg

`relit` takes tracks made by experiments/track_clips.py and textures made by experiments/texture_clips.py. Each row
shows a frame, the person's texture, and renders of the track's identity with it: nothing else is taken from the video.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import cv2
import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax import Track, load_head
from flowface_jax.aligners.video import open_frames
from flowface_jax.heads.model import HeadModel, vertices
from flowface_jax.synthesis.appearance import Appearance, sample_appearance
from flowface_jax.synthesis.assets import RenderAssets, make_render_assets
from flowface_jax.synthesis.crops import FACE_CENTRE, crops
from flowface_jax.synthesis.geometry import Shot
from flowface_jax.synthesis.lighting import PLACES, sample_lighting
from flowface_jax.synthesis.people.poses import rotation_of, torso_translation
from flowface_jax.synthesis.randomness import random_key
from flowface_jax.synthesis.render import render
from flowface_jax.synthesis.skin.real import wear_real_texture
from flowface_jax.synthesis.skin.texture import build_skin_texture
from flowface_jax.synthesis.textures import load_texture
from flowface_jax.synthesis.textures.colour import srgb_to_linear
from flowface_jax.synthesis.textures.texture import resized
from flowface_jax.viewing.tiling import contact_sheet

BATCH = 8
RELIT_PX, TEXTURE_SIDE = 320, 512
VIEWS = (
    ("window", (0.0, 0.0, 0.0)),
    ("sun", (0.6, 0.1, 0.0)),
    ("evening", (-0.5, -0.1, 0.1)),
    ("flash", (0.95, 0.0, 0.0)),
)
"""Kind of light, and yaw, pitch and roll in rad, of each render of a person."""


def main() -> None:
    """Make one of the two pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    kinds = parser.add_subparsers(required=True)
    one = kinds.add_parser("crops", help="a contact sheet of training crops")
    one.add_argument("--head", default="generic")
    one.add_argument("--count", type=int, default=64)
    one.add_argument("--size", type=int, default=256, help="px of a crop as rendered")
    one.add_argument("--shown", type=int, default=176, help="px of a crop on the sheet")
    one.add_argument("--seed", type=int, default=1)
    one.add_argument("--out", type=Path, default=Path("output/crops.jpg"))
    one.set_defaults(run=crop_sheet)
    two = kinds.add_parser("relit", help="people of videos under new light")
    two.add_argument("--head", default="generic")
    two.add_argument("--tracks", type=Path, required=True)
    two.add_argument("--textures", type=Path, required=True)
    two.add_argument("--clips", type=Path, required=True)
    two.add_argument("--names", nargs="+", default=["d0", "d14"])
    two.add_argument("--out", type=Path, default=Path("output/relit.jpg"))
    two.set_defaults(run=relit)
    options = parser.parse_args()
    picture = options.run(options)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(options.out), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])


def crop_sheet(options: argparse.Namespace) -> np.ndarray:
    """Training crops side by side, as they come: none is left out."""
    assets = make_render_assets(load_head(options.head))
    pictures = []
    for first in range(0, options.count, BATCH):
        images = np.asarray(crops(assets, options.seed, first, BATCH, options.size).image)
        pictures += [_bytes(image) for image in images]
    return contact_sheet(pictures[: options.count], columns=8, cell_width=options.shown)


def relit(options: argparse.Namespace) -> np.ndarray:
    """One row per person: a frame, the texture, renders."""
    head = load_head(options.head)
    assets = make_render_assets(head, "fine", TEXTURE_SIDE)
    cells = []
    for number, name in enumerate(options.names):
        track = Track.load(options.tracks / name)
        texture = load_texture(options.textures / name)
        cells.append(_face_of_first_frame(track, head, options.clips / f"{name}.mp4"))
        cells.append(cv2.resize(texture.albedo, (RELIT_PX, RELIT_PX), interpolation=cv2.INTER_AREA))
        albedo = jnp.asarray(resized(srgb_to_linear(texture.albedo), TEXTURE_SIDE), jnp.float32)
        confidence = jnp.asarray(resized(texture.confidence.astype(np.float32) / 255, TEXTURE_SIDE))
        for place, angles in VIEWS:
            light = list(PLACES).index(place)
            image = _portrait(
                assets, jnp.asarray(track.identity), albedo, confidence, jnp.asarray(angles), light, number
            )
            cells.append(_bytes(np.asarray(image)))
    return contact_sheet(cells, columns=2 + len(VIEWS), cell_width=RELIT_PX)


@jax.jit
def _portrait(
    assets: RenderAssets,
    identity: jax.Array,
    albedo: jax.Array,
    confidence: jax.Array,
    angles: jax.Array,
    place: jax.Array,
    number: jax.Array,
) -> jax.Array:
    """A clean photograph [RELIT_PX,RELIT_PX,3] of a person, turned by `angles`, in a kind of light."""
    key = jax.random.fold_in(random_key(3), number)
    appearance = _tidied(sample_appearance(key, 0.0), sample_lighting(jax.random.fold_in(key, 5), place))
    skin = wear_real_texture(build_skin_texture(appearance.skin, assets.skin), albedo, confidence, assets.skin)
    posed = vertices(assets.head, identity, jnp.zeros(assets.head.expression_size))
    rotation, torso = rotation_of(angles), rotation_of(0.4 * angles)
    placed = -rotation @ jnp.asarray(FACE_CENTRE)
    room, far = jnp.diag(jnp.asarray([1.0, -1.0, -1.0])), jnp.asarray([0.0, 0.0, 1.2])
    shot = Shot(
        vertices=posed,
        neutral=posed,
        rotation=room @ rotation,
        translation=room @ placed + far,
        torso_rotation=room @ torso,
        torso_translation=room @ torso_translation(rotation, placed, torso, assets.people.neck) + far,
        room_rotation=room,
        room_translation=far,
        focal=jnp.float32(5.0 * RELIT_PX),
        principal_point=jnp.asarray([0.5 * RELIT_PX, 0.5 * RELIT_PX]),
    )
    return render(assets, appearance, skin, shot, key, (RELIT_PX, RELIT_PX), supersampling=2).image


def _tidied(appearance: Appearance, lighting: object) -> Appearance:
    """The appearance in the given light, as a good camera shows it."""

    camera = dataclasses.replace(
        appearance.photography,
        exposure=jnp.zeros(()),
        focus=jnp.float32(0.3),
        motion=jnp.zeros(2),
        shot=jnp.float32(0.004),
        read=jnp.float32(0.001),
        grey=jnp.zeros(()),
        video=jnp.zeros(()),
        quality=jnp.float32(95.0),
        resolution=jnp.ones(()),
        white_balance=jnp.ones(3),
        gamma=jnp.ones(()),
        black=jnp.zeros(()),
        toning=jnp.zeros((2, 3)),
        contrast=jnp.float32(0.1),
        saturation=jnp.ones(()),
    )
    return dataclasses.replace(appearance, lighting=lighting, photography=camera)


def _face_of_first_frame(track: Track, head: HeadModel, clip: Path) -> np.ndarray:
    """The square round the face in the first tracked frame."""
    pixels = np.asarray(track.image_vertices(head, 0))[0][np.asarray(head.regions["face"])]
    low, high = pixels.min(0), pixels.max(0)
    frame = next(f.image for f in open_frames(clip) if f.frame_id == track.frame_ids[0])
    half = 0.8 * float((high - low).max())
    corner = 0.5 * (low + high) - half - [0, 0.15 * half]
    scale = RELIT_PX / (2 * half)
    place = np.array([[scale, 0, -corner[0] * scale], [0, scale, -corner[1] * scale]])
    return cv2.warpAffine(frame, place, (RELIT_PX, RELIT_PX), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)


def _bytes(image: np.ndarray) -> np.ndarray:
    return (np.clip(image, 0.0, 1.0) * 255).round().astype(np.uint8)


if __name__ == "__main__":
    main()
