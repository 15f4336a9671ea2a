"""Official VSLNet weights (EgoNLQ): our parameter names and theirs, both ways, strictly.

Pointwise convolutions are (C, D, 1) there and linear maps (C, D) here; the attention's
vectors are (C, 1) and (1, 1, C) there and (C,) here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from egolib.config import build, to_tree
from egolib.errors import EgolibError
from egolib.io.checkpoint import KeyTable, OfficialModel, Rule, State, exported_sidecar
from egolib.nlq.config.span import NAMES, VslnetConfig, vslnet
from egolib.nlq.models.vslnet.network import Vslnet


def _linear(ours: str, official: str) -> list[Rule]:
    weight = Rule(
        f"{ours}.weight", f"{official}.weight", lambda x: x.squeeze(2), lambda x: x.unsqueeze(2)
    )
    return [weight, Rule(f"{ours}.bias", f"{official}.bias")]


def _vector(ours: str, official: str, shape: tuple[int, ...]) -> Rule:
    return Rule(ours, official, lambda x: x.reshape(-1), lambda x: x.reshape(shape))


def _encoder(ours: str, official: str) -> list[Rule]:
    convs, attention = f"{official}.conv_block", f"{official}.attention_block"
    separable = f"{convs}.depthwise_separable_conv.{{i}}"
    return [
        Rule(f"{ours}.positions.table", f"{official}.pos_embedding.position_embeddings.weight"),
        Rule(f"{ours}.convs.{{i}}.norm.{{kind}}", f"{convs}.layer_norms.{{i}}.{{kind}}"),
        Rule(f"{ours}.convs.{{i}}.depthwise.weight", f"{separable}.0.weight"),
        *_linear(f"{ours}.convs.{{i}}.pointwise", f"{separable}.1"),
        Rule(f"{ours}.attention.attention_norm.{{kind}}", f"{attention}.layer_norm1.{{kind}}"),
        Rule(f"{ours}.attention.output_norm.{{kind}}", f"{attention}.layer_norm2.{{kind}}"),
        *_linear(f"{ours}.attention.output", f"{attention}.out_layer.conv1d"),
        *(
            rule
            for part in ("query", "key", "value")
            for rule in _linear(f"{ours}.attention.{part}", f"{attention}.{part}.conv1d")
        ),
    ]


def _head(ours: str, official: str) -> list[Rule]:
    return [
        Rule(f"{ours}.norm.{{kind}}", f"{official}_layer_norm.{{kind}}"),
        *_linear(f"{ours}.hidden", f"{official}_block.0.conv1d"),
        *_linear(f"{ours}.output", f"{official}_block.2.conv1d"),
    ]


KEYS = KeyTable(
    [
        *_linear("video_embedding.linear", "video_affine.linear.conv1d"),
        Rule("text_embedding.{kind}", "query_affine.{kind}"),
        *_encoder("encoder", "feature_encoder"),
        _vector("attention.video_weight", "cq_attention.w4C", (-1, 1)),
        _vector("attention.token_weight", "cq_attention.w4Q", (-1, 1)),
        _vector("attention.product_weight", "cq_attention.w4mlu", (1, 1, -1)),
        *_linear("attention.output", "cq_attention.cqa_linear.conv1d"),
        _vector("concatenation.pooling_weight", "cq_concat.weighted_pool.weight", (-1, 1)),
        *_linear("concatenation.output", "cq_concat.conv1d.conv1d"),
        *_linear("highlight.output", "highlight_layer.conv1d.conv1d"),
        *_encoder("predictor.encoder", "predictor.encoder"),
        *_head("predictor.start", "predictor.start"),
        *_head("predictor.end", "predictor.end"),
    ]
)

VIDEO, TEXT = "video_affine.linear.conv1d.weight", "query_affine.weight"
TABLE = "feature_encoder.pos_embedding.position_embeddings.weight"
DEPTHWISE = "feature_encoder.conv_block.depthwise_separable_conv.{}.0.weight"
TELLING = {VIDEO, TEXT, TABLE, DEPTHWISE.format(0), "predictor.start_block.0.conv1d.weight"}
ATTENTION = "cq_attention.w4C"


def recognise(official: Mapping[str, Tensor], start: VslnetConfig | None = None) -> VslnetConfig:
    """The configuration of an official state dict, from its keys and shapes.

    Args:
        official: the state dict.
        start: what leaves no trace in the weights (heads, dropout, options), by default
            the published values.

    Raises:
        EgolibError: it is not a VSLNet state dict.
    """
    if not is_vslnet(official):
        raise EgolibError(
            "not a VSLNet checkpoint",
            remedy=f"a state dict with {TABLE!r} was expected, found {sorted(official)[:3]}",
        )
    pattern = re.compile(re.escape(DEPTHWISE).replace(r"\{\}", r"\d+"))
    return replace(
        start or vslnet(),
        video_width=official[VIDEO].shape[1],
        text_width=official[TEXT].shape[1],
        width=official[TEXT].shape[0],
        max_length=official[TABLE].shape[0],
        kernel=official[DEPTHWISE.format(0)].shape[2],
        conv_layers=sum(bool(pattern.fullmatch(name)) for name in official),
        fusion="attention" if ATTENTION in official else "concatenation",
    )


def to_official(model: Vslnet) -> State:
    """The state dict in the official layout."""
    return KEYS.to_official(model.state_dict())


def is_vslnet(official: Mapping[str, Tensor]) -> bool:
    """Whether an official state dict is of one of the two networks."""
    return official.keys() >= TELLING


def read_official(
    path: Path, official: Mapping[str, Tensor], start: VslnetConfig | None = None
) -> Vslnet:
    """A network with the weights of an official file.

    Args:
        path: of the file, for errors and its sidecar.
        official: its state dict.
        start: settings that leave no trace in the weights; a file that ``egolib convert``
            exported has them beside it.

    Raises:
        EgolibError: an entry is missing, left over or of another shape.
    """
    exported = exported_sidecar(path)
    known = build(VslnetConfig, exported["config"]["model"]) if exported else None
    config = known or recognise(official, start)
    model = Vslnet(config)
    KEYS.load(model, official, file=path)
    return model


def _is_published(official: Mapping[str, Tensor], *, small: bool) -> bool:
    return is_vslnet(official) and small == (ATTENTION not in official)


def _accepts(config: Mapping[str, Any], *, fusion: str) -> bool:
    return bool(config.get("model", {}).get("fusion") == fusion)


def _to_ours(official: Mapping[str, Tensor]) -> tuple[State, dict[str, Any]]:
    return KEYS.to_ours(official), {"model": to_tree(recognise(official))}


def _empty(config: Mapping[str, Any]) -> Mapping[str, Tensor]:
    """The entries of a configuration's network, without values."""
    with torch.device("meta"):
        return Vslnet(build(VslnetConfig, config["model"])).state_dict()


MODELS = [
    OfficialModel(
        name,
        partial(_is_published, small=fusion == "concatenation"),
        _to_ours,
        lambda ours, _: KEYS.to_official(ours),
        read=lambda official, _: KEYS.to_ours(official),
        empty=_empty,
        accepts=partial(_accepts, fusion=fusion),
    )
    for fusion, name in NAMES.items()
]
"""The published architectures of this folder."""
