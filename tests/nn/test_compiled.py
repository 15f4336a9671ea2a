"""Compiled blocks compute what eager ones do, and keep less where they are asked to."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch._functorch import config as partitioning

from egolib.nn import compiled
from egolib.nn.compiled import compile_blocks, is_compiled

PARTITIONED = "aot_eager_decomp_partition"  # compiles no kernels


class Block(nn.Module):
    """Two layers with much between them."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.expand = nn.LayerNorm(8), nn.Linear(8, 64)
        self.contract = nn.Linear(64, 8)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.contract(torch.sigmoid(self.expand(self.norm(x))).square())
        return y


@pytest.fixture(autouse=True)
def unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        partitioning, "activation_memory_budget", partitioning.activation_memory_budget
    )
    for name in ("suppress_errors", "recompile_limit"):
        monkeypatch.setattr(torch._dynamo.config, name, getattr(torch._dynamo.config, name))


def kept(model: nn.Module, x: Tensor) -> tuple[Tensor, int]:
    """The gradient of an input, and how many numbers the forward pass kept beside weights."""
    weights = {p.data_ptr() for p in model.parameters()}
    sizes = {}

    def note(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in weights:
            sizes[tensor.data_ptr()] = tensor.numel()
        return tensor

    x = x.clone().requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        y = model(x)
    y.square().sum().backward()
    assert x.grad is not None
    return x.grad, sum(sizes.values())


def test_compiled_blocks_are_equal_and_keep_less() -> None:
    torch.manual_seed(0)
    x = torch.randn(32, 8)
    model = nn.Sequential(Block(), Block())
    names = list(model.state_dict())
    eager, everything = kept(model, x)
    assert compile_blocks(model, checkpointing=True, backend=PARTITIONED) == 2
    assert partitioning.activation_memory_budget == compiled.KEPT
    assert all(is_compiled(block) for block in model) and list(model.state_dict()) == names
    found, part = kept(model, x)
    torch.testing.assert_close(found, eager)
    assert part < everything / 3


def test_evaluation_stays_eager() -> None:
    calls = []

    def backend(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> object:
        calls.append(graph)
        return graph.forward

    model = nn.Sequential(Block())
    compile_blocks(model, backend=backend)
    assert partitioning.activation_memory_budget == 1
    with torch.no_grad():
        model(torch.randn(2, 8))
    model.eval()(torch.randn(2, 8))
    assert not calls
    model.train()(torch.randn(2, 8))
    assert len(calls) == 1


def test_an_eager_block_says_so() -> None:
    assert not is_compiled(Block())
