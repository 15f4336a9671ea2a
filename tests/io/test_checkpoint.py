"""Weights: our format with its sidecar, key tables both ways, foreign files without execution."""

from __future__ import annotations

import os
import pickle
import sys
import types

import numpy as np
import pytest
import torch
from torch import nn

from egolib.errors import EgolibError
from egolib.io import checkpoint
from egolib.io.checkpoint import KeyTable, Rule
from egolib.io.pickles import read_pickle


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def test_save_and_load(tmp_path, model):
    path = checkpoint.save(tmp_path / "m", model.state_dict(), {"model": "toy", "step": 3})
    state, sidecar = checkpoint.load(path)
    checkpoint.load_into(model, state)
    assert (sidecar["model"], sidecar["step"]) == ("toy", 3)
    again = checkpoint.save(tmp_path / "n", dict(reversed(state.items())), {"model": "toy"})
    assert again.read_bytes() == path.read_bytes()


def test_damage_is_noticed(tmp_path, model):
    path = checkpoint.save(tmp_path / "m", model.state_dict(), {})
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(EgolibError, match="SHA-256 differs"):
        checkpoint.load(path)
    path.write_bytes(data[:100])
    with pytest.raises(EgolibError, match="damaged safetensors"):
        checkpoint.load(path, verify=False)
    with pytest.raises(EgolibError, match="convert it first"):
        checkpoint.load(tmp_path / "m.pth")


def test_another_models_checkpoint_is_refused(model):
    state = {"0.weight": torch.zeros(4, 3), "0.bias": torch.zeros(5), "extra": torch.zeros(1)}
    with pytest.raises(EgolibError, match="does not fit") as caught:
        checkpoint.load_into(model, state, file="m.safetensors")
    assert "1 unexpected: extra" in str(caught.value)
    assert "1 reshaped: 0.bias (5,) for (4,)" in str(caught.value)


def test_partial_loading_reports_what_starts_fresh(model):
    report = checkpoint.load_partial(model, {"0.weight": torch.ones(4, 3)})
    assert report.loaded == 1
    assert "0.bias" in report.missing
    assert model[0].weight.eq(1).all()


TABLE = KeyTable(
    [
        Rule("norm.{k}", "bn.{k}", lambda x: x.reshape(-1), lambda x: x.reshape(1, -1, 1)),
        ("blocks.{i}.{rest}", "layers.{i}.{rest}"),
    ],
    drop_official=["{rest}.num_batches_tracked"],
)


def test_key_table_both_ways():
    official = {"bn.weight": torch.ones(1, 2, 1), "layers.0.a.b": torch.zeros(2)}
    ours = TABLE.to_ours({**official, "x.num_batches_tracked": torch.tensor(0)})
    assert {k: tuple(v.shape) for k, v in ours.items()} == {
        "norm.weight": (2,),
        "blocks.0.a.b": (2,),
    }
    back = TABLE.to_official(ours)
    assert back.keys() == official.keys()
    assert all(back[k].equal(official[k]) for k in official)
    with pytest.raises(EgolibError, match="no rule gives"):
        TABLE.to_official({"other": torch.zeros(1)})
    assert "unknown" in TABLE.to_ours({"unknown": torch.zeros(1)})  # left for the strict load


def test_key_table_placeholders_must_agree():
    with pytest.raises(ValueError, match="placeholders differ"):
        KeyTable([("a.{i}", "b.{j}")])


class Trap:
    """Would run a command if it were unpickled without care."""

    def __reduce__(self):
        return os.system, ("touch trapped",)


