"""ActionFormer (Zhang, Wu, Li, ECCV 2022, arXiv 2202.07925) on the features of a clip.

B clips, T positions, D feature width, C channels, P points of all levels, K - 1 classes
without the background. Tensors are (B, T, C); masks (B, T, 1) boolean.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from egolib.errors import EgolibError
from egolib.mq.config import ModelConfig
from egolib.mq.config.actionformer import ActionFormerConfig
from egolib.nn.point_head import PointHead, predict_points
from egolib.nn.points import Predictions
from egolib.nn.temporal_blocks import Block, ConvStack, position_table

EPS = 1e-6  # of the norms outside the blocks, as OpenTAD has them


class ActionFormer(nn.Module):
    """Embedding, transformer pyramid with local attention, two heads shared by all levels.

    Args:
        config: with its part ``actionformer``.

    Raises:
        EgolibError: it is of VSGN, or the sizes are not known yet.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        own = parts_of(config)
        self.config = config
        inputs, kernel, layers = config.feature_width, own.embedding_kernel, own.embedding_layers
        self.embedding = ConvStack(
            inputs, own.width, kernel, layers, norm=True, eps=EPS, remask=True
        )
        first, *others = own.level_windows
        self.stem = nn.ModuleList(_block(own, first, 1) for _ in range(own.stem_blocks))
        self.branch = nn.ModuleList(_block(own, window, 2) for window in others)
        self.level_norms = nn.ModuleList(nn.LayerNorm(own.width, EPS) for _ in range(own.levels))
        self.classification = PointHead(own, config.classes - 1, eps=EPS, remask=True)
        self.regression = PointHead(own, 2, eps=EPS, remask=True)
        self.level_scales = nn.ParameterList(torch.ones(()) for _ in range(own.levels))
        self._initialise(own)

    def forward(self, features: Tensor, mask: Tensor) -> Predictions:
        """Class logits and distances to both ends for every point.

        Official behaviour: dropout of the input takes whole channels.

        Args:
            features: (B, T, D), zero in the padding.
            mask: (B, T) valid positions.

        Raises:
            EgolibError: features of another width, or in training longer than ``length``.
        """
        self._check(features)
        own, valid = parts_of(self.config), mask.unsqueeze(2)
        dropped = F.dropout1d(features.transpose(1, 2), own.input_dropout, self.training)
        x = self.embedding(dropped.transpose(1, 2), valid)
        if own.position_table:
            table = position_table(x.shape[1], self.config.length, own.width, x.device)
            x = x + table * valid
        for block in self.stem:
            x, valid = block(x, valid)
        levels, masks = [x], [valid]
        for block in self.branch:
            x, valid = block(x, valid)
            levels.append(x)
            masks.append(valid)
        levels = [norm(level) for norm, level in zip(self.level_norms, levels, strict=True)]
        heads = (self.classification, self.regression)
        return predict_points(levels, masks, *heads, self.level_scales)

    def _check(self, features: Tensor) -> None:
        width, length = self.config.feature_width, self.config.length
        if features.shape[2] != width or (self.training and features.shape[1] > length):
            raise EgolibError(
                f"features of shape {tuple(features.shape)}, the network takes (B, T, D) with "
                f"D = {width} and, in training, T up to {length}",
                remedy="set model.feature_width and model.length to those of the features",
            )

    def _initialise(self, own: ActionFormerConfig) -> None:
        """Zero biases of convolutions and linear maps, then the classes' prior probability.

        Official behaviour: the regression head's last bias keeps PyTorch's random start.
        """
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)
        prior, output = own.class_prior, self.classification.output
        assert output.bias is not None and self.regression.output.bias is not None
        if prior > 0:
            nn.init.constant_(output.bias, -math.log((1 - prior) / prior))
        reach = 1 / math.sqrt(own.head_width * own.head_kernel)
        nn.init.uniform_(self.regression.output.bias, -reach, reach)


def parts_of(config: ModelConfig) -> ActionFormerConfig:
    """ActionFormer's part of a configuration.

    Raises:
        EgolibError: it is of VSGN, or its sizes are to be taken from the data.
    """
    if config.actionformer is None:
        raise EgolibError("no ActionFormer is configured", remedy="set model.actionformer")
    if not config.feature_width or config.classes < 2:
        raise EgolibError("model.feature_width and model.classes are to be taken from the data")
    return config.actionformer


def padded_length(longest: int, config: ModelConfig) -> int:
    """The shortest padded length whose valid outputs equal those of ``length``.

    Every level needs one padded position behind the last valid one, which its convolutions
    read; the coarsest level decides.

    Args:
        longest: features of the longest clip.
        config: its number of levels, and the official padding ``length``.
    """
    step = 1 << (parts_of(config).levels - 1)
    return max(longest, min(step * -(-longest // step) + 1, config.length))


def _block(own: ActionFormerConfig, window: int, stride: int) -> Block:
    return Block(own, stride=stride, window=window, attention_dropout=own.dropout)
