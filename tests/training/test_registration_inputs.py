"""What registration reads: annotations, scans and folders, sound and damaged."""

import json

import numpy as np
import pytest

from flowface_jax.cli.main import main
from flowface_jax.errors import InputError
from flowface_jax.heads.registration import positions_of
from flowface_jax.training.registration.job import find_subjects, register_scans
from flowface_jax.training.registration.landmarks import on_head, read_landmarks
from flowface_jax.training.registration.placement import place_by_points
from flowface_jax.training.registration.scans import clean, read_scan
from tests.training.scan_subjects import head


def test_three_files_give_the_same_landmarks(tmp_path):
    wanted = {"36": [1.5, -2, 3], "mediapipe_33": [4, 5, 6.25]}
    (tmp_path / "a.json").write_text(json.dumps({"landmarks": wanted}))
    (tmp_path / "a.csv").write_text("name,x,y,z\n36,1.5,-2,3\nmediapipe_33, 4,5,6.25\n")
    (tmp_path / "a.pp").write_text(
        '<!DOCTYPE PickedPoints>\n<PickedPoints>\n <point x="1.5" y="-2" z="3" active="1" name="36"/>\n'
        ' <point active="1" name="mediapipe_33" x="4" z="6.25" y="5"/>\n'
        ' <point x="0" y="0" z="0" active="0" name="9"/>\n</PickedPoints>\n'
    )
    for suffix in ("json", "csv", "pp"):
        found = read_landmarks(tmp_path / f"a.{suffix}")
        assert {name: position.tolist() for name, position in found.items()} == wanted


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("a.json", "[1, 2]", "JSON object"),
        ("a.json", '{"36": [1, 2]}', "three numbers"),
        ("a.csv", "36,1,2,nan\n", "three numbers"),
        ("a.csv", "36,1,2,3\n36,1,2,3\n", "twice"),
        ("a.pp", "<PickedPoints></PickedPoints>", "no landmark"),
        ("a.txt", "", "expected landmarks as"),
    ],
)
def test_damaged_landmarks_are_refused(tmp_path, name, text, complaint):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=complaint):
        read_landmarks(tmp_path / name)


def test_names_are_found_on_the_head():
    model = head()
    template = np.asarray(model.template, np.float64)
    names = {name: np.zeros(3) for name in ("multipie_30", "mediapipe_1", "vertex_17")}
    places = positions_of(on_head(names, model, 0.001).surface, template)
    np.testing.assert_allclose(places[0], positions_of(model.landmarks, template)[30])
    np.testing.assert_allclose(places[2], template[17])
    for unknown in ("nose", "68", "vertex_100000"):
        with pytest.raises(InputError, match="is not on the head"):
            on_head({unknown: np.zeros(3)}, model, 0.001)


def test_a_placement_is_found_in_spite_of_gross_errors():
    random = np.random.default_rng(0)
    points = random.normal(0, 0.05, (40, 3))
    turn = np.linalg.qr(random.normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    seen = 3.7 * points @ turn.T + [4, 5, 6]
    seen[:5] += 0.3
    seen[5] = np.nan
    placement, misses = place_by_points(points, seen, None)
    np.testing.assert_allclose(placement.to_scan(points[6:]), seen[6:], atol=2e-3)
    np.testing.assert_allclose(placement.to_head(placement.to_scan(points)), points, atol=1e-12)
    assert np.isnan(misses[5]) and (misses[:5] > 0.05).all()


def _sheet(side=30):
    x, y = np.meshgrid(np.arange(side), np.arange(side))
    vertices = np.stack([x, y, -0.01 * (x - 15) ** 2], -1).reshape(-1, 3).astype(np.float64)
    at = np.arange(side * side).reshape(side, side)
    a, b, c, d = (part.ravel() for part in (at[:-1, :-1], at[:-1, 1:], at[1:, :-1], at[1:, 1:]))
    return vertices, np.concatenate([np.stack([a, b, c], 1), np.stack([b, d, c], 1)])


def test_cleaning_joins_seams_and_drops_what_is_no_surface():
    vertices, triangles = _sheet()
    # Every triangle its own corners, as some files have it: all edges would be rims.
    loose = vertices[triangles].reshape(-1, 3)
    own = np.arange(len(loose)).reshape(-1, 3)
    speck = np.concatenate([loose, [[90.0, 0, 0], [91, 0, 0], [90, 1, 0], [np.nan, 0, 0]]])
    faces = np.concatenate([own, [[len(loose), len(loose) + 1, len(loose) + 2], [0, 1, len(loose) + 3], [4, 4, 5]]])
    scan = clean(speck, faces)
    assert len(scan.vertices) == len(vertices)
    assert scan.rim.sum() == 4 * 29


def test_a_ply_keeps_its_colours_and_nan_is_cut_out(tmp_path):
    vertices, triangles = _sheet()
    vertices[100] = np.nan
    table = np.concatenate([vertices, np.full((len(vertices), 3), 200.0)], 1)
    header = "ply\nformat ascii 1.0\nelement vertex 900\n" + "".join(f"property float {axis}\n" for axis in "xyz")
    header += "".join(f"property uchar {name}\n" for name in ("red", "green", "blue"))
    header += f"element face {len(triangles)}\nproperty list uchar int vertex_indices\nend_header\n"
    rows = "".join("{} {} {} {:.0f} {:.0f} {:.0f}\n".format(*row) for row in table)
    (tmp_path / "a.ply").write_text(header + rows + "".join(f"3 {a} {b} {c}\n" for a, b, c in triangles))
    scan = read_scan(tmp_path / "a.ply")
    assert len(scan.vertices) == 899
    assert (scan.colours == 200).all()


def test_subjects_and_expressions_are_named_by_folder_and_file(tmp_path):
    for name in ("F1001/F1001_neutral.obj", "F1001/F1001_smile.obj", "7/1_neutral.ply", "7/2_smile.ply"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    seven, first = find_subjects(tmp_path)
    assert (seven.name, seven.neutral, list(seven.scans)) == ("7", "1_neutral", ["1_neutral", "2_smile"])
    assert (first.name, first.neutral, list(first.scans)) == ("F1001", "neutral", ["neutral", "smile"])
    assert find_subjects(tmp_path / "7", "2_smile")[0].neutral == "2_smile"
    with pytest.raises(InputError, match="--neutral"):
        find_subjects(tmp_path, "angry")


def test_folders_without_scans_and_missing_annotations_are_refused(tmp_path, capsys):
    with pytest.raises(InputError, match="no scan"):
        register_scans(tmp_path, head(), tmp_path / "out")
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "neutral.obj").write_text("v 1 2 3\n")
    with pytest.raises(InputError, match="no landmarks at"):
        register_scans(tmp_path / "s", head(), tmp_path / "out", landmarks=tmp_path / "none.json")
    assert main(["register", str(tmp_path / "nowhere"), "--out", str(tmp_path / "out")]) == 2
    assert "expected a subject's scans" in capsys.readouterr().err


def test_a_damaged_scan_is_told_in_its_report(tmp_path):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "neutral.obj").write_text("v 1 2 3\nf 1 1 1\n")
    assert register_scans(tmp_path / "s", head(), tmp_path / "out") == {"poor": 1}
    assert "triangles" in json.loads((tmp_path / "out" / "s" / "neutral.json").read_text())["notes"][0]
    assert not (tmp_path / "out" / "s" / "neutral.ply").exists()
