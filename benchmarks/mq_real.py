"""The blind baseline on the real moments annotations; writes ``book/evidence/mq_real.json``.

    python -m benchmarks.mq_real DIR

DIR holds ``mq/ego4d_clip_annotations_v2.json`` (see the data page of the book). The
baseline is fitted on the training clips and scored on the complete validation set, by the
official metric and by that of ActionFormer's public evaluator. No model takes part.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.bars import timed
from egolib.config import project_root
from egolib.errors import EgolibError
from egolib.io.records import write_json
from egolib.mq.config import EvaluateConfig
from egolib.mq.data.annotations import Clip, read_clips, select
from egolib.mq.data.statistics import class_counts, statistics
from egolib.mq.evaluation import evaluate
from egolib.mq.localization import blind
from egolib.report import results

ANNOTATIONS = "mq/ego4d_clip_annotations_v2.json"
EVIDENCE = "book/evidence/mq_real.json"
MOST_SECONDS = 1.8  # a tenth of what the public evaluator takes


def measure(root: Path) -> dict[str, Any]:
    """The evidence: the file, statistics, and the baseline of each family of intervals."""
    file = root / ANNOTATIONS
    clips = read_clips(file)
    train, val = select(clips, "train"), select(clips, "val")
    priors = {family: blind.fit(train, family) for family in blind.FAMILIES}
    return {
        "title": "Blind baseline on the real Ego4D moments annotations; no model took part",
        "command": "python -m benchmarks.mq_real DIR",
        "file": _about(file),
        "statistics": {
            subset: asdict(statistics(select(clips, subset))) for subset in ("train", "val", "test")
        },
        "classes": {"train": class_counts(train), "val": class_counts(val)},
        "baseline": {family: _row(prior, val) for family, prior in priors.items()},
        "versions": results.versions(),
        "commit": results.commit(),
    }


def _row(prior: blind.Prior, clips: Sequence[Clip]) -> dict[str, Any]:
    detections, retrievals = blind.detect(prior, clips), blind.retrieve(prior, clips)
    seconds, official = timed(lambda: evaluate(clips, detections, retrievals))
    public = evaluate(clips, detections, config=EvaluateConfig(convention="actionformer"))
    return {
        "official": official.summary(),
        "actionformer": public.summary(),
        "answers": sum(map(len, detections.values())) + sum(map(len, retrievals.values())),
        "evaluation_cpu_sec": round(seconds, 3),
    }


def _about(file: Path) -> dict[str, Any]:
    content = file.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    return {"name": file.name, "sha256": digest, "bytes": len(content)}


def main() -> int:
    """Exit code 0 when the evidence was written and the evaluation was quick enough."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("root", type=Path, help="folder of the real annotations")
    options = parser.parse_args()
    try:
        evidence = measure(options.root)
    except EgolibError as error:
        print(error, file=sys.stderr)
        return 1
    write_json(project_root() / EVIDENCE, evidence, indent=1)
    slowest = 0.0
    for family, row in evidence["baseline"].items():
        slowest = max(slowest, row["evaluation_cpu_sec"])
        numbers = {k: round(v, 2) for k, v in row["official"].items() if "5x" not in k}
        print(f"{family}: {numbers}, {row['evaluation_cpu_sec']} CPU s")
    return 0 if slowest <= MOST_SECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
