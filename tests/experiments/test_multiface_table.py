"""Table 2 on Multiface's layout: what trackers wrote is found, scored and set among the published rows."""

import sys

import numpy as np
import pytest
import table2
from paper_tables import tracking

from flowface_jax.errors import InputError
from flowface_jax.evaluation.multiface import (
    BenchmarkConfig,
    BenchmarkSequence,
    benchmark_topology,
    save_selection,
    truth_sequence,
)
from flowface_jax.evaluation.tables import from_json
from flowface_jax.storage import write_npz
from tests.evaluation import multiface_replica as replica

CONFIG = BenchmarkConfig(
    sequence_count=7, shortest=0.2, longest=0.4, subjects=tuple(replica.SUBJECTS), image_size=(167, 256)
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A release, a selection of its one filmed sequence, and "exact": a prediction of it that is the truth."""
    root = replica.write(tmp_path_factory.mktemp("multiface"))
    subject, segment = replica.FILMED
    frames = tuple(f"{102 + 3 * k:06d}" for k in range(replica.SEGMENTS[segment]) if k != replica.SKIPPED)
    capture = next(path.name for path in root.iterdir() if f"--{subject}--" in path.name)
    sequence = BenchmarkSequence(capture, segment, "400001", frames)
    save_selection(root / "selection.json", [sequence])
    topology = benchmark_topology(root, CONFIG)
    truth = truth_sequence(root, sequence, topology, CONFIG)
    shifted = truth.vertices + np.float32(0.001)
    arrays = {"vertices": shifted, "triangles": truth.triangles, "valid": truth.valid}
    write_npz(root / "exact" / f"{truth.name}.npz", arrays)
    points = tracking.multiface_key_points(topology)
    (root / "points.txt").write_text(" ".join(map(str, np.asarray(points.vertex_ids)[:, 0])))
    return root


@pytest.mark.minutes
def test_predictions_are_scored_and_missing_ones_are_lost(data, tmp_path, monkeypatch):
    monkeypatch.setattr(tracking, "BenchmarkConfig", lambda: CONFIG)
    (data / "nothing").mkdir(exist_ok=True)
    arguments = ["--predictions", f"exact={data / 'exact'}", f"nothing={data / 'nothing'}", "--single", "exact"]
    arguments += ["--key-points", f"exact={data / 'points.txt'}", "--selection", str(data / "selection.json")]
    monkeypatch.setattr(sys, "argv", ["table2", "--multiface", str(data), "--out", str(tmp_path), *arguments])
    table2.main()
    table = from_json((tmp_path / "table2_sequence.json").read_text())
    rows = {row.name: row for row in table.rows}
    assert len(table.rows) == 10 and rows["FlowFace"].published
    single = {row.name: row for row in from_json((tmp_path / "table2_single.json").read_text()).rows}
    # ICP undoes the shift of 1 mm; in the image it moves nothing over time. The filter bends motion at its ends.
    assert single["exact"].values[0] < 0.02 and single["exact"].values[5] < 0.05 and single["exact"].values[10] == 0
    assert rows["exact"].values[:5] == single["exact"].values[:5] and rows["exact"].values[5] < 0.6
    assert rows["nothing"].values == (*[None] * 10, 100.0)
    assert not (tmp_path / "table2_sequence_published.json").exists()


@pytest.mark.minutes
def test_meshes_without_known_key_points_ask_for_them(data, monkeypatch):
    monkeypatch.setattr(tracking, "BenchmarkConfig", lambda: CONFIG)
    arguments = ["--predictions", f"exact={data / 'exact'}", "--selection", str(data / "selection.json")]
    monkeypatch.setattr(sys, "argv", ["table2", "--multiface", str(data), *arguments])
    with pytest.raises(InputError, match="name a file with its 7 key points"):
        table2.main()


def test_key_point_files_hold_seven_numbers(tmp_path):
    (tmp_path / "points.txt").write_text("1 2 3")
    with pytest.raises(InputError, match="expected 7 vertex numbers from 0, found 3"):
        tracking.read_vertex_numbers(tmp_path / "points.txt")
