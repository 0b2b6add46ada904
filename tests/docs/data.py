"""What the pages' examples find in their folder: made-up tracks of the built-in head, a calibration, a real clip."""

from __future__ import annotations

import functools
import json
import shutil
from pathlib import Path

import numpy as np

from flowface_jax.alignment.alignment import make_alignment
from flowface_jax.heads.generic import generic_head
from tests import shared_data
from tests.exporting.performances import made_up_track


@functools.cache
def _track():
    return made_up_track(generic_head())


def track_folder(folder: Path) -> None:
    """A made-up track with its cameras, and the alignment that would have given it."""
    track, head = _track(), generic_head()
    track.save(folder)
    track.cameras.save(folder / "cameras.json")
    pixels = np.stack([np.asarray(track.image_vertices(head, f)) for f in range(track.frame_count)], axis=1)
    make_alignment(
        pixels,
        np.ones(pixels.shape[:3]),
        track.observed,
        track.cameras.image_size,
        "vertices",
        frame_times=track.frame_times,
        frame_ids=track.frame_ids,
        camera_names=track.cameras.names,
    ).save(folder / "alignment.npz")


def transforms_file(path: Path) -> None:
    """Three frames of a nerfstudio file in an arbitrary scale."""
    frames = []
    for number in range(3):
        pose = np.eye(4)
        pose[0, 3] = 0.5 * number
        frames.append({"file_path": f"images/{number}.png", "transform_matrix": pose.tolist()})
    path.write_text(json.dumps({"w": 640, "h": 480, "fl_x": 700.0, "cx": 320.0, "cy": 240.0, "frames": frames}))


def clip(path: Path, frames: int = 6) -> None:
    """The first frames of a real clip. Skips where the example data is absent."""
    import av

    source = shared_data.clip_path("d19")
    with av.open(str(source)) as film, av.open(str(path), "w") as cut:
        stream = None
        for _, frame in zip(range(frames), film.decode(video=0), strict=False):
            picture = frame.to_ndarray(format="rgb24")
            if stream is None:
                stream = cut.add_stream("libx264", rate=25, options={"crf": "12"})
                stream.width, stream.height, stream.pix_fmt = picture.shape[1], picture.shape[0], "yuv420p"
            cut.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        cut.mux(stream.encode())


def prepare(page: str, folder: Path) -> None:
    """Put what a page's examples name into `folder`."""
    tracks = {
        "docs/tour.md": ["d19"],
        "docs/conventions.md": ["track"],
        "docs/file_formats.md": ["track"],
        "docs/evaluation.md": ["track", "capture"],
        "docs/report.md": ["d18"],
        "docs/export.md": ["output/track"],
        "docs/retargeting.md": ["output/track"],
    }
    made: Path | None = None
    for name in tracks.get(page, []):
        target = folder / name
        if made is None:
            track_folder(target)
            made = target
        else:
            shutil.copytree(made, target)
    if page == "docs/report.md":
        shutil.copytree(folder / "d18", folder / "capture")
    if page == "docs/rigs.md":
        transforms_file(folder / "transforms.json")
    if page in ("docs/python_api.md", "README.md"):
        clip(folder / "clip.mp4")
