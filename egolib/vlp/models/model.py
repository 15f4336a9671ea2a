"""EgoVLPv2 as one class: two encoders that also fuse into one another.

Legend: B batch, F frames, N video tokens, L text tokens, D width, P embedding width,
V vocabulary.

Pramanick et al., EgoVLPv2 (arXiv 2307.05463). There are two paths through the same
weights. The *dual* path encodes video and text alone and compares embeddings. The
*fused* path lets the last blocks of either side attend to the other one; it starts
from a class token of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from egolib.nn.text_encoder import TextEncoder, attention_bias
from egolib.vlp.config import ModelConfig
from egolib.vlp.models.heads import MaskedLanguageHead, MatchingHead, projector
from egolib.vlp.models.video import VideoEncoder


@dataclass(frozen=True)
class Fused:
    """What the fused path gives.

    Args:
        text: (B, L, D) text states after the last layer.
        video_class: (B, D) video class token after the fusion norm.
    """

    text: Tensor
    video_class: Tensor


class VideoLanguageModel(nn.Module):
    """Video and text encoders with gated cross-attention, projectors and two heads.

    A fused pass is ``fuse(video_prefix(video), text_prefix(ids, mask), mask)``. The
    prefixes (patches and unfused blocks, unfused layers) do not depend on the other
    side: one of each serves any number of pairs.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        self.video = VideoEncoder(config)
        self.text = TextEncoder(
            vocabulary_size=config.vocabulary_size,
            width=config.text_width,
            positions=config.text_positions,
            pad_id=config.pad_id,
            heads=config.text_heads,
            mlp_width=config.text_mlp_width,
            depth=config.depth,
            fusion_depth=config.fusion_depth,
            context_width=config.width,
            dropout=config.text_dropout,
            gradient_checkpointing=config.gradient_checkpointing,
        )
        out = config.projection_width
        self.video_projector = projector("video", config.projection, config.width, out)
        self.text_projector = projector("text", config.projection, config.text_width, out)
        self.fusion_class_token = nn.Parameter(torch.zeros(1, 1, config.width))
        self.fusion_norm = nn.LayerNorm(config.width, eps=1e-6)
        self.text_transform = nn.Linear(config.text_width, config.text_width)
        self.video_transform = nn.Linear(config.width, config.width)
        self.matching = MatchingHead(config.text_width, config.width)
        self.masked_language = MaskedLanguageHead(config.text_width, config.vocabulary_size)

    # ------------------------------------------------------------------- dual path

    def encode_video(self, video: Tensor) -> Tensor:
        """Embeddings (B, P) of normalised clips (B, F, 3, height, width) float."""
        tokens = self.video.run(self.video.embed(video, self.video.class_token))
        return self.project_video(tokens[:, 0])

    def video_class(self, video: Tensor) -> Tensor:
        """Class tokens (B, D) of the dual path after the encoder's final norm."""
        tokens = self.video.run(self.video.embed(video, self.video.class_token))
        return self.video.norm(tokens[:, 0])  # type: ignore[no-any-return]

    def encode_text(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Embeddings (B, P) of token ids (B, L) with a mask (B, L), 1 for tokens."""
        return self.project_text(self.text(ids, mask)[:, 0])

    def project_video(self, token: Tensor) -> Tensor:
        """Embeddings (B, P) of class tokens (B, D) after the dual path's last block."""
        return self._project(self.video_projector, self.video.norm(token))

    def project_text(self, token: Tensor) -> Tensor:
        """Embeddings (B, P) of class tokens (B, D) after the last layer without context."""
        return self._project(self.text_projector, token)

    # ------------------------------------------------------------------ fused path

    def video_prefix(self, video: Tensor) -> Tensor:
        """Video tokens (B, N, D) of the fused path where the fusion starts."""
        tokens = self.video.embed(video, self.fusion_class_token)
        return self.video.run(tokens, 0, self.unfused)

    def text_prefix(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Text states (B, L, D) where the fusion starts."""
        return self.text(ids, mask, 0, self.unfused)  # type: ignore[no-any-return]

    def fuse(self, video: Tensor, text: Tensor, mask: Tensor) -> Fused:
        """The last blocks and layers, each reading the other side's state before it.

        Args:
            video: (B, N, D), see ``video_prefix``.
            text: (B, L, D), see ``text_prefix``.
            mask: (B, L), 1 for tokens.
        """
        bias = attention_bias(mask)
        blocks, layers = self.video.blocks[self.unfused :], self.text.layers[self.unfused :]
        for block, layer in zip(blocks, layers, strict=True):
            video, text = (
                self.video.run_block(block, video, text, bias),
                self.text.run_layer(layer, text, bias, video),
            )
        return Fused(text, self.fusion_norm(video[:, 0]))

    def fuse_pairs(self, video: Tensor, ids: Tensor, mask: Tensor) -> Fused:
        """The whole fused path of clips (B, F, 3, height, width) with texts (B, L).

        Args:
            video: (B, F, 3, height, width) float, normalised.
            ids: (B, L) int64 token ids.
            mask: (B, L), 1 for tokens.
        """
        return self.fuse(self.video_prefix(video), self.text_prefix(ids, mask), mask)

    def itm_logits(self, fused: Fused) -> Tensor:
        """(B, 2) whether video and text match; class 1 is a match."""
        text = self.text_transform(fused.text[:, 0])
        return self.matching(text, self.video_transform(fused.video_class))  # type: ignore[no-any-return]

    def mlm_logits(self, text: Tensor) -> Tensor:
        """(..., V) words at fused text states (..., D)."""
        return self.masked_language(self.text_transform(text))  # type: ignore[no-any-return]

    # --------------------------------------------------------------------- details

    @property
    def unfused(self) -> int:
        """Blocks and layers before the fusion."""
        return self.config.depth - self.config.fusion_depth

    def _project(self, head: nn.Module, token: Tensor) -> Tensor:
        if self.config.gradient_checkpointing and self.training and torch.is_grad_enabled():
            return checkpoint(head, token, use_reentrant=False)  # type: ignore[no-any-return]
        return head(token)  # type: ignore[no-any-return]
