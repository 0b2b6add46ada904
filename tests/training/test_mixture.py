"""Batches from files: a function of seed and step, shared among hosts without overlap, mixed by weights."""

from collections import Counter
from itertools import islice

import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.training.archive import ArchiveKind
from flowface_jax.training.mixture import FileBatches
from tests.training.test_archive import KIND, spoil, write


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("archives")
    write(root / "a", (4, 3))
    write(root / "b", (3,), first=100)
    return [root / "a", root / "b"]


def equal(one, other):
    return all((getattr(one, name) == getattr(other, name)).all() for name in vars(one))


def test_a_batch_depends_on_seed_and_step_alone(folders):
    first, again = (FileBatches(folders, None, 4, 1) for _ in range(2))
    assert all(equal(first.batch(step), again.batch(step)) for step in (5, 0, 5))
    assert [first.sample_ids(s) for s in range(5)] != [FileBatches(folders, None, 4, 2).sample_ids(s) for s in range(5)]
    np.testing.assert_array_equal(first.batch(5).index, [20, 21, 22, 23])


def test_going_on_from_a_step_gives_the_same_batches(folders):
    files = FileBatches(folders, None, 4, 1)
    whole = list(islice(files.batches(), 6))
    resumed = list(islice(FileBatches(folders, None, 4, 1).batches(4), 2))
    assert all(equal(a, b) for a, b in zip(whole[4:], resumed, strict=True))
    assert all(equal(whole[step], files.batch(step)) for step in range(6))


def test_every_epoch_has_every_sample_once_in_another_order(folders):
    files = FileBatches(folders[:1], None, 7, 3)
    epochs = [[sample for _, sample in files.sample_ids(step)] for step in range(6)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 4


def test_hosts_share_a_batch_without_overlap_and_together_make_the_whole(folders):
    whole = FileBatches(folders, None, 6, 1)
    hosts = [FileBatches(folders, None, 6, 1, host, 3) for host in range(3)]
    for step in (0, 7):
        parts = [host.batch(step) for host in hosts]
        assert [len(part.image) for part in parts] == [2, 2, 2]
        for name in ("points", "image", "index"):
            joined = np.concatenate([getattr(part, name) for part in parts])
            np.testing.assert_array_equal(joined, getattr(whole.batch(step), name))


def test_archives_are_mixed_by_weights(folders):
    def shares(weights):
        files = FileBatches(folders, weights, 10, 0)
        return Counter(which for step in range(100) for which, _ in files.sample_ids(step))

    assert shares((3, 1)) == {0: 750, 1: 250}
    assert shares((1, 9)) == {0: 100, 1: 900}
    assert shares(None) == {0: 700, 1: 300}


def test_archives_that_do_not_go_together_are_refused(folders, tmp_path):
    write(tmp_path / "side", (2,), kind=ArchiveKind("test", "generic", 30, 32, {}))
    write(tmp_path / "head", (2,), kind=ArchiveKind("test", "flame", 30, 48, {}))
    write(tmp_path / "points", (2,), kind=ArchiveKind("test", "generic", 31, 48, {}))
    with pytest.raises(InputError, match="share the side"):
        FileBatches([folders[0], tmp_path / "side"], None, 2, 0)
    for other in ("head", "points"):
        with pytest.raises(InputError, match="share the head"):
            FileBatches([folders[0], tmp_path / other], None, 2, 0)


def test_settings_that_cannot_work_are_refused(folders):
    for arguments in (
        ([], None, 2, 0),
        (folders, (1,), 2, 0),
        (folders, (1, 0), 2, 0),
        (folders, (1, float("nan")), 2, 0),
        (folders, None, 0, 0),
        (folders, None, 5, 0, 0, 2),
        (folders, None, 4, 0, 2, 2),
        (folders, None, 4, -1),
    ):
        with pytest.raises(InputError):
            FileBatches(*arguments)
    with pytest.raises(InputError, match="step"):
        FileBatches(folders, None, 2, 0).batch(-1)


def test_a_damaged_record_changes_only_its_own_row(folders, tmp_path):
    write(tmp_path / "a", (4, 3))
    spoil(tmp_path / "a", 2)
    damaged, whole = (FileBatches([folder], None, 7, 0) for folder in (tmp_path / "a", folders[0]))
    same = [(a == b).all() for a, b in zip(damaged.batch(0).points, whole.batch(0).points, strict=True)]
    assert same == [sample != 2 for _, sample in whole.sample_ids(0)]
    assert equal(damaged.batch(0), FileBatches([tmp_path / "a"], None, 7, 0).batch(0))
    assert KIND.head == damaged.head
