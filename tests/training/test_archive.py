"""The folder of samples: complete or not there, checked when opened, damaged records replaced by the next ones."""

import json
import logging
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from flowface_jax.conventions import CONVENTIONS
from flowface_jax.errors import InputError
from flowface_jax.training.archive import ArchiveKind, open_archive, open_writer
from tests.training.test_samples import made_sample

KIND = ArchiveKind("test", "generic", 30, 48, {"margin": 1.8})


def write(folder, counts=(4, 3), first=0, kind=KIND, **options):
    """An archive whose sample i has the subject first + i."""
    writer = open_writer(folder, kind, len(counts), **options)
    start = first
    for shard, count in enumerate(counts):
        samples = (made_sample(seed, kind.side, kind.vertices, kind.head) for seed in range(start, start + count))
        writer.write_shard(shard, samples, Counter({"face hidden": shard}))
        start += count
    return writer.finish()


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_samples_are_read_in_any_order(tmp_path):
    about = write(tmp_path / "a")
    archive = open_archive(tmp_path / "a")
    assert len(archive) == about["count"] == 7 and (archive.head, archive.side) == ("generic", 48)
    assert [archive[i].source["subject"] for i in (6, 0, 4, 3)] == ["6", "0", "4", "3"]
    np.testing.assert_array_equal(archive[5].points, made_sample(5).points)
    with pytest.raises(IndexError):
        archive[7]


def test_the_description_states_conventions_counts_and_what_was_refused(tmp_path):
    write(tmp_path / "a")
    about = json.loads((tmp_path / "a" / "about.json").read_text())
    assert about["conventions"] == CONVENTIONS and about["settings"] == {"margin": 1.8}
    assert [shard["count"] for shard in about["shards"]] == [4, 3] and about["refused"] == {"face hidden": 1}
    assert sorted(content(tmp_path / "a")) == ["about.json", "samples-00000.arrayrecord", "samples-00001.arrayrecord"]


def test_an_interrupted_job_keeps_finished_shards_and_ends_with_the_same_bytes(tmp_path):
    write(tmp_path / "unbroken")
    folder = tmp_path / "broken"
    writer = open_writer(folder, KIND, 2)
    writer.write_shard(0, (made_sample(seed) for seed in range(4)), Counter({"face hidden": 0}))

    def killed():
        yield made_sample(4)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        writer.write_shard(1, killed(), Counter())
    for left_by_a_killed_process in ("samples-00001.123-4.part", ".samples-00001.arrayrecord.json.x7a"):
        (folder / left_by_a_killed_process).write_bytes(b"half")
    with pytest.raises(InputError, match="not finished"):
        open_archive(folder)
    kept = (folder / "samples-00000.arrayrecord").stat().st_mtime_ns
    writer = open_writer(folder, KIND, 2)
    assert writer.missing() == [1]
    writer.write_shard(1, (made_sample(seed) for seed in range(4, 7)), Counter({"face hidden": 1}))
    writer.finish()
    assert (folder / "samples-00000.arrayrecord").stat().st_mtime_ns == kept
    assert content(folder) == content(tmp_path / "unbroken")


def test_nothing_is_overwritten_unless_asked(tmp_path):
    write(tmp_path / "a")
    before = content(tmp_path / "a")
    with pytest.raises(InputError, match="--overwrite"):
        open_writer(tmp_path / "a", KIND, 2)
    assert content(tmp_path / "a") == before
    assert write(tmp_path / "a", counts=(2,), overwrite=True)["count"] == 2
    assert sorted(content(tmp_path / "a")) == ["about.json", "samples-00000.arrayrecord"]


def test_another_jobs_shards_and_foreign_files_are_left_alone(tmp_path):
    open_writer(tmp_path / "a", KIND, 2)
    other = ArchiveKind("test", "generic", 30, 48, {"margin": 2.0})
    with pytest.raises(InputError, match="another job"):
        open_writer(tmp_path / "a", other, 2)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "thesis.tex").write_text("")
    for overwrite in (False, True):
        with pytest.raises(InputError, match="thesis.tex"):
            open_writer(tmp_path / "b", KIND, 2, overwrite)


def test_a_folder_that_cannot_be_made_gives_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        open_writer(tmp_path / "file", KIND, 1)
    with pytest.raises(InputError, match="cannot be written"):
        open_writer(tmp_path / "file" / "inside", KIND, 1)


def test_samples_of_another_head_do_not_get_in(tmp_path):
    writer = open_writer(tmp_path / "a", KIND, 1)
    with pytest.raises(InputError, match="does not belong"):
        writer.write_shard(0, [made_sample(points=5)], Counter())
    assert not list((tmp_path / "a").glob("*.part*")) and writer.missing() == [0]


