"""Weights that trainings start from: backbones of torchvision, OpenMMLab, MSRA and Microsoft."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from egolib.errors import EgolibError
from egolib.io.checkpoint import KeyTable
from egolib.vod.config.model import ModelConfig
from egolib.vod.formats.checkpoint import RESNET_NAMES, State

OURS = "detector.backbone."


# ------------------------------------------------------------------------------- Swin


def swin_from_microsoft(state: Mapping[str, Tensor]) -> State:
    """Microsoft's Swin weights under our names: a classifier's, or those in a detector.

    A detector of Microsoft's repository holds the backbone under ``backbone.``, with the
    norms of its outputs. Their patch merging joins four tokens block by block, ours channel
    by channel: the columns of ``reduction`` and the values of its norm change places.
    """
    inside = {k.removeprefix("backbone."): v for k, v in state.items() if k.startswith("backbone.")}
    renamed = {}
    for name, value in (inside or state).items():
        if name.startswith(("head.", "norm.")) or name.endswith(("attn_mask", "_index")):
            continue
        new = name.replace("layers.", "stages.", 1) if name.startswith("layers.") else name
        new = re.sub(r"^norm(\d+)\.", r"norms.\1.", new)
        for theirs, ours in _MICROSOFT:
            new = new.replace(theirs, ours)
        if ".merge." in new:
            value = _channel_major(value)
        renamed[f"{OURS}{new}"] = value
    return renamed


_MICROSOFT = [
    ("patch_embed.proj.", "patches.conv."),
    ("patch_embed.norm.", "patches.norm."),
    ("attn.relative_position_bias_table", "attention.bias_table"),
    ("attn.qkv.", "attention.qkv."),
    ("attn.proj.", "attention.out."),
    ("mlp.fc1.", "mlp.inner."),
    ("mlp.fc2.", "mlp.outer."),
    ("downsample.", "merge."),
]


def _channel_major(value: Tensor) -> Tensor:
    """(..., 4C) with blocks of the tokens (0,0), (1,0), (0,1), (1,1) as channel by channel
    with the tokens in the order (0,0), (0,1), (1,0), (1,1)."""
    blocks = torch.unflatten(value, -1, (4, -1))[..., [0, 2, 1, 3], :]
    return blocks.transpose(-1, -2).flatten(-2)


# ----------------------------------------------------------------------------- ResNet


def from_torchvision(state: Mapping[str, Tensor], config: ModelConfig) -> State:
    """torchvision's ResNet weights (also OpenMMLab's ``resnet101_caffe``) under our names; the
    classifier is left out."""
    names = [(f"detector.{o}", official.removeprefix("backbone.")) for o, official in RESNET_NAMES]
    table = KeyTable(names, drop_official=["fc.{p}", "{rest}.num_batches_tracked"])
    return _stage_of_head(table.to_ours(state), config)


def from_msra(content: Mapping[str, Any], config: ModelConfig) -> State:
    """MSRA's ImageNet ResNets as Caffe2 wrote them (``R-101.pkl``), under our names.

    The arrays lie under ``blobs``. Norms are scale and shift alone; their statistics, 0 and 1,
    were worked into them.

    Raises:
        EgolibError: there are no arrays of that naming.
    """
    blobs = content.get("blobs", content)
    state: State = {}
    for name, value in blobs.items():
        ours = _msra_name(name)
        if ours is None:
            continue
        state[f"{OURS}{ours}"] = torch.as_tensor(value)
        if ours.endswith("norm.weight") or re.search(r"norm\d\.weight$", ours):
            base, scale = f"{OURS}{ours.removesuffix('weight')}", torch.as_tensor(value)
            state[f"{base}running_mean"] = torch.zeros_like(scale)
            state[f"{base}running_var"] = torch.ones_like(scale)
    if not state:
        raise EgolibError(
            "no array of a Caffe2 ResNet (res2_0_branch2a_w ...)",
            remedy=f"top-level names: {list(blobs)[:6]}",
        )
    return _stage_of_head(state, config)


_BRANCHES = {"1": "shortcut.{}", "2a": "{}1", "2b": "{}2", "2c": "{}3"}
_PARTS = {"w": ("conv", "weight"), "bn_s": ("norm", "weight"), "bn_b": ("norm", "bias")}


def _msra_name(name: str) -> str | None:
    """Our name of a Caffe2 array, without the backbone's prefix; None where it has no part."""
    stem = {
        "conv1_w": "stem.conv.weight",
        "res_conv1_bn_s": "stem.norm.weight",
        "res_conv1_bn_b": "stem.norm.bias",
    }
    match = re.fullmatch(r"res(\d)_(\d+)_branch(1|2a|2b|2c)_(w|bn_s|bn_b)", name)
    if match is None:
        return stem.get(name)
    stage, block, branch, part = match.groups()
    layer, parameter = _PARTS[part]
    return f"layer{int(stage) - 1}.{block}.{_BRANCHES[branch].format(layer)}.{parameter}"


def _stage_of_head(state: State, config: ModelConfig) -> State:
    """A C4 network has the last stage in its head."""
    if config.detector != "c4":
        return state
    last = f"{OURS}layer{len(config.resnet.blocks)}."
    return {name.replace(last, "detector.head.stage."): value for name, value in state.items()}
