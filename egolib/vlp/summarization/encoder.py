"""Features of shots for a query: the pre-trained network as QFVS uses it.

Legend: B shots, F frames of a shot, N video tokens, D width, Q texts, L text tokens.

Pramanick et al., EgoVLPv2 (arXiv 2307.05463). A shot's feature is the fused video class
token, normalised and transformed.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from egolib.errors import EgolibError
from egolib.nn.text_encoder import attention_bias
from egolib.vlp.config import ModelConfig
from egolib.vlp.models.model import VideoLanguageModel

#: ``official`` takes the summariser's number of layers for the backbone's, ``intended`` its own.
FusionLayers = Literal["official", "intended"]


class ShotEncoder(VideoLanguageModel):
    """The network without its projectors, run from block to block as a layer count says.

    Official behaviour: one key stands twice in the published configuration, so that the
    summariser's number of layers (2) is read for the backbone's (12) too. The unfused blocks
    are counted as 2 - 6 = -4, that is all but the last four; the fused ones are none. What
    comes out does not depend on the query.

    Args:
        config: the network.
        layers_read: the number of layers that is read; None for the network's own.
    """

    def __init__(self, config: ModelConfig, layers_read: int | None = None):
        super().__init__(config)
        del self.video_projector, self.text_projector
        layers = config.depth if layers_read is None else layers_read
        whole = range(config.depth)
        self.prefix_blocks = whole[: layers - config.fusion_depth]
        self.fused = whole[layers - config.fusion_depth : layers]
        if not self.prefix_blocks:
            raise EgolibError(
                f"no block runs: {layers} layers are read, {config.fusion_depth} of them fused",
                remedy="fusion_layers: intended, or fewer layers of the summariser",
            )

    def video_prefix(self, video: Tensor) -> Tensor:
        """Video tokens (B, N, D) of shots (B, F, 3, height, width) after the unfused blocks."""
        tokens = self.video.embed(video, self.fusion_class_token)
        return self.video.run(tokens, self.prefix_blocks.start, self.prefix_blocks.stop)

    def text_prefix(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Text states (Q, L, D) after the unfused layers."""
        states: Tensor = self.text(ids, mask, self.prefix_blocks.start, self.prefix_blocks.stop)
        return states

    def shot_features(self, video: Tensor, text: Tensor, mask: Tensor) -> Tensor:
        """(Q, B, D) features of shots for texts.

        Args:
            video: (B, N, D), see ``video_prefix``.
            text: (Q, L, D), see ``text_prefix``.
            mask: (Q, L), 1 for tokens.
        """
        if not self.fused:
            return self._transformed(video).expand(len(text), -1, -1)
        shots = len(video)
        rows = [
            self._transformed(self._fuse_text(video, t.expand(shots, -1, -1), m.expand(shots, -1)))
            for t, m in zip(text, mask, strict=True)
        ]
        return torch.stack(rows)

    def empty_features(self, text: Tensor, mask: Tensor) -> Tensor:
        """(Q, D): what the network makes of a shot whose tokens are all zero."""
        tokens = 1 + self.config.frames * self.config.patches
        empty = text.new_zeros(1, tokens, self.config.width)
        return self.shot_features(empty, text, mask)[:, 0]

    def _fuse_text(self, video: Tensor, text: Tensor, mask: Tensor) -> Tensor:
        """Video tokens (B, N, D) after the fused blocks; the last layer's text is not needed."""
        bias = attention_bias(mask)
        for i in self.fused:
            before = video
            video = self.video.run_block(self.video.blocks[i], before, text, bias)
            if i != self.fused[-1]:
                text = self.text.run_layer(self.text.layers[i], text, bias, before)
        return video

    def _transformed(self, video: Tensor) -> Tensor:
        """(B, D) the class token, normalised and transformed."""
        features: Tensor = self.video_transform(self.fusion_norm(video[:, 0]))
        return features


def build_empty_encoder(config: ModelConfig, layers_read: int | None = None) -> ShotEncoder:
    """An encoder whose weights hold whatever lay in memory: load a state dict into it.

    Args:
        config: the network.
        layers_read: see ``ShotEncoder``.
    """
    with torch.device("meta"):
        model = ShotEncoder(config, layers_read)
    return model.to_empty(device="cpu")
