"""The optimiser and the learning rates of EgoVLPv2, and where its weights start.

AdamW as the older Hugging Face library has it; parameters in six groups by their
published names; linear warm-up, then a cosine (or another schedule).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from egolib.engine.config import FitConfig, updates_per_epoch
from egolib.engine.legacy_adamw import LegacyAdamW
from egolib.errors import EgolibError
from egolib.io import checkpoint
from egolib.io.checkpoint import LoadReport
from egolib.runs.inputs import weights_file
from egolib.runs.step import Step
from egolib.vlp.config import NO_WEIGHTS, Config, ModelConfig, OptimConfig
from egolib.vlp.formats import checkpoint as convert
from egolib.vlp.formats.checkpoint import KEYS
from egolib.vlp.models.build import build
from egolib.vlp.models.model import VideoLanguageModel

#: Name parts, by which the official code sorts parameters into groups.
NO_DECAY = (
    "bias",
    "LayerNorm.weight",
    "norm.weight",
    "norm1.weight",
    "norm2.weight",
)
HEAD = ("mlm_score", "itm_score", "txt_proj", "vid_proj")
CROSS = ("cross_modal", "i2t", "t2i")


def parameter_groups(model: nn.Module, config: OptimConfig) -> list[dict[str, Any]]:
    """Six groups: base, head and cross-modal, each with and without decay, in this order.

    Official behaviour: groups are found by parts of the *published* names, so ``norm3`` and
    ``norm_i2t_i`` weights, class tokens, positions and gates decay, while the other
    norms and all biases do not.

    Returns:
        Dictionaries with ``name``, ``params``, ``names`` (ours), ``lr``, ``weight_decay``.
    """
    factors = (
        ("base", config.backbone_lr_factor),
        ("head", config.head_lr_factor),
        ("cross", config.cross_lr_factor),
    )
    groups = [
        {"name": f"{part}{'' if decay else '_no_decay'}", "params": [], "names": [],
         "lr": config.learning_rate * factor,
         "weight_decay": config.weight_decay if decay else 0.0}
        for part, factor in factors
        for decay in (True, False)
    ]  # fmt: skip
    for name, parameter in model.named_parameters():
        group: Any = groups[group_index(KEYS.official_name(name) or name)]
        group["params"].append(parameter)
        group["names"].append(name)
    return [group for group in groups if group["params"]]


def group_index(official_name: str) -> int:
    """The place of a parameter in the six groups, by its published name."""
    part = 0
    if any(p in official_name for p in HEAD):
        part = 1
    elif any(p in official_name for p in CROSS):
        part = 2
    return 2 * part + any(p in official_name for p in NO_DECAY)


def make_optimizer(model: nn.Module, config: OptimConfig) -> torch.optim.Optimizer:
    """The optimiser of a training, with the six groups."""
    groups = parameter_groups(model, config)
    for group in groups:
        del group["names"]
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, config.learning_rate, config.momentum)
    kind = LegacyAdamW if config.adamw == "official" else torch.optim.AdamW
    return kind(groups, config.learning_rate, config.betas, config.epsilon)


# ----------------------------------------------------------------------- schedule

Schedule = Callable[[int], float]


def schedule(config: OptimConfig, total: int, per_epoch: int | None = None) -> Schedule:
    """The factor on every group's base rate, by update from 0.

    Args:
        config: shape of the schedule.
        total: updates of the whole training.
        per_epoch: updates of one epoch, where rates change by epoch
            (``epoch_learning_rate``, ``milestone_unit``).

    Raises:
        EgolibError: rates change by epoch, and ``per_epoch`` is not given.
    """
    by_epoch = config.schedule == "multistep" and config.milestone_unit == "epochs"
    if per_epoch is None and (by_epoch or config.epoch_learning_rate == "official"):
        raise EgolibError("this schedule needs the updates of one epoch")
    base = _with_warmup(config, total, _falling(config, total, per_epoch or 1))
    if config.epoch_learning_rate == "none":
        return base
    return lambda update: _epoch_factor(config, update, per_epoch or 1) or base(update)


def make_schedule(config: OptimConfig, fit: FitConfig, samples: int) -> Schedule:
    """The schedule of a training on so many samples, whole epochs counted.

    Args:
        config: shape of the schedule.
        fit: epochs and batches.
        samples: of an epoch.
    """
    per_epoch = updates_per_epoch(samples, fit)
    return schedule(config, fit.epochs * per_epoch, per_epoch)


def warmup_updates(config: OptimConfig, total: int) -> int:
    """Updates that the rate rises over, of ``total``."""
    return config.warmup_updates or int(config.warmup_fraction * total)


def _with_warmup(config: OptimConfig, total: int, falling: Schedule) -> Schedule:
    """A linear rise, then what ``falling`` says."""
    warmup, start = warmup_updates(config, total), config.warmup_start_factor

    def factor(update: int) -> float:
        if update < warmup:
            return start + (1 - start) * update / max(1, warmup)
        return falling(update)

    return factor


def _falling(config: OptimConfig, total: int, per_epoch: int) -> Schedule:
    """The factor after the warm-up."""
    if config.schedule == "constant":
        return lambda update: 1.0
    if config.schedule == "multistep":
        unit = per_epoch if config.milestone_unit == "epochs" else 1
        return lambda update: config.gamma ** sum(update // unit >= m for m in config.milestones)
    warmup = warmup_updates(config, total)
    length = max(1, total - warmup)
    if config.schedule == "cosine":
        return lambda update: max(0.0, 0.5 * (1 + math.cos(math.pi * (update - warmup) / length)))
    end, power = config.end_learning_rate / config.learning_rate, config.polynomial_power
    return lambda update: (
        end if update > total else (1 - end) * (1 - (update - warmup) / length) ** power + end
    )


def _epoch_factor(config: OptimConfig, update: int, per_epoch: int) -> float | None:
    """The factor of an epoch's first update; None for the first epoch and other updates.

    Official behaviour: after every epoch all groups are set to one rate, which the
    schedule replaces only after the next update.
    """
    epoch, place = divmod(update, per_epoch)
    if place or not epoch:
        return None
    passed = sum(epoch >= milestone for milestone in config.epoch_learning_rate_milestones)
    return config.epoch_learning_rate_value * 0.1**passed / config.learning_rate


# --------------------------------------------------------------------- where weights start


def initial_weights(step: Step[Config]) -> Path | None:
    """The checkpoint that a training starts from; None for image and language models, or nothing.

    Raises:
        EgolibError: the configuration was published with a start and there is none, or the
            file that it names is not there.
    """
    initial = step.config.initial
    if initial.weights == NO_WEIGHTS:
        return None
    if "initial" in step.inputs:
        return weights_file(step.input("initial"), initial.weights or "model")
    if initial.weights:
        return _present(step, "weights", initial.weights)
    if initial.required and not (initial.vit and initial.roberta):
        raise EgolibError(
            f"{step.task}/{step.variant} was published with initial weights, and none are named",
            remedy="name initial.weights, or initial.vit and initial.roberta; initial.weights=none "
            "trains without them",
        )
    return None


def encoder_files(step: Step[Config]) -> tuple[Path | None, Path | None]:
    """The files of the image and the language model that the two encoders start from.

    Raises:
        EgolibError: a file that the configuration names is not there.
    """
    initial = step.config.initial
    names = {"vit": initial.vit, "roberta": initial.roberta}
    vit, roberta = (_present(step, k, v) if v else None for k, v in names.items())
    return vit, roberta


def _present(step: Step[Config], field: str, name: str) -> Path:
    path = step.data_root / name
    if not path.is_file():
        raise EgolibError(
            f"initial.{field} is not there",
            file=path,
            remedy="download it (the page on data and weights says where from), or name another "
            f"file: -p initial.{field}=PATH; initial.weights=none trains without",
        )
    return path


def initial_model(step: Step[Config], config: ModelConfig) -> VideoLanguageModel:
    """A network with its initial weights; says where they are from.

    Raises:
        EgolibError: no start where one is required, or weights of another network.
    """
    start = initial_weights(step)
    if start is not None:
        model, _ = build(config, step.config.initial)
        print(f"{start.name}: {load_initial(model, start)}")
        return model
    vit, roberta = encoder_files(step)
    model, report = build(config, step.config.initial, vit=vit, roberta=roberta)
    print(report)
    return model


def load_initial(model: VideoLanguageModel, path: Path) -> LoadReport:
    """Loads an egolib checkpoint or an official one; the time embedding is resized.

    Raises:
        EgolibError: it is of another network.
    """
    state, _ = convert.read_any(path)
    state["video.times"] = convert.resize_times(state["video.times"], model.config.frames)
    report = checkpoint.compare(state, model.state_dict())
    if not report.complete:
        raise EgolibError(
            f"these initial weights are of another network: {report}",
            file=path,
            remedy="large projectors: egoclip_pretrain; small ones: egoclip_pretrain_smallproj",
        )
    model.load_state_dict(state)
    return report
