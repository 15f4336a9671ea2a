"""``egolib convert``: every kind of network, both ways, strictly."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from egolib.cli import conversion
from egolib.cli.conversion import convert_file
from egolib.errors import EgolibError
from egolib.io import checkpoint
from egolib.io.checkpoint import KeyTable, OfficialModel

TABLE = KeyTable([("body.{rest}", "trunk.{rest}"), ("head.{rest}", "final.{rest}")])


class Toy(nn.Module):
    """A network of any width."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(2, width), nn.Linear(width, 1)


def toy_model(name: str, *, kind: str = "plain") -> OfficialModel:
    """Published with width 4; ``kind`` leaves no trace in the weights."""
    return OfficialModel(
        name,
        lambda state: tuple(state.get("trunk.weight", torch.zeros(0)).shape) == (4, 2),
        lambda state: (TABLE.to_ours(state), {"model": {"width": 4, "kind": kind}}),
        lambda state, _: TABLE.to_official(state),
        read=lambda state, _: TABLE.to_ours(state),
        empty=lambda config: Toy(config["model"]["width"]).state_dict(),
        accepts=lambda config: config["model"]["kind"] == kind,
    )


@pytest.fixture(autouse=True)
def models(monkeypatch: pytest.MonkeyPatch) -> dict[str, OfficialModel]:
    known = {"toy/plain": toy_model("toy/plain")}
    monkeypatch.setattr(conversion, "official_models", lambda: known)
    return known


def official(width: int = 4) -> dict[str, Tensor]:
    torch.manual_seed(0)
    return TABLE.to_official(Toy(width).state_dict())


def write(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def converted(path: Path, **options: str) -> dict[str, Tensor]:
    convert_file(path, path.with_suffix(".safetensors"), **options)
    return checkpoint.load(path.with_suffix(".safetensors"))[0]


def test_there_and_back(tmp_path):
    source = write(tmp_path / "a.pth", {"state_dict": official()})
    report = convert_file(source, tmp_path / "b.safetensors")
    assert report["model"] == "toy/plain" and report["entries"] == 4
    assert report["values"] == 17 and "notes" not in report
    convert_file(tmp_path / "b.safetensors", tmp_path / "c.pth")
    back = checkpoint.find_state(checkpoint.read_foreign(tmp_path / "c.pth"))
    assert back.keys() == official().keys()
    assert all(torch.equal(back[name], value) for name, value in official().items())


def test_any_size_by_the_configuration_beside_the_weights(tmp_path):
    sidecar = {"model": "toy/trained", "config": {"model": {"width": 7, "kind": "plain"}}}
    ours = Toy(7).state_dict()
    checkpoint.save(tmp_path / "a.safetensors", ours, {**sidecar, "view": "kept"})
    convert_file(tmp_path / "a.safetensors", tmp_path / "b.pth")
    convert_file(tmp_path / "b.pth", tmp_path / "c.safetensors")
    again, about = checkpoint.load(tmp_path / "c.safetensors")
    assert all(torch.equal(again[name], value) for name, value in ours.items())
    assert about["config"] == sidecar["config"] and about["view"] == "kept"


def test_a_sidecar_of_another_file_decides_nothing(tmp_path):
    source = write(tmp_path / "a.pth", official())
    beside = {"model": "toy/plain", "config": {"model": {"width": 9}}, "sha256": "0"}
    source.with_suffix(".json").write_text(json.dumps(beside))
    assert converted(source)["body.weight"].shape == (4, 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("final.bias"), "1 missing: head.bias"),
        (lambda state: state.update(other=torch.zeros(1)), "1 unexpected: other"),
        (lambda state: state.update({"final.bias": torch.zeros(2)}), "1 reshaped: head.bias"),
        (lambda state: state["final.bias"].fill_(float("nan")), "NaN or infinity"),
        (lambda state: state["final.bias"].fill_(float("inf")), "NaN or infinity"),
    ],
)
def test_strict_both_ways(tmp_path, change, message):
    state = official()
    change(state)
    with pytest.raises(EgolibError, match=message):
        convert_file(write(tmp_path / "a.pth", state), tmp_path / "b.safetensors")
    assert not (tmp_path / "b.safetensors").exists()
    ours = TABLE.to_ours(state)
    about = {"model": "toy/plain", "config": {"model": {"width": 4, "kind": "plain"}}}
    checkpoint.save(tmp_path / "c.safetensors", ours, about)
    with pytest.raises(EgolibError, match=message):
        convert_file(tmp_path / "c.safetensors", tmp_path / "d.pth")
    assert not (tmp_path / "d.pth").exists()


