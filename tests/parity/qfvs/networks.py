"""Networks of QFVS with the recordings' weights, made once and shared by the tests."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from egolib.vlp.formats import qfvs as formats
from egolib.vlp.summarization.encoder import ShotEncoder, build_empty_encoder
from egolib.vlp.summarization.network import Summarizer
from tests.parity.recordings import auxiliary
from tests.parity.vlp.networks import official_state
from tests.parity.weights import make_state_dict

Keys = dict[str, list]


def encoder(recording: Path, seed: int, layers_read: int, device: str) -> ShotEncoder:
    """The published backbone in evaluation mode, run by a number of layers."""
    keys = auxiliary(recording, "qfvs_5f.keys.json")
    state = backbone_state(keys, seed)
    frames = state["video_model.temporal_embed"].shape[1]
    model = build_empty_encoder(formats.backbone(frames), layers_read)
    formats.load_backbone(model, state)
    return model.eval().to(device)


@lru_cache(maxsize=1)
def backbone_state(keys: Path, seed: int) -> dict[str, Tensor]:
    return official_state(json.loads(keys.read_text()), seed)


def summary_state(recording: Path, width: int, layers: int, seed: int) -> dict[str, Tensor]:
    """The recordings' weights of a summariser of any width, with the position codes as given."""
    keys: Keys = json.loads(auxiliary(recording, "summary.keys.json").read_text())
    published = keys["projector_1.weight"][1][1]
    resized: Keys = {}
    for name, (dtype, shape) in keys.items():
        sizes = {published: width, 3 * published: 3 * width}
        entry = [dtype, [sizes.get(n, n) for n in shape]]
        if name.startswith("transformer_encoder.layers.0."):
            for i in range(layers):
                resized[name.replace("layers.0.", f"layers.{i}.")] = entry
        elif not name.startswith("transformer_encoder.layers."):
            resized[name] = entry
    return {k: torch.from_numpy(v) for k, v in make_state_dict(resized, seed).items()}


def summarizer(state: dict[str, Tensor], heads: int) -> Summarizer:
    """A summariser in evaluation mode; its own position codes stay."""
    model = Summarizer(formats.recognise_summary(state, heads))
    formats.load_summary(model, state | {"pos.pe": model.positions})
    return model.eval()
