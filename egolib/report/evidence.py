"""Claims: comparisons over several seeds, computed verdicts, and the file that keeps them.

``params/<task>/claims.yaml`` states cells (configurations that are run for every
seed) and claims (which cell should beat which, on which metric).
``book/evidence/<task>.json`` holds what was measured. A cell is reused as long as
the hash of its configuration is the present one.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from egolib import config as configs
from egolib.errors import EgolibError, nearest
from egolib.io.records import read_json
from egolib.runs.node import Node
from egolib.runs.plan import Request, Schema, plan_point

CONFIDENCE = 0.95  # of each bound of an interval, one-sided


@dataclass(frozen=True)
class Cell:
    """One configuration: a variant with some values changed.

    Args:
        seeds: the only seeds that it is run with; None for all of the task.
    """

    variant: str
    params: dict[str, Any] = field(default_factory=dict)
    seeds: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Claim:
    """One comparison.

    Args:
        name: what is claimed, in words.
        metric: dotted name in the cells' metrics.
        better: the cell that should be higher.
        worse: the cell that it is compared with, or a number.
        expected: False where the comparison is only reported.
        near: instead of higher: equal to ``worse``, at most this far off.
        tried: further pairs of cells that were compared because the first did not hold.
        baseline: the metric of ``worse``; empty where it is the same one.
    """

    name: str
    metric: str
    better: str
    worse: str | float
    expected: bool = True
    near: float | None = None
    tried: tuple[Pair, ...] = ()
    baseline: str = ""


@dataclass(frozen=True)
class Pair:
    """A further configuration of a claim."""

    better: str
    worse: str | float
    why: str = ""


@dataclass(frozen=True)
class Claims:
    """The content of ``params/<task>/claims.yaml``."""

    preset: str = "mini"
    seeds: tuple[int, ...] = (0, 1, 2)
    cells: dict[str, Cell] = field(default_factory=dict)
    claims: tuple[Claim, ...] = ()

    def has(self, cell: str, seed: int) -> bool:
        """Whether a cell is run with a seed."""
        own = self.cells[cell].seeds
        return seed in (self.seeds if own is None else own)

    def is_single(self, pair: Claim | Pair) -> bool:
        """Whether a comparison is meant for one seed: one of its cells has no other."""
        named = [self.cells[c] for c in (pair.better, pair.worse) if c in self.cells]
        return any(cell.seeds is not None and len(cell.seeds) == 1 for cell in named)


def read_claims(task: str) -> Claims:
    """The claims of a task.

    Raises:
        EgolibError: a claim names a cell that does not exist.
    """
    file = configs.project_root() / "params" / task / "claims.yaml"
    claims = configs.build(Claims, configs.read_yaml(file))
    for claim in claims.claims:
        pairs = [(claim.better, claim.worse), *((p.better, p.worse) for p in claim.tried)]
        for pair in pairs:
            for name in pair:
                if isinstance(name, str) and name not in claims.cells:
                    remedy = nearest(name, claims.cells)
                    raise EgolibError(f"no cell {name!r}", file=file, remedy=remedy)
    return claims


def current_claims(task: str) -> list[dict[str, Any]]:
    """The claims of a task, judged now from the recorded cells.

    Cells that are no longer claimed do not count; without evidence every claim is open.
    """
    if not (configs.project_root() / "params" / task / "claims.yaml").is_file():
        return []
    claims = read_claims(task)
    cells = [c for c in read_evidence(task)["cells"] if c["cell"] in claims.cells]
    return judge_all(claims, cells)


def evidence_file(task: str) -> Path:
    """Where a task's evidence is kept."""
    return configs.project_root() / "book" / "evidence" / f"{task}.json"


def read_evidence(task: str) -> dict[str, Any]:
    """The evidence; without any, an empty one."""
    file = evidence_file(task)
    return read_json(file, dict) if file.is_file() else {"task": task, "cells": [], "claims": []}


def is_current(task: str, recorded: str, current: str) -> bool:
    """Whether a cell ran with what is configured now.

    Fields of the configuration were renamed once; ``book/evidence/renamed.json`` maps the
    hashes of cells from before to those of the same configuration by today's names.

    Args:
        task: its name.
        recorded: the hash in the evidence.
        current: the hash of today's configuration.
    """
    if recorded == current:
        return True
    file = configs.project_root() / "book" / "evidence" / "renamed.json"
    renamed = read_json(file, dict)["hashes"] if file.is_file() else {}
    return bool(renamed.get(task, {}).get(recorded) == current)


