"""Progress of long work: a bar in terminals and notebooks, one line an interval in logs."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator, Sized
from types import TracebackType
from typing import Any, TypeVar

Item = TypeVar("Item")


class Progress:
    """Shows how far some work is.

    In a terminal or a live notebook this is a bar. Elsewhere (papermill, Slurm, CI)
    one line is printed every ``interval_sec`` seconds, and one at the end of work
    that took longer than that. ``EGOLIB_PROGRESS=off`` silences both.
    """

    def __init__(
        self,
        what: str,
        total: int | None = None,
        *,
        unit: str = "it",
        start: int = 0,
        interval_sec: float = 30.0,
    ):
        self.what, self.total, self.unit = what, total, unit
        self.count, self._first, self._interval = start, start, interval_sec
        self._begin = self._last = time.monotonic()
        self._mode = _mode()
        self._bar: Any = None
        self._note = ""

    def __enter__(self) -> Progress:
        if self._mode == "bar":
            from tqdm.auto import tqdm

            self._bar = tqdm(
                desc=self.what, total=self.total, unit=self.unit, initial=self.count, leave=False
            )
        return self

    def step(self, count: int = 1, note: str = "") -> None:
        """Counts finished items; ``note`` (a loss, a file) is shown behind the rate."""
        self.count += count
        self._note = note or self._note
        if self._bar is not None:
            self._bar.update(count)
            if note:
                self._bar.set_postfix_str(note)
        elif self._mode == "lines" and time.monotonic() - self._last >= self._interval:
            self._last = time.monotonic()
            print(self._line(), flush=True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()
        elif self._mode == "lines" and time.monotonic() - self._begin >= self._interval:
            print(self._line(), flush=True)

    def _line(self) -> str:
        done = self.count - self._first
        rate = done / max(time.monotonic() - self._begin, 1e-9)
        total = f"/{self.total}" if self.total else ""
        text = f"{self.what}: {self.count}{total} {self.unit}, {rate:.3g} {self.unit}/s"
        if self.total and self.count < self.total:
            text += f", about {(self.total - self.count) / max(rate, 1e-9):.0f} s left"
        return f"{text}, {self._note}" if self._note else text


def track(
    items: Iterable[Item],
    what: str,
    *,
    total: int | None = None,
    unit: str = "it",
    interval_sec: float = 30.0,
) -> Iterator[Item]:
    """Yields the items and shows how far the work is (see ``Progress``).

    Args:
        items: what is gone through.
        what: the name that is shown.
        total: how many; None for ``len(items)``, where there is one.
        unit: of one item.
        interval_sec: between lines in a log.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    with Progress(what, total, unit=unit, interval_sec=interval_sec) as progress:
        for item in items:
            yield item
            progress.step()


def _mode() -> str:
    wanted = os.environ.get("EGOLIB_PROGRESS", "auto")
    if wanted != "auto":
        return wanted  # off, bar or lines
    if os.environ.get("EGOLIB_HEADLESS"):
        return "lines"
    return "bar" if "ipykernel" in sys.modules or sys.stderr.isatty() else "lines"
