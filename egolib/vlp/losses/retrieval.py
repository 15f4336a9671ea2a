"""One training step of fine-tuning for retrieval or classification by text.

Legend: B pairs of this process, F frames, L tokens, N = W B pairs of all W processes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from egolib.engine.distributed import Backward, gather_rows
from egolib.errors import EgolibError
from egolib.vlp.config import LossConfig
from egolib.vlp.losses.contrastive import norm_softmax
from egolib.vlp.losses.margin import max_margin, sms
from egolib.vlp.losses.similarity import cosine_similarity
from egolib.vlp.models.model import VideoLanguageModel


@dataclass
class RetrievalBatch:
    """Clips with one caption each.

    Args:
        video: (B, F, 3, height, width) float, normalised.
        ids: (B, L) int64.
        mask: (B, L) int64, 1 for tokens.
        weight: (B,) float, relevancy of the caption for the clip; 1 for its own.
        clip_row: (B,) int64, the clip's row in the relevancy matrix.
        caption_column: (B,) int64, the caption's column in it; -1 for a caption
            that has none.
        black: (B,) bool, clips that could not be read.
    """

    video: Tensor
    ids: Tensor
    mask: Tensor
    weight: Tensor
    clip_row: Tensor
    caption_column: Tensor
    black: Tensor

    def to(self, device: torch.device | str) -> RetrievalBatch:
        """The batch on another device."""
        return RetrievalBatch(**{k: v.to(device) for k, v in vars(self).items()})

    def pin_memory(self) -> RetrievalBatch:
        """The batch in page-locked memory."""
        return RetrievalBatch(**{k: v.pin_memory() for k, v in vars(self).items()})


class RetrievalLoss:
    """NormSoftmax, max-margin, adaptive max-margin or SMS on the dual path.

    Args:
        config: the one objective and its settings.
        relevancy: clips x captions, for SMS.
    """

    def __init__(self, config: LossConfig, relevancy: np.ndarray | None = None):
        (self.objective,) = config.objectives
        if self.objective == "sms" and relevancy is None:
            raise EgolibError("the SMS loss needs the relevancy matrix of its data")
        self.config = config
        self.relevancy = None if relevancy is None else torch.from_numpy(relevancy)
        self.backward: Backward = "exact" if config.distributed == "exact" else "local"

    def __call__(self, model: nn.Module, batch: RetrievalBatch) -> dict[str, Tensor]:
        """The objective under ``loss``, the fraction of unreadable clips under ``black``."""
        assert isinstance(model, VideoLanguageModel)
        return {"loss": self._loss(model, batch), "black": batch.black.float().mean()}

    def _loss(self, model: VideoLanguageModel, batch: RetrievalBatch) -> Tensor:
        text = gather_rows(model.encode_text(batch.ids, batch.mask), self.backward)
        video = gather_rows(model.encode_video(batch.video), self.backward)
        weights = gather_rows(batch.weight).to(text.dtype)
        similarity = cosine_similarity(text, video)
        config = self.config
        if self.objective == "norm_softmax":
            return norm_softmax(similarity, config.temperature)
        if self.objective == "sms":
            relevancy = self._relevancy(batch, weights)
            return sms(similarity, relevancy, weights, config.sms_margin, config.sms_slack)
        adaptive = weights if self.objective == "adaptive_margin" else None
        return max_margin(similarity, config.margin, adaptive, config.margin_diagonal)

    def _relevancy(self, batch: RetrievalBatch, weights: Tensor) -> Tensor:
        """(N, N) relevancy of the clip of pair i for the caption of pair j."""
        assert self.relevancy is not None
        clips, captions = gather_rows(batch.clip_row), gather_rows(batch.caption_column)
        if (captions < 0).any():
            raise EgolibError("the SMS loss needs captions that stand in the relevancy matrix")
        return self.relevancy[clips.cpu()][:, captions.cpu()].to(weights.device)
