"""``3_infer``: the moments that a trained network finds in every clip, as submission files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from egolib.config import to_tree
from egolib.engine.precision import in_precision_of_infer
from egolib.errors import EgolibError
from egolib.io.records import file_sha256
from egolib.mq.api import MomentFinder, load
from egolib.mq.config import Config, Correction, InferConfig
from egolib.mq.data.annotations import Clip
from egolib.mq.data.classes import class_names
from egolib.mq.data.dataset import MomentsData
from egolib.mq.data.points import PointData
from egolib.mq.data.prepared import Prepared, fitting, read_prepared
from egolib.mq.data.rows import clip_features
from egolib.mq.formats import submission
from egolib.mq.localization.proposals import Proposals
from egolib.mq.localization.proposals import propose as propose
from egolib.mq.localization.ranking import detect, retrieve
from egolib.mq.localization.suppression import soft_nms as soft_nms
from egolib.progress import track
from egolib.report.results import LabelledMoments, identity
from egolib.report.source import show as show
from egolib.runs import inputs
from egolib.runs.result_cache import ResultCache, cache_key
from egolib.runs.shards import end_of_part, is_part, own_part
from egolib.runs.step import Step

if TYPE_CHECKING:
    import pandas as pd

CACHE = "result_cache"  #: the folder of finished clips in that of ``3_infer``
SPLITS = ("val", "test")
CORRECTED: dict[Correction, dict[str, Any]] = {
    "per_class": {"soft_nms": "per_class"},
    "last_candidate": {"last_candidate": "keep"},
    "retrieval_limit": {"retrieval_limit": "per_class"},
    "rounding": {"rounding": "none"},
}
"""What each correction of ``infer.compare`` changes."""

Answers = dict[str, dict[str, list[dict[str, Any]]]]


@dataclass
class Predictions:
    """What a step wrote.

    Args:
        finder: the network that computed it.
        files: submission files by name: a split, or ``<split>.<correction>``.
        clips: of each split.
    """

    finder: MomentFinder
    files: dict[str, Path] = field(default_factory=dict)
    clips: dict[str, list[Clip]] = field(default_factory=dict)


def weights_file(step: Step[Config]) -> Path:
    """A training's weights by name, or the checkpoint that the input ``model`` itself is.

    Raises:
        EgolibError: the training did not write them.
    """
    return inputs.weights_file(step.input("model"), step.config.infer.weights)


def load_model(step: Step[Config], prepared: Prepared) -> MomentFinder:
    """The trained network of a step.

    Args:
        step: its configuration.
        prepared: gives the class names of official files, which hold none.
    """
    infer = step.config.infer
    finder = load(
        weights_file(step),
        classes=class_names(prepared.classes),
        device=infer.device,
        infer=infer,
        like=fitting(step.config.model, prepared),
        grid=step.config.data.grid,
    )
    finder.require_same_features(prepared.store.provenance)
    return finder


def variants(infer: InferConfig) -> dict[str, InferConfig]:
    """The configured inference (named ``""``), then each comparison with one thing corrected."""
    return {"": infer} | {name: replace(infer, **CORRECTED[name]) for name in infer.compare}


@in_precision_of_infer
def predict(step: Step[Config]) -> Predictions:
    """Moments of all clips of val and test, as submission files; finished clips are kept."""
    prepared = read_prepared(step)
    finder = load_model(step, prepared)
    cache = ResultCache(step.out / CACHE, result_key(step, prepared))
    cache.remove_others()
    found = Predictions(finder)
    for split in SPLITS:
        clips = prepared.of(split)
        if clips:
            found.clips[split] = clips
            answers = _answer(step, finder, prepared, clips, cache)
            found.files |= {} if is_part() else _write(step, split, answers)
    end_of_part()
    return found


def result_key(step: Step[Config], prepared: Prepared) -> dict[str, Any]:
    """Everything that the answers rest on."""
    config = step.config
    return cache_key(
        step.task,
        weights=[file_sha256(weights_file(step))],
        infer=to_tree(config.infer),
        data=to_tree(config.data),
        model=to_tree(config.model),
        annotations=identity(step.input("data")),
        features=str(getattr(prepared.store, "path", "")),
        made_by=to_tree(prepared.store.provenance),
    )


def _answer(
    step: Step[Config],
    finder: MomentFinder,
    prepared: Prepared,
    clips: Sequence[Clip],
    cache: ResultCache,
) -> dict[str, Answers]:
    """By clip: for each inference variant its detections and retrievals.

    Groups of ``infer.batch_size`` clips are computed whole, so that sums do not depend on where
    a run was stopped or on how it was divided.
    """
    done = {clip.clip_uid: cache.get_json(clip.clip_uid) for clip in clips}
    size, infer = step.config.infer.batch_size, step.config.infer
    groups = own_part([clips[i : i + size] for i in range(0, len(clips), size)], len)
    left = [group for group in groups if any(done[clip.clip_uid] is None for clip in group)]
    model = finder.model.config
    kind = MomentsData if model.actionformer is None else PointData
    for group in track(left, "moments", unit="group of clips"):
        data = kind(group, prepared.store, prepared.classes, model, step.config.data)
        for clip, proposals in finder.stream(data):
            answers = rank_all(clip, proposals, prepared, finder, infer)
            cache.put_json(clip.clip_uid, answers)
            done[clip.clip_uid] = answers
    return done


def rank_all(
    clip: Clip,
    proposals: Proposals,
    prepared: Prepared,
    finder: MomentFinder,
    infer: InferConfig,
) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Detections and retrievals of a clip in every inference variant.

    Official behaviour: where the truth is not known (test), the retrievals are those of all
    classes.

    Args:
        clip: its classes are asked for.
        proposals: of the clip.
        prepared: gives the class numbers.
        finder: gives the class names.
        infer: the configured inference and its comparisons.
    """
    asked = [prepared.classes[label] for label in clip.labels] or None
    found = {}
    for name, own in variants(infer).items():
        lists = {
            "detection": detect(proposals, clip.duration_sec, own),
            "retrieval": retrieve(proposals, clip.duration_sec, asked, own),
        }
        found[name] = {
            kind: ranked.records(finder.class_names, own.rounding) for kind, ranked in lists.items()
        }
    return found


