"""``3_infer``: answers of a trained network for whole splits, as submission files.

Answers are kept as they are found, so that an interrupted run resumes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from egolib.config import to_tree
from egolib.engine.device import resolve_devices
from egolib.engine.precision import computing, in_precision_of_infer
from egolib.errors import EgolibError
from egolib.io.records import file_sha256
from egolib.nlq.api import Grounder, load, question_parts
from egolib.nlq.config import Config, InferConfig, ModelConfig
from egolib.nlq.data.annotations import Query
from egolib.nlq.data.dataset import NlqData, open_data
from egolib.nlq.formats.submission import (
    moments,
    prediction,
)
from egolib.nlq.formats.submission import read as read_submission
from egolib.nlq.formats.submission import table as submission_table
from egolib.nlq.formats.submission import write as write_submission
from egolib.nlq.models.vslnet.infer import SpanGrounder
from egolib.nlq.steps import spans
from egolib.nlq.steps.data import list_file, read_list, roots
from egolib.ops.segments import soft_nms
from egolib.report.results import Moments
from egolib.report.source import show
from egolib.runs import inputs
from egolib.runs.result_cache import ResultCache, cache_key
from egolib.runs.shards import balanced_parts, end_of_part, is_part, map_items, own_part
from egolib.runs.step import Step

if TYPE_CHECKING:
    import pandas as pd

SPLITS = ("val", "test")
PLACES = ("weights", "compare", "device", "devices", "processes")  # what changes no answer
CONFIGURED = ""  # the name of the variant without a correction

__all__ = ["show", "soft_nms"]  # what the notebook takes from elsewhere


@dataclass(frozen=True)
class InferenceVariant:
    """Weights and settings that answer.

    Args:
        name: part of the file names; empty for the configured one.
        weights: the weights' name.
        infer: decoding and batching.
    """

    name: str
    weights: str
    infer: InferConfig

    def file(self, split: str) -> str:
        """The name of the submission file."""
        return f"{split}.{self.name}.json" if self.name else f"{split}.json"


@dataclass(frozen=True)
class Answers:
    """The submission files of a step.

    Args:
        files: by file name.
        queries: the questions by split.
    """

    files: dict[str, Path]
    queries: dict[str, list[Query]]

    def records(self, split: str = "val") -> list[dict[str, Any]]:
        """The configured variant's answers to a split, as the challenge's file holds them."""
        return read_submission(self.files[f"{split}.json"])


def inference_variants(infer: InferConfig) -> list[InferenceVariant]:
    """The configured one, then each comparison with one thing corrected."""
    base = InferenceVariant(CONFIGURED, infer.weights, infer)
    corrected = {
        "consistent": replace(base, infer=replace(infer, decode_offset="consistent")),
        "per_query": replace(base, infer=replace(infer, text_padding="per_query")),
        "averaged": replace(base, weights="ema"),
    }
    return [base, *(replace(corrected[name], name=name) for name in infer.compare)]


def weights_file(step: Step[Config], name: str | None = None) -> Path:
    """A training's weights by name, or the checkpoint that the input ``model`` itself is.

    Args:
        step: with an input ``model``.
        name: which weights; None for ``infer.weights``.

    Raises:
        EgolibError: the training did not write them.
    """
    name, given = name or step.config.infer.weights, step.input("model")
    found = inputs.weights_file(given, name)
    if name == "ema" and found.stem != "ema" and _is_ours(found):
        raise EgolibError(
            "a single egolib checkpoint holds no averaged weights beside the last ones",
            file=found,
            remedy="give the folder of the training, or take infer.weights=model",
        )
    return found


def _is_ours(file: Path) -> bool:
    return file.suffix == ".safetensors" and file.with_suffix(".json").is_file()


@in_precision_of_infer
def predict(step: Step[Config]) -> Answers:
    """Answers val and test in every variant.

    A split that ``1_data`` did not find is skipped, and so is a comparison with weights that a
    checkpoint does not hold; both are told.
    """
    if step.config.model.span is not None:
        return _predict_spans(step)
    files: dict[str, Path] = {}
    lists: dict[str, NlqData] = {}
    for variant in inference_variants(step.config.infer):
        try:
            weights = weights_file(step, variant.weights)
            grounder = _load(step, variant, weights)
        except EgolibError as error:
            if variant.name == CONFIGURED:
                raise
            print(f"no comparison with {variant.name}: {error}", flush=True)
            continue
        assert isinstance(grounder, Grounder)
        lists = lists or _lists(step, grounder.model.config)
        cache = _cache(step, variant, weights, lists, grounder.device.type)
        for split, data in lists.items():
            records = _answer_all(_Task(step, variant, weights, split), grounder, data, cache)
            if is_part():
                continue
            files[variant.file(split)] = write_submission(step.out / variant.file(split), records)
        cache.remove_others()
    end_of_part()
    return Answers(files, {split: data.queries for split, data in lists.items()})


def _predict_spans(step: Step[Config]) -> Answers:
    """The same by VSLNet, which has one variant; questions that cannot be asked are listed."""
    variant = inference_variants(step.config.infer)[0]
    weights = weights_file(step)
    grounder = _load(step, variant, weights)
    if not isinstance(grounder, SpanGrounder):
        raise EgolibError("weights of GroundNLQ for a variant of VSLNet", file=weights)
    found = {split: read_list(step, split) for split in _found_splits(step)}
    opened = {split: spans.open_spans(step, queries, split) for split, queries in found.items()}
    lists = {split: data for split, (data, _) in opened.items()}
    cache = ResultCache(
        step.out / "answers" / "configured",
        _cache_key(step, variant, weights, list(lists), grounder.device.type)
        | {"features": {k: str(v) for k, v in step.inputs.items() if k == "features"}},
    )
    files, asked = {}, {}
    for split, data in lists.items():
        if skipped := opened[split][1]:
            print(f"{split}: not asked: {skipped.summary()}")
        records = spans.answer(grounder, data, cache, split)
        files[variant.file(split)] = write_submission(step.out / variant.file(split), records)
        answered = {query.query_id for query in data.queries}
        asked[split] = [query for query in found[split] if query.query_id in answered]
    cache.remove_others()
    return Answers(files, asked)


def _load(
    step: Step[Config], variant: InferenceVariant, weights: Path, device: str | None = None
) -> Grounder | SpanGrounder:
    config = step.config
    averaged = variant.weights == "ema" and not _is_ours(weights)
    return load(
        weights,
        device=device or config.infer.device,
        weights="averaged" if averaged else "official",
        model=config.model,
        data=config.data,
        infer=variant.infer,
    )


def _lists(step: Step[Config], model: ModelConfig) -> dict[str, NlqData]:
    """The splits that ``1_data`` found, with the features that the trained network reads."""
    return {
        split: open_data(step.config, read_list(step, split), roots(step), model=model)
        for split in _found_splits(step)
    }


def _found_splits(step: Step[Config]) -> list[str]:
    folder, data = step.input("data"), step.config.data
    return [split for split in SPLITS if (folder / list_file(data, split)).is_file()]


def _cache(
    step: Step[Config],
    variant: InferenceVariant,
    weights: Path,
    lists: Mapping[str, NlqData],
    device: str,
) -> ResultCache:
    """The answers that were found before with the same weights, settings, data and code."""
    stores = [store for data in lists.values() for store in (data.video, *data.texts.values())]
    key = _cache_key(step, variant, weights, list(lists), device)
    key |= {"features": [to_tree(store.provenance) for store in stores]}
    return ResultCache(step.out / "answers" / (variant.name or "configured"), key)


def _cache_key(
    step: Step[Config],
    variant: InferenceVariant,
    weights: Path,
    splits: Sequence[str],
    device: str,
) -> dict[str, Any]:
    """What answers rest on, but for the features."""
    infer, folder = to_tree(variant.infer), step.input("data")
    settings = {k: v for k, v in infer.items() if k not in PLACES}
    return cache_key(
        "nlq",
        weights=[file_sha256(weights)],
        averaged=variant.weights == "ema",
        infer=settings,
        device=device,
        model=to_tree(step.config.model),
        data=to_tree(step.config.data),
        data_root=str(step.data_root),
        questions=[file_sha256(folder / list_file(step.config.data, split)) for split in splits],
    )


@dataclass(frozen=True)
class _Task:
    """Which split is answered by what; every process opens it for itself."""

    step: Step[Config]
    variant: InferenceVariant
    weights: Path
    split: str


def _answer_all(
    task: _Task, grounder: Grounder, data: NlqData, cache: ResultCache
) -> list[dict[str, Any]]:
    """Prediction records of all questions in their order; kept ones are not repeated."""
    records: dict[int, dict[str, Any]] = {}
    parts = question_parts(data.queries, grounder.infer)
    for part in parts:
        if kept := cache.get_json(_item(task.split, part)):
            records |= dict(zip(part, kept, strict=True))
    infer = task.step.config.infer
    devices = [str(d) for d in resolve_devices(infer.devices)] if infer.devices else []
    left = [part for part in own_part(parts, len) if part[0] not in records]
    count = min(len(devices) * infer.processes, len(left))
    if count > 1:
        shares = balanced_parts(left, count, len)
        source = partial(_worker, task, cache)
        for outcome in map_items(
            shares, source, devices=devices, per_device=infer.processes, what="grounding"
        ):
            if outcome.error is not None:
                raise outcome.error
            records |= outcome.result or {}
    else:
        others = set(range(len(data))) - {index for part in left for index in part}
        records |= _answer(grounder, data, cache, task.split, others)
    return [records[index] for index in range(len(data)) if index in records]


def _worker(
    task: _Task, cache: ResultCache, device: str
) -> Callable[[list[list[int]]], dict[int, dict[str, Any]]]:
    """What answers some clips' questions, in a process and on a device of its own."""
    grounder = _load(task.step, task.variant, task.weights, device)
    assert isinstance(grounder, Grounder)
    data = _lists(task.step, grounder.model.config)[task.split]
    infer = task.step.config.infer

    def work(parts: list[list[int]]) -> dict[int, dict[str, Any]]:
        wanted = {index for part in parts for index in part}
        others = set(range(len(data))) - wanted
        with computing(device, infer.precision, infer.matmul_precision):
            return _answer(grounder, data, cache, task.split, others)

    return work


