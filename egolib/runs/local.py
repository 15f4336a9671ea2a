"""A graph of notebooks on this machine: independent nodes side by side, current ones skipped."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from egolib import config as configs
from egolib.runs.node import Node
from egolib.runs.stamps import reasons

Say = Callable[[str], None]
Process = subprocess.Popen[bytes]


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
    return 1 if Path("/dev/nvidia0").exists() else min(2, os.cpu_count() or 1)


def run_local(nodes: Sequence[Node], *, jobs: int = 1, say: Say = print) -> Outcome:
    """Runs a graph.

    A failed node keeps its notebook; nodes that depend on it are not started, all
    others are. On an interrupt the running notebooks are ended.
    """
    return _Run(nodes, jobs, say).run()


class _Run:
    """The state of a running graph."""

    def __init__(self, nodes: Sequence[Node], jobs: int, say: Say):
        self.waiting = list({node.out: node for node in nodes}.values())
        self.jobs, self.say = jobs, say
        self.running: dict[Process, tuple[Node, float]] = {}
        self.broken: set[Path] = set()
        self.outcome = Outcome()

    def run(self) -> Outcome:
        try:
            while self.waiting or self.running:
                for node in [n for n in self.waiting if self._is_ready(n)]:
                    if len(self.running) < self.jobs:
                        self._take(node)
                self._collect()
        finally:
            for process in self.running:
                process.terminate()
        return self.outcome

    def _is_ready(self, node: Node) -> bool:
        pending = {n.out for n in self.waiting} | {n.out for n, _ in self.running.values()}
        return not pending & set(node.upstream.values())

    def _take(self, node: Node) -> None:
        self.waiting.remove(node)
        failed = [key for key, out in node.upstream.items() if out in self.broken]
        if failed:
            self.outcome.states[node.label] = "blocked"
            self.broken.add(node.out)
            self.say(f"{node.label}: not started, {failed[0]} failed")
            return
        why = reasons(node)
        if not why:
            self.outcome.states[node.label] = "current"
            self.say(f"{node.label}: current")
            return
        self.say(f"{node.label}: running ({'; '.join(why[:4])})")
        self.running[self._spawn(node)] = (node, time.monotonic())

    def _spawn(self, node: Node) -> Process:
        # One thread, unless told otherwise: sums, and so numbers, do not depend on the machine.
        environment = {"OMP_NUM_THREADS": "1", **os.environ, "EGOLIB_HEADLESS": "1"}
        (node.out / "error.txt").unlink(missing_ok=True)
        command = [sys.executable, "-m", "egolib.runs.execute", str(node.write())]
        with (node.out / "log.txt").open("ab") as log:
            return subprocess.Popen(
                command, env=environment, cwd=configs.project_root(), stdout=log, stderr=log
            )

    def _collect(self) -> None:
        for process in [p for p in self.running if p.poll() is not None]:
            node, begin = self.running.pop(process)
            seconds = time.monotonic() - begin
            self.outcome.seconds[node.label] = seconds
            if process.returncode == 0:
                self.outcome.states[node.label] = "done"
                self.say(f"{node.label}: done in {seconds:.0f} s")
            else:
                self.outcome.states[node.label] = "failed"
                self.broken.add(node.out)
                self.say(f"{node.label}: FAILED after {seconds:.0f} s\n  {_error(node)}")
        if self.running:
            time.sleep(0.1)


def _error(node: Node) -> str:
    """What the node's process said before it ended; a killed one says nothing."""
    file = node.out / "error.txt"
    return file.read_text().strip() if file.is_file() else f"the process ended, see {node.out}"
