"""Key tables between egolib's parameter names and the official checkpoints."""

from __future__ import annotations

from egolib.io.checkpoint import KeyTable
from egolib.vq2d.config import DetectorConfig, HeadConfig

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


def siamese_table(config: DetectorConfig) -> KeyTable:
    """The detectron2 layout of a Siamese R-CNN (301 entries for the published one)."""
    levels = len(config.backbone.blocks) - config.pyramid.first
    return KeyTable(
        [
            *detectron2_trunk(len(config.backbone.blocks), levels, config.pyramid.first + 2),
            *_below("head.", "roi_heads.siam_head.", head_rules(config.head)),
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


def head_rules(config: HeadConfig) -> Rules:
    """Rules for a comparison head, below its own prefix."""
    if config.shared:
        rules = _projector_rules("projectors.region.", "projector.", config)
    else:
        rules = _projector_rules("projectors.region.", "projector_1.", config)
        rules += _projector_rules("projectors.own_reference.", "projector_2.", config)
    if config.kind == "siamese":
        return [*rules, ("bilinear.{rest}", "compare.{rest}")]
    marks = [("marks", "compare.weight")] if config.compare == "token" else []
    return rules + _below("comparison.", "", [*marks, *_SET_RULES])


def _projector_rules(ours: str, official: str, config: HeadConfig) -> Rules:
    if config.projector == "residual":
        blocks = [("blocks.{i}.conv{n}.{rest}", "{i}.conv{n}.{rest}")]
        linear = config.residual_layers + 2
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