def _write(step: Step[Config], split: str, answers: dict[str, Answers]) -> dict[str, Path]:
    """A submission file for each inference variant, and the official result files."""
    files = {}
    for name in variants(step.config.infer):
        kinds = {
            kind: {uid: own[name][kind] for uid, own in answers.items()}
            for kind in submission.SECTIONS
        }
        label = f"{split}.{name}" if name else split
        path = step.out / f"{label}.json"
        files[label] = submission.write(path, kinds["detection"], kinds["retrieval"])
        if not name:
            for kind, results in kinds.items():
                official = submission.file_name(kind, step.config.data.layout)
                submission.write_results(step.out / split / official, results)
    return files


# ------------------------------------------------------------------------------- looking


def table(predictions: Predictions) -> pd.DataFrame:
    """How many moments each file holds, and how sure the network is of the best ones."""
    import pandas as pd

    rows = {}
    for name, file in predictions.files.items():
        detections, retrievals = submission.read(file)
        best = [records[0]["score"] for records in detections.values() if records]
        rows[name] = {
            "clips": len(detections),
            "detections a clip": sum(map(len, detections.values())) / max(len(detections), 1),
            "retrievals a clip": sum(map(len, retrievals.values())) / max(len(retrievals), 1),
            "best score, mean": sum(best) / max(len(best), 1),
        }
    return pd.DataFrame(rows).T


def example(step: Step[Config], predictions: Predictions) -> LabelledMoments:
    """What ``mq.load().find`` gives for the first clip of validation, with its truth."""
    prepared = read_prepared(step)
    clip = predictions.clips["val"][0]
    rows, _ = clip_features(clip, prepared.store, step.config.data)
    found = predictions.finder.find(rows, duration_sec=clip.duration_sec)
    truth = np.array([(m.start_sec, m.end_sec) for m in clip.moments]).reshape(-1, 2)
    names = tuple(moment.label for moment in clip.moments)
    return replace(found, truth_labels=names, truth_sec=truth)


def check(step: Step[Config], predictions: Predictions) -> None:
    """Raises where the outcome is impossible.

    Raises:
        EgolibError: a clip without an entry, a record that the server would refuse, a score
            above 1.
    """
    names = predictions.finder.class_names[1:]
    for name, file in predictions.files.items():
        clips = predictions.clips[name.partition(".")[0]]
        submission.validate_file(file, clips=clips, classes=names)
        detections, _ = submission.read(file)
        scores = [record["score"] for records in detections.values() for record in records]
        if not all(0 <= score <= 1 for score in scores):
            raise EgolibError(f"scores from {min(scores)} to {max(scores)}", file=file)
    if "val" not in predictions.files:
        raise EgolibError("no clip of val was answered", file=step.out)


def metrics(predictions: Predictions) -> dict[str, Any]:
    """Numbers for ``result.json``: clips and detections by split."""
    found: dict[str, Any] = {}
    for split, clips in predictions.clips.items():
        detections, _ = submission.read(predictions.files[split])
        found[split] = {"clips": len(clips), "detections": sum(map(len, detections.values()))}
    return found


def counts(predictions: Predictions) -> dict[str, str]:
    """The names of the files, for ``result.json``."""
    return {name: file.name for name, file in predictions.files.items()}
