"""Two processes against one, on the same global batch."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp

from egolib.vlp.config import LossConfig
from tests.vlp.workers import gradients, work

WORLD = 2

OBJECTIVES = [
    ("egonce", "mlm", "itm"),
    ("norm_softmax",),
    ("max_margin",),
    ("adaptive_margin",),
    ("sms",),
]


def configurations() -> list[LossConfig]:
    """Each objective in both modes; pre-training with and without a shared prefix."""
    found = []
    for objectives, mode in product(OBJECTIVES, ("official", "exact")):
        shared = (True, False) if "itm" in objectives else (True,)
        found += [LossConfig(objectives, distributed=mode, share_prefix=s) for s in shared]  # type: ignore[arg-type]
    return found


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, torch.Tensor]]:
    """Loss and averaged gradients of every configuration, computed by two processes."""
    folder: Path = tmp_path_factory.mktemp("gloo")
    out = folder / "results.pt"
    mp.spawn(work, (WORLD, str(folder / "store"), configurations(), str(out)), nprocs=WORLD)
    return torch.load(out)


@pytest.mark.parametrize("number", range(len(configurations())))
def test_gradients(two_processes: list[dict[str, torch.Tensor]], number: int) -> None:
    """``exact`` equals one process; ``official`` is 1 / W of it, for all losses alike."""
    config = configurations()[number]
    expected, found = gradients(config), two_processes[number]
    torch.testing.assert_close(found.pop("loss"), expected.pop("loss"), rtol=1e-5, atol=1e-6)
    factor = 1.0 if config.distributed == "exact" else 1 / WORLD
    assert found.keys() == expected.keys()
    assert sum(grad.norm() for grad in expected.values()) > 1e-3
    for name, grad in expected.items():
        tolerance = 1e-5 * float(grad.norm()) + 1e-7
        torch.testing.assert_close(found[name], factor * grad, rtol=1e-4, atol=tolerance, msg=name)
