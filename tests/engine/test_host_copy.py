from __future__ import annotations

import torch

from egolib.engine.host_copy import HostCopy


def test_a_later_change_does_not_reach_the_copy() -> None:
    value = torch.tensor(2.5, requires_grad=True)
    copy = HostCopy(value)
    with torch.no_grad():
        value.fill_(7)
    assert copy.get() == 2.5
    assert HostCopy(torch.tensor(float("nan"))).get() != HostCopy(torch.tensor(0.0)).get()
