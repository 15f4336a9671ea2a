"""Captured functions: eager where there is no GPU, equal to eager calls where there is one."""

from __future__ import annotations

import copy
import logging
import pickle

import pytest
import torch
from torch import nn

from egolib.nn.graphs import Captured

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)).eval()


def test_on_the_cpu_it_is_the_function():
    model, x = network(), torch.randn(3, 4)
    captured = Captured(model)
    assert torch.equal(captured(x), model(x)) and captured(x).requires_grad
    with torch.no_grad():
        assert torch.equal(captured(x), model(x))
    assert len(captured) == 0


def test_copies_and_pickles_have_a_function_of_their_own():
    captured = Captured(network(), shapes=2, copies=False)
    for twin in (copy.deepcopy(captured), pickle.loads(pickle.dumps(captured))):
        assert twin.function is not captured.function and (twin.shapes, twin.copies) == (2, False)
        x = torch.randn(3, 4)
        assert torch.equal(twin(x), captured(x))


class Pretended(Captured):
    """Takes every call for one on a GPU, which this machine may not have."""

    def _capturable(self, inputs):
        return not self._failed and not torch.is_grad_enabled()


class Replayed:
    def __init__(self, function, inputs):
        self.function, self.inputs, self.calls = function, inputs, 0

    def replay(self, inputs):
        self.calls += 1
        return self.function(*inputs)


@torch.no_grad()
def test_calls_are_kept_by_shape_dtype_and_precision_up_to_a_number(monkeypatch):
    captured = Pretended(lambda x: {"double": 2 * x}, shapes=2)
    made = []

    def capture(inputs):
        made.append(Replayed(captured.function, inputs))
        return made[-1]

    monkeypatch.setattr(captured, "_captured", capture)
    for rows in (1, 2, 1, 3, 1, 2):  # 3 drops 2, which was unused for longest
        x = torch.ones(rows, 4)
        assert torch.equal(captured(x)["double"], 2 * x)
    assert [len(m.inputs[0]) for m in made] == [1, 2, 3, 2] and len(captured) == 2
    captured(torch.ones(1, 4, dtype=torch.float64))
    with torch.autocast("cpu", torch.bfloat16):
        captured(torch.ones(1, 4, dtype=torch.float64))
    assert len(made) == 6


@torch.no_grad()
def test_it_stays_eager_once_capturing_failed_and_says_so_once(monkeypatch, caplog):
    def fail(inputs):
        raise RuntimeError("operation not permitted when stream is capturing")

    captured, x = Pretended(network()), torch.ones(2, 4)
    monkeypatch.setattr(captured, "_captured", fail)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    with caplog.at_level(logging.WARNING):
        results = [captured(x) for _ in range(3)]
    assert all(torch.equal(found, captured.function(x)) for found in results)
    assert len(caplog.records) == 1 and "not permitted" in caplog.text


@needs_gpu
@torch.no_grad()
@pytest.mark.parametrize("mixed", [False, True])
def test_on_a_gpu_replays_equal_eager_calls(mixed):
    model = network().cuda()
    captured = Captured(model)
    with torch.autocast("cuda", torch.bfloat16, enabled=mixed):
        kept = [(captured(x), model(x)) for x in torch.randn(4, 3, 4, device="cuda")]
    assert len(captured) == 1
    for ours, eager in kept:
        torch.testing.assert_close(ours, eager, rtol=1e-2 if mixed else 1e-5, atol=1e-5)


@needs_gpu
@torch.no_grad()
def test_on_a_gpu_a_call_that_waits_for_the_host_stays_eager():
    captured = Captured(lambda x: x[x > 0].sum())
    x = torch.randn(100, device="cuda")
    assert torch.equal(captured(x), x[x > 0].sum()) and len(captured) == 0
    assert torch.equal(captured(x), x[x > 0].sum())
