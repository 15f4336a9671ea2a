"""Targets of a batch, and their parts."""

from __future__ import annotations

import torch

from egolib.mq.data.targets import stack_targets
from tests.mq.small import data


def test_parts_are_those_of_chunk():
    items = data()
    whole = stack_targets([items[i].targets for i in range(3)])
    parts = whole.split(2)
    assert [len(part.moments) for part in parts] == [2, 1]
    assert torch.equal(torch.cat([part.action for part in parts]), whole.action)
    assert torch.equal(parts[1].moments[0], whole.moments[2])
    assert whole.to("cpu").labels[1].tolist() == [1, 2, 1]
