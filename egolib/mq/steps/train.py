"""Training VSGN or ActionFormer by configuration: data, initial weights, validation.

``build_job`` puts the pieces together for ``egolib.engine``, whose loop it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from egolib.engine.config import total_updates, updates_per_epoch
from egolib.engine.fit import FitResult
from egolib.engine.job import Evaluate, Job
from egolib.engine.launch import train as run_training
from egolib.errors import EgolibError
from egolib.mq import optim
from egolib.mq.api import MomentFinder, describe
from egolib.mq.config import Config, LossConfig
from egolib.mq.data.classes import class_names
from egolib.mq.data.dataset import Batch, MomentsData
from egolib.mq.data.points import PointBatch, PointData, PointItem
from egolib.mq.data.prepared import Prepared, fitting, read_prepared, with_moments
from egolib.mq.evaluation import evaluate
from egolib.mq.localization.assignment import match as match
from egolib.mq.localization.ranking import detect
from egolib.mq.losses.points import ActionFormerLoss
from egolib.mq.losses.terms import classification_loss as classification_loss
from egolib.mq.losses.vsgn import training_losses
from egolib.mq.models.actionformer import ActionFormer
from egolib.mq.models.build import Network, build
from egolib.mq.models.graph import GraphBranch
from egolib.mq.models.vsgn import VSGN
from egolib.report.source import Source, show
from egolib.runs.step import Step

if TYPE_CHECKING:
    import pandas as pd


def training_data(step: Step[Config]) -> MomentsData | PointData:
    """The training clips of a step, with their targets."""
    return moments_data(step, read_prepared(step), "train")


def moments_data(step: Step[Config], prepared: Prepared, subset: str) -> MomentsData | PointData:
    """The clips of a subset that have moments, with their targets.

    Args:
        step: its configuration.
        prepared: what ``1_data`` wrote.
        subset: ``train`` or ``val``.
    """
    clips, data = with_moments(prepared.of(subset)), step.config.data
    model = fitting(step.config.model, prepared)
    common = (clips, prepared.store, prepared.classes, model, data)
    if model.actionformer is not None:
        return PointData(*common, training=True, file=prepared.file)
    return MomentsData(*common, training=True, seed=step.config.seed, file=prepared.file)


def train(step: Step[Config]) -> FitResult:
    """Trains what a step is configured for, or resumes it; see ``egolib.engine``."""
    return run_training(step, build_job)


def build_job(step: Step[Config]) -> Job:
    """The training of a step, for the engine."""
    config, prepared = step.config, read_prepared(step)
    data = moments_data(step, prepared, "train")
    network = optim.initial_model(step, data.model)
    loss = make_loss(config.loss, network)
    return Job(
        model=network,
        loss=loss,
        stateful={"loss": loss} if isinstance(loss, ActionFormerLoss) else {},
        data=data,
        optimizer=optim.make_optimizer(network, config.optim),
        schedule=make_schedule(config, len(data)),
        evaluate=make_evaluation(step, prepared),
        sidecar=describe(
            data.model,
            class_names(prepared.classes),
            rows_per_sec(data),
            config.data.grid,
            prepared.store.provenance,
        ),
    )


def rows_per_sec(data: MomentsData | PointData) -> float | None:
    """Features in a second: the median over the clips; None without clips."""
    rates = sorted(data[i].fps for i in range(min(len(data), 20)))
    return rates[len(rates) // 2] if rates else None


def make_loss(
    config: LossConfig, network: nn.Module
) -> ActionFormerLoss | Callable[[nn.Module, Batch], dict[str, Tensor]]:
    """The loss of a configuration, for the engine.

    Args:
        config: thresholds and conventions.
        network: which is trained.
    """
    if isinstance(network, ActionFormer):
        return ActionFormerLoss(config.points)

    def loss(network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        assert isinstance(network, VSGN) and batch.targets is not None
        return training_losses(network, batch.features, batch.lengths, batch.targets, config)

    return loss


def make_schedule(config: Config, samples: int) -> Callable[[int], float]:
    """The schedule of a configuration for so many training clips."""
    per_epoch, total = updates_per_epoch(samples, config.fit), total_updates(samples, config.fit)
    return optim.schedule(config.optim, per_epoch, total)


# -------------------------------------------------------------------------- validation


def make_evaluation(step: Step[Config], prepared: Prepared) -> Evaluate | None:
    """What is computed between epochs: the validation loss, and the mAP where it decides."""
    fit = step.config.fit
    if not (fit.evaluate_every or fit.evaluate_every_updates or fit.evaluate_first):
        return None
    data = moments_data(step, prepared, "val")

    def evaluation(network: nn.Module) -> dict[str, float]:
        assert isinstance(network, Network)
        found = validation_loss(network, data, step.config)
        if fit.monitor.startswith("average_map"):
            found["average_map"] = validation_map(network, data, prepared, step.config)
        return found

    return evaluation


@torch.no_grad()
def validation_loss(
    network: Network, data: MomentsData | PointData, config: Config
) -> dict[str, float]:
    """The mean of every term over the batches of the validation clips.

    Official behaviour: the last incomplete batch is left out; without a whole one the loss
    is 0.

    Args:
        network: in evaluation mode (it makes no difference here).
        data: clips with targets.
        config: batch size, and what becomes of the last batch.
    """
    loss: Any = make_loss(config.loss, network)
    device = next(network.parameters()).device
    batches = _batches(data, config.fit.batch_size, config.data.last_validation_batch == "keep")
    found = [loss(network, batch.to(device)) for batch in batches]
    if not found:
        return {"loss": 0.0}
    return {name: float(torch.stack([f[name] for f in found]).mean()) for name in found[0]}


def _batches(
    data: MomentsData | PointData, size: int, keep_last: bool
) -> Iterator[Batch | PointBatch]:
    for first in range(0, len(data), size):
        last = min(first + size, len(data))
        if keep_last or last - first == size:
            items: Any = [data[index] for index in range(first, last)]
            yield data.collate(items)


def validation_map(
    network: Network, data: MomentsData | PointData, prepared: Prepared, config: Config
) -> float:
    """The average mAP of the validation clips, in per cent.

    Args:
        network: to measure.
        data: clips of validation.
        prepared: gives the class table.
        config: thresholds and conventions.
    """
    names = class_names(prepared.classes)
    device = next(network.parameters()).device
    finder = MomentFinder(network, names, config.infer, device=device, grid=config.data.grid)
    found = {
        clip.clip_uid: detect(proposals, clip.duration_sec, config.infer).records(names)
        for clip, proposals in finder.stream(data.for_inference())
    }
    measured = evaluate(data.clips, found, config=config.evaluate).detection
    assert measured is not None
    return 100 * measured.mean


# ----------------------------------------------------------------------------- showing


def parameter_table(step: Step[Config]) -> pd.DataFrame:
    """Parameters of a step's network by part."""
    import pandas as pd

    config = fitting(step.config.model, read_prepared(step))
    with torch.device("meta"):
        parts = list(build(config).named_children())
    rows = {name: sum(p.numel() for p in part.parameters()) for name, part in parts}
    return pd.DataFrame({"parameters": {**rows, "all": sum(rows.values())}})


