"""What the entries of an official checkpoint say about the network that they belong to.

Sizes follow from names and shapes. What no entry shows (anchor sizes, grey levels, sides of
crops) is taken from a configuration to start from.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from torch import Tensor

from egolib.errors import EgolibError
from egolib.nn.config import ResNetConfig
from egolib.vq2d.config import DetectorConfig, HeadConfig, KysConfig

HEAD = "roi_heads.siam_head."
Shapes = Mapping[str, Tensor]


def infer_detector(
    state: Shapes, start: DetectorConfig | None = None, head: str = ""
) -> DetectorConfig:
    """The detector of an official checkpoint.

    Args:
        state: with detectron2's names.
        start: what no entry shows; the published detector unless given.
        head: ``<compare>/<transformer>``, where the entries fit two heads.

    Raises:
        EgolibError: entries are missing, or two heads fit.
    """
    start = start or DetectorConfig()
    names = {
        "stem": "backbone.bottom_up.stem.conv1.weight",
        "norm": "backbone.bottom_up.stem.conv1.norm.running_mean",
        "first": "backbone.bottom_up.res2.0.conv1.weight",
    }
    blocks = _blocks(state, r"backbone\.bottom_up\.res(\d+)\.(\d+)\.conv1\.weight", first=2)
    channels = _shape(state, "backbone.fpn_output2.weight")[0]
    found = infer_head(state, choice=head or _choice(start.head))
    same = ("projector", "shared", "kind", "compare", "transformer", "hidden", "residual_layers")
    return replace(
        start,
        backbone=_backbone(state, start.backbone, blocks, names),
        pyramid=replace(start.pyramid, channels=channels),
        head=replace(start.head, **{name: getattr(found, name) for name in same}),
    )


def infer_kys(state: Shapes, start: KysConfig | None = None) -> KysConfig:
    """The KYS network of an official checkpoint.

    Args:
        state: with PyTracking's names.
        start: what no entry shows; the published network unless given.

    Raises:
        EgolibError: entries are missing.
    """
    start = start or KysConfig()
    prefix = "backbone_feature_extractor."
    names = {
        "stem": f"{prefix}conv1.weight",
        "norm": f"{prefix}bn1.running_mean",
        "first": f"{prefix}layer1.0.conv1.weight",
    }
    blocks = _blocks(state, r"backbone_feature_extractor\.layer(\d+)\.(\d+)\.conv1\.weight")
    predictor = "predictor.predictor."
    classifier = "dimp_classifier."
    own = "batch" if "bb_regressor.conv3_1r.1.running_mean" in state else "group"
    return replace(
        start,
        backbone=_backbone(state, start.backbone, blocks, names),
        classifier_channels=_shape(state, f"{classifier}feature_extractor.0.weight")[0],
        distance_bins=_shape(state, f"{classifier}filter_optimizer.label_map_predictor.weight")[1],
        state_channels=_shape(state, f"{predictor}state_predictor.conv_reset.weight")[0],
        representation_channels=_shape(state, f"{predictor}representation_predictor.0.0.weight")[0],
        iou_reference=_shape(state, "bb_regressor.conv3_1r.0.weight")[0],
        iou_channels=_shape(state, "bb_regressor.conv3_1t.0.weight")[0],
        norm=own,  # type: ignore[arg-type]
    )


def _backbone(
    state: Shapes, start: ResNetConfig, blocks: tuple[int, ...], names: Mapping[str, str]
) -> ResNetConfig:
    """Sizes and norms; norms without statistics are those of groups."""
    statistics = names["norm"] in state
    norm: Literal["fixed", "batch", "group"]
    norm = "group" if not statistics else ("fixed" if start.norm == "group" else start.norm)
    return replace(
        start,
        blocks=blocks,
        stem_channels=_shape(state, names["stem"])[0],
        width=_shape(state, names["first"])[0],
        norm=norm,
    )


def _blocks(state: Shapes, pattern: str, first: int = 1) -> tuple[int, ...]:
    """Blocks of every stage."""
    found = [match for name in state if (match := re.fullmatch(pattern, name))]
    places = {(int(match[1]), int(match[2])) for match in found}
    stages = sorted({stage for stage, _ in places})
    if stages != list(range(first, first + len(stages))) or not stages:
        raise EgolibError("the checkpoint has no residual network", record=pattern)
    return tuple(sum(stage == own for own, _ in places) for stage in stages)


def _shape(state: Shapes, name: str) -> tuple[int, ...]:
    if name not in state:
        raise EgolibError("the checkpoint lacks an entry", record=name)
    return tuple(state[name].shape)


# ----------------------------------------------------------------------------- heads


def _choice(head: HeadConfig) -> str:
    """A configured set head, which decides where the entries fit two."""
    return f"{head.compare}/{head.transformer}" if head.kind == "set" else ""


def infer_head(state: Shapes, prefix: str = HEAD, choice: str = "") -> HeadConfig:
    """The head of an official checkpoint, told from its names and shapes.

    Args:
        state: of the whole checkpoint.
        prefix: of the head's entries.
        choice: ``<compare>/<transformer>``, where the entries fit two heads.

    Raises:
        EgolibError: no head, or one that two configurations would fit.
    """
    head = {
        key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)
    }
    shared = any(key.startswith("projector.") for key in head)
    name = "projector." if shared else "projector_1."
    indices = {int(key.split(".")[1]) for key in head if key.startswith(name)}
    if not indices:
        raise EgolibError("the checkpoint has no comparison head", record=prefix)
    last = max(indices)
    residual = f"{name}0.conv1.weight" in head
    hidden = head[f"{name}{last}.weight"].shape[0]
    base: dict[str, Any] = {
        "projector": "residual" if residual else "basic",
        "residual_layers": last - 4 if residual else 4,
        "shared": shared,
        "hidden": hidden,
    }
    if not any(key.startswith("set_trans.") for key in head):
        return HeadConfig(compare="bilinear" if "compare.weight" in head else "dot", **base)
    compare, transformer = _infer_set(head, hidden, choice)
    return HeadConfig("set", compare, transformer, **base)  # type: ignore[arg-type]


def _infer_set(head: Shapes, hidden: int, choice: str) -> tuple[str, str]:
    induced = "set_trans.att1.in_proj_weight" in head
    width = head["set_trans.att1.in_proj_weight" if induced else "set_trans.att.in_proj_weight"]
    tokens, compare = width.shape[1], head.get("compare.weight")
    if induced:
        return ("bilinear" if compare is not None else "att"), "isab"
    if compare is None:
        return ("concat" if tokens == 2 * hidden else "att"), "mab"
    if compare.dim() == 2:
        return "token", "mab"
    if compare.shape[0] == hidden // 2:
        return "bilinear", "mab_global" if "globe.weight" in head else "mab"
    if "globe.weight" in head:
        return "2head", "mab_global"
    # One bilinear score beside attention of the plain width fits two heads.
    if choice in ("2head/mab", "att/mab_global"):
        first, _, second = choice.partition("/")
        return first, second
    raise EgolibError(
        "this head is 2head with mab or att with mab_global, which have the same entries",
        remedy="name it: 2head/mab or att/mab_global",
    )
