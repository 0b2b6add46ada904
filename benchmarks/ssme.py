"""The screen space motion error of a sequence in half of Multiface's resolution, beside plain NumPy, frame by frame.

    python benchmarks/ssme.py                         # 120 frames of 667 x 1024 px, 30 windows
    python benchmarks/ssme.py --frames 40 --windows 10 --plain-frames 1

The built-in head speaks and turns; the prediction is the same head, a little smaller, late and trembling. The plain
way draws each frame triangle by triangle into a depth buffer and then gathers window by window, all pixels at once: a
few of its frames are timed, and the time of all is inferred. The errors of these frames are compared too.
"""

from __future__ import annotations

import argparse
import time

import jax
import numpy as np
from process_memory import peak_mb, reset_peak, resident_mb

from flowface_jax.evaluation.mesh_sequence import Projected
from flowface_jax.evaluation.ssme import REGIONS, SsmeConfig, screen_space_motion_error
from flowface_jax.heads.generic import generic_head
from flowface_jax.heads.model import HeadModel, vertices

SIZE = (667, 1024)
FOCAL, DISTANCE = 3850.0, 1.1
"""px and m: the head fills the picture as in Multiface."""


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--windows", type=int, default=30)
    parser.add_argument("--plain-frames", type=int, default=3, help="frames that the plain way computes")
    options = parser.parse_args()
    head = generic_head()
    triangles, valid = np.asarray(head.triangles), np.ones(options.frames, bool)
    truth, prediction = projected(head, options.frames, 0), projected(head, options.frames, 1)
    regions = {name: np.asarray(head.regions[name]) for name in REGIONS}
    config = SsmeConfig(longest_window=options.windows)

    def ours(count: int) -> tuple[float, object]:
        cut = [Projected(p.pixels[:count], p.depth[:count], SIZE) for p in (prediction, truth)]
        start = time.perf_counter()
        result = screen_space_motion_error(
            cut[0], triangles, valid[:count], cut[1], triangles, valid[:count], regions, config
        )
        return time.perf_counter() - start, result

    # A few frames first: the time of compiling is given by itself.
    warm, _ = ours(3)
    reset_peak()
    before = resident_mb()
    seconds, result = ours(options.frames)
    memory = peak_mb() - before
    chosen = np.linspace(0, options.frames - 1 - options.windows, options.plain_frames).astype(int)
    start = time.perf_counter()
    found = [plain_frame(prediction, truth, triangles, regions["face"], t, options.windows) for t in chosen]
    plain = (time.perf_counter() - start) / len(chosen) * (options.frames - 1)
    difference = np.abs(np.stack(found) - result.per_frame[chosen, :, 0]).max()
    pixels = result.pixels[:-1].mean(0).astype(int).tolist()
    print(f"{options.frames} frames of {SIZE[0]} x {SIZE[1]} px, {options.windows} windows, pixels {pixels}")
    print(f"mean error px: {', '.join(f'{n} {v:.3f}' for n, v in zip(result.regions, result.mean, strict=True))}")
    print("| ours s | first 3 frames with compiling s | peak MB above the start | plain NumPy s | ratio | differ px |")
    print("|---|---|---|---|---|---|")
    print(f"| {seconds:.1f} | {warm:.1f} | {memory:.0f} | {plain:.0f} | {plain / seconds:.1f} | {difference:.1e} |")


def projected(head: HeadModel, frames: int, seed: int) -> Projected:
    """The head speaking and turning; with a seed other than 0 as a tracker of moderate quality would have it."""
    random = np.random.default_rng(5)
    phase = np.arange(frames)[:, None] + (0.5 if seed else 0)
    coefficients = 0.35 * (1 + np.sin(phase * random.uniform(0.1, 0.5, head.expression_size) + random.uniform(0, 6)))
    identity = np.zeros(head.identity_size, np.float32)
    identity[:3] = 0.5 * seed
    shapes = jax.lax.map(lambda e: vertices(head, identity, e), coefficients.astype(np.float32))
    tremble = np.random.default_rng(seed).normal(size=(frames, 2)) * (0.15e-3 if seed else 0)
    angle = 0.35 * np.sin(phase[:, 0] * 0.08)
    cosine, sine, zero = np.cos(angle), np.sin(angle), np.zeros(frames)
    turn = np.stack([cosine, zero, sine, zero, zero + 1, zero, -sine, zero, cosine], -1).reshape(-1, 3, 3)
    world = np.einsum("fij,fvj->fvi", turn, np.asarray(shapes)) * [1, -1, -1] + [0, 0, DISTANCE]
    pixels = FOCAL * world[..., :2] / world[..., 2:] + np.asarray(SIZE) / 2
    pixels = pixels + FOCAL / DISTANCE * tremble[:, None]
    return Projected(pixels.astype(np.float32), world[..., 2].astype(np.float32), SIZE)


def plain_frame(
    prediction: Projected, truth: Projected, triangles: np.ndarray, mask: np.ndarray, frame: int, windows: int
) -> np.ndarray:
    """Errors [N_H] px of one region from one frame, as one would write it down."""
    shown, mix = draw(prediction.pixels[frame], prediction.depth[frame], triangles)
    true, true_mix = draw(truth.pixels[frame], truth.depth[frame], triangles)
    both = (shown >= 0) & (true >= 0)
    both &= mask[triangles].all(1)[true]
    errors = []
    for window in range(1, windows + 1):
        moved = [
            follow(p, triangles[t[both]], m[both], frame + window) - follow(p, triangles[t[both]], m[both], frame)
            for p, t, m in ((prediction, shown, mix), (truth, true, true_mix))
        ]
        errors.append(np.linalg.norm(moved[0] - moved[1], axis=1).mean())
    return np.asarray(errors)


def follow(projected: Projected, ids: np.ndarray, mix: np.ndarray, frame: int) -> np.ndarray:
    """Where surface points are in a frame: [N,2] px."""
    weight = mix * projected.depth[frame][ids]
    return np.einsum("nk,nkc->nc", weight, projected.pixels[frame][ids]) / weight.sum(1, keepdims=True)


def draw(pixels: np.ndarray, depth: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Triangle [H,W] and barycentrics [H,W,3] on the surface, by a depth buffer."""
    width, height = SIZE
    nearest, triangle = np.full((height, width), np.inf), np.full((height, width), -1)
    mix = np.zeros((height, width, 3))
    low = np.maximum(np.ceil(pixels[triangles].min(1) - 0.5), 0).astype(int)
    high = np.minimum(np.floor(pixels[triangles].max(1) - 0.5), [width - 1, height - 1]).astype(int)
    for t in np.flatnonzero((low <= high).all(1)):
        a, b, c = pixels[triangles[t]].astype(np.float64)
        area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
        if area == 0:
            continue
        box = slice(low[t, 1], high[t, 1] + 1), slice(low[t, 0], high[t, 0] + 1)
        x, y = np.arange(low[t, 0], high[t, 0] + 1) + 0.5, np.arange(low[t, 1], high[t, 1] + 1)[:, None] + 0.5
        second = ((x - a[0]) * (c[1] - a[1]) - (y - a[1]) * (c[0] - a[0])) / area
        third = ((b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0])) / area
        weights = np.stack([1 - second - third, second, third], -1)
        inside = (weights >= 0).all(-1)
        weights = weights / depth[triangles[t]]
        z = 1 / weights.sum(-1)
        wins = inside & (z < nearest[box])
        nearest[box][wins], triangle[box][wins] = z[wins], t
        mix[box][wins] = weights[wins] * z[wins, None]
    return triangle, mix


if __name__ == "__main__":
    main()
