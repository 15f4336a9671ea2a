"""What can be set for video object detection; defaults are published values (no torch).

``networks.py`` holds the published networks, ``model_config.py`` and ``data_config.py``
the settings of networks and data; here are training, inference and evaluation, and how
they come together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from egolib.engine.config import FitConfig
from egolib.vod.config import networks
from egolib.vod.config.data import DataConfig
from egolib.vod.config.model import ModelConfig


@dataclass(frozen=True)
class ObjectConfig:
    """What stands in for ImageNet weights: naming cut-out objects (``egolib.vod.pretraining``).

    Args:
        updates: length; 0 leaves it out, as every published training does.
        batch: objects of an update.
        learning_rate: of AdamW.
        side: pixels of a cut-out object.
        turn, zoom, shift, light: limits of what is changed by chance: degrees, logarithm of
            the factor, share of the side, share of contrast and of brightness.
    """

    updates: int = 0
    batch: int = 16
    learning_rate: float = 2e-3
    side: int = 48
    turn: float = 15.0
    zoom: float = 0.2
    shift: float = 0.08
    light: float = 0.25


@dataclass(frozen=True)
class TrainConfig:
    """Optimisation.

    Args:
        optimizer: ``sgd`` (with ``momentum``) or ``adamw``.
        learning_rate: as published, for batches of ``reference_batch`` clips.
        reference_batch: clips of an update, over all processes, that the rate is for.
        rate_scaling: ``as_written`` keeps the rate whatever the batch (nothing scales by
            itself in the published code); ``linear`` multiplies it by batch / reference.
        weight_decay: of all parameters but those named next.
        no_decay: parts of parameter names that do not decay.
        bias_rate: factor on the rate of biases, which then do not decay
            (maskrcnn-benchmark has 2); 1 treats them as other parameters.
        drops: points in epochs, or in updates with ``drop_unit``, where the rate falls.
        drop_unit: see ``drops``.
        gamma: factor at each drop.
        warmup_updates, warmup_start: the rate rises linearly from this share.
        initial_weights: a checkpoint to start from; empty for none.
        initial_format: ``ours``, ``official`` (the network's own official layout),
            ``torchvision`` (a ResNet) or ``microsoft`` (a Swin transformer).
        objects: a first training of the backbone where there are no such weights.
    """

    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = 1e-3
    reference_batch: int = 8
    rate_scaling: Literal["as_written", "linear"] = "as_written"
    momentum: float = 0.9
    weight_decay: float = 1e-4
    no_decay: tuple[str, ...] = ()
    bias_rate: float = 1.0
    drops: tuple[int, ...] = (4,)
    drop_unit: Literal["epochs", "updates"] = "epochs"
    gamma: float = 0.1
    warmup_updates: int = 500
    warmup_start: float = 1 / 3
    initial_weights: str = ""
    initial_format: Literal["ours", "official", "torchvision", "microsoft"] = "ours"
    objects: ObjectConfig = field(default_factory=ObjectConfig)

    builders: ClassVar[dict[str, Callable[[], TrainConfig]]] = {}


def sgd_6x() -> TrainConfig:
    """MAMBA's: rate 1e-3 for batch 8, 6 epochs, drop after 4."""
    return TrainConfig()


def sgd_3x() -> TrainConfig:
    """3 epochs, drop after 2."""
    return TrainConfig(drops=(2,))


def sgd_9x() -> TrainConfig:
    """EOVOD's: 9 epochs, drop after 6."""
    return TrainConfig(drops=(6,))


def sgd_7x() -> TrainConfig:
    """mmtracking's (SELSA, DFF, FGFA): rate 1e-2, 7 epochs, drops after 2 and 5."""
    return TrainConfig(learning_rate=1e-2, drops=(2, 5))


def adamw_9x() -> TrainConfig:
    """STPN's: AdamW, rate 2.5e-5, decay 0.05 but for norms and position biases."""
    return TrainConfig(
        "adamw",
        2.5e-5,
        weight_decay=0.05,
        no_decay=("norm", "bias_table"),
        drops=(6,),
    )


def adamw_6x() -> TrainConfig:
    """Swin-T Faster R-CNN, 6 epochs, drop after 4."""
    return TrainConfig(
        "adamw", 2.5e-5, weight_decay=0.05, no_decay=("norm", "bias_table"), drops=(4,)
    )


def adamw_3x() -> TrainConfig:
    """TDViT's and Swin-T Faster R-CNN's: 3 epochs, drop after 2."""
    return TrainConfig(
        "adamw", 2.5e-5, weight_decay=0.05, no_decay=("norm", "bias_table"), drops=(2,)
    )


def mega_120k() -> TrainConfig:
    """mega.pytorch's: 120,000 updates of 4 images, drop after 80,000; biases at twice the
    rate without decay."""
    return TrainConfig(reference_batch=4, bias_rate=2.0, drops=(80_000,), drop_unit="updates")


TrainConfig.builders.update(
    sgd_3x=sgd_3x,
    sgd_6x=sgd_6x,
    sgd_7x=sgd_7x,
    sgd_9x=sgd_9x,
    adamw_3x=adamw_3x,
    adamw_6x=adamw_6x,
    adamw_9x=adamw_9x,
    mega_120k=mega_120k,
)


@dataclass(frozen=True)
class InferConfig:
    """Detection in videos.

    Args:
        causal: use no frame that comes later than the current one (online); methods with
            references then take earlier frames instead.
        device: where to compute; ``auto`` takes a GPU where there is one.
        max_videos: only so many videos; 0 for all.
        pickle: write the official pickle beside our file.
        format_only: write COCO's JSON beside our file.
    """

    causal: bool = False
    device: str = "auto"
    max_videos: int = 0
    pickle: bool = False
    format_only: bool = False


@dataclass(frozen=True)
class EvaluateConfig:
    """Scoring.

    Args:
        vid_style, coco_style: the VID metric by speed, COCO's AP.
        extent, borders, sort: conventions of the VID metric; ``official`` is what
            published numbers rest on (see ``egolib.metrics.detection``).
    """

    vid_style: bool = True
    coco_style: bool = True
    extent: Literal["official", "plain"] = "official"
    borders: Literal["official", "half_open"] = "official"
    sort: Literal["official", "stable"] = "official"


@dataclass(frozen=True)
class Config:
    """One run: everything that a variant and a preset decide."""

    seed: int = 0
    world_seed: int = 0
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=networks.frcnn_r101_dc5)
    train: TrainConfig = field(default_factory=TrainConfig)
    fit: FitConfig = field(
        default_factory=lambda: FitConfig(
            epochs=6, batch_size=8, micro_batch_size=1, clip_norm=35.0
        )
    )
    infer: InferConfig = field(default_factory=InferConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
