"""Region heads: fully connected layers, attention to other frames' regions, prediction.

R regions; M support rows; D width of the layers; K classes without background.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from egolib.nn import init
from egolib.nn.config import DetectionConfig
from egolib.nn.roi import Found, RoiAlign, RoiExamples, select_detections
from egolib.nn.rpn import smooth_l1
from egolib.ops.boxes import BoxCoder
from egolib.vod.config.model import HeadConfig, ModelConfig
from egolib.vod.models.frames import Losses, Size, Truth


class RegionOutput(NamedTuple):
    """Predictions for regions: logits (R, K + 1) and box offsets (R, K or K + 1, 4)."""

    logits: Tensor
    offsets: Tensor

    def float(self) -> RegionOutput:
        """In single precision, whatever the layers computed in."""
        return RegionOutput(self.logits.float(), self.offsets.float())


class Predictor(nn.Module):
    """Class logits, with one place for background, and offsets for every class.

    Official behaviour: mmdetection has background last and no offsets for it,
    maskrcnn-benchmark has it first, with offsets that nothing uses.
    """

    def __init__(self, width: int, classes: int, background: str) -> None:
        super().__init__()
        self.classes, self.background_first = classes, background == "first"
        self.classify = nn.Linear(width, classes + 1)
        self.locate = nn.Linear(width, 4 * (classes + self.background_first))
        init.normal(self.classify, 0.01)
        init.normal(self.locate, 0.001)

    def forward(self, x: Tensor) -> RegionOutput:
        return RegionOutput(self.classify(x), self.locate(x).unflatten(1, (-1, 4)))

    def foreground(self, output: RegionOutput) -> tuple[Tensor, Tensor]:
        """Probabilities (R, K) and offsets (R, K, 4) without background."""
        first = int(self.background_first)
        probabilities = output.logits.softmax(dim=1)[:, first : first + self.classes]
        return probabilities, output.offsets[:, first:]

    def targets(self, examples: RoiExamples, truth: Truth) -> Tensor:
        """Class index (R,) of every example, in the order of the logits."""
        labels = truth.labels.new_full((len(examples.truth),), self.classes)
        matched = examples.truth[: examples.positive]
        labels[: examples.positive] = truth.labels[matched]
        return (labels + 1) % (self.classes + 1) if self.background_first else labels


class RegionHead(nn.Module):
    """RoIAlign, two fully connected layers with ReLU, prediction.

    Args:
        channels: of the maps that regions are read from.
    """

    def __init__(self, channels: int, config: ModelConfig) -> None:
        super().__init__()
        self.config: HeadConfig = config.head
        self.coder = BoxCoder(config.head.boxes)
        self.roi_align = RoiAlign(config.head.roi)
        sizes = [channels * config.head.roi.size**2] + [config.head.width] * config.head.layers
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        for layer in self.layers:
            init.xavier(layer)  # type: ignore[arg-type]
        self.predict = Predictor(config.head.width, config.classes, config.head.background)

    def pool(self, maps: Sequence[Tensor], regions: Sequence[Tensor]) -> Tensor:
        """Features (R, C * S * S) of the regions of every image."""
        pooled: Tensor = self.roi_align(maps, regions)
        return pooled.flatten(1)

    def hidden(self, pooled: Tensor) -> Tensor:
        """(R, D) before prediction."""
        return self.hidden_from(self.first(pooled))

    def first(self, pooled: Tensor) -> Tensor:
        """(R, D) after the first layer, before its ReLU."""
        rows: Tensor = self.layers[0](pooled)
        return rows

    def hidden_from(self, first: Tensor) -> Tensor:
        """(R, D) before prediction, from what ``first`` gives."""
        x = F.relu(first)
        for layer in self.layers[1:]:
            x = F.relu(layer(x))
        return x

    def detect(
        self, x: Tensor, regions: Tensor, size: Size, scale: Tensor, settings: DetectionConfig
    ) -> Found:
        """Detections of one image.

        Args:
            x: (R, D) hidden features of its regions.
            regions: (R, 4) in input pixels.
            size: of the image without padding.
            scale: (4,) input pixels per original pixel.
            settings: which detections are kept.
        """
        scores, offsets = self.predict.foreground(self.predict(x).float())
        return select_detections(scores, offsets, regions, size, scale, self.coder, settings)

    def losses(self, x: Tensor, examples: RoiExamples, truth: Truth) -> Losses:
        """``classes`` (cross-entropy, mean over examples), ``boxes`` (smooth L1, summed over
        positives, divided by the number of examples) and the fraction ``accuracy``.

        Args:
            x: (R, D) hidden features of the examples.
            examples: training regions of one image, positives first.
            truth: true boxes (G, 4) in input pixels, and their labels.
        """
        output = self.predict(x).float()
        labels = self.predict.targets(examples, truth)
        positive = examples.positive
        own = output.offsets[torch.arange(positive, device=labels.device), labels[:positive]]
        target = self.coder.encode(
            examples.boxes[:positive], truth.boxes[examples.truth[:positive]]
        )
        count = max(len(labels), 1)
        return {
            "classes": F.cross_entropy(output.logits, labels, reduction="sum") / count,
            "boxes": smooth_l1(own, target, self.config.beta) / count,
            "accuracy": (output.logits.argmax(1) == labels).float().mean().detach(),
        }


# ---------------------------------------------------------------------- attention


class Projected(NamedTuple):
    """Support rows as an aggregator reads them: keys (M, D) and values (M, D)."""

    keys: Tensor
    values: Tensor


def join_projected(parts: Sequence[Projected]) -> Projected:
    """Rows of several frames, one after the other."""
    keys, values = zip(*parts, strict=True)
    return Projected(torch.cat(keys), torch.cat(values))


def attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
    """Attention to remembered rows, (..., R, K), in single precision or better.

    A sum over thousands of rows needs it. In half precision it would also be handed to
    kernels that are built anew for every number of rows.

    Args:
        q: (..., R, K).
        k: (..., M, K).
        v: (..., M, K).
        bias: (..., R, M) added to the logits; None for none.
    """
    with torch.autocast(q.device.type, enabled=False):
        kind = torch.promote_types(q.dtype, torch.float32)
        q, k, v = q.to(kind), k.to(kind), v.to(kind)
        return F.scaled_dot_product_attention(q, k, v, None if bias is None else bias.to(kind))


class Aggregator(nn.Module):
    """Multi-head attention of rows to support rows (SELSA, Wu et al., ICCV 2019, eq. 3-5).

    Args:
        width: D.
        heads: attention heads.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        for layer in (self.query, self.key, self.value, self.out):
            init.normal(layer, 0.01)

    def project(self, support: Tensor) -> Projected:
        """Keys and values of support rows (M, D); they depend on nothing else."""
        return Projected(self.key(support), self.value(support))

    def forward(self, x: Tensor, support: Projected) -> Tensor:
        """What rows (R, D) gather from the support; (R, D), to be added to them."""
        q, k, v = (self._split(y) for y in (self.query(x), *support))
        attended = attention(q, k, v)  # (1, heads, R, D / heads)
        gathered: Tensor = self.out(attended[0].transpose(0, 1).flatten(1))
        return gathered

    def _split(self, x: Tensor) -> Tensor:
        return torch.unflatten(x, 1, (self.heads, -1)).transpose(0, 1)[None]


