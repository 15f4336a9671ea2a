"""Key tables between our parameter names and the official checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from egolib.config import build, to_tree
from egolib.errors import EgolibError
from egolib.io.checkpoint import KeyTable, OfficialModel, State
from egolib.vq2d.config import DetectorConfig, HeadConfig, KysConfig

Rules = list[tuple[str, str]]

# torchvision's layout of a residual network, below a prefix
TORCHVISION_RESNET = [
    ("stem.conv.{rest}", "conv1.{rest}"),
    ("stem.norm.{rest}", "bn1.{rest}"),
    ("layer{s}.{i}.shortcut.conv.{rest}", "layer{s}.{i}.downsample.0.{rest}"),
    ("layer{s}.{i}.shortcut.norm.{rest}", "layer{s}.{i}.downsample.1.{rest}"),
    ("layer{s}.{i}.norm{n}.{rest}", "layer{s}.{i}.bn{n}.{rest}"),
    ("layer{s}.{i}.conv{n}.{rest}", "layer{s}.{i}.conv{n}.{rest}"),
]


def _below(ours: str, official: str, rules: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(f"{ours}{a}", f"{official}{b}") for a, b in rules]


KYS = KeyTable(
    [
        *_below("backbone.", "backbone_feature_extractor.", TORCHVISION_RESNET),
        ("image_classifier.{rest}", "backbone_feature_extractor.fc.{rest}"),
        *_below(
            "classifier.",
            "dimp_classifier.",
            [
                ("features.conv.{rest}", "feature_extractor.0.{rest}"),
                ("initialiser.conv.{rest}", "filter_initializer.filter_conv.{rest}"),
                ("optimiser.log_step", "filter_optimizer.log_step_length"),
                ("optimiser.regularisation", "filter_optimizer.filter_reg"),
                ("optimiser.label.weight", "filter_optimizer.label_map_predictor.weight"),
                (
                    "optimiser.target_mask.weight",
                    "filter_optimizer.target_mask_predictor.0.weight",
                ),
                (
                    "optimiser.spatial_weight.weight",
                    "filter_optimizer.spatial_weight_predictor.weight",
                ),
            ],
        ),
        *_below(
            "predictor.",
            "predictor.predictor.",
            [
                ("to_current.0.{rest}", "cost_volume_proc1.0.0.{rest}"),
                ("to_current.1.{rest}", "cost_volume_proc1.0.1.{rest}"),
                ("to_current.3.{rest}", "cost_volume_proc1.1.0.{rest}"),
                ("to_current.4.{rest}", "cost_volume_proc1.1.1.{rest}"),
                ("to_previous.0.{rest}", "cost_volume_proc2.0.0.{rest}"),
                ("to_previous.1.{rest}", "cost_volume_proc2.0.1.{rest}"),
                ("to_previous.3.{rest}", "cost_volume_proc2.1.0.{rest}"),
                ("to_previous.4.{rest}", "cost_volume_proc2.1.1.{rest}"),
                ("representation.{rest}", "representation_predictor.0.0.{rest}"),
                ("response.{rest}", "response_predictor.0.0.{rest}"),
                ("state_unit.reset.{rest}", "state_predictor.conv_reset.{rest}"),
                ("state_unit.update.{rest}", "state_predictor.conv_update.{rest}"),
                ("state_unit.new.{rest}", "state_predictor.conv_state_new.{rest}"),
                ("first_state.{rest}", "init_hidden_state_predictor.0.0.{rest}"),
                ("is_target.0.{rest}", "is_target_predictor.0.0.{rest}"),
                ("is_target.2.{rest}", "is_target_predictor.1.0.{rest}"),
            ],
        ),
        *_below(
            "iou_net.",
            "bb_regressor.",
            [
                ("shallow_reference.{rest}", "conv3_1r.{rest}"),
                ("shallow_vector.{rest}", "fc3_1r.{rest}"),
                ("deep_reference.{rest}", "conv4_1r.{rest}"),
                ("shallow_modulation.{rest}", "fc34_3r.{rest}"),
                ("deep_modulation.{rest}", "fc34_4r.{rest}"),
                ("shallow_test.0.{rest}", "conv3_1t.0.{rest}"),
                ("shallow_test.1.{rest}", "conv3_1t.1.{rest}"),
                ("shallow_test.3.{rest}", "conv3_2t.0.{rest}"),
                ("shallow_test.4.{rest}", "conv3_2t.1.{rest}"),
                ("deep_test.0.{rest}", "conv4_1t.0.{rest}"),
                ("deep_test.1.{rest}", "conv4_1t.1.{rest}"),
                ("deep_test.3.{rest}", "conv4_2t.0.{rest}"),
                ("deep_test.4.{rest}", "conv4_2t.1.{rest}"),
                ("shallow_regions.linear.{rest}", "fc3_rt.linear.{rest}"),
                ("shallow_regions.norm.{rest}", "fc3_rt.bn.{rest}"),
                ("deep_regions.linear.{rest}", "fc4_rt.linear.{rest}"),
                ("deep_regions.norm.{rest}", "fc4_rt.bn.{rest}"),
                ("iou.{rest}", "iou_predictor.{rest}"),
            ],
        ),
    ]
)
"""The KYS checkpoint of PyTracking (450 entries)."""


# ------------------------------------------------------------------- Siamese R-CNN

EXTRA_ENTRIES = (
    "pixel_mean",
    "pixel_std",
    "proposal_generator.anchor_generator.cell_anchors.{rest}",
)
"""Entries of official files that hold constants."""


def siamese_table(cfg: DetectorConfig) -> KeyTable:
    """The detectron2 layout of a Siamese R-CNN (301 entries for the published one)."""
    levels = len(cfg.backbone.blocks) - cfg.pyramid.first
    return KeyTable(
        [
            *detectron2_trunk(len(cfg.backbone.blocks), levels, cfg.pyramid.first + 2),
            *_below("head.", "roi_heads.siam_head.", head_rules(cfg.head)),
        ],
        drop_official=EXTRA_ENTRIES,
    )


def detectron2_trunk(stages: int, levels: int, finest: int) -> Rules:
    """Rules for backbone, pyramid and proposal network.

    Args:
        stages: of the backbone.
        levels: of the pyramid that come from the backbone.
        finest: number of the finest level ("p2").
    """
    rules = [  # norms lie below their convolutions and are tried first
        ("backbone.stem.norm.{rest}", "backbone.bottom_up.stem.conv1.norm.{rest}"),
        ("backbone.stem.conv.{rest}", "backbone.bottom_up.stem.conv1.{rest}"),
        ("proposals.head.conv.{rest}", "proposal_generator.rpn_head.conv.{rest}"),
        ("proposals.head.logits.{rest}", "proposal_generator.rpn_head.objectness_logits.{rest}"),
        ("proposals.head.offsets.{rest}", "proposal_generator.rpn_head.anchor_deltas.{rest}"),
    ]
    for stage in range(1, stages + 1):
        ours, official = (
            f"backbone.layer{stage}.{{i}}.",
            f"backbone.bottom_up.res{stage + 1}.{{i}}.",
        )
        rules += [
            (f"{ours}shortcut.norm.{{rest}}", f"{official}shortcut.norm.{{rest}}"),
            (f"{ours}shortcut.conv.{{rest}}", f"{official}shortcut.{{rest}}"),
            (f"{ours}norm{{n}}.{{rest}}", f"{official}conv{{n}}.norm.{{rest}}"),
            (f"{ours}conv{{n}}.{{rest}}", f"{official}conv{{n}}.{{rest}}"),
        ]
    for level in range(levels):
        for part in ("lateral", "output"):
            ours = f"pyramid.{part}.{level}.{{rest}}"
            rules.append((ours, f"backbone.fpn_{part}{level + finest}.{{rest}}"))
    return rules


def head_rules(cfg: HeadConfig) -> Rules:
    """Rules for a comparison head, below its own prefix."""
    if cfg.shared:
        rules = _projector_rules("projectors.region.", "projector.", cfg)
    else:
        rules = _projector_rules("projectors.region.", "projector_1.", cfg)
        rules += _projector_rules("projectors.own_reference.", "projector_2.", cfg)
    if cfg.kind == "siamese":
        return [*rules, ("bilinear.{rest}", "compare.{rest}")]
    marks = [("marks", "compare.weight")] if cfg.compare == "token" else []
    return rules + _below("comparison.", "", [*marks, *_SET_RULES])


def _projector_rules(ours: str, official: str, cfg: HeadConfig) -> Rules:
    if cfg.projector == "residual":
        blocks = [("blocks.{i}.conv{n}.{rest}", "{i}.conv{n}.{rest}")]
        linear = cfg.residual_layers + 2
    else:
        blocks = [(f"blocks.{i}.0.{{rest}}", f"{2 * i}.{{rest}}") for i in range(3)]
        linear = 8
    linears = [
        ("linear1.{rest}", f"{linear}.{{rest}}"),
        ("linear2.{rest}", f"{linear + 2}.{{rest}}"),
    ]
    return _below(ours, official, [*blocks, *linears])


_SET_RULES = [
    ("bilinear.{rest}", "compare.{rest}"),
    ("frame_token.weight", "globe.weight"),
    ("block.block.attention.{rest}", "set_trans.att.{rest}"),
    ("block.block.mlp.{rest}", "set_trans.mlp.{rest}"),
    ("block.block.norm1.{rest}", "set_trans.norm1.{rest}"),
    ("block.block.norm2.{rest}", "set_trans.norm2.{rest}"),
    ("block.score.{rest}", "set_trans.pred.{rest}"),
    ("block.region_score.{rest}", "set_trans.pred_element.{rest}"),
    ("block.frame_score.{rest}", "set_trans.pred_set.{rest}"),
    *(
        (f"block.{ours}.{part}.{{rest}}", f"set_trans.{official}.{{rest}}")
        for number, ours in ((1, "regions"), (2, "frame"))
        for part, official in (
            ("attention", f"att{number}"),
            ("mlp", f"mlp_{number}"),
            ("norm1", f"norm1_{number}"),
            ("norm2", f"norm2_{number}"),
        )
    ),
]


# ------------------------------------------------------- what a checkpoint says itself


def infer_head(
    state: Mapping[str, Tensor], prefix: str = "roi_heads.siam_head.", choice: str = ""
) -> HeadConfig:
    """The head of an official checkpoint, told from its names and shapes.

    Args:
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
    base = {
        "projector": "residual" if residual else "basic",
        "residual_layers": last - 4 if residual else 4,
        "shared": shared,
        "hidden": hidden,
    }
    if not any(key.startswith("set_trans.") for key in head):
        compare = "bilinear" if "compare.weight" in head else "dot"
        return HeadConfig(kind="siamese", compare=compare, **base)  # type: ignore[arg-type]
    compare, transformer = choice.split("/") if choice else _infer_set(head, hidden)
    return HeadConfig("set", compare, transformer, **base)  # type: ignore[arg-type]


