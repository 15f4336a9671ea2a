"""Where weights start, how a training runs, how it answers, how answers are scored."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from egolib.engine import config as engine
from egolib.engine.rules import bounded, require
from egolib.nlq.config.data import TextPadding
from egolib.nlq.config.span import SpanInferConfig
from egolib.ops.segments import Suppression


@dataclass(frozen=True)
class InitialConfig:
    """Where weights start.

    Args:
        weights: where the input ``initial`` is given, the name of its weights: ``model``
            for the last of a training, ``ema``, ``epoch_005`` ...; without that input, an
            egolib checkpoint or an official file below the data root. ``none`` for a
            fresh start; empty is one too, but not in a variant that was published with
            weights to start from.
        heads: ``official`` skips the heads' weights, ``kept`` takes them.
        average: ``official`` starts the averaged weights at the random ones from before
            the start was read (quirk), ``loaded`` at those.
    """

    weights: str = ""
    heads: Literal["official", "kept"] = "official"
    average: Literal["official", "loaded"] = "official"


MONITORED = {
    "loss": ("loss", "classification", "regression"),
    "recall": ("r1_at_0.3", "r1_at_0.5", "r5_at_0.3", "r5_at_0.5", "mean_r1", "miou"),
}


@dataclass(frozen=True)
class FitConfig(engine.FitConfig):
    """Length, batches and evaluation of a training, over ``egolib.engine.config.FitConfig``.

    Args:
        evaluation: what ``evaluate_every`` computes on the validation set: the ``loss``,
            the ``recall`` (decoded with the published settings, whatever ``infer`` says).
    """

    epochs: int = 13
    batch_size: int = 4
    clip_norm: float | None = 1.0
    ema_decay: float | None = 0.999
    keep_epochs: bool = True
    evaluation: tuple[Literal["loss", "recall"], ...] = ("loss",)

    def __post_init__(self) -> None:
        bounded(self, "fit", "epochs", "batch_size", "log_every", "nodes", least=1)
        bounded(self, "fit", "workers", "processes", "evaluate_every")
        require(
            self.evaluate_weights == "live" or self.ema_decay is not None,
            f"fit.evaluate_weights {self.evaluate_weights} with fit.ema_decay {self.ema_decay}",
            "set fit.ema_decay, or fit.evaluate_weights: live",
        )
        self._check_monitor()

    def _check_monitor(self) -> None:
        if not self.monitor:
            return
        name, _, direction = self.monitor.partition(":")
        known = [metric for part in self.evaluation for metric in MONITORED[part]]
        require(
            name in known and direction in ("max", "min"),
            f"fit.monitor {self.monitor!r} with fit.evaluation {list(self.evaluation)}",
            f"use NAME:max or NAME:min, NAME one of {known}",
        )
        require(
            bool(self.evaluate_every or self.evaluate_every_updates),
            f"fit.monitor {self.monitor!r} with fit.evaluate_every 0",
            "set fit.evaluate_every",
        )


@dataclass(frozen=True)
class InferConfig:
    """From network outputs to windows in seconds (section 8).

    Args:
        score_threshold: candidates need more than this.
        candidates_per_level: the best ones that each level passes on.
        duration_threshold: shortest window, in features.
        suppression: non-maximum suppression; ``max_segments`` 5 for fine-tuned and
            scratch models, 50 in the narration file.
        decode_offset: ``official`` adds half a feature window to every time although
            the targets do not subtract it (0.267 s late); ``consistent`` does not.
        text_padding: ``official`` lets a question see how far its batch pads it,
            ``per_query`` computes it as if alone.
        text_batch: questions that are padded together, in file order, where
            ``text_padding`` is ``official``.
        clip_batch: how many questions about one clip are computed at once.
        path: ``fast`` computes what does not depend on the question once for all questions
            about a clip and cuts the padding, ``official`` runs padded batches; the
            outputs are equal up to rounding.
        weights: which weights of a training answer: ``model``, the last ones, as the
            official evaluation has it; ``ema``, their moving average; ``epoch_004`` ...
        compare: answers that are computed once more with one thing corrected, to see
            what it changes: ``consistent`` (decode offset), ``per_query`` (text
            padding), ``averaged`` (weights).
        device: ``auto`` takes a GPU where there is one.
        devices: what clips are spread over: ``all`` GPUs, a number of them, or ``cpu``; empty
            for ``device`` alone.
        processes: on each of them.
        precision: of products and convolutions: ``float32``, or autocast to ``bfloat16`` or
            ``float16``.
        matmul_precision: of float32 products on a GPU: ``highest`` is float32 itself, ``high``
            TensorFloat-32.
        span: decoding and batching of VSLNet (``model.span``), in place of all above but
            ``weights`` and ``device``.
    """

    score_threshold: float = 0.001
    candidates_per_level: int = 2000
    duration_threshold: float = 0.001
    suppression: Suppression = field(default_factory=Suppression)
    decode_offset: Literal["official", "consistent"] = "official"
    text_padding: TextPadding = "official"
    text_batch: int = 16
    clip_batch: int = 16
    path: Literal["fast", "official"] = "fast"
    weights: str = "model"
    compare: tuple[Literal["consistent", "per_query", "averaged"], ...] = ()
    device: Literal["auto", "cpu", "cuda"] = "auto"
    devices: str = ""
    processes: int = 1
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    matmul_precision: Literal["highest", "high"] = "highest"
    span: SpanInferConfig = field(default_factory=SpanInferConfig)

    def __post_init__(self) -> None:
        counts = ("text_batch", "clip_batch", "candidates_per_level", "processes")
        bounded(self, "infer", *counts, least=1)
        bounded(self, "infer", "score_threshold", "duration_threshold")
        bounded(self.suppression, "infer.suppression", "max_segments", least=1)
        bounded(self.span, "infer.span", "longest_sec")
        bounded(self.suppression, "infer.suppression", "sigma", above=True)
        methods = ("soft", "hard", "none")
        method = self.suppression.method
        require(method in methods, f"infer.suppression.method is {method!r}", f"one of {methods}")


@dataclass(frozen=True)
class EvaluateConfig:
    """Scoring (section 9).

    Args:
        missing: ``official`` takes the mean over the submitted questions, ``strict`` over
            all questions, and refuses duplicates.
    """

    missing: Literal["official", "strict"] = "official"
