"""A graph of notebooks on this machine: independent nodes side by side, current ones skipped."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from egolib.errors import EgolibError
from egolib.io.records import NO_ROOM, make_folder
from egolib.progress import PROGRESS_FILE
from egolib.runs.display import Bars, Lines, Say, display, main_metrics
from egolib.runs.node import Node
from egolib.runs.processes import stop_on_signal
from egolib.runs.stamps import reasons
from egolib.runs.starter import Starter, has_gpu


@dataclass
class Outcome:
    """What became of a graph: state by label (done, current, failed, blocked), and seconds."""

    states: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def failed(self) -> list[str]:
        """Labels of nodes that failed or could not start."""
        return [k for k, state in self.states.items() if state in ("failed", "blocked")]


def default_jobs() -> int:
    """Nodes side by side: 2 on a small machine without a GPU, else 1."""
    return 1 if has_gpu() else min(2, os.cpu_count() or 1)


def run_local(nodes: Sequence[Node], *, jobs: int = 1, say: Say | None = None) -> Outcome:
    """Runs a graph.

    A failed node keeps its notebook; nodes that depend on it are not started, all
    others are. When it is asked to stop (Ctrl-C, SIGTERM, a closed terminal), trainings
    write a snapshot, and every process that was started ends within seconds.

    Args:
        nodes: in an order in which they can run.
        jobs: how many run side by side.
        say: takes what is to be shown; None for bars in a terminal and lines elsewhere.

    Raises:
        EgolibError: it was asked to stop; the same command continues.
    """
    with display(say) as shown, stop_on_signal() as asked_to_stop:
        return _Run(nodes, jobs, shown).run(asked_to_stop)


class _Run:
    """The state of a running graph."""

    def __init__(self, nodes: Sequence[Node], jobs: int, shown: Lines | Bars):
        self.waiting = list({node.out: node for node in nodes}.values())
        self.jobs, self.shown = jobs, shown
        self.starter = Starter(len(self.waiting))
        self.running: dict[Path, tuple[Node, float]] = {}
        self.broken: set[Path] = set()
        self.outcome = Outcome()

    def run(self, asked_to_stop: Callable[[], str]) -> Outcome:
        try:
            while self.waiting or self.running:
                if signal := asked_to_stop():
                    raise self._stopped(signal)
                for node in [n for n in self.waiting if self._is_ready(n)]:
                    if len(self.running) < self.jobs:
                        self._take(node)
                self._collect()
        finally:
            self.starter.close()
        return self.outcome

    def _stopped(self, signal: str) -> EgolibError:
        labels = ", ".join(node.label for node, _ in self.running.values())
        return EgolibError(
            f"stopped by {signal} while running {labels or 'nothing'}",
            remedy="the same command continues",
        )

    def _is_ready(self, node: Node) -> bool:
        pending = {n.out for n in self.waiting} | set(self.running)
        return not pending & set(node.upstream.values())

    def _take(self, node: Node) -> None:
        self.waiting.remove(node)
        failed = [key for key, out in node.upstream.items() if out in self.broken]
        if failed:
            self.outcome.states[node.label] = "blocked"
            self.broken.add(node.out)
            self.shown.say(f"{node.label}: not started, {failed[0]} failed")
            return
        why = reasons(node)
        if not why:
            self.outcome.states[node.label] = "current"
            self.shown.say(f"{node.label}: current")
            return
        self.shown.say(f"{node.label}: running ({'; '.join(why[:4])})")
        make_folder(node.out)
        for name in ("error.txt", PROGRESS_FILE):
            (node.out / name).unlink(missing_ok=True)
        self.starter.start(node)
        self.running[node.out] = (node, time.monotonic())

    def _collect(self) -> None:
        for node, code in self.starter.ended():
            seconds = time.monotonic() - self.running.pop(node.out)[1]
            self.outcome.seconds[node.label] = seconds
            if code == 0:
                self.outcome.states[node.label] = "done"
                self.shown.say(_done(node, seconds))
            else:
                self.outcome.states[node.label] = "failed"
                self.broken.add(node.out)
                self.shown.say(f"{node.label}: FAILED after {seconds:.0f} s\n  {_error(node)}")
        self.shown.update(node for node, _ in self.running.values())
        if self.running:
            time.sleep(0.1)


def _done(node: Node, seconds: float) -> str:
    """What is said of a finished step: its main metrics, and where its notebook and log are."""
    metrics = main_metrics(node.out)
    head = f"{node.label}: done in {seconds:.0f} s" + (f", {metrics}" if metrics else "")
    return f"{head}\n  {node.executed}\n  {node.out / 'log.txt'}"


def _error(node: Node) -> str:
    """What the node's process said before it ended; a killed one, or on a full disk, nothing."""
    file = node.out / "error.txt"
    if file.is_file() and (said := file.read_text().strip()):
        return said
    free = shutil.disk_usage(node.out).free
    if free < NO_ROOM:
        remedy = "make room, or choose another folder with --runs-dir; the same command continues"
        return f"{node.out}: the disk is full, {free} bytes are free\n  remedy: {remedy}"
    return f"the process was ended from outside; see {node.out / 'log.txt'}"
