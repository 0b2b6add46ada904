"""From a track and its videos to one atlas texture of the person."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from flowface_jax.aligners import FrameSource, open_frames
from flowface_jax.errors import InputError
from flowface_jax.fitting.track import Track
from flowface_jax.heads.model import HeadModel
from flowface_jax.reporting import Reporter, SilentReporter
from flowface_jax.synthesis.textures.completing import complete
from flowface_jax.synthesis.textures.merging import merge
from flowface_jax.synthesis.textures.texture import Texture, texture_file
from flowface_jax.synthesis.textures.unwrapping import (
    COSINE_POWER,
    MIN_COSINE,
    PosedHead,
    TexelMap,
    make_texel_map,
    pose_in_camera,
    skin_triangles,
    solid_triangles,
    unwrap,
)

MAX_FRAMES = 40
"""Pictures merged unless said: more cost time and add little."""
CANDIDATES = 5
"""Frames that are looked at for each one that is merged."""
PROBES = 600
"""Vertices of skin that judge which frames see what."""


@dataclasses.dataclass(frozen=True)
class _View:
    """One frame of one camera as a candidate: how squarely it sees each probe [Q], and how sharp and large it is."""

    camera: int
    frame: int
    facing: np.ndarray
    clarity: float


def make_texture(
    track: Track,
    inputs: Sequence[str | os.PathLike[str]],
    head: HeadModel,
    side: int = 1024,
    max_frames: int = MAX_FRAMES,
    keep_light: bool = False,
    reporter: Reporter | None = None,
) -> Texture:
    """The texture of the tracked person over an atlas of `side` texels, from the videos of the track's cameras.

    inputs: one video (image, folder of images) per camera, in the cameras' order. max_frames: pictures merged, chosen
    for what they see and for sharpness; memory is about 5 side² bytes for each. keep_light: leave the shading in.
    Raises InputError where videos and track disagree, the head is not the track's, or no frame shows the face.
    """
    reporter = reporter or SilentReporter()
    _check_settings(side, max_frames)
    sources = [open_frames(path) for path in inputs]
    _check_inputs(track, sources)
    views = choose_views(_views(track, sources, head, max_frames, reporter), max_frames)
    texels = make_texel_map(head, side)
    colour, weight = _unwrapped(track, sources, head, views, texels, reporter)
    linear, seen = merge(colour, weight, texels.normal)
    linear, confidence = complete(linear, seen, texels, head, keep_light)
    return Texture.from_linear(
        linear,
        confidence,
        head_name=head.name,
        source=tuple(source.info.name for source in sources),
        frames=np.asarray([[v.camera, int(track.frame_ids[v.frame])] for v in views], np.int32),
        lit=keep_light,
    )


def choose_views(views: Sequence[_View], count: int) -> list[_View]:
    """At most `count` views that together see every probe well, in the order of camera and frame.

    Greedy on Σ over probes of √(Σ over chosen views of quality), whose diminishing returns make up for angles that are
    rare in the film.
    """
    quality = np.stack([view.facing * view.clarity for view in views])
    total = np.zeros(quality.shape[1])
    chosen: list[int] = []
    for _ in range(min(count, len(views))):
        gain = np.sqrt(total + quality).sum(1) - np.sqrt(total).sum()
        gain[chosen] = -np.inf
        best = int(gain.argmax())
        if gain[best] <= 0:
            break
        chosen.append(best)
        total += quality[best]
    return [views[k] for k in sorted(chosen, key=lambda k: (views[k].frame, views[k].camera))]


def _check_settings(side: int, max_frames: int) -> None:
    if side < 64 or side > 8192 or side % 8:
        raise InputError(f"the texture's side must be a multiple of 8 from 64 to 8192, found {side}")
    if max_frames < 1:
        raise InputError(f"at least one frame must be merged, found {max_frames}")


def _check_inputs(track: Track, sources: Sequence[FrameSource]) -> None:
    """Cameras, sizes and frame counts of track and videos against each other."""
    cameras = track.cameras
    if len(sources) != cameras.count:
        raise InputError(
            f"the track has {cameras.count} camera(s), found {len(sources)} video(s); give one per camera, in order"
        )
    if track.frame_count == 0 or not np.asarray(track.observed).any():
        raise InputError("the track holds no frame with a face; track a video that shows one")
    for source, size in zip(sources, np.asarray(cameras.image_size), strict=True):
        if tuple(source.info.size) != tuple(int(n) for n in size):
            raise InputError(
                f"{source.info.name} is {source.info.size[0]} x {source.info.size[1]} px, but the track's camera saw "
                f"{size[0]} x {size[1]}; give the video that was tracked"
            )


def _each_image(track: Track, sources: Sequence[FrameSource]) -> Iterator[tuple[int, int, np.ndarray]]:
    """Camera, frame and image, frame after frame. Raises InputError where a video is not as long as the track."""
    streams = [iter(source) for source in sources]
    for f in range(track.frame_count):
        for c, stream in enumerate(streams):
            found = next(stream, None)
            if found is None:
                raise _other_length(sources[c], f"{f} frame(s)", track)
            yield c, f, found.image
    for stream, source in zip(streams, sources, strict=True):
        if next(stream, None) is not None:
            raise _other_length(source, "more", track)


def _other_length(source: FrameSource, found: str, track: Track) -> InputError:
    return InputError(
        f"{source.info.name} has {found}, but the track has {track.frame_count} frame(s); "
        "give the video that was tracked"
    )


def _views(
    track: Track, sources: Sequence[FrameSource], head: HeadModel, max_frames: int, reporter: Reporter
) -> list[_View]:
    """Every usable frame with its quality. Raises InputError where there is none."""
    flagged = {flag["frame"] for flag in track.summary.get("flags", [])}
    usable = np.asarray(track.observed) & ~np.isin(track.frame_ids, list(flagged))
    # Neighbouring frames hardly differ: some candidates for each place are enough.
    usable[:, np.arange(track.frame_count) % max(1, track.frame_count // (CANDIDATES * max_frames)) > 0] = False
    skin = np.unique(np.asarray(head.triangles)[skin_triangles(head)])
    calm = _calm(track, head)
    probes = skin[:: max(1, len(skin) // PROBES)]
    views, clarity = [], []
    bar = reporter.bar("look", track.frame_count, "frames")
    try:
        for c, f, image in _each_image(track, sources):
            posed = _posed(track, head, c, f) if usable[c, f] else None
            if posed is not None:
                facing = np.clip((posed.facing[probes] - MIN_COSINE) / (1 - MIN_COSINE), 0, 1)
                views.append(_View(c, f, facing**COSINE_POWER, 1.0))
                clarity.append(calm[f] * _clarity(image, posed.pixels[skin]))
            bar.advance_to(f + 1)
    finally:
        bar.close()
    if not views:
        raise InputError("the track holds no unflagged frame with a face; track a video that shows one")
    # Relative to the best, but not to one lucky frame.
    relative = np.minimum(np.asarray(clarity) / max(np.quantile(clarity, 0.95), 1e-9), 1.0)
    return [dataclasses.replace(v, clarity=max(float(r), 1e-3)) for v, r in zip(views, relative, strict=True)]


def _calm(track: Track, head: HeadModel) -> np.ndarray:
    """[F] in (0,1]: larger for faces nearer to neutral, whose skin is least stretched and folded."""
    strength = np.linalg.norm(np.asarray(track.expression) / np.asarray(head.expression_std), axis=1)
    return 1 / (1 + (strength / max(float(np.median(strength)), 1e-6)) ** 2)


def _posed(track: Track, head: HeadModel, camera: int, frame: int) -> PosedHead | None:
    """The head in one picture, None where it is not in front of the camera."""
    world = track.world_vertices(head, frame)
    in_camera = np.asarray(track.cameras.to_camera(world)[camera])
    if not np.isfinite(in_camera).all() or in_camera[:, 2].min() <= 0:
        return None
    return pose_in_camera(in_camera, np.asarray(track.cameras.project(world)[camera]), head.triangles)


def _clarity(image: np.ndarray, pixels: np.ndarray) -> float:
    """Squared strength of fine detail in the box round the face, relative to its brightness, times the box's width."""
    x0, y0 = np.maximum(np.floor(pixels.min(0)).astype(int), 0)
    x1, y1 = np.minimum(np.ceil(pixels.max(0)).astype(int), [image.shape[1], image.shape[0]])
    if x1 - x0 < 8 or y1 - y0 < 8:
        return 0.0
    grey = cv2.cvtColor(image[y0:y1, x0:x1], cv2.COLOR_RGB2GRAY).astype(np.float32)
    fine = grey - cv2.GaussianBlur(grey, (0, 0), 1.2)
    return float((np.abs(fine).mean() / (grey.mean() + 10.0)) ** 2 * (x1 - x0))


