"""Optimisation of the detectors: parameter groups, optimiser, rates, and where weights start.

Pure pieces; the loop itself is ``egolib.engine``'s.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from egolib.errors import EgolibError
from egolib.io import checkpoint
from egolib.io.checkpoint import LoadReport, find_state, load_partial, read_foreign
from egolib.vod.config.model import ModelConfig
from egolib.vod.config.optim import OptimConfig
from egolib.vod.formats.backbones import from_msra, from_torchvision, swin_from_microsoft
from egolib.vod.formats.checkpoint import layout

BACKBONE = "detector.backbone."
#: Of a backbone's entries, how much a start must fill; TDViT-T+ has blocks that Swin-T lacks.
LEAST_FRACTION = 0.75

State = Mapping[str, Tensor]


# -------------------------------------------------------------------------- optimiser


def parameter_groups(
    model: nn.Module, config: OptimConfig, batch: int | None = None
) -> list[dict[str, Any]]:
    """Groups of trainable parameters, each with ``params``, ``lr`` and ``weight_decay``.

    Args:
        model: the network.
        config: rates and decay.
        batch: clips of an update over all processes, for ``rate_scaling="linear"``.
    """
    rate = config.learning_rate
    if config.rate_scaling == "linear" and batch is not None:
        rate *= batch / config.reference_batch
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            key = _rate_and_decay(name, rate, config)
            groups.setdefault(key, []).append(parameter)
    return [{"params": p, "lr": lr, "weight_decay": decay} for (lr, decay), p in groups.items()]


def _rate_and_decay(name: str, rate: float, config: OptimConfig) -> tuple[float, float]:
    fast = config.bias_lr_factor != 1 and name.endswith("bias")
    still = fast or any(part in name for part in config.no_decay)
    if name.startswith(BACKBONE):
        rate *= config.backbone_lr_factor
    return rate * (config.bias_lr_factor if fast else 1), 0.0 if still else config.weight_decay


def make_optimizer(
    model: nn.Module, config: OptimConfig, batch: int | None = None
) -> torch.optim.Optimizer:
    """SGD with momentum, or AdamW, over the parameter groups.

    Args:
        model: the network.
        config: which optimiser, with which rates.
        batch: clips of an update over all processes.
    """
    groups, rate = parameter_groups(model, config, batch), config.learning_rate
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=rate, momentum=config.momentum)
    return torch.optim.AdamW(groups, lr=rate, betas=config.betas, eps=config.epsilon)


def schedule(config: OptimConfig, updates_per_epoch: int, total: int) -> Callable[[int], float]:
    """The factor on every group's rate for update t = 0, 1, ...

    During the warm-up the factor is multiplied by one that rises linearly from
    ``warmup_start_factor`` to 1.

    Args:
        config: kind of schedule, milestones and warm-up.
        updates_per_epoch: for milestones in epochs.
        total: updates of the whole training, for ``cosine`` and ``polynomial`` (which falls
            linearly to nothing).
    """
    unit = updates_per_epoch if config.milestone_unit == "epochs" else 1
    milestones = [milestone * unit for milestone in config.milestones]

    def after_warmup(update: int) -> float:
        if config.schedule == "constant":
            return 1.0
        if config.schedule == "multistep":
            return config.gamma ** sum(update >= milestone for milestone in milestones)
        length = max(total - config.warmup_updates, 1)
        done = min(max(update - config.warmup_updates, 0) / length, 1.0)
        return 1 - done if config.schedule == "polynomial" else (1 + math.cos(math.pi * done)) / 2

    def factor(update: int) -> float:
        value = after_warmup(update)
        if update < config.warmup_updates:
            start, risen = config.warmup_start_factor, update / config.warmup_updates
            value *= start + (1 - start) * risen
        return value

    return factor


# -------------------------------------------------------------------- starting points


def load_start(model: nn.Module, config: ModelConfig, path: str | Path, form: str) -> LoadReport:
    """Loads what fits of published or earlier weights; the report says what starts fresh.

    Args:
        model: the network, with initial weights.
        config: its settings.
        path: the file.
        form: how it is laid out: ``InitialConfig.format``.

    Raises:
        EgolibError: the file cannot be read, or fills too little of the backbone.
    """
    report = load_partial(model, _read_start(config, path, form))
    backbone = [name for name in model.state_dict() if name.startswith(BACKBONE)]
    absent = {*report.missing, *_names(report.reshaped)}
    filled = sum(name not in absent for name in backbone)
    if filled < LEAST_FRACTION * len(backbone):
        raise EgolibError(
            f"this start fills {filled} of {len(backbone)} entries of the backbone ({form}): "
            f"{report}",
            file=path,
            remedy="it is of another network or layout: see initial.weights and initial.format, "
            "or ask for random weights with initial.weights=none",
        )
    return report


def _names(entries: list[str]) -> list[str]:
    """Names of reshaped entries, which are listed with both shapes."""
    return [entry.split(" ", 1)[0] for entry in entries]


def _read_start(config: ModelConfig, path: str | Path, form: str) -> State:
    if form == "ours":
        return checkpoint.load(path)[0]
    content = read_foreign(path)
    if form == "msra":
        return from_msra(content, config)
    state = find_state(content)
    if form == "official":
        return layout(config).to_ours(state, strict=False)
    return from_torchvision(state, config) if form == "torchvision" else swin_from_microsoft(state)


def load_flow(model: nn.Module, config: ModelConfig, path: str | Path) -> LoadReport:
    """Loads published weights of the flow network of DFF and FGFA, strictly.

    Args:
        model: the detector.
        config: its settings.
        path: mmtracking's ``flownet_simple.pth``, alone or inside a detector.

    Raises:
        EgolibError: an entry is missing or of another shape.
    """
    prefix = "motion."
    state = find_state(read_foreign(path))
    if not any(name.startswith(prefix) for name in state):
        state = {prefix + name: value for name, value in state.items()}
    table = layout(config).table
    ours = {k: v for k, v in table.to_ours(state).items() if k.startswith(prefix)}
    wanted = {k: v for k, v in model.state_dict().items() if k.startswith(prefix)}
    report = checkpoint.compare(ours, wanted).require_complete(file=path)
    model.load_state_dict(ours, strict=False)
    return report
