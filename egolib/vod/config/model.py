"""The networks of the video object detectors: one dataclass a mechanism, no torch.

Here stands what weights are made for, and how a network learns. What can change while they
stay the same (thresholds, memories, references in testing) is in ``infer``. A quirk of
published code is a choice whose value ``official`` (the default) keeps it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from egolib.nn.config import (
    AssignConfig,
    BoxConfig,
    PyramidConfig,
    ResNetConfig,
    RoiAlignConfig,
    RpnConfig,
    SampleConfig,
    SwinConfig,
)


@dataclass(frozen=True)
class HeadConfig:
    """The head that classifies regions.

    Args:
        width: values that a fully connected layer gives a region.
        layers: number of fully connected layers.
        roi: how region features are read.
        boxes: coding of box offsets.
        assign: overlaps from which a region is an example, positive or negative.
        sample: how many examples are drawn.
        add_truth: true boxes become regions ``first`` (mmdetection) or ``last``
            (maskrcnn-benchmark).
        background: place of the background class.
        beta: of smooth L1.
        reduced_channels: 1x1 convolution before reading regions; 0 for none (the R-50
            networks of mega.pytorch have 256).
    """

    width: int = 1024
    layers: int = 2
    roi: RoiAlignConfig = field(default_factory=RoiAlignConfig)
    boxes: BoxConfig = field(default_factory=lambda: BoxConfig(weights=(5.0, 5.0, 5.0, 5.0)))
    assign: AssignConfig = field(
        default_factory=lambda: AssignConfig(0.5, 0.5, "assign", low_quality_minimum=0.5)
    )
    sample: SampleConfig = field(default_factory=lambda: SampleConfig(256, 0.25))
    add_truth: Literal["first", "last"] = "first"
    background: Literal["last", "first"] = "last"
    beta: float = 1.0
    reduced_channels: int = 0


@dataclass(frozen=True)
class FcosConfig:
    """The dense head of FCOS (Tian et al., ICCV 2019).

    Args:
        layers: convolutions of each tower.
        groups: of its group norms.
        strides: pixels a cell of every level.
        ranges: largest distance in pixels that a level regresses, the last is unlimited.
        prior: initial probability of a positive.
        focal_alpha: weight of positives in the focal loss.
        focal_gamma: exponent that plays down easy examples in it.
        centerness_on: tower that centerness is read from.
    """

    layers: int = 4
    groups: int = 32
    strides: tuple[int, ...] = (8, 16, 32, 64, 128)
    ranges: tuple[float, ...] = (64.0, 128.0, 256.0, 512.0)
    prior: float = 0.01
    focal_alpha: float = 0.25
    focal_gamma: float = 2.0
    centerness_on: Literal["classes", "boxes"] = "classes"


@dataclass(frozen=True)
class SupportConfig:
    """SELSA: attention of a frame's regions to those of its references (ICCV 2019).

    Args:
        heads: attention heads.
    """

    heads: int = 16


@dataclass(frozen=True)
class MemoryConfig:
    """MAMBA's levels (arXiv 2401.09923); the banks of testing are in ``infer.memory``.

    Args:
        instance: whether regions attend to banks.
        pixel: whether cells of the backbone map attend to a bank.
        top: proposals of a reference that the key frame attends to in training.
        pixel_training_keys: random cells of every reference, and of all of them.
    """

    instance: bool = True
    pixel: bool = False
    top: int = 75
    pixel_training_keys: int = 2000


@dataclass(frozen=True)
class MegaConfig:
    """MEGA's relations (Chen et al., CVPR 2020); windows and memories are in ``infer.mega``.

    Args:
        proposals: of a reference frame, in training.
        advanced: of them that later stages use, in training.
        groups: relation heads.
        embedding: values of the position embedding.
        local_stages: relations to the local window and its memory, one after the other.
        global_stages: relations to the global memory.
    """

    proposals: int = 75
    advanced: int = 15
    groups: int = 16
    embedding: int = 64
    local_stages: int = 3
    global_stages: int = 2


@dataclass(frozen=True)
class PromptConfig:
    """STPN's video prompts (arXiv 2402.02574).

    Args:
        number: prompts of a video.
        predictor: ``attention`` over all reference tokens, or ``average`` of the tokens
            of largest norm.
        heads: of the attention.
        merge: in patch merging a prompt meets weights made for interleaved channels;
            ``official`` gives it four whole copies all the same, ``interleaved`` repeats
            every channel four times.
        reference_drop_path: ``official`` drops paths in the reference pass of training
            too, ``off`` does not.
    """

    number: int = 5
    predictor: Literal["attention", "average"] = "attention"
    heads: int = 16
    merge: Literal["official", "interleaved"] = "official"
    reference_drop_path: Literal["official", "off"] = "official"


@dataclass(frozen=True)
class TemporalConfig:
    """TDViT's temporal blocks (the paper's and its author's later definition).

    Args:
        layout: a letter for every block of every stage: s spatial, t temporal.
        attention: ``cross``: to the reference's window; ``joint``: to the own one too.
    """

    layout: tuple[str, ...] = ("st", "st", "sssttt", "st")
    attention: Literal["cross", "joint"] = "cross"


@dataclass(frozen=True)
class LocationConfig:
    """EOVOD's attention to locations; its banks in testing are in ``infer.location``.

    Args:
        levels: backbone maps with a bank, counted from 0.
        heads: attention heads.
        training_keys: random cells of every reference in training.
        enhanced: what the enhanced maps feed: ``both`` towers or ``classes`` only.
    """

    levels: tuple[int, ...] = (2, 3)
    heads: int = 16
    training_keys: int = 2000
    enhanced: Literal["both", "classes"] = "both"


@dataclass(frozen=True)
class FlowConfig:
    """Optical flow between frames, for DFF (CVPR 2017) and FGFA (ICCV 2017).

    Args:
        scale: images are resized by it before flow is estimated.
        multiplier: of the network's output, on top of the change of resolution.
        grid: ``official`` divides pixel positions by the map's width, ``aligned`` by
            width - 1, as the sampling that follows expects.
        widths: channels of the six encoder stages.
        means: that were subtracted from the images that come in, RGB, 0 to 255.
        stds: that they were divided by, RGB.
        flow_means: subtracted from images in [0, 1] for the flow network.
    """

    scale: float = 0.5
    multiplier: float = 5.0
    grid: Literal["official", "aligned"] = "official"
    widths: tuple[int, ...] = (64, 128, 256, 512, 512, 1024)
    means: tuple[float, float, float] = (123.675, 116.28, 103.53)
    stds: tuple[float, float, float] = (58.395, 57.12, 57.375)
    flow_means: tuple[float, float, float] = (0.411, 0.432, 0.450)


@dataclass(frozen=True)
class ModelConfig:
    """A video object detector: a frame detector and the method that joins frames.

    Args:
        method: what it does with other frames.
        detector: ``rcnn`` (two stages on a neck), ``c4`` (two stages, the last backbone
            stage in the head) or ``fcos``.
        classes: number of classes without background.
        backbone: which of ``resnet`` and ``swin`` is built.
        neck: ``reduce`` the last map to ``neck_channels``, a ``pyramid``, or ``none``.
    """

    method: Literal["single", "selsa", "mamba", "mega", "stpn", "tdvit", "eovod", "dff", "fgfa"] = (
        "single"
    )
    detector: Literal["rcnn", "c4", "fcos"] = "rcnn"
    classes: int = 30
    backbone: Literal["resnet", "swin"] = "resnet"
    resnet: ResNetConfig = field(default_factory=ResNetConfig)
    swin: SwinConfig = field(default_factory=SwinConfig)
    neck: Literal["reduce", "pyramid", "none"] = "reduce"
    neck_channels: int = 512
    pyramid: PyramidConfig = field(default_factory=PyramidConfig)
    rpn: RpnConfig = field(default_factory=RpnConfig)
    head: HeadConfig = field(default_factory=HeadConfig)
    fcos: FcosConfig = field(default_factory=FcosConfig)
    support: SupportConfig = field(default_factory=SupportConfig)
    memory: MemoryConfig = field(default_factory=MemoryConfig)
    mega: MegaConfig = field(default_factory=MegaConfig)
    prompt: PromptConfig = field(default_factory=PromptConfig)
    temporal: TemporalConfig = field(default_factory=TemporalConfig)
    location: LocationConfig = field(default_factory=LocationConfig)
    flow: FlowConfig = field(default_factory=FlowConfig)

    builders: ClassVar[dict[str, Callable[[], ModelConfig]]] = {}
