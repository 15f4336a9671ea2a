"""What a person sees while notebooks run: a line for each running step, in place or in a log.

A step's process reports how far it is in ``progress.json`` (see ``egolib.progress``). In a
terminal there is one bar for each running step; in a log there is a line now and then, without
control characters.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from egolib.config import flatten
from egolib.errors import EgolibError
from egolib.io.records import read_json
from egolib.progress import PROGRESS_FILE, line

Say = Callable[[str], None]
MAIN_METRICS = 3


class Shown(Protocol):
    """What is shown of a running step."""

    @property
    def label(self) -> str: ...

    @property
    def out(self) -> Path: ...


class Lines:
    """A log: everything is a line; running steps report every ``interval_sec`` seconds."""

    def __init__(self, say: Say = print, interval_sec: float = 30.0) -> None:
        self.say, self.interval = say, interval_sec
        self.last: dict[Path, float] = {}

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def update(self, running: Iterable[Shown]) -> None:
        """Says how far the running steps are, where it is time."""
        now = time.monotonic()
        for node in running:
            if now - self.last.setdefault(node.out, now) >= self.interval:
                self.last[node.out] = now
                report = read_progress(node.out)
                if report:
                    self.say(f"{node.label}: {line(report)}")


class Bars:
    """A terminal: one bar for each running step, above them what has been said."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self.progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[about]}"),
            TimeElapsedColumn(),
            transient=True,
        )
        self.tasks: dict[Path, Any] = {}

    def __enter__(self) -> Bars:
        self.progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.progress.stop()

    def say(self, text: str) -> None:
        """Prints a line above the bars."""
        self.progress.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def update(self, running: Iterable[Shown]) -> None:
        """Moves the bars of the running steps; removes those of finished ones."""
        nodes = {node.out: node for node in running}
        for out in self.tasks.keys() - nodes.keys():
            self.progress.remove_task(self.tasks.pop(out))
        for out, node in nodes.items():
            if out not in self.tasks:
                self.tasks[out] = self.progress.add_task(node.label, total=None, about="starting")
            report = read_progress(out)
            if report:
                self.progress.update(
                    self.tasks[out],
                    completed=report["count"],
                    total=report["total"],
                    about=line(report),
                )


def display(say: Say | None = None) -> Lines | Bars:
    """The display that fits: bars in a terminal, lines elsewhere or where ``say`` is given."""
    if say is None and sys.stdout.isatty():
        return Bars()
    return Lines(say or _print)


def _print(text: str) -> None:
    print(text, flush=True)


def read_progress(out: Path) -> dict[str, Any] | None:
    """What a step's process last reported; None before it did."""
    try:
        report: dict[str, Any] = read_json(out / PROGRESS_FILE, dict)
        return report
    except EgolibError:
        return None


def main_metrics(out: Path) -> str:
    """The first metrics of a step's ``result.json`` in a line."""
    try:
        numbers = flatten(read_json(out / "result.json", dict)["metrics"])
    except (EgolibError, KeyError):
        return ""
    first = [(k, v) for k, v in numbers.items() if isinstance(v, int | float)][:MAIN_METRICS]
    return ", ".join(f"{name} {value:.4g}" for name, value in first)


def next_steps(states: Mapping[str, str], nodes: Iterable[Any]) -> list[str]:
    """What to do after a run: look at the last step's notebook, compare, build the book."""
    finished = [n for n in nodes if states.get(n.label) in ("done", "current")]
    if not finished:
        return []
    last = finished[-1]
    run = next((p.name for p in last.out.parents if p.parent == _runs_dir(last.out)), "mini")
    return [
        f"look:    egolib open {last.out}",
        "compare: egolib status; egolib compare RUN RUN",
        f"publish: egolib book --name {run}",
    ]


def _runs_dir(out: Path) -> Path:
    """The folder of runs: <runs>/<name>/<task>/<variant>/<step>, .../pages/<page>, .../0_world."""
    if out.name[:2] in STEPS:
        return out.parents[3]
    return out.parents[2] if out.parent.name == "pages" else out.parents[1]


STEPS = ("1_", "2_", "3_", "4_")