def _answer(
    grounder: Grounder, data: NlqData, cache: ResultCache, split: str, done: Collection[int]
) -> dict[int, dict[str, Any]]:
    """Prediction records of the questions that are not done, which the cache keeps."""
    records: dict[int, dict[str, Any]] = {}
    for indices, answers in grounder.stream(data, done):
        found = [
            prediction(data.queries[index], moments.segments_sec, moments.scores)
            for index, moments in zip(indices, answers, strict=True)
        ]
        cache.put_json(_item(split, indices), found)
        records |= dict(zip(indices, found, strict=True))
    return records


def _item(split: str, part: list[int]) -> str:
    """The name of a part of a split in the cache."""
    return f"{split}-{part[0]:06d}"


# ---------------------------------------------------------------------------- showing


def table(predictions: Answers) -> pd.DataFrame:
    """The best window of each validation question, summed up."""
    return submission_table(predictions.records()).describe()


def examples(step: Step[Config], predictions: Answers, count: int = 6) -> list[Moments]:
    """Answers to the first questions about the first validation clip, for a figure.

    Args:
        step: of the answers.
        predictions: its answers.
        count: how many questions at most.
    """
    queries, records = predictions.queries["val"], predictions.records()
    clip = queries[0].clip_uid
    pairs = [(q, r) for q, r in zip(queries, records, strict=True) if q.clip_uid == clip]
    return [moments(query, record) for query, record in pairs[:count]]


def check(step: Step[Config], predictions: Answers) -> None:
    """Raises EgolibError where the outcome is impossible."""
    for split, queries in predictions.queries.items():
        records = predictions.records(split)
        file = predictions.files[f"{split}.json"]
        if len(records) != len(queries):
            raise EgolibError(f"{len(records)} answers to {len(queries)} questions", file=file)
        for record in records:
            _check_windows(record["predicted_times"], file)


def _check_windows(windows: Iterable[Iterable[float]], file: Path) -> None:
    values = np.array(windows, float)
    start, end, score = values.T
    if not ((start >= 0) & (start <= end) & (score >= 0) & (score <= 1)).all():
        raise EgolibError(f"impossible windows {values.tolist()}", file=file)


def metrics(predictions: Answers) -> dict[str, float]:
    """How sure the network is of its best windows, and how long they are."""
    first = submission_table(predictions.records())
    return {"mean_score": first["score"].mean(), "mean_length_sec": first["length_sec"].mean()}


def counts(predictions: Answers) -> dict[str, int]:
    """Questions by split, for ``result.json``."""
    return {split: len(queries) for split, queries in predictions.queries.items()}
