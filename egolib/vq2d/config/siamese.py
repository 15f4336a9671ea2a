"""The Siamese R-CNN: numbers and names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

from egolib.nn.config import (
    AnchorConfig,
    AssignConfig,
    BoxConfig,
    ProposalConfig,
    PyramidConfig,
    ResNetConfig,
    RpnConfig,
    SampleConfig,
)


@dataclass(frozen=True)
class HeadConfig:
    """What compares proposals with the reference.

    Args:
        kind: ``siamese`` (each proposal on its own) or ``set`` (CocoFormer: the proposals
            of a frame together).
        compare: ``bilinear`` or ``dot`` (cosine); of set heads ``bilinear``, ``token``,
            ``concat``, ``2head`` or ``att``.
        transformer: of set heads: ``mab``, ``mab_global`` or ``isab``; the last two also
            score the frame.
        projector: ``residual`` or ``basic``.
        residual_layers: blocks of the residual projector.
        shared: one projector for proposals and references.
        hidden: width of projected regions.
        attention_heads, dropout: of set heads.
        tokens: proposals of a frame that enter a set head; 0 takes all.
    """

    kind: Literal["siamese", "set"] = "siamese"
    compare: Literal["bilinear", "dot", "token", "concat", "2head", "att"] = "bilinear"
    transformer: Literal["mab", "mab_global", "isab"] = "mab"
    projector: Literal["residual", "basic"] = "residual"
    residual_layers: int = 4
    shared: bool = True
    hidden: int = 1024
    attention_heads: int = 4
    dropout: float = 0.0
    tokens: int = 0


@dataclass(frozen=True)
class DetectorConfig:
    """The Siamese R-CNN.

    Args:
        backbone, pyramid, rpn: as in detectron2's R50-FPN.
        level: the pyramid level that regions and references are read from (p3).
        region_cells: cells along a side of a pooled region.
        head: the comparison.
        score_threshold: scores must be larger.
        nms_threshold: IoU above which the lower-scored of two boxes goes.
        detections: boxes kept per frame.
        pixel_mean, pixel_std: of BGR grey levels.
        size_divisor: frames are padded to multiples of it.
        shortest_side, longest_side: of frames that enter the network, in pixels.
        intermediate_height: frames are first scaled to this height (official step 1);
            0 leaves that out.
        reference_side, reference_margin: side of the reference crop, and pixels of the annotated
            frame around the object in it (16 in frames a thousand pixels wide).
        box_rounding: ``official`` truncates detected boxes to integers, ``exact`` keeps them.
    """

    backbone: ResNetConfig = field(
        default_factory=lambda: ResNetConfig(
            blocks=(3, 4, 6, 3), stride_in="1x1", norm_trainable=False, freeze="none"
        )
    )
    pyramid: PyramidConfig = field(default_factory=PyramidConfig)
    rpn: RpnConfig = field(
        default_factory=lambda: RpnConfig(
            anchors=AnchorConfig(
                (4, 8, 16, 32, 64), ((32.0,), (64.0,), (128.0,), (256.0,), (512.0,))
            ),
            boxes=BoxConfig(clamp="above"),
            train=ProposalConfig(2000, 1000, 0.7, "logit"),
            test=ProposalConfig(1000, 1000, 0.7, "logit"),
            assign=AssignConfig(0.7, 0.3, low_quality="restore"),
            border=-1.0,
            normalise="asked",
            beta=0.0,
        )
    )
    level: int = 1
    region_cells: int = 14
    head: HeadConfig = field(default_factory=HeadConfig)
    score_threshold: float = 0.0
    nms_threshold: float = 0.5
    detections: int = 10
    pixel_mean: tuple[float, float, float] = (103.53, 116.28, 123.675)
    pixel_std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    size_divisor: int = 32
    shortest_side: int = 800
    longest_side: int = 1333
    intermediate_height: int = 700
    reference_side: int = 256
    reference_margin: int = 16
    box_rounding: Literal["official", "exact"] = "official"

    builders: ClassVar[dict[str, Callable[[], DetectorConfig]]] = {}


def siam_rcnn() -> DetectorConfig:
    """The published baseline: 301 entries."""
    return DetectorConfig()


def improved() -> DetectorConfig:
    """Improved baselines: the same network; detectron2 keeps stem and first stage frozen
    (``FREEZE_AT: 2``) while the rest is trained."""
    published = DetectorConfig()
    return replace(published, backbone=replace(published.backbone, freeze="stage1"))


def cocoformer() -> DetectorConfig:
    """CocoFormer with its code's default head; the published configuration file is not public."""
    return replace(improved(), head=HeadConfig(kind="set", compare="bilinear", transformer="mab"))


def small() -> DetectorConfig:
    """A reduced detector that trains from scratch on the built-in world (192 x 144 frames)."""
    return DetectorConfig(
        backbone=ResNetConfig(
            blocks=(1, 1, 1, 1), stem_channels=32, width=32, norm="group", freeze="none"
        ),
        pyramid=PyramidConfig(channels=64),
        rpn=replace(
            DetectorConfig().rpn,
            anchors=AnchorConfig(
                (4, 8, 16, 32, 64), ((16.0,), (28.0,), (48.0,), (80.0,), (120.0,))
            ),
            train=ProposalConfig(300, 100, 0.7, "logit"),
            test=ProposalConfig(300, 60, 0.7, "logit"),
            sample=SampleConfig(64),
        ),
        region_cells=7,
        head=HeadConfig(residual_layers=2, hidden=128),
        shortest_side=144,
        longest_side=256,
        intermediate_height=0,
        reference_side=64,
        reference_margin=2,
    )


DetectorConfig.builders.update(
    siam_rcnn=siam_rcnn, improved=improved, cocoformer=cocoformer, small=small
)
