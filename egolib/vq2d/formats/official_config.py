"""detectron2's ``config.yaml`` of an official model folder, read as plain YAML.

Only what decides the network and its test is taken over; names that are neither that nor
known to be without effect on it are listed, so that a changed model is noticed.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from egolib.config import build, flatten, read_yaml
from egolib.errors import EgolibError
from egolib.vq2d.config import DetectConfig, DetectorConfig, LossConfig

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
"""Sections of detectron2 and of the official extensions that do not touch the network's test."""

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
"""Names that must have these values where they are given: nothing else is built."""


@dataclass(frozen=True)
class OfficialConfig:
    """What a folder's ``config.yaml`` says.

    Args:
        detector: the architecture.
        detect: settings of step 1.
        loss: the limits of the proposal network in training; all else as published.
        unknown: names that were not understood.
    """

    detector: DetectorConfig = field(default_factory=DetectorConfig)
    detect: DetectConfig = field(default_factory=DetectConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    unknown: tuple[str, ...] = ()


def read_official_config(path: str | Path) -> OfficialConfig:
    """Reads ``config.yaml``; a ``_BASE_`` beside it is read first.

    Raises:
        EgolibError: it describes a network that egolib does not build.
    """
    values = {name: _plain(value) for name, value in flatten(_with_base(Path(path))).items()}
    for name, wanted in REQUIRED.items():
        if name in values and values[name] != wanted:
            raise EgolibError(
                f"{name} is {values[name]!r}; only {wanted!r} is supported", file=path
            )
    given = {
        place: convert(values[name]) for name, (place, convert) in FIELDS.items() if name in values
    }
    if given.get("detector.head.kind", "siamese") == "siamese":
        given.pop("detector.head.transformer", None)  # the official default stands there too
    try:
        found = build(OfficialConfig, unflatten(given))
    except EgolibError as error:
        raise EgolibError(error.what, file=path, remedy=error.remedy) from error
    if min(found.detect.short_side, found.detect.long_side) < 1:
        raise EgolibError("pictures need positive sides", file=path, record="INPUT")
    known = set(FIELDS) | set(REQUIRED) | WITHOUT_EFFECT
    unknown = [name for name in values if name not in known and not name.startswith(OTHER_SECTIONS)]
    return replace(found, unknown=tuple(sorted(unknown)))


def _with_base(path: Path) -> dict[str, Any]:
    content = read_yaml(path)
    base = content.pop("_BASE_", None)
    if base is None:
        return content
    return unflatten(flatten(_with_base(path.parent / base)) | flatten(content))


def unflatten(values: Mapping[str, Any]) -> dict[str, Any]:
    """Nested values from dotted names: the inverse of ``egolib.config.flatten``."""
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


def _same(value: Any) -> Any:
    return value


HEAD = "MODEL.ROI_SIAMESE_HEAD."
FIELDS: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "MODEL.RESNETS.DEPTH": ("detector.backbone.blocks", _depth),
    "MODEL.RESNETS.STEM_OUT_CHANNELS": ("detector.backbone.stem_channels", _same),
    "MODEL.RESNETS.WIDTH_PER_GROUP": ("detector.backbone.width", _same),
    "MODEL.FPN.OUT_CHANNELS": ("detector.pyramid.channels", _same),
    "MODEL.ANCHOR_GENERATOR.SIZES": ("detector.rpn.anchors.sizes", _nested),
    "MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS": ("detector.rpn.anchors.ratios", lambda v: v[0]),
    "MODEL.RPN.PRE_NMS_TOPK_TRAIN": ("loss.proposals.before", _same),
    "MODEL.RPN.PRE_NMS_TOPK_TEST": ("detect.proposals.before", _same),
    "MODEL.RPN.POST_NMS_TOPK_TRAIN": ("loss.proposals.after", _same),
    "MODEL.RPN.POST_NMS_TOPK_TEST": ("detect.proposals.after", _same),
    "MODEL.RPN.NMS_THRESH": ("detect.proposals.nms_threshold", _same),
    "MODEL.ROI_HEADS.NAME": ("detector.head.kind", _kind),
    "MODEL.ROI_HEADS.NMS_THRESH_TEST": ("detect.nms_threshold", _same),
    "TEST.DETECTIONS_PER_IMAGE": ("detect.limit", _same),
    f"{HEAD}POOLER_RESOLUTION": ("detector.region_cells", _same),
    f"{HEAD}HIDDEN_SIZE": ("detector.head.hidden", _same),
    f"{HEAD}PROJECTOR_TYPE": ("detector.head.projector", _same),
    f"{HEAD}N_RESIDUAL_LAYERS": ("detector.head.residual_layers", _same),
    f"{HEAD}SHARE_PROJECTION": ("detector.head.shared", _same),
    f"{HEAD}COMPARE_TYPE": ("detector.head.compare", _same),
    f"{HEAD}TRANS_TYPE": ("detector.head.transformer", _same),
    f"{HEAD}TRANS_DROPOUT": ("detector.head.dropout", _same),
    f"{HEAD}TOKEN_NUMBER_PER_IMAGE": ("detector.head.tokens", _same),
    "MODEL.PIXEL_MEAN": ("detector.pixel_mean", _same),
    "MODEL.PIXEL_STD": ("detector.pixel_std", _same),
    "INPUT.MIN_SIZE_TEST": ("detect.short_side", _same),
    "INPUT.MAX_SIZE_TEST": ("detect.long_side", _same),
    "INPUT.REFERENCE_SIZE": ("detector.reference_side", _same),
}
"""Name in ``config.yaml`` -> the field of ``OfficialConfig``, and how values change."""
