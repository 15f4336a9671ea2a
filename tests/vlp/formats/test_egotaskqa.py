from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from egolib.errors import EgolibError
from egolib.vlp.formats import checkpoint
from egolib.vlp.formats import egotaskqa as formats
from egolib.vlp.models.question_answering import AnsweringConfig, build_empty_answering
from tests.vlp.questions import ANSWERS, answering_model
from tests.vlp.small import CONFIG, small_model


def save(path: Path, state: dict) -> Path:
    """A file as the fine-tuning writes it."""
    content = {
        "model_state_dict": {f"module.{k}": v for k, v in state.items()},
        "optimizer_state_dict": {"state": {}, "param_groups": []},
        "scheduler_state_dict": {"last_epoch": 3},
        "loss": torch.tensor(1.5),
        "global_step": 7,
    }
    torch.save(content, path)
    return path


def test_a_fine_tuned_file_loads_and_converts_back(tmp_path: Path) -> None:
    model = answering_model(seed=2)
    path = save(tmp_path / "model_best.tar", formats.to_official(model))
    state = formats.read_official(path)
    found = build_empty_answering(model.answering)
    assert formats.load_official(found, state, file=path).complete
    for name, value in model.state_dict().items():
        assert torch.equal(found.state_dict()[name], value), name
    back = formats.to_official(found)
    assert back.keys() == state.keys() and all(torch.equal(back[k], state[k]) for k in back)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda s: s.pop("projector_2.bias"), "1 missing: answer.score.bias"),
        (lambda s: s.update(extra=torch.zeros(1)), "1 unexpected: extra"),
        (lambda s: s.update({"projector_1.weight": torch.zeros(5, 7)}), "1 reshaped"),
    ],
)
def test_loading_is_strict(change, message: str) -> None:
    model = answering_model()
    state = formats.to_official(model)
    change(state)
    with pytest.raises(EgolibError, match=message):
        formats.load_official(model, state)


def test_recognised_by_its_head() -> None:
    model = answering_model()
    state = formats.to_official(model) | {checkpoint.LANGUAGE_HEAD: torch.zeros(3, 3)}
    assert formats.recognise(state).answers == ANSWERS
    (entry,) = formats.MODELS
    assert entry.matches(state)
    pretrained = checkpoint.to_official(small_model())
    assert not entry.matches(pretrained)
    with pytest.raises(EgolibError, match="not an EgoTaskQA checkpoint"):
        formats.recognise(pretrained, file="x.pth")


def test_pretrained_weights_leave_the_head_alone() -> None:
    """Six frames from two: the time embedding is stretched."""
    config = AnsweringConfig(replace(CONFIG, frames=6), ANSWERS)
    model = build_empty_answering(config)
    torch.nn.init.ones_(model.answer.hidden.weight)
    source = small_model(seed=3)
    report = formats.load_pretrained(model, source.state_dict())
    assert report.missing == [
        "answer.hidden.bias",
        "answer.hidden.weight",
        "answer.score.bias",
        "answer.score.weight",
    ]
    assert (model.answer.hidden.weight == 1).all()
    assert torch.equal(model.video.times[:, [0, -1]], source.video.times)
    assert torch.equal(model.fusion_class_token, source.fusion_class_token)


def test_pretrained_weights_of_another_network_are_refused() -> None:
    model = answering_model()
    state = small_model(projection_width=8).state_dict()
    with pytest.raises(EgolibError, match="reshaped"):
        formats.load_pretrained(model, state, file="EgoVLPv2.pth")


def test_a_file_without_weights(tmp_path: Path) -> None:
    torch.save({"model_state_dict": 3}, tmp_path / "x.tar")
    with pytest.raises(EgolibError, match="holds no tensors"):
        formats.read_official(tmp_path / "x.tar")
