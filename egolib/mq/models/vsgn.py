"""VSGN: video self-stitching graph network (Zhao, Thabet, Ghanem, ICCV 2021, arXiv 2011.14598).

B clips, D feature width, C channels, T positions, A boxes, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from egolib.errors import EgolibError
from egolib.mq.config import ModelConfig
from egolib.mq.localization.anchors import decode, make_anchors
from egolib.mq.models.boundary import BoundaryAdjustment
from egolib.mq.models.heads import CurveHead, DetectionHead
from egolib.mq.models.pyramid import Pyramid


@dataclass(frozen=True)
class Predictions:
    """What the network says about a batch. Boxes are (start, end) in features.

    Args:
        logits: (B, A, K); class 0 is the background.
        boxes: (B, A, 2) decoded from the anchors.
        adjusted: (B, A, 2) the same with their ends adjusted, the answer.
        actionness: (B, T) in [0, 1], as the other curves.
        startness: (B, T).
        endness: (B, T).
    """

    logits: Tensor
    boxes: Tensor
    adjusted: Tensor
    actionness: Tensor
    startness: Tensor
    endness: Tensor

    def scores(self) -> Tensor:
        """(B, A, K) class probabilities."""
        return self.logits.softmax(-1)


class VSGN(nn.Module):
    """Stem, encoder with graphs, decoder, detection head, curves, boundary adjustment.

    There is no dropout and no running statistic: training and evaluation mode compute
    the same. Initial weights are PyTorch's.

    Args:
        config: sizes.

    Raises:
        EgolibError: sizes that do not fit together.
    """

    anchors: Tensor

    def __init__(self, config: ModelConfig):
        super().__init__()
        config.require_fit()
        self.config = config
        self.pyramid = Pyramid(config)
        self.detection = DetectionHead(config)
        self.actionness = CurveHead(config)
        self.startness = CurveHead(config)
        self.endness = CurveHead(config)
        self.boundary = BoundaryAdjustment(config)
        anchors = make_anchors(config.level_lengths, config.anchor_scales)
        self.register_buffer("anchors", anchors, persistent=False)

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> Predictions:
        """Predictions for a batch.

        Args:
            features: (B, D, T) float, zero behind each clip.
            lengths: (B,) int64 features of each clip; needed where the configuration has
                ``stitched_neighbors``.

        Raises:
            EgolibError: features of another width or length.
        """
        wanted = (self.config.feature_width, self.config.length)
        if tuple(features.shape[1:]) != wanted:
            raise EgolibError(
                f"features of shape {tuple(features.shape)}, the network takes (B, D, T) with "
                f"D = {wanted[0]} and T = {wanted[1]}",
                remedy="set model.feature_width and model.length to those of the features",
            )
        if self.config.stitched_neighbors and lengths is None:
            raise EgolibError("stitched neighbours need the lengths of the clips")
        levels = self.pyramid(features, lengths)
        logits, offsets = self.detection(levels)
        boxes = decode(self.anchors, offsets.float())  # positions need all of float32
        return Predictions(
            logits=logits,
            boxes=boxes,
            adjusted=boxes + self.boundary(boxes, levels[0]),
            actionness=self.actionness(levels[0]),
            startness=self.startness(levels[0]),
            endness=self.endness(levels[0]),
        )


def build(config: ModelConfig, seed: int | None = None) -> VSGN:
    """A network with random weights; equal seeds give equal weights.

    Args:
        config: sizes.
        seed: of the weights; the official code uses 21. None leaves torch's state alone.
    """
    if seed is None:
        return VSGN(config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return VSGN(config)
