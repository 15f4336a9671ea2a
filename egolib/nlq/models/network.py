"""GroundNLQ: a video and a question in, scores and offsets for every point of a pyramid out.

Shapes: B batch, T video positions, L tokens,
C channels, P points of all levels (T + T/2 + ...), K classes, V video width, W token width.
Masks are boolean, true at valid positions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from egolib.errors import EgolibError
from egolib.nlq.config import ModelConfig, TextPadding
from egolib.nn.point_head import PointHead, predict_points
from egolib.nn.points import Predictions
from egolib.nn.temporal_blocks import Block, ConvStack, Tokens, position_table


@dataclass
class Video:
    """A video as far as it can be computed without a question.

    Args:
        values: (B, T, C), after the self attention of the first stem block.
        mask: (B, T, 1).
    """

    values: Tensor
    mask: Tensor

    def expand(self, count: int) -> Video:
        """The same single video for ``count`` questions, without a copy."""
        return Video(self.values.expand(count, -1, -1), self.mask.expand(count, -1, -1))


class TextEncoder(nn.Module):
    """Token features (B, L, W) -> tokens (B, L, C) for cross attention."""

    def __init__(self, config: ModelConfig, inputs: int):
        super().__init__()
        self.embedding = ConvStack(
            inputs, config.width, 1, config.embedding_layers, norm=config.embedding_norm
        )
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.text_blocks))

    def forward(self, tokens: Tensor, mask: Tensor, padding: TextPadding = "official") -> Tokens:
        """Tokens (B, L, W) and mask (B, L, 1), encoded; see ``GroundNLQ.encode_text``.

        Args:
            tokens: zero in the padding.
            mask: valid ones.
            padding: ``official`` or ``per_query``.
        """
        x = self.embedding(tokens, mask)
        for block in self.blocks:
            x, _ = block(x, mask, isolate=padding == "per_query")
        return Tokens(x, mask)


class GroundNLQ(nn.Module):
    """The network of a ``ModelConfig``; nothing in it knows of files or seconds."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        _check(config)
        self.config = config
        streams = tuple(name for name, _ in config.text_streams)
        self.video_embedding = ConvStack(
            sum(width for _, width in config.video_streams),
            config.width,
            config.embedding_kernel,
            config.embedding_layers,
            norm=config.embedding_norm,
        )
        self.text_encoders = nn.ModuleDict(
            {name: TextEncoder(config, width) for name, width in config.text_streams}
        )
        stem_window, *windows = branch_windows(config)
        self.stem = nn.ModuleList(
            Block(config, streams=streams, window=stem_window) for _ in range(config.stem_blocks)
        )
        crossing = [streams] * config.cross_branch_blocks + [()] * config.plain_branch_blocks
        self.branch = nn.ModuleList(
            Block(config, streams=names, stride=2, window=window)
            for names, window in zip(crossing, windows, strict=True)
        )
        self.level_norms = nn.ModuleList(
            nn.LayerNorm(config.width) if config.level_norm else nn.Identity()
            for _ in range(config.levels)
        )
        self.classification = PointHead(config, config.classes)
        self.regression = PointHead(config, 2)
        self.level_scales = nn.ParameterList(torch.ones(()) for _ in range(config.levels))
        self._initialise()

    def forward(
        self,
        video: Tensor,
        video_mask: Tensor,
        tokens: Mapping[str, Tensor],
        token_masks: Mapping[str, Tensor],
        *,
        text_padding: TextPadding = "official",
    ) -> Predictions:
        """Scores and offsets for one batch.

        Args:
            video: (B, T, V) features, zero in the padding.
            video_mask: (B, T).
            tokens: for each text stream (B, L, W), zero in the padding.
            token_masks: for each text stream (B, L).
            text_padding: see ``encode_text``.
        """
        encoded = self.encode_video(video, video_mask)  # first: it draws stochastic depth first
        return self.ground(encoded, self.encode_text(tokens, token_masks, text_padding))

    def encode_text(
        self,
        tokens: Mapping[str, Tensor],
        masks: Mapping[str, Tensor],
        padding: TextPadding = "official",
    ) -> dict[str, Tokens]:
        """Token streams, ready for cross attention.

        Args:
            tokens: for each text stream (B, L, W), zero in the padding.
            masks: for each text stream (B, L).
            padding: ``official`` lets a question see how far its batch pads it,
                ``per_query`` computes it as if alone.
        """
        return {
            name: encoder(tokens[name], masks[name].unsqueeze(2), padding)
            for name, encoder in self.text_encoders.items()
        }

    def encode_video(self, video: Tensor, mask: Tensor) -> Video:
        """The part of the network that does not depend on the question.

        Raises:
            EgolibError: in training, a video longer than the position table.
        """
        mask = mask.unsqueeze(2)  # B T 1
        x = self.video_embedding(video, mask)
        if self.config.position_table:
            x = x + self._positions(video) * mask
        return Video(*self._first.attend_self(x, mask))

    def ground(self, video: Video, streams: Mapping[str, Tokens]) -> Predictions:
        """The rest of the network, for as many videos as questions."""
        first, mask = self._first, video.mask
        x = first.transform(first.attend_tokens(video.values, mask, streams), mask)
        for block in self.stem[1:]:
            x, mask = block(x, mask, streams)
        levels, masks = [x], [mask]
        for block in self.branch:
            x, mask = block(x, mask, streams)
            levels.append(x)
            masks.append(mask)
        return self._predict(levels, masks)

    @property
    def _first(self) -> Block:
        """The stem block that is split between the parts with and without a question."""
        block = self.stem[0]
        assert isinstance(block, Block)
        return block

    def _predict(self, levels: list[Tensor], masks: list[Tensor]) -> Predictions:
        levels = [norm(x) for norm, x in zip(self.level_norms, levels, strict=True)]
        heads = (self.classification, self.regression)
        return predict_points(levels, masks, *heads, self.level_scales)

    def _positions(self, video: Tensor) -> Tensor:
        """(T, C) position table for this length.

        Official behaviour: at inference a longer video gets the table stretched.
        """
        length, config = video.shape[1], self.config
        if length > config.max_length and self.training:
            raise EgolibError(
                f"a video of {length} features is longer than max_length {config.max_length}",
                remedy="raise model.max_length, or set data.too_long to resample",
            )
        rows = max(length, config.max_length)  # one table serves all lengths, and stays
        return position_table(rows, config.max_length, config.width, video.device)[:length]

    def _initialise(self) -> None:
        """Zero biases everywhere, then the classes' prior probabilities."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)
        bias = self.classification.output.bias
        assert bias is not None
        with torch.no_grad():
            if self.config.class_prior > 0:
                bias.fill_(_logit(self.config.class_prior))
            bias[list(self.config.empty_classes)] = _logit(1e-6)


def branch_windows(config: ModelConfig) -> list[int]:
    """The attention window of the stem, then of each branch block.

    Official behaviour: with both kinds of branch blocks the plain ones start over
    at the second entry of the list.
    """
    windows = list(config.windows)
    if len(windows) == 1:
        return windows * config.levels
    if len(windows) != config.levels:
        raise EgolibError(f"{len(windows)} windows for {config.levels} levels")
    if config.branch_windows == "official":
        crossing, plain = config.cross_branch_blocks, config.plain_branch_blocks
        return [*windows[: 1 + crossing], *windows[1 : 1 + plain]]
    return windows


def padded_length(longest: int, config: ModelConfig) -> int:
    """The shortest padded length whose valid outputs equal those of ``max_length``.

    Every level needs as many padded positions as its convolutions reach beyond the
    end: one for kernels of 3. The coarsest level decides.
    """
    step = 1 << (config.levels - 1)
    reach = max(1, config.head_kernel // 2, -(-(config.embedding_kernel // 2) // step))
    needed = step * (-(-longest // step) + reach - 1) + 1
    return max(longest, min(needed, config.max_length))


def _check(config: ModelConfig) -> None:
    if config.stem_blocks < 1 or not config.text_streams or not config.video_streams:
        raise EgolibError("the network needs a stem block, a text stream and a video stream")
    if config.width % config.heads:
        raise EgolibError(f"width {config.width} is not a multiple of {config.heads} heads")


def _logit(probability: float) -> float:
    return -math.log((1 - probability) / probability)
