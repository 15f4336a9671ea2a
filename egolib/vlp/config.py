"""What can be set for video-language pre-training; the defaults are the published values.

``egovlpv2()`` and ``egovlpv2_small_projection()`` are the published networks,
``egoclip_pretrain()``, ``epic_finetune()`` and ``charades_finetune()`` the published
trainings; a section names its part of one by ``builder``. Numbers only; no torch.

Where published numbers rest on a quirk, the field is a choice whose first value,
``official``, reproduces it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

from egolib.engine.config import FitConfig


@dataclass(frozen=True)
class ModelConfig:
    """The network (arXiv 2307.05463).

    Args:
        frames: frames F of a clip.
        image_size: side of the square input in pixels.
        patch_size: side of a patch in pixels.
        width: channels of the video encoder.
        heads: its attention heads.
        mlp_ratio: hidden channels of its MLPs, in widths.
        text_width: channels of the text encoder.
        text_heads: its attention heads.
        text_mlp_width: hidden channels of its MLPs.
        depth: blocks of the video encoder and layers of the text encoder.
        fusion_depth: how many of the last blocks and layers attend to the other side.
        vocabulary_size: token ids; 0 takes the size of the vocabulary that is read.
        text_positions: rows of the position table; texts are at most two shorter.
        pad_id: the id of padding, which gets no gradient.
        text_dropout: hidden and attention dropout of the text encoder.
        drop_path: probability of stochastic depth in the last video block; it grows
            linearly from 0 in the first one.
        projection: ``large`` has three layers on both sides, ``small`` has one.
        projection_width: width of the embeddings.
        time_init: ``official`` starts time attention with zero queries, keys and values
            and an output of ones, which keeps queries and keys at zero for ever when
            nothing else breaks the symmetry; ``zero_output`` starts with random
            queries, keys and values and an output of zeros; ``random`` draws the output
            and the time embedding too, for trainings from random weights.
        initial_std: spread of the random linear and embedding weights. The published 0.02
            suits a width of 768; narrow networks hardly pass anything on with it.
        position_std: spread of the video side's position embeddings of patches, and with
            ``time_init: random`` of its time embedding; 0 takes ``initial_std``. With as
            little as that an untrained network's output is the same for frames in any
            order, and order is learned late or not at all.
        gradient_checkpointing: recompute activations of blocks, layers and projectors.
    """

    frames: int = 4
    image_size: int = 224
    patch_size: int = 16
    width: int = 768
    heads: int = 12
    mlp_ratio: float = 4.0
    text_width: int = 768
    text_heads: int = 12
    text_mlp_width: int = 3072
    depth: int = 12
    fusion_depth: int = 6
    vocabulary_size: int = 50265
    text_positions: int = 514
    pad_id: int = 1
    text_dropout: float = 0.1
    drop_path: float = 0.0
    projection: Literal["large", "small"] = "large"
    projection_width: int = 4096
    time_init: Literal["official", "zero_output", "random"] = "official"
    initial_std: float = 0.02
    position_std: float = 0.0
    gradient_checkpointing: bool = False

    builders: ClassVar[dict[str, Callable[[], ModelConfig]]] = {}

    @property
    def patches(self) -> int:
        """Patches P of one frame."""
        return (self.image_size // self.patch_size) ** 2


def egovlpv2() -> ModelConfig:
    """EgoVLPv2 with the large projector: EgoMCQ, MQ, NLQ, EgoTaskQA, QFVS."""
    return ModelConfig()


def egovlpv2_small_projection() -> ModelConfig:
    """EgoVLPv2 with the small projector: EPIC-KITCHENS-100 retrieval and Charades-Ego."""
    return ModelConfig(frames=16, projection="small", projection_width=256)


ModelConfig.builders.update(egovlpv2=egovlpv2, egovlpv2_small_projection=egovlpv2_small_projection)


@dataclass(frozen=True)
class DataConfig:
    """Frames, clips and texts; paths are below the data root unless absolute.

    Args:
        train: what is trained on: ``egoclip`` (pre-training), ``epic`` or ``charades``.
        label_share: share of the training clips that are used, for experiments with few
            labels; which ones does not depend on the run's seed.
        vocabulary: vocabulary file, or a folder with RoBERTa's ``vocab.json`` and
            ``merges.txt``.
        cache_height: ``1_data`` decodes all videos of EgoClip, EgoMCQ and EPIC-KITCHENS
            once and keeps their frames at this height in pixels; 0 keeps none, and
            every clip is read from its video.
        chunk_sec: length of the files that videos were cut into.
        assumed_fps: frame rate that EgoClip readers assume whatever the file says.
        frame_jitter: ``official`` never draws the last frame of an interval, and fails
            on intervals of one frame; ``inclusive`` draws every frame.
        frame_seek: ``official`` gives frame n - 1 where frame n was asked for;
            ``exact`` gives frame n.
        unreadable: ``official`` replaces a clip that cannot be read by black frames
            (counted and listed), ``skip`` leaves it out, ``error`` stops.
        segment_sec: length of the stretches that scene-aware negatives come from.
        scene_negatives: draw a further clip of the same stretch for every clip.
        scene_partner: ``official`` may draw the clip itself, ``other`` never does
            where there is another one; ``reversed`` takes the clip itself with its frames
            in reverse order and the opposite verb in its text, where its action has an
            opposite (``data.reversal``), and another clip where it has none.
        text_length: tokens of a training text, padding included.
        relevancy_threshold: EPIC-KITCHENS captions above it may stand for a clip.
        crop_scale: share of the picture that random crops keep at least, at most.
    """

    train: Literal["egoclip", "epic", "charades"] = "egoclip"
    label_share: float = 1.0
    vocabulary: str = "roberta-base"
    cache_height: int = 0
    chunk_sec: int = 600
    assumed_fps: float = 30.0
    frame_jitter: Literal["official", "inclusive"] = "official"
    frame_seek: Literal["official", "exact"] = "official"
    unreadable: Literal["official", "skip", "error"] = "official"
    segment_sec: float = 60.0
    scene_negatives: bool = True
    scene_partner: Literal["official", "other", "reversed"] = "official"
    text_length: int = 15
    relevancy_threshold: float = 0.1
    crop_scale: tuple[float, float] = (0.5, 1.0)

    builders: ClassVar[dict[str, Callable[[], DataConfig]]] = {}


@dataclass(frozen=True)
class LossConfig:
    """Objectives.

    Args:
        objectives: EgoNCE, masked language modelling, matching; or one retrieval loss.
        temperature: divides similarities, in EgoNCE, NormSoftmax and negative mining.
        egonce_noun, egonce_verb: clips that share nouns, verbs (both: the product)
            count as positives of each other; neither: the plain contrastive loss.
        language_weight: weight of the masked words in the total.
        matching_weight: weight of the matching loss in the total.
        fused_every: masked words and matching, which take most of the time, see every
            n-th pair of a batch only; 1 (official) sees all.
        order_weight: weight of the order loss (0: official, none): which of two opposite
            texts belongs to a clip, and which to the same clip backwards. It needs the
            pairs that ``data.scene_partner: reversed`` makes.
        masking_probability: share of the tokens that are to be predicted.
        itm_negatives: ``official`` draws replacement videos by the similarities of
            the *video* to the texts and replacement texts by those of the text to
            the videos (names crossed); ``straight`` draws a video by the text's
            similarities and a text by the video's.
        margin: of the margin losses.
        margin_diagonal: ``False`` leaves the pairs themselves out of the mean (the
            official ``fix_norm``).
        sms_margin, sms_slack: of the SMS loss (0.6, 0.1).
        distributed: ``official`` gathers with a backward that drops what other
            processes contribute; ``exact`` equals one process on the whole batch.
        share_prefix: run patches, unfused blocks and unfused layers once for matching
            and masked language modelling (equal outputs, one process).
    """

    objectives: tuple[
        Literal["egonce", "mlm", "itm", "norm_softmax", "max_margin", "adaptive_margin", "sms"],
        ...,
    ] = ("egonce", "mlm", "itm")
    temperature: float = 0.05
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

    builders: ClassVar[dict[str, Callable[[], LossConfig]]] = {}


@dataclass(frozen=True)
class OptimConfig:
    """Optimiser and schedule.

    Args:
        learning_rate: base rate.
        head_factor: rate of projectors, matching and language heads, in base rates.
        cross_factor: rate of everything that joins the two sides, in base rates.
        weight_decay: decoupled, applied after the step.
        betas: decay of the two moments.
        epsilon: added to the root of the second moment before its bias correction.
        decay: ``cosine`` (the released configuration) or ``polynomial``.
        decay_power: exponent of the polynomial; 1 is the linear decay of the paper.
        end_rate: rate at the end of the polynomial.
        warmup: share of all updates that the rate rises over; 1 or more are updates.
        epoch_rate: ``official`` runs the first update of every epoch but the first at
            ``epoch_rate_value``, as the released fine-tuning does; ``none`` does not.
        epoch_rate_value: that rate, for all parameters.
        epoch_rate_milestones: epochs after which it falls to a tenth.
        epoch_samples: an epoch ends after this many samples of each process. Official
            behaviour: the schedule still counts whole epochs, so that it does not reach
            its end where an epoch is cut.
    """

    learning_rate: float = 3e-5
    head_factor: float = 4.0
    cross_factor: float = 4.0
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.98)
    epsilon: float = 1e-8
    decay: Literal["cosine", "polynomial"] = "cosine"
    decay_power: float = 1.0
    end_rate: float = 1e-7
    warmup: float = 0.1
    epoch_rate: Literal["none", "official"] = "none"
    epoch_rate_value: float = 2e-4
    epoch_rate_milestones: tuple[int, ...] = (60, 80)
    epoch_samples: int = 500_000

    builders: ClassVar[dict[str, Callable[[], OptimConfig]]] = {}


def egoclip_pretrain() -> tuple[DataConfig, LossConfig, OptimConfig]:
    """The published pre-training: 20 epochs, 256 clips an update, 4 frames."""
    return DataConfig(), LossConfig(), OptimConfig()


def epic_finetune() -> tuple[DataConfig, LossConfig, OptimConfig]:
    """The published EPIC-KITCHENS-100 fine-tuning: 100 epochs, 16 frames."""
    return (
        DataConfig(train="epic", text_length=30, scene_negatives=False),
        LossConfig(objectives=("adaptive_margin",), margin=0.2),
        OptimConfig(learning_rate=2e-4, head_factor=1.0, cross_factor=1.0, epoch_rate="official"),
    )


def charades_finetune() -> tuple[DataConfig, LossConfig, OptimConfig]:
    """The published Charades-Ego fine-tuning: 20 epochs, 32 frames."""
    data, _, optim = epic_finetune()
    return (
        replace(data, train="charades", text_length=15),
        LossConfig(objectives=("norm_softmax",)),
        replace(optim, learning_rate=1.5e-5),
    )


DataConfig.builders.update(
    egoclip_pretrain=lambda: egoclip_pretrain()[0],
    epic_finetune=lambda: epic_finetune()[0],
    charades_finetune=lambda: charades_finetune()[0],
)
LossConfig.builders.update(
    egoclip_pretrain=lambda: egoclip_pretrain()[1],
    epic_finetune=lambda: epic_finetune()[1],
    charades_finetune=lambda: charades_finetune()[1],
)
OptimConfig.builders.update(
    egoclip_pretrain=lambda: egoclip_pretrain()[2],
    epic_finetune=lambda: epic_finetune()[2],
    charades_finetune=lambda: charades_finetune()[2],
)


@dataclass(frozen=True)
class InitialConfig:
    """Where a training's weights start; paths are below the data root unless absolute.

    Args:
        vit: a vision transformer's file for the video side; empty for random weights.
        roberta: a RoBERTa-base file for the text side; empty for random weights.
        weights: where the input ``initial`` (an earlier training) is given, the name of
            its weights: ``model`` for the last ones, ``best``, ``epoch_000`` ...; without
            it a checkpoint of ours or an official file; empty for none.
    """

    vit: str = ""
    roberta: str = ""
    weights: str = ""


Benchmark = Literal["egomcq", "reversal", "epic", "charades", "moments", "clips"]


@dataclass(frozen=True)
class InferConfig:
    """What ``3_infer`` computes with a training's weights.

    Args:
        benchmarks: ``egomcq``, ``epic``, ``charades``; ``reversal``: which of two opposite
            actions a clip shows, with its frames in order, in random order, and with one
            of them; ``moments``: EgoMQ features; ``clips``: a feature store of the clips
            of the NLQ annotations.
        weights: which weights of a training: ``model``, the last ones, ``best``, ...
        frames: frames of a clip; 0 takes the model's.
        fusion: ask the matching head about EgoMCQ too.
        rerank: EPIC-KITCHENS candidates that the matching head judges again, for each
            clip and each sentence; 0 judges none.
        batch: clips and texts that are computed at once.
        workers: processes that read ahead.
        feature_layout: ``official`` writes EgoMQ's ``<clip_uid>.pt`` tensors, ``store``
            a feature store.
        clip_store: folder of the store of ``clips``, below the data root.
        clip_stride_frames: distance of its rows, in frames at 30 a second.
        clip_window_sec: length of the stretch that each of its rows sees.
        device: ``auto`` takes a GPU where there is one.
    """

    benchmarks: tuple[Benchmark, ...] = ("egomcq",)
    weights: str = "model"
    frames: int = 0
    fusion: bool = True
    rerank: int = 0
    batch: int = 8
    workers: int = 0
    feature_layout: Literal["official", "store"] = "official"
    clip_store: str = "nlq/features/vlp_video"
    clip_stride_frames: float = 16.043
    clip_window_sec: float = 2.0
    device: Literal["auto", "cpu", "cuda"] = "auto"


@dataclass(frozen=True)
class EvaluateConfig:
    """How scores are judged.

    Args:
        precision: ``official`` counts graded relevancies in EPIC-KITCHENS' average
            precision, which can exceed 1; ``binary`` is the standard one.
        empty_queries: a query without any relevant item makes the ``official`` mean NaN;
            ``skip`` leaves it out.
        question_names: ``official`` names the kinds of EgoMCQ questions that occur in
            order; ``by_value`` by their number.
        class_text: ``official`` keeps a Charades class's text up to its first comma.
    """

    precision: Literal["official", "binary"] = "official"
    empty_queries: Literal["official", "skip"] = "official"
    question_names: Literal["official", "by_value"] = "official"
    class_text: Literal["official", "whole"] = "official"


@dataclass(frozen=True)
class Config:
    """One run: everything that a variant and a preset decide."""

    seed: int = 0
    world_seed: int = 0
    model: ModelConfig = field(default_factory=egovlpv2)
    data: DataConfig = field(default_factory=DataConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    initial: InitialConfig = field(default_factory=InitialConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    infer: InferConfig = field(default_factory=InferConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
