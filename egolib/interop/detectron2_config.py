"""Between our settings and detectron2's configuration nodes."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from egolib.config import flatten
from egolib.errors import EgolibError
from egolib.interop import require
from egolib.io.records import write_text
from egolib.vq2d.config import DetectConfig, DetectorConfig, LossConfig
from egolib.vq2d.formats.official_config import DEPTHS, OfficialConfig, read_official_config

NAME = "EgolibSiameseRcnn"  # of our network among detectron2's meta-architectures
HEADS = {"siamese": "SiameseROIHeads", "set": "SetTransROIHeads"}


def read_config(path: str | Path) -> OfficialConfig:
    """Our settings from a configuration file of detectron2.

    Args:
        path: a YAML file, or a name in the model zoo such as
            ``COCO-Detection/faster_rcnn_R_50_FPN_3x.yaml``.

    Raises:
        EgolibError: no such file, or a network that we do not build.
    """
    require("detectron2")
    from detectron2 import model_zoo

    node, name = _empty_node(), str(path)
    if not Path(name).is_file():
        try:
            name = model_zoo.get_config_file(name)
        except RuntimeError as error:
            raise EgolibError("neither a file nor in detectron2's zoo", file=path) from error
    node.merge_from_file(name)
    return settings_of(node)


def settings_of(node: Any) -> OfficialConfig:
    """Our settings from a configuration node, whatever meta-architecture it names.

    Names that we do not know are listed only where detectron2's default was changed.
    """
    from detectron2.config import get_cfg

    node = node.clone()
    node.defrost()
    node.MODEL.META_ARCHITECTURE = "SiameseRCNN"
    if node.MODEL.ROI_HEADS.NAME not in HEADS.values():
        node.MODEL.ROI_HEADS.NAME = HEADS["siamese"]
    with tempfile.TemporaryDirectory() as folder:
        read = read_official_config(write_text(Path(folder) / "config.yaml", node.dump()))
    values, defaults = (flatten(tree) for tree in (node, get_cfg()))
    same = {name for name in defaults if values.get(name) == defaults[name]}
    return replace(read, unknown=tuple(name for name in read.unknown if name not in same))


def node_of(
    config: DetectorConfig,
    meta: str = NAME,
    *,
    detect: DetectConfig | None = None,
    loss: LossConfig | None = None,
) -> Any:
    """A configuration node of detectron2 for our settings, on the CPU, without weights.

    Args:
        config: the architecture.
        meta: the meta-architecture: ours, or ``ProposalNetwork`` for the trunk alone.
        detect: settings of the test; the published ones unless given.
        loss: limits of the proposal network in training; the published ones unless given.

    Raises:
        EgolibError: detectron2's networks cannot be made like this.
    """
    require("detectron2")
    node = _empty_node()
    node.MODEL.META_ARCHITECTURE = meta
    node.MODEL.DEVICE, node.MODEL.WEIGHTS = "cpu", ""
    node.MODEL.PIXEL_MEAN, node.MODEL.PIXEL_STD = list(config.pixel_mean), list(config.pixel_std)
    _set_trunk(node.MODEL, config)
    _set_proposals(node.MODEL, config, detect or DetectConfig(), loss or LossConfig())
    _set_heads(node, config, detect or DetectConfig())
    return node


def _empty_node() -> Any:
    from detectron2.config import CfgNode, get_cfg

    node = get_cfg()
    node.MODEL.ROI_SIAMESE_HEAD = CfgNode(new_allowed=True)
    for part in (node, node.MODEL, node.INPUT):
        part.set_new_allowed(True)
    return node


def _set_trunk(model: Any, config: DetectorConfig) -> None:
    backbone, levels = config.backbone, len(config.backbone.blocks)
    depth = next((d for d, blocks in DEPTHS.items() if blocks == tuple(backbone.blocks)), None)
    if depth is None or backbone.norm != "fixed":
        raise EgolibError(
            f"detectron2 has no ResNet of {backbone.blocks} blocks with {backbone.norm} norms"
        )
    model.BACKBONE.NAME, model.BACKBONE.FREEZE_AT = "build_resnet_fpn_backbone", 0
    model.RESNETS.DEPTH = depth
    model.RESNETS.STRIDE_IN_1X1 = backbone.stride_in == "1x1"
    model.RESNETS.STEM_OUT_CHANNELS = backbone.stem_channels
    model.RESNETS.WIDTH_PER_GROUP = backbone.width
    model.RESNETS.RES2_OUT_CHANNELS = 4 * backbone.width
    model.RESNETS.OUT_FEATURES = [f"res{i + 2}" for i in range(levels)]
    model.FPN.IN_FEATURES = [f"res{i + 2}" for i in range(config.pyramid.first, levels)]
    model.FPN.OUT_CHANNELS = config.pyramid.channels


def _set_proposals(
    model: Any, config: DetectorConfig, detect: DetectConfig, loss: LossConfig
) -> None:
    anchors, train, test = config.rpn.anchors, loss.proposals, detect.proposals
    first = config.pyramid.first + 2
    model.ANCHOR_GENERATOR.SIZES = [list(sizes) for sizes in anchors.sizes]
    model.ANCHOR_GENERATOR.ASPECT_RATIOS = [list(anchors.ratios)]
    model.RPN.IN_FEATURES = [f"p{first + i}" for i in range(len(anchors.strides))]
    model.RPN.PRE_NMS_TOPK_TRAIN, model.RPN.PRE_NMS_TOPK_TEST = train.before, test.before
    model.RPN.POST_NMS_TOPK_TRAIN, model.RPN.POST_NMS_TOPK_TEST = train.after, test.after
    model.RPN.NMS_THRESH = test.nms_threshold


def _set_heads(node: Any, config: DetectorConfig, detect: DetectConfig) -> None:
    head, siamese = config.head, node.MODEL.ROI_SIAMESE_HEAD
    node.MODEL.ROI_HEADS.NAME = HEADS[head.kind]
    node.MODEL.ROI_HEADS.NMS_THRESH_TEST = detect.nms_threshold
    node.TEST.DETECTIONS_PER_IMAGE = detect.limit
    siamese.POOLER_RESOLUTION, siamese.HIDDEN_SIZE = config.region_cells, head.hidden
    siamese.PROJECTOR_TYPE, siamese.N_RESIDUAL_LAYERS = head.projector, head.residual_layers
    siamese.SHARE_PROJECTION, siamese.COMPARE_TYPE = head.shared, head.compare
    siamese.TRANS_TYPE, siamese.TRANS_DROPOUT = head.transformer, head.dropout
    siamese.TOKEN_NUMBER_PER_IMAGE = head.tokens
    node.INPUT.MIN_SIZE_TEST, node.INPUT.MAX_SIZE_TEST = detect.short_side, detect.long_side
    node.INPUT.REFERENCE_SIZE = config.reference_side
