"""The blind baseline on the real NLQ annotations; writes ``book/evidence/nlq_real.json``.

    python -m benchmarks.nlq_real DIR

DIR holds the official validation file and the published lists (see the data page of
the book). The baseline is fitted on the training list and scored on the complete
validation set. No model takes part.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from egolib.config import project_root
from egolib.errors import EgolibError
from egolib.io.records import write_json
from egolib.metrics.moments import THRESHOLDS
from egolib.nlq.config import DataConfig
from egolib.nlq.data.annotations import Query, check_counts, read_queries, statistics
from egolib.nlq.data.stores import find_file
from egolib.nlq.data.truth import read_truth, truth_of
from egolib.nlq.evaluation import evaluate
from egolib.nlq.localization import blind
from egolib.nlq.steps.data import list_file, official_file
from egolib.report import results

EVIDENCE = "book/evidence/nlq_real.json"


def measure(root: Path) -> dict[str, Any]:
    """The evidence: files, statistics, and the baseline of each family of intervals."""
    data = DataConfig()
    files = {
        "train": find_file(root, f"{data.published}/{list_file(data, 'train')}"),
        "val": find_file(root, official_file(data, "val")),
    }
    lists = {name: read_queries(file) for name, file in files.items()}
    for name, queries in lists.items():
        check_counts(queries, name)
    truths = {"train": truth_of(lists["train"]), "val": read_truth(files["val"])}
    priors = {family: blind.fit(lists["train"], family) for family in blind.FAMILIES}
    baseline = {
        name: {family: _row(prior, lists[name], truths[name]) for family, prior in priors.items()}
        for name in lists
    }
    return {
        "title": "Blind baseline on the real Ego4D NLQ v2 annotations; no model took part",
        "command": "python -m benchmarks.nlq_real DIR",
        "files": {name: _about(files[name], lists[name]) for name in lists},
        "statistics": {name: asdict(statistics(queries)) for name, queries in lists.items()},
        "intervals": {family: prior.intervals.tolist() for family, prior in priors.items()},
        "baseline": baseline,
        "late": {name: _late(queries, data) for name, queries in lists.items()},
        "versions": results.versions(),
        "commit": results.commit(),
    }


def _row(prior: blind.Prior, queries: list[Query], truth: Any) -> dict[str, Any]:
    found = evaluate(blind.predict(prior, queries), truth)
    return {**found.percentages(), "questions": found.evaluated, "first interval": str(prior)}


def _late(queries: list[Query], data: DataConfig) -> dict[str, float]:
    """Answers in percent whose overlap with themselves, late by half a feature, is no hit."""
    late = data.window_frames / data.fps / 2
    length = np.array([end - start for query in queries for start, end in query.windows_sec or ()])
    overlap = (length - late) / (length + late)
    return {f"at_or_below_{t:g}": 100 * float((overlap <= t).mean()) for t in THRESHOLDS}


def _about(file: Path, queries: list[Query]) -> dict[str, Any]:
    content = file.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    clips = len({query.clip_uid for query in queries})
    size = {"bytes": len(content), "questions": len(queries), "clips": clips}
    return {"name": file.name, "sha256": digest, **size}


def main() -> int:
    """Exit code 0 when the evidence was written."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("root", type=Path, help="folder of the real annotations")
    options = parser.parse_args()
    try:
        evidence = measure(options.root)
    except EgolibError as error:
        print(error, file=sys.stderr)
        return 1
    write_json(project_root() / EVIDENCE, evidence, indent=1)
    for family, row in evidence["baseline"]["val"].items():
        numbers = {k: round(v, 2) for k, v in row.items() if isinstance(v, float)}
        print(f"{family}: {numbers} ({row['first interval']})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
