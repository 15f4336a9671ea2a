"""The steps of VSLNet (``model.span``): question files, features, training, answers.

``1_data`` writes the prepared questions, vlp makes features of them, ``2_train`` and ``3_infer``
read those from the input ``features`` (a step of vlp, or a folder with the stores ``video``,
``text`` and ``mask``), from stores below the data root, or from the published folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import nn

from egolib.engine.config import total_updates
from egolib.engine.job import Evaluate, Job
from egolib.errors import EgolibError
from egolib.io.features import Provenance, open_store
from egolib.io.records import Skipped, read_json
from egolib.nlq.config import Config, OptimConfig
from egolib.nlq.config.span import SpanTrainConfig, VslnetConfig
from egolib.nlq.data.annotations import Query
from egolib.nlq.data.stores import find_file
from egolib.nlq.data.truth import truth_of
from egolib.nlq.data.vslnet.dataset import Shapes, SpanData, usable
from egolib.nlq.data.vslnet.sources import PublishedFolder, Source, StoreSource
from egolib.nlq.evaluation import evaluate
from egolib.nlq.formats.checkpoint import describe
from egolib.nlq.formats.submission import prediction
from egolib.nlq.models.vslnet.infer import SpanGrounder
from egolib.nlq.models.vslnet.losses import SpanLoss
from egolib.nlq.models.vslnet.network import Vslnet
from egolib.nlq.models.vslnet.training import make_optimizer, schedule
from egolib.runs.result_cache import ResultCache
from egolib.runs.step import Step

QUESTIONS = "questions"  #: the folder of features in that of vlp's ``3_infer``


# ---------------------------------------------------------------------------- features


def span_config(config: Config) -> VslnetConfig:
    """The network of a configuration.

    Raises:
        EgolibError: it is of GroundNLQ.
    """
    if config.model.span is None:
        raise EgolibError("no VSLNet is configured", remedy="set model.span")
    return config.model.span


def open_spans(
    step: Step[Config], queries: Sequence[Query], split: str, *, training: bool = False
) -> tuple[SpanData, Skipped]:
    """Questions with their features, and those that are left out.

    Args:
        step: its configuration and inputs.
        queries: of the split.
        split: ``train``, ``val`` or ``test``.
        training: whether they are trained on; else answers do not matter.

    Raises:
        EgolibError: no features are there, or they do not fit the network.
    """
    config, shapes = step.config, read_shapes(step)
    source = open_source(step, queries, split, shapes)
    model = fitting(span_config(config), source)
    asked = queries if training else [replace(q, windows_sec=None) for q in queries]
    kept, skipped = usable(asked, source, model, config.data.span, shapes)
    return SpanData(kept, source, model, config.data.span, shapes), skipped


def read_shapes(step: Step[Config]) -> Shapes | None:
    """The table of lengths (``data.span.shapes``), if there is to be one."""
    name = step.config.data.span.shapes
    return read_json(find_file(step.data_root, name), dict) if name else None


def open_source(
    step: Step[Config], queries: Sequence[Query], split: str, shapes: Shapes | None
) -> Source:
    """Where the features of a split are, see the module.

    Args:
        step: its configuration and inputs.
        queries: all questions of the split, in their order.
        split: ``train``, ``val`` or ``test``.
        shapes: the published files leave out clips that it lacks.

    Raises:
        EgolibError: none are there.
    """
    data, root = step.config.data, step.data_root
    if data.span.published:
        numbered = [q for q in queries if shapes is None or q.clip_uid in shapes]
        return PublishedFolder(find_file(root, f"{data.span.published}/{split}"), numbered)
    if "features" in step.inputs:
        given = step.input("features")
        folder = given / QUESTIONS if (given / QUESTIONS).is_dir() else given
        places = {name: folder / name for name in ("video", "text", "mask")}
    else:
        places = {"video": find_file(root, data.video_stores[0])}
        places |= {"text": find_file(root, data.text_stores[0])}
        if data.span.masks:
            places["mask"] = find_file(root, data.span.masks)
    kinds = {"video": "video", "text": "text", "mask": "text"}
    stores = {
        name: open_store(place, Provenance(kind=kinds[name], width=0))
        for name, place in places.items()
    }
    return StoreSource(stores["video"], stores["text"], stores.get("mask"))


def fitting(model: VslnetConfig, source: Source) -> VslnetConfig:
    """The network with the widths that it takes from the stores (0) filled in.

    Raises:
        EgolibError: a width of 0 with files that state none.
    """
    if model.video_width and model.text_width:
        return model
    if source.widths is None:
        raise EgolibError(
            "the published files state no width", remedy="set model.span.video_width and text_width"
        )
    video, text = source.widths
    return replace(
        model, video_width=model.video_width or video, text_width=model.text_width or text
    )


# ---------------------------------------------------------------------------- training


def build_job(step: Step[Config], queries: Sequence[Query], val: Sequence[Query]) -> Job:
    """The training of a step, for the engine; says which questions are left out.

    Args:
        step: its configuration.
        queries: the training questions.
        val: those of the validation set.
    """
    config = step.config
    data, skipped = open_spans(step, queries, config.data.train, training=True)
    if skipped:
        print(f"left out of training: {skipped.summary()}")
    settings = replace(config.model, span=data.model)
    model, total = Vslnet(data.model), total_updates(len(data), config.fit)
    optim = training_settings(config.optim, total)
    return Job(
        model=model,
        loss=SpanLoss(config.loss.span),
        data=data,
        optimizer=make_optimizer(model, optim),
        schedule=schedule(optim, total),
        evaluate=make_evaluation(step, val),
        sidecar=describe(settings, config.data, config.infer),
    )


def training_settings(optim: OptimConfig, total: int) -> SpanTrainConfig:
    """What VSLNet's optimiser and schedule take of a configuration.

    Args:
        optim: the section of the configuration.
        total: updates of the whole training, of which the warm-up is a share.
    """
    return SpanTrainConfig(
        learning_rate=optim.learning_rate,
        betas=optim.betas,
        epsilon=optim.epsilon,
        weight_decay=optim.weight_decay,
        warmup=optim.warmup_updates / max(total, 1),
    )


def make_evaluation(step: Step[Config], queries: Sequence[Query]) -> Evaluate:
    """Recall on the validation questions, as nlq's evaluator counts it.

    Args:
        step: its configuration.
        queries: of the validation set.
    """
    data, _ = open_spans(step, queries, "val")
    truth, config = truth_of(queries), step.config

    def evaluation(model: nn.Module) -> dict[str, float]:
        assert isinstance(model, Vslnet)
        device = next(model.parameters()).device
        grounder = SpanGrounder(model, config.data.span, config.infer.span, device)
        return evaluate(grounder.predict(data), truth).percentages()

    return evaluation


# ----------------------------------------------------------------------------- answers


def answer(
    grounder: SpanGrounder, data: SpanData, cache: ResultCache, split: str
) -> list[dict[str, Any]]:
    """Prediction records of all questions in their order; kept ones are not repeated.

    Args:
        grounder: the trained network.
        data: the questions with their features.
        cache: keeps finished batches.
        split: their name in it.
    """
    records: dict[int, dict[str, Any]] = {}
    for part in grounder.parts(data):
        if kept := cache.get_json(f"{split}-{part[0]:06d}"):
            records |= dict(zip(part, kept, strict=True))
    for indices, moments in grounder.stream(data, records.keys()):
        found = [
            prediction(data.queries[index], each.segments_sec, each.scores)
            for index, each in zip(indices, moments, strict=True)
        ]
        cache.put_json(f"{split}-{indices[0]:06d}", found)
        records |= dict(zip(indices, found, strict=True))
    return [records[index] for index in range(len(data))]
