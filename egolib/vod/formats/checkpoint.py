"""Official checkpoints of video object detectors, in both directions.

Two layouts of names: ``mmdet`` (vfe.pytorch, STPN, EOVOD, mmtracking) and ``mega``
(mega.pytorch, maskrcnn-benchmark). Both are strict in both directions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from egolib.config import build, to_tree
from egolib.errors import EgolibError
from egolib.io.checkpoint import (
    KeyTable,
    LoadReport,
    OfficialModel,
    Rule,
    compare,
    find_state,
    read_foreign,
)
from egolib.nn.anchors import cell_anchors
from egolib.nn.swin import relative_position_index
from egolib.vod.config import networks  # noqa: F401  (fills ModelConfig.builders)
from egolib.vod.config.model import ModelConfig

State = dict[str, Tensor]
Pairs = list[tuple[str, str]]


@dataclass(frozen=True)
class Layout:
    """How an official checkpoint of a network is laid out.

    Args:
        name: ``mmdet`` or ``mega``.
        table: names in both directions.
        prefix: of all official names; a file may lack it (a detector built alone).
        constants: entries of the official file that follow from the settings.
    """

    name: str
    table: KeyTable
    prefix: str
    constants: State

    def load(
        self, model: nn.Module, official: Mapping[str, Tensor], *, file: str | Path | None = None
    ) -> LoadReport:
        """Loads an official state dict into our network, strictly.

        Args:
            model: a network of ours that this layout belongs to; it is filled in place.
            official: tensors by official names.
            file: named in errors.

        Raises:
            EgolibError: an entry is missing, left over or of another shape, or a constant differs.
        """
        state = self.to_ours(official, file=file)
        report = compare(state, model.state_dict()).require_complete(file=file)
        model.load_state_dict(state)
        return report

    def to_ours(
        self,
        official: Mapping[str, Tensor],
        *,
        file: str | Path | None = None,
        strict: bool = True,
    ) -> State:
        """An official state dict under our names; ``load`` compares it with the network.

        Args:
            official: by official names.
            file: named in errors.
            strict: what follows from the settings must agree with them.
        """
        official = self._prefixed(official)
        if strict:
            self._check_constants(official, file)
        return self.table.to_ours(official)

    def to_official(self, state: Mapping[str, Tensor], prefix: bool = True) -> State:
        """Our state dict under the official names, with all entries that a file has.

        Args:
            state: by our names.
            prefix: False names a detector that is built alone.
        """
        result = self.table.to_official(state) | self.constants
        if self.name == "mmdet":
            result |= {
                name.replace("running_var", "num_batches_tracked"): torch.zeros(
                    (), dtype=torch.int64
                )
                for name in result
                if name.endswith(".running_var")
            }
        if not prefix:
            result = {name.removeprefix(self.prefix): value for name, value in result.items()}
        return result

    def _prefixed(self, official: Mapping[str, Tensor]) -> State:
        if not self.prefix or any(name.startswith(self.prefix) for name in official):
            return dict(official)
        return {self.prefix + name: value for name, value in official.items()}

    def _check_constants(self, official: Mapping[str, Tensor], file: str | Path | None) -> None:
        for name, expected in self.constants.items():
            found = official.get(name)
            if found is not None and not torch.allclose(found.to(expected), expected):
                raise EgolibError(
                    f"{name!r} differs from what the settings say", file=file, record=name
                )


def layout(config: ModelConfig) -> Layout:
    """The official layout of a network."""
    if config.detector == "c4":
        return _mega_layout(config)
    return _mmdet_layout(config)


def load_official(model: nn.Module, config: ModelConfig, path: str | Path) -> LoadReport:
    """Loads an official file (``state_dict``, ``model``, or the weights themselves), strictly.

    Args:
        model: the network to fill, in place.
        config: its settings, which decide the layout.
        path: a checkpoint of the official code.
    """
    return layout(config).load(model, find_state(read_foreign(path)), file=path)


# -------------------------------------------------------------------------- mmdet

RESNET_NAMES: Pairs = [
    ("backbone.stem.conv.weight", "backbone.conv1.weight"),
    ("backbone.stem.norm.{p}", "backbone.bn1.{p}"),
    ("backbone.layer{i}.{b}.conv{k}.weight", "backbone.layer{i}.{b}.conv{k}.weight"),
    ("backbone.layer{i}.{b}.norm{k}.{p}", "backbone.layer{i}.{b}.bn{k}.{p}"),
    ("backbone.layer{i}.{b}.shortcut.conv.weight", "backbone.layer{i}.{b}.downsample.0.weight"),
    ("backbone.layer{i}.{b}.shortcut.norm.{p}", "backbone.layer{i}.{b}.downsample.1.{p}"),
]
_BLOCK = "backbone.stages.{i}.blocks.{j}."
_SWIN: Pairs = [
    ("backbone.patches.conv.{p}", "backbone.patch_embed.projection.{p}"),
    ("backbone.patches.norm.{p}", "backbone.patch_embed.norm.{p}"),
    (_BLOCK + "norm{k}.{p}", _BLOCK + "norm{k}.{p}"),
    (_BLOCK + "attention.bias_table", _BLOCK + "attn.w_msa.relative_position_bias_table"),
    (_BLOCK + "attention.qkv.{p}", _BLOCK + "attn.w_msa.qkv.{p}"),
    (_BLOCK + "attention.out.{p}", _BLOCK + "attn.w_msa.proj.{p}"),
    (_BLOCK + "mlp.inner.{p}", _BLOCK + "ffn.layers.0.0.{p}"),
    (_BLOCK + "mlp.outer.{p}", _BLOCK + "ffn.layers.1.{p}"),
    ("backbone.stages.{i}.merge.{rest}", "backbone.stages.{i}.downsample.{rest}"),
    ("backbone.norms.{i}.{p}", "backbone.norm{i}.{p}"),
]
_RPN: Pairs = [
    ("rpn.head.conv.{p}", "rpn_head.rpn_conv.{p}"),
    ("rpn.head.logits.{p}", "rpn_head.rpn_cls.{p}"),
    ("rpn.head.offsets.{p}", "rpn_head.rpn_reg.{p}"),
]


def _mmdet_layout(config: ModelConfig) -> Layout:
    detector = [
        *(_SWIN if config.backbone == "swin" else RESNET_NAMES),
        *_neck(config),
        *(_fcos(config) if config.detector == "fcos" else [*_RPN, *_head()]),
    ]
    rules = [(f"detector.{ours}", f"detector.{official}") for ours, official in detector]
    table = KeyTable(
        [*rules, *_method(config)],
        drop_official=["{rest}.num_batches_tracked", "{rest}.relative_position_index"],
    )
    return Layout("mmdet", table, "detector.", _swin_constants(config))


def _swin_constants(config: ModelConfig) -> State:
    if config.backbone != "swin":
        return {}
    index = relative_position_index(config.swin.window)
    return {
        f"detector.backbone.stages.{i}.blocks.{j}.attn.w_msa.relative_position_index": index
        for i, depth in enumerate(config.swin.depths)
        for j in range(depth)
    }


def _neck(config: ModelConfig) -> Pairs:
    if config.neck == "reduce":
        return [("neck.reduce.conv.{p}", "neck.convs.0.conv.{p}")]
    used = 4 - config.pyramid.first
    extra = [
        (f"neck.pyramid.extra.{i}.{{p}}", f"neck.fpn_convs.{used + i}.conv.{{p}}")
        for i in range(config.pyramid.levels - used)
    ]
    return [
        *extra,
        ("neck.pyramid.lateral.{i}.{p}", "neck.lateral_convs.{i}.conv.{p}"),
        ("neck.pyramid.output.{i}.{p}", "neck.fpn_convs.{i}.conv.{p}"),
    ]


def _head() -> Pairs:
    box = "roi_head.bbox_head."
    return [
        ("head.layers.{i}.{p}", box + "shared_fcs.{i}.{p}"),
        ("head.predict.classify.{p}", box + "fc_cls.{p}"),
        ("head.predict.locate.{p}", box + "fc_reg.{p}"),
        *_attention("head.aggregators.{i}.", box + "aggregator.{i}."),
    ]


def _fcos(config: ModelConfig) -> Pairs:
    pairs: Pairs = []
    for ours, official in (("class_tower", "cls_convs"), ("box_tower", "reg_convs")):
        for i in range(config.fcos.layers):
            conv = f"head.{ours}.{3 * i}.weight"
            pairs.append((conv, f"bbox_head.{official}.{i}.conv.weight"))
            norm = f"head.{ours}.{3 * i + 1}.{{p}}"
            pairs.append((norm, f"bbox_head.{official}.{i}.gn.{{p}}"))
    return [
        *pairs,
        ("head.classify.{p}", "bbox_head.conv_cls.{p}"),
        ("head.locate.{p}", "bbox_head.conv_reg.{p}"),
        ("head.centre.{p}", "bbox_head.conv_centerness.{p}"),
        ("head.scales.{i}.factor", "bbox_head.scales.{i}.scale"),
    ]


def _attention(ours: str, official: str) -> Pairs:
    names = {"query": "fc_embed", "key": "ref_fc_embed", "value": "ref_fc", "out": "fc"}
    return [(f"{ours}{a}.{{p}}", f"{official}{b}.{{p}}") for a, b in names.items()]


def _method(config: ModelConfig) -> Pairs:
    """Names outside the frame detector."""
    if config.method == "stpn":
        return [
            ("predictor.query", "prompt_predictor.query"),
            ("predictor.reduction.{p}", "prompt_predictor.reduction.{p}"),
            *_attention("predictor.aggregator.", "prompt_predictor."),
        ]
    if config.method == "eovod":
        return _attention("aggregators.{i}.", "memory.memories.{i}.aggregator.")
    if config.method == "mamba":
        return _attention("pixel.", "pixel.aggregator.")
    if config.method in ("dff", "fgfa"):
        return [*_flow(), ("embed.{p}", "aggregator.embed_convs.0.conv.{p}")]
    return []


def _flow() -> Pairs:
    encoder = [
        (f"motion.encoder.{i}.{{j}}.0.{{p}}", f"motion.conv{i + 1}.{{j}}.conv.{{p}}")
        for i in range(6)
    ]
    pairs = [*encoder]
    for i, level in enumerate((5, 4, 3, 2)):
        pairs.append((f"motion.decode.{i}.{{p}}", f"motion.deconv{level}.conv.{{p}}"))
        pairs.append((f"motion.upsample.{i}.{{p}}", f"motion.upsample_flow{level}.conv.{{p}}"))
    for i, level_name in enumerate(("6", "5", "4", "3", "")):
        pairs.append((f"motion.predict.{i}.{{p}}", f"motion.predict_flow{level_name}.conv.{{p}}"))
    return pairs


# --------------------------------------------------------------------------- mega


def _mega_layout(config: ModelConfig) -> Layout:
    box = "roi_heads.box."
    rules: list[Rule | tuple[str, str]] = [
        ("detector.backbone.stem.conv.weight", "backbone.body.stem.conv1.weight"),
        ("detector.backbone.stem.norm.{p}", "backbone.body.stem.bn1.{p}"),
        *_mega_blocks("detector.backbone.layer{i}.", "backbone.body.layer{i}."),
        *_mega_blocks("detector.head.stage.", box + "feature_extractor.head.layer4."),
        ("detector.rpn.head.conv.{p}", "rpn.head.conv.{p}"),
        ("detector.rpn.head.logits.{p}", "rpn.head.cls_logits.{p}"),
        ("detector.rpn.head.offsets.{p}", "rpn.head.bbox_pred.{p}"),
        ("detector.head.reduce.{p}", box + "feature_extractor.conv.{p}"),
        ("detector.head.predict.classify.{p}", box + "predictor.cls_score.{p}"),
        ("detector.head.predict.locate.{p}", box + "predictor.bbox_pred.{p}"),
        *_mega_layers(config, box + "feature_extractor."),
    ]
    anchors = "rpn.anchor_generator.cell_anchors.0"
    constants = {anchors: cell_anchors(config.rpn.anchors)}
    return Layout("mega", KeyTable(rules, drop_official=[anchors]), "", constants)


def _mega_blocks(ours: str, official: str) -> Pairs:
    return [
        (ours + "{b}.conv{k}.weight", official + "{b}.conv{k}.weight"),
        (ours + "{b}.norm{k}.{p}", official + "{b}.bn{k}.{p}"),
        (ours + "{b}.shortcut.conv.weight", official + "{b}.downsample.0.weight"),
        (ours + "{b}.shortcut.norm.{p}", official + "{b}.downsample.1.{p}"),
    ]


def _mega_layers(config: ModelConfig, official: str) -> Iterable[Rule | tuple[str, str]]:
    if config.method == "single":
        return [
            ("detector.head.layers.0.{p}", official + "fc6.{p}"),
            ("detector.head.layers.1.{p}", official + "fc7.{p}"),
        ]
    rules: list[Rule | tuple[str, str]] = [
        ("detector.head.layers.{i}.{p}", official + "l_fcs.{i}.{p}")
    ]
    for ours, letter in (("local", "l"), ("whole", "g")):
        start, end = f"detector.head.{ours}.{{i}}.", f"{official}{letter}_"
        for name, short in (("position", "Wgs"), ("value", "Wvs")):
            rules.append(
                Rule(start + name + ".weight", f"{end}{short}.{{i}}.weight", _to_matrix, _to_conv)
            )
            rules.append((start + name + ".bias", f"{end}{short}.{{i}}.bias"))
        rules.append((start + "query.{p}", end + "Wqs.{i}.{p}"))
        rules.append((start + "key.{p}", end + "Wks.{i}.{p}"))
        rules.append((start + "bias", end + "us.{i}"))
    return rules


def _to_matrix(weight: Tensor) -> Tensor:
    """A 1x1 convolution's weight as a matrix. For the grouped one, row o holds what group
    o // 64 makes of a whole support row, which is what our linear layer does."""
    return weight.flatten(1)


