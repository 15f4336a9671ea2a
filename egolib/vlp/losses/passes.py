"""The passes of one batch through the network, with nothing computed twice.

Legend: B pairs of this process, b pairs that the fused passes see, N video tokens, L text
tokens, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from egolib.engine.distributed import gather_rows
from egolib.nn.text_encoder import attention_bias
from egolib.vlp.losses.matching import MatchingPlan
from egolib.vlp.models.model import Fused, VideoLanguageModel


class Pairs(Protocol):
    """What passes read of a batch."""

    video: Tensor
    ids: Tensor
    mask: Tensor
    corrupted: Tensor


class SeparatePasses:
    """Every pass from pixels and tokens on, as the official code computes them.

    Args:
        model: the network.
        batch: the pairs that are compared.
        pairs: those of them that are fused, every so many.
        words: whether the corrupted texts are fused with their clips.
    """

    def __init__(self, model: VideoLanguageModel, batch: Pairs, pairs: Pairs, words: bool):
        self.model, self.batch, self.pairs, self.words = model, batch, pairs, words

    def dual(self) -> tuple[Tensor, Tensor]:
        """Embeddings (B, P) of the texts and of the clips."""
        batch = self.batch
        return self.model.encode_text(batch.ids, batch.mask), self.model.encode_video(batch.video)

    def fused(self, plan: MatchingPlan | None) -> tuple[Fused | None, Fused | None]:
        """The corrupted texts with their clips, and the planned pairs of texts and clips.

        Args:
            plan: the second; its rows are of the batch of all processes. None for none.
        """
        model, pairs, spoken, matched = self.model, self.pairs, None, None
        if self.words:  # under the uncorrupted texts' mask
            spoken = model.fuse_pairs(pairs.video, pairs.corrupted, pairs.mask)
        if plan is not None:
            ids, mask = (gather_rows(x)[plan.text_source] for x in (pairs.ids, pairs.mask))
            matched = model.fuse_pairs(gather_rows(pairs.video)[plan.video_source], ids, mask)
        return spoken, matched


class SharedPasses(SeparatePasses):
    """The same passes in fewer and larger ones: equal outputs, fewer launches.

    The unfused part of either encoder runs once, on the rows of all passes side by side.
    Both fused passes are one. Replaced items of a planned pair take the unfused states
    of where they come from, to which their gradients return.

    Args:
        model: the network.
        batch: the pairs that are compared.
        pairs: every ``step``-th of them.
        words: whether the corrupted texts are fused with their clips.
        matching: whether there will be a plan.
        compared: whether the dual pass is learned from; else it runs apart.
        step: 1 for all.
    """

    def __init__(
        self,
        model: VideoLanguageModel,
        batch: Pairs,
        pairs: Pairs,
        words: bool,
        matching: bool,
        compared: bool = True,
        step: int = 1,
    ):
        super().__init__(model, batch, pairs, words)
        self.compared, self.step = compared, step
        self.spoken = [pairs.corrupted] if words else []
        self.plain = [pairs.ids] if matching else []
        self._video: Tensor | None = None  # (b, N, D) where the fusion starts
        self._texts: Sequence[Tensor] = ()  # (b, L, D) each, the same of ``spoken``, ``plain``

    def dual(self) -> tuple[Tensor, Tensor]:
        """Embeddings (B, P) of the texts and of the clips."""
        if not self.compared:
            return super().dual()
        model, batch = self.model, self.batch
        texts = [batch.ids, *self.spoken, *self.plain]
        masks = [batch.mask, *[self.pairs.mask] * (len(texts) - 1)]
        bias = attention_bias(torch.cat(masks))
        state = model.text.run(model.text.embeddings(torch.cat(texts)), bias, 0, model.unfused)
        text, *self._texts = torch.split(state, [len(x) for x in texts])
        places = model.video.places(batch.video)
        clips = model.video.with_class(places, model.video.class_token)
        fused = model.video.with_class(places[:: self.step], model.fusion_class_token)
        tokens = model.video.run(torch.cat([clips, fused]), 0, model.unfused)
        clips, self._video = torch.split(tokens, [len(clips), len(fused)])
        class_tokens = model.video.run(clips, model.unfused)[:, 0]
        text = model.text.run(text, bias[: len(text)], model.unfused)
        return model.project_text(text[:, 0]), model.project_video(class_tokens)

    def fused(self, plan: MatchingPlan | None) -> tuple[Fused | None, Fused | None]:
        """See ``SeparatePasses.fused``."""
        model, mask = self.model, self.pairs.mask
        if self._video is None:  # without the dual pass
            self._video = model.video_prefix(self.pairs.video)
            self._texts = [model.text_prefix(ids, mask) for ids in (*self.spoken, *self.plain)]
        clips, texts = [self._video] * self.words, list(self._texts[: self.words])
        masks = [mask] * self.words
        if plan is not None:
            clips.append(gather_rows(self._video)[plan.video_source])
            texts.append(gather_rows(self._texts[-1])[plan.text_source])
            masks.append(gather_rows(mask)[plan.text_source])
        both = model.fuse(torch.cat(clips), torch.cat(texts), torch.cat(masks))
        own = len(mask) * self.words
        sizes = [own, len(both.text) - own]
        parts = (torch.split(x, sizes) for x in (both.text, both.video_class))
        spoken, matched = (Fused(text, video) for text, video in zip(*parts, strict=True))
        return spoken if self.words else None, matched if plan is not None else None
