"""detectron2's ``config.yaml`` of an official model folder, read as plain YAML.

Only what decides the network and its test is taken over; names that are neither that nor
known to be without effect on it are listed, so that a changed model is noticed.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from egolib.config import flatten, read_yaml
from egolib.errors import EgolibError
from egolib.vq2d.config import DetectorConfig

DEPTHS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}

OTHER_SECTIONS = (
    "SOLVER.",
    "DATASETS.",
    "DATALOADER.",
    "GLOBAL.",
    "TEST.",
    "INPUT.",
    "MODEL.ROI_BOX_HEAD.",
    "MODEL.ROI_BOX_CASCADE_HEAD.",
    "MODEL.ROI_MASK_HEAD.",
    "MODEL.ROI_KEYPOINT_HEAD.",
    "MODEL.RETINANET.",
    "MODEL.PANOPTIC_FPN.",
    "MODEL.SEM_SEG_HEAD.",
    "MODEL.VIT",
    "MODEL.SFP",
)
"""Sections of detectron2 and of the official extensions that do not touch our network's test."""

WITHOUT_EFFECT = {
    "CUDNN_BENCHMARK",
    "OUTPUT_DIR",
    "SEED",
    "VERSION",
    "VIS_PERIOD",
    *(
        f"MODEL.{name}"
        for name in (
            *("DEVICE", "WEIGHTS", "WEIGHTS_FEATURE", "MASK_ON", "KEYPOINT_ON", "LOAD_PROPOSALS"),
            *("SIAMESE_PRETRAINED_CONFIG", "TEACHER", "BACKBONE.FREEZE_AT"),
            *("RESNETS.OUT_FEATURES", "RESNETS.RES2_OUT_CHANNELS", "FPN.IN_FEATURES"),
            *("RESNETS.DEFORM_MODULATED", "RESNETS.DEFORM_NUM_GROUPS"),
            *("PROPOSAL_GENERATOR.NAME", "ANCHOR_GENERATOR.NAME", "ANCHOR_GENERATOR.ANGLES"),
            *("RPN.HEAD_NAME", "RPN.IN_FEATURES", "RPN.BOUNDARY_THRESH", "RPN.IOU_THRESHOLDS"),
            *("RPN.IOU_LABELS", "RPN.BATCH_SIZE_PER_IMAGE", "RPN.POSITIVE_FRACTION"),
            *("RPN.BBOX_REG_LOSS_TYPE", "RPN.BBOX_REG_LOSS_WEIGHT", "RPN.SMOOTH_L1_BETA"),
            *("RPN.LOSS_WEIGHT", "ROI_HEADS.NUM_CLASSES", "ROI_HEADS.IN_FEATURES"),
            *("ROI_HEADS.IOU_THRESHOLDS", "ROI_HEADS.IOU_LABELS", "ROI_HEADS.POSITIVE_FRACTION"),
            *("ROI_HEADS.BATCH_SIZE_PER_IMAGE", "ROI_HEADS.PROPOSAL_APPEND_GT"),
            "ROI_HEADS.SCORE_THRESH_TEST",  # step 1 sets it to 0
            *("ROI_SIAMESE_HEAD.TXT_FEATURE", "ROI_SIAMESE_HEAD.TXT_SIZE"),
            *("ROI_SIAMESE_HEAD.HARD_NEGATIVE_MINING.ENABLE", "ROI_SIAMESE_HEAD.TRIPLET_MARGIN"),
            "ROI_SIAMESE_HEAD.HARD_NEGATIVE_MINING.NUM_NEGATIVES",
            *("ROI_SIAMESE_HEAD.USE_CROSS_BATCH_NEGATIVES", "ROI_SIAMESE_HEAD.FRAME_LOSS_RATE"),
        )
    ),
}
"""Known names that matter for training only, or not at all."""

