"""Networks with the recordings' weights and inputs, made once and shared by the tests."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from egolib.nlq.config import ModelConfig, groundnlq, groundnlq_star
from egolib.nlq.formats.checkpoint import KEYS
from egolib.nlq.models.network import GroundNLQ
from tests.parity.recordings import auxiliary, normal, read
from tests.parity.weights import make_state_dict

Keys = dict[str, list]
SMALL_NETWORKS = "net_small_variants.npz"


def meta(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """The metadata of a recorded npz."""
    return json.loads(str(arrays["meta"]))


def official_state(keys: Keys, seed: int, add_one: bool) -> dict[str, Tensor]:
    """The recordings' weights under their official names."""
    state = make_state_dict(keys, seed)
    if add_one:
        state = {k: v + 1 if _is_gain(k, v.shape) else v for k, v in state.items()}
    return {k: torch.from_numpy(np.asarray(v, np.float32)) for k, v in state.items()}


def _is_gain(name: str, shape: tuple[int, ...]) -> bool:
    channels = len(shape) == 3 and shape[0] == shape[2] == 1
    return channels and name.endswith((".weight", ".scale"))


def network(config: ModelConfig, keys: Keys, seed: int, add_one: bool) -> GroundNLQ:
    """A network with recorded weights, in evaluation mode."""
    model = GroundNLQ(config).eval()
    KEYS.load(model, official_state(keys, seed, add_one))
    return model


def published(recording: Path, about: dict[str, Any]) -> GroundNLQ:
    """One of the published networks, as a recording's metadata names it."""
    star = about.get("config", "").endswith("star")
    keys = auxiliary(recording, f"groundnlq{'_star' if star else ''}.keys.json")
    return _published(keys, star, about["weight_seed"], about["add_one"])


@cache
def _published(keys: Path, star: bool, seed: int, add_one: bool) -> GroundNLQ:
    config = groundnlq_star() if star else groundnlq()
    return network(config, json.loads(keys.read_text()), seed, add_one)


def small_config(options: dict[str, Any]) -> ModelConfig:
    """Our configuration of a recording's official model options."""
    windows = options["n_mha_win_size"]
    layers, text, stem, crossing, plain = options["backbone_arch"]
    return ModelConfig(
        video_streams=(("video", options["input_vid_dim"]),),
        text_streams=(("query", options["input_txt_dim"]),),
        max_length=options["max_seq_len"],
        width=options["embd_dim"],
        head_width=options["head_dim"],
        heads=options["n_head"],
        embedding_layers=layers,
        text_blocks=text,
        stem_blocks=stem,
        cross_branch_blocks=crossing,
        plain_branch_blocks=plain,
        windows=tuple(windows) if isinstance(windows, list) else (windows,),
        relative_bias=options["use_rel_pe"],
        position_table=options["use_abs_pe"],
        embedding_kernel=options["embd_kernel_size"],
        embedding_norm=options["embd_with_ln"],
        level_norm=options["fpn_with_ln"],
        head_norm=options["head_with_ln"],
        head_kernel=options["head_kernel_size"],
        head_layers=options["head_num_layers"],
        classes=options["num_classes"],
    )


def named_config(recording: Path, about: dict[str, Any]) -> ModelConfig:
    """The network that a recording's metadata describe or name; else the default small one.

    Args:
        recording: its file; named networks are those of the ``net_small*`` files beside it.
        about: its metadata.
    """
    described = [v for v in about.values() if isinstance(v, dict) and "embd_dim" in v]
    if described:
        return small_config(described[0])
    files = [*recording.parent.glob("net_small*.npz"), auxiliary(recording, SMALL_NETWORKS)]
    known = {name: each for file in reversed(files) for name, each in meta(read(file)).items()}
    named = [v for v in about.values() if isinstance(v, str) and v in known]
    return small_config(known[named[0] if named else "net_small"]["model"])


def inputs(items: list[dict[str, Any]], config: ModelConfig, length: int) -> tuple:
    """Padded video, its mask, padded tokens and their masks for named items."""
    ((_, video_width),), ((_, text_width),) = config.video_streams, config.text_streams
    longest = max(item["L"] for item in items)
    videos = [normal(f"{i['name']}/video", (video_width, i["T"])) for i in items]
    texts = [normal(f"{i['name']}/text", (text_width, i["L"])) for i in items]
    video, video_mask = _pad(videos, length)
    text, text_mask = _pad(texts, longest)
    return video, video_mask, {"query": text}, {"query": text_mask}


def _pad(arrays: list[np.ndarray], length: int) -> tuple[Tensor, Tensor]:
    padded = torch.zeros(len(arrays), length, arrays[0].shape[0])
    mask = torch.zeros(len(arrays), length, dtype=torch.bool)
    for row, array in enumerate(arrays):
        padded[row, : array.shape[1]] = torch.from_numpy(array.T)
        mask[row, : array.shape[1]] = True
    return padded, mask


def to(device: str, values: tuple) -> tuple:
    """Tensors and dictionaries of tensors on a device."""
    return tuple(
        {k: v.to(device) for k, v in x.items()} if isinstance(x, dict) else x.to(device)
        for x in values
    )
