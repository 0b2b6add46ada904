"""What a run tells: a line of JSON per evaluation, TensorBoard's curves and pictures."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
from tensorboardX import SummaryWriter

from flowface_jax.storage import write_bytes
from flowface_jax.training.validation import Examples
from flowface_jax.viewing.overlay import draw_overlay
from flowface_jax.viewing.tiling import contact_sheet

EVALUATIONS = "evaluations.jsonl"
_log = logging.getLogger(__name__)


class RunLog:
    """The log of a run in a folder, going on after `step`: what an interrupted run said of later steps is taken back.

    `writes`: false on all processes but one.
    """

    def __init__(self, folder: Path, step: int, writes: bool = True) -> None:
        self._folder, self._writes = folder, writes
        self._board: SummaryWriter | None = None
        if not writes:
            return
        kept = [line for line in _lines(folder / EVALUATIONS) if json.loads(line)["step"] <= step]
        write_bytes(folder / EVALUATIONS, "".join(f"{line}\n" for line in kept).encode())
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1 if step else None)

    def __enter__(self) -> RunLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._board is not None:
            self._board.close()

    def scalars(self, step: int, values: Mapping[str, float], group: str) -> None:
        """Points of TensorBoard's curves group/name."""
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(f"{group}/{name}", value, step)

    def evaluation(self, step: int, values: Mapping[str, float | int]) -> None:
        """A line of the evaluations' file, and its curves."""
        if not self._writes:
            return
        with (self._folder / EVALUATIONS).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}, sort_keys=True) + "\n")
        self.scalars(step, values, "validation")

    def examples(self, step: int, examples: Examples, face: np.ndarray) -> None:
        """A sheet of validation crops with what was predicted, into pictures/ and TensorBoard."""
        if self._board is None or not len(examples.image):
            return
        sheet = draw_examples(examples, face)
        coded = cv2.imencode(".png", sheet[..., ::-1])[1]
        write_bytes(self._folder / "pictures" / f"step_{step:08d}.png", coded.tobytes())
        self._board.add_image("examples", sheet, step, dataformats="HWC")


def draw_examples(examples: Examples, face: np.ndarray, points: int = 400) -> np.ndarray:
    """A sheet [H,W,3] uint8 of crops: some of the face's predicted points, coloured by their distance to the truth in
    σ, red from three on. face: [V] bool."""
    chosen = np.flatnonzero(face)
    chosen = chosen[:: max(1, len(chosen) // points)]
    pictures = [
        draw_overlay(
            np.round(np.clip(image, 0, 1) * 255).astype(np.uint8),
            observed_px=mean[chosen],
            points_px=truth[chosen],
            std_px=std[chosen],
        )
        for image, truth, mean, std in zip(*(np.asarray(leaf) for leaf in _leaves(examples)), strict=True)
    ]
    return contact_sheet(pictures, columns=min(4, len(pictures)), cell_width=min(384, pictures[0].shape[1]))


def _leaves(examples: Examples) -> tuple[np.ndarray, ...]:
    return examples.image, examples.points, examples.mean, examples.std


def _lines(path: Path) -> list[str]:
    """The whole lines of a file of JSON lines; one that a killed process left unfinished is dropped."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    if lines[-1]:
        _log.warning("%s: its last line is unfinished and was dropped", path)
    return lines[:-1]
