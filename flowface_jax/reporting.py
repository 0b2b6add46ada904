"""How long jobs tell how far they are: a reporter makes bars; the default one is silent."""

from __future__ import annotations

from typing import Protocol

from tqdm import tqdm


class Bar(Protocol):
    """One stage of a job."""

    def advance_to(self, done: int, note: str = "") -> None:
        """Say how much is done, and anything worth showing beside it."""

    def close(self) -> None:
        """The stage is over."""


class Reporter(Protocol):
    """Makes a bar for each stage."""

    def bar(self, title: str, total: int | None, unit: str) -> Bar:
        """Start a stage of `total` units (None where that is not known)."""


class _SilentBar:
    def advance_to(self, done: int, note: str = "") -> None:
        return

    def close(self) -> None:
        return


class SilentReporter:
    """Tells nothing."""

    def bar(self, title: str, total: int | None, unit: str) -> Bar:
        return _SilentBar()


class _TerminalBar:
    def __init__(self, title: str, total: int | None, unit: str) -> None:
        self._bar = tqdm(desc=f"{title:<10}", total=total, unit=f" {unit}", dynamic_ncols=True)

    def advance_to(self, done: int, note: str = "") -> None:
        if note:
            self._bar.set_postfix_str(note, refresh=False)
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        # A stage that ends early (converged, or fewer frames than the container promised) is complete all the same.
        self._bar.total = self._bar.n
        self._bar.close()


class TerminalReporter:
    """Progress bars with the time left, on standard error."""

    def bar(self, title: str, total: int | None, unit: str) -> Bar:
        return _TerminalBar(title, total, unit)
