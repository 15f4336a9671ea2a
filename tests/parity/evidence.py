"""How closely recordings agree: counted while the parity tests run, kept with ``--evidence FILE``.

The tests compare through ``numpy.testing`` and ``torch.testing``; each comparison that passed
leaves its largest deviation, |ours - recorded| / max(1, largest recorded value of the array).
Only recordings whose test passed count, and whole files that are compared as text count as equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from egolib.io.records import write_json
from egolib.report import results

Compare = Callable[..., None]


class Evidence:
    """A pytest plugin that collects deviations by recording.

    Args:
        file: where the evidence is written when the session ends.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.current: list[float] = []
        self.passed: dict[str, dict[str, list[float]]] = {}
        self.failed: list[str] = []

    @pytest.fixture(autouse=True)
    def _deviations(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        for module, name in (
            (np.testing, "assert_allclose"),
            (np.testing, "assert_array_equal"),
            (torch.testing, "assert_close"),
        ):
            monkeypatch.setattr(module, name, self._watched(getattr(module, name)))
        yield

    def _watched(self, compare: Compare) -> Compare:
        def watched(actual: Any, expected: Any, *more: Any, **options: Any) -> None:
            compare(actual, expected, *more, **options)
            self.current.append(deviation(actual, expected))

        return watched

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """A new case begins."""
        self.current = []

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Iterator[Any]:
        """Keeps what a case that passed has compared."""
        report = yield
        recording = getattr(item, "callspec", None) and item.callspec.params.get("recording")
        if report.when == "call" and isinstance(recording, Path):
            system = Path(item.path).parent.name
            if report.passed:
                files = self.passed.setdefault(system, {})
                files.setdefault(recording.name, []).extend(self.current)
            elif report.failed:
                self.failed.append(item.nodeid)
        return report

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Writes what was found; a worker of several hands it to the process that started it."""
        handed = getattr(session.config, "workeroutput", None)
        if handed is None:
            write_json(self.file, self.summary(), indent=1)
        else:
            handed["evidence"] = {"passed": self.passed, "failed": self.failed}

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Takes over what a worker has found."""
        found = getattr(node, "workeroutput", {}).get("evidence", {})
        for system, files in found.get("passed", {}).items():
            own = self.passed.setdefault(system, {})
            for name, values in files.items():
                own.setdefault(name, []).extend(values)
        self.failed += found.get("failed", [])

    def summary(self) -> dict[str, Any]:
        """Recordings, comparisons and the largest deviation of each system."""
        systems = {}
        for system, files in sorted(self.passed.items()):
            largest = {name: max(values, default=0.0) for name, values in files.items()}
            where = max(largest, key=lambda name: largest[name])
            systems[system] = {
                "recordings": len(files),
                "comparisons": sum(len(values) for values in files.values()),
                "largest_deviation": largest[where],
                "median_deviation": float(np.median(list(largest.values()))),
                "where": where,
            }
        return {
            "title": "Recordings of the official code that egolib agrees with",
            "command": "make parity-evidence",
            "systems": systems,
            "failed": sorted(self.failed),
            "commit": results.commit(),
            "versions": results.versions(),
            "hardware": results.hardware(),
        }


def deviation(actual: Any, expected: Any) -> float:
    """|actual - expected| / max(1, |expected|), the largest values of the arrays; finite ones only.

    Args:
        actual: an array, a tensor or a number.
        expected: of the same shape; what is no number has no deviation.
    """
    try:
        ours, theirs = _numbers(actual), _numbers(expected)
        with np.errstate(invalid="ignore"):  # where both are infinite
            difference = np.abs(ours - theirs)
    except (TypeError, ValueError):
        return 0.0
    finite = np.isfinite(difference)
    if not finite.any():
        return 0.0
    known = np.abs(theirs[np.isfinite(theirs)])
    return float(difference[finite].max() / max(1.0, known.max(initial=0.0)))


def _numbers(values: Any) -> np.ndarray:
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu().double().numpy()
    return np.asarray(values, np.float64)
