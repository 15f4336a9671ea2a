"""Training GroundNLQ: parameter groups, learning rates, losses, where weights start.

Pure pieces first; ``build_job`` at the end puts them together for ``egolib.engine``,
whose loop it is.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from egolib.engine import distributed
from egolib.engine.config import updates_per_epoch
from egolib.engine.fit import FitResult
from egolib.engine.job import Evaluate, Job
from egolib.engine.launch import train as run_training
from egolib.errors import EgolibError
from egolib.io import checkpoint
from egolib.io.checkpoint import LoadReport
from egolib.nlq.api import Grounder, describe
from egolib.nlq.config import Config, LossConfig, ModelConfig, TrainConfig
from egolib.nlq.data.dataset import Batch, question_data, training_data
from egolib.nlq.data.stores import find_file
from egolib.nlq.data.truth import truth_of
from egolib.nlq.evaluation import evaluate
from egolib.nlq.formats.checkpoint import KEYS
from egolib.nlq.localization.points import assign_batch, make_points
from egolib.nlq.losses.grounding import GroundingLoss
from egolib.nlq.models.attention import DepthwiseConv
from egolib.nlq.models.blocks import MaskedConv
from egolib.nlq.models.network import GroundNLQ
from egolib.runs.step import Step

if TYPE_CHECKING:
    import pandas as pd

LOWEST_RATE = 1e-8  # of the cosine schedule after a warm-up
HEADS = ("classification.", "regression.", "level_scales.")


# ---------------------------------------------------------------- parameter groups


def parameter_groups(model: GroundNLQ, config: TrainConfig) -> list[dict[str, Any]]:
    """Parameter groups for an optimiser, each with ``params``, ``names``, ``lr``, ``weight_decay``.

    Weights of convolutions and linear maps decay; biases, norms, gains, scales and
    relative biases do not. With ``backbone_rate`` other than 1 the parameters outside
    the heads form groups of their own.
    """
    decaying = _decaying(model)
    parts = [(config.learning_rate, list(dict(model.named_parameters())))]
    if config.backbone_rate != 1:
        names = parts[0][1]
        parts = [
            (config.learning_rate, [n for n in names if n.startswith(HEADS)]),
            (
                config.learning_rate * config.backbone_rate,
                [n for n in names if not n.startswith(HEADS)],
            ),
        ]
    parameters = dict(model.named_parameters())
    return [
        {
            "params": [parameters[n] for n in names if (n in decaying) == decays],
            "names": [n for n in names if (n in decaying) == decays],
            "lr": rate,
            "weight_decay": config.weight_decay if decays else 0.0,
        }
        for rate, names in parts
        for decays in (True, False)
    ]


def _decaying(model: nn.Module) -> set[str]:
    kinds = (nn.Linear, MaskedConv, DepthwiseConv)
    return {f"{name}.weight" for name, m in model.named_modules() if isinstance(m, kinds)}


def make_optimizer(model: GroundNLQ, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW (betas 0.9 and 0.999, eps 1e-8) or SGD over the parameter groups."""
    groups = [
        {k: v for k, v in group.items() if k != "names"}
        for group in parameter_groups(model, config)
    ]
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=config.learning_rate, momentum=config.momentum)
    return torch.optim.AdamW(groups, lr=config.learning_rate)


# ------------------------------------------------------------------------ schedule


def schedule(config: TrainConfig, epochs: int, steps_per_epoch: int) -> Callable[[int], float]:
    """The factor on every group's rate for update t = 0, 1, 2, ...

    With W = warm-up updates and M = all updates: t / (W - 1) while t < W, so that the
    first update has rate 0 and W - 1 and W both have the full rate; then cosine to
    1e-8 (absolute, for the rate of ``config.learning_rate``), steps or constant.
    Without warm-up the cosine ends at 0. Beyond M the cosine rises again.

    Args:
        epochs: of the whole training, the warm-up included.
        steps_per_epoch: updates of one epoch.
    """
    warmup = config.warmup_epochs * steps_per_epoch
    decay = _decay(config, epochs * steps_per_epoch - warmup, warmup > 0)

    def factor(update: int) -> float:
        if update < warmup:
            return update / max(warmup - 1, 1)
        return decay(update - warmup)

    return factor


