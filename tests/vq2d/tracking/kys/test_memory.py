"""The tracker's memory: slots and weights."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from egolib.vq2d.config import TrackConfig
from egolib.vq2d.tracking.kys.memory import Memory

CFG = TrackConfig(memory_size=5, learning_rate=0.1)


def memory(config: TrackConfig = CFG) -> Memory:
    return Memory(torch.zeros(2, 1, 2, 2), torch.zeros(2, 4), config)


def add(target: Memory, value: float) -> None:
    target.add(torch.full((1, 1, 2, 2), value), torch.full((4,), value))


def test_start() -> None:
    features, boxes, weights = memory().samples()
    assert len(features) == len(boxes) == 2 and weights.tolist() == [0.5, 0.5]


def test_new_samples_take_free_slots_then_the_lightest() -> None:
    target = memory()
    for value in (1.0, 2.0, 3.0):
        add(target, value)
    assert target.features[:, 0, 0, 0].tolist() == [0, 0, 1, 2, 3]
    add(target, 4.0)  # the oldest later sample is the lightest
    assert target.features[:, 0, 0, 0].tolist() == [0, 0, 4, 2, 3] and target.count == 5


def test_weights_sum_to_one_and_grow() -> None:
    target = memory()
    for value in range(3):
        add(target, value)
    weights = target.weights
    assert weights.sum().item() == pytest.approx(1)
    assert weights[4] > weights[3] > weights[2]


def test_the_first_frame_keeps_its_share() -> None:
    target = memory(replace(CFG, learning_rate=0.5))
    for value in range(12):
        add(target, value)
    assert target.weights[:2].sum().item() == pytest.approx(0.25)
    assert 1 <= target.weights.sum().item() < 1.05  # official: normalised at the next sample


def test_copies_are_independent() -> None:
    target = memory()
    twin = target.copy()
    add(target, 1.0)
    assert twin.count == 2 and twin.weights[:2].tolist() == [0.5, 0.5] and not twin.features.any()
