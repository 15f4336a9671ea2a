"""mmcv's compiled operators that the box path of mmdet needs, on torchvision's kernels.

mmcv-lite comes without its compiled module ``mmcv._ext``; mmdet imports it wherever it may
one day be used. ``install`` puts a module of that name in its place: non-maximum suppression
and RoIAlign run on torchvision, every other operator says so when it is called.

R regions; C channels; H, W rows and columns.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torchvision.ops import nms as torchvision_nms
from torchvision.ops import roi_align

from egolib.errors import EgolibError

NAME = "mmcv._ext"
AVERAGE = 1  # mmcv's number for average pooling


def install() -> bool:
    """Offers the stand-in where mmcv has no compiled operators; True where it is in use."""
    if NAME not in sys.modules and find_spec(NAME) is None:
        sys.modules[NAME] = _Kernels(NAME, __doc__)
    return isinstance(sys.modules.get(NAME), _Kernels)


def nms(boxes: Tensor, scores: Tensor, *, iou_threshold: float, offset: int) -> Tensor:
    """Kept rows, best first. ``offset`` 1 counts the last pixel as part of a box.

    Equal scores keep their order; mmcv's own kernel orders them arbitrarily.

    Args:
        boxes: (N, 4).
        scores: (N,).
        iou_threshold: a box goes when its IoU with a better one is larger.
        offset: 0 or 1, what is added to ``x2 - x1`` for a width.
    """
    if offset:
        boxes = boxes + boxes.new_tensor([0.0, 0.0, offset, offset])
    result: Tensor = torchvision_nms(boxes, scores, iou_threshold)
    return result


def roi_align_forward(
    features: Tensor,
    regions: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    *,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Fills ``output`` (R, C, height, width) from features (B, C, H, W) and regions (R, 5).

    Args:
        features: (B, C, H, W).
        regions: (R, 5), image and box.
        output: (R, C, height, width), is filled.
        argmax_y: of maximum pooling, unused.
        argmax_x: of maximum pooling, unused.
        aligned_height: of the output.
        aligned_width: of the output.
        spatial_scale: cells of the map per pixel.
        sampling_ratio: points a side of an output cell; 0 for as many as needed.
        pool_mode: 1 for the mean, the only mode here.
        aligned: whether regions are moved by half a pixel.
    """
    _only_average(pool_mode)
    size = (aligned_height, aligned_width)
    output.copy_(roi_align(features, regions, size, spatial_scale, sampling_ratio, aligned))


def roi_align_backward(
    gradient: Tensor,
    regions: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    features_gradient: Tensor,
    *,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Fills ``features_gradient`` (B, C, H, W) from the gradient of the output.

    Args:
        gradient: (R, C, height, width).
        regions: (R, 5), image and box.
        argmax_y: of maximum pooling, unused.
        argmax_x: of maximum pooling, unused.
        features_gradient: (B, C, H, W), is filled.
        aligned_height: of the output.
        aligned_width: of the output.
        spatial_scale: cells of the map per pixel.
        sampling_ratio: points a side of an output cell; 0 for as many as needed.
        pool_mode: 1 for the mean, the only mode here.
        aligned: whether regions are moved by half a pixel.
    """
    _only_average(pool_mode)
    with torch.enable_grad():
        features = torch.zeros_like(features_gradient, requires_grad=True)
        size = (aligned_height, aligned_width)
        pooled = roi_align(features, regions, size, spatial_scale, sampling_ratio, aligned)
    features_gradient.copy_(torch.autograd.grad(pooled, features, gradient)[0])


def _only_average(pool_mode: int) -> None:
    if pool_mode != AVERAGE:
        raise EgolibError("RoIAlign with maxima needs mmcv's compiled operators")


KERNELS: dict[str, Callable[..., Any]] = {
    "nms": nms,
    "roi_align_forward": roi_align_forward,
    "roi_align_backward": roi_align_backward,
}


class _Kernels(ModuleType):
    """``mmcv._ext``: has every operator, and can compute those of ``KERNELS``."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(name)
        return KERNELS.get(name) or _missing(name)


def _missing(name: str) -> Callable[..., Any]:
    def operator(*_: Any, **__: Any) -> Any:
        raise EgolibError(
            f"mmcv's compiled operator {name!r} is not there",
            remedy="use a detector of plain convolutions with NMS and RoIAlign, or build mmcv",
        )

    return operator
