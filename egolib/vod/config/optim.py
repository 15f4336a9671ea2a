"""Optimisation, and where weights start (no torch)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from egolib.engine.config import OptimConfig as SharedOptim

#: What ``InitialConfig.weights`` says where random weights are wanted.
NO_START = ("", "none")


@dataclass(frozen=True)
class OptimConfig(SharedOptim):
    """Optimisation; rates are as published, for batches of ``reference_batch`` clips.

    Args:
        reference_batch: clips of an update, over all processes, that the rate is for.
        rate_scaling: ``as_written`` keeps the rate whatever the batch (nothing scales by
            itself in the published code); ``linear`` multiplies it by batch / reference.
        no_decay: parts of parameter names that do not decay.
        bias_lr_factor: factor on the rate of biases, which then do not decay
            (maskrcnn-benchmark has 2); 1 treats them as other parameters.
    """

    optimizer: Literal["adamw", "sgd"] = "sgd"
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    warmup_updates: int = 500
    warmup_start_factor: float = 1 / 3
    schedule: Literal["constant", "multistep", "cosine", "polynomial"] = "multistep"
    milestones: tuple[int, ...] = (4,)
    milestone_unit: Literal["updates", "epochs"] = "epochs"
    reference_batch: int = 8
    rate_scaling: Literal["as_written", "linear"] = "as_written"
    no_decay: tuple[str, ...] = ()
    bias_lr_factor: float = 1.0

    builders: ClassVar[dict[str, Callable[[], OptimConfig]]] = {}


def sgd_6x() -> OptimConfig:
    """MAMBA's: rate 1e-3 for batch 8, 6 epochs, drop after 4."""
    return OptimConfig()


def sgd_3x() -> OptimConfig:
    """3 epochs, drop after 2."""
    return OptimConfig(milestones=(2,))


def sgd_9x() -> OptimConfig:
    """EOVOD's: 9 epochs, drop after 6."""
    return OptimConfig(milestones=(6,))


def sgd_7x() -> OptimConfig:
    """mmtracking's (SELSA, DFF, FGFA): rate 1e-2, 7 epochs, drops after 2 and 5."""
    return OptimConfig(learning_rate=1e-2, milestones=(2, 5))


def _adamw(drop: int) -> OptimConfig:
    return OptimConfig(
        optimizer="adamw",
        learning_rate=2.5e-5,
        weight_decay=0.05,
        no_decay=("norm", "bias_table"),
        milestones=(drop,),
    )


def adamw_9x() -> OptimConfig:
    """STPN's: AdamW, rate 2.5e-5, decay 0.05 but for norms and position biases."""
    return _adamw(6)


def adamw_6x() -> OptimConfig:
    """Swin-T Faster R-CNN, 6 epochs, drop after 4."""
    return _adamw(4)


def adamw_3x() -> OptimConfig:
    """TDViT's and Swin-T Faster R-CNN's: 3 epochs, drop after 2."""
    return _adamw(2)


def mega_120k() -> OptimConfig:
    """mega.pytorch's: 120,000 updates of 4 images, drop after 80,000; biases at twice the
    rate without decay."""
    return OptimConfig(
        reference_batch=4, bias_lr_factor=2.0, milestones=(80_000,), milestone_unit="updates"
    )


OptimConfig.builders.update(
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
class ObjectConfig:
    """What stands in for ImageNet weights: classifying cut-out objects
    (``egolib.vod.pretraining``).

    Args:
        updates: length; 0 leaves it out, as every published training does.
        batch_size: objects of an update.
        learning_rate: of AdamW.
        side: pixels of a cut-out object.
        turn: largest random rotation, in degrees.
        zoom: largest logarithm of the random scale factor.
        shift: largest random shift, as a fraction of the side.
        light: largest random change of contrast and of brightness, as a fraction.
    """

    updates: int = 0
    batch_size: int = 16
    learning_rate: float = 2e-3
    side: int = 48
    turn: float = 15.0
    zoom: float = 0.2
    shift: float = 0.08
    light: float = 0.25


@dataclass(frozen=True)
class InitialConfig:
    """Where weights start. A step's input ``initial``, an earlier training, comes before it.

    Args:
        weights: a file below the data root. A variant names the one that it was published
            with, and then does not train without it; ``none`` asks for random weights.
        format: ``ours``, ``official`` (the network's own official layout), ``torchvision``
            (a ResNet, also OpenMMLab's caffe ones), ``microsoft`` (a Swin transformer, alone
            or in a detector of its repository) or ``msra`` (Caffe2's ResNets).
        flow: the same for the flow network of DFF and FGFA: a file in mmtracking's layout.
        objects: a first training of the backbone where there are no such weights.
    """

    weights: str = ""
    format: Literal["ours", "official", "torchvision", "microsoft", "msra"] = "ours"
    flow: str = ""
    objects: ObjectConfig = field(default_factory=ObjectConfig)

    @property
    def given(self) -> bool:
        """Whether a file is named."""
        return self.weights not in NO_START
