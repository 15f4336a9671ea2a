"""Files that published trainings start from, with their names of entries and made-up values."""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from egolib.vod.config.model import ModelConfig
from egolib.vod.formats.checkpoint import layout

State = dict[str, Tensor]
BACKBONE = "detector.backbone."


def write_start(path: Path, model: nn.Module, config: ModelConfig) -> Path:
    """A file of the kind that its name says, which holds a network's backbone (or its flow)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    state = model.state_dict()
    if path.name.startswith("flownet"):
        torch.save({"state_dict": flow_of_mmtracking(state, config)}, path)
    elif path.suffix == ".pkl":
        path.write_bytes(pickle.dumps({"blobs": caffe2(backbone(state, config))}, protocol=2))
    elif path.name.startswith("mask_rcnn_swin"):
        own = {f"backbone.{k}": v for k, v in microsoft(backbone(state, config)).items()}
        others = {"neck.lateral_convs.0.conv.weight": torch.zeros(2), "rpn_head.x": torch.ones(1)}
        torch.save({"meta": {"epoch": 36}, "state_dict": own | others}, path)
    elif path.name.startswith("swin_"):
        own = {k: v for k, v in microsoft(backbone(state, config)).items() if "norm" not in k[:6]}
        head = {"norm.weight": torch.ones(3), "head.weight": torch.zeros(4, 3)}
        torch.save({"model": own | head}, path)
    else:
        torch.save(torchvision(backbone(state, config)), path)
    return path


def backbone(state: State, config: ModelConfig) -> State:
    """A network's backbone without prefix, the last stage of a C4 head included."""
    last = f"layer{len(config.resnet.blocks)}."
    found = {k.removeprefix(BACKBONE): v for k, v in state.items() if k.startswith(BACKBONE)}
    head = "detector.head.stage."
    return found | {k.replace(head, last): v for k, v in state.items() if k.startswith(head)}


def torchvision(state: State) -> State:
    """ResNet names of torchvision, with its classifier and counters."""
    renamed = {}
    for name, value in state.items():
        for ours, theirs in (
            ("stem.conv", "conv1"),
            ("stem.norm", "bn1"),
            ("shortcut.conv", "downsample.0"),
            ("shortcut.norm", "downsample.1"),
        ):
            name = name.replace(ours, theirs)
        name = re.sub(r"norm(\d)", r"bn\1", name)
        renamed[name] = value
        if name.endswith("running_var"):
            renamed[name.replace("running_var", "num_batches_tracked")] = torch.tensor(7)
    return renamed | {"fc.weight": torch.zeros(2, 2), "fc.bias": torch.zeros(2)}


def caffe2(state: State) -> dict[str, Any]:
    """Arrays of MSRA's ResNets by Caffe2's names: no statistics, a classifier, momenta."""
    blobs: dict[str, Any] = {}
    branches = {"1": "2a", "2": "2b", "3": "2c"}
    for name, value in state.items():
        if name.endswith(("running_mean", "running_var")):
            continue
        if name.startswith("stem.conv"):
            new = "conv1_w"
        elif name.startswith("stem.norm"):
            new = "res_conv1_bn_" + ("s" if name.endswith("weight") else "b")
        else:
            layer, block, part, *rest = name.split(".")
            branch = "1" if part == "shortcut" else branches[part[-1]]
            kind = rest[0] if part == "shortcut" else part[:-1]
            end = "w" if kind == "conv" else "bn_s" if name.endswith("weight") else "bn_b"
            new = f"res{int(layer[-1]) + 1}_{block}_branch{branch}_{end}"
        blobs[new] = value.numpy()
        blobs[f"{new}_momentum"] = value.numpy()
    return blobs | {"fc1000_w": torch.zeros(2, 2).numpy(), "fc1000_b": torch.zeros(2).numpy()}


def microsoft(state: State) -> State:
    """Swin names of Microsoft (the merging keeps our order: only names count here)."""
    renamed = {}
    for name, value in state.items():
        for ours, theirs in (
            ("patches.conv.", "patch_embed.proj."),
            ("patches.norm.", "patch_embed.norm."),
            ("attention.bias_table", "attn.relative_position_bias_table"),
            ("attention.qkv.", "attn.qkv."),
            ("attention.out.", "attn.proj."),
            ("mlp.inner.", "mlp.fc1."),
            ("mlp.outer.", "mlp.fc2."),
            ("merge.", "downsample."),
            ("stages.", "layers."),
        ):
            name = name.replace(ours, theirs)
        renamed[re.sub(r"^norms\.(\d)", r"norm\1", name)] = value
    return renamed


def flow_of_mmtracking(state: State, config: ModelConfig) -> State:
    """The flow network alone, by mmtracking's names."""
    own = {k: v for k, v in state.items() if k.startswith("motion.")}
    official = layout(config).table.to_official(own)
    return {k.removeprefix("motion."): v for k, v in official.items()}
