"""VSLNet: a clip and a question in; for every cell, how likely the answer starts and ends there.

Shapes: B batch, T video positions (cells), L tokens, V video width, W token width,
C channels. Masks are bool, true at valid positions.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from egolib.errors import EgolibError
from egolib.nlq.config.span import VslnetConfig
from egolib.nlq.models.vslnet.embedding import VideoEmbedding
from egolib.nlq.models.vslnet.encoder import Encoder
from egolib.nlq.models.vslnet.fusion import Concatenation, ContextQueryAttention
from egolib.nlq.models.vslnet.highlight import Highlight
from egolib.nlq.models.vslnet.predictor import SpanPredictor


@dataclass
class Spans:
    """What the network says about every cell.

    Args:
        start: (B, T) logits of the first cell, -1e30 lower in the padding.
        end: (B, T) logits of the last cell, -1e30 lower in the padding.
        highlight: (B, T) logits of the same kind.
        mask: (B, T) bool, the cells of the clip.
    """

    start: Tensor
    end: Tensor
    highlight: Tensor
    mask: Tensor

    @property
    def highlight_scores(self) -> Tensor:
        """(B, T) probabilities float32, 0 in the padding."""
        return self.highlight.float().sigmoid()


class Vslnet(nn.Module):
    """The network of a ``VslnetConfig``; nothing in it knows of files or seconds."""

    def __init__(self, config: VslnetConfig):
        super().__init__()
        _check(config)
        self.config = config
        self.video_embedding = VideoEmbedding(config.video_width, config.width, config.dropout)
        self.text_embedding = nn.Linear(config.text_width, config.width)
        self.encoder = Encoder(config)
        if config.fusion == "attention":
            self.attention = ContextQueryAttention(config.width, config.dropout)
        self.concatenation = Concatenation(config.width)
        self.highlight = Highlight(config.width)
        self.predictor = SpanPredictor(config)
        self.apply(_initialise)

    def forward(
        self, video: Tensor, video_mask: Tensor, tokens: Tensor, token_mask: Tensor
    ) -> Spans:
        """Starts, ends and highlights of one batch.

        Args:
            video: (B, T, V) features, zero in the padding.
            video_mask: (B, T).
            tokens: (B, L, W) token states.
            token_mask: (B, L).

        Raises:
            EgolibError: a width, or a length above ``max_length``, that the network
                does not have.
        """
        self._require_widths(video, tokens)
        video = self.encoder(self.video_embedding(video), video_mask)
        tokens = self.encoder(self.text_embedding(tokens), token_mask)
        fused = video
        if self.config.fusion == "attention":
            fused = self.attention(video, tokens, video_mask, token_mask)
        fused = self.concatenation(fused, tokens, token_mask)
        highlight = self.highlight(fused, video_mask)
        start, end = self.predictor(self._read(video, fused, highlight), video_mask)
        return Spans(start, end, highlight, video_mask)

    def _read(self, video: Tensor, fused: Tensor, highlight: Tensor) -> Tensor:
        """What the predictor reads.

        Official behaviour: the small network's predictor reads the encoded video, so
        that its starts and ends do not depend on the question.
        """
        blind = self.config.small_predictor == "official"
        if self.config.fusion == "concatenation" and blind:
            return video
        return fused * highlight.sigmoid().unsqueeze(2)

    def _require_widths(self, video: Tensor, tokens: Tensor) -> None:
        for name, values, width in (
            ("video features", video, self.config.video_width),
            ("token states", tokens, self.config.text_width),
        ):
            if values.shape[2] != width:
                raise EgolibError(
                    f"{name} are {values.shape[2]} wide, the network expects {width}",
                    remedy="use the features that it was trained on",
                )


def _initialise(module: nn.Module) -> None:
    """Xavier weights, zero biases; positions and vectors were drawn by their own modules."""
    if isinstance(module, nn.Linear | nn.Conv1d):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _check(config: VslnetConfig) -> None:
    if config.width % config.heads:
        raise EgolibError(f"width {config.width} is not a multiple of {config.heads} heads")
    if config.kernel % 2 == 0:
        raise EgolibError(f"kernel is {config.kernel}: an odd width was expected")
