"""Training a step: in this process, or in several that are started from here."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from egolib.engine import distributed
from egolib.engine.fit import FitResult, fit
from egolib.engine.job import Job
from egolib.engine.settings import FitSettings
from egolib.runs.step import Step, from_json


def train(step: Step[Any], build: str, folder: str = "train") -> FitResult:
    """Trains what ``build`` makes of a step, or continues it.

    Weights, log and snapshot lie in ``<step.out>/<folder>``.

    Args:
        step: its configuration has a section ``fit`` and a ``seed``.
        build: ``module:function``, from the step to a ``Job``.
    """
    settings: FitSettings = step.config.fit
    if settings.processes == 1 and settings.nodes == 1:
        return _train_here(step, build, folder)
    return _train_in_processes(step, build, folder, settings)


def _train_here(step: Step[Any], build: str, folder: str) -> FitResult:
    module, _, name = build.partition(":")
    make: Callable[[Step[Any]], Job] = getattr(import_module(module), name)
    return fit(
        lambda: make(step),
        step.config.fit,
        step.out / folder,
        seed=step.config.seed,
        fingerprint=step.fingerprint,
        what=f"{step.task} {step.variant}",
    )


def _train_in_processes(
    step: Step[Any], build: str, folder: str, settings: FitSettings
) -> FitResult:
    found = distributed.launch(
        "egolib.engine.launch:_worker",
        step.to_json(),
        build,
        folder,
        processes=settings.processes,
        nodes=settings.nodes,
        folder=step.out,
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
    result = _train_here(from_json(step), build, folder)
    paths = {k: str(getattr(result, k) or "") for k in ("weights", "best", "ema")}
    return {**paths, "records": result.records, "updates": result.updates}