REQUIRED = {
    "MODEL.META_ARCHITECTURE": "SiameseRCNN",
    "MODEL.BACKBONE.NAME": "build_resnet_fpn_backbone",
    "MODEL.RESNETS.NORM": "FrozenBN",
    "MODEL.RESNETS.NUM_GROUPS": 1,
    "MODEL.RESNETS.RES5_DILATION": 1,
    "MODEL.RESNETS.STRIDE_IN_1X1": True,
    "MODEL.FPN.NORM": "",
    "MODEL.FPN.FUSE_TYPE": "sum",
    "MODEL.ANCHOR_GENERATOR.OFFSET": 0.0,
    "MODEL.ROI_SIAMESE_HEAD.POOLER_SAMPLING_RATIO": 0,
    "MODEL.ROI_SIAMESE_HEAD.POOLER_TYPE": "ROIAlignV2",
    "MODEL.ROI_SIAMESE_HEAD.IN_FEATURES": ["p3"],
    "MODEL.ROI_SIAMESE_HEAD.QUERY_FEATURE": "p3",
    "MODEL.ROI_SIAMESE_HEAD.LOSS_TYPE": "bce",
    "MODEL.RESNETS.DEFORM_ON_PER_STAGE": [False] * 4,
    "MODEL.PROPOSAL_GENERATOR.MIN_SIZE": 0,
    "MODEL.RPN.CONV_DIMS": [-1],
    "MODEL.RPN.BBOX_REG_WEIGHTS": [1.0, 1.0, 1.0, 1.0],
    "INPUT.REFERENCE_CONTEXT_PAD": 16,
}
"""Names that must have these values where they are given: we build nothing else."""


@dataclass(frozen=True)
class OfficialConfig:
    """What a folder's ``config.yaml`` says.

    Args:
        detector: our configuration.
        unknown: names that were not understood.
    """

    detector: DetectorConfig
    unknown: tuple[str, ...]


def read_official_config(path: str | Path) -> OfficialConfig:
    """Reads ``config.yaml``; a ``_BASE_`` beside it is read first.

    Raises:
        EgolibError: it describes a network that we do not build.
    """
    values = {name: _plain(value) for name, value in flatten(_with_base(Path(path))).items()}
    for name, wanted in REQUIRED.items():
        if name in values and values[name] != wanted:
            raise EgolibError(
                f"{name} is {values[name]!r}; only {wanted!r} is supported", file=path
            )
    detector = DetectorConfig()
    for name, apply in FIELDS.items():
        if name in values:
            detector = apply(detector, values[name])
    known = set(FIELDS) | set(REQUIRED) | WITHOUT_EFFECT
    unknown = [name for name in values if name not in known and not name.startswith(OTHER_SECTIONS)]
    return OfficialConfig(detector, tuple(sorted(unknown)))


def _with_base(path: Path) -> dict[str, Any]:
    content = read_yaml(path)
    base = content.pop("_BASE_", None)
    if base is None:
        return content
    values = flatten(_with_base(path.parent / base)) | flatten(content)
    tree: dict[str, Any] = {}
    for name, value in values.items():
        *parents, last = name.split(".")
        place = tree
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return tree


def _plain(value: Any) -> Any:
    """Values that yacs writes as text, such as tuples."""
    if isinstance(value, str) and value[:1] in "([":
        try:
            value = ast.literal_eval(value)
        except (SyntaxError, ValueError):
            return value
    return list(value) if isinstance(value, tuple) else value


# ---------------------------------------------------------------------- the fields

Apply = Callable[[DetectorConfig, Any], DetectorConfig]


def _own(field: str, convert: Callable = lambda value: value) -> Apply:
    return lambda config, value: replace(config, **{field: convert(value)})


def _part(part: str, field: str, convert: Callable = lambda value: value) -> Apply:
    def apply(config: DetectorConfig, value: Any) -> DetectorConfig:
        changed = replace(getattr(config, part), **{field: convert(value)})
        return replace(config, **{part: changed})

    return apply


def _limit(which: str, field: str) -> Apply:
    def apply(config: DetectorConfig, value: Any) -> DetectorConfig:
        limits = replace(getattr(config.rpn, which), **{field: value})
        return replace(config, rpn=replace(config.rpn, **{which: limits}))

    return apply


