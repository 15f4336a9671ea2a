"""ActionFormer's checkpoints as OpenTAD writes them: our parameter names and theirs, strictly.

Layer norms of the heads and levels are (C,) in both; 1x1 convolutions are (C, C, 1) there and
(C, C) linear maps here; gains are (1, C, 1) there and (C,) here. The running normaliser of the
loss is stored there, which inference does not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from egolib.config import build as build_config
from egolib.config import to_tree
from egolib.errors import EgolibError
from egolib.io.checkpoint import KeyTable, OfficialModel, Rule, State
from egolib.io.temporal_keys import block, count, stack
from egolib.mq.config import InferConfig, ModelConfig
from egolib.mq.config.actionformer import ActionFormerConfig
from egolib.mq.models.actionformer import ActionFormer

NAME = "mq/actionformer"
STEM = "projection.embed.0.conv.weight"
CLASSES = "rpn_head.cls_head.weight"
NORMALIZER = "rpn_head.loss_normalizer"
TELLING = {STEM, CLASSES, "rpn_head.reg_head.weight", "projection.stem.0.ln1.weight"}
PREFIX = "module."  # of the official data parallelism


def _stack(ours: str, official: str) -> list[Rule]:
    return stack(ours, f"{official}.{{i}}.conv", f"{official}.{{i}}.norm", Rule)


KEYS = KeyTable(
    [
        *_stack("embedding", "projection.embed"),
        *block("stem.{n}", "projection.stem.{n}", Rule),
        *block("branch.{n}", "projection.branch.{n}", Rule),
        Rule("level_norms.{i}.{kind}", "neck.fpn_norms.{i}.{kind}"),
        *_stack("classification.body", "rpn_head.cls_convs"),
        Rule("classification.output.{kind}", "rpn_head.cls_head.{kind}"),
        *_stack("regression.body", "rpn_head.reg_convs"),
        Rule("regression.output.{kind}", "rpn_head.reg_head.{kind}"),
        Rule("level_scales.{i}", "rpn_head.scale.{i}.scale"),
    ]
)


def is_actionformer(official: Mapping[str, Tensor]) -> bool:
    """Whether a state dict without ``module.`` is one of OpenTAD's ActionFormer."""
    return official.keys() >= TELLING


def recognise(official: Mapping[str, Tensor], start: ModelConfig | None = None) -> ModelConfig:
    """The configuration of an official state dict, from its keys and shapes.

    What leaves no trace in the weights (heads, windows, dropout, T) is taken from ``start``.

    Args:
        official: names without ``module.``.
        start: by default that of EgoVLP features, or with ten levels that of InternVideo's.

    Raises:
        EgolibError: it is of another network.
    """
    if not is_actionformer(official):
        raise EgolibError(
            "not a checkpoint of OpenTAD's ActionFormer",
            remedy=f"a state dict with {STEM!r} was expected, found {sorted(official)[:3]}",
        )
    width, feature_width, kernel = official[STEM].shape
    branch = count(official, "projection.branch")
    known = start.actionformer if start is not None else None
    if known is None:
        known = ActionFormerConfig.builders["internvideo" if branch == 9 else "egovlp"]()
    own = replace(
        known,
        width=width,
        head_width=official[CLASSES].shape[1],
        embedding_layers=count(official, "projection.embed"),
        embedding_kernel=kernel,
        stem_blocks=count(official, "projection.stem"),
        branch_blocks=branch,
        windows=known.windows if len(known.windows) in (1, branch + 1) else known.windows[:1],
        head_kernel=official[CLASSES].shape[2],
        head_layers=1 + count(official, "rpn_head.cls_convs"),
        drop_path=known.drop_path if "projection.stem.0.drop_path_attn.scale" in official else 0.0,
    )
    return replace(
        start or ModelConfig(length=2048 if branch == 9 else 1024),
        feature_width=feature_width,
        classes=official[CLASSES].shape[0] + 1,
        actionformer=own,
    )


def to_ours(official: Mapping[str, Tensor]) -> State:
    """Weights by our names; the normaliser of the loss is left out."""
    return KEYS.to_ours({k: v for k, v in official.items() if k != NORMALIZER})


def to_official(ours: Mapping[str, Tensor]) -> State:
    """The official layout, with its ``module.``; the normaliser is its start value."""
    found = KEYS.to_official(ours) | {NORMALIZER: torch.tensor(100.0)}
    return {f"{PREFIX}{name}": value for name, value in found.items()}


def _translate(official: Mapping[str, Tensor]) -> tuple[State, dict[str, Any]]:
    infer = InferConfig.builders["actionformer"]()
    return to_ours(official), {"model": to_tree(recognise(official)), "infer": to_tree(infer)}


def _empty(config: Mapping[str, Any]) -> Mapping[str, Tensor]:
    with torch.device("meta"):
        return ActionFormer(build_config(ModelConfig, config["model"])).state_dict()


MODELS = [
    OfficialModel(
        NAME,
        is_actionformer,
        _translate,
        lambda ours, _: to_official(ours),
        read=lambda official, _: to_ours(official),
        empty=_empty,
        accepts=lambda config: bool(config.get("model", {}).get("actionformer")),
    )
]
"""The published architecture of this module."""
