"""``make claims``: runs the cells that are missing and writes the verdicts.

    python -m benchmarks.claims nlq            # all cells of one task
    python -m benchmarks.claims all --cells scratch,pretrained --seeds 0,1

Finished cells are kept in ``book/evidence/<task>.json`` and reused while their
configuration is the present one, so that the work can be spread over sittings.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from egolib import config as configs
from egolib.cli import schema
from egolib.errors import EgolibError
from egolib.io.records import write_json
from egolib.report import evidence, results
from egolib.runs.local import default_jobs, run_local


def run_task(task: str, only: set[str], seeds: set[int], jobs: int) -> bool:
    """Runs what is missing; returns whether every cell is there."""
    claims = evidence.read_claims(task)
    complete = True
    for seed in claims.seeds:
        for name in claims.cells:
            if not claims.has(name, seed):
                continue
            wanted = (not only or name in only) and (not seeds or seed in seeds)
            complete &= _run_cell(task, claims, name, seed, jobs, wanted)
    _write(task, claims)
    return complete


def _run_cell(
    task: str, claims: evidence.Claims, name: str, seed: int, jobs: int, wanted: bool
) -> bool:
    nodes = evidence.cell_nodes(task, claims, claims.cells[name], seed, schema)
    current = evidence.cell_hash(nodes)
    found = evidence.read_evidence(task)
    for cell in found["cells"]:
        same = (cell["cell"], cell["seed"]) == (name, seed)
        if same and evidence.is_current(task, cell["config_hash"], current):
            return True
    if not wanted:
        return False
    print(f"{task} {name} seed {seed}", flush=True)
    begin = time.monotonic()
    if run_local(nodes, jobs=jobs).failed:
        return False
    result = results.read_result(nodes[-1].out)
    numbers = configs.flatten(result["metrics"])
    cell = {
        "cell": name,
        "variant": claims.cells[name].variant,
        "params": claims.cells[name].params,
        "seed": seed,
        "config_hash": current,
        "metrics": {k: v for k, v in numbers.items() if isinstance(v, int | float)},
        "commit": result["commit"].rstrip("+"),
        "dirty": result["commit"].endswith("+"),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "hardware": result["hardware"],
        "seconds": round(time.monotonic() - begin, 1),
    }
    found = evidence.read_evidence(task)  # another sitting may have added to it meanwhile
    others = [c for c in found["cells"] if (c["cell"], c["seed"]) != (name, seed)]
    found["cells"] = sorted([*others, cell], key=lambda c: (c["cell"], c["seed"]))
    write_json(evidence.evidence_file(task), found, indent=1)
    return True


def _write(task: str, claims: evidence.Claims) -> None:
    """Keeps the cells that are still claimed, and computes every verdict anew."""
    found = evidence.read_evidence(task)
    cells: list[dict[str, Any]] = [c for c in found["cells"] if c["cell"] in claims.cells]
    preset = configs.read_preset(claims.preset)
    content = {
        "task": task,
        "preset": claims.preset,
        "world_seed": preset.get("world_seed", 0),
        "cells": cells,
        "claims": evidence.judge_all(claims, cells),
    }
    write_json(evidence.evidence_file(task), content, indent=1)
    for claim in content["claims"]:
        mean = "-" if claim["mean"] is None else f"{claim['mean']:+.4g}"
        print(f"{task}: {claim['name']}: {claim['verdict']} ({claim['metric']} {mean})")


def main() -> int:
    """Exit code 0 when all cells are there."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("task", choices=[*configs.TASKS, "all"])
    parser.add_argument("--cells", default="", help="only these, comma separated")
    parser.add_argument("--seeds", default="", help="only these, comma separated")
    parser.add_argument("--jobs", type=int, default=default_jobs())
    options = parser.parse_args()
    only = set(filter(None, options.cells.split(",")))
    seeds = {int(s) for s in options.seeds.split(",") if s}
    tasks = configs.TASKS if options.task == "all" else [options.task]
    try:
        complete = [run_task(task, only, seeds, options.jobs) for task in tasks]
    except EgolibError as error:
        print(error, file=sys.stderr)
        return 1
    return 0 if all(complete) else 1


if __name__ == "__main__":
    sys.exit(main())