def _both_limits(field: str) -> Apply:
    def apply(config: DetectorConfig, value: Any) -> DetectorConfig:
        return _limit("test", field)(_limit("train", field)(config, value), value)

    return apply


def _anchors(field: str, convert: Callable) -> Apply:
    def apply(config: DetectorConfig, value: Any) -> DetectorConfig:
        anchors = replace(config.rpn.anchors, **{field: convert(value)})
        return replace(config, rpn=replace(config.rpn, anchors=anchors))

    return apply


def _depth(value: int) -> tuple[int, ...]:
    if value not in DEPTHS:
        raise EgolibError(f"a residual network of depth {value} is not supported")
    return DEPTHS[value]


def _kind(value: str) -> str:
    kinds = {"SiameseROIHeads": "siamese", "SetTransROIHeads": "set"}
    if value not in kinds:
        raise EgolibError(f"heads of kind {value!r} are not supported", remedy=", ".join(kinds))
    return kinds[value]


def _nested(value: Any) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(v) for v in level) for level in value)


FIELDS: Mapping[str, Apply] = {
    "MODEL.RESNETS.DEPTH": _part("backbone", "blocks", _depth),
    "MODEL.RESNETS.STEM_OUT_CHANNELS": _part("backbone", "stem_channels"),
    "MODEL.RESNETS.WIDTH_PER_GROUP": _part("backbone", "width"),
    "MODEL.FPN.OUT_CHANNELS": _part("pyramid", "channels"),
    "MODEL.ANCHOR_GENERATOR.SIZES": _anchors("sizes", _nested),
    "MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS": _anchors("ratios", lambda v: _nested(v)[0]),
    "MODEL.RPN.PRE_NMS_TOPK_TRAIN": _limit("train", "before"),
    "MODEL.RPN.PRE_NMS_TOPK_TEST": _limit("test", "before"),
    "MODEL.RPN.POST_NMS_TOPK_TRAIN": _limit("train", "after"),
    "MODEL.RPN.POST_NMS_TOPK_TEST": _limit("test", "after"),
    "MODEL.RPN.NMS_THRESH": _both_limits("nms_threshold"),
    "MODEL.ROI_HEADS.NAME": _part("head", "kind", _kind),
    "MODEL.ROI_HEADS.NMS_THRESH_TEST": _own("nms_threshold"),
    "TEST.DETECTIONS_PER_IMAGE": _own("detections"),
    "MODEL.ROI_SIAMESE_HEAD.POOLER_RESOLUTION": _own("region_cells"),
    "MODEL.ROI_SIAMESE_HEAD.HIDDEN_SIZE": _part("head", "hidden"),
    "MODEL.ROI_SIAMESE_HEAD.PROJECTOR_TYPE": _part("head", "projector"),
    "MODEL.ROI_SIAMESE_HEAD.N_RESIDUAL_LAYERS": _part("head", "residual_layers"),
    "MODEL.ROI_SIAMESE_HEAD.SHARE_PROJECTION": _part("head", "shared"),
    "MODEL.ROI_SIAMESE_HEAD.COMPARE_TYPE": _part("head", "compare"),
    "MODEL.ROI_SIAMESE_HEAD.TRANS_TYPE": _part("head", "transformer"),
    "MODEL.ROI_SIAMESE_HEAD.TRANS_DROPOUT": _part("head", "dropout"),
    "MODEL.ROI_SIAMESE_HEAD.TOKEN_NUMBER_PER_IMAGE": _part("head", "tokens"),
    "MODEL.PIXEL_MEAN": _own("pixel_mean", tuple),
    "MODEL.PIXEL_STD": _own("pixel_std", tuple),
    "INPUT.MIN_SIZE_TEST": _own("shortest_side"),
    "INPUT.MAX_SIZE_TEST": _own("longest_side"),
    "INPUT.REFERENCE_SIZE": _own("reference_side"),
}
