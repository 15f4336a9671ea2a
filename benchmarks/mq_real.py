"""The blind baseline on the real moments annotations; writes ``book/evidence/mq_real.json``.

    python -m benchmarks.mq_real DIR [--public METRICS]

DIR holds ``mq/ego4d_clip_annotations_v2.json`` (see the data page of the book). The
baseline is fitted on the training clips and scored on the complete validation set, by the
official metric and by that of ActionFormer's public evaluator. No model takes part.

METRICS is that evaluator, ``libs/utils/metrics.py`` of
github.com/happyharrycn/actionformer_release: it then scores the same answers, and the evidence
says how far the numbers are apart and how many times longer it takes. Without METRICS what was
recorded of it stays.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib.util
import io
import json
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from benchmarks.bars import timed
from egolib.config import project_root
from egolib.errors import EgolibError
from egolib.io.records import read_json, write_json
from egolib.mq.config import EvaluateConfig
from egolib.mq.data.annotations import Clip, read_clips, select
from egolib.mq.data.statistics import class_counts, statistics
from egolib.mq.evaluation import evaluate
from egolib.mq.localization import blind
from egolib.report import results

ANNOTATIONS = "mq/ego4d_clip_annotations_v2.json"
EVIDENCE = "book/evidence/mq_real.json"
PUBLIC = "public evaluator, equal answers"
MOST_SECONDS = 1.8  # a tenth of what the public evaluator takes
LEAST_RATIO = 10.0


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


# ---------------------------------------------------------------- the public evaluator


def compare(root: Path, metrics: Path) -> dict[str, Any]:
    """Ours and the public evaluator on the same answers to the complete validation set.

    The baseline's answers, with scores that differ everywhere: which of two equal ones comes
    first is left to NumPy there.

    Args:
        root: folder of the real annotations.
        metrics: the public evaluator's file.
    """
    file = root / ANNOTATIONS
    clips = read_clips(file)
    val = select(clips, "val")
    answers = blind.detect(blind.fit(select(clips, "train")), val)
    rng = np.random.default_rng(0)
    for records in answers.values():
        for record in records:
            record["score"] *= 1 + 1e-6 * rng.random()
    how = EvaluateConfig(convention="actionformer")
    seconds, ours = timed(lambda: evaluate(val, answers, config=how).summary())
    public_seconds, public = timed(lambda: _public_numbers(metrics, file, answers))
    return {
        "answers": sum(map(len, answers.values())),
        "average mAP": [ours["average mAP"], public["average mAP"]],
        "Recall@1x IoU=0.5": [ours["Recall@1x IoU=0.5"], public["Recall@1x IoU=0.5"]],
        "largest difference, points": max(abs(ours[name] - public[name]) for name in public),
        "numbers compared": len(public),
        "cpu_sec": [round(seconds, 3), round(public_seconds, 2)],
        "ratio": round(public_seconds / seconds, 1),
    }


def _public_numbers(
    metrics: Path, file: Path, answers: dict[str, list[dict[str, Any]]]
) -> dict[str, float]:
    """The public evaluator's numbers in per cent, by our names."""
    clips = read_json(file, dict)
    clips = clips.get("database", clips)
    numbers = {a["label"]: a["label_id"] for c in clips.values() for a in c["annotations"]}
    rows = [
        (uid, *record["segment"], numbers[record["label"]], record["score"])
        for uid, records in answers.items()
        for record in records
    ]
    columns = zip(*rows, strict=True)
    table = dict(zip(("video-id", "t-start", "t-end", "label", "score"), columns, strict=True))
    arrays = {k: np.array(v) for k, v in table.items()}
    thresholds = np.linspace(0.1, 0.5, 5)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        truth = Path(folder) / "truth.json"
        truth.write_text(json.dumps({"database": clips}))
        evaluator = _load(metrics).ANETdetection(truth.as_posix(), "val", thresholds, num_workers=1)
        precision, mean, recall = evaluator.evaluate(arrays, verbose=False)
    found = {"average mAP": 100 * float(mean)}
    for t, ap, row in zip(thresholds, precision, recall, strict=True):
        found[f"mAP IoU={t:g}"] = 100 * float(ap)
        found |= {
            f"Recall@{k}x IoU={t:g}": 100 * float(r) for k, r in zip((1, 5), row, strict=True)
        }
    return found


def _load(file: Path) -> ModuleType:
    """A file as a module; what it wants of joblib runs in this process, and old names of NumPy."""

    class Parallel:
        def __init__(self, n_jobs: int):
            pass

        def __call__(self, calls: Iterable[Callable[[], Any]]) -> list[Any]:
            return [call() for call in calls]

    joblib: Any = ModuleType("joblib")
    joblib.Parallel, joblib.delayed = Parallel, lambda f: lambda *a, **k: lambda: f(*a, **k)
    sys.modules.setdefault("joblib", joblib)
    vars(np)["float"] = float
    spec = importlib.util.spec_from_file_location("public_metrics", file)
    if spec is None or spec.loader is None or not file.is_file():
        raise EgolibError("the public evaluator is not there", file=file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _about(file: Path) -> dict[str, Any]:
    content = file.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    return {"name": file.name, "sha256": digest, "bytes": len(content)}


def main() -> int:
    """Exit code 0 when the evidence was written and the evaluation was quick enough."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("root", type=Path, help="folder of the real annotations")
    parser.add_argument("--public", type=Path, help="ActionFormer's libs/utils/metrics.py")
    options = parser.parse_args()
    kept = project_root() / EVIDENCE
    before = read_json(kept, dict).get(PUBLIC) if kept.is_file() else None
    try:
        evidence = measure(options.root)
        evidence[PUBLIC] = compare(options.root, options.public) if options.public else before
    except EgolibError as error:
        print(error, file=sys.stderr)
        return 1
    write_json(project_root() / EVIDENCE, evidence, indent=1)
    slowest = 0.0
    for family, row in evidence["baseline"].items():
        slowest = max(slowest, row["evaluation_cpu_sec"])
        numbers = {k: round(v, 2) for k, v in row["official"].items() if "5x" not in k}
        print(f"{family}: {numbers}, {row['evaluation_cpu_sec']} CPU s")
    if options.public:
        print(json.dumps(evidence[PUBLIC], indent=1))
        slow = evidence[PUBLIC]["ratio"] < LEAST_RATIO
        if slow or evidence[PUBLIC]["largest difference, points"] > 1e-9:
            return 1
    return 0 if slowest <= MOST_SECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