def _to_conv(weight: Tensor) -> Tensor:
    return weight[:, :, None, None]


# ------------------------------------------------------------------- egolib convert


@cache
def official_shapes(name: str) -> dict[str, tuple[int, ...]]:
    """Entries and shapes of the official file of a published network, counters left out."""
    from egolib.vod.models.build import build_empty

    config = ModelConfig.builders[name]()
    state = layout(config).to_official(build_empty(config).state_dict())
    return {key: tuple(value.shape) for key, value in state.items() if not _is_counter(key)}


def _is_counter(name: str) -> bool:
    return name.endswith(("num_batches_tracked", "relative_position_index"))


def _matches(name: str, state: Mapping[str, Tensor]) -> bool:
    wanted = official_shapes(name)
    prefix = layout(ModelConfig.builders[name]()).prefix
    found = {key: tuple(v.shape) for key, v in state.items() if not _is_counter(key)}
    if prefix and not any(key.startswith(prefix) for key in found):
        found = {prefix + key: shape for key, shape in found.items()}
    return found == wanted


def _converted(name: str, state: Mapping[str, Tensor]) -> tuple[State, dict[str, Any]]:
    from egolib.vod.models.build import build_empty

    config = ModelConfig.builders[name]()
    ours = layout(config).to_ours(state)
    compare(ours, build_empty(config).state_dict()).require_complete()
    return ours, {"model": to_tree(config)}


def _back(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> State:
    return layout(build(ModelConfig, config["model"])).to_official(state)


def _read(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> State:
    return layout(build(ModelConfig, config["model"])).to_ours(state)


def _empty(config: Mapping[str, Any]) -> Mapping[str, Tensor]:
    from egolib.vod.models.build import build_empty

    return build_empty(build(ModelConfig, config["model"])).state_dict()


MODELS = [
    OfficialModel(
        f"vod/{name}",
        partial(_matches, name),
        partial(_converted, name),
        _back,
        read=_read,
        empty=_empty,
        accepts=lambda config: True,
    )
    for name in ModelConfig.builders
]
