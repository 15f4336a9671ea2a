"""The published networks as settings; ``ModelConfig.builders`` holds them by name.

Sources: FGFA's lists and metric; mega.pytorch (``*_c4``, ``mega_*``), mmtracking (SELSA,
DFF, FGFA), vfe.pytorch (MAMBA, STPN, EOVOD, TDViT). No torch.
"""

from __future__ import annotations

from dataclasses import replace

from egolib.nn.config import (
    AnchorConfig,
    AssignConfig,
    BoxConfig,
    ProposalConfig,
    PyramidConfig,
    ResNetConfig,
    RoiAlignConfig,
    RpnConfig,
    SampleConfig,
    SwinConfig,
)
from egolib.vod.config.model import (
    HeadConfig,
    LocationConfig,
    MemoryConfig,
    ModelConfig,
    TemporalConfig,
)

R50, R101 = (3, 4, 6, 3), (3, 4, 23, 3)
PYRAMID_STRIDES = (4, 8, 16, 32, 64)


def _resnet(blocks: tuple[int, ...] = R101) -> ResNetConfig:
    return ResNetConfig(blocks, strides=(1, 2, 2, 1), dilations=(1, 1, 1, 2))


def frcnn_r101_dc5() -> ModelConfig:
    """Faster R-CNN on one dilated map of stride 16: the frame detector of SELSA and MAMBA."""
    return ModelConfig(resnet=_resnet())


def frcnn_r50_dc5() -> ModelConfig:
    """The same on ResNet-50."""
    return ModelConfig(resnet=_resnet(R50))


def _pyramid_rpn(train_proposals: int) -> RpnConfig:
    anchors = AnchorConfig(PYRAMID_STRIDES, tuple((8.0 * s,) for s in PYRAMID_STRIDES))
    return RpnConfig(
        anchors=anchors,
        train=ProposalConfig(1000, train_proposals),
        test=ProposalConfig(1000, 300),
        border=-1.0,
    )


def _pyramid_head(examples: int, assign: AssignConfig) -> HeadConfig:
    return HeadConfig(
        roi=RoiAlignConfig(strides=PYRAMID_STRIDES[:4], sampling_ratio=0),
        assign=assign,
        sample=SampleConfig(examples, 0.25),
        beta=1 / 9,
    )


def _with_pyramid(base: ModelConfig) -> ModelConfig:
    head = replace(_pyramid_head(512, AssignConfig()), boxes=BoxConfig(weights=(10, 10, 5, 5)))
    return replace(base, neck="pyramid", rpn=_pyramid_rpn(train_proposals=600), head=head)


def frcnn_r101_fpn() -> ModelConfig:
    """Faster R-CNN on a pyramid over ResNet-101."""
    return _with_pyramid(ModelConfig())


def frcnn_r50_fpn() -> ModelConfig:
    """The same on ResNet-50."""
    return _with_pyramid(ModelConfig(resnet=ResNetConfig(R50)))


def frcnn_swint() -> ModelConfig:
    """Faster R-CNN on a pyramid over Swin-T."""
    return _with_pyramid(ModelConfig(backbone="swin"))


def _c4(method: str, blocks: tuple[int, ...], reduced: int) -> ModelConfig:
    resnet = _resnet(blocks)
    resnet = replace(resnet, stride_in="1x1", norm_eps=0.0, norm_trainable=False)
    legacy = BoxConfig(extent=1.0, clamp="above")
    limits = ProposalConfig(6000, 300, drop_empty=False)
    rpn = RpnConfig(
        anchors=AnchorConfig(rounding="legacy"),
        boxes=legacy,
        train=limits,
        test=limits,
        assign=AssignConfig(0.7, 0.3, "restore"),
    )
    head = HeadConfig(
        roi=RoiAlignConfig(sampling_ratio=0, aligned=False),
        boxes=replace(legacy, weights=(10.0, 10.0, 5.0, 5.0)),
        assign=AssignConfig(),
        sample=SampleConfig(128, 0.25),
        add_truth="last",
        background="first",
        reduced_channels=reduced,
    )
    return ModelConfig(
        method=method,  # type: ignore[arg-type]
        detector="c4",
        resnet=resnet,
        neck="none",
        rpn=rpn,
        head=head,
    )


def frcnn_r101_c4() -> ModelConfig:
    """MEGA's single-frame model: 76.7 AP50 (52.3 fast, 74.1 medium, 84.9 slow)."""
    return _c4("single", R101, 0)


def frcnn_r50_c4() -> ModelConfig:
    """The same on ResNet-50 with reduced channels: 71.8 AP50."""
    return _c4("single", R50, 256)


def mega_r101() -> ModelConfig:
    """MEGA: 82.9 AP50 (62.7 fast, 81.6 medium, 89.4 slow)."""
    return _c4("mega", R101, 0)


def mega_r50() -> ModelConfig:
    """MEGA on ResNet-50: 77.3 AP50."""
    return _c4("mega", R50, 256)


def selsa_r101_dc5() -> ModelConfig:
    """SELSA of mmtracking: 81.5 AP50."""
    return replace(frcnn_r101_dc5(), method="selsa")


