"""Where weights start, what is computed with them, how it is evaluated. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from egolib.engine.rules import at_least, fraction, positive, require

#: ``initial.weights`` that starts from nothing on purpose.
NO_WEIGHTS = "none"


@dataclass(frozen=True)
class InitialConfig:
    """Where a training's weights start; paths are below the data root unless absolute.

    Args:
        required: the configuration was published with a start: training without one is
            refused, unless ``weights`` is ``none``.
        weights: where the input ``initial`` is an earlier training, the name of its weights:
            ``model`` for the last ones, ``best``, ``epoch_000`` ...; without that input an
            egolib checkpoint or an official file; ``none`` starts from none of these.
        vit: a vision transformer's file for the video side; empty for random weights.
        roberta: a RoBERTa-base file for the text side; empty for random weights.
        time_init: ``official`` starts time attention with zero queries, keys and values
            and an output of ones, which keeps queries and keys at zero for ever when
            nothing else breaks the symmetry; ``zero_output`` starts with random
            queries, keys and values and an output of zeros; ``random`` draws the output
            and the time embedding too, for trainings from random weights.
        weight_std: spread of the random linear and embedding weights. The published 0.02
            suits a width of 768; narrow networks hardly pass anything on with it.
        position_std: spread of the video side's position embeddings of patches, and with
            ``time_init: random`` of its time embedding; 0 takes ``weight_std``. With as
            little as that an untrained network's output is the same for frames in any
            order, and order is learned late or not at all.
    """

    required: bool = False
    weights: str = ""
    vit: str = ""
    roberta: str = ""
    time_init: Literal["official", "zero_output", "random"] = "official"
    weight_std: float = 0.02
    position_std: float = 0.0

    def __post_init__(self) -> None:
        positive(self, "initial", "weight_std")
        at_least(self, 0, "initial", "position_std")


Benchmark = Literal[
    "egomcq", "reversal", "epic", "charades", "egotaskqa", "qfvs", "moments", "clips", "questions"
]  # fmt: skip


@dataclass(frozen=True)
class InferConfig:
    """What ``3_infer`` computes with a training's weights.

    Args:
        benchmarks: ``egomcq``, ``epic``, ``charades``; ``egotaskqa`` and ``qfvs``, with the
            weights of trainings on them; ``reversal``: which of two opposite
            actions a clip shows, with its frames in order, in random order, and with one
            of them; ``moments``: EgoMQ features; ``clips``: a feature store of the clips
            of the NLQ annotations; ``questions``: features of those clips that know the
            question, and the questions' token states, as EgoNLQ's VSLNet reads them.
        weights: which weights of a training: ``model``, the last ones, ``best``, ...
        frames: frames of a clip; 0 takes the model's.
        fusion: ask the matching head about EgoMCQ too.
        rerank: EPIC-KITCHENS candidates that the matching head scores again, for each
            clip and each sentence; 0 scores none.
        batch_size: clips and texts that are computed at once.
        workers: processes that read ahead.
        feature_layout: ``official`` writes EgoMQ's ``<clip_uid>.pt`` tensors, ``store``
            a feature store.
        clip_store: folder of the store of ``clips``, below the data root.
        clip_stride_frames: distance of its rows, in frames at 30 a second.
        clip_window_sec: length of the stretch that each of its rows sees.
        device: ``auto`` takes a GPU where there is one.
        precision: of products and convolutions: ``float32``, or autocast to ``bfloat16`` or
            ``float16``.
        matmul_precision: of float32 products on a GPU: ``highest`` is float32 itself, ``high``
            TensorFloat-32.
        question_frames: of EgoTaskQA: ``official`` draws random frames in val and test too,
            for every question anew; ``uniform`` takes middle ones, one clip for all
            questions about an interval.
        seed: of the frames that are drawn.
    """

    benchmarks: tuple[Benchmark, ...] = ("egomcq",)
    weights: str = "model"
    frames: int = 0
    fusion: bool = True
    rerank: int = 0
    batch_size: int = 8
    workers: int = 0
    feature_layout: Literal["official", "store"] = "official"
    clip_store: str = "nlq/features/vlp_video"
    clip_stride_frames: float = 16.043
    clip_window_sec: float = 2.0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    matmul_precision: Literal["highest", "high"] = "highest"
    question_frames: Literal["official", "uniform"] = "official"
    seed: int = 0

    def __post_init__(self) -> None:
        at_least(self, 0, "infer", "frames", "rerank", "workers")
        at_least(self, 1, "infer", "batch_size")
        positive(self, "infer", "clip_stride_frames", "clip_window_sec")
        require(
            len(set(self.benchmarks)) == len(self.benchmarks) > 0,
            f"infer.benchmarks is {list(self.benchmarks)}",
            "name at least one, each once",
        )


@dataclass(frozen=True)
class EvaluateConfig:
    """How scores are evaluated.

    Args:
        precision: ``official`` counts graded relevancies in EPIC-KITCHENS' average
            precision, which can exceed 1; ``binary`` is the standard one.
        empty_queries: a query without any relevant item makes the ``official`` mean NaN;
            ``skip`` leaves it out.
        question_names: ``official`` names the kinds of EgoMCQ questions that occur in
            order; ``by_value`` by their number.
        class_text: ``official`` keeps a Charades class's text up to its first comma.
        max_types: ``official`` counts an EgoTaskQA question for its first seven reasoning
            types, ``all`` for every one.
        average: ``official`` averages EgoTaskQA's overall accuracy over batches of the size
            in training, of which a smaller last one weighs as much; ``questions``.
        summary_fraction: fraction of a QFVS video's shots that become its summary.
        empty_tags: of QFVS: ``official`` gives two shots without tags a similarity of 0;
            ``equal`` one of 1.
        zero_f1: ``official`` gives NaN where no shot of a QFVS summary matches; ``zero``.
    """

    precision: Literal["official", "binary"] = "official"
    empty_queries: Literal["official", "skip"] = "official"
    question_names: Literal["official", "by_value"] = "official"
    class_text: Literal["official", "whole"] = "official"
    max_types: Literal["official", "all"] = "official"
    average: Literal["official", "questions"] = "official"
    summary_fraction: float = 0.02
    empty_tags: Literal["official", "equal"] = "official"
    zero_f1: Literal["official", "zero"] = "official"

    def __post_init__(self) -> None:
        positive(self, "evaluate", "summary_fraction")
        fraction(self, "evaluate", "summary_fraction")
