"""Optical flow between two frames (FlowNetS, Dosovitskiy et al., ICCV 2015) and warping.

B pairs of frames; H, W rows and columns; C channels. Flow is (dx, dy) in pixels: where
the second frame shows what the first has at a place.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from egolib.nn import init
from egolib.ops.constants import constant
from egolib.vod.config.model import FlowConfig


class _Convolution(nn.Sequential):
    """Convolution and leaky ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        conv = nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2)
        init.kaiming(conv)
        super().__init__(conv, nn.LeakyReLU(0.1))


def _doubling(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False)


class FlowNetS(nn.Module):
    """An encoder of six stages over both frames, and a decoder that refines the flow.

    ``encoder.i`` is one or two convolutions; ``predict.i``, ``upsample.i`` and
    ``decode.i`` belong to decoder step i, the coarsest first.
    """

    def __init__(self, config: FlowConfig) -> None:
        super().__init__()
        self.config = config
        widths, kernels = config.widths, (7, 5, 5, 3, 3, 3)
        self.encoder = nn.ModuleList()
        inputs = 6
        for i, (width, kernel) in enumerate(zip(widths, kernels, strict=True)):
            stage = [_Convolution(inputs, width, kernel, 2)]
            if i >= 2:
                stage.append(_Convolution(width, width, 3, 1))
            self.encoder.append(nn.Sequential(*stage))
            inputs = width
        self.predict, self.upsample, self.decode = (nn.ModuleList() for _ in range(3))
        self.predict.append(nn.Conv2d(inputs, 2, 3, padding=1, bias=False))
        for i in range(4):
            outputs = widths[4 - i] if i == 0 else widths[4 - i] // 2
            self.decode.append(_doubling(inputs, outputs))
            self.upsample.append(_doubling(2, 2))
            inputs = widths[4 - i] + outputs + 2
            self.predict.append(nn.Conv2d(inputs, 2, 3, padding=1, bias=False))

    def prepare(self, images: Tensor, sizes: list[tuple[int, int]]) -> Tensor:
        """Detector images (B, 3, H, W) as this network wants them, at its own scale.

        Args:
            images: (B, 3, H, W).
            sizes: (height, width) of every image; what lies beyond stays zero.
        """
        settings = self.config
        mean, std, own = (
            constant(v, images).view(1, 3, 1, 1)
            for v in (settings.means, settings.stds, settings.flow_means)
        )
        images = (images * std + mean) / 255 - own
        mask = torch.zeros_like(images[:, :1])
        for i, (height, width) in enumerate(sizes):
            mask[i, :, :height, :width] = 1
        images = images * mask
        return F.interpolate(
            images, scale_factor=settings.scale, mode="bilinear", align_corners=False
        )

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Flow (B, 2, H, W) in pixels of the detector's images, from prepared frames."""
        x, maps = torch.cat([first, second], dim=1), []
        for stage in self.encoder:
            x = stage(x)
            maps.append(x)
        flow = self.predict[0](x)
        for i, (decode, upsample) in enumerate(zip(self.decode, self.upsample, strict=True)):
            skip = maps[4 - i]
            up = _crop(upsample(flow), skip)
            decoded = F.leaky_relu(_crop(decode(x), skip), 0.1)
            x = torch.cat([skip, decoded, up], dim=1)
            flow = self.predict[i + 1](x)
        factor = 4 / self.config.scale
        flow = flow.float()  # places need its precision, whatever the layers computed in
        flow = F.interpolate(flow, scale_factor=factor, mode="bilinear", align_corners=False)
        return flow * (factor * self.config.multiplier)


def _crop(x: Tensor, like: Tensor) -> Tensor:
    """The top left part of a map that has another's size."""
    return x[..., : like.shape[-2], : like.shape[-1]]


def warp(features: Tensor, flow: Tensor, grid: str = "official") -> Tensor:
    """Features (B, C, h, w) fetched along a flow (B, 2, H, W).

    Official behaviour: positions are divided by the width and height, although the
    sampling takes -1 and 1 for the centres of the outermost cells, so that everything
    shifts by up to one cell towards the top left; ``aligned`` divides by width - 1.

    Args:
        features: (B, C, h, w).
        flow: (B, 2, H, W), x before y, in pixels of its own resolution: from every place to
            where its features are fetched.
        grid: ``official`` or ``aligned``, see above.
    """
    height, width = features.shape[-2:]
    scale = width / flow.shape[-1]
    flow = F.interpolate(flow, scale_factor=scale, mode="bilinear", align_corners=False) * scale
    y, x = torch.meshgrid(
        torch.arange(height, device=flow.device),
        torch.arange(width, device=flow.device),
        indexing="ij",
    )
    places = torch.stack([x, y]).to(flow) + flow  # (B, 2, h, w)
    less = 1 if grid == "aligned" else 0
    limits = constant((width - less, height - less), flow).view(1, 2, 1, 1)
    positions = (places / limits * 2 - 1).permute(0, 2, 3, 1)
    return F.grid_sample(features, positions, padding_mode="border", align_corners=True)
