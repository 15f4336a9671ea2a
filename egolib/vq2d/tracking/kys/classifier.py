"""The target classifier of DiMP (Bhat et al., ICCV 2019): a filter fitted to one object.

Legend: N training images, C channels (512), H, W feature map (18 x 18), f filter side (4),
S = H + 1 side of a score map, K distance bins (100).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from egolib.vq2d.config import KysConfig
from egolib.vq2d.tracking.kys.pooling import precise_roi_pool


def apply_filter(features: Tensor, weight: Tensor) -> Tensor:
    """(N, 1, S, S) correlation of features (N, C, H, W) with one filter (1, C, f, f)."""
    return functional.conv2d(features, weight, padding=weight.shape[-1] // 2)


def apply_filters(features: Tensor, weights: Tensor) -> Tensor:
    """(N, 1, S, S) correlation of features (N, C, H, W), each with its own filter
    (N, C, f, f)."""
    if len(weights) == 1:
        return apply_filter(features, weights)
    products = Products(features, weights.shape[-1])
    return products.spread(weights.flatten(2).mT.flip(1) @ products.flat)


class Products:
    """Correlation with a filter and its transpose, as matrix products.

    The features are read once per call; nothing of their size is written.

    Args:
        features: (N, C, H, W).
        side: f of the filters.
    """

    def __init__(self, features: Tensor, side: int):
        self.flat = features.flatten(2)  # (N, C, H W)
        self.side, self.pad = side, side // 2
        self.size = features.shape[-2:]

    def scores(self, weight: Tensor) -> Tensor:
        """(N, 1, S, S), what ``apply_filter`` gives."""
        taps = weight[0].flatten(1).T.flip(0)  # (f f, C), last tap first
        return self.spread(taps @ self.flat)

    def spread(self, responses: Tensor) -> Tensor:
        """(N, 1, S, S) sums of the taps' responses (N, f f, H W), last tap first."""
        full = tuple(length + self.side - 1 for length in self.size)
        spread = functional.fold(responses, full, self.side)
        cut = self.side - 1 - self.pad
        return spread[:, :, cut : full[0] - cut, cut : full[1] - cut] if cut else spread

    def transposed(self, residual: Tensor) -> Tensor:
        """(1, C, f, f): features against residual maps (N, 1, S, S)."""
        border = self.side - 1 - self.pad
        windows = functional.unfold(residual, self.side, padding=border)  # (N, f f, H W)
        total = (self.flat @ windows.mT).sum(0)  # (C, f f), last tap first
        return total.flip(1).reshape(1, -1, self.side, self.side)


