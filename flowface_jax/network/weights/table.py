"""Tables of which own layer is which foreign one, and what follows from them for each tensor."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from flowface_jax.network.weights.layouts import Layout, Shape, of_leaf

Shapes = Mapping[str, Shape]
"""Shape of each tensor by name."""

WRAPPERS: Final = ("", "state_dict.", "model.", "module.", "state_dict.module.", "model.module.", "model_state.")
"""What training programs put before the names of a network's tensors."""

FOREIGN_LEAVES: Final = {
    "kernel": "weight",
    "scale": "weight",
    "slope": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}
_PLACE = re.compile(r"\{(\w+)\}")


class UnsuitableError(ValueError):
    """The tensors are of a known architecture, but of a size or form that is not converted."""


@dataclass(frozen=True)
class Layer:
    """One line of a table.

    own: path of our layer, with places for numbers: "encoder/stage_{n}/norm". foreign: the foreign layer's name with
    the same places; {n0} is n − 1, for tables that count from 0. layouts: of leaves that do not lie as usual.
    """

    own: str
    foreign: str
    layouts: Mapping[str, Layout] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """One own variable: path (collection first), shape, the foreign tensor it comes from, and how that lies."""

    own: str
    shape: Shape
    foreign: str
    layout: Layout

    @property
    def foreign_shape(self) -> Shape:
        return self.layout.foreign_shape(self.shape)


@dataclass(frozen=True)
class Plan:
    """What a checkpoint was recognised as, and what becomes of its tensors.

    kind: of the weights. config: its settings. rows: every own variable. skips: (pattern of foreign names, reason) of
    what is left out, the first that matches counting.
    """

    kind: str
    config: Mapping[str, Any]
    rows: tuple[Row, ...]
    skips: tuple[tuple[str, str], ...]


def normalised(own: str, convolution: str, norm: str) -> tuple[Layer, Layer]:
    """The two lines of a convolution and its batch normalisation."""
    return Layer(f"{own}/convolution", convolution), Layer(f"{own}/norm", norm)


def rows_of(shapes: Shapes, layers: Iterable[Layer], prefix: str) -> tuple[Row, ...]:
    """A row for each own variable, in their order, by the first line of the table that fits.

    prefix: before every foreign name. Raises KeyError for a variable that no line fits.
    """
    patterns = [(_pattern(layer.own), layer) for layer in layers]
    rows = []
    for own, shape in shapes.items():
        path, _, leaf = own.partition("/")[2].rpartition("/")
        for pattern, layer in patterns:
            found = pattern.fullmatch(path)
            if found:
                numbers = {name: int(value) for name, value in found.groupdict().items()}
                numbers |= {f"{name}0": value - 1 for name, value in numbers.items()}
                foreign = f"{prefix}{layer.foreign.format(**numbers)}.{FOREIGN_LEAVES[leaf]}"
                rows.append(Row(own, shape, foreign, layer.layouts.get(leaf) or of_leaf(leaf, shape)))
                break
        else:
            raise KeyError(f"{own} is in no line of the table")
    return tuple(rows)


def find_prefix(shapes: Shapes, signatures: Iterable[str], roots: Iterable[str] = ("",)) -> str | None:
    """What stands before a network's names: the first of WRAPPERS × roots under which all `signatures` are."""
    for wrapper in WRAPPERS:
        for root in roots:
            if all(f"{wrapper}{root}{name}" in shapes for name in signatures):
                return wrapper + root
    return None


def count_of(shapes: Shapes, pattern: str) -> int:
    """How many numbered parts there are: one more than the largest number that the pattern's group finds."""
    expression = re.compile(pattern)
    found = (expression.match(name) for name in shapes)
    return 1 + max((int(match.group(1)) for match in found if match), default=-1)


def _pattern(own: str) -> re.Pattern[str]:
    return re.compile(_PLACE.sub(r"(?P<\1>\\d+)", own))
