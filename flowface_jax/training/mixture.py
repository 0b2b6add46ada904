"""Batches from archives of samples: shuffled, mixed by weights, shared among hosts, a function of the step alone."""

from __future__ import annotations

import functools
import os
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import grain
import numpy as np

from flowface_jax.errors import InputError
from flowface_jax.training.archive import Archive, open_archive
from flowface_jax.training.samples import Sample, SampleBatch, stack_samples

AHEAD = 2
"""Batches that are being read while one is in use."""


class FileBatches:
    """Batches of samples for one host of several.

    Every archive is gone through again and again, in another order in every epoch; the archives are mixed in fixed
    proportions. Row r of the global batch at step s is sample s·B + r of that endless order, which depends on the seed
    alone; host h of n gets rows [h·B/n, (h+1)·B/n). So a run resumes from its step, on any number of hosts.
    """

    def __init__(
        self,
        archives: Sequence[Archive | str | os.PathLike[str]],
        weights: Sequence[float] | None,
        batch_size: int,
        seed: int,
        host_index: int = 0,
        host_count: int = 1,
        threads: int | None = None,
    ) -> None:
        """archives: opened ones or folders, all of one head and one side. weights: how often each archive is drawn
        from, in any unit; by default as often as it is large. batch_size: B, of all hosts together. threads: that read
        and decode. Raises InputError where these do not fit together.
        """
        self.archives = tuple(item if isinstance(item, Archive) else open_archive(item) for item in archives)
        self.weights = _proportions(self.archives, weights)
        _check_alike(self.archives)
        if batch_size < 1 or host_count < 1 or batch_size % host_count or not 0 <= host_index < host_count:
            raise InputError(
                f"expected a batch that {host_count} hosts share evenly, found {batch_size} samples, host {host_index}"
            )
        if seed < 0:
            raise InputError(f"seed: expected 0 or more, found {seed}")
        self.batch_size, self.seed = batch_size, seed
        own = batch_size // host_count
        self._rows = range(host_index * own, (host_index + 1) * own)
        self._order = _order(self.archives, self.weights, seed)
        self._threads = threads or min(os.cpu_count() or 1, 16)
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="samples")

    @property
    def head(self) -> str:
        return self.archives[0].head

    @property
    def vertex_count(self) -> int:
        return self.archives[0].vertex_count

    @property
    def side(self) -> int:
        return self.archives[0].side

    @property
    def epoch_samples(self) -> int:
        """Samples of all archives together."""
        return sum(len(archive) for archive in self.archives)

    def sample_ids(self, step: int) -> list[tuple[int, int]]:
        """(archive, sample) of this host's rows of the batch at a step."""
        return [self._order[int(step) * self.batch_size + row] for row in self._rows]

    def batch(self, step: int) -> SampleBatch:
        """This host's rows of the batch at a step, NumPy arrays; the same whenever it is asked for.

        Raises InputError for a negative step and where whole stretches of an archive are damaged.
        """
        return self._collected(step, self._requested(step))

    def batches(self, first_step: int = 0) -> Iterator[SampleBatch]:
        """The batches from a step on, without end; the next ones are read while one is in use."""
        waiting: deque[tuple[int, list[Future[Sample]]]] = deque()
        step = first_step
        try:
            while True:
                while len(waiting) <= AHEAD:
                    waiting.append((step, self._requested(step)))
                    step += 1
                yield self._collected(*waiting.popleft())
        finally:
            for _, futures in waiting:
                for future in futures:
                    future.cancel()

    def _requested(self, step: int) -> list[Future[Sample]]:
        if step < 0:
            raise InputError(f"expected a step from 0 on, found {step}")
        return [self._pool.submit(self.archives[which].__getitem__, index) for which, index in self.sample_ids(step)]

    def _collected(self, step: int, futures: list[Future[Sample]]) -> SampleBatch:
        index = step * self.batch_size + np.arange(self._rows.start, self._rows.stop, dtype=np.uint64)
        return stack_samples([future.result() for future in futures], index % 2**32)


class _Shuffled:
    """The samples of one archive again and again, in another order in every epoch, by number and without reading them.

    A permutation is kept for each epoch in use: drawing single numbers of it, as grain's own shuffling does, takes
    milliseconds a sample where an archive is small.
    """

    def __init__(self, which: int, count: int, seed: int) -> None:
        self._which, self._count = which, count
        self._permutation = functools.lru_cache(maxsize=2)(
            lambda epoch: np.random.default_rng([seed, which, epoch]).permutation(count)
        )

    def __len__(self) -> int:
        return sys.maxsize

    def __getitem__(self, index: int) -> tuple[int, int]:
        epoch, place = divmod(int(index), self._count)
        return self._which, int(self._permutation(epoch)[place])


def _order(archives: Sequence[Archive], weights: Sequence[float], seed: int) -> grain.MapDataset[tuple[int, int]]:
    """The endless order of (archive, sample)."""
    endless = [grain.MapDataset.source(_Shuffled(which, len(archive), seed)) for which, archive in enumerate(archives)]
    return grain.MapDataset.mix(endless, weights)


def _proportions(archives: Sequence[Archive], weights: Sequence[float] | None) -> tuple[float, ...]:
    if not archives:
        raise InputError("expected at least one archive of samples, found none")
    given = [float(len(archive)) for archive in archives] if weights is None else [float(weight) for weight in weights]
    if len(given) != len(archives) or not all(np.isfinite(weight) and weight > 0 for weight in given):
        raise InputError(f"expected {len(archives)} weights above 0, one for each archive, found {given}")
    return tuple(weight / sum(given) for weight in given)


def _check_alike(archives: Sequence[Archive]) -> None:
    first = archives[0]
    for other in archives[1:]:
        if (other.head, other.vertex_count) != (first.head, first.vertex_count):
            raise InputError(
                f"archives of one mixture must share the head: {first.folder} has {first.head} ({first.vertex_count} "
                f"vertices), {other.folder} has {other.head} ({other.vertex_count})"
            )
        if other.side != first.side:
            raise InputError(
                f"archives of one mixture must share the side: {first.folder} has {first.side} px, {other.folder} has "
                f"{other.side} px; prepare one of them again"
            )
