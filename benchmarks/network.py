"""The alignment network beside the same network in PyTorch: latency, crops per second, and whether both agree.

    pip install flowface-jax[peers]
    python benchmarks/network.py [--backbones mit_b0 mit_b5] [--batches 1 32] [--device cpu] [--minutes 14]

The peer is Hugging Face's SegFormer with a literal RAFT update block (`torch_alignment_network.py`), with the same
random weights. Outputs are compared before anything is timed. Everybody takes turns on the same threads, so that
whatever else the machine does hits all. PyTorch runs in inference mode, in both memory layouts, and compiled with
--compile; its fastest counts. On GPUs in bfloat16 too (PyTorch by autocast). What does not fit into --minutes is named
and left out. Compiling is not part of any time. On a busy machine compare with --threads 1: libraries that share work
out evenly wait for their slowest thread, which says more about the neighbours than about them.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

BACKBONES = ("mit_b0", "mit_b1", "mit_b2", "mit_b5")
AGREEMENT = 1e-3
"""Cells by which flow and log σ may differ in float32."""


@dataclass(frozen=True)
class Pair:
    """Both networks with the same weights. variables: ours, on the device."""

    config: Any
    variables: Any
    theirs: Any


def main() -> None:
    """Print one table, row by row."""
    options = _options()
    if hasattr(os, "sched_setaffinity") and options.threads:
        os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[: options.threads]))
    # Both libraries share the device's memory.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    if options.device == "cpu":
        os.environ["JAX_PLATFORMS"] = "cpu"
    import jax
    import torch

    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision("high")
    device = torch.cuda.get_device_name() if options.device == "cuda" else f"CPU, {threads} threads"
    print(f"{device}; jax {jax.__version__}, torch {torch.__version__}; {options.size} px; load {_load()}")
    print("Milliseconds per batch: median (smallest). Ratio: PyTorch's median by ours.")
    print(
        "| backbone | batch | type | ours | PyTorch | ratio | crops/s ours | PyTorch | TFLOP/s ours | load | differ |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    deadline, left_out = time.monotonic() + 60 * options.minutes, []
    precisions = ("float32", "bfloat16") if options.device == "cuda" else ("float32",)
    single: dict[tuple[str, str], float] = {}
    for batch in sorted(options.batches):
        for backbone in options.backbones:
            pair = _pair(backbone, options)
            for precision in precisions:
                expected = single.get((backbone, precision), 0.0) * batch
                # Twice the slowest's time for each of three runners is the least that is measured.
                if time.monotonic() + 6 * expected > deadline:
                    left_out.append(f"{backbone} batch {batch} {precision} (about {6 * expected:.0f} s)")
                    continue
                seconds = _measure(pair, backbone, batch, precision, options, deadline)
                single.setdefault((backbone, precision), seconds / batch)
    print(f"Left out for lack of time: {'; '.join(left_out) or 'nothing'}. Load {_load()}.")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbones", nargs="+", default=list(BACKBONES))
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--size", type=int, default=512, help="side of the crop, px")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=14.0)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=0, help="CPU cores for everybody; 0: all")
    parser.add_argument("--compile", action="store_true", help="PyTorch compiled, besides eager")
    parser.add_argument("--peak-tflops", type=float, default=0.0, help="of the chip, to print the share of it")
    return parser.parse_args()


def _pair(backbone: str, options: argparse.Namespace) -> Pair:
    import jax
    from torch_alignment_network import AlignmentNetwork, our_variables, randomise

    from flowface_jax.network.config import NetworkConfig

    config = NetworkConfig(backbone, image_size=options.size, uv_size=options.size // 8, norm_epsilon="huggingface")
    theirs = randomise(AlignmentNetwork(config))
    return Pair(config, jax.device_put(our_variables(theirs)), theirs.to(options.device))


def _measure(
    pair: Pair, backbone: str, batch: int, precision: str, options: argparse.Namespace, deadline: float
) -> float:
    """Print one row; the slowest runner's median in seconds."""
    images = np.random.default_rng(0).uniform(size=(batch, options.size, options.size, 3)).astype(np.float32)
    ours, flops = _our_runner(pair, images, precision)
    runners = {"ours": ours, **_torch_runners(pair, images, precision, options)}
    difference = _difference(ours(), runners["contiguous"]())
    if precision == "float32" and difference > AGREEMENT:
        sys.exit(f"{backbone}: the two networks differ by {difference:.2g} cells; their times say nothing")
    times: dict[str, list[float]] = {name: [] for name in runners}
    for index in range(options.repeats + 1):
        started = time.monotonic()
        for name, run in runners.items():
            before = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - before)
        if index and 2 * time.monotonic() - started > deadline:
            break
    # The first round warms up.
    rounds = {name: values[1:] for name, values in times.items()}
    medians = {name: statistics.median(values) for name, values in rounds.items()}
    peer = min((name for name in medians if name != "ours"), key=medians.get)
    own, other = medians["ours"], medians[peer]
    rate = flops / own / 1e12
    share = f" ({100 * rate / options.peak_tflops:.0f} %)" if options.peak_tflops else ""
    shown = lambda name: f"{1e3 * medians[name]:.0f} ({1e3 * min(rounds[name]):.0f})"
    print(
        f"| {backbone} | {batch} | {precision} | {shown('ours')} | {shown(peer)} {peer} | {other / own:.2f} "
        f"| {batch / own:.2f} | {batch / other:.2f} | {rate:.3f}{share} | {_load()} | {difference:.1e} |",
        flush=True,
    )
    return max(medians.values())


