"""Residual networks of bottleneck blocks, in the styles of all published detectors here.

B images; C channels; H, W rows and columns of a map.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from egolib.nn import init
from egolib.nn.config import ResNetConfig

EXPANSION = 4


class FixedBatchNorm(nn.Module):
    """Batch normalisation on stored statistics, which training never changes.

    Args:
        channels: C of maps (B, C, H, W).
        eps: added to the variance; maskrcnn-benchmark adds none.
        trainable: whether ``weight`` and ``bias`` are parameters or buffers.
    """

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, eps: float = 1e-5, trainable: bool = True) -> None:
        super().__init__()
        self.eps = eps
        affine = {"weight": torch.ones(channels), "bias": torch.zeros(channels)}
        for name, value in affine.items():
            if trainable:
                self.register_parameter(name, nn.Parameter(value))
            else:
                self.register_buffer(name, value)
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def scale_and_shift(self) -> tuple[Tensor, Tensor]:
        """Factors a, b (C,) of the equal map ``a * x + b``."""
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        return scale, self.bias - self.running_mean * scale

    def forward(self, x: Tensor) -> Tensor:
        if self.eps:
            mean, var = self.running_mean, self.running_var
            return F.batch_norm(x, mean, var, self.weight, self.bias, eps=self.eps)
        scale, shift = self.scale_and_shift()
        return torch.addcmul(shift[:, None, None], x, scale[:, None, None])


def make_norm(channels: int, config: ResNetConfig) -> nn.Module:
    """The normalisation that a configuration names, for maps of ``channels``."""
    if config.norm == "fixed":
        return FixedBatchNorm(channels, config.norm_eps, config.norm_trainable)
    if config.norm == "batch":
        return nn.BatchNorm2d(channels, eps=config.norm_eps)
    if config.norm == "group":
        return nn.GroupNorm(config.norm_groups, channels)
    raise ValueError(f"norm is fixed, batch or group, not {config.norm!r}")


class Shortcut(nn.Module):
    """1x1 convolution and norm beside the first block of a stage."""

    def __init__(self, inputs: int, outputs: int, stride: int, config: ResNetConfig) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
        self.norm = make_norm(outputs, config)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.norm(self.conv(x))
        return result


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions around a shortcut; (B, inputs, H, W) -> (B, 4 * width, H', W')."""

    def __init__(
        self, inputs: int, width: int, stride: int, dilation: int, config: ResNetConfig
    ) -> None:
        super().__init__()
        outputs = EXPANSION * width
        first, second = (stride, 1) if config.stride_in == "1x1" else (1, stride)
        self.conv1 = nn.Conv2d(inputs, width, 1, first, bias=False)
        self.norm1 = make_norm(width, config)
        self.conv2 = nn.Conv2d(width, width, 3, second, dilation, dilation, bias=False)
        self.norm2 = make_norm(width, config)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.norm3 = make_norm(outputs, config)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = Shortcut(inputs, outputs, stride, config)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu_(self.norm1(self.conv1(x)))
        y = F.relu_(self.norm2(self.conv2(y)))
        y = self.norm3(self.conv3(y))
        return F.relu_(y + self.shortcut(x))


class Stem(nn.Module):
    """7x7 convolution with stride 2, norm, ReLU and 3x3 max pooling with stride 2."""

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, config.stem_channels, 7, 2, 3, bias=False)
        self.norm = make_norm(config.stem_channels, config)

    def forward(self, images: Tensor) -> Tensor:
        return F.max_pool2d(F.relu_(self.norm(self.conv(images))), 3, 2, 1)  # (B, C, H/4, W/4)


def make_stage(inputs: int, stage: int, config: ResNetConfig) -> nn.Sequential:
    """One stage, counted from 0, as a sequence of blocks.

    Args:
        inputs: channels that come in; ``stage_channels(config)[stage]`` go out.
        stage: its number, from 0.
        config: of the whole network.
    """
    width = config.width * 2**stage
    stride, dilation = config.strides[stage], config.dilations[stage]
    blocks = [Bottleneck(inputs, width, stride, dilation, config)]
    for _ in range(config.blocks[stage] - 1):
        blocks.append(Bottleneck(EXPANSION * width, width, 1, dilation, config))
    return nn.Sequential(*blocks)


def stage_channels(config: ResNetConfig) -> list[int]:
    """Channels that every stage gives."""
    return [EXPANSION * config.width * 2**stage for stage in range(len(config.blocks))]


class ResNet(nn.Module):
    """Stem and stages ``layer1``, ``layer2``, ...

    Args:
        config: as many stages as it has blocks.
        weights: ``kaiming`` draws initial weights; ``empty`` leaves what torch put there,
            for networks whose weights are loaded.
    """

    def __init__(self, config: ResNetConfig, weights: str = "kaiming") -> None:
        super().__init__()
        self.config = config
        self.channels = stage_channels(config)
        self.stem = Stem(config)
        inputs = [config.stem_channels, *self.channels]
        for stage in range(len(config.blocks)):
            self.add_module(f"layer{stage + 1}", make_stage(inputs[stage], stage, config))
        if weights == "kaiming":
            initialise(self)
        freeze(self, config.freeze)

    @property
    def stages(self) -> list[nn.Module]:
        """The stages in order."""
        return [getattr(self, f"layer{i + 1}") for i in range(len(self.config.blocks))]

    def forward(self, images: Tensor) -> list[Tensor]:
        """Maps after every stage, (B, C_s, H / stride_s, W / stride_s), of images (B, 3, H, W)."""
        x = self.stem(images)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


def initialise(module: nn.Module) -> None:
    """Kaiming initialisation of all convolutions; with group norm, every block starts as
    the identity (its last scale is zero)."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            init.kaiming(part)
        if isinstance(part, Bottleneck) and isinstance(part.norm3, nn.GroupNorm):
            nn.init.zeros_(part.norm3.weight)


def freeze(network: ResNet, upto: str) -> None:
    """Turns gradients off for ``upto`` and every part before it ("none", "stem", "stage1", ...)."""
    parts: list[nn.Module] = [network.stem, *network.stages]
    names = ["none", "stem", *(f"stage{i}" for i in range(1, len(parts)))]
    if upto not in names:
        raise ValueError(f"freeze is one of {', '.join(names)}, not {upto!r}")
    _no_gradient(parts[: names.index(upto)])


def _no_gradient(parts: Iterable[nn.Module]) -> None:
    for part in parts:
        part.requires_grad_(False)
