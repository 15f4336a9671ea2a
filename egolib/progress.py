"""Progress of long work: a bar in terminals and notebooks, one line an interval in logs.

Where a runner started the process, it also reports to the file that ``EGOLIB_PROGRESS_FILE``
names, which the runner shows.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sized
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

Item = TypeVar("Item")

PROGRESS_FILE = "progress.json"
REPORT_SEC = 0.5


class Progress:
    """Shows how far some work is.

    In a terminal or a live notebook this is a bar. Elsewhere (papermill, Slurm, CI)
    one line is printed every ``interval_sec`` seconds, and one at the end of work
    that took longer than that. ``EGOLIB_PROGRESS=off`` silences both.

    Args:
        what: what is being done, in a few words.
        total: how many items there are; None where nobody knows.
        unit: what an item is called.
        start: items that were done before.
        interval_sec: seconds between two lines of a log.
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
        self._report_to = os.environ.get("EGOLIB_PROGRESS_FILE")
        self._reported = 0.0
        self._bar: Any = None
        self._note = ""

    def __enter__(self) -> Progress:
        if self._mode == "bar":
            from tqdm.auto import tqdm

            self._bar = tqdm(
                desc=self.what, total=self.total, unit=self.unit, initial=self.count, leave=False
            )
        self._report()
        return self

    def step(self, count: int = 1, note: str = "") -> None:
        """Counts finished items; ``note`` (a loss, a file) is shown behind the rate."""
        self.count += count
        self._note = note or self._note
        self._report()
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
        self._report(now=True)
        if self._bar is not None:
            self._bar.close()
        elif self._mode == "lines" and time.monotonic() - self._begin >= self._interval:
            print(self._line(), flush=True)

    def _line(self) -> str:
        return f"{self.what}: {line(self._state())}"

    def _state(self) -> dict[str, Any]:
        rate = (self.count - self._first) / max(time.monotonic() - self._begin, 1e-9)
        return {
            "what": self.what,
            "count": self.count,
            "total": self.total,
            "unit": self.unit,
            "rate": rate,
            "note": self._note,
        }

    def _report(self, now: bool = False) -> None:
        """Tells the runner; a report that cannot be written must not stop the work."""
        if not self._report_to or (not now and time.monotonic() - self._reported < REPORT_SEC):
            return
        self._reported = time.monotonic()
        temporary = Path(f"{self._report_to}.{os.getpid()}")
        with suppress(OSError):
            temporary.write_text(json.dumps(self._state()))
            temporary.replace(self._report_to)


def line(state: Mapping[str, Any]) -> str:
    """A report as a line: how far, how fast, how long still, and the note.

    >>> line({"count": 5, "total": 20, "unit": "clip", "rate": 2.5, "note": "loss 0.1"})
    '5/20 clip, 2.5 clip/s, about 6 s left, loss 0.1'
    """
    count, total, unit, rate = (state[k] for k in ("count", "total", "unit", "rate"))
    text = f"{count}{f'/{total}' if total else ''} {unit}, {rate:.3g} {unit}/s"
    if total and count < total and rate > 0:
        text += f", about {_duration((total - count) / rate)} left"
    return f"{text}, {state['note']}" if state["note"] else text


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


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
