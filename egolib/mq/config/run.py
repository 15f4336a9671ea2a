"""Where weights start, how moments are found with them, how answers are scored. No torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

from egolib.engine.rules import at_least, require
from egolib.ops.segments import Suppression

Correction = Literal["per_class", "last_candidate", "retrieval_limit", "rounding"]


@dataclass(frozen=True)
class InitialConfig:
    """Where a training's weights start.

    Args:
        weights: an egolib checkpoint or an official file, below the data root unless
            absolute; empty for random weights, as published. Where the input ``initial``
            is an earlier training, the name of its weights: ``best``, ``model``, ...
    """

    weights: str = ""


@dataclass(frozen=True)
class InferConfig:
    """From network outputs to ranked moments in seconds.

    Args:
        weights: which weights of a training: ``best`` by ``fit.monitor``, as published,
            ``model`` for the last ones, ...
        score_threshold: least class probability of a candidate.
        nms_iou: overlap above which a candidate of the same class goes.
        soft_nms_sigma: of the Gaussian decay for detections.
        limit: moments of a clip that are kept, for detection and for retrieval.
        soft_nms: ``official`` decays over all classes together, ``per_class`` within each.
        last_candidate: ``official`` never outputs the last remaining one, ``keep`` does.
        retrieval_limit: ``official`` counts over all asked classes of a clip together,
            ``per_class`` for each.
        rounding: ``official`` rounds times to 0.1 s and scores to 6 digits, ``none``
            keeps them.
        compare: corrections that are applied one at a time, for the difference that each
            makes: ``per_class`` (of ``soft_nms``), ``last_candidate``, ``retrieval_limit``,
            ``rounding``.
        candidates: of ActionFormer: the likeliest pairs of a point and a class that a window
            passes on.
        suppression: how ActionFormer's candidates are suppressed, in place of the hard and the
            soft one above; none for VSGN.
        batch_size: clips that are computed at once.
        device: ``auto`` takes a GPU where there is one; ``cpu``, ``cuda``, ``cuda:N``.
        precision: of products and convolutions: ``float32``, or autocast to ``bfloat16`` or
            ``float16``.
        matmul_precision: of float32 products on a GPU: ``highest`` is float32 itself, ``high``
            TensorFloat-32.
    """

    weights: str = "best"
    score_threshold: float = 5e-9
    nms_iou: float = 0.4
    soft_nms_sigma: float = 0.46
    limit: int = 200
    soft_nms: Literal["official", "per_class"] = "official"
    last_candidate: Literal["official", "keep"] = "official"
    retrieval_limit: Literal["official", "per_class"] = "official"
    rounding: Literal["official", "none"] = "official"
    compare: tuple[Correction, ...] = ()
    candidates: int = 5000
    suppression: Suppression | None = None
    batch_size: int = 8
    device: str = "auto"
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    matmul_precision: Literal["highest", "high"] = "highest"

    builders: ClassVar[dict[str, Callable[[], InferConfig]]] = {}

    def __post_init__(self) -> None:
        at_least(self, 1, "infer", "limit", "candidates", "batch_size")
        if self.suppression is not None:
            at_least(self.suppression, 1, "infer.suppression", "max_segments")
            methods, method = ("soft", "hard", "none"), self.suppression.method
            require(
                method in methods, f"infer.suppression.method is {method!r}", f"one of {methods}"
            )


def actionformer_infer() -> InferConfig:
    """ActionFormer's: soft suppression within each class, wide and long."""
    suppression = Suppression(sigma=2.0, max_segments=2000, voting_threshold=0.95)
    return InferConfig(
        weights="ema", score_threshold=0.001, suppression=suppression, compare=(), batch_size=2
    )


InferConfig.builders.update(actionformer=actionformer_infer)


@dataclass(frozen=True)
class EvaluateConfig:
    """How answers are scored.

    Args:
        zero_length: a predicted and a true moment without length in one clip:
            ``official`` counts a hit wherever they are, ``miss`` none.
        ap_ties: equal scores: ``official`` takes the later first, ``file`` the earlier,
            ``expected`` is the mean over random orders.
        convention: of recall: ``official``, or ``actionformer``, the evaluator published
            with ActionFormer: it counts duplicate moments once, ranks the detections by
            score, and averages over classes.
    """

    zero_length: Literal["official", "miss"] = "official"
    ap_ties: Literal["official", "file", "expected"] = "official"
    convention: Literal["official", "actionformer"] = "official"
