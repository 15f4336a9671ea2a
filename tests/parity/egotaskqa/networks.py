"""The question answering network with the recordings' weights, made once and shared."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from egolib.vlp.formats import egotaskqa as formats
from egolib.vlp.models.question_answering import QuestionAnsweringModel, build_empty_answering
from tests.parity.recordings import auxiliary, normal
from tests.parity.vlp.networks import official_state

Keys = dict[str, list]


def answer_keys(keys: Keys, answers: int) -> Keys:
    """The shapes of another number of answers."""
    heads = {
        "projector_1.weight": [answers, keys["projector_1.weight"][1][1]],
        "projector_1.bias": [answers],
        "projector_2.weight": [answers, answers],
        "projector_2.bias": [answers],
    }
    return keys | {name: ["float32", shape] for name, shape in heads.items()}


def network(recording: Path, meta: dict[str, Any], device: str) -> QuestionAnsweringModel:
    """The published network in evaluation mode, with the answers that a recording has."""
    file = auxiliary(recording, "egotaskqa.keys.json")
    return _network(file, meta["seed"], meta["answers"], device)


@lru_cache(maxsize=1)
def _network(keys: Path, seed: int, answers: int, device: str) -> QuestionAnsweringModel:
    state = official_state(answer_keys(json.loads(keys.read_text()), answers), seed)
    model = build_empty_answering(formats.recognise(state))
    formats.load_official(model, state)
    return model.eval().to(device)


def clip(meta: dict[str, Any], device: str) -> Tensor:
    """A recorded input video (B, F, 3, height, width)."""
    video = normal(f"{meta['tag']}/{meta['video']}", tuple(meta["video_shape"]))
    return torch.from_numpy(video).to(device) * meta.get("video_scale", 1.0)


def gradient_norms(model: torch.nn.Module) -> dict[str, float | None]:
    """The norm of every parameter's gradient by published name; None where there is none."""
    return {
        str(formats.KEYS.official_name(name)): None
        if parameter.grad is None
        else parameter.grad.double().norm().item()
        for name, parameter in model.named_parameters()
    }
