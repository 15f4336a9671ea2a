"""What is minimised. No torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

from egolib.engine.rules import at_least, fraction, positive, require

Objective = Literal[
    "egonce", "mlm", "itm", "norm_softmax", "max_margin", "adaptive_margin", "sms",
    "answers", "summaries",
]  # fmt: skip
PRETRAINING = ("egonce", "mlm", "itm")
RETRIEVAL = ("norm_softmax", "max_margin", "adaptive_margin", "sms")
HEADS = {"egotaskqa": "answers", "qfvs": "summaries"}  #: by the data that they need


@dataclass(frozen=True)
class LossConfig:
    """Objectives.

    Args:
        objectives: EgoNCE, masked language modelling, matching; or one retrieval loss;
            or that of a head: ``answers`` to questions, ``summaries`` of videos.
        temperature: divides similarities, in EgoNCE, NormSoftmax and negative mining.
        negatives: ``update`` compares every clip with all texts of its update;
            ``micro_batch`` allows ``fit.micro_batch_size``, and compares only within one,
            which is another objective.
        egonce_noun: clips that share nouns count as positives of each other (with
            ``egonce_verb``: those that share both; neither: the plain contrastive loss).
        egonce_verb: the same for verbs.
        language_weight: weight of the masked words in the total.
        matching_weight: weight of the matching loss in the total.
        fused_every: masked words and matching, which take most of the time, see every
            n-th pair of a batch only; 1 (official) sees all.
        order_weight: weight of the order loss (0: official, none): which of two opposite
            texts belongs to a clip, and which to the same clip backwards. It needs the
            pairs that ``data.scene_partner: reversed`` makes.
        masking_probability: fraction of the tokens that are to be predicted.
        itm_negatives: ``official`` draws replacement videos by the similarities of
            the *video* to the texts and replacement texts by those of the text to
            the videos (names crossed); ``straight`` draws a video by the text's
            similarities and a text by the video's.
        margin: of the margin losses.
        margin_diagonal: ``False`` leaves the pairs themselves out of the mean (the
            official ``fix_norm``).
        sms_margin: margin of the SMS loss.
        sms_slack: its slack among equally relevant items.
        distributed: ``official`` gathers with a backward that drops what other
            processes contribute; ``exact`` equals one process on the whole batch.
        answer_dropout: between the two layers of the answer head.
        reduction: of the loss of summaries: ``official`` sums over the queries of a batch,
            ``mean`` divides by their number.
        train_mode: ``official`` trains summarisers without dropout, because the evaluation
            before the first epoch is never undone; ``dropout`` trains with it.
        share_prefix: run patches, unfused blocks and unfused layers once for matching
            and masked language modelling (equal outputs, one process).
    """

    objectives: tuple[Objective, ...] = ("egonce", "mlm", "itm")
    temperature: float = 0.05
    negatives: Literal["update", "micro_batch"] = "update"
    egonce_noun: bool = True
    egonce_verb: bool = True
    language_weight: float = 1.0
    matching_weight: float = 2.0
    fused_every: int = 1
    order_weight: float = 0.0
    masking_probability: float = 0.15
    itm_negatives: Literal["official", "straight"] = "official"
    margin: float = 0.2
    margin_diagonal: bool = False
    sms_margin: float = 0.6
    sms_slack: float = 0.1
    distributed: Literal["official", "exact"] = "official"
    share_prefix: bool = True
    answer_dropout: float = 0.2
    reduction: Literal["official", "mean"] = "official"
    train_mode: Literal["official", "dropout"] = "official"

    builders: ClassVar[dict[str, Callable[[], LossConfig]]] = {}

    def __post_init__(self) -> None:
        names = list(self.objectives)
        require(
            len(set(names)) == len(names) > 0 and (self.pretrains or len(names) == 1),
            f"loss.objectives is {names}",
            f"some of {', '.join(PRETRAINING)}; or one of "
            f"{', '.join((*RETRIEVAL, *HEADS.values()))}",
        )
        positive(self, "loss", "temperature", "masking_probability")
        fraction(self, "loss", "masking_probability")
        fraction(self, "loss", "answer_dropout", below=1.0)
        at_least(self, 1, "loss", "fused_every")
        weights = "language_weight matching_weight order_weight margin sms_margin sms_slack"
        at_least(self, 0, "loss", *weights.split())

    @property
    def pretrains(self) -> bool:
        """Whether the objectives are those of the pre-training."""
        return set(self.objectives) <= set(PRETRAINING)
