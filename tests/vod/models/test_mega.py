"""MEGA: relations equal the published form; memories; frames computed once."""

from __future__ import annotations

import pytest
import torch

from egolib.vod.models.relation import Relation, position_embedding
from tests.oracles.vod import official_relation
from tests.vod.small import begin, counted, frames, make


def random_boxes(count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    low = torch.rand(count, 2, generator=generator) * 60
    return torch.cat([low, low + 5 + 40 * torch.rand(count, 2, generator=generator)], dim=1)


@pytest.mark.parametrize("geometry", [True, False])
def test_relation_equals_the_published_form(geometry: bool):
    torch.manual_seed(0)
    relation = Relation(32, 4, 64, geometry)
    for parameter in relation.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    x, support = torch.randn(70, 32), torch.randn(90, 32)
    boxes, others = random_boxes(70, 0), random_boxes(90, 1)
    with torch.no_grad():
        ours = relation(x, support, boxes, others)
        published = official_relation(relation, x, support, boxes, others)
    torch.testing.assert_close(ours, published, rtol=1e-4, atol=1e-4)


def test_position_embedding():
    boxes = torch.tensor([[0.0, 0, 9, 9], [0.0, 0, 19, 39]])
    embedding = position_embedding(boxes, boxes[:1], 64)
    assert embedding.shape == (2, 1, 64)
    same = embedding[0, 0].view(4, 2, 8)
    angle = 100 * torch.log(torch.tensor(1e-3))
    torch.testing.assert_close(same[0, 0, 0], torch.sin(angle))
    assert same[2:, 0].eq(0).all() and same[2:, 1].eq(1).all()  # equal sides
    other = embedding[1, 0].view(4, 2, 8)
    torch.testing.assert_close(other[2, 0, 0], torch.sin(100 * torch.log(torch.tensor(2.0))))
    torch.testing.assert_close(other[3, 1, 0], torch.cos(100 * torch.log(torch.tensor(4.0))))


def run(model, steps: int, change=None):
    state = begin(model, change=change)
    for i in range(steps):
        near = frames(2, 1, 1) if i == 0 else frames(1, 1, i + 2)
        far = frames(3, 2) if i == 0 else frames(1, 2)
        model.step(frames(1, first=i), state, near, far)
    return state


def test_every_frame_passes_the_backbone_once():
    model, _ = make("mega")
    seen = counted(model)
    run(model, 4)
    assert sum(seen) == (1 + 2 + 3) + 3 * (1 + 1)


@pytest.mark.parametrize(("rule", "kept"), [("official", 5), ("size", 2)])
def test_length_of_the_memory(rule: str, kept: int):
    """The official code reads its memory size nowhere and keeps as much as the window."""
    model, _ = make("mega")
    state = run(model, 7, {"mega": {"memory": 2, "memory_limit": rule}})
    assert [len(memory) for memory in state.memory] == [kept] * 3
    assert len(state.window) == 5 and len(state.distant) == 3


def test_memory_is_read_before_it_is_written():
    model, _ = make("mega")
    state = run(model, 1)
    assert [len(memory) for memory in state.memory] == [1, 1, 1]
    assert [len(memory[0]) for memory in state.memory] == [8, 3, 3]
