"""Reduced networks (the published builders with smaller numbers) and made-up frames."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import torch
from torch import nn

from egolib.config import build, merge
from egolib.nn.config import ProposalConfig, SampleConfig, SwinConfig
from egolib.vod.config import InferConfig, networks
from egolib.vod.config.infer import published_infer
from egolib.vod.config.model import ModelConfig
from egolib.vod.models.build import build_model
from egolib.vod.models.frames import Clip, Frames, Truth

CLASSES = 5
SIZE = (64, 96)
METHODS = ("single", "selsa", "mamba", "mega", "stpn", "tdvit", "eovod", "dff", "fgfa")
BUILDERS = {
    "single": networks.frcnn_r101_dc5,
    "pyramid": networks.frcnn_r50_fpn,
    "c4": networks.frcnn_r101_c4,
    "fcos": networks.fcos_r101,
    "selsa": networks.selsa_r101_dc5,
    "mamba": networks.mamba_r101_dc5,
    "mamba_pixel": networks.mamba_pixel_r101_dc5,
    "mamba_both": networks.mamba_both_r101_dc5,
    "mega": networks.mega_r101,
    "stpn": networks.stpn_swint,
    "tdvit": networks.tdvit_t,
    "eovod": networks.eovod_r101,
    "dff": networks.dff_r101_dc5,
    "fgfa": networks.fgfa_r101_dc5,
}


def reduced(config: ModelConfig) -> ModelConfig:
    """The same network, narrow, shallow, with few proposals."""
    resnet = config.resnet
    resnet = replace(
        resnet,
        blocks=(1,) * len(resnet.blocks),
        stem_channels=8,
        width=8,
        norm="group",
        norm_groups=4,
        freeze="none",
    )
    swin = SwinConfig(16, (2, 2, 4, 2), (1, 2, 4, 4), drop_path=0.0)
    few = ProposalConfig(200, 20, drop_empty=config.rpn.test.drop_empty)
    return replace(
        config,
        classes=CLASSES,
        resnet=resnet,
        swin=swin,
        neck_channels=16,
        pyramid=replace(config.pyramid, channels=16),
        rpn=replace(config.rpn, train=replace(few, after=30), test=few),
        head=replace(config.head, width=32, sample=SampleConfig(32, 0.25)),
        fcos=replace(config.fcos, layers=1, groups=4),
        support=replace(config.support, heads=4),
        memory=replace(config.memory, top=8),
        mega=replace(config.mega, proposals=8, advanced=3, groups=4),
        prompt=replace(config.prompt, heads=4),
        temporal=replace(config.temporal, layout=("st", "st", "sstt", "st")),
        location=replace(config.location, heads=4),
        flow=replace(config.flow, widths=(8, 8, 16, 16, 16, 16)),
    )


def settings(config: ModelConfig, **changes: Any) -> InferConfig:
    """Settings of testing for such a network: small memories, a window of three frames.

    Args:
        changes: fields of ``InferConfig``; mappings change a section.
    """
    made = published_infer(config)
    few = {"size": 60, "keys": 40}
    tree = {
        "memory": {**few, "pixels_per_frame": 30},
        "mega": {"window": 5, "position": 2, "global_size": 3},
        "location": {**few, "cells_per_frame": 30},
        "references": {"window": [-1, 1]} if made.slides else {},
    }
    return build(InferConfig, merge(asdict(made), tree, changes))


def begin(model: Any, references: Frames | None = None, *, change: Any = None, **options: Any):
    """The state of a video that a network is about to see.

    Args:
        change: to the settings of testing.
    """
    return model.start_video(settings(model.config, **(change or {})), references, **options)


def make(name: str, seed: int = 0, change=lambda config: config) -> tuple[nn.Module, ModelConfig]:
    """A reduced network with random weights that make it detect something."""
    torch.manual_seed(seed)
    config = change(reduced(BUILDERS[name]()))
    model = build_model(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 1.5 / parameter[0].numel() ** 0.5)
            else:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model, config


def frames(count: int, seed: int = 0, first: int = 0) -> Frames:
    """Frames of one made-up video, numbered from ``first``."""
    generator = torch.Generator().manual_seed(seed)
    base = torch.randn(1, 3, *SIZE, generator=generator)
    images = 0.8 * base + 0.6 * torch.randn(count, 3, *SIZE, generator=generator)
    return Frames(
        images, [SIZE] * count, torch.full((count, 4), 1.25), list(range(first, first + count))
    )


def clip(references: int = 2, seed: int = 0, **others: Frames) -> Clip:
    """A training clip with two objects."""
    everything = frames(references + 1, seed)
    truth = Truth(
        torch.tensor([[5.0, 6, 40, 50], [30.0, 10, 90, 60]]), torch.tensor([1, CLASSES - 1])
    )
    return Clip(everything[:1], truth, everything[1:] if references else None, **others)


def same(first, second) -> None:
    """Two detections are equal."""
    for a, b in zip(first, second, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def counted(model) -> list[int]:
    """Grows by the number of images that pass the backbone."""
    seen: list[int] = []
    model.detector.backbone.register_forward_hook(lambda _m, given, _o: seen.append(len(given[0])))
    return seen
