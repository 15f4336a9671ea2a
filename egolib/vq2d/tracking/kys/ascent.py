"""Fits boxes to targets: gradient ascent on the predicted IoU.

Legend: B targets, K boxes of each, C channels; maps of stride 8 ("shallow") and 16 ("deep").
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from egolib.nn.graphs import Captured
from egolib.vq2d.config import TrackConfig
from egolib.vq2d.tracking.kys.iou_gradient import IouGradient
from egolib.vq2d.tracking.kys.iou_net import IouNet, Weighted


class BoxAscent:
    """Some gradient steps for boxes of several targets.

    Args:
        net: in evaluation mode.
        config: number of steps.
        written_gradient: take the gradient written down in ``IouGradient``; without, automatic
            differentiation.

    On the CPU the written gradient looks at the part of the maps around the boxes only.
    """

    def __init__(self, net: IouNet, config: TrackConfig, *, written_gradient: bool):
        self.net, self.steps, self.written = net, config.ascent_steps, written_gradient
        own = IouGradient(net) if written_gradient else self._differentiated
        self.gradient: Callable[[Weighted, Tensor], tuple[Tensor, Tensor]] = own
        self.captured = Captured(self.on_whole_maps) if written_gradient else self.on_whole_maps

    def __call__(
        self, shallow: Tensor, deep: Tensor, near: Tensor, far: Tensor, boxes: Tensor
    ) -> Tensor:
        """(B, K, 5) boxes (x, y, width, height) after the ascent, and the IoU predicted before
        its last step.

        Args:
            shallow: (B, 512, 36, 36) maps of the crops.
            deep: (B, 1024, 18, 18) maps of the crops.
            near: (B, C, 1, 1) vectors of the targets, for the shallow maps.
            far: (B, C, 1, 1) the same for the deep ones.
            boxes: (B, K, 4) where it starts, in pixels of the crops.

        Official behaviour: the ranking uses that older IoU.
        """
        if not self.written or boxes.is_cuda:
            result: Tensor = self.captured(shallow, deep, near, far, boxes)
            return result
        every = zip(*(torch.split(x, 1) for x in (shallow, deep, near, far, boxes)), strict=True)
        return torch.cat([self._near(*one) for one in every])

    def on_whole_maps(
        self, shallow: Tensor, deep: Tensor, near: Tensor, far: Tensor, boxes: Tensor
    ) -> Tensor:
        """The same from whole maps, all targets in one batch.

        Args:
            shallow: see ``__call__``.
            deep: see ``__call__``.
            near: see ``__call__``.
            far: see ``__call__``.
            boxes: see ``__call__``.
        """
        weighted = self.net.weighted((near, far), shallow, deep)
        for _ in range(self.steps):
            iou, gradient = self.gradient(weighted, boxes)
            boxes = boxes + gradient * boxes[..., 2:].tile(2)
        return torch.cat([boxes, iou[..., None]], dim=-1)

    def _near(
        self, shallow: Tensor, deep: Tensor, near: Tensor, far: Tensor, start: Tensor
    ) -> Tensor:
        """One target (B = 1), from the maps around its boxes while they cover these."""
        boxes = start[0]
        weighted = self.net.weighted_near((near, far), shallow, deep, boxes)
        for _ in range(self.steps):
            if not weighted.covers(boxes):
                return self.on_whole_maps(shallow, deep, near, far, start)
            iou, gradient = self.gradient(weighted, boxes)
            boxes = boxes + gradient * boxes[:, 2:].tile(2)
        return torch.cat([boxes, iou[:, None]], dim=-1)[None]

    def _differentiated(self, weighted: Weighted, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """IoU (B, K) and its gradient (B, K, 4) by automatic differentiation."""
        with torch.enable_grad():
            moving = boxes.detach().requires_grad_()
            iou = self.net(weighted, moving)
            (gradient,) = torch.autograd.grad(iou.sum(), moving)
        return iou.detach(), gradient