@pytest.mark.parametrize(
    ("wrap", "note"),
    [
        (lambda s: {f"module.{k}": v for k, v in s.items()}, "module. was taken off"),
        (lambda s: {f"module.module.{k}": v for k, v in s.items()}, "module.module. was taken"),
        (lambda s: {f"_orig_mod.{k}": v for k, v in s.items()}, "_orig_mod. (torch.compile)"),
        (
            lambda s: {f"module._orig_mod.{k}": v for k, v in s.items()},
            "_orig_mod. (torch.compile) was taken off; module. was taken off",
        ),
        (
            lambda s: {"n_averaged": torch.tensor(3)} | {f"module.{k}": v for k, v in s.items()},
            "averaged weights (n_averaged)",
        ),
        (
            lambda s: s | {"ema_final_bias": torch.full((1,), 9.0)},
            "1 averages (ema_*) were passed over",
        ),
        (lambda s: {k: v.double() for k, v in s.items()}, "float64 became float32"),
        (lambda s: {"model": s, "model_ema": {}}, ""),
    ],
)
def test_what_training_tools_add_is_told_and_taken_off(tmp_path, wrap, note):
    source = write(tmp_path / "a.pth", wrap(official()))
    report = convert_file(source, tmp_path / "b.safetensors")
    assert note in report.get("notes", "")
    ours = checkpoint.load(tmp_path / "b.safetensors")[0]
    assert all(torch.equal(ours[k], v) for k, v in TABLE.to_ours(official()).items())


@pytest.mark.parametrize("name", ["state_dict_ema", "model_ema"])
def test_averaged_weights(tmp_path, name):
    averaged = {k: v + 1 for k, v in official().items()}
    source = write(tmp_path / "a.pth", {"state_dict": official(), name: averaged})
    ours = converted(source, weights="averaged")
    assert all(torch.equal(ours[k], v) for k, v in TABLE.to_ours(averaged).items())


def test_averages_that_mmcv_keeps_beside(tmp_path):
    beside = {f"ema_{k.replace('.', '_')}": v + 1 for k, v in official().items()}
    source = write(tmp_path / "a.pth", {"state_dict": official() | beside})
    ours = converted(source, weights="averaged")
    assert all(torch.equal(ours[k], v + 1) for k, v in TABLE.to_ours(official()).items())


def test_no_averaged_weights(tmp_path):
    with pytest.raises(EgolibError, match="no averaged weights"):
        converted(write(tmp_path / "a.pth", official()), weights="averaged")


def test_half_precision_becomes_single_unless_told(tmp_path):
    source = write(tmp_path / "a.pth", {k: v.half() for k, v in official().items()})
    assert converted(source)["body.weight"].dtype == torch.float32
    assert converted(source, dtype="bfloat16")["body.weight"].dtype == torch.bfloat16
    with pytest.raises(EgolibError, match="did you mean"):
        converted(source, dtype="float31")


def test_several_models_are_told_apart(tmp_path, models):
    models["toy/other"] = toy_model("toy/other", kind="other")
    source = write(tmp_path / "a.pth", official())
    with pytest.raises(EgolibError, match=r"toy/plain \(model.kind plain\); toy/other") as caught:
        converted(source)
    assert "--model" in str(caught.value)
    converted(source, model="toy/other")
    about = checkpoint.load(tmp_path / "a.safetensors")[1]
    assert about["model"] == "toy/other" and about["config"]["model"]["kind"] == "other"


def test_model_is_heeded_in_both_directions(tmp_path, models):
    models["toy/wide"] = OfficialModel(
        "toy/wide",
        lambda state: False,
        lambda state: (TABLE.to_ours(state), {"model": {"width": 5}}),
        lambda state, _: TABLE.to_official(state),
        empty=lambda config: Toy(5).state_dict(),
    )
    source = write(tmp_path / "a.pth", official())
    with pytest.raises(EgolibError, match="reshaped"):
        converted(source, model="toy/wide")
    converted(source)
    with pytest.raises(EgolibError, match="reshaped"):
        convert_file(tmp_path / "a.safetensors", tmp_path / "b.pth", "toy/wide")
    for direction in (source, tmp_path / "a.safetensors"):
        with pytest.raises(EgolibError, match="unknown model"):
            convert_file(direction, tmp_path / "c.pth", "toy/none")


def test_unknown_keys(tmp_path):
    with pytest.raises(EgolibError, match="no known model has these keys"):
        converted(write(tmp_path / "a.pth", {"x": torch.zeros(1)}))
