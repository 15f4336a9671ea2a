"""``4_evaluate``: what ``3_infer`` found, against the truth and against a baseline without eyes.

Numbers are in per cent. Where the test answers are known (the built-in world keeps them),
``val_test`` pools the two. No torch here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from egolib.config import project_root
from egolib.errors import EgolibError
from egolib.io.records import read_json
from egolib.metrics.moment_detection import interpolated_area as interpolated_area
from egolib.mq.config import Config, EvaluateConfig
from egolib.mq.data.annotations import Clip, read_annotations, read_clips, select
from egolib.mq.data.prepared import CLIPS, with_moments
from egolib.mq.evaluation import Evaluation, Results, evaluate
from egolib.mq.evaluation import recall_curves as recall_curves
from egolib.mq.formats import submission
from egolib.mq.localization import blind
from egolib.report.results import LabelledMoments
from egolib.report.source import show as show
from egolib.runs.step import Step

if TYPE_CHECKING:
    import pandas as pd

POOLED = "val_test"
BASELINE, OVER_BLIND = "blind", "over_blind"
REAL = "mq_real.json"  #: of book/evidence

Answers = tuple[Results, Results]


@dataclass(frozen=True)
class Truth:
    """What should be found.

    Args:
        train: clips that the baseline is fitted on.
        splits: clips with their moments by split.
    """

    train: list[Clip]
    splits: dict[str, list[Clip]]

    @property
    def main(self) -> str:
        """Where comparisons are made: on all known answers."""
        return POOLED if POOLED in self.splits else "val"


@dataclass
class Scored:
    """Evaluations.

    Args:
        splits: of the configured inference by split.
        corrected: of its corrections, on the main split.
        baseline: of fixed intervals fitted on the training clips, on the main split.
        main: the name of the main split.
    """

    splits: dict[str, Evaluation]
    corrected: dict[str, Evaluation] = field(default_factory=dict)
    baseline: Evaluation | None = None
    main: str = "val"


def read_truth(step: Step[Config]) -> Truth:
    """The clips of ``1_data`` whose moments are known; test where its answers are kept.

    Raises:
        EgolibError: no clip of val has a moment.
    """
    clips = read_clips(step.input("data") / CLIPS)
    splits = {"val": with_moments(select(clips, "val"))}
    if not splits["val"]:
        raise EgolibError("no clip of val has a moment", file=step.input("data") / CLIPS)
    file = step.data_root / step.config.data.test_truth
    known = {clip.clip_uid for clip in select(clips, "test")}
    if known and file.is_file():
        answers = [clip for clip in read_annotations(file) if clip.clip_uid in known]
        splits["test"] = with_moments(answers)
        splits[POOLED] = splits["val"] + splits["test"]
    return Truth(with_moments(select(clips, "train")), splits)


def read_predictions(step: Step[Config], truth: Truth) -> dict[str, dict[str, Answers]]:
    """Detections and retrievals by inference variant (``""`` is the configured one) and split.

    Args:
        step: its input ``predictions`` is a folder of ``3_infer``, or one submission of val.
        truth: says which splits can be scored.

    Raises:
        EgolibError: no submission of val, or a malformed one.
    """
    place = step.input("predictions")
    files = [place] if place.is_file() else sorted(place.glob("*.json"))
    found: dict[str, dict[str, Answers]] = {}
    for file in files:
        split, _, name = ("val", "", "") if place.is_file() else file.stem.partition(".")
        if split in truth.splits:
            found.setdefault(name, {})[split] = submission.read(file)
    if "val" not in found.get("", {}):
        raise EgolibError("no submission of val", file=place, remedy="run 3_infer first")
    for answers in found.values():
        if POOLED in truth.splits and {"val", "test"} <= answers.keys():
            pairs = zip(answers["val"], answers["test"], strict=True)
            detections, retrievals = ({**val, **test} for val, test in pairs)
            answers[POOLED] = detections, retrievals
    return found


# --------------------------------------------------------------------------- scoring


def score(
    step: Step[Config], truth: Truth, predictions: Mapping[str, Mapping[str, Answers]]
) -> Scored:
    """Evaluations of all predictions and of the baseline.

    Args:
        step: its section ``evaluate`` says how.
        truth: clips with moments.
        predictions: see ``read_predictions``.
    """
    config = step.config.evaluate
    splits = {
        split: evaluate(truth.splits[split], *answers, config)
        for split, answers in predictions[""].items()
    }
    main = truth.main if truth.main in splits else "val"
    corrected = {
        name: evaluate(truth.splits[main], *answers[main], config)
        for name, answers in predictions.items()
        if name and main in answers
    }
    return Scored(splits, corrected, blind_baseline(truth, main, config), main)


def blind_baseline(truth: Truth, split: str, config: EvaluateConfig) -> Evaluation | None:
    """Fixed intervals of every class, fitted on the training clips; None without any.

    Args:
        truth: clips with moments.
        split: to score on.
        config: conventions.
    """
    if not truth.train:
        return None
    prior, clips = blind.fit(truth.train), truth.splits[split]
    return evaluate(clips, blind.detect(prior, clips), blind.retrieve(prior, clips), config)


def effects(scored: Scored) -> dict[str, dict[str, float]]:
    """What each correction changes, in points, against the configured inference."""
    base = scored.splits[scored.main].summary()
    return {
        name: {k: v - base[k] for k, v in found.summary().items()}
        for name, found in scored.corrected.items()
    }


def check(scored: Scored) -> None:
    """Raises where the outcome is impossible.

    Raises:
        EgolibError: a number outside 0 to 100 per cent, or a recall that rises with the
            threshold or falls with the number of answers.
    """
    for split, found in scored.splits.items():
        values = list(found.summary().values())
        if not all(0 <= value <= 100 + 1e-9 for value in values):
            raise EgolibError(f"numbers from {min(values)} to {max(values)}", record=split)
        recall = found.retrieval.values if found.retrieval is not None else np.zeros((1, 1))
        if (np.diff(recall, axis=0) > 0).any() or (np.diff(recall, axis=1) < 0).any():
            raise EgolibError("the recall rises with the threshold, or falls with k", record=split)


def metrics(scored: Scored) -> dict[str, Any]:
    """Numbers for ``result.json``: by split, the baseline's, by how many points the main split lies
    above it, and what corrections change."""
    found: dict[str, Any] = {split: plain_names(e.summary()) for split, e in scored.splits.items()}
    if scored.baseline is not None:
        base, own = scored.baseline.summary(), scored.splits[scored.main].summary()
        found[BASELINE] = plain_names(base)
        found[OVER_BLIND] = plain_names({k: own[k] - v for k, v in base.items()})
    return found | {"effect": {k: plain_names(v) for k, v in effects(scored).items()}}


def plain_names(summary: Mapping[str, float]) -> dict[str, float]:
    """The numbers under names that can be part of a dotted name."""
    table = {"mAP IoU=": "map_at_", "average mAP": "average_map", " IoU=": "_at_"}
    found = {}
    for name, value in summary.items():
        for old, new in table.items():
            name = name.replace(old, new)
        found[name.replace("Recall@", "recall_")] = value
    return found


def counts(truth: Truth, scored: Scored) -> dict[str, Any]:
    """How much the metrics rest on.

    Args:
        truth: clips with moments.
        scored: which splits were scored.
    """
    return {
        split: {"clips": found.clips, "moments": found.moments, "classes": len(found.classes)}
        for split, found in scored.splits.items()
        if split in truth.splits
    }


# ---------------------------------------------------------------------------- tables


def table(scored: Scored) -> pd.DataFrame:
    """One row a split, one for the baseline."""
    import pandas as pd

    rows = {split: found.summary() for split, found in scored.splits.items()}
    if scored.baseline is not None:
        rows[f"{BASELINE}, {scored.main}"] = scored.baseline.summary()
    return pd.DataFrame(rows).T


def effect_table(scored: Scored) -> pd.DataFrame:
    """One row for each correction, in points."""
    import pandas as pd

    return pd.DataFrame(effects(scored)).T


def class_table(scored: Scored) -> pd.DataFrame:
    """Average precision of every class by threshold, in per cent, on the main split."""
    import pandas as pd

    found = scored.splits[scored.main]
    assert found.detection is not None
    names = [f"IoU {t:g}" for t in found.detection.thresholds]
    return pd.DataFrame(100 * found.detection.values, index=list(found.classes), columns=names)


def recorded_real_baseline() -> pd.DataFrame:
    """The blind baseline on the real validation set, as ``book/evidence/mq_real.json`` has it."""
    import pandas as pd

    evidence = read_json(project_root() / "book" / "evidence" / REAL, dict)
    rows = {
        (family, convention): numbers[convention]
        for family, numbers in evidence["baseline"].items()
        for convention in ("official", "actionformer")
    }
    return pd.DataFrame(rows).T.rename_axis(["intervals", "evaluator"])


# ------------------------------------------------------------------------- for figures


def examples(
    truth: Truth, predictions: Mapping[str, Mapping[str, Answers]], split: str = "val"
) -> LabelledMoments:
    """The retrievals for the clip with most classes, with its truth.

    Args:
        truth: clips with moments.
        predictions: see ``read_predictions``.
        split: of the clip.
    """
    clip = max(truth.splits[split], key=lambda c: len(c.labels))
    records = predictions[""][split][1].get(clip.clip_uid, [])
    segments = np.array([record["segment"] for record in records], float).reshape(-1, 2)
    times = np.array([(m.start_sec, m.end_sec) for m in clip.moments]).reshape(-1, 2)
    return LabelledMoments(
        labels=tuple(record["label"] for record in records),
        segments_sec=segments,
        scores=np.array([record["score"] for record in records], float),
        duration_sec=clip.duration_sec,
        truth_labels=tuple(moment.label for moment in clip.moments),
        truth_sec=times,
    )
