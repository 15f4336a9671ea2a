"""Optimisation of the Siamese R-CNN: parameter groups, schedule, optimiser, where weights start.

Pure pieces; the loop itself is ``egolib.engine``'s, the loss lies in ``losses.training``.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from egolib.errors import EgolibError
from egolib.io import checkpoint
from egolib.io.checkpoint import LoadReport
from egolib.nn.resnet import FixedBatchNorm
from egolib.vq2d.config import InitialConfig, OptimConfig
from egolib.vq2d.formats.key_tables import siamese_table
from egolib.vq2d.models.model import SiameseRcnn

NORMS = (nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm, FixedBatchNorm)
TRUNK = ("backbone.", "pyramid.", "proposals.")


# ---------------------------------------------------------------- parameter groups


def set_trunk(model: SiameseRcnn, config: OptimConfig) -> None:
    """Turns the gradients of backbone, pyramid and proposal network off where they are frozen."""
    if config.trunk == "frozen":
        for part in (model.backbone, model.pyramid, model.proposals):
            part.requires_grad_(False)


def parameter_groups(model: SiameseRcnn, config: OptimConfig) -> list[dict[str, Any]]:
    """Groups with ``name``, ``params``, ``lr``, ``weight_decay``; empty ones are left out.

    The parts are backbone (with pyramid), heads and proposal network; norms of each part
    form a group of their own where their weight decay differs.
    """
    set_trunk(model, config)
    trunk_rate = config.learning_rate * config.backbone_lr_factor
    parts: dict[str, tuple[list[nn.Module], float]] = {
        "backbone": ([model.backbone, model.pyramid], trunk_rate),
        "heads": ([model.head], config.learning_rate),
        "proposals": ([model.proposals], trunk_rate),
    }
    groups = []
    for name, (modules, rate) in parts.items():
        plain, norms = _split_norms(modules)
        if config.norm_weight_decay == config.weight_decay:
            plain, norms = plain + norms, []
        for suffix, params, decay in (
            ("", plain, config.weight_decay),
            ("_norms", norms, config.norm_weight_decay),
        ):
            if params:
                group = {"name": name + suffix, "params": params}
                groups.append(group | {"lr": rate, "weight_decay": decay})
    return groups


def _split_norms(modules: Sequence[nn.Module]) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    plain: list[nn.Parameter] = []
    norms: list[nn.Parameter] = []
    for module in modules:
        for part in module.modules():
            own = [p for p in part.parameters(recurse=False) if p.requires_grad]
            (norms if isinstance(part, NORMS) else plain).extend(own)
    return plain, norms


def make_optimizer(model: SiameseRcnn, config: OptimConfig) -> torch.optim.Optimizer:
    """SGD with momentum, or AdamW, over the parameter groups."""
    groups = [
        {name: value for name, value in group.items() if name != "name"}
        for group in parameter_groups(model, config)
    ]
    if config.optimizer == "adamw":
        return torch.optim.AdamW(
            groups, lr=config.learning_rate, betas=config.betas, eps=config.epsilon
        )
    return torch.optim.SGD(groups, lr=config.learning_rate, momentum=config.momentum)


def schedule(config: OptimConfig) -> Callable[[int], float]:
    """The factor on every group's rate for update t = 0, 1, 2, ...

    Linear from ``warmup_start_factor`` to 1 over the first updates, then, with
    ``multistep``, a step down at each milestone.
    """
    milestones = sorted(config.milestones) if config.schedule == "multistep" else []

    def factor(update: int) -> float:
        start = 1.0
        if update < config.warmup_updates:
            done = update / config.warmup_updates
            start = config.warmup_start_factor * (1 - done) + done
        return start * config.gamma ** bisect_right(milestones, update)

    return factor


# ------------------------------------------------------------------ initial weights


def initial_file(config: InitialConfig, data_root: Path) -> Path | None:
    """The checkpoint that a training starts from; None for random weights.

    Raises:
        EgolibError: it is not there.
    """
    if config.random:
        return None
    path = data_root / config.weights
    if not path.is_file():
        raise EgolibError(
            "the weights that this training starts from are not there (initial.weights)",
            file=path,
            remedy="get COCO Mask R-CNN R50-FPN 3x (model_final_f10217.pkl of detectron2's model "
            "zoo, see the page on data and weights), or set initial.weights: none and "
            "optim.trunk: trained",
        )
    return path


def load_initial(model: SiameseRcnn, path: str | Path) -> LoadReport:
    """Starts backbone, pyramid and proposal network from a detectron2 checkpoint (COCO Mask
    R-CNN R50-FPN 3x, ``.pkl`` or ``.pth``) or an egolib checkpoint; heads start fresh.

    Returns:
        What was loaded, what starts fresh, and what of the file was not used.

    Raises:
        EgolibError: an entry of the trunk is missing or has another shape.
    """
    if Path(path).suffix == ".safetensors":
        state, _ = checkpoint.load(path)
    else:
        official = checkpoint.find_state(checkpoint.read_foreign(path))
        state = siamese_table(model.config).to_ours(official)
    trunk = {name: value for name, value in state.items() if name.startswith(TRUNK)}
    report = checkpoint.load_partial(model, trunk)
    fresh = [name for name in report.missing if name.startswith(TRUNK)]
    if fresh or report.reshaped or report.unexpected:
        raise EgolibError(
            f"these initial weights are of another trunk: {report}",
            file=path,
            remedy="use COCO Mask R-CNN R50-FPN 3x, or the builder that the file belongs to",
        )
    unused = sorted(name for name in state if name not in trunk)
    return LoadReport(report.missing, unused, [], report.loaded)
