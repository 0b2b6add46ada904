"""`load_cameras`: what is recognised, and what is said where nothing is."""

import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowface_jax.cameras import load_cameras
from flowface_jax.errors import InputError
from flowface_jax.storage import write_json, write_npz
from tests.cameras.readers import test_cap4d, test_colmap, test_facescape, test_famos, test_multiface, test_transforms
from tests.cameras.test_model import two_cameras


def write_all(folder):
    """One made-up calibration of every format: format → path."""
    paths = {name: folder / name for name in ("multiface", "facescape", "famos", "colmap", "transforms", "cap4d")}
    for path in paths.values():
        path.mkdir(exist_ok=True)
    (paths["multiface"] / "KRT").write_text(test_multiface.krt_text())
    write_json(paths["facescape"] / "params.json", test_facescape.params())
    (paths["famos"] / "00_C.tka").write_text(test_famos.tka_text(0))
    test_colmap.write_model(paths["colmap"])
    test_transforms.write(paths["transforms"])
    write_npz(paths["cap4d"] / "fit.npz", test_cap4d.fit())
    two_cameras().save(folder / "cameras.json")
    return paths | {"flowface": folder / "cameras.json"}


FORMATS = ("flowface", "multiface", "facescape", "famos", "colmap", "transforms", "cap4d")


@pytest.mark.parametrize("format", FORMATS)
def test_folders_and_files_are_recognised(tmp_path, format):
    path = write_all(tmp_path)[format]
    by_folder = load_cameras(path)
    assert by_folder.source == format
    named = load_cameras(path, format=format)
    np.testing.assert_array_equal(named.cameras.rotation, by_folder.cameras.rotation)
    if path.is_dir():
        assert all(load_cameras(file).source == format for file in path.iterdir())


def test_renamed_files_are_recognised_by_content(tmp_path):
    paths = write_all(tmp_path)
    for format, name, new in (
        ("multiface", "KRT", "rig.txt"),
        ("facescape", "params.json", "cameras_122.json"),
        ("transforms", "transforms.json", "transforms_train.json"),
    ):
        (paths[format] / name).rename(paths[format] / new)
        assert load_cameras(paths[format] / new).source == format


def test_options_reach_the_reader_and_foreign_ones_are_refused(tmp_path):
    paths = write_all(tmp_path)
    assert load_cameras(paths["multiface"], names=["400067"]).count == 1
    with pytest.raises(InputError, match="colmap has no option names"):
        load_cameras(paths["colmap"], names=["a"])


def test_unknown_things_are_refused_with_what_is_understood(tmp_path):
    (tmp_path / "note.txt").write_text("hello")
    (tmp_path / "other.json").write_text('{"a": 1}')
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "empty").mkdir()
    for name, message in (
        ("absent", "no such file or folder"),
        ("note.txt", "understood are .*COLMAP"),
        ("other.json", "understood are .*KRT"),
        ("broken.json", "not valid JSON"),
        ("empty", "understood are"),
    ):
        with pytest.raises(InputError, match=message):
            load_cameras(tmp_path / name)
    with pytest.raises(InputError, match="expected auto, flowface"):
        load_cameras(tmp_path / "note.txt", format="opencv")


def test_folder_of_several_formats_is_ambiguous(tmp_path):
    test_colmap.write_model(tmp_path)
    test_transforms.write(tmp_path)
    with pytest.raises(InputError, match="several formats \\(colmap, transforms\\)"):
        load_cameras(tmp_path)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(format=st.sampled_from(FORMATS), data=st.data())
def test_damaged_files_give_one_clear_line_and_nothing_else(tmp_path, format, data):
    """Any truncation, any changed byte, any dropped line: a calibration, or an `InputError` that names the file."""
    target = write_all(tmp_path)[format]
    files = sorted(target.iterdir()) if target.is_dir() else [target]
    file = data.draw(st.sampled_from(files))
    content = file.read_bytes()
    how = data.draw(st.sampled_from(["truncate", "change", "drop line", "replace number"]))
    place = data.draw(st.integers(0, len(content) - 1))
    if how == "truncate":
        content = content[:place]
    elif how == "change":
        content = content[:place] + bytes([data.draw(st.integers(0, 255))]) + content[place + 1 :]
    elif how == "drop line":
        lines = content.splitlines(keepends=True)
        content = b"".join(line for i, line in enumerate(lines) if i != place % len(lines))
    else:
        found = list(re.finditer(rb"-?\d[\d.]*", content))
        number = found[place % len(found)]
        new = data.draw(st.sampled_from([b"nan", b"null", b'"x"', b"1e400", b"-1", b"[]", b"0", b"{}", b"99999999999"]))
        content = content[: number.start()] + new + content[number.end() :]
    file.write_bytes(content)
    try:
        calibration = load_cameras(target, format=format)
    except InputError as error:
        assert "\n" not in str(error)
        assert str(target) in str(error)
    else:
        assert np.isfinite(calibration.intrinsics).all() and np.isfinite(calibration.cameras.rotation).all()