def batch_table(data: MomentsData | PointData, size: int = 4) -> pd.DataFrame:
    """The first clips as the network sees them: features, moments, lengths.

    Args:
        data: what is trained on.
        size: clips.
    """
    import pandas as pd

    rows = {}
    for index in range(min(size, len(data))):
        item = data[index]
        if isinstance(item, PointItem):
            moments, valid, padded = item.moments, len(item.features), data.model.length
        else:
            moments = None if item.targets is None else item.targets.moments
            valid, padded = item.valid, item.features.shape[1]
        assert moments is not None
        lengths = moments[:, 1] - moments[:, 0]
        rows[item.clip.clip_uid[:8]] = {
            "features": valid,
            "padded to": padded,
            "features a second": round(item.fps, 3),
            "moments": len(lengths),
            "shortest, features": round(float(lengths.min()), 2),
            "longest, features": round(float(lengths.max()), 2),
        }
    return pd.DataFrame(rows).T


def graph_source() -> Source:
    """How a position gathers its neighbours, the heart of the network."""
    return show(GraphBranch.aggregate)


# ---------------------------------------------------------------------------- checking


def check(result: FitResult) -> None:
    """Raises where the outcome is impossible.

    Raises:
        EgolibError: no update, no weights, or a loss that is negative or not finite.
    """
    losses = [record["loss"] for record in result.losses()]
    if not result.updates or not result.weights.is_file():
        raise EgolibError(f"{result.updates} updates were made", file=result.weights)
    if not all(value >= 0 and math.isfinite(value) for value in losses):
        raise EgolibError(
            f"the losses are {losses}",
            file=result.weights,
            remedy="moments that overlap no box end in NaN: loss.zero_iou_truths: ignore",
        )


def metrics(result: FitResult) -> dict[str, Any]:
    """The last loss, updates, and the last and the best validation."""
    found: dict[str, Any] = {"loss": result.losses()[-1]["loss"], "updates": result.updates}
    about = ("kind", "update", "time")
    evaluations = result.evaluations()
    if evaluations:
        last = {k: v for k, v in evaluations[-1].items() if k not in about}
        found["validation"] = last
        found["lowest_validation_loss"] = min(record["loss"] for record in evaluations)
    return found
