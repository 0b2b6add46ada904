"""Training crops per second, on one core and by two pinned processes, with the seconds that the first one takes.

    python benchmarks/synthesis.py [--head PATH_TO_ICT] [--sizes 256 512] [--cores 0 1]

A crop here is what training needs: image, vertices and dense map; other truth that is not asked for is not computed.
One process per core, because XLA gains little from a second core at these sizes. Linux (it pins processes).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time

BATCH, SECONDS = 8, 12.0


def main() -> None:
    """Print a table; with --worker, measure in this process."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--head", default="generic")
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512])
    parser.add_argument("--cores", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--worker", type=int, default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker is not None:
        measure(options.head, options.worker)
        return
    print("| head | size | processes | crops/s | first batch s |")
    print("|---|---|---|---|---|")
    for size in options.sizes:
        for count in range(1, len(options.cores) + 1):
            rates, first = zip(*_workers(options.head, size, options.cores[:count]), strict=True)
            name = os.path.basename(options.head).removesuffix(".npz")
            print(f"| {name} | {size} | {count} | {sum(rates):.1f} | {max(first):.0f} |", flush=True)


def _workers(head: str, size: int, cores: list[int]) -> list[tuple[float, float]]:
    """One measuring process per core, at the same time."""
    command = [sys.executable, __file__, "--head", head, "--worker", str(size)]
    running = [
        subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, preexec_fn=lambda c=core: os.sched_setaffinity(0, {c})
        )
        for core in cores
    ]
    outputs = [process.communicate()[0] for process in running]
    return [tuple(float(number) for number in output.split()[-2:]) for output in outputs]


def measure(head: str, size: int) -> None:
    """Print crops per second, and the seconds until the first batch."""
    import jax
    import jax.numpy as jnp

    from flowface_jax import load_head
    from flowface_jax.synthesis.assets import RenderAssets, make_render_assets
    from flowface_jax.synthesis.crops import crops

    @jax.jit
    def batch(assets: RenderAssets, first: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        made = crops(assets, 0, first, BATCH, size)
        return made.image, made.truth.vertices, made.truth.dense

    started = time.perf_counter()
    assets = make_render_assets(load_head(head))
    jax.block_until_ready(batch(assets, jnp.uint32(0)))
    first = time.perf_counter() - started
    count, started = 0, time.perf_counter()
    while time.perf_counter() - started < SECONDS:
        count += BATCH
        jax.block_until_ready(batch(assets, jnp.uint32(count)))
    print(count / (time.perf_counter() - started), first)


if __name__ == "__main__":
    main()
