"""Face parsing of the clip: labels come back to the pixels they are of."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.exporting import export, segmentation
from flowface_jax.exporting.segmentation import CLASSES, parsed
from tests.exporting.flame_performances import Clip
from tests.exporting.performances import HEIGHT, WIDTH, performance


class _Parser:
    """Calls everything brighter than half hair."""

    def labels(self, image):
        return np.where(image[..., 0] > 127, CLASSES.index("hair"), CLASSES.index("skin")).astype(np.uint8)


def test_labels_lie_where_their_pixels_are():
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture[200:260, 300:350] = 255
    mesh = np.array([[260.0, 150.0], [400.0, 310.0]])
    found = parsed(_Parser(), picture, mesh, 1.6)
    hair = found == CLASSES.index("hair")
    rows, columns = np.nonzero(hair)
    assert (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1) == (200, 260, 300, 350)
    assert hair.sum() == 60 * 50
    # A square of 1.6 times 160 px about the head's middle was parsed, nothing else.
    rows, columns = np.nonzero(found)
    assert (columns.min(), columns.max() + 1) == (202, 458) and (rows.min(), rows.max() + 1) == (102, 358)


def test_every_frame_with_a_face_has_a_map_of_the_clips_size(tmp_path, monkeypatch):
    monkeypatch.setattr(segmentation, "load_face_parser", lambda path: _Parser())
    subject = type(performance())(performance().track, performance().head, (Clip(), Clip()), "made up")
    out = export(subject, "segmentation", tmp_path / "out", {"parser": "79999_iter.pth", "camera": 1})
    about = json.loads((out / "labels.json").read_text())
    assert about["frame_ids"] == [7, 8, 10] and about["frames_without_a_face"] == [9]
    assert about["labels"]["17"] == "hair" and about["labels"]["1"] == "skin" and about["camera"] == "left side"
    assert sorted(p.stem for p in (out / "labels").iterdir()) == ["000007", "000008", "000010"]
    assert cv2.imread(str(out / "labels" / "000007.png"), cv2.IMREAD_UNCHANGED).shape == (HEIGHT, WIDTH)


def test_it_needs_a_parser_and_the_clip(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="segmentation needs a face parser; name it with --set"):
        export(performance(), "segmentation", tmp_path / "out")
    (tmp_path / "other.pth").write_bytes(b"not a checkpoint")
    with pytest.raises(InputError, match="other.pth"):
        export(performance(), "segmentation", tmp_path / "out", {"parser": str(tmp_path / "other.pth")})
    monkeypatch.setattr(segmentation, "load_face_parser", lambda path: _Parser())
    with pytest.raises(InputError, match="name the tracked clip with --video"):
        export(performance(), "segmentation", tmp_path / "out", {"parser": "79999_iter.pth"})
