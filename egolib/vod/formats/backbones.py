"""Weights that trainings start from: ImageNet backbones of torchvision and of Microsoft."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from egolib.io.checkpoint import KeyTable
from egolib.vod.formats.checkpoint import RESNET_NAMES, State


def swin_from_microsoft(state: Mapping[str, Tensor]) -> State:
    """Microsoft's Swin weights under our names (``detector.backbone.`` ...).

    Their patch merging joins four tokens block by block, ours channel by channel: the
    columns of ``reduction`` and the values of its norm change places.
    """
    renamed = {}
    for name, value in state.items():
        if name.startswith(("head.", "norm.")) or name.endswith(("attn_mask", "_index")):
            continue
        new = name.replace("layers.", "stages.", 1) if name.startswith("layers.") else name
        for theirs, ours in _MICROSOFT:
            new = new.replace(theirs, ours)
        if ".merge." in new:
            value = _channel_major(value)
        renamed[f"detector.backbone.{new}"] = value
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
    blocks = value.unflatten(-1, (4, -1))[..., [0, 2, 1, 3], :]
    return blocks.transpose(-1, -2).flatten(-2)


def resnet_from_torchvision(state: Mapping[str, Tensor]) -> State:
    """torchvision's ResNet weights under our names; the classifier is left out."""
    table = KeyTable(
        [
            (f"detector.{ours}", official.removeprefix("backbone."))
            for ours, official in RESNET_NAMES
        ],
        drop_official=["fc.{p}", "{rest}.num_batches_tracked"],
    )
    return table.to_ours(state)
