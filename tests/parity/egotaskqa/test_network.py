"""The published network: outputs, gradients, keys."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from egolib.vlp.formats import egotaskqa as formats
from egolib.vlp.losses.question_answering import answer_loss
from egolib.vlp.models.question_answering import QuestionAnsweringModel, build_empty_answering
from tests.parity.egotaskqa.networks import answer_keys, clip, gradient_norms, network
from tests.parity.recordings import read
from tests.parity.vlp.networks import assert_close, official_state

on_network = pytest.mark.xdist_group("egotaskqa_network")


def outputs(
    model: QuestionAnsweringModel, video: Tensor, ids: Tensor, mask: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, class token and hidden layer before its ReLU."""
    found: dict[str, Tensor] = {}
    hooks = [
        model.fusion_norm.register_forward_hook(lambda _m, _i, x: found.update(token=x)),
        model.answer.hidden.register_forward_hook(lambda _m, _i, x: found.update(hidden=x)),
    ]
    logits = model(video, ids, mask)
    for hook in hooks:
        hook.remove()
    return logits, found["token"], found["hidden"]


@on_network
@pytest.mark.slow
@pytest.mark.recordings("network")
@torch.no_grad()
def test_network(recording: Path, device: str) -> None:
    recorded = read(recording)
    meta = json.loads(str(recorded["meta"]))
    model = network(recording, meta, device)
    texts = [torch.from_numpy(recorded[k]).to(device) for k in ("input_ids", "attention_mask")]
    logits, token, hidden = outputs(model, clip(meta, device), texts[0], texts[1])
    assert_close(logits, recorded["logits"], atol=1e-4, what="logits")
    for name, found in (("class_token", token), ("hidden_before_relu", hidden)):
        if name in recorded:
            assert_close(found, recorded[name], atol=1e-4, what=name)


@on_network
@pytest.mark.slow
@pytest.mark.recordings("gradients")
def test_gradients(recording: Path, device: str) -> None:
    recorded = read(recording)
    meta = json.loads(str(recorded["meta"]))
    shape = [1, network(recording, meta, device).config.frames, 3, 224, 224]
    meta.setdefault("video_shape", shape)
    model = network(recording, meta, device)
    model.zero_grad()
    texts = [torch.from_numpy(recorded[k]).to(device) for k in ("input_ids", "attention_mask")]
    logits = model(clip(meta, device), *texts)
    assert_close(logits, recorded["logits"], atol=1e-4, what="logits")
    loss = answer_loss(logits, torch.tensor([meta["label"]], device=device))
    assert_close(loss, meta["loss"], atol=1e-4, what="loss")
    loss.backward()
    compare_norms(gradient_norms(model), meta)
    model.zero_grad()


def compare_norms(found: dict[str, float | None], meta: dict) -> None:
    recorded = meta["norms"]
    without = {name for name, norm in found.items() if norm is None}
    assert without == set(meta["without_gradient"])
    compared = [name for name, norm in recorded.items() if norm > 1e-4]
    assert len(compared) > 100
    for name in compared:
        norm = found[name]
        assert norm is not None, name
        assert abs(norm - recorded[name]) <= 5e-3 * recorded[name], (name, norm, recorded[name])


@pytest.mark.recordings("keys")
def test_keys(recording: Path) -> None:
    """Every published name has one of ours, and back; shapes fit."""
    keys = json.loads(recording.read_text())
    state = {k: torch.empty(shape, dtype=getattr(torch, d)) for k, (d, shape) in keys.items()}
    model = build_empty_answering(formats.recognise(state))
    official = formats.to_official(model)
    assert {k: [str(v.dtype)[6:], list(v.shape)] for k, v in official.items()} == keys
    ours = {formats.KEYS.our_name(k) for k in official if not k.endswith("position_ids")}
    assert ours == model.state_dict().keys()


@pytest.mark.slow
@pytest.mark.recordings("keys")
def test_weights_survive_the_round_trip(recording: Path) -> None:
    keys = answer_keys(json.loads(recording.read_text()), 17)
    state = official_state(keys, seed=3)
    model = build_empty_answering(formats.recognise(state))
    formats.load_official(model, state)
    back = formats.to_official(model)
    assert back.keys() == state.keys()
    assert all(torch.equal(back[k], state[k]) for k in state)
