"""Networks in files: egolib checkpoints with their description, official files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from egolib.config import build, refuse_old_names, to_tree
from egolib.errors import EgolibError, nearest
from egolib.io import checkpoint
from egolib.io.checkpoint import find_state, read_foreign
from egolib.vod.config import Config, DataConfig, InferConfig, ModelConfig
from egolib.vod.config.data import BY_METHOD
from egolib.vod.config.infer import published_infer
from egolib.vod.data.classes import IMAGENET_VID
from egolib.vod.formats.checkpoint import MODELS, layout
from egolib.vod.models.build import build_empty


class Described(NamedTuple):
    """What a network in use is, what it sees, and how it is tested."""

    model: ModelConfig
    data: DataConfig
    infer: InferConfig


def description(config: ModelConfig, data: DataConfig, infer: InferConfig) -> dict[str, Any]:
    """What stands beside weights: all that is needed to use them.

    Args:
        config: the network.
        data: preparation of images.
        infer: settings of testing.
    """
    known = {"model": to_tree(config), "data": to_tree(data), "infer": to_tree(infer)}
    return {"model": f"vod/{config.method}", "config": known}


def load_network(path: Path) -> tuple[nn.Module, Described]:
    """The network of an egolib checkpoint, and what its sidecar says.

    Raises:
        EgolibError: a checkpoint of another task, or of an earlier layout of settings.
    """
    state, sidecar = checkpoint.load(path)
    if not str(sidecar.get("model", "")).startswith("vod/"):
        raise EgolibError(f"a checkpoint of {sidecar.get('model')!r}, not of vod", file=path)
    config = _described(sidecar["config"])
    network = build_empty(config.model)
    checkpoint.compare(state, network.state_dict()).require_complete(file=path)
    network.load_state_dict(state, assign=True)
    return network, config


def _described(known: Mapping[str, Any]) -> Described:
    """The settings in a sidecar; what it does not say is as published for its network."""
    refuse_old_names(Config, known)
    model = build(ModelConfig, known["model"], where="model.")
    data, infer = published_data(model), published_infer(model)
    if "data" in known:
        data = build(DataConfig, known["data"], where="data.")
    if "infer" in known:
        infer = build(InferConfig, known["infer"], where="infer.")
    return Described(model, data, infer)


def load_official(
    path: Path, model: str | None, classes: Sequence[tuple[str, str]] | None
) -> tuple[nn.Module, Described]:
    """The network of an official file, and what is known of it.

    Args:
        path: the file.
        model: the published network's name; None where its keys tell.
        classes: (name, wnid) pairs; None for the 30 of ImageNet VID.

    Raises:
        EgolibError: unknown, ambiguous, or it does not fit, entry by entry.
    """
    state = find_state(read_foreign(path))
    name = (model or _recognise(state, path)).removeprefix("vod/")
    if name not in ModelConfig.builders:
        raise EgolibError(f"unknown model {name!r}", remedy=nearest(name, ModelConfig.builders))
    config = ModelConfig.builders[name]()
    names = tuple(classes or IMAGENET_VID)
    config = replace(config, classes=len(names))
    network = network_from_official(state, config, path)
    data = replace(published_data(config), classes=names)
    return network, Described(config, data, published_infer(config))


def network_from_official(state: checkpoint.State, config: ModelConfig, path: Path) -> nn.Module:
    """The network that an official state dict is of.

    Args:
        state: by official names.
        config: the network.
        path: named in errors.

    Raises:
        EgolibError: it does not fit, entry by entry.
    """
    network = build_empty(config)
    ours = layout(config).to_ours(state, file=path)
    checkpoint.compare(ours, network.state_dict()).require_complete(file=path)
    network.load_state_dict(ours, assign=True)
    return network


def _recognise(state: checkpoint.State, path: Path) -> str:
    names = [m.name for m in MODELS if m.matches(state)]
    if len(names) == 1:
        return names[0]
    several = f"the keys fit several networks: {', '.join(names)}"
    raise EgolibError(
        several if names else "no published network of vod has these keys",
        file=path,
        remedy="name it: load(path, model=...)",
    )


def published_data(config: ModelConfig) -> DataConfig:
    """Preparation and references that a published network is trained and tested with."""
    if config.method == "single" and config.detector != "rcnn":
        return DataConfig.builders[config.detector]()
    return BY_METHOD[config.method]()
