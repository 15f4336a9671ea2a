"""Networks with the recordings' weights and inputs, made once and shared by the tests."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from egolib.vlp.formats import checkpoint
from egolib.vlp.models.build import build_empty
from egolib.vlp.models.model import VideoLanguageModel
from tests.parity.recordings import auxiliary, normal, recipe
from tests.parity.weights import make_state_dict

Keys = dict[str, list]


def official_state(keys: Keys, seed: int) -> dict[str, Tensor]:
    """The recordings' weights under their official names; positions count from 0."""
    state = {k: torch.from_numpy(v) for k, v in make_state_dict(keys, seed).items()}
    for name, value in state.items():
        if name.endswith("position_ids"):
            state[name] = torch.arange(value.shape[1])[None]
    return state


def part_state(recording: Path, name: str) -> dict[str, Tensor]:
    """The weights of one block, layer or embedding, by its key file."""
    keys = json.loads(auxiliary(recording, f"{name}.keys.json").read_text())
    return official_state(keys, recipe(recording)["weight_seed"])


def published(recording: Path, keys: str, device: str) -> VideoLanguageModel:
    """One of the published networks in evaluation mode, by the name of its key file."""
    file = auxiliary(recording, f"{keys}.keys.json")
    return _published(file, recipe(recording)["weight_seed"], device)


@lru_cache(maxsize=2)
def _published(keys: Path, seed: int, device: str) -> VideoLanguageModel:
    state = official_state(json.loads(keys.read_text()), seed)
    model = build_empty(checkpoint.recognise(state))
    checkpoint.load_official(model, state)
    return model.eval().to(device)


def video(recording: Path, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """A recorded input video, float32 (B, F, 3, height, width)."""
    return normal(f"{recipe(recording)['streams']}/{name}", shape)


def assert_close(ours: Any, recorded: Any, *, rtol: float = 0.0, atol: float, what: str) -> None:
    """Compares a tensor or array with a recording; the message names it."""
    ours = ours.detach().cpu().numpy() if isinstance(ours, Tensor) else np.asarray(ours)
    assert ours.shape == np.shape(recorded), (what, ours.shape, np.shape(recorded))
    np.testing.assert_allclose(ours, recorded, rtol=rtol, atol=atol, err_msg=what)
