"""Inputs named by patterns: their order, and which camera of a calibration each is."""

import os

import pytest

from flowface_jax.aligners.inputs import cameras_of_inputs, expand_inputs
from flowface_jax.errors import InputError


@pytest.fixture
def rig(tmp_path):
    for number in (10, 2, 1):
        (tmp_path / f"cam{number}").mkdir()
        (tmp_path / f"cam_{number}.mp4").write_bytes(b"film")
        (tmp_path / f"cam{number}" / "clip.mp4").write_bytes(b"film")
    (tmp_path / ".cam3.mp4").write_bytes(b"hidden")
    return tmp_path


def _names(paths, rig):
    return [os.path.relpath(path, rig) for path in paths]


def test_what_a_pattern_matches_comes_in_natural_order(rig):
    assert _names(expand_inputs([f"{rig}/cam_*.mp4"]), rig) == ["cam_1.mp4", "cam_2.mp4", "cam_10.mp4"]
    assert _names(expand_inputs([f"{rig}/cam*/"]), rig) == ["cam1", "cam2", "cam10"]
    assert _names(expand_inputs([f"{rig}/cam[12]"]), rig) == ["cam1", "cam2"]
    assert _names(expand_inputs([f"{rig}/**/clip.mp4"]), rig) == [f"cam{n}/clip.mp4" for n in (1, 2, 10)]


def test_plain_names_and_several_patterns_keep_their_order(rig):
    given = [f"{rig}/cam_10.mp4", f"{rig}/cam?/", "absent.mp4"]
    assert _names(expand_inputs(given)[:3], rig) == ["cam_10.mp4", "cam1", "cam2"]
    assert expand_inputs(given)[3] == "absent.mp4"


def test_a_file_whose_name_looks_like_a_pattern_is_itself(tmp_path):
    (tmp_path / "take[1].mp4").write_bytes(b"film")
    assert expand_inputs([f"{tmp_path}/take[1].mp4"]) == [f"{tmp_path}/take[1].mp4"]


def test_patterns_that_match_nothing_or_the_same_are_refused(rig):
    with pytest.raises(InputError, match=r"kam\*' matches nothing"):
        expand_inputs([f"{rig}/kam*"])
    with pytest.raises(InputError, match=r"cam_1\.mp4 is named twice"):
        expand_inputs([f"{rig}/cam_1.mp4", f"{rig}/cam_*.mp4"])


@pytest.mark.parametrize(
    ("inputs", "names", "expected"),
    [
        (["r/b.mp4", "r/a.mp4"], ("a", "b", "c"), ["b", "a"]),
        (["r/cam_400013.mp4", "r/cam_400002.mp4"], ("400002", "400013"), ["400013", "400002"]),
        (["r/cam1/clip.mp4", "r/cam10/clip.mp4"], ("cam10", "cam1"), ["cam1", "cam10"]),
        (["r/take1.left.mov", "r/take1.right.mov"], ("right", "left"), ["left", "right"]),
        (["r/x.mp4", "r/y.mp4"], ("a", "b"), None),
        (["r/a_b.mp4", "r/b_c.mp4"], ("a", "b", "c"), None),
    ],
)
def test_an_input_is_the_camera_that_its_name_says(inputs, names, expected):
    assert cameras_of_inputs(inputs, names, strict=False) == expected


def test_names_that_tell_of_some_inputs_only_are_refused_for_patterns():
    with pytest.raises(InputError, match=r"x\.mp4 belongs to no camera .*--camera-names"):
        cameras_of_inputs(["r/a.mp4", "r/x.mp4"], ("a", "b"), strict=True)
    assert cameras_of_inputs(["r/a.mp4", "r/x.mp4"], ("a", "b"), strict=False) is None
    assert cameras_of_inputs(["r/x.mp4", "r/y.mp4"], ("a", "b"), strict=True) is None
