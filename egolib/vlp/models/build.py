"""Making models: without values (to be loaded into), or with initial weights.

Memory for the weights is only reserved at first, so that nothing is drawn which a
checkpoint would replace.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from egolib.io.checkpoint import LoadReport
from egolib.vlp.config import InitialConfig, ModelConfig
from egolib.vlp.formats import encoders
from egolib.vlp.models.model import VideoLanguageModel
from egolib.vlp.models.video import VideoBlock, VideoEncoder


@dataclass(frozen=True)
class InitialWeights:
    """Which files a new model started from, and what they held (None: random)."""

    vit: LoadReport | None = None
    roberta: LoadReport | None = None

    def __str__(self) -> str:
        def line(name: str, report: LoadReport | None) -> str:
            return f"{name}: {report or 'no file, random'}"

        return f"{line('video', self.vit)}\n{line('text', self.roberta)}"


class _WithoutValues(TorchFunctionMode):
    """Layers made inside keep whatever lay in memory."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", "") == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def build_empty(config: ModelConfig) -> VideoLanguageModel:
    """A model whose weights hold whatever lay in memory: load a state dict into it."""
    with _WithoutValues():
        return VideoLanguageModel(config)


def build(
    config: ModelConfig,
    initial: InitialConfig | None = None,
    *,
    vit: str | Path | None = None,
    roberta: str | Path | None = None,
    generator: torch.Generator | None = None,
) -> tuple[VideoLanguageModel, InitialWeights]:
    """A model with initial weights, and a report of where they are from.

    Args:
        config: sizes.
        initial: how random weights are drawn; the published way if None.
        vit: a vision transformer's file (``jx_vit_base_p16_224-80ecf9dd.pth``).
        roberta: a RoBERTa-base file.
        generator: for random weights; the default one if None.

    Raises:
        EgolibError: a file holds little of what the encoder wants.
    """
    model = build_empty(config)
    initialise(model, initial, generator)
    return model, InitialWeights(
        encoders.load_vit(model.video, vit) if vit else None,
        encoders.load_roberta(model.text, roberta) if roberta else None,
    )


@torch.no_grad()
def initialise(
    model: VideoLanguageModel,
    initial: InitialConfig | None = None,
    generator: torch.Generator | None = None,
) -> None:
    """Draws all weights as the official code does before it reads any file.

    Projectors, patches and the video side's cross-attention keep PyTorch's uniform
    start; everything else is Gaussian with zero biases; gates, the fusion class token
    and the time embedding are zero.

    Args:
        model: the network.
        initial: spreads, and how time attention starts; the published ones if None.
        generator: the default one if None.
    """
    initial = initial or InitialConfig()
    for module in model.modules():
        if isinstance(module, nn.LayerNorm):
            module.reset_parameters()
    std = initial.weight_std
    _initialise_video(model.video, initial, generator)
    _normal(model.text, std, generator)
    for layer in (*model.video.blocks, *model.text.layers):
        if layer.cross is not None:
            nn.init.zeros_(layer.cross_gate)
    nn.init.zeros_(model.fusion_class_token)
    _uniform(model.video_projector, generator)
    _uniform(model.text_projector, generator)
    for head in (model.text_transform, model.video_transform):
        _normal(head, std, generator)
    _normal(model.matching, std, generator)
    _normal(model.masked_language, std, generator)


def _initialise_video(
    video: VideoEncoder, initial: InitialConfig, generator: torch.Generator | None
) -> None:
    std, time_init = initial.weight_std, initial.time_init
    nn.init.trunc_normal_(video.class_token, std=std, generator=generator)
    nn.init.trunc_normal_(video.positions, std=std, generator=generator)
    nn.init.zeros_(video.times)
    wide = initial.position_std
    if time_init == "random":
        nn.init.normal_(video.times, std=wide or std, generator=generator)
    if wide:
        nn.init.normal_(video.positions[:, 1:], std=wide, generator=generator)
    _uniform(video.patches, generator)
    for block in video.blocks:
        assert isinstance(block, VideoBlock)
        _normal(block.space_attention, std, generator)
        _normal(block.time_attention, std, generator)
        _normal(block.mlp, std, generator)
        if block.cross is not None:
            _uniform(block.cross, generator)
        time = block.time_attention
        if time_init == "official":
            nn.init.zeros_(time.qkv.weight)
            nn.init.ones_(time.out.weight)
        elif time_init == "zero_output":
            nn.init.zeros_(time.out.weight)


def _uniform(root: nn.Module, generator: torch.Generator | None) -> None:
    """PyTorch's own start of all linear layers and convolutions below."""
    for module in root.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            bound = module.weight[0].numel() ** -0.5
            nn.init.uniform_(module.weight, -bound, bound, generator)
            if module.bias is not None:
                nn.init.uniform_(module.bias, -bound, bound, generator)


def _normal(root: nn.Module, std: float, generator: torch.Generator | None) -> None:
    """Gaussian weights of all linear and embedding layers below; biases and padding zero."""
    for module in root.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=std, generator=generator)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
        if isinstance(module, nn.Embedding) and module.padding_idx is not None:
            nn.init.zeros_(module.weight[module.padding_idx])
