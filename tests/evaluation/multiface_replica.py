"""A small made-up Multiface release: two subjects' metadata and meshes, in axes and units of its own, no images."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from tests.training.replicas import head, look_at, multiface_head

AXES = Rotation.from_euler("zyx", [170, 20, 95], degrees=True).as_matrix()
"""From the built-in head's axes to those of the made-up unposed meshes."""
SUBJECTS = {"111": 0.0, "222": 40.0}
"""Degrees by which each subject's head is turned in the world."""
VIEWS = {"400001": (0, 0), "400002": (50, -20), "400003": (-70, 0), "400004": (0, 45), "400005": (-30, 30)}
"""Degrees beside and above subject 111's face; the rig stands still."""
SEGMENTS = {"E001_Neutral": 9, "E002_Scream": 20, "SEN_a_good_morrow": 7, "SEN_how_are_you": 12, "EXP_short": 3}
"""Frames of each."""
FILMED = ("111", "SEN_how_are_you")
"""The one segment all of whose meshes are there."""
SKIPPED = 4
"""Its frame that the list leaves out."""
SHIFT = np.asarray([12.0, -30.0, 1040.0])


@functools.cache
def neutral() -> np.ndarray:
    """[7306,3] mm, unposed, a little larger than the built-in head."""
    return 1000 * 1.04 * np.asarray(multiface_head().template, np.float64) @ AXES.T + [3, 1, -2]


def world(subject: str, frame: int) -> np.ndarray:
    """[7306,3] m: the subject's head rises a millimetre a frame along its own axis."""
    turn = Rotation.from_euler("y", SUBJECTS[subject], degrees=True).as_matrix() @ AXES.T
    return ((neutral() + frame * AXES[:, 1]) @ turn.T + SHIFT) / 1000


def write(root: Path) -> Path:
    """The release under a folder."""
    for subject, angle in SUBJECTS.items():
        folder = root / f"m--20180101--0000--{subject}--GHS"
        turn = Rotation.from_euler("y", angle, degrees=True).as_matrix() @ AXES.T
        folder.mkdir(parents=True)
        neutral().astype("<f4").tofile(folder / "vert_mean.bin")
        (folder / "KRT").write_text(rig())
        listed = []
        for segment, count in SEGMENTS.items():
            filmed = (subject, segment) == FILMED
            frames = [k for k in range(count) if not (filmed and k == SKIPPED)]
            ids = [f"{102 + 3 * k:06d}" for k in frames]
            listed += [f"{segment} {frame}\n" for frame in ids]
            meshes = folder / "tracked_mesh" / segment
            meshes.mkdir(parents=True)
            for k, frame in zip(frames, ids, strict=True):
                # Meshes of the other segments are needed where a sequence may begin.
                if filmed or k in (0, (count - 12) // 2):
                    (neutral() + k * AXES[:, 1]).astype("<f4").tofile(meshes / f"{frame}.bin")
                    rows = [" ".join(map(str, row)) for row in np.c_[turn, SHIFT]]
                    (meshes / f"{frame}_transform.txt").write_text("\n".join(rows) + "\n")
            if subject == "111" and segment == "E001_Neutral":
                lines = [f"v {x:.4f} {y:.4f} {z:.4f}" for x, y, z in neutral()]
                faces = [f"f {a} {b} {c}" for a, b, c in np.asarray(head().triangles) + 1]
                (meshes / f"{ids[0]}.obj").write_text("\n".join(lines + faces) + "\n")
        (folder / "frame_list.txt").write_text("".join(listed))
    return root


def rig() -> str:
    """The text of KRT, five cameras round subject 111."""
    lines = []
    for name, angles in VIEWS.items():
        rotation, translation = look_at(*angles)
        translation = 1000 * translation - rotation @ SHIFT
        lines += [name, "6000 0 667", "0 6000 1024", "0 0 1", "0 0 0 0 0"]
        lines += [" ".join(map(str, row)) for row in np.c_[rotation, translation]] + [""]
    return "\n".join(lines)
