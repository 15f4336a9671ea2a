"""One training step of the three pre-training objectives together.

Legend: B pairs of this process (positives, then scene-aware negatives), F frames,
L tokens, N = W B pairs of all W processes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import cached_property

import torch
from torch import Tensor, nn

from egolib.engine.distributed import Backward, gather_rows, is_parallel, rank
from egolib.vlp.config import LossConfig
from egolib.vlp.losses.contrastive import egonce, order_loss, positive_pairs
from egolib.vlp.losses.masked_language import masked_language, masked_places
from egolib.vlp.losses.matching import MatchingPlan, matching, plan_matching, to_device
from egolib.vlp.losses.passes import SeparatePasses, SharedPasses
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

    @cached_property
    def masked_places(self) -> Tensor:
        """(K,) int64 places of what is to be predicted, counted before the batch moves."""
        return masked_places(self.labels)

    def to(self, device: torch.device | str) -> PretrainingBatch:
        """The batch on another device; copies from page-locked memory are not waited for."""
        away = torch.device(device).type != "cpu"
        return self._each(lambda x: x.to(device, non_blocking=away))

    def every(self, step: int) -> PretrainingBatch:
        """Every ``step``-th pair, without what relates pairs."""
        if step == 1:
            return self
        rows = {f.name: getattr(self, f.name)[::step] for f in fields(self)}
        return PretrainingBatch(**{**rows, "opposites": self.opposites[:0]})

    def pin_memory(self) -> PretrainingBatch:
        """The batch in page-locked memory."""
        return self._each(torch.Tensor.pin_memory)

    def _each(self, change: Callable[[Tensor], Tensor]) -> PretrainingBatch:
        places = change(self.masked_places)
        moved = PretrainingBatch(**{f.name: change(getattr(self, f.name)) for f in fields(self)})
        vars(moved)["masked_places"] = places
        return moved


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
        part = batch.every(self.config.fused_every)
        passes = self.passes(model, batch, part)
        similarity, positives = self.similarity(passes, batch)
        if "egonce" in objectives:
            losses["egonce"] = egonce(similarity, positives, self.config.temperature)
        plan = self.matching_plan(similarity, positives, batch) if "itm" in objectives else None
        spoken, matched = passes.fused(plan)
        if spoken is not None:
            places = part.masked_places
            losses["mlm"] = masked_language(model, spoken.text, part.labels, self.backward, places)
        if plan is not None and matched is not None:
            losses["itm"] = matching(model.itm_logits(matched), plan.labels, self.backward)
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

    def passes(
        self, model: VideoLanguageModel, batch: PretrainingBatch, part: PretrainingBatch
    ) -> SeparatePasses:
        """The passes of a batch; those that fuse see a part of its pairs.

        Args:
            model: the network.
            batch: pairs.
            part: every ``fused_every``-th of them.
        """
        words, matched = ("mlm" in self.config.objectives, "itm" in self.config.objectives)
        if self.config.share_prefix and (words or matched):
            compared = "egonce" in self.config.objectives or self.config.order_weight > 0
            step = self.config.fused_every
            return SharedPasses(model, batch, part, words, matched, compared, step)
        return SeparatePasses(model, batch, part, words)

    def similarity(self, passes: SeparatePasses, batch: PretrainingBatch) -> tuple[Tensor, Tensor]:
        """(N, N) cosines of texts (rows) with videos, and which pairs are positives."""
        text, video = (gather_rows(x, self.backward) for x in passes.dual())
        nouns = gather_rows(batch.nouns) if self.config.egonce_noun else None
        verbs = gather_rows(batch.verbs) if self.config.egonce_verb else None
        positives = positive_pairs(nouns, verbs, len(text), text.device)
        return cosine_similarity(text, video), positives

    def matching_plan(
        self, similarity: Tensor, positives: Tensor, batch: PretrainingBatch
    ) -> MatchingPlan:
        """The matching pairs among those that are fused.

        Args:
            similarity: (N, N) float, see ``similarity``.
            positives: (N, N) bool.
            batch: the pairs of this process.
        """
        step, own = self.config.fused_every, len(batch.ids)
        similarity, positives = similarity.detach().float(), positives
        if step > 1:
            rows = [n for n in range(len(similarity)) if n % own % step == 0]
            kept = to_device(torch.tensor(rows), similarity.device)
            similarity, positives = (x[kept][:, kept] for x in (similarity, positives))
        return self.plan(similarity, positives, -(-own // step))

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
