"""Official checkpoints: egolib's parameter names and theirs, both ways, strictly.

VSLNet's names are in ``models.vslnet.convert``, GroundNLQ's here.

``recognise`` reads the network's configuration off an official state dict, so a file
needs no name. Layer norms and stochastic depth are (1, C, 1) there and (C,) here;
1x1 convolutions are (C, C, 1) there and (C, C) linear maps here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from egolib.config import build, to_tree
from egolib.errors import EgolibError
from egolib.io import checkpoint
from egolib.io.checkpoint import KeyTable, OfficialModel, Rule, State
from egolib.io.features import Provenance
from egolib.io.foreign_weights import Weights
from egolib.io.temporal_keys import block, channels, count, linear, stack
from egolib.nlq.config import DataConfig, InferConfig, ModelConfig, groundnlq
from egolib.nlq.config.span import NAMES, VslnetConfig
from egolib.nlq.models.network import GroundNLQ
from egolib.nlq.models.vslnet import convert as spans
from egolib.nlq.models.vslnet.network import Vslnet


def _block(ours: str, official: str) -> list[Rule]:
    """A block, which may also attend to the words."""
    rules = [
        *block(ours, official, channels),
        channels(f"{ours}.cross_norms.query.{{kind}}", f"{official}.ln3.{{kind}}"),
        Rule(
            f"{ours}.attention.relative_bias",
            f"{official}.attn.rel_pe",
            lambda x: x[0, 0],
            lambda x: x[None, None],
        ),
        *linear(f"{ours}.cross.query.output", f"{official}.cross_attn.proj"),
    ]
    for part in ("query", "key", "value"):
        rules += linear(f"{ours}.cross.query.{part}", f"{official}.cross_attn.{part}")
    return rules


def _stack(ours: str, convs: str, norms: str) -> list[Rule]:
    return stack(ours, f"{convs}.{{i}}.conv", f"{norms}.{{i}}", channels)


KEYS = KeyTable(
    [
        *_stack("video_embedding", "backbone.vid_embd", "backbone.vid_embd_norm"),
        *_stack("text_encoders.query.embedding", "backbone.txt_embd", "backbone.txt_embd_norm"),
        *_block("text_encoders.query.blocks.{n}", "backbone.txt_stem.{n}"),
        *_block("stem.{n}", "backbone.vid_stem.{n}"),
        *_block("branch.{n}", "backbone.branch.{n}"),
        channels("level_norms.{i}.{kind}", "neck.fpn_norms.{i}.{kind}"),
        *_stack("classification.body", "cls_head.head", "cls_head.norm"),
        Rule("classification.output.{kind}", "cls_head.cls_head.conv.{kind}"),
        *_stack("regression.body", "reg_head.head", "reg_head.norm"),
        Rule("regression.output.{kind}", "reg_head.offset_head.conv.{kind}"),
        Rule("level_scales.{i}", "reg_head.scale.{i}.scale"),
    ]
)


TELLING = {
    "backbone.vid_embd.0.conv.weight",
    "backbone.txt_embd.0.conv.weight",
    "reg_head.scale.0.scale",
}


NEEDED = ("backbone.vid_embd.0.conv.weight", "cls_head.cls_head.conv.weight")
NOTHING = torch.empty(0)


def recognise(official: Mapping[str, Tensor], start: ModelConfig | None = None) -> ModelConfig:
    """The configuration of an official state dict, from its keys and shapes.

    What leaves no trace in the weights (heads, windows without relative bias,
    maximum length) is taken from ``start``, by default the published values.

    Raises:
        EgolibError: it is not a GroundNLQ state dict.
    """
    first, text = "backbone.vid_embd.0.conv.weight", "backbone.txt_embd.0.conv.weight"
    if not _is_groundnlq(official):
        raise EgolibError(
            "not a GroundNLQ checkpoint",
            remedy=f"a state dict with {first!r} was expected, found {sorted(official)[:3]}",
        )
    if lacking := sorted(name for name in NEEDED if official.get(name, NOTHING).ndim != 3):
        raise EgolibError(f"a GroundNLQ checkpoint without {lacking[0]!r}, or of another shape")
    start = start or groundnlq()
    branch = count(official, "backbone.branch")
    crossing = sum(f"backbone.branch.{i}.ln3.weight" in official for i in range(branch))
    width, video_width, kernel = official[first].shape
    bias = official.get("backbone.vid_stem.0.attn.rel_pe")
    return replace(
        start,
        video_streams=((start.video_streams[0][0], video_width),),
        text_streams=(("query", official[text].shape[1]),),
        width=width,
        head_width=official["cls_head.cls_head.conv.weight"].shape[1],
        heads=start.heads if bias is None else bias.shape[2],
        windows=start.windows if bias is None else (bias.shape[3],),
        relative_bias=bias is not None,
        embedding_layers=count(official, "backbone.vid_embd"),
        text_blocks=count(official, "backbone.txt_stem"),
        stem_blocks=count(official, "backbone.vid_stem"),
        cross_branch_blocks=crossing,
        plain_branch_blocks=branch - crossing,
        embedding_kernel=kernel,
        embedding_norm="backbone.vid_embd_norm.0.weight" in official,
        level_norm="neck.fpn_norms.0.weight" in official,
        head_norm="cls_head.norm.0.weight" in official,
        head_kernel=official["cls_head.cls_head.conv.weight"].shape[2],
        head_layers=1 + count(official, "cls_head.head"),
        classes=official["cls_head.cls_head.conv.weight"].shape[0],
        drop_path=start.drop_path if "backbone.vid_stem.0.drop_path_attn.scale" in official else 0,
    )


def _is_groundnlq(official: Mapping[str, Tensor]) -> bool:
    return official.keys() >= TELLING


def _is_published(official: Mapping[str, Tensor], *, star: bool) -> bool:
    """GroundNLQ, or with ``star`` GroundNLQ*, whose branch attends to the question too."""
    return _is_groundnlq(official) and star == ("backbone.branch.0.ln3.weight" in official)


def _to_ours(official: Mapping[str, Tensor]) -> tuple[State, dict[str, Any]]:
    return KEYS.to_ours(official), {"model": to_tree(recognise(official))}


def _empty(config: Mapping[str, Any]) -> Mapping[str, Tensor]:
    """The entries of a configuration's network, without values."""
    with torch.device("meta"):
        return GroundNLQ(build(ModelConfig, config["model"])).state_dict()