def cell_nodes(task: str, claims: Claims, cell: Cell, seed: int, schema: Schema) -> list[Node]:
    """The notebooks of one cell and seed.

    Args:
        task: its name.
        claims: of the task.
        cell: name of one of its cells.
        seed: of the training.
        schema: from a task's name to its configuration.
    """
    request = Request(task, variant=cell.variant, preset=claims.preset, name="claims")
    return plan_point(request, {"seed": seed, **cell.params}, schema)


def cell_hash(nodes: Sequence[Node]) -> str:
    """Identifies the configuration of a cell: the parameters of all its steps."""
    return configs.tree_hash({node.key: node.parts["parameters"] for node in nodes})


def judge(
    claim: Claim, pair: Claim | Pair, cells: Sequence[Mapping[str, Any]], once: bool = False
) -> dict[str, Any]:
    """Differences paired by seed, their mean with its interval, and the verdict.

    Args:
        claim: what is claimed.
        pair: the two cells that are compared.
        cells: all results.
        once: the cells are meant for one seed alone, which shows a direction and no more.

    The interval is the mean plus and minus Student's t times its standard error (sd/sqrt(n));
    each end is a one-sided 95 % bound, with three seeds 2.92 standard errors away. The verdict
    is ``held`` when the whole interval lies above zero, ``not held`` when none of it does, and
    ``undecided`` when it holds zero but also values above. A claim of equality is held when the
    interval lies within the stated distance, not held when all of it lies outside. ``open``
    while a cell is missing. One seed that was meant to be alone gives ``above, one seed`` or
    ``below, one seed``.
    """
    better = _values(pair.better, claim.metric, cells)
    worse = _values(pair.worse, claim.baseline or claim.metric, cells, like=better)
    seeds = sorted(better.keys() & worse.keys())
    differences = [better[s] - worse[s] for s in seeds]
    found: dict[str, Any] = {
        "better": pair.better,
        "worse": pair.worse,
        "differences": differences,
        "means": [_mean([side[s] for s in seeds]) for side in (better, worse)],
        "deviations": [_deviation([side[s] for s in seeds]) for side in (better, worse)],
        "mean": None,
        "standard_error": None,
        "interval": None,
        "verdict": "open",
    }
    if once and len(differences) == 1:
        side = "above" if differences[0] > 0 else "below"
        return found | {"mean": differences[0], "verdict": f"{side}, one seed"}
    if len(differences) < 2:
        return found
    mean = statistics.mean(differences)
    error = statistics.stdev(differences) / math.sqrt(len(differences))
    reach = student_t(len(differences)) * error
    interval = [mean - reach, mean + reach]
    return found | {
        "mean": mean,
        "standard_error": error,
        "interval": interval,
        "verdict": _verdict(interval, claim.near),
    }


def student_t(seeds: int) -> float:
    """How many standard errors a one-sided 95 % bound lies from a mean over so many seeds.

    Six digits, so that evidence is the same whatever library computed it.
    """
    from scipy.stats import t

    return round(float(t.ppf(CONFIDENCE, seeds - 1)), 6)


def _verdict(interval: Sequence[float], near: float | None) -> str:
    low, high = interval
    if near is None:
        return "held" if low > 0 else "undecided" if high > 0 else "not held"
    if -near <= low and high <= near:
        return "held"
    return "not held" if low > near or high < -near else "undecided"


def _mean(values: Sequence[float]) -> float | None:
    return statistics.mean(values) if values else None


def _deviation(values: Sequence[float]) -> float | None:
    return statistics.stdev(values) if len(values) > 1 else None


def judge_all(claims: Claims, cells: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The verdicts of all claims, with what was tried."""
    found = []
    for claim in claims.claims:
        tried = [{"why": p.why, **judge(claim, p, cells)} for p in claim.tried]
        about: dict[str, Any] = {
            "name": claim.name,
            "metric": claim.metric,
            "expected": claim.expected,
        }
        if claim.near is not None:
            about["near"] = claim.near
        if claim.baseline:
            about["baseline"] = claim.baseline
        own = judge(claim, claim, cells, once=claims.is_single(claim))
        found.append({**about, **own, "tried": tried})
    return found


def _values(
    name: str | float,
    metric: str,
    cells: Sequence[Mapping[str, Any]],
    like: Mapping[int, float] | None = None,
) -> dict[int, float]:
    """A metric by seed; a number stands for itself at every seed."""
    if not isinstance(name, str):
        return dict.fromkeys(like or {}, float(name))
    chosen = [cell for cell in cells if cell["cell"] == name]
    return {cell["seed"]: _metric(cell, metric) for cell in chosen}


def _metric(cell: Mapping[str, Any], metric: str) -> float:
    if metric not in cell["metrics"]:
        remedy = nearest(metric, cell["metrics"])
        raise EgolibError(f"cell {cell['cell']} has no metric {metric!r}", remedy=remedy)
    return float(cell["metrics"][metric])
