"""The Siamese R-CNN's architecture: what its weights fix. Numbers and names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

from egolib.errors import EgolibError
from egolib.nn.config import AnchorConfig, BoxConfig, PyramidConfig, ResNetConfig

SIAMESE_COMPARISONS = ("bilinear", "dot")
SET_COMPARISONS: dict[str, tuple[str, ...]] = {
    "bilinear": ("mab", "mab_global", "isab"),
    "token": ("mab",),
    "concat": ("mab",),
    "2head": ("mab", "mab_global"),
    "att": ("mab", "mab_global", "isab"),
}
"""Comparisons of set heads, and the transformers that each goes with."""


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
        attention_heads: of every attention block of a set head.
        dropout: of attention weights in a set head.
        tokens: proposals of a frame that enter a set head; 0 takes all.

    Raises:
        EgolibError: a comparison that the kind of head does not have.
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

    def __post_init__(self) -> None:
        if self.kind == "siamese":
            if self.compare not in SIAMESE_COMPARISONS:
                raise _unfit("head.compare", self.compare, "siamese", SIAMESE_COMPARISONS)
            if self.transformer != "mab":
                raise EgolibError(
                    f"head.transformer: {self.transformer} needs head.kind: set",
                    remedy="set head.kind: set, or leave head.transformer: mab",
                )
        elif self.compare not in SET_COMPARISONS:
            raise _unfit("head.compare", self.compare, "set", SET_COMPARISONS)
        elif self.transformer not in SET_COMPARISONS[self.compare]:
            raise EgolibError(
                f"head.compare: {self.compare} does not go with "
                f"head.transformer: {self.transformer}",
                remedy=f"one of {', '.join(SET_COMPARISONS[self.compare])}",
            )


def _unfit(field_name: str, value: str, kind: str, known: object) -> EgolibError:
    return EgolibError(
        f"{field_name}: {value} does not go with head.kind: {kind}",
        remedy=f"one of {', '.join(known)}",  # type: ignore[arg-type]
    )


@dataclass(frozen=True)
class ProposalNetworkConfig:
    """The region proposal network: its anchors, and how offsets to them are coded.

    Args:
        anchors: one size a level, p2 to p6.
        boxes: coding of offsets.
    """

    anchors: AnchorConfig = field(
        default_factory=lambda: AnchorConfig(
            (4, 8, 16, 32, 64), ((32.0,), (64.0,), (128.0,), (256.0,), (512.0,))
        )
    )
    boxes: BoxConfig = field(default_factory=lambda: BoxConfig(clamp="above"))


@dataclass(frozen=True)
class DetectorConfig:
    """The Siamese R-CNN.

    Args:
        backbone: the residual network, as in detectron2's R50-FPN.
        pyramid: the feature pyramid on it, as in detectron2's R50-FPN.
        rpn: the region proposal network, as in detectron2's R50-FPN.
        level: the pyramid level that regions and references are read from (p3).
        region_cells: cells along a side of a pooled region.
        head: the comparison.
        pixel_mean: of BGR grey levels, 0 to 255.
        pixel_std: that centred grey levels are divided by.
        size_divisor: frames are padded to multiples of it.
        reference_side: side in pixels of the reference crop that the network was trained with.
        reference_margin: pixels of the annotated frame around the object in that crop (16 in
            frames a thousand pixels wide).
    """

    backbone: ResNetConfig = field(
        default_factory=lambda: ResNetConfig(
            blocks=(3, 4, 6, 3), stride_in="1x1", norm_trainable=False, freeze="none"
        )
    )
    pyramid: PyramidConfig = field(default_factory=PyramidConfig)
    rpn: ProposalNetworkConfig = field(default_factory=ProposalNetworkConfig)
    level: int = 1
    region_cells: int = 14
    head: HeadConfig = field(default_factory=HeadConfig)
    pixel_mean: tuple[float, float, float] = (103.53, 116.28, 123.675)
    pixel_std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    size_divisor: int = 32
    reference_side: int = 256
    reference_margin: int = 16

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
        rpn=ProposalNetworkConfig(
            AnchorConfig((4, 8, 16, 32, 64), ((16.0,), (28.0,), (48.0,), (80.0,), (120.0,)))
        ),
        region_cells=7,
        head=HeadConfig(residual_layers=2, hidden=128),
        reference_side=64,
        reference_margin=2,
    )


DetectorConfig.builders.update(
    siam_rcnn=siam_rcnn, improved=improved, cocoformer=cocoformer, small=small
)
