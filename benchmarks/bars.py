"""Measured numbers and what they have to reach."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True)
class Bar:
    """One measured number.

    Args:
        limit: what it has to reach; None for a number that is only shown.
        at_least: whether it must not be lower, or not be higher.
        equal: whether the outputs of both sides agree.
    """

    name: str
    value: float
    unit: str
    limit: float | None = None
    at_least: bool = True
    equal: bool = True

    @property
    def met(self) -> bool:
        """True when the limit is reached and outputs agree."""
        if self.limit is None:
            return self.equal
        reached = self.value >= self.limit if self.at_least else self.value <= self.limit
        return reached and self.equal

    def line(self) -> str:
        """One line of the table."""
        relation = "" if self.limit is None else f"{'>=' if self.at_least else '<='} {self.limit:g}"
        verdict = "" if self.limit is None else "met" if self.met else "MISSED"
        outputs = "" if self.equal else ", outputs DIFFER"
        return f"{self.name:<58} {self.value:>9.3g} {self.unit:<5} {relation:<8} {verdict}{outputs}"


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU seconds of this process that some work takes."""
    return timed(work)[0]


def timed(work: Callable[[], Result]) -> tuple[float, Result]:
    """CPU seconds of this process that some work takes, and its result."""
    begin = time.process_time()
    result = work()
    return time.process_time() - begin, result


def interleaved(works: dict[str, Callable[[], object]], runs: int) -> dict[str, list[float]]:
    """CPU seconds of several works, run in turn."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(runs):
        for name, work in works.items():
            times[name].append(cpu_seconds(work))
    return times


def ratio(times: dict[str, list[float]], slow: str, fast: str) -> float:
    """Median of the slow side's times over the fast side's."""
    return statistics.median(s / f for s, f in zip(times[slow], times[fast], strict=True))


def median_ratio(times: dict[str, list[float]], slow: str, fast: str) -> float:
    """The slow side's median time over the fast side's."""
    return statistics.median(times[slow]) / statistics.median(times[fast])


def run_parts(parts: Mapping[str, Callable[[int], Sequence[Bar]]], about: str | None) -> int:
    """The command line of a benchmark: prints the bars, and ends with 1 when one is missed.

    Args:
        parts: by name, what measures with so many interleaved runs of each side.
        about: the text of ``--help``.
    """
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=3, help="interleaved runs of each side")
    parser.add_argument("--only", default=",".join(parts), help="names, comma-separated")
    options = parser.parse_args()
    chosen = options.only.split(",")
    if unknown := sorted(set(chosen) - set(parts)):
        parser.error(f"no part {', '.join(unknown)}; there are {', '.join(parts)}")
    bars: list[Bar] = []
    for name in chosen:
        for bar in parts[name](options.runs):
            print(bar.line(), flush=True)
            bars.append(bar)
    return 0 if all(bar.met for bar in bars) else 1