def _infer_set(head: Mapping[str, Tensor], hidden: int) -> tuple[str, str]:
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
    raise EgolibError(
        "this head is 2head with mab or att with mab_global, which have the same entries",
        remedy="name it: 2head/mab or att/mab_global",
    )


# ----------------------------------------------------------------- for ``egolib convert``


def _siamese_to_ours(official: Mapping[str, Tensor]) -> tuple[State, dict[str, Any]]:
    cfg = replace(DetectorConfig(), head=infer_head(official))
    return siamese_table(cfg).to_ours(official), {"model": to_tree(cfg)}


def _siamese_to_official(ours: Mapping[str, Tensor], config: dict[str, Any]) -> State:
    return siamese_table(build(DetectorConfig, config["model"])).to_official(ours)


def _is_siamese(state: Mapping[str, Tensor]) -> bool:
    names = ("backbone.bottom_up.stem.conv1.weight", "roi_heads.siam_head.")
    return names[0] in state and any(key.startswith(names[1]) for key in state)


def _table_of(config: dict[str, Any]) -> KeyTable:
    return siamese_table(build(DetectorConfig, config["model"]))


def _empty_siamese(config: dict[str, Any]) -> Mapping[str, Tensor]:
    from egolib.vq2d.models.model import SiameseRcnn

    with torch.device("meta"):
        return SiameseRcnn(build(DetectorConfig, config["model"])).state_dict()


def _empty_kys(config: dict[str, Any]) -> Mapping[str, Tensor]:
    from egolib.vq2d.tracking.kys.network import KysNetwork

    with torch.device("meta"):
        return KysNetwork(build(KysConfig, config["model"])).state_dict()


MODELS = [
    OfficialModel(
        "vq2d/siamese_rcnn",
        _is_siamese,
        _siamese_to_ours,
        _siamese_to_official,
        read=lambda state, config: _table_of(config).to_ours(state),
        empty=_empty_siamese,
    ),
    OfficialModel(
        "vq2d/kys",
        lambda state: "dimp_classifier.filter_optimizer.log_step_length" in state,
        lambda official: (KYS.to_ours(official), {"model": to_tree(KysConfig())}),
        lambda ours, _: KYS.to_official(ours),
        read=lambda official, _: KYS.to_ours(official),
        empty=_empty_kys,
    ),
]
"""The published architectures of this task."""
