"""Settings of the shared detection layers: numbers and names only, no torch.

One set of layers serves three families of published detectors, which differ in
conventions. A convention is a field here, never a global:

==============================  ================  ====================  ==============
field                           mmdetection       maskrcnn-benchmark    detectron2
==============================  ================  ====================  ==============
``ResNetConfig.stride_in``      3x3 (pytorch)     1x1                   1x1
``ResNetConfig.norm_eps``       1e-5              0                     1e-5
``BoxConfig.extent``            0                 1                     0
``BoxConfig.clamp``             both              above                 above
``AnchorConfig.rounding``       exact             legacy                exact
``AssignConfig.low_quality``    assign            restore               restore
``RoiAlignConfig.aligned``      True              False                 True
``ProposalConfig.rank_by``      probability       probability           logit
==============================  ================  ====================  ==============
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class ResNetConfig:
    """A residual network of bottleneck blocks (He et al., CVPR 2016).

    Args:
        blocks: blocks of every stage; three stages end at "C4".
        stem_channels: channels after the 7x7 stem.
        width: inner channels of the first stage; they double from stage to stage and
            a stage gives four times its inner channels.
        strides: of every stage, in its first block.
        dilations: of every stage, in the 3x3 convolutions of all blocks.
        stride_in: ``3x3`` ("pytorch style") or ``1x1`` ("caffe style"): the convolution
            of a block, and always the shortcut, that carries the stride.
        norm: ``fixed`` (batch norm on stored statistics, never updated), ``batch``
            (ordinary batch norm) or ``group``.
        norm_eps: added to the variance; 0 in the networks of maskrcnn-benchmark.
        norm_trainable: whether scale and shift are parameters; buffers otherwise.
        norm_groups: groups of ``norm="group"``.
        freeze: ``none``, ``stem``, ``stage1``, ``stage2``, ...: that part and everything
            before it takes no gradient.
    """

    blocks: tuple[int, ...] = (3, 4, 23, 3)
    stem_channels: int = 64
    width: int = 64
    strides: tuple[int, ...] = (1, 2, 2, 2)
    dilations: tuple[int, ...] = (1, 1, 1, 1)
    stride_in: Literal["3x3", "1x1"] = "3x3"
    norm: Literal["fixed", "batch", "group"] = "fixed"
    norm_eps: float = 1e-5
    norm_trainable: bool = True
    norm_groups: int = 8
    freeze: str = "stage1"


@dataclass(frozen=True)
class SwinConfig:
    """A Swin transformer (Liu et al., ICCV 2021).

    Args:
        width: channels after the patch embedding; they double from stage to stage.
        depths: blocks of every stage.
        heads: attention heads of every stage.
        window: side of the attention windows, in tokens.
        patch: side of the patches, in pixels.
        expansion: inner width of the two-layer networks, in token widths.
        drop_path: fraction of dropped residual branches of the last block; it grows linearly.
    """

    width: int = 96
    depths: tuple[int, ...] = (2, 2, 6, 2)
    heads: tuple[int, ...] = (3, 6, 12, 24)
    window: int = 7
    patch: int = 4
    expansion: int = 4
    drop_path: float = 0.2


@dataclass(frozen=True)
class PyramidConfig:
    """A feature pyramid (Lin et al., CVPR 2017).

    Args:
        channels: channels of every level.
        first: index of the first backbone map that is used.
        levels: number of output levels.
        extra: how levels beyond the backbone's come: ``pool`` (every second pixel of the
            last one) or ``conv`` (3x3, stride 2, on the last one, ReLU between).
    """

    channels: int = 256
    first: int = 0
    levels: int = 5
    extra: Literal["pool", "conv"] = "pool"


@dataclass(frozen=True)
class BoxConfig:
    """How boxes are measured and how offsets to them are coded.

    Args:
        extent: what is added to ``x2 - x1`` for a width: 1 where the last pixel counts
            ("legacy"), else 0. Clipping then stops at ``size - extent``.
        weights: factors on (dx, dy, dw, dh), the reciprocals of mmdetection's ``stds``.
        clamp: largest change of size, ln(1000 / 16): ``both`` for growing and shrinking,
            ``above`` for growing only.
    """

    extent: float = 0.0
    weights: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    clamp: Literal["both", "above"] = "both"


@dataclass(frozen=True)
class AnchorConfig:
    """Anchors of every cell, ratio by ratio and, inside one ratio, size by size.

    Args:
        strides: pixels between cells, one a level.
        sizes: side lengths of square anchors in pixels, one tuple a level.
        ratios: height / width.
        rounding: ``exact``: centred on (x * stride, y * stride); ``legacy``: whole-pixel
            windows around the cell's middle, with the width counted as x2 - x1 + 1.
    """

    strides: tuple[int, ...] = (16,)
    sizes: tuple[tuple[float, ...], ...] = ((64.0, 128.0, 256.0, 512.0),)
    ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    rounding: Literal["exact", "legacy"] = "exact"


@dataclass(frozen=True)
class AssignConfig:
    """Which boxes are positive or negative examples, by their largest IoU with a truth.

    Args:
        positive: IoU from which a box is positive.
        negative: IoU below which it is negative; between the two it is ignored.
        low_quality: what happens to the best boxes of every truth below ``positive``:
            ``none``, ``assign`` (they are given to that truth) or ``restore`` (they are
            given to the truth that they overlap most).
        low_quality_minimum: IoU that such a best box needs.
    """

    positive: float = 0.5
    negative: float = 0.5
    low_quality: Literal["none", "assign", "restore"] = "none"
    low_quality_minimum: float = 0.0


@dataclass(frozen=True)
class SampleConfig:
    """How many examples of an image enter the loss.

    Args:
        number: examples an image.
        positive_fraction: largest fraction of positive ones.
    """

    number: int = 256
    positive_fraction: float = 0.5


@dataclass(frozen=True)
class ProposalConfig:
    """Selection of region proposals from dense predictions.

    Args:
        before: best predictions kept per level before suppression.
        after: proposals kept per image after it.
        nms_threshold: IoU above which the lower-scored of two boxes of a level goes.
        rank_by: scores are ``probability`` (sigmoid) or ``logit``.
        drop_empty: remove boxes without width or height.
    """

    before: int = 6000
    after: int = 300
    nms_threshold: float = 0.7
    rank_by: Literal["probability", "logit"] = "probability"
    drop_empty: bool = True


@dataclass(frozen=True)
class RpnConfig:
    """A region proposal network (Ren et al., NeurIPS 2015), shared by all its levels.

    Args:
        anchors: shapes and places.
        boxes: how offsets are counted.
        train: selection of proposals in training.
        test: selection of proposals in testing.
        assign: overlaps from which an anchor is an example.
        sample: how many examples are drawn.
        border: how far in pixels an anchor may lie outside the image to be used in
            training; a negative number admits all.
        normalise: what both losses are divided by: the number of ``sampled`` anchors, or
            the number ``asked`` for (``sample.number`` times the images).
        beta: where smooth L1 turns from quadratic to linear.
    """

    anchors: AnchorConfig = field(default_factory=AnchorConfig)
    boxes: BoxConfig = field(default_factory=BoxConfig)
    train: ProposalConfig = field(default_factory=lambda: ProposalConfig(after=600))
    test: ProposalConfig = field(default_factory=ProposalConfig)
    assign: AssignConfig = field(
        default_factory=lambda: AssignConfig(
            0.7, 0.3, low_quality="assign", low_quality_minimum=0.3
        )
    )
    sample: SampleConfig = field(default_factory=SampleConfig)
    border: float = 0.0
    normalise: Literal["sampled", "asked"] = "sampled"
    beta: float = 1 / 9


@dataclass(frozen=True)
class RoiAlignConfig:
    """RoIAlign (He et al., ICCV 2017) on one or several levels.

    Args:
        size: output cells a side.
        strides: pixels a cell of every level.
        sampling_ratio: samples a bin and side; 0 takes as many as pixels of the map.
        aligned: shift by half a pixel (True), or the first version, with regions at
            least one cell wide.
        finest: side in pixels below which twice of it the finest level is used.
    """

    size: int = 7
    strides: tuple[int, ...] = (16,)
    sampling_ratio: int = 2
    aligned: bool = True
    finest: float = 56.0


@dataclass(frozen=True)
class DetectionConfig:
    """Selection of detections from class scores and boxes.

    Args:
        score_threshold: scores must be larger.
        nms_threshold: IoU above which the lower-scored of two boxes of a class goes.
        limit: detections kept per image.
        limit_ties: ``cut`` keeps exactly ``limit``, ``keep`` also those that tie with
            the last one.
        rescale: map boxes to the original image ``before`` or ``after`` suppression.
        drop_empty: remove boxes without width or height.
    """

    score_threshold: float = 1e-4
    nms_threshold: float = 0.5
    limit: int = 100
    limit_ties: Literal["cut", "keep"] = "cut"
    rescale: Literal["before", "after"] = "before"
    drop_empty: bool = False
