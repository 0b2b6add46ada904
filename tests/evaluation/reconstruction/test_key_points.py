"""The seven key points and their files."""

from __future__ import annotations

import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.evaluation.reconstruction.key_points import place_key_points, read_key_points, vertex_key_points
from tests.evaluation.reconstruction.faces import head

_PICKED = """<!DOCTYPE PickedPoints>
<PickedPoints>
 <DocumentData>
  <DateTime time="1" date="2"/>
  <User name="x"/>
  <DataFileName name="scan.obj"/>
  <templateName name=""/>
 </DocumentData>
{points}</PickedPoints>
"""


def _picked(points):
    lines = [f' <point x="{x}" active="1" name="{n}" z="{z}" y="{y}"/>\n' for n, (x, y, z) in enumerate(points)]
    return _PICKED.format(points="".join(lines))


def test_the_built_in_head_has_them_where_they_belong():
    *_, places, _, _ = head()
    right_outer, right_inner, left_inner, left_outer, nose, right_mouth, left_mouth = places
    # x grows to the subject's left, y up.
    assert right_outer[0] < right_inner[0] < left_inner[0] < left_outer[0]
    assert right_mouth[0] < nose[0] < left_mouth[0]
    assert left_mouth[1] < nose[1] < left_inner[1]


def test_all_kinds_of_files_give_the_same(tmp_path):
    points = np.random.default_rng(0).normal(size=(7, 3)).round(4)
    np.save(tmp_path / "a.npy", points)
    np.save(tmp_path / "b.npy", points[None])
    np.savetxt(tmp_path / "c.txt", points)
    (tmp_path / "d.pp").write_text(_picked([*points, (9, 9, 9)]))
    for name in ("a.npy", "b.npy", "c.txt", "d.pp"):
        np.testing.assert_allclose(read_key_points(tmp_path / name), points)


def test_damaged_files_are_named(tmp_path):
    np.save(tmp_path / "few.npy", np.zeros((6, 3)))
    np.save(tmp_path / "object.npy", np.asarray([{}], object), allow_pickle=True)
    (tmp_path / "words.txt").write_text("a b c\n" * 7)
    (tmp_path / "few.pp").write_text(_picked(np.zeros((6, 3))))
    (tmp_path / "other.json").write_text("[]")
    for path in tmp_path.iterdir():
        with pytest.raises(InputError, match=path.name):
            read_key_points(path)


def test_points_of_vertices_move_with_them_and_those_of_another_mesh_are_refused():
    vertices = np.random.default_rng(0).normal(size=(4, 20, 3))
    ids = np.asarray([3, 1, 4, 15, 9, 2, 6])
    np.testing.assert_allclose(place_key_points(vertex_key_points(ids), vertices), vertices[:, ids], rtol=1e-6)
    with pytest.raises(InputError, match="another mesh"):
        place_key_points(vertex_key_points(ids + 10), vertices)
    with pytest.raises(InputError, match="7,3"):
        place_key_points(np.zeros((3, 7, 3)), vertices)