def _decay(config: TrainConfig, steps: int, after_warmup: bool) -> Callable[[int], float]:
    """The factor t updates after the warm-up."""
    if config.schedule == "constant":
        return lambda t: 1.0
    if config.schedule == "steps":
        milestones = sorted(config.milestones)
        return lambda t: config.gamma ** bisect_right(milestones, t)
    lowest = LOWEST_RATE / config.learning_rate if after_warmup else 0.0
    return lambda t: lowest + (1 - lowest) * (1 + math.cos(math.pi * t / max(steps, 1))) / 2


# ------------------------------------------------------------------- loss of a batch


class TrainingLoss:
    """From a network and a batch to named losses, as the engine wants it.

    Args:
        config: targets and losses.
        classes: of the network.
        sum_over_processes, processes: see ``GroundingLoss``.
    """

    def __init__(
        self,
        config: LossConfig,
        classes: int = 1,
        sum_over_processes: Callable[[int], int] | None = None,
        processes: int = 1,
    ):
        self.config, self.classes = config, classes
        self.loss = GroundingLoss(config, sum_over_processes, processes)

    def __call__(self, model: nn.Module, batch: Batch, *, update: bool = True) -> dict[str, Tensor]:
        """``loss``, ``classification`` and ``regression``, scalars."""
        predictions = model(batch.video, batch.video_mask, batch.tokens, batch.token_masks)
        points = make_points(predictions.lengths, predictions.logits.device)
        targets = assign_batch(
            points, batch.windows, batch.labels, batch.valid, self.config, self.classes
        )
        return self.loss(predictions, targets, update=update)

    def state_dict(self) -> dict[str, Any]:
        return self.loss.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.loss.load_state_dict(state)


def validation_loss(
    model: nn.Module,
    loss: TrainingLoss,
    batches: Iterable[Batch],
    behaviour: str = "official",
) -> dict[str, float]:
    """Mean losses over batches, without gradients.

    Official behaviour: stochastic depth stays on and the normaliser moves with the
    validation set; ``clean`` does neither.
    """
    training = model.training
    model.train(behaviour == "official")
    totals: dict[str, float] = {}
    count = 0
    with torch.no_grad():
        for batch in batches:
            count += 1
            for name, value in loss(model, batch, update=behaviour == "official").items():
                totals[name] = totals.get(name, 0.0) + float(value)
    model.train(training)
    return {name: value / count for name, value in totals.items()}


# ------------------------------------------------------------------ initial weights


def load_initial(model: GroundNLQ, path: str | Path, heads: str = "official") -> LoadReport:
    """Starts a network from a checkpoint of ours or an official file.

    Official behaviour: fine-tuning leaves out every name with "head", so both heads
    and the levels' scales start afresh; ``kept`` takes them too.

    Returns:
        What was loaded and what starts fresh.
    """
    if Path(path).suffix == ".safetensors":
        state, _ = checkpoint.load(path)
    else:
        state = KEYS.to_ours(checkpoint.find_state(checkpoint.read_foreign(path)))
    if heads == "official":
        state = {name: value for name, value in state.items() if not name.startswith(HEADS)}
    report = checkpoint.load_partial(model, state)
    if report.unexpected or report.reshaped or not report.loaded:
        raise EgolibError(
            f"these initial weights are of another network: {report}",
            file=path,
            remedy="use the variant that they were trained with",
        )
    return report


# ---------------------------------------------------------------- averaged weights


def initial_average(
    fresh: Mapping[str, Tensor], loaded: Mapping[str, Tensor], behaviour: str = "official"
) -> dict[str, Tensor]:
    """What the averaged weights start from when a training begins.

    Official behaviour: the copy is taken before the initial weights are read, so the
    average of a fine-tuning starts at random weights; ``loaded`` corrects that.

    Args:
        fresh: state dict of the network as it was built.
        loaded: the same after the initial weights were read.
    """
    chosen = fresh if behaviour == "official" else loaded
    return {name: value.detach().clone() for name, value in chosen.items()}


