"""Training a step: in this process, or in several that are started from here."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from egolib.engine import distributed
from egolib.engine.config import FitConfig
from egolib.engine.fit import FitResult, fit
from egolib.engine.job import Job
from egolib.runs.step import Step, from_json

BuildJob = Callable[[Step[Any]], Job]


def train(step: Step[Any], build: BuildJob, folder: str = "train") -> FitResult:
    """Trains what ``build`` makes of a step, or continues it.

    Weights, log and snapshot lie in ``<step.out>/<folder>``.

    Args:
        step: its configuration has a section ``fit`` and a ``seed``.
        build: a function of a module, from the step to a ``Job``; every process calls it.
        folder: of weights, log and snapshot, below that of the step.
    """
    settings: FitConfig = step.config.fit
    if settings.processes == 1 and settings.nodes == 1:
        return _train_here(step, build, folder)
    return _train_in_processes(step, build, folder, settings)


def _train_here(step: Step[Any], build: BuildJob, folder: str) -> FitResult:
    return fit(
        lambda: build(step),
        step.config.fit,
        step.out / folder,
        seed=step.config.seed,
        fingerprint=step.fingerprint,
        what=f"{step.task} {step.variant}",
    )


def _train_in_processes(
    step: Step[Any], build: BuildJob, folder: str, settings: FitConfig
) -> FitResult:
    found = distributed.launch(
        "egolib.engine.launch:_worker",
        step.to_json(),
        f"{build.__module__}:{build.__qualname__}",
        folder,
        processes=settings.processes,
        nodes=settings.nodes,
        folder=step.out,
        max_restarts=settings.max_restarts,
    )
    return FitResult(
        weights=Path(found["weights"]),
        best=Path(found["best"]) if found["best"] else None,
        ema=Path(found["ema"]) if found["ema"] else None,
        records=found["records"],
        updates=found["updates"],
    )


def _worker(step: dict[str, Any], build: str, folder: str) -> dict[str, Any]:
    """What every started process runs; its value travels as plain values."""
    module, _, name = build.partition(":")
    result = _train_here(from_json(step), getattr(import_module(module), name), folder)
    paths = {k: str(getattr(result, k) or "") for k in ("weights", "best", "ema")}
    return {**paths, "records": result.records, "updates": result.updates}
