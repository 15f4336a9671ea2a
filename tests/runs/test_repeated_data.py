"""``1_data`` again with equal outputs: what rests on it, a training that was cut off, is kept."""

from __future__ import annotations

from importlib import import_module

import pytest

from egolib import config as configs
from egolib.report import results

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("tiny")]


@pytest.mark.parametrize("task", configs.TASKS)
def test_a_training_rests_on_equal_data(task, tiny, tmp_path, monkeypatch):
    root, _ = tiny
    monkeypatch.setenv("EGOLIB_ROOT", str(root))
    world = str(root / "data" / "world" / "tiny")
    about = {"variant": configs.read_chain(task).default, "preset": "tiny", "data_root": world}
    start = import_module(f"egolib.{task}").start
    data = import_module(f"egolib.{task}.steps.data")
    out = tmp_path / "1_data"
    fingerprints, finished = [], []
    for _ in range(2):
        step = start("1_data", out=str(out), data={}, **about)
        prepared = data.prepare(step)
        counted = {"work": data.work(prepared)} if hasattr(data, "work") else {}
        done = step.finish(data.metrics(prepared), data=data.counts(prepared), **counted)
        training = start(
            "2_train", out=str(tmp_path / "2_train"), inputs={"data": str(out)}, fit={}, **about
        )
        fingerprints.append(training.fingerprint)
        finished.append(done)
    assert fingerprints[0] == fingerprints[1]
    if task == "vq2d":  # which cuts clips, and finds them there the second time
        assert finished[0]["work"]["written"] > 0 == finished[1]["work"]["written"]


def test_other_counts_are_other_data(tmp_path):
    def identity(work, targets):
        results.write_result(
            tmp_path / "result.json", metrics={"targets": targets}, config={}, config_hash="",
            data={}, wall_sec=0, extra={"work": work},
        )  # fmt: skip
        return results.identity(tmp_path)

    assert identity({"kept": 0}, 3) == identity({"kept": 3}, 3) != identity({"kept": 3}, 4)