def selsa_r50_dc5() -> ModelConfig:
    """SELSA on ResNet-50: 78.4 AP50."""
    return replace(frcnn_r50_dc5(), method="selsa")


def mamba_r101_dc5() -> ModelConfig:
    """MAMBA, instance level, as released: 83.8 AP50 (65.3 fast, 83.8 medium, 89.5 slow)."""
    return replace(frcnn_r101_dc5(), method="mamba")


def mamba_pixel_r101_dc5() -> ModelConfig:
    """MAMBA, pixel level alone: 81.8 AP50 in the paper."""
    return replace(mamba_r101_dc5(), memory=MemoryConfig(instance=False, pixel=True))


def mamba_both_r101_dc5() -> ModelConfig:
    """MAMBA, both levels: 84.6 AP50 in the paper."""
    return replace(mamba_r101_dc5(), memory=MemoryConfig(pixel=True))


def stpn_swint() -> ModelConfig:
    """STPN on Swin-T: 85.2 AP50 (64.1 fast, 84.1 medium, 91.4 slow)."""
    low_quality = AssignConfig(0.5, 0.5, "assign", low_quality_minimum=0.5)
    return ModelConfig(
        method="stpn",
        backbone="swin",
        neck="pyramid",
        rpn=_pyramid_rpn(train_proposals=300),
        head=_pyramid_head(256, low_quality),
    )


def stpn_swins() -> ModelConfig:
    """STPN on Swin-S, by the author's later code (the released file is empty)."""
    swin = SwinConfig(depths=(2, 2, 18, 2), drop_path=0.3)
    return replace(stpn_swint(), swin=swin)


def tdvit_t() -> ModelConfig:
    """TDViT-T: 49.1 AP, 78.5 AP50 in the paper; 46.0 / 75.7 in its author's later run."""
    return replace(frcnn_swint(), method="tdvit")


def tdvit_t_joint() -> ModelConfig:
    """TDViT-T whose temporal blocks see their own window too: 50.6 AP, 80.3 AP50."""
    return replace(tdvit_t(), temporal=TemporalConfig(attention="joint"))


def tdvit_t_plus() -> ModelConfig:
    """TDViT-T+ with two further temporal blocks in stage 3: 50.9 AP, 79.9 AP50."""
    return replace(
        tdvit_t(),
        swin=SwinConfig(depths=(2, 2, 8, 2)),
        temporal=TemporalConfig(("st", "st", "sssttttt", "st")),
    )


def tdvit_s() -> ModelConfig:
    """TDViT-S: 55.4 AP, 84.1 AP50 in the paper."""
    return replace(
        tdvit_t(),
        swin=SwinConfig(depths=(2, 2, 18, 2), drop_path=0.3),
        temporal=TemporalConfig(("st", "st", "s" * 9 + "t" * 9, "st")),
    )


def tdvit_b() -> ModelConfig:
    """TDViT-B: 56.0 AP, 84.4 AP50 in the paper."""
    return replace(
        tdvit_s(),
        swin=SwinConfig(128, (2, 2, 18, 2), (4, 8, 16, 32), drop_path=0.3),
    )


def _eovod(blocks: tuple[int, ...], levels: tuple[int, ...]) -> ModelConfig:
    return ModelConfig(
        method="eovod",
        detector="fcos",
        resnet=ResNetConfig(blocks, stride_in="1x1", norm_trainable=False),
        neck="pyramid",
        pyramid=PyramidConfig(first=1, extra="conv"),
        location=LocationConfig(levels),
    )


def eovod_r101() -> ModelConfig:
    """EOVOD as released, FCOS R-101 with memory on C4 and C5: 54.0 AP, 79.7 AP50."""
    return _eovod(R101, (2, 3))


def eovod_r50() -> ModelConfig:
    """EOVOD on ResNet-50 with memory on C3 to C5."""
    return _eovod(R50, (1, 2, 3))


def fcos_r101() -> ModelConfig:
    """EOVOD's frame detector alone: 49.8 AP, 73.3 AP50."""
    return replace(_eovod(R101, ()), method="single")


def dff_r101_dc5() -> ModelConfig:
    """DFF of mmtracking: 73.5 AP50."""
    return replace(frcnn_r101_dc5(), method="dff")


def fgfa_r101_dc5() -> ModelConfig:
    """FGFA of mmtracking: 77.8 AP50."""
    return replace(frcnn_r101_dc5(), method="fgfa")


PUBLISHED = (
    frcnn_r101_dc5,
    frcnn_r50_dc5,
    frcnn_r101_fpn,
    frcnn_r50_fpn,
    frcnn_swint,
    frcnn_r101_c4,
    frcnn_r50_c4,
    fcos_r101,
    selsa_r101_dc5,
    selsa_r50_dc5,
    mega_r101,
    mega_r50,
    mamba_r101_dc5,
    mamba_pixel_r101_dc5,
    mamba_both_r101_dc5,
    stpn_swint,
    stpn_swins,
    tdvit_t,
    tdvit_t_joint,
    tdvit_t_plus,
    tdvit_s,
    tdvit_b,
    eovod_r101,
    eovod_r50,
    dff_r101_dc5,
    fgfa_r101_dc5,
)
ModelConfig.builders.update({builder.__name__: builder for builder in PUBLISHED})