def test_an_archive_without_samples_is_an_error_that_says_why(tmp_path):
    with pytest.raises(InputError, match="face hidden: 1"):
        write(tmp_path / "a", counts=(0, 0))


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        (lambda f: (f / "samples-00001.arrayrecord").unlink(), "missing"),
        (lambda f: (f / "samples-00001.arrayrecord").write_bytes(b"short"), "bytes, expected"),
        (lambda f: (f / "about.json").unlink(), "no about.json"),
        (lambda f: (f / "about.json").write_text("{"), "not valid JSON"),
        (lambda f: (f / "about.json").write_text('{"format": "other/1"}'), "flowface-samples/1"),
        (lambda f: _edit(f, head=None), "damaged"),
        (lambda f: _edit(f, shards=[{"file": "../secret", "count": 1, "bytes": 1}]), "damaged"),
        (lambda f: _edit(f, conventions={}), "conventions"),
    ],
)
def test_a_damaged_folder_gives_one_clear_error(tmp_path, damage, match):
    write(tmp_path / "a")
    damage(tmp_path / "a")
    with pytest.raises(InputError, match=match):
        open_archive(tmp_path / "a")


def _edit(folder, **changes):
    about = json.loads((folder / "about.json").read_text()) | changes
    (folder / "about.json").write_text(json.dumps(about))


def spoil(folder, index):
    """Flip a byte in the middle of a sample's record."""
    path = folder / "samples-00000.arrayrecord"
    payload = bytearray(path.read_bytes())
    start = payload.find(made_sample(index).points.tobytes())
    payload[start + 9] ^= 0xFF
    path.write_bytes(payload)


def test_a_damaged_record_is_replaced_by_the_next_good_one_with_a_warning(tmp_path, caplog):
    write(tmp_path / "a")
    spoil(tmp_path / "a", 1)
    spoil(tmp_path / "a", 2)
    archive = open_archive(tmp_path / "a")
    with caplog.at_level(logging.WARNING):
        found = [archive[i].source["subject"] for i in (0, 1, 2, 3)]
    assert found == ["0", "3", "3", "3"]
    assert "samples-00000.arrayrecord: record 1 is damaged" in caplog.text
    with pytest.raises(InputError, match="record 2 is damaged"):
        archive.read(2)


def test_a_truncated_shard_of_the_right_length_still_gives_errors_not_garbage(tmp_path):
    write(tmp_path / "a", counts=(4,))
    path = tmp_path / "a" / "samples-00000.arrayrecord"
    path.write_bytes(bytes(path.stat().st_size))
    archive = open_archive(tmp_path / "a")
    with pytest.raises(InputError, match="prepare the folder again"):
        archive[0]


CHILD = """
import resource, sys, time
from collections import Counter
from pathlib import Path
from flowface_jax.errors import InputError
from flowface_jax.training.archive import open_writer
from tests.training.test_archive import KIND
from tests.training.test_samples import made_sample

def slowly():
    for seed in range(4, 7):
        yield made_sample(seed)
        time.sleep(0.5)

folder, limit = sys.argv[1], int(sys.argv[2])
writer = open_writer(folder, KIND, 2)
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    writer.write_shard(0, (made_sample(seed) for seed in range(4)), Counter({"face hidden": 0}))
    writer.write_shard(1, slowly(), Counter({"face hidden": 1}))
except InputError as error:
    print(error)
"""


def _child(folder, limit=0):
    root = Path(__file__).resolve().parents[2]
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder), str(limit)], cwd=root, stdout=subprocess.PIPE, text=True
    )


def test_a_process_killed_while_it_writes_loses_only_the_shard_in_hand(tmp_path):
    write(tmp_path / "unbroken")
    folder = tmp_path / "killed"
    process = _child(folder)
    for _ in range(600):
        if list(folder.glob("samples-00001.*.part")):
            break
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert list(folder.glob("samples-00001.*.part"))
    writer = open_writer(folder, KIND, 2)
    assert writer.missing() == [1]
    writer.write_shard(1, (made_sample(seed) for seed in range(4, 7)), Counter({"face hidden": 1}))
    writer.finish()
    assert content(folder) == content(tmp_path / "unbroken")


def test_a_full_disk_gives_one_line_and_leaves_no_half_shard(tmp_path):
    """A limit on the size of files stands in for a full disk: the same failure of the same call."""
    folder = tmp_path / "full"
    output, _ = _child(folder, limit=20_000).communicate(timeout=60)
    assert "free space on the disk" in output and len(output.splitlines()) == 1
    assert list(content(folder)) == ["request.json"]
    assert open_writer(folder, KIND, 2).missing() == [0, 1]