def _accepts(config: Mapping[str, Any], *, star: bool) -> bool:
    model = config.get("model", {})
    return "text_streams" in model and star == bool(model.get("cross_branch_blocks"))


MODELS = [
    OfficialModel(
        name,
        partial(_is_published, star=star),
        _to_ours,
        lambda ours, _: KEYS.to_official(ours),
        read=lambda official, _: KEYS.to_ours(official),
        empty=_empty,
        accepts=partial(_accepts, star=star),
    )
    for name, star in (("nlq/groundnlq", False), ("nlq/groundnlq_star", True))
] + spans.MODELS
"""The published architectures of this task."""


def read_official(
    path: str | Path, *, weights: Weights = "official", start: ModelConfig | None = None
) -> tuple[GroundNLQ, ModelConfig]:
    """A network with the weights of an official ``.pth.tar`` file.

    A file that ``egolib convert`` exported has a sidecar, which says what leaves no trace in
    the weights.

    Args:
        path: of the file.
        weights: ``official`` takes ``state_dict``, which the published evaluation
            uses; ``averaged`` takes ``state_dict_ema``.
        start: settings that leave no trace in the weights.

    Raises:
        EgolibError: an entry is missing, left over or of another shape; not finite; or
            another model.
    """
    content = checkpoint.read_foreign(path)
    official = checkpoint.find_weights(content, weights=weights, file=path).state
    exported = checkpoint.exported_sidecar(path)
    known = build(ModelConfig, exported["config"]["model"]) if exported else None
    config = known or recognise(official, start)
    model = GroundNLQ(config)
    KEYS.load(model, official, file=path)
    return model, config


def read(
    path: Path, *, weights: Weights = "official", start: ModelConfig | None = None
) -> tuple[GroundNLQ | Vslnet, dict[str, Any]]:
    """The network in a file, and what its sidecar says; nothing for an official file.

    Args:
        path: an egolib checkpoint or an official file.
        weights: see ``read_official``.
        start: see ``read_official``.

    Raises:
        EgolibError: the file is damaged or holds another model.
    """
    if path.suffix != ".safetensors" or not path.with_suffix(".json").is_file():
        official = checkpoint.find_weights(
            checkpoint.read_foreign(path), weights=weights, file=path
        )
        if spans.is_vslnet(official.state):
            return spans.read_official(path, official.state, start.span if start else None), {}
        return read_official(path, weights=weights, start=start)[0], {}
    state, sidecar = checkpoint.load(path)
    if not str(sidecar.get("model", "")).startswith("nlq"):
        raise EgolibError(f"a checkpoint of {sidecar.get('model')!r}, not of nlq", file=path)
    with torch.device("meta"):
        network = _network(sidecar)
    checkpoint.compare(state, network.state_dict()).require_complete(file=path)
    network.load_state_dict(state, assign=True)
    return network, sidecar


def _network(sidecar: Mapping[str, Any]) -> GroundNLQ | Vslnet:
    """The network that an egolib checkpoint is of, with random weights."""
    config = sidecar["config"]["model"]
    if sidecar["model"] in NAMES.values():
        return Vslnet(build(VslnetConfig, config))
    return GroundNLQ(build(ModelConfig, config))


def describe(
    model: ModelConfig, data: DataConfig, infer: InferConfig, text: Provenance | None = None
) -> dict[str, Any]:
    """What the sidecar of a checkpoint must say for ``load``: ``model``, ``config``, ``text``.

    Args:
        model: the network.
        data: strides of the features.
        infer: decoding and batching.
        text: what made the token features of the questions; None where unknown.
    """
    if model.span is not None:
        parts = {"model": model.span, "data": data.span, "infer": infer.span}
        named = {key: to_tree(part) for key, part in parts.items()}
        return {"model": NAMES[model.span.fusion], "config": named}
    name = "nlq/groundnlq_star" if model.cross_branch_blocks else "nlq/groundnlq"
    parts = {"model": model, "data": data, "infer": infer}
    found = {"model": name, "config": {key: to_tree(part) for key, part in parts.items()}}
    return found | ({"text": to_tree(text)} if text else {})


def to_official(model: GroundNLQ) -> dict[str, Tensor]:
    """The state dict in the official layout.

    Raises:
        EgolibError: the network has parts that the official one lacks.
    """
    return KEYS.to_official(model.state_dict())
