"""What a training step costs on one device and on several: images a second, collectives, bytes that they move.

    python benchmarks/training.py [--config configs/small_rendered.py] [--devices 1 2 4 8] [--per-device 2] [--steps 5]

The batch of each device is fixed, so that perfect scaling keeps the seconds of a step. On a CPU the devices are
simulated and share its cores: what is measured there is the cost of sharing, in collectives and bytes; the images a
second of all of them together should stay those of one. Crops are noise made beforehand: neither reading, augmenting
nor rendering is in the numbers.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

BYTES = {"f32": 4, "bf16": 2, "s32": 4, "u32": 4, "pred": 1, "f16": 2}


def main() -> None:
    """Measure every count in a process of its own: devices cannot be added later."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="configs/small_rendered.py", help="FILE or FILE:ROW")
    parser.add_argument("--devices", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--per-device", type=int, default=2, help="crops of each device")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--out", default="", help="folder for training.json")
    parser.add_argument("--one", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.config, options.one, options.per_device, options.steps)))
        return
    rows = []
    print("| devices | batch | s/step | images/s | all-reduces | MB reduced | GFLOP/image | compiling |")
    print("|---|---|---|---|---|---|---|---|")
    for count in options.devices:
        command = [sys.executable, __file__, "--config", options.config, "--one", str(count)]
        command += ["--per-device", str(options.per_device), "--steps", str(options.steps)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        row = json.loads(done.stdout.splitlines()[-1])
        rows.append(row)
        print(
            f"| {count} | {row['batch']} | {row['step_s']:.2f} | {row['images_per_s']:.1f} | {row['collectives']} "
            f"| {row['collective_mb']:.1f} | {row['gflop_per_image']:.1f} | {row['compile_s']:.0f} s |",
            flush=True,
        )
    if options.out:
        Path(options.out).mkdir(parents=True, exist_ok=True)
        (Path(options.out) / "training.json").write_text(json.dumps(rows, indent=1))


def measure(config_file: str, devices: int, per_device: int, steps: int) -> dict[str, Any]:
    """Compile the mapped step and take some."""
    import jax
    import numpy as np

    if "cpu" in (jax.config.jax_platforms or "cpu"):
        jax.config.update("jax_num_cpu_devices", devices)
    from flowface_jax.heads.source import load_head
    from flowface_jax.training.batches import CropBatch
    from flowface_jax.training.devices import mapped, replicated, usable_devices
    from flowface_jax.training.optimiser import make_optimiser
    from flowface_jax.training.run import first_variables, make_network
    from flowface_jax.training.state import initial_state
    from flowface_jax.training.step import Recipe, device_step
    from flowface_jax.training.supervision import make_supervision

    config = _config(config_file)
    head, network, used = load_head(config.data.head), make_network(config), usable_devices(devices)
    recipe = Recipe(network, config.loss, make_optimiser(config.optimiser, 1000), 0, 1, config.run.average_decay)
    state = initial_state(first_variables(config, network), recipe.optimiser, config.run.average_decay > 0)
    state = replicated(state, used)
    constants = replicated((make_supervision(head, config.model.map_size), None), used)
    random, side = np.random.default_rng(0), config.model.image_size
    batch = CropBatch(
        random.random((devices, per_device, side, side, 3), np.float32),
        random.uniform(0, side, (devices, per_device, head.vertex_count, 2)).astype(np.float32),
        np.ones((devices, per_device, head.vertex_count), bool),
    )
    step = mapped(device_step(recipe, lambda _, crops, key: crops), used, "pmap")
    started = time.perf_counter()
    compiled = step.lower(state, constants, batch).compile()
    compile_s = time.perf_counter() - started
    state = jax.block_until_ready(step(state, constants, batch))[0]
    seconds = []
    for _ in range(steps):
        started = time.perf_counter()
        state, terms = jax.block_until_ready(step(state, constants, batch))
        seconds.append(time.perf_counter() - started)
    count, moved = collectives(compiled.as_text())
    spent = statistics.median(seconds)
    cost = compiled.cost_analysis()
    cost = cost[0] if isinstance(cost, list) else cost
    return {
        "devices": devices,
        "device": used[0].device_kind,
        "batch": devices * per_device,
        "step_s": spent,
        "images_per_s": devices * per_device / spent,
        "collectives": count,
        "collective_mb": moved / 1e6,
        "gflop_per_image": cost.get("flops", float("nan")) / per_device / 1e9,
        "compile_s": compile_s,
    }


def collectives(text: str) -> tuple[int, int]:
    """How many all-reduces a compiled program has, and the bytes that each device gives to them."""
    count = moved = 0
    for line in text.splitlines():
        found = re.search(r"= (.*?) all-reduce(?:-start)?\(", line)
        if found is None:
            continue
        count += 1
        for kind, shape in re.findall(r"(\w+)\[([\d,]*)\]", found.group(1)):
            size = BYTES.get(kind, 4)
            for side in filter(None, shape.split(",")):
                size *= int(side)
            moved += size
    return count, moved


def _config(config_file: str) -> Any:
    from flowface_jax.training.experiment import as_training_config

    path, _, row = config_file.partition(":")
    spec = importlib.util.spec_from_file_location("config", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return as_training_config(module.get_config(row) if row else module.get_config())


if __name__ == "__main__":
    main()