@pytest.mark.parametrize("zipped", [True, False])
def test_foreign_files_are_read_without_running_them(tmp_path, monkeypatch, zipped):
    monkeypatch.chdir(tmp_path)
    module = types.ModuleType("parse_config")

    class ConfigParser:
        def __init__(self):
            self.settings = {"n": 1}

    ConfigParser.__module__, ConfigParser.__qualname__ = "parse_config", "ConfigParser"
    module.ConfigParser = ConfigParser
    monkeypatch.setitem(sys.modules, "parse_config", module)
    weights = {"module.a": torch.arange(3.0), "module.b": nn.Parameter(torch.ones(2))}
    content = {"state_dict": weights, "config": ConfigParser(), "trap": Trap()}
    torch.save(content, "x.pth", _use_new_zipfile_serialization=zipped)
    monkeypatch.delitem(sys.modules, "parse_config")
    found = checkpoint.read_foreign("x.pth")
    assert found["config"].state == {"settings": {"n": 1}}
    state = checkpoint.find_state(found)
    assert set(state) == {"a", "b"}
    assert not state["b"].requires_grad
    assert not (tmp_path / "trapped").exists()


def test_truncated_foreign_file(tmp_path):
    torch.save({"a": torch.zeros(1000)}, tmp_path / "x.pth")
    data = (tmp_path / "x.pth").read_bytes()
    (tmp_path / "x.pth").write_bytes(data[: len(data) // 2])
    with pytest.raises(EgolibError, match="truncated archive"):
        checkpoint.read_foreign(tmp_path / "x.pth")


VALUES = {
    "half": torch.rand(3).half(),
    "bfloat": torch.rand(3).bfloat16(),
    "view": torch.arange(10.0)[2:8:2],
    "turned": torch.rand(4, 5).t(),
    "parameter": nn.Parameter(torch.ones(2)),
    "empty": torch.zeros(0, 3),
    "mask": torch.tensor([True, False]),
    "number": torch.tensor(3),
}


@pytest.mark.parametrize("zipped", [True, False])
def test_every_kind_of_tensor(tmp_path, zipped):
    torch.save(VALUES, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    found = checkpoint.read_foreign(tmp_path / "x.pth")
    assert found.keys() == VALUES.keys()
    for name, value in VALUES.items():
        assert found[name].dtype == value.dtype and torch.equal(found[name], value)


@pytest.mark.parametrize("zipped", [True, False])
def test_training_states_are_plain_values(tmp_path, model, zipped):
    optimizer = torch.optim.Adam(model.parameters(), lr=0.5)
    model(torch.rand(4, 3)).sum().backward()
    optimizer.step()
    content = {"model": model, "optimizer": optimizer.state_dict(), "size": torch.Size([1, 2])}
    torch.save(content, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    found = checkpoint.read_foreign(tmp_path / "x.pth")
    assert found["optimizer"]["param_groups"][0]["lr"] == 0.5
    assert found["optimizer"]["state"][0]["exp_avg"].shape == (4, 3)
    assert found["size"] == (1, 2) and type(found["model"]).__name__ == "Sequential"


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_arrays_of_every_protocol(tmp_path, protocol):
    arrays = [
        np.arange(6, dtype=">i4").reshape(2, 3),
        np.asfortranarray(np.ones((2, 3), np.float16)),
        np.zeros((0, 5), np.float32),
        np.array(["a", "bc"]),
        np.array([b"a"]),
        np.array([True]),
        np.array([None, "x"], object),
        np.array(3.5),
    ]
    value = {"arrays": arrays, "same": [arrays[0]] * 2, "scalar": np.int16(4), "none": b""}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(value, protocol=protocol))
    found = read_pickle(tmp_path / "a.pkl")
    for one, other in zip(found["arrays"], arrays, strict=True):
        assert one.dtype == other.dtype and type(one) is np.ndarray
        np.testing.assert_array_equal(one, other)
    assert found["same"][0] is found["same"][1] is found["arrays"][0]
    assert found["scalar"] == 4 and found["none"] == b""


def test_pickles_of_arrays_and_named_classes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    value = {"boxes": [np.zeros((2, 5), np.float32)], "names": {"a", "b"}, "n": np.float64(3)}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(value))
    found = read_pickle(tmp_path / "a.pkl")
    assert found["boxes"][0].shape == (2, 5)
    assert found["n"] == 3
    (tmp_path / "b.pkl").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(EgolibError, match="refused"):
        read_pickle(tmp_path / "b.pkl")
    assert not (tmp_path / "trapped").exists()
