"""Networks with the recordings' weights and inputs, made once and shared by the tests."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from egolib.mq.config import ModelConfig
from egolib.mq.data.labels import ClipTargets, clip_targets
from egolib.mq.data.targets import Targets, stack_targets
from egolib.mq.formats.checkpoint import keys_of, recognise
from egolib.mq.models.vsgn import VSGN
from tests.parity.recordings import auxiliary, normal, recipe
from tests.parity.weights import make_state_dict

Keys = dict[str, list]
Recorded = dict[str, np.ndarray]

GRAPH_INPUTS = {"par": "parallel", "seq": "sequential"}
EDGES = {"feat_ctr": "pair", "dif_ctr": "difference"}
TERMS = {
    "loss_cls_dec": "classification",
    "loss_reg_dec": "regression",
    "loss_action": "action",
    "loss_start": "start",
    "loss_end": "end",
    "loss_bd_adjust": "boundary",
    "total": "loss",
}
OPTIONS = {
    "temporal_scale": "length",
    "input_feat_dim": "feature_width",
    "bb_hidden_dim": "width",
    "decoder_num_classes": "classes",
    "num_levels": "levels",
    "num_head_layers": "head_layers",
    "num_neigh": "neighbors",
    "agg_type": "aggregation",
    "stitch_gap": "stitch_gap",
    "short_ratio": "short_fraction",
}


def meta(arrays: Recorded) -> dict[str, Any]:
    """The metadata of a recorded npz."""
    return json.loads(str(arrays["meta"]))


def part(arrays: Recorded, case: str) -> Recorded:
    """The entries ``case|name`` of a recorded npz, by name."""
    return {k.split("|", 1)[1]: v for k, v in arrays.items() if k.startswith(f"{case}|")}


def true(value: Any) -> bool:
    """An official switch: a boolean, or the text "true"."""
    return str(value).lower() == "true"


def config_of(options: dict[str, Any]) -> ModelConfig:
    """Our configuration of official options; those left out have the official defaults."""
    values = {OPTIONS[name]: value for name, value in options.items() if name in OPTIONS}
    if "anchor_scale" in options:
        values["anchor_scales"] = tuple(options["anchor_scale"])
    groups = math.gcd(values.get("width", 32), 32)  # a part alone has no towers with 32
    values.setdefault("norm_groups", groups)
    return replace(
        ModelConfig(),
        **values,
        graph=true(options.get("use_xGPN", True)),
        graph_input=GRAPH_INPUTS[options.get("gcn_insert", "par")],
        edge_features=EDGES[options.get("nfeat_mode", "feat_ctr")],
        edge_weights=true(options.get("edge_weight", False)),
        stitched_neighbors=true(options.get("use_VSS", False)),
    )


# --------------------------------------------------------------------------- weights


def official_state(keys: Keys, seed: int) -> dict[str, Tensor]:
    """The recordings' weights under their official names."""
    return {k: torch.from_numpy(v) for k, v in make_state_dict(keys, seed).items()}


def network(config: ModelConfig, keys: Keys, seed: int) -> VSGN:
    """A network with recorded weights."""
    model = VSGN(config)
    keys_of(config).load(model, official_state(keys, seed))
    return model


def published(recording: Path, about: dict[str, Any]) -> VSGN:
    """The network of a recording whose keys lie in a file of their own."""
    known = {*OPTIONS, "anchor_scale", "gcn_insert", "nfeat_mode", "edge_weight", "use_VSS"}
    options = tuple(sorted((k, _frozen(v)) for k, v in about.items() if k in known))
    return _published(auxiliary(recording, about["keys"]), about["seed"], options)


@cache
def _published(keys: Path, seed: int, options: tuple[tuple[str, Any], ...]) -> VSGN:
    described = json.loads(keys.read_text())
    shapes = {name: torch.empty(shape) for name, (_, shape) in described.items()}
    return network(recognise(shapes, config_of(dict(options))), described, seed)


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


# ---------------------------------------------------------------------------- inputs


def inputs(
    recording: Path, items: list[list[Any]], config: ModelConfig, device: str = "cpu"
) -> tuple[Tensor, Tensor]:
    """Features (B, D, T) and lengths (B,) of named items."""
    name_of_stream = recipe(recording)["item_video"]
    batch = torch.zeros(len(items), config.feature_width, config.length)
    for row, (name, count) in enumerate(items):
        video = normal(name_of_stream.replace("<item>", name), (count, config.feature_width))
        kept = min(count, config.length)
        batch[row, :, :kept] = torch.from_numpy(video[:kept].T)
    lengths = torch.tensor([min(count, config.length) for _, count in items])
    return batch.to(device), lengths.to(device)


def targets_of(
    segments: Sequence[Sequence], lengths: Sequence[int], length: int, device: str = "cpu"
) -> Targets:
    """Targets of segments ``[start, end, class]`` in features."""
    clips = [one_target(s, n, length) for s, n in zip(segments, lengths, strict=True)]
    return stack_targets(clips).to(device)


def one_target(segments: Sequence, valid: int, length: int, max_boxes: int = 50) -> ClipTargets:
    """Targets of one clip's segments."""
    table = np.array(segments, np.float64).reshape(-1, 3)
    return clip_targets(table[:, :2], table[:, 2].astype(np.int64), valid, length, max_boxes)
