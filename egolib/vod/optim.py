"""Optimisation of the detectors: batches, losses, parameter groups, rates, starting points.

Pure pieces; the loop itself is ``egolib.engine``'s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from egolib.io import checkpoint
from egolib.io.checkpoint import LoadReport, find_state, load_partial, read_foreign
from egolib.vod.config import TrainConfig
from egolib.vod.config.model import ModelConfig
from egolib.vod.data.dataset import PreparedClip
from egolib.vod.data.pipeline import Prepared
from egolib.vod.formats.backbones import resnet_from_torchvision, swin_from_microsoft
from egolib.vod.formats.checkpoint import layout
from egolib.vod.models.frames import Clip, Frames, Truth

NOT_A_LOSS = ("accuracy",)


# ---------------------------------------------------------------------------- batches


def make_frames(inputs: Sequence[Prepared], numbers: Sequence[int] = ()) -> Frames | None:
    """Network inputs as a batch, padded to the largest; None for no input."""
    if not inputs:
        return None
    height = max(p.pixels.shape[1] for p in inputs)
    width = max(p.pixels.shape[2] for p in inputs)
    images = torch.zeros(len(inputs), 3, height, width)
    for image, p in zip(images, inputs):
        image[:, : p.pixels.shape[1], : p.pixels.shape[2]] = torch.from_numpy(p.pixels)
    scales = torch.stack([torch.from_numpy(p.scale) for p in inputs])
    return Frames(images, [p.size for p in inputs], scales, list(numbers))


def make_clip(prepared: PreparedClip) -> Clip:
    """A training sample as tensors."""
    key = make_frames([prepared.key])
    assert key is not None
    truth = Truth(torch.from_numpy(prepared.key.boxes), torch.from_numpy(prepared.key.labels))
    others = (prepared.references, prepared.memory, prepared.distant)
    return Clip(key, truth, *(make_frames(part) for part in others))


def collate(items: Sequence[PreparedClip]) -> list[Clip]:
    """A batch: clips keep their own sizes and are computed one after the other."""
    return [make_clip(item) for item in items]


# ----------------------------------------------------------------------------- losses


class TrainingLoss:
    """From a network and a batch to named losses, as the engine wants it.

    The mean over clips, which is what one clip a GPU gives. The examples are drawn by
    torch's global generator, which the engine seeds and restores.
    """

    def __call__(self, model: nn.Module, batch: Sequence[Clip]) -> dict[str, Tensor]:
        """``loss`` (what is minimised), its parts, and the share ``accuracy``."""
        device = next(model.parameters()).device
        parts = [model.losses(clip.to(device)) for clip in batch]  # type: ignore[operator]
        means = {name: torch.stack([p[name] for p in parts]).mean() for name in parts[0]}
        total = torch.stack([v for name, v in means.items() if name not in NOT_A_LOSS]).sum()
        return {"loss": total, **{name: value.detach() for name, value in means.items()}}


# -------------------------------------------------------------------------- optimiser


def parameter_groups(
    model: nn.Module, config: TrainConfig, batch: int | None = None
) -> list[dict[str, Any]]:
    """Groups of trainable parameters, each with ``params``, ``lr`` and ``weight_decay``.

    Args:
        batch: clips of an update over all processes, for ``rate_scaling="linear"``.
    """
    rate = config.learning_rate
    if config.rate_scaling == "linear" and batch is not None:
        rate *= batch / config.reference_batch
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        fast = config.bias_rate != 1 and name.endswith("bias")
        still = fast or any(part in name for part in config.no_decay)
        key = (rate * (config.bias_rate if fast else 1), 0.0 if still else config.weight_decay)
        groups.setdefault(key, []).append(parameter)
    return [{"params": p, "lr": lr, "weight_decay": decay} for (lr, decay), p in groups.items()]


def make_optimizer(
    model: nn.Module, config: TrainConfig, batch: int | None = None
) -> torch.optim.Optimizer:
    """SGD with momentum, or AdamW (betas 0.9 and 0.999), over the parameter groups."""
    groups = parameter_groups(model, config, batch)
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=config.learning_rate, momentum=config.momentum)
    return torch.optim.AdamW(groups, lr=config.learning_rate)


def schedule(config: TrainConfig, steps_per_epoch: int) -> Callable[[int], float]:
    """The factor on every group's rate for update t = 0, 1, ...

    Drops by ``gamma`` at the given epochs (or updates); during the warm-up that factor
    is multiplied by a share that rises linearly from ``warmup_start`` to 1.
    """
    unit = steps_per_epoch if config.drop_unit == "epochs" else 1
    drops = [drop * unit for drop in config.drops]

    def factor(update: int) -> float:
        value = config.gamma ** sum(update >= drop for drop in drops)
        if update < config.warmup_updates:
            share = update / config.warmup_updates
            value *= config.warmup_start + (1 - config.warmup_start) * share
        return value

    return factor


# -------------------------------------------------------------------- starting points


def load_initial_weights(
    model: nn.Module, config: ModelConfig, path: str | Path, form: str
) -> LoadReport:
    """Loads what fits of a checkpoint; the report says what starts fresh.

    Args:
        form: ``ours``, ``official``, ``torchvision`` or ``microsoft``.

    Raises:
        EgolibError: the file cannot be read, or holds nothing that fits.
    """
    if form == "ours":
        state, _ = checkpoint.load(path)
        report = load_partial(model, state)
    elif form == "official":
        report = layout(config).start(model, find_state(read_foreign(path)))
    else:
        translate = resnet_from_torchvision if form == "torchvision" else swin_from_microsoft
        report = load_partial(model, translate(find_state(read_foreign(path))))
    if not report.loaded:
        raise checkpoint.EgolibError(
            "nothing in the checkpoint fits the network", file=path, remedy=str(report)
        )
    return report
