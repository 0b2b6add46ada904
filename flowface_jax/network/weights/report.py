"""What became of every tensor of a foreign checkpoint."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

NOT_KNOWN = "not part of the published network"


@dataclass(frozen=True)
class Entry:
    """One foreign tensor: name, shape, the own variables it was loaded as, or else the reason why it was not."""

    name: str
    shape: tuple[int, ...]
    loaded_as: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class Report:
    """One entry for each tensor, by name."""

    entries: tuple[Entry, ...] = ()

    @staticmethod
    def of(entries: Iterable[Entry]) -> Report:
        """The report of these entries, sorted by name."""
        return Report(tuple(sorted(entries, key=lambda entry: entry.name)))

    @property
    def loaded(self) -> tuple[Entry, ...]:
        """The tensors that were loaded."""
        return tuple(entry for entry in self.entries if entry.loaded_as)

    @property
    def skipped(self) -> tuple[Entry, ...]:
        """The tensors that were left out."""
        return tuple(entry for entry in self.entries if not entry.loaded_as)

    def summary(self) -> str:
        """How many tensors were loaded and left out, and why, in one line."""
        reasons = Counter(entry.reason for entry in self.skipped)
        why = "; ".join(f"{count} × {reason}" for reason, count in sorted(reasons.items()))
        line = f"{len(self.loaded)} of {len(self.entries)} tensors loaded, {len(self.skipped)} left out"
        return f"{line} ({why})" if why else line

    def table(self) -> str:
        """The summary and a line for each tensor, as text."""
        left = [f"{entry.name} [{','.join(map(str, entry.shape))}]" for entry in self.entries]
        width = max(map(len, left), default=0)
        lines = [self.summary()]
        for name, entry in zip(left, self.entries, strict=True):
            fate = ", ".join(entry.loaded_as) if entry.loaded_as else f"left out: {entry.reason}"
            lines.append(f"{name:<{width}}  {fate}")
        return "\n".join(lines)

    def to_json(self) -> str:
        """The report as JSON text."""
        return json.dumps([[e.name, list(e.shape), list(e.loaded_as), e.reason] for e in self.entries])

    @staticmethod
    def from_json(text: str) -> Report:
        """The report that `to_json` wrote. Raises ValueError for other text."""
        rows = json.loads(text)
        try:
            return Report(tuple(Entry(n, tuple(shape), tuple(own), reason) for n, shape, own, reason in rows))
        except TypeError as error:
            raise ValueError(str(error)) from None