class Convolutions:
    """The same by convolution and unfolding: the plain order of work, kept as reference."""

    def __init__(self, features: Tensor, side: int):
        self.features, self.side = features, side

    def scores(self, weight: Tensor) -> Tensor:
        """(N, 1, S, S)."""
        return apply_filter(self.features, weight)

    def transposed(self, residual: Tensor) -> Tensor:
        """(1, C, f, f)."""
        columns = functional.unfold(self.features, self.side, padding=self.side // 2)
        total = torch.einsum("nkl,nl->k", columns, residual.flatten(1))
        return total.reshape(1, self.features.shape[1], self.side, self.side)


class FeatureHead(nn.Module):
    """Features for the classifier: a convolution, then every image scaled to equal energy."""

    def __init__(self, config: KysConfig):
        super().__init__()
        self.conv = nn.Conv2d(
            config.deep_channels, config.classifier_channels, 3, padding=1, bias=False
        )
        self.scale = math.sqrt(1.0 / (config.classifier_channels * config.filter_size**2))

    def forward(self, deep: Tensor) -> Tensor:
        """(N, 512, H, W) from backbone maps (N, 1024, H, W)."""
        x = self.conv(deep)
        energy = (x**2).sum(dim=(1, 2, 3), keepdim=True)
        size = x[0].numel()
        result: Tensor = x * (self.scale * (size / (energy + 1e-5)).sqrt())
        return result


class FilterInitialiser(nn.Module):
    """A first filter: what the classifier features look like inside the target's box."""

    def __init__(self, config: KysConfig):
        super().__init__()
        channels = config.classifier_channels
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.size, self.stride = config.filter_size, config.stride

    def forward(self, features: Tensor, boxes_xywh: Tensor) -> Tensor:
        """(1, C, f, f) from features (N, C, H, W) and boxes (N, 4) in pixels of the patch."""
        corners = torch.cat([boxes_xywh[:, :2], boxes_xywh[:, :2] + boxes_xywh[:, 2:]], dim=1)
        pooled = precise_roi_pool(self.conv(features), corners[:, None], self.size, 1 / self.stride)
        return pooled[:, 0].mean(dim=0, keepdim=True)


class DistanceMap(nn.Module):
    """A learned function of the distance to the target's centre, piecewise linear in K bins."""

    def __init__(self, values: Tensor):
        super().__init__()
        self.weight = nn.Parameter(values.reshape(1, -1, 1, 1))

    def forward(self, bins: Tensor) -> Tensor:
        """(N, 1, S, S) from soft bins (N, K, S, S)."""
        return functional.conv2d(bins, self.weight)


@dataclass(frozen=True)
class Fit:
    """A fitted filter.

    Attributes:
        weight: (1, C, f, f).
        losses: before each iteration and after the last.
        history: the filter at the start and after each iteration.
    """

    weight: Tensor
    losses: list[Tensor]
    history: list[Tensor]


class FilterOptimiser(nn.Module):
    """Steepest descent on a weighted least-squares problem (DiMP, section 3.3)."""

    def __init__(self, config: KysConfig):
        super().__init__()
        self.bins, self.bin_width = config.distance_bins, config.distance_bin_width
        self.filter_size, self.stride = config.filter_size, config.stride
        distance = torch.arange(self.bins) * self.bin_width
        gauss = torch.exp(-0.5 * (distance / config.label_sigma) ** 2)
        self.label = DistanceMap(gauss - gauss.min())
        self.target_mask = DistanceMap(3.0 * torch.tanh(2.0 - distance))
        self.spatial_weight = DistanceMap(torch.ones(self.bins))
        self.regularisation = nn.Parameter(torch.full((1,), 0.1))
        self.log_step = nn.Parameter(torch.full((1,), math.log(0.9)))

    def forward(
        self,
        weight: Tensor,
        features: Tensor,
        boxes_xywh: Tensor,
        iterations: int,
        sample_weight: Tensor | None = None,
        work: type[Products] | type[Convolutions] = Products,
    ) -> Fit:
        """Improves a filter.

        Args:
            weight: (1, C, f, f) where it starts.
            features: (N, C, H, W).
            boxes_xywh: (N, 4) targets in pixels of the patches.
            iterations: of the steepest descent.
            sample_weight: (N,) importance of the images; equal if absent.
            work: how correlations are computed.
        """
        bins = self._distance_bins(boxes_xywh, features.shape[-2:])
        label, mask = self.label(bins), torch.sigmoid(self.target_mask(bins))
        count = len(features)
        if sample_weight is None:
            importance = self.spatial_weight(bins) / math.sqrt(count)
        else:
            importance = sample_weight.sqrt().reshape(count, 1, 1, 1) * self.spatial_weight(bins)
        regularisation = (self.regularisation**2).clamp(min=1e-3**2)
        step = self.log_step.exp()
        losses, history = [], [weight]
        correlate = work(features, self.filter_size)
        for _ in range(iterations):
            activation, slope = _two_slopes(correlate.scores(weight), mask)
            residual = importance * (activation - label)
            losses.append(_loss(residual, weight, regularisation))
            pulled = slope * importance * residual  # (N, 1, S, S)
            gradient = correlate.transposed(pulled) + regularisation * weight
            change = slope * importance * correlate.scores(gradient)
            size = (gradient**2).sum()
            curvature = (change**2).sum() + regularisation * size
            weight = weight - step * (size / curvature.clamp(min=1e-8)) * gradient
            history.append(weight)
        activation, _ = _two_slopes(correlate.scores(weight), mask)
        losses.append(_loss(importance * (activation - label), weight, regularisation))
        return Fit(weight, losses, history)

    def _distance_bins(self, boxes_xywh: Tensor, size: torch.Size) -> Tensor:
        """(N, K, S, S) soft assignment of each score cell's distance to the bins."""
        centre = (boxes_xywh[:, :2] + boxes_xywh[:, 2:] / 2) / self.stride
        centre = centre - (self.filter_size % 2) / 2
        offset = (self.filter_size + 1) % 2  # even filters give one more score
        rows = torch.arange(size[0] + offset, device=boxes_xywh.device)
        columns = torch.arange(size[1] + offset, device=boxes_xywh.device)
        down = rows[None, :, None] - centre[:, 1, None, None]
        across = columns[None, None, :] - centre[:, 0, None, None]
        distance = (down**2 + across**2).sqrt()[:, None] / self.bin_width  # (N, 1, S, S)
        numbers = torch.arange(self.bins, device=boxes_xywh.device).reshape(1, -1, 1, 1)
        inner = (1 - (distance - numbers[:, :-1]).abs()).clamp(min=0)
        outer = (1 + distance - numbers[:, -1:]).clamp(0, 1)
        return torch.cat([inner, outer], dim=1)


def _two_slopes(scores: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Linear where the mask is 1, absolute value halves where it is 0; with its slope."""
    activation = 0.5 * (1 - mask) * scores.abs() + 0.5 * (1 + mask) * scores
    slope = 0.5 * (1 - mask) * scores.sign() + 0.5 * (1 + mask)
    return activation, slope


def _loss(residual: Tensor, weight: Tensor, regularisation: Tensor) -> Tensor:
    return ((residual**2).sum() + regularisation * (weight**2).sum()).detach()[0]


class Classifier(nn.Module):
    """Features, first filter and optimiser."""

    def __init__(self, config: KysConfig):
        super().__init__()
        self.features = FeatureHead(config)
        self.initialiser = FilterInitialiser(config)
        self.optimiser = FilterOptimiser(config)
