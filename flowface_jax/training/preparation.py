"""`flowface prepare`: a data set in its released layout becomes a folder of training samples."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from typing import Any

from flowface_jax.errors import InputError
from flowface_jax.heads.model import HeadModel
from flowface_jax.reporting import Bar, Reporter, SilentReporter
from flowface_jax.training.archive import ArchiveKind, ArchiveWriter, open_writer
from flowface_jax.training.datasets import Problems, Reader, Unit
from flowface_jax.training.datasets.source import chosen_units
from flowface_jax.training.labelling import label
from flowface_jax.training.samples import Refusal, Sample, SampleConfig

UNITS_PER_SHARD = 8
"""Units (an expression, a sequence) in one shard: some hundreds of samples, so that little is lost to an interruption
and random reading opens few files."""
MOST_WARNINGS = 20

logger = logging.getLogger(__name__)


class _Stopped(Exception):
    """Another thread failed, or the user interrupted."""


@dataclass(frozen=True)
class _Job:
    reader: Reader
    head: HeadModel
    config: SampleConfig
    units: tuple[Unit, ...]
    writer: ArchiveWriter
    progress: _Progress
    stop: threading.Event

    def units_of(self, shard: int) -> tuple[Unit, ...]:
        return self.units[shard * UNITS_PER_SHARD : (shard + 1) * UNITS_PER_SHARD]

    def write(self, shard: int) -> None:
        """One shard from its units."""
        refused: Counter[str] = Counter()
        self.writer.write_shard(shard, self._samples(shard, refused), refused)

    def _samples(self, shard: int, refused: Counter[str]) -> Iterator[Sample]:
        for unit in self.units_of(shard):
            problems = Problems(f"{self.reader.dataset} {unit}")
            made = 0
            for view in self.reader.views(unit, problems):
                if self.stop.is_set():
                    raise _Stopped
                sample = label(view, self.head, self.config)
                if isinstance(sample, Refusal):
                    refused[sample.reason] += 1
                else:
                    made += 1
                    yield sample
            refused.update(problems.counts)
            self.progress.unit_done(problems.warnings(), made)


def prepare(
    reader: Reader,
    head: HeadModel,
    out: str | os.PathLike[str],
    config: SampleConfig | None = None,
    jobs: int = 1,
    overwrite: bool = False,
    reporter: Reporter | None = None,
) -> dict[str, Any]:
    """Write the samples of all the reader's units to the folder `out` and return its description.

    jobs: threads; the bytes do not depend on it. What was interrupted goes on when called again with the same
    settings; a finished folder is replaced with `overwrite` alone. Raises InputError where the folder is in use, or not
    one sample can be made.
    """
    config = config or SampleConfig()
    if jobs < 1:
        raise InputError(f"jobs: expected 1 or more, found {jobs}")
    units = tuple(chosen_units(reader))
    shards = -(-len(units) // UNITS_PER_SHARD)
    listing = hashlib.sha256("\n".join(map(str, units)).encode("utf-8")).hexdigest()
    kind = ArchiveKind(
        reader.dataset,
        head.name,
        head.vertex_count,
        config.side,
        {
            "sample": asdict(config),
            "reader": asdict(reader.settings),
            "units": len(units),
            "units_sha256": listing,
            "units_per_shard": UNITS_PER_SHARD,
        },
    )
    writer = open_writer(out, kind, shards, overwrite)
    bar = (reporter or SilentReporter()).bar("prepare", len(units), "scan" if reader.dataset == "stirling" else "unit")
    missing = writer.missing()
    done = sum(len(units[s * UNITS_PER_SHARD : (s + 1) * UNITS_PER_SHARD]) for s in set(range(shards)) - set(missing))
    job = _Job(reader, head, config, units, writer, _Progress(bar, done), threading.Event())
    try:
        _run(job, missing, jobs)
    finally:
        bar.close()
        job.progress.conclude()
    return writer.finish()


def _run(job: _Job, shards: list[int], jobs: int) -> None:
    with ThreadPoolExecutor(jobs, thread_name_prefix="prepare") as pool:
        futures = [pool.submit(job.write, shard) for shard in shards]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        except BaseException:
            job.stop.set()
            for future in futures:
                future.cancel()
            raise


class _Progress:
    """The bar and the warnings of several threads."""

    def __init__(self, bar: Bar, done: int) -> None:
        self._bar, self._done, self._samples = bar, done, 0
        self._warnings: list[str] = []
        self._lock = threading.Lock()
        bar.advance_to(done)

    def unit_done(self, warnings: list[str], samples: int) -> None:
        with self._lock:
            self._done += 1
            self._samples += samples
            self._warnings += warnings
            warned = f", {len(self._warnings)} warnings" if self._warnings else ""
            self._bar.advance_to(self._done, f"{self._samples} samples{warned}")

    def conclude(self) -> None:
        """Give the first warnings, below the bar, and the number of the others."""
        for line in sorted(self._warnings)[:MOST_WARNINGS]:
            logger.warning("%s", line)
        if len(self._warnings) > MOST_WARNINGS:
            logger.warning("%d more like these; all that was left out is counted", len(self._warnings) - MOST_WARNINGS)
