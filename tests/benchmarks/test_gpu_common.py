"""What the GPU benchmark measures with, on a CPU: counts, deviations, records."""

from __future__ import annotations

import time

import pytest
import torch

from benchmarks.bars import Bar
from benchmarks.gpu_common import (
    Measured,
    Setting,
    compare,
    deviation,
    launches_and_synchronisations,
    precision,
)
from benchmarks.gpu_processes import counts, finish, forked

TINY = Setting("cpu", tiny=True)


def test_synchronisations_of_a_cpu_are_what_a_device_would_be_waited_for():
    x = torch.arange(8.0)

    def waits() -> None:
        if x.sum() > 0:  # one scalar
            x[x > 3]  # a mask: its entries are counted
        x.nonzero()
        x.tolist()
        x.cpu()

    found = launches_and_synchronisations(waits, TINY)
    kinds = {"_local_scalar_dense": 1, "index": 1, "nonzero": 1, "tolist": 1, "cpu": 1}
    assert found.kinds == kinds
    assert found.synchronisations == 5
    free = launches_and_synchronisations(lambda: (x * 2 + 1).view(2, 4)[:, 0], TINY)
    assert (free.launches, free.synchronisations) == (2, 0)  # views launch nothing


def test_deviation_of_nested_outputs():
    expected = {"boxes": torch.tensor([1.0, 4.0]), "scores": [torch.zeros(2)]}
    found = {"boxes": torch.tensor([1.0, 3.0]), "scores": [torch.zeros(3)]}
    assert deviation(found, expected) == {
        "absolute": 1.0,
        "relative": 0.25,
        "arrays": 1,
        "differing": 1,
    }


def test_precision_is_restored_and_unknown_ones_are_refused():
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    with precision("fp32", "cpu"):
        assert not torch.backends.cudnn.allow_tf32
        assert torch.get_float32_matmul_precision() == "highest"
    with precision("bf16", "cpu"):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
    assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == before
    with pytest.raises(ValueError, match="fp64"), precision("fp64", "cpu"):
        pass


def test_compare_lists_a_precision_that_fails_and_goes_on():
    weight = torch.ones(4, 4)

    def ours() -> torch.Tensor:
        if torch.is_autocast_enabled("cpu"):
            raise RuntimeError("query float, key bfloat16")
        return weight @ weight

    row = compare(TINY, ours, unit="frames/s", units=2, official=lambda: weight @ weight + 1)
    assert set(row.ours) == {"fp32", "tf32"}
    assert row.errors == {"bf16": "RuntimeError: query float, key bfloat16"}
    assert row.deviation["official"]["absolute"] == 1
    assert row.launches == 0.5
    assert row.official_launches == 1
    with pytest.raises(ValueError, match="unit"):
        compare(TINY, ours, unit="frames", units=1, official=lambda: weight)


def test_bars_are_judged_at_full_size_on_a_gpu_only():
    row = Measured("frames/s", bars=[Bar("rate", 10, "fps", 20)])
    assert row.record(TINY)["met"] is None
    assert row.record(Setting("cuda"))["met"] is False


def test_a_part_ends_with_its_result_its_error_or_its_time():
    assert forked(lambda: {"a": 1}, 30) == {"status": "measured", "result": {"a": 1}}
    failed = forked(lambda: {"a": 1 // 0}, 30)
    assert failed["status"] == "failed"
    assert "ZeroDivisionError" in failed["error"]
    slow = forked(lambda: time.sleep(60) or {}, 0.5)
    assert slow["status"] == "out of time"


def test_a_command_is_ended_with_its_children():
    begin = time.monotonic()
    ended = finish(["sh", "-c", "echo begun; sleep 60 & sleep 60"], 1.0)
    assert time.monotonic() - begin < 20
    assert ended.code is None
    assert ended.tail(100) == "begun"


def test_outcomes_are_read_from_what_pytest_prints():
    text = (
        "[gw0] [ 50%] PASSED tests/x.py::a[b.npz] \n"
        "[gw1] [100%] FAILED tests/x.py::c \n"
        "FAILED tests/x.py::c - assert 1 == 2\n"
    )
    assert counts(text) == {
        "passed": 1,
        "failed": 1,
        "error": 0,
        "skipped": 0,
        "failures": ["tests/x.py::c - assert 1 == 2"],
    }
    alone = counts("tests/x.py::a PASSED [ 50%]\ntests/x.py::b SKIPPED (no) [100%]\n")
    assert (alone["passed"], alone["skipped"], alone["failed"]) == (1, 1, 0)
