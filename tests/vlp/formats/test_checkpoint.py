from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from egolib.cli.conversion import convert_file
from egolib.errors import EgolibError
from egolib.io import checkpoint
from egolib.vlp.formats import checkpoint as convert
from egolib.vlp.formats.loading import read_model
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


def test_sizes_are_told_by_shapes() -> None:
    """Also of networks that were not published; numbers of heads only where widths are known."""
    model = small_model(projection="large", frames=3)
    state = convert.to_official(model)
    like = replace(model.config, frames=9, depth=9)
    found = convert.recognise(state, like=like)
    assert replace(found, text_dropout=0.0) == model.config
    assert convert.recognise(state).heads == 1  # of 64 channels, as in the published networks
    del state["vid_proj.4.weight"], state["video_model.pos_embed"]
    with pytest.raises(EgolibError, match="without 'video_model.pos_embed'"):
        convert.recognise(state)


@pytest.mark.parametrize("projection", ["small", "large"])
@pytest.mark.parametrize("name", ["vlp/egovlpv2", "vlp"])
def test_a_trained_network_is_exported_and_read_back(
    tmp_path: Path, projection: str, name: str
) -> None:
    """Of any size; ``vlp`` is what earlier trainings called themselves."""
    model = small_model(projection=projection)
    name = convert.model_name(model.config) if "/" in name else name
    about = {"model": name, "config": asdict(model.config) | {"time_init": "official"}}
    checkpoint.save(tmp_path / "a", model.state_dict(), about)
    convert_file(tmp_path / "a.safetensors", tmp_path / "b.pth")
    convert_file(tmp_path / "b.pth", tmp_path / "c.safetensors")
    for file in ("a.safetensors", "b.pth", "c.safetensors"):
        found, _ = read_model(tmp_path / file)
        assert found.config == model.config
        assert all(torch.equal(v, model.state_dict()[k]) for k, v in found.state_dict().items())


def test_a_published_layout_is_recognised_by_the_converter(tmp_path: Path) -> None:
    model = small_model(width=64, heads=1, text_width=64, text_heads=1)
    path = save(tmp_path / "official.pth", convert.to_official(model), "module.")
    report = convert_file(path, tmp_path / "x.safetensors")
    assert report["model"] == "vlp/egovlpv2_smallproj"
    found, about = read_model(tmp_path / "x.safetensors")
    assert about["source"]["file"] == "official.pth"
    assert all(torch.equal(v, model.state_dict()[k]) for k, v in found.state_dict().items())
    state = convert.to_official(model)
    del state["cls_token"]
    with pytest.raises(EgolibError, match="missing: fusion_class_token"):
        convert_file(save(tmp_path / "less.pth", state), tmp_path / "y.safetensors")
    half = {
        k: v.half() if v.is_floating_point() else v for k, v in convert.to_official(model).items()
    }
    found, _ = read_model(save(tmp_path / "half.pth", half))
    assert {v.dtype for v in found.state_dict().values()} == {torch.float32}


def test_a_checkpoint_of_another_task(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "a", {"x": torch.zeros(1)}, {"model": "nlq/groundnlq", "config": {}})
    with pytest.raises(EgolibError, match="not of vlp"):
        read_model(tmp_path / "a.safetensors")
