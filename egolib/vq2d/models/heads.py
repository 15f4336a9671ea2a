"""Comparison of projected regions with projected references.

Legend: B frames (or queries), N regions of each, E width.

Every head has ``projectors`` and ``compare(regions (B, N, E), references (B, E))``, which
gives the logits (B, N) and, for heads that also score the frame, its logits (B,). Comparisons
are float32, also where autocast lowers the rest.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from egolib.vq2d.config import HeadConfig
from egolib.vq2d.models.projector import Projectors
from egolib.vq2d.models.set_heads import make_comparison

UNSEEN_LOGIT = -10.0
"""Logit of regions beyond ``HeadConfig.tokens``."""


class Compared(NamedTuple):
    """Logits of regions (B, N), and of frames (B,) where the head scores them."""

    regions: Tensor
    frames: Tensor | None

    def scores(self) -> Tensor:
        """(B, N) probabilities; with frame logits the mean of both probabilities."""
        found = torch.sigmoid(self.regions)
        if self.frames is None:
            return found
        return 0.5 * (found + torch.sigmoid(self.frames)[:, None])


class SiameseHead(nn.Module):
    """Each region on its own: x^T W y + b, or the cosine."""

    def __init__(self, channels: int, config: HeadConfig):
        super().__init__()
        self.config = config
        self.projectors = Projectors(channels, config)
        if config.compare == "bilinear":
            self.bilinear = nn.Bilinear(config.hidden, config.hidden, 1)

    def compare(self, regions: Tensor, references: Tensor) -> Compared:
        """Logits (B, N). ``regions`` may be (1, N, E) for several references."""
        with torch.autocast(regions.device.type, enabled=False):
            return self._compare(regions.float(), references.float())

    def _compare(self, regions: Tensor, references: Tensor) -> Compared:
        if self.config.compare == "dot":
            x = functional.normalize(regions, dim=-1)
            return Compared((x @ functional.normalize(references, dim=-1)[..., None])[..., 0], None)
        # One reference at a time: its digits do not depend on what else is in the batch.
        weight, rows = self.bilinear.weight[0], regions.expand(len(references), -1, -1)
        pairs = zip(rows, references, strict=True)
        logits = torch.stack([row @ (weight @ reference) for row, reference in pairs])
        return Compared(logits + self.bilinear.bias, None)


class SetHead(nn.Module):
    """The regions of a frame together (CocoFormer): see ``set_heads``."""

    def __init__(self, channels: int, config: HeadConfig):
        super().__init__()
        self.config = config
        self.projectors = Projectors(channels, config)
        self.comparison = make_comparison(config)

    def compare(self, regions: Tensor, references: Tensor) -> Compared:
        """Logits of regions and, for global transformers, of the frames."""
        count = regions.shape[1]
        kept = self.config.tokens or count
        seen = regions[:, :kept].float().expand(len(references), -1, -1)
        with torch.autocast(regions.device.type, enabled=False):
            logits, frames = self.comparison(seen, references.float()[:, None])
        if kept < count:
            logits = functional.pad(logits, (0, count - kept), value=UNSEEN_LOGIT)
        return Compared(logits, frames)


def make_head(channels: int, config: HeadConfig) -> SiameseHead | SetHead:
    """The head that a configuration names."""
    return SetHead(channels, config) if config.kind == "set" else SiameseHead(channels, config)
