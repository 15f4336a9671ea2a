"""One training step of the three pre-training objectives together.

Legend: B pairs of this process (positives, then scene-aware negatives), F frames,
L tokens, N = W B pairs of all W processes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from egolib.engine.distributed import Backward, gather_rows, is_parallel, rank
from egolib.vlp.config import LossConfig
from egolib.vlp.losses.contrastive import egonce, order_loss, positive_pairs
from egolib.vlp.losses.masked_language import masked_language
from egolib.vlp.losses.matching import MatchingPlan, matching, plan_matching
from egolib.vlp.losses.similarity import cosine_similarity
from egolib.vlp.models.model import VideoLanguageModel


@dataclass
class PretrainingBatch:
    """Clips and their narrations.

    Args:
        video: (B, F, 3, height, width) float, normalised.
        ids: (B, L) int64.
        mask: (B, L) int64, 1 for tokens.
        corrupted: (B, L) int64, see ``losses.masked_language.corrupt``.
        labels: (B, L) int64, of the same.
        nouns: (B, classes) float, multi-hot.
        verbs: (B, classes) float, multi-hot.
        black: (B,) bool, clips that could not be read.
        opposites: (R, 2) int64, rows of a clip and of the same clip backwards with the
            opposite text.
    """

    video: Tensor
    ids: Tensor
    mask: Tensor
    corrupted: Tensor
    labels: Tensor
    nouns: Tensor
    verbs: Tensor
    black: Tensor
    opposites: Tensor = field(default_factory=lambda: torch.zeros(0, 2, dtype=torch.int64))

    def to(self, device: torch.device | str) -> PretrainingBatch:
        """The batch on another device."""
        return PretrainingBatch(**{k: v.to(device) for k, v in vars(self).items()})

    def every(self, step: int) -> PretrainingBatch:
        """Every ``step``-th pair, without what relates pairs."""
        rows = {k: v[::step] for k, v in vars(self).items() if k != "opposites"}
        return PretrainingBatch(**rows)

    def pin_memory(self) -> PretrainingBatch:
        """The batch in page-locked memory."""
        return PretrainingBatch(**{k: v.pin_memory() for k, v in vars(self).items()})


class PretrainingLoss:
    """EgoNCE + MLM + 2 ITM (arXiv 2307.05463, section 3.3).

    Called with the model and a batch, it gives the total under ``loss``, each objective
    under its name, and the fraction of clips that could not be read under ``black``.

    Args:
        config: objectives and their settings.
        generator: draws matching negatives, on the CPU; the default one if None. With
            ``distributed="exact"`` it must have the same state on all processes.
    """

    def __init__(self, config: LossConfig, generator: torch.Generator | None = None):
        self.config, self.generator = config, generator
        self.backward: Backward = "exact" if config.distributed == "exact" else "local"

    def __call__(self, model: nn.Module, batch: PretrainingBatch) -> dict[str, Tensor]:
        """Named scalar tensors; the total is ``loss``."""
        assert isinstance(model, VideoLanguageModel)
        objectives = self.config.objectives
        losses: dict[str, Tensor] = {}
        similarity, positives = self.similarity(model, batch)
        if "egonce" in objectives:
            losses["egonce"] = egonce(similarity, positives, self.config.temperature)
        part = batch.every(self.config.fused_every)
        fusion = _FusedPasses(model, part, self.config.share_prefix)
        if "mlm" in objectives:
            text = fusion.masked_language()
            losses["mlm"] = masked_language(model, text, part.labels, self.backward)
        if "itm" in objectives:
            kept = torch.arange(len(similarity)) % len(batch.ids) % self.config.fused_every == 0
            among = similarity.detach().float()[kept][:, kept]
            plan = self.plan(among, positives[kept][:, kept], len(part.ids))
            losses["itm"] = matching(fusion.matching(plan), plan.labels, self.backward)
        if self.config.order_weight:
            own = batch.opposites + (rank() * len(batch.ids) if is_parallel() else 0)
            losses["order"] = order_loss(similarity, own, self.config.temperature)
        weights = {
            "mlm": self.config.language_weight,
            "itm": self.config.matching_weight,
            "order": self.config.order_weight,
        }
        total = torch.stack([weights.get(k, 1.0) * v for k, v in losses.items()]).sum()
        return {"loss": total, **losses, "black": batch.black.float().mean()}

    def state_dict(self) -> dict[str, Tensor]:
        """What a resumed training continues with: the state of an own generator."""
        return {} if self.generator is None else {"generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """The inverse of ``state_dict``."""
        if self.generator is not None:
            self.generator.set_state(state["generator"])

    def similarity(
        self, model: VideoLanguageModel, batch: PretrainingBatch
    ) -> tuple[Tensor, Tensor]:
        """(N, N) cosines of texts (rows) with videos, and which pairs are positives."""
        text = gather_rows(model.encode_text(batch.ids, batch.mask), self.backward)
        video = gather_rows(model.encode_video(batch.video), self.backward)
        nouns = gather_rows(batch.nouns) if self.config.egonce_noun else None
        verbs = gather_rows(batch.verbs) if self.config.egonce_verb else None
        positives = positive_pairs(nouns, verbs, len(text)).to(text.device)
        return cosine_similarity(text, video), positives

    def plan(self, similarity: Tensor, positives: Tensor, own: int) -> MatchingPlan:
        """The matching pairs of this process.

        ``official`` draws for each process alone; ``exact`` draws for the whole batch
        and takes this process's part.

        Args:
            similarity: (N, N) float cosines of texts (rows) with videos, N pairs of all processes.
            positives: (N, N) bool, pairs that are negatives only where there is no other.
            own: pairs of this process.
        """
        first = rank() * own if is_parallel() else 0
        exact = self.config.distributed == "exact"
        plan = plan_matching(
            similarity,
            positives,
            temperature=self.config.temperature,
            negatives=self.config.itm_negatives,
            first=0 if exact else first,
            count=None if exact else own,
            generator=self.generator,
        )
        return plan.rows(first, first + own) if exact else plan


class _FusedPasses:
    """The fused passes of one batch, on one run of the unfused part where that is asked for."""

    def __init__(self, model: VideoLanguageModel, batch: PretrainingBatch, one_prefix: bool):
        self.model, self.batch, self.one_prefix = model, batch, one_prefix
        self._video: Tensor | None = None

    def masked_language(self) -> Tensor:
        """(B, L, D) fused states of the corrupted texts, under the uncorrupted texts' mask."""
        model, batch = self.model, self.batch
        text = model.text_prefix(batch.corrupted, batch.mask)
        return model.fuse(self._video_prefix(), text, batch.mask).text

    def matching(self, plan: MatchingPlan) -> Tensor:
        """(B, 2) match logits of the planned pairs.

        Replaced items come from the batch of all processes. With a shared prefix their
        unfused states are taken from there, which is the same: gradients return to
        where the states were computed. Without it they are computed from pixels.
        """
        model, batch = self.model, self.batch
        mask = gather_rows(batch.mask)[plan.text_source]
        if self.one_prefix:
            video = gather_rows(self._video_prefix())[plan.video_source]
            text = gather_rows(model.text_prefix(batch.ids, batch.mask))[plan.text_source]
        else:
            video = model.video_prefix(gather_rows(batch.video)[plan.video_source])
            text = model.text_prefix(gather_rows(batch.ids)[plan.text_source], mask)
        return model.itm_logits(model.fuse(video, text, mask))

    def _video_prefix(self) -> Tensor:
        if self._video is None or not self.one_prefix:
            self._video = self.model.video_prefix(self.batch.video)
        return self._video
