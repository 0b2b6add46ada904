"""Throughput of `flowface track-all` with one worker and with several, on copies of a clip.

    python benchmarks/batches.py --clip clip.mp4 --copies 4 --jobs 1,2

Every worker tracks a clip before the clock starts, so that neither starting nor compiling is counted.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from pathlib import Path

from flowface_jax import clusters
from flowface_jax.batches import BatchSettings, Resources, run_batch
from flowface_jax.fitting.config import config_from_mapping
from flowface_jax.pipeline import TRACK_CONFIG


def main() -> None:
    """Print clips per minute for each number of workers, and its ratio to the first."""
    options = _options()
    fit = config_from_mapping(dict(item.split("=", 1) for item in options.set), TRACK_CONFIG)
    settings = BatchSettings(overlay=options.overlay, fit=fit)
    first = None
    print(f"{options.copies} copies of {options.clip.name}, {os.cpu_count()} CPUs")
    for jobs in (int(part) for part in options.jobs.split(",")):
        seconds = _seconds(options.clip, options.copies, jobs, settings)
        rate = 60 * options.copies / seconds
        first = first or rate
        print(f"{jobs} worker(s): {seconds:7.1f} s, {rate:6.2f} clips a minute, {rate / first:.2f} times the first")


def _seconds(clip: Path, copies: int, jobs: int, settings: BatchSettings) -> float:
    """Wall time of a batch on workers that are warm."""
    ray = clusters.import_ray("the benchmark needs Ray: pip install 'flowface-jax[batches]'")
    with tempfile.TemporaryDirectory() as name, clusters.connected(ray, "local"):
        folder = Path(name)
        resources = Resources(jobs, address="local")
        run_batch(_copies(clip, jobs, folder / "warm"), folder / "warm_out", settings, resources)
        source = _copies(clip, copies, folder / "clips")
        started = time.perf_counter()
        batch = run_batch(source, folder / "out", settings, resources)
        seconds = time.perf_counter() - started
    if batch.failures:
        raise SystemExit(f"{batch.failures[0].input}: {batch.failures[0].error}")
    return seconds


def _copies(clip: Path, count: int, folder: Path) -> Path:
    folder.mkdir()
    for number in range(count):
        shutil.copyfile(clip, folder / f"{number:03d}{clip.suffix}")
    return folder


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, required=True, help="what is tracked")
    parser.add_argument("--copies", type=int, default=4, help="how often")
    parser.add_argument("--jobs", default="1,2", metavar="N,N", help="numbers of workers")
    parser.add_argument("--overlay", action="store_true", help="write the overlay videos, too")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="settings of the fit")
    return parser.parse_args()


if __name__ == "__main__":
    main()
