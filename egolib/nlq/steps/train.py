"""``2_train``: GroundNLQ or VSLNet on the questions that ``1_data`` prepared."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from egolib import config as configs
from egolib.engine.fit import FitResult
from egolib.engine.job import Evaluate, Job
from egolib.engine.launch import train as run_training
from egolib.errors import EgolibError
from egolib.nlq.api import Grounder
from egolib.nlq.config import Config, InferConfig
from egolib.nlq.data.dataset import Item, NlqData, open_data
from egolib.nlq.data.stores import find_file
from egolib.nlq.data.truth import truth_of
from egolib.nlq.data.vslnet.batches import SpanItem
from egolib.nlq.data.vslnet.dataset import SpanData
from egolib.nlq.evaluation import evaluate
from egolib.nlq.formats.checkpoint import describe
from egolib.nlq.losses.training import TrainingLoss, make_loss, validation_loss
from egolib.nlq.models.network import GroundNLQ
from egolib.nlq.models.vslnet.network import Vslnet
from egolib.nlq.optim import (
    NO_START,
    initial_average,
    load_initial,
    make_optimizer,
    make_schedule,
)
from egolib.nlq.steps import spans
from egolib.nlq.steps.data import read_list, roots
from egolib.nn.point_losses import overlap_loss
from egolib.report.source import show
from egolib.runs import inputs
from egolib.runs.step import Step

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "GroundNLQ",
    "make_schedule",
    "overlap_loss",
    "show",
]  # what the notebook takes from elsewhere


def training_data(step: Step[Config]) -> NlqData | SpanData:
    """The questions that a step trains on, with their features."""
    queries = read_list(step, step.config.data.train)
    if step.config.model.span is not None:
        return spans.open_spans(step, queries, step.config.data.train, training=True)[0]
    return open_data(step.config, queries, roots(step), training=True)


def sample_table(item: Item | SpanItem) -> pd.DataFrame:
    """What the network sees of one question."""
    import pandas as pd

    if isinstance(item, SpanItem):
        about = {"question": item.query.text, "video": str(item.video.shape)}
        about |= {"tokens": f"{item.token_mask.sum()} of {item.tokens.shape}"}
        return pd.DataFrame({"": {**about, "first and last cell": str(item.cells)}})
    windows = [] if item.windows_feat is None else item.windows_feat.round(2).tolist()
    tokens = {f"tokens: {name}": str(value.shape) for name, value in item.tokens.items()}
    about = {"question": item.query.text, "video": str(item.video.shape), **tokens}
    return pd.DataFrame({"": {**about, "window, in features": str(windows)}})


def train(step: Step[Config]) -> FitResult:
    """Trains what a step is configured for, or continues it; see ``egolib.engine``."""
    return run_training(step, build_job)


def build_job(step: Step[Config]) -> Job:
    """The training of a step, for the engine."""
    config = step.config
    queries = read_list(step, config.data.train)
    if config.model.span is not None:
        return spans.build_job(step, queries, read_list(step, "val"))
    data = open_data(config, queries, roots(step), training=True)
    model = GroundNLQ(config.model)
    fresh = {name: value.clone() for name, value in model.state_dict().items()}
    initial = initial_weights(step)
    if initial is not None:
        report = load_initial(model, initial, config.initial.heads)
        fresh_names = sorted({name.partition(".")[0] for name in report.missing})
        print(f"{initial.name}: {report.loaded} entries loaded, fresh: {fresh_names or 'none'}")
    loss = make_loss(config)
    first, _ = config.model.text_streams[0]
    about = describe(config.model, config.data, config.infer, data.texts[first].provenance)
    return Job(
        model=model,
        loss=loss,
        data=data,
        optimizer=make_optimizer(model, config.optim),
        schedule=make_schedule(config, len(data)),
        evaluate=make_evaluation(step, loss) if config.fit.evaluation else None,
        stateful={"loss": loss},
        sidecar=about,
        ema_initial=initial_average(fresh, model.state_dict(), config.initial.average),
    )


def make_evaluation(step: Step[Config], loss: TrainingLoss) -> Evaluate:
    """What is computed on the validation set between epochs."""
    config = step.config
    data = open_data(config, read_list(step, "val"), roots(step))
    size = config.fit.batch_size

    def evaluation(model: nn.Module) -> dict[str, float]:
        assert isinstance(model, GroundNLQ)
        device = next(model.parameters()).device
        found: dict[str, float] = {}
        if "loss" in config.fit.evaluation:
            batches = (
                data.collate([data[i] for i in range(first, min(first + size, len(data)))])
                for first in range(0, len(data), size)
            )
            moved = (batch.to(device) for batch in batches)
            found |= validation_loss(model, loss, moved, config.loss.validation)
        if "recall" in config.fit.evaluation:
            infer = InferConfig(text_padding=config.data.text_padding)
            grounder = Grounder(model, config.data, infer, device)
            found |= evaluate(grounder.predict(data), truth_of(data.queries)).percentages()
        return found

    return evaluation


def initial_weights(step: Step[Config]) -> Path | None:
    """The checkpoint that a step starts from; None for a fresh start.

    Raises:
        EgolibError: the training was published with a start, and none is given.
    """
    initial = step.config.initial
    if initial.weights == "none":
        return None
    if "initial" in step.inputs:
        return inputs.weights_file(step.input("initial"), initial.weights or "model")
    if initial.weights not in NO_START:
        return find_file(step.data_root, initial.weights)
    if configs.read_variant(step.task, step.variant).tree.get("initial"):
        raise EgolibError(
            f"{step.task}/{step.variant} was published with weights to start from, none are given",
            remedy="name a file in initial.weights, a training in inputs.initial, or say "
            "initial.weights=none",
        )
    return None


# ----------------------------------------------------------------------------- showing


def parameter_table(step: Step[Config]) -> pd.DataFrame:
    """Parameters of the network by part."""
    import pandas as pd

    span = step.config.model.span
    if span is not None:
        span = spans.fitting(span, spans.open_source(step, [], "train", None))
    with torch.device("meta"):
        network = GroundNLQ(step.config.model) if span is None else Vslnet(span)
        parts = network.named_children()
    rows = {name: sum(p.numel() for p in part.parameters()) for name, part in parts}
    return pd.DataFrame({"parameters": {**rows, "all": sum(rows.values())}})


def check(result: FitResult) -> None:
    """Raises EgolibError where the outcome of a training is impossible."""
    losses = [record["loss"] for record in result.losses()]
    if not losses or not result.updates or not result.weights.is_file():
        raise EgolibError("the training left no weights or no log", file=result.weights)
    wrong = [value for value in losses if not (math.isfinite(value) and value > 0)]
    if wrong:
        raise EgolibError(f"a loss of {wrong[0]}", file=result.weights.parent)


def metrics(result: FitResult) -> dict[str, Any]:
    """The last loss, the updates, and the last evaluation on the validation set, if any."""
    found = {"loss": result.losses()[-1]["loss"], "updates": result.updates}
    return found | last_evaluation(result)


def last_evaluation(result: FitResult) -> dict[str, Mapping[str, float]]:
    """The metrics of the last evaluation during training, as ``validation``; else nothing."""
    for record in reversed(result.evaluations()):
        about = ("kind", "update", "time")
        return {"validation": {k: v for k, v in record.items() if k not in about}}
    return {}