# -------------------------------------------------------------------- by configuration


def train(step: Step[Config]) -> FitResult:
    """Trains what a step is configured for, or continues it; see ``egolib.engine``."""
    return run_training(step, build_job)


def build_job(step: Step[Config]) -> Job:
    """The training of a step, for the engine."""
    config, data = step.config, training_data(step)
    model = GroundNLQ(config.model)
    fresh = {name: value.clone() for name, value in model.state_dict().items()}
    initial = initial_weights(step)
    if initial is not None:
        report = load_initial(model, initial, config.train.initial_heads)
        fresh_names = sorted({name.partition(".")[0] for name in report.missing})
        print(f"{initial.name}: {report.loaded} entries loaded, fresh: {fresh_names or 'none'}")
    loss = make_loss(config)
    return Job(
        model=model,
        loss=loss,
        data=data,
        optimizer=make_optimizer(model, config.train),
        schedule=make_schedule(config, len(data)),
        evaluate=make_evaluation(step, loss) if config.train.evaluation else None,
        stateful={"loss": loss},
        sidecar=describe(config.model, config.data, config.infer),
        ema_initial=initial_average(fresh, model.state_dict(), config.train.average_start),
    )


def make_schedule(config: Config, samples: int) -> Callable[[int], float]:
    """The schedule of a configuration for so many training samples."""
    steps = updates_per_epoch(samples, config.fit)
    return schedule(config.train, config.fit.epochs, steps)


def make_loss(config: Config) -> TrainingLoss:
    """The loss of a configuration; with ``distributed: exact`` processes count as one."""
    if config.train.distributed == "official" or not distributed.is_parallel():
        return TrainingLoss(config.loss, config.model.classes)
    return TrainingLoss(
        config.loss, config.model.classes, _count_over_processes, distributed.world_size()
    )


def _count_over_processes(count: int) -> int:
    return sum(distributed.gather_objects(count))


def make_evaluation(step: Step[Config], loss: TrainingLoss) -> Evaluate:
    """What is computed on the validation set between epochs."""
    config, data = step.config, question_data(step, "val")
    size = config.fit.batch_size

    def evaluation(model: nn.Module) -> dict[str, float]:
        assert isinstance(model, GroundNLQ)
        device = next(model.parameters()).device
        found: dict[str, float] = {}
        if "loss" in config.train.evaluation:
            batches = (
                data.collate([data[i] for i in range(first, min(first + size, len(data)))])
                for first in range(0, len(data), size)
            )
            moved = (batch.to(device) for batch in batches)
            found |= validation_loss(model, loss, moved, config.train.validation_loss)
        if "recall" in config.train.evaluation:
            grounder = Grounder(model, config.data, config.infer, device)
            found |= evaluate(grounder.predict(data), truth_of(data.queries)).summary()
        return found

    return evaluation


def initial_weights(step: Step[Config]) -> Path | None:
    """The checkpoint that a step starts from; None for a fresh start."""
    name = step.config.train.initial_weights
    if "initial" in step.inputs:
        return step.input("initial") / "train" / f"{name or 'model'}.safetensors"
    return find_file(step.data_root, name) if name else None


# ----------------------------------------------------------------------------- showing


def parameter_table(config: ModelConfig) -> pd.DataFrame:
    """Parameters of a network by part."""
    import pandas as pd

    with torch.device("meta"):
        parts = GroundNLQ(config).named_children()
    rows = {name: sum(p.numel() for p in part.parameters()) for name, part in parts}
    return pd.DataFrame({"parameters": {**rows, "all": sum(rows.values())}})


def last_evaluation(result: FitResult) -> dict[str, Any]:
    """The metrics of the last evaluation during training, as ``validation``; else nothing."""
    for record in reversed(result.evaluations()):
        about = ("kind", "update", "time")
        return {"validation": {k: v for k, v in record.items() if k not in about}}
    return {}
