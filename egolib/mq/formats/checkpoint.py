"""Official VSGN checkpoints: our parameter names and theirs, both ways, strictly.

``recognise`` reads the network's configuration off an official state dict, so a file
needs no name. Official files carry a ``module.`` before every name; anchors are not
stored in them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from egolib.config import build as build_config
from egolib.config import to_tree
from egolib.errors import EgolibError
from egolib.io import checkpoint
from egolib.io.checkpoint import KeyTable, OfficialModel, State
from egolib.mq.config import ModelConfig, vsgn_egovlpv2
from egolib.mq.formats import actionformer
from egolib.mq.models.vsgn import VSGN

PREFIX = "module."  # of the official data parallelism
STEM = "xGPN.conv0.0.weight"
GRAPH = "xGPN.levels_enc.0.nconv1.mlp.weight"
CLASSES = "head_dec.cls_logits.weight"
BOXES = "head_dec.bbox_pred.weight"

_ENCODER = "pyramid.encoder.{i}.conv.{kind}", "xGPN.levels_enc.{i}"
_CURVES = ("actionness", "startness", "endness")


def _table(graph: bool) -> KeyTable:
    ours, official = _ENCODER
    return KeyTable(
        [
            ("pyramid.stem.{kind}", "xGPN.conv0.0.{kind}"),
            (ours, f"{official}.tconv1.{{kind}}" if graph else f"{official}.0.{{kind}}"),
            ("pyramid.encoder.{i}.graph.edge.{kind}", f"{official}.nconv1.mlp.{{kind}}"),
            ("pyramid.upsample.{i}.{kind}", "xGPN.levels_dec.{i}.0.{kind}"),
            ("pyramid.smooth.{i}.{kind}", "xGPN.levels1.{i}.0.{kind}"),
            ("pyramid.lateral.{i}.{kind}", "xGPN.levels2.{i}.0.{kind}"),
            ("detection.class_tower.{i}.{kind}", "head_dec.cls_tower.{i}.{kind}"),
            ("detection.box_tower.{i}.{kind}", "head_dec.bbox_tower.{i}.{kind}"),
            ("detection.class_output.{kind}", "head_dec.cls_logits.{kind}"),
            ("detection.box_output.{kind}", "head_dec.bbox_pred.{kind}"),
            ("boundary.{end}.hidden.{kind}", "bd_adjust.{end}_conv.0.{kind}"),
            ("boundary.{end}.output.{kind}", "bd_adjust.{end}_conv.2.{kind}"),
            *(
                rule
                for name in _CURVES
                for rule in (
                    (f"{name}.hidden.{{kind}}", f"head_{name}.0.{{kind}}"),
                    (f"{name}.output.{{kind}}", f"head_{name}.2.{{kind}}"),
                )
            ),
        ]
    )


KEYS = _table(graph=True)
"""Our names and the official ones of the network with graph."""

PLAIN_KEYS = _table(graph=False)
"""The same for the network without graph."""


def keys_of(config: ModelConfig) -> KeyTable:
    """The table for a network."""
    return KEYS if config.graph else PLAIN_KEYS


def recognise(official: Mapping[str, Tensor], start: ModelConfig | None = None) -> ModelConfig:
    """The configuration of an official state dict, from its keys and shapes.

    What leaves no trace in the weights (temporal scale, neighbours, anchor scales of the
    same number, ways of the graph) is taken from ``start``.

    Args:
        official: names without ``module.``.
        start: by default the published values.

    Raises:
        EgolibError: it is not a VSGN state dict, or has another number of anchor scales
            than ``start``.
    """
    if not _is_vsgn(official):
        raise EgolibError(
            "not a VSGN checkpoint",
            remedy=f"a state dict with {STEM!r} was expected, found {sorted(official)[:3]}",
        )
    start = start or vsgn_egovlpv2()
    width, feature_width, _ = official[STEM].shape
    scales = official[BOXES].shape[0] // 2
    if scales != len(start.anchor_scales):
        raise EgolibError(
            f"the checkpoint has {scales} anchor scales, the configuration "
            f"{len(start.anchor_scales)}",
            remedy="set model.anchor_scales: their values are not stored in the file",
        )
    return replace(
        start,
        feature_width=feature_width,
        width=width,
        classes=official[CLASSES].shape[0] // scales,
        levels=_count(official, r"xGPN\.levels_enc\.(\d+)\."),
        head_layers=_count(official, r"head_dec\.cls_tower\.(\d+)\.") // 2,
        graph=GRAPH in official,
    )


def read_official(
    path: str | Path, *, start: ModelConfig | None = None
) -> tuple[VSGN, ModelConfig]:
    """A network with the weights of an official ``.pth.tar`` file, and its configuration.

    Args:
        path: ``best.pth.tar`` or ``checkpoint.pth.tar``.
        start: settings that leave no trace in the weights.

    Raises:
        EgolibError: the file is of another network.
    """
    official = checkpoint.find_state(checkpoint.read_foreign(path))
    config = recognise(official, start)
    network = VSGN(config)
    keys_of(config).load(network, official, file=path)
    return network, config


def read_any(path: Path, like: ModelConfig | None = None) -> tuple[State, dict[str, Any]]:
    """Weights by our names, and what is known of them (at least ``config``).

    Args:
        path: an egolib checkpoint, or an official file.
        like: settings that leave no trace in the weights of an official file.

    Raises:
        EgolibError: no such file, or it is of another network.
    """
    if path.suffix == ".safetensors" and path.with_suffix(".json").is_file():
        state, about = checkpoint.load(path)
        if not str(about.get("model", "")).startswith("mq/"):
            raise EgolibError(f"a checkpoint of {about.get('model')!r}, not of mq", file=path)
        return state, about
    content = checkpoint.read_foreign(path)
    official = checkpoint.find_state(content)
    if actionformer.is_actionformer(official):
        return _read_actionformer(path, content, like)
    config = recognise(official, like)
    return keys_of(config).to_ours(official), {
        "model": model_name(config),
        "config": {"model": to_tree(config)},
    }


def _read_actionformer(
    path: Path, content: Mapping[str, Any], like: ModelConfig | None
) -> tuple[State, dict[str, Any]]:
    """The averaged weights where there are some, which the published evaluation takes."""
    found = checkpoint.find_weights(content, file=path)
    if any("ema" in str(key) for key in content):
        found = checkpoint.find_weights(content, weights="averaged", file=path)
    exported = checkpoint.exported_sidecar(path)
    known = build_config(ModelConfig, exported["config"]["model"]) if exported else like
    config = actionformer.recognise(found.state, known)
    about = {"model": model_name(config), "config": {"model": to_tree(config)}}
    return actionformer.to_ours(found.state), about


def model_name(config: ModelConfig) -> str:
    """The name of an architecture, as ``egolib convert`` knows it."""
    if config.actionformer is not None:
        return actionformer.NAME
    return MODELS[0 if config.graph else 1].name


def to_official(network: VSGN) -> State:
    """The state dict under the official names, without ``module.``."""
    return keys_of(network.config).to_official(network.state_dict())


def _is_vsgn(official: Mapping[str, Tensor]) -> bool:
    return official.keys() >= {STEM, CLASSES, BOXES}


def _is_published(official: Mapping[str, Tensor], *, graph: bool) -> bool:
    return _is_vsgn(official) and graph == (GRAPH in official)


def _to_ours(official: Mapping[str, Tensor]) -> tuple[State, dict[str, Any]]:
    config = recognise(official)
    return keys_of(config).to_ours(official), {"model": to_tree(config)}


def _to_official(ours: Mapping[str, Tensor], config: dict[str, Any]) -> State:
    keys = keys_of(build_config(ModelConfig, config["model"]))
    return {f"{PREFIX}{name}": value for name, value in keys.to_official(ours).items()}


MODELS = [
    OfficialModel(name, partial(_is_published, graph=graph), _to_ours, _to_official)
    for name, graph in (("mq/vsgn", True), ("mq/vsgn_plain", False))
] + actionformer.MODELS
"""The published architectures of this task."""


def _count(state: Mapping[str, Tensor], pattern: str) -> int:
    return len({m.group(1) for name in state if (m := re.match(pattern, name))})