class SupportHead(RegionHead):
    """A region head whose regions attend to support regions after every layer.

    For layer i: x = fc_i(x); x += aggregator_i(x, support_i); ReLU. The support goes
    through the same layers without attending to anything, so that its keys and values
    can be kept.
    """

    def __init__(self, channels: int, config: ModelConfig) -> None:
        super().__init__(channels, config)
        self.aggregators = nn.ModuleList(
            Aggregator(config.head.width, config.support.heads) for _ in self.layers
        )

    def support(self, pooled: Tensor) -> list[Projected]:
        """What other regions need of these ones, for every layer."""
        rows = self.support_rows(pooled)
        return self.projected(rows)

    def projected(self, rows: Sequence[Tensor]) -> list[Projected]:
        """Keys and values of the rows of every layer."""
        return [agg.project(y) for agg, y in zip(self.aggregators, rows, strict=True)]  # type: ignore

    def support_rows(self, pooled: Tensor) -> list[Tensor]:
        """Rows (M, D) of every layer before its ReLU."""
        return self.support_rows_from(self.first(pooled))

    def support_rows_from(self, first: Tensor) -> list[Tensor]:
        """The same from what ``first`` gives."""
        rows = [first]
        for layer in self.layers[1:]:
            rows.append(layer(F.relu(rows[-1])))
        return rows

    def attend(self, pooled: Tensor, support: Sequence[Projected]) -> Tensor:
        """(R, D) before prediction, of regions that attend to the support."""
        return self.attend_from(self.first(pooled), support)

    def attend_from(self, first: Tensor, support: Sequence[Projected]) -> Tensor:
        """The same from what ``first`` gives."""
        x = first
        for i, (aggregator, rows) in enumerate(zip(self.aggregators, support, strict=True)):
            x = self.layers[i](x) if i else x
            x = F.relu(x + aggregator(x, rows))
        return x
