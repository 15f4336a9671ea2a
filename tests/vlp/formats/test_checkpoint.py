from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from egolib.errors import EgolibError
from egolib.io import checkpoint
from egolib.vlp.formats import checkpoint as convert
from egolib.vlp.models.build import build_empty
from tests.vlp.small import small_model


class ConfigParser:
    """Stands for the class of the training code that official files pickle."""

    def __init__(self, config: dict):
        self.config = config


def save(path: Path, state: dict, prefix: str = "") -> Path:
    """A file as the training code writes it."""
    content = {
        "arch": "FrozenInTime",
        "epoch": 10,
        "state_dict": {prefix + k: v for k, v in state.items()},
        "optimizer": {"state": {}},
        "config": ConfigParser({"name": "EgoVLPv2"}),
    }
    torch.save(content, path)
    return path


@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_file_with_a_pickled_configuration_loads(tmp_path: Path, prefix: str) -> None:
    model = small_model(seed=1)
    path = save(tmp_path / "official.pth", convert.to_official(model), prefix)
    with pytest.raises(Exception, match="ConfigParser"):
        torch.load(path, weights_only=True)
    found = build_empty(model.config)
    report = convert.load_official(found, convert.read_official(path), file=path)
    assert report.complete
    for name, value in model.state_dict().items():
        assert torch.equal(found.state_dict()[name], value), name


def test_position_ids_may_be_absent_but_not_other() -> None:
    model = small_model()
    state = convert.to_official(model)
    assert state[convert.POSITION_IDS].tolist() == [list(range(20))]
    del state[convert.POSITION_IDS]
    assert convert.load_official(small_model(seed=9), state).complete
    state[convert.POSITION_IDS] = torch.zeros(1, 20, dtype=torch.long)
    with pytest.raises(EgolibError, match="count from 0"):
        convert.load_official(model, state)


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_time_embeddings_are_resized_on_loading(frames: int) -> None:
    source = small_model()
    model = build_empty(replace(source.config, frames=frames))
    convert.load_official(model, convert.to_official(source))
    times, before = model.video.times[0], source.video.times[0]
    assert torch.equal(times[0], before[0])
    assert frames == 1 or torch.allclose(times[-1], before[-1])
    assert frames != 5 or torch.allclose(times[2], before.mean(0))  # half way


def test_zeros_instead_of_interpolation() -> None:
    times = torch.randn(1, 2, 8)
    found = convert.resize_times(times, 4, "zeros")
    assert torch.equal(found[:, :2], times) and not found[:, 2:].any()


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda s: s.pop("cls_token"), "1 missing: fusion_class_token"),
        (lambda s: s.update(extra=torch.zeros(1)), "1 unexpected: extra"),
        (lambda s: s.update({"norm.weight": torch.zeros(3)}), "1 reshaped: fusion_norm.weight"),
    ],
)
def test_loading_is_strict(change, message: str) -> None:
    state = convert.to_official(small_model())
    change(state)
    with pytest.raises(EgolibError, match=message):
        convert.load_official(small_model(seed=2), state)


def test_a_large_projector_does_not_fit_a_small_one() -> None:
    state = convert.to_official(small_model(projection="large"))
    with pytest.raises(EgolibError, match="projector"):
        convert.load_official(small_model(), state)


def test_recognising() -> None:
    large = convert.to_official(small_model(projection="large", frames=3))
    assert convert.recognise(large).projection == "large"
    assert convert.recognise(large).frames == 3
    assert convert.recognise(convert.to_official(small_model())).projection == "small"
    older = {"video_model.temporal_embed": torch.zeros(1, 4, 768)}  # of EgoVLP, version 1
    with pytest.raises(EgolibError, match="not an EgoVLPv2"):
        convert.recognise(older)
    for state, names in ((large, ["vlp/egovlpv2"]), (older, [])):
        assert [m.name for m in convert.MODELS if m.matches(state)] == names


def test_converting_to_our_format_and_back(tmp_path: Path, monkeypatch) -> None:
    """The way of ``egolib convert``; recognising gives the small network's sizes here."""
    model = small_model()
    monkeypatch.setattr(convert, "recognise", lambda state, file=None: model.config)
    state = convert.to_official(model)
    (kind,) = [m for m in convert.MODELS if m.matches(state)]
    ours, config = kind.to_ours(state)
    path = checkpoint.save(tmp_path / "x", ours, {"model": kind.name, "config": config})
    found, sidecar = checkpoint.load(path)
    back = kind.to_official(found, sidecar["config"])
    assert back.keys() == state.keys()
    assert all(torch.equal(back[k], state[k]) for k in state)
    del state["cls_token"]
    with pytest.raises(EgolibError, match="missing"):
        kind.to_ours(state)