def _unwrapped(
    track: Track,
    sources: Sequence[FrameSource],
    head: HeadModel,
    views: Sequence[_View],
    texels: TexelMap,
    reporter: Reporter,
) -> tuple[np.ndarray, np.ndarray]:
    """The chosen pictures over the atlas: colour [N,A,A,3] sRGB uint8, weight [N,A,A] float16."""
    solid = solid_triangles(head)
    triangles, skin = np.asarray(head.triangles)[solid], skin_triangles(head)[solid]
    places = {(view.camera, view.frame): n for n, view in enumerate(views)}
    colour = np.zeros((len(views), texels.side, texels.side, 3), np.uint8)
    weight = np.zeros((len(views), texels.side, texels.side), np.float16)
    bar = reporter.bar("unwrap", track.frame_count, "frames")
    try:
        for c, f, image in _each_image(track, sources):
            n = places.get((c, f))
            posed = None if n is None else _posed(track, head, c, f)
            if posed is not None:
                colour[n], seen = unwrap(texels, image, posed, triangles, skin)
                weight[n] = seen * views[n].clarity
            bar.advance_to(f + 1)
    finally:
        bar.close()
    return colour, weight


def texture_track(
    folder: str | os.PathLike[str],
    inputs: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    head: HeadModel,
    side: int = 1024,
    max_frames: int = MAX_FRAMES,
    keep_light: bool = False,
    overwrite: bool = False,
    reporter: Reporter | None = None,
) -> tuple[Texture, Path]:
    """`make_texture` for the track in a folder, written to `out` (an .npz file, or a folder for texture.npz).

    Returns the texture and its file. Raises InputError as `make_texture` does, and where the file is there already and
    may not be replaced.
    """
    file = texture_file(out)
    if file.exists() and not overwrite:
        raise InputError(f"{file} exists already; name another, or pass --overwrite")
    texture = make_texture(Track.load(folder), inputs, head, side, max_frames, keep_light, reporter)
    return texture, texture.save(file)