def _our_runner(pair: Pair, images: np.ndarray, precision: str) -> tuple[Callable[[], Any], float]:
    """The compiled network on its inputs, and its floating-point operations."""
    import jax
    import jax.numpy as jnp

    from flowface_jax.network.alignment_network import AlignmentNetwork, apply_one_by_one

    network = AlignmentNetwork(pair.config, jnp.dtype(precision))
    # As prediction does it.
    apply = apply_one_by_one if jax.default_backend() == "cpu" else AlignmentNetwork.apply
    lowered = jax.jit(partial(apply, network)).lower(pair.variables, images)
    # Of all crops together: operations inside a loop are counted once, however often it runs.
    cost = jax.jit(network.apply).lower(pair.variables, images).cost_analysis() or {}
    compiled, on_device = lowered.compile(), jax.device_put(images)

    def run() -> tuple[Any, Any]:
        output = jax.block_until_ready(compiled(pair.variables, on_device))
        return output.flow, output.log_std

    return run, float(cost.get("flops", 0.0))


def _torch_runners(
    pair: Pair, images: np.ndarray, precision: str, options: argparse.Namespace
) -> dict[str, Callable[[], Any]]:
    """The peer by memory layout, eager and, if asked for, compiled."""
    import copy

    import torch

    layouts = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
    given = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).to(options.device)
    runners = {}
    for name, layout in layouts.items():
        network, inputs = copy.deepcopy(pair.theirs).to(memory_format=layout), given.to(memory_format=layout)
        runners[name] = _torch_runner(network, inputs, precision, options.device)
        if options.compile:
            runners[f"{name} compiled"] = _torch_runner(torch.compile(network), inputs, precision, options.device)
    return runners


def _torch_runner(network: Any, inputs: Any, precision: str, device: str) -> Callable[[], Any]:
    import torch

    def run() -> tuple[Any, Any]:
        with torch.inference_mode(), torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16"):
            output = network(inputs)
        if device == "cuda":
            torch.cuda.synchronize()
        return output

    return run


def _difference(ours: tuple[Any, Any], theirs: tuple[Any, Any]) -> float:
    """The largest difference of flow and log σ, in cells."""
    flow, log_std = (value.float().cpu().numpy() for value in theirs)
    flow_error = np.abs(np.asarray(ours[0]) - np.moveaxis(flow, 2, -1)).max()
    return float(max(flow_error, np.abs(np.asarray(ours[1]) - log_std[:, :, 0]).max()))


def _load() -> str:
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"


if __name__ == "__main__":
    main()
