"""What can be set for natural-language queries; the defaults are the published values.

``groundnlq()`` and ``groundnlq_star()`` are the published networks, ``pretrain()``,
``scratch()`` and ``finetune()`` the published optimisations. No torch here.

Where published numbers rest on a quirk, the field is a choice whose first value,
``official``, reproduces it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from egolib.engine import config as engine
from egolib.ops.segments import Suppression

MadeStore = Literal["random_video", "object_tokens", "caption_tokens"]
TextPadding = Literal["official", "per_query"]
VideoPadding = Literal["cropped", "official"]
Validation = Literal["official", "clean"]


@dataclass(frozen=True)
class ModelConfig:
    """The network.

    Args:
        video_streams: (name, width) of the video features, concatenated in this order.
        text_streams: (name, width) of the token streams that video positions attend to;
            the first is the question, others are cues such as objects or captions.
        max_length: longest video in features; length of the position table.
        width: channels C of the whole network.
        head_width: channels inside the two heads.
        heads: attention heads.
        embedding_layers: convolutions of each embedding.
        text_blocks: transformer blocks of each token stream.
        stem_blocks: video blocks at full resolution, with cross attention.
        cross_branch_blocks: down-sampling blocks with cross attention, first.
        plain_branch_blocks: down-sampling blocks without it, after those.
        windows: attention window of the stem and of each branch block, in positions;
            one entry holds for all, 1 or less is global attention.
        branch_windows: ``official`` restarts the list at the first plain branch block
            (quirk), ``by_level`` goes on with the list.
        relative_bias: a learned bias for each distance inside a window.
        position_table: add the sinusoid table to the video.
        embedding_kernel: width of the video embedding's convolutions.
        embedding_norm: layer norms after the embedding's convolutions.
        level_norm: a layer norm after each level.
        head_norm: layer norms inside the heads.
        head_kernel: width of the heads' convolutions.
        head_layers: convolutions of each head, the output included.
        classes: number of classes.
        class_prior: initial probability of a positive.
        empty_classes: classes without samples, which start at probability 1e-6.
        dropout: inside the MLPs.
        drop_path: probability of stochastic depth; 0 builds no gains either.
    """

    video_streams: tuple[tuple[str, int], ...] = (("video", 2304),)
    text_streams: tuple[tuple[str, int], ...] = (("query", 512),)
    max_length: int = 2560
    width: int = 384
    head_width: int = 384
    heads: int = 4
    embedding_layers: int = 2
    text_blocks: int = 4
    stem_blocks: int = 4
    cross_branch_blocks: int = 0
    plain_branch_blocks: int = 6
    windows: tuple[int, ...] = (9,)
    branch_windows: Literal["official", "by_level"] = "official"
    relative_bias: bool = False
    position_table: bool = True
    embedding_kernel: int = 3
    embedding_norm: bool = True
    level_norm: bool = True
    head_norm: bool = True
    head_kernel: int = 3
    head_layers: int = 3
    classes: int = 1
    class_prior: float = 0.01
    empty_classes: tuple[int, ...] = ()
    dropout: float = 0.0
    drop_path: float = 0.1

    builders: ClassVar[dict[str, Callable[[], ModelConfig]]] = {}

    @property
    def levels(self) -> int:
        """Number of pyramid levels; level l has stride 2**l."""
        return 1 + self.cross_branch_blocks + self.plain_branch_blocks


def groundnlq() -> ModelConfig:
    """GroundNLQ (arXiv 2306.15255): 32,527,498 parameters."""
    return ModelConfig()


def groundnlq_star() -> ModelConfig:
    """GroundNLQ*: cross attention in the branch too; 36,080,266 parameters."""
    return ModelConfig(cross_branch_blocks=6, plain_branch_blocks=0)


ModelConfig.builders.update(groundnlq=groundnlq, groundnlq_star=groundnlq_star)


@dataclass(frozen=True)
class DataConfig:
    """Annotations and features; paths are below the data root unless absolute.

    Args:
        annotations: folder of the official files ``nlq_{train,val}.json`` and
            ``nlq_test_unannotated.json``; for narrations also ``moments_train.json``
            and ``vq_train.json``.
        published: folder of the published JSON lines. They are compared with what is
            converted here, and read where the official file is absent.
        test_truth: answers of the test split, which only the built-in world has.
        version: of the annotations, ``v2`` or ``v1``.
        counts: ``published`` insists on the published numbers of questions and clips
            (version 1: warns), ``any`` takes what is there.
        narrations: the EgoClip table that narrations are taken from.
        train: the list to train on. The published fine-tuning trains on ``train+val``:
            evaluated on val such a run is contaminated; the published val numbers need
            ``train``.
        video_stores: one store for each of the model's video streams.
        text_stores: one store for each of its text streams, for training.
        evaluation_text_stores: the same for evaluation; empty means ``text_stores``.
        made: stores that ``1_data`` makes itself, in its own folder:
            ``random_video`` (noise, as a baseline), ``object_tokens`` and
            ``caption_tokens`` (cues from other annotations of the same videos).
        fps: frame rate that strides are counted in.
        stride_frames: distance between features. 30 / 1.87, rounded; later systems
            read the same files with 16.0.
        window_frames: frames that a feature sees.
        too_long: what happens to a clip above the model's ``max_length``: ``error``,
            or ``resample`` linearly.
        jitter: ``official`` stretches and shifts the windows of training (narrations only).
        video_padding: of training batches: ``official`` pads every video to ``max_length``;
            ``cropped`` only as far as outputs depend on it, with equal results and less work.
        text_padding: of training batches: ``official`` lets a question see how far its batch
            pads it, ``per_query`` computes it as if alone. ``infer.text_padding`` is the same
            for answers.
    """

    annotations: str = "ego4d/v2/annotations"
    published: str = "nlq"
    test_truth: str = "truth/nlq_test.json"
    version: Literal["v2", "v1"] = "v2"
    counts: Literal["published", "any"] = "published"
    narrations: str = "egoclip/egoclip.csv"
    train: Literal["train", "train+val", "narrations"] = "train"
    video_stores: tuple[str, ...] = ("nlq/video_features",)
    text_stores: tuple[str, ...] = ("nlq/text_features",)
    evaluation_text_stores: tuple[str, ...] = ()
    made: tuple[MadeStore, ...] = ()
    fps: float = 30.0
    stride_frames: float = 16.043
    window_frames: float = 16.043
    too_long: Literal["error", "resample"] = "error"
    jitter: Literal["none", "official"] = "none"
    video_padding: VideoPadding = "cropped"
    text_padding: TextPadding = "official"


@dataclass(frozen=True)
class LossConfig:
    """Targets and losses (sections 5 and 6 of the specification).

    Args:
        regression_ranges: for each level the smallest and largest distance, in
            features, from a point to a window's far end; both inclusive.
        center_sampling: ``radius`` takes points near the window's centre, ``none``
            all inside the window.
        center_radius: that radius, in strides of the level.
        positives: ``official`` leaves a window that contains no grid point without
            any positive (0.65 % of train); ``guaranteed`` gives it the nearest point.
        label_smoothing: fraction of the uniform distribution in the class targets.
        regression_weight: of the regression loss; 0 or less balances it by the
            ratio of both losses.
        overlap: the regression loss, ``diou`` or ``giou``.
        initial_normalizer: the running number of positives at the start.
        normalizer_momentum: how much of it stays at each update.
        distributed: with several processes ``official`` counts positives in each by
            itself; ``exact`` over all, which equals one process with the whole batch.
        validation: ``official`` computes the validation loss with stochastic depth and lets
            it move the normaliser (quirk), ``clean`` does neither.
    """

    regression_ranges: tuple[tuple[float, float], ...] = (
        (0, 4),
        (2, 8),
        (4, 16),
        (8, 32),
        (16, 64),
        (32, 128),
        (64, 10000),
    )
    center_sampling: Literal["radius", "none"] = "radius"
    center_radius: float = 1.5
    positives: Literal["official", "guaranteed"] = "official"
    label_smoothing: float = 0.1
    regression_weight: float = 1.0
    overlap: Literal["diou", "giou"] = "diou"
    initial_normalizer: float = 200.0
    normalizer_momentum: float = 0.9
    distributed: Literal["official", "exact"] = "official"
    validation: Validation = "official"


@dataclass(frozen=True)
class OptimConfig(engine.OptimConfig):
    """Optimisation of one stage, over ``egolib.engine.config.OptimConfig``.

    ``learning_rate`` is the effective rate, that is the published files' value times the
    number of GPUs, which the official code multiplies with. The warm-up lasts
    ``warmup_epochs``, then ``warmup_updates``; milestones count from its end.

    Args:
        weight_decay: on convolution and linear weights.
        backbone_lr_factor: factor on the rate of parameters outside the heads.
        warmup_epochs: linear warm-up at the start. The published files count their
            epochs without it; ``fit.epochs`` counts all.
        schedule: ``cosine``, ``multistep`` or ``constant``, after the warm-up.
    """

    weight_decay: float = 0.05
    warmup_epochs: int = 5
    schedule: Literal["cosine", "multistep", "constant"] = "cosine"

    builders: ClassVar[dict[str, Callable[[], OptimConfig]]] = {}


def pretrain() -> OptimConfig:
    """On narrations as queries: 4 + 6 epochs, 4 GPUs x 4 samples, rate 5e-5 in the file."""
    return OptimConfig(learning_rate=2e-4, warmup_epochs=4)


def scratch() -> OptimConfig:
    """From scratch: 5 + 8 epochs, 2 GPUs x 2 samples, rate 5e-5 in the file (1e-4 in its name)."""
    return OptimConfig(learning_rate=1e-4, warmup_epochs=5)


def finetune() -> OptimConfig:
    """After pre-training: 4 + 6 epochs, 1 GPU x 2 samples; the heads start fresh."""
    return OptimConfig(learning_rate=2.5e-5, warmup_epochs=4)


OptimConfig.builders.update(pretrain=pretrain, scratch=scratch, finetune=finetune)


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


@dataclass(frozen=True)
class EvaluateConfig:
    """Scoring (section 9).

    Args:
        missing: ``official`` takes the mean over the submitted questions, ``strict`` over
            all questions, and refuses duplicates.
    """

    missing: Literal["official", "strict"] = "official"


@dataclass(frozen=True)
class Config:
    """One run: everything that a variant and a preset decide."""

    seed: int = 12345678
    world_seed: int = 0
    model: ModelConfig = field(default_factory=groundnlq)
    data: DataConfig = field(default_factory=DataConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optim: OptimConfig = field(default_factory=scratch)
    initial: InitialConfig = field(default_factory=InitialConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    infer: InferConfig = field(default_factory=InferConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)

    renamed: ClassVar[dict[str, str]] = {
        "model.text_padding": "data.text_padding (training) and infer.text_padding (answers)",
        "train.optimizer": "optim.optimizer",
        "train.learning_rate": "optim.learning_rate",
        "train.momentum": "optim.momentum",
        "train.weight_decay": "optim.weight_decay",
        "train.backbone_rate": "optim.backbone_lr_factor",
        "train.warmup_epochs": "optim.warmup_epochs",
        "train.schedule": "optim.schedule",
        "train.milestones": "optim.milestones",
        "train.gamma": "optim.gamma",
        "train.jitter": "data.jitter",
        "train.video_padding": "data.video_padding",
        "train.initial_weights": "initial.weights",
        "train.initial_heads": "initial.heads",
        "train.average_start": "initial.average",
        "train.distributed": "loss.distributed",
        "train.evaluation": "fit.evaluation",
        "train.validation_loss": "loss.validation",
        "train": "optim",
    }
