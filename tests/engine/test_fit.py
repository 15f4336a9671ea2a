"""The training loop: exact resume, finite losses, logs, best weights."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from egolib.engine import FitConfig, total_updates, updates_per_epoch
from egolib.engine import fit as fit_module
from egolib.engine.config import batch_plan
from egolib.engine.loading import UpdateSampler
from egolib.engine.snapshot import Snapshots
from egolib.errors import EgolibError
from egolib.io import checkpoint
from tests.engine import toy


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A training that nobody interrupted."""
    out = tmp_path_factory.mktemp("whole")
    return out, toy.run(out)


def assert_same_training(out, whole):
    for name in ("model.safetensors", "best.safetensors", "ema.safetensors"):
        assert (out / name).read_bytes() == (whole / name).read_bytes(), name
        assert (out / name).with_suffix(".json").read_text() == (
            (whole / name).with_suffix(".json").read_text()
        )
    assert toy.log_without_times(out) == toy.log_without_times(whole)


def test_trains_logs_and_keeps_the_best(whole):
    out, result = whole
    assert result.updates == 20
    losses = [r["loss"] for r in result.losses()]
    assert losses[-1] < losses[0] / 2
    scores = [r["score"] for r in result.evaluations()]
    assert checkpoint.load(result.best)[1]["metrics"]["score"] == max(scores)
    assert (out / "tensorboard").is_dir()


@pytest.mark.parametrize("stop_at", [1, 5, 7, 13, 19])
def test_resumes_exactly_after_a_failure(tmp_path, whole, monkeypatch, stop_at):
    build = toy.build

    def failing():
        job = build()
        schedule = job.schedule

        def stop(update):
            if update == stop_at:
                raise RuntimeError("the machine went away")
            return schedule(update)

        job.schedule = stop
        return job

    monkeypatch.setattr(toy, "build", failing)
    with pytest.raises(RuntimeError):
        toy.run(tmp_path)
    monkeypatch.setattr(toy, "build", build)
    toy.run(tmp_path)
    assert_same_training(tmp_path, whole[0])


def test_resumes_exactly_after_kill(tmp_path, whole):
    command = [sys.executable, "-m", "tests.engine.toy", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while not list(tmp_path.glob("snapshot-*.pt")):
        time.sleep(0.01)
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ)
    assert_same_training(tmp_path, whole[0])


def test_a_finished_training_is_not_repeated(whole):
    out, result = whole
    before = (out / "model.safetensors").stat().st_mtime_ns
    assert toy.run(out).records == result.records
    assert (out / "model.safetensors").stat().st_mtime_ns == before


def test_loader_processes_change_nothing(tmp_path, whole):
    toy.run(tmp_path, dataclasses.replace(toy.SETTINGS, workers=2))
    assert_same_training(tmp_path, whole[0])


def test_another_configuration_starts_anew(tmp_path, capsys):
    settings = dataclasses.replace(toy.SETTINGS, epochs=1)
    toy.run(tmp_path, settings)
    result = toy.fit(toy.build, settings, tmp_path, seed=4, fingerprint="other")
    assert "starts anew" in capsys.readouterr().out
    assert len(result.losses()) == 2


def test_nan_stops_and_keeps_the_last_good_snapshot(tmp_path):
    with pytest.raises(EgolibError, match="loss became nan") as caught:
        toy.run(tmp_path, nan_at=16)
    assert "snapshot is kept" in str(caught.value)
    state = Snapshots(tmp_path).read()
    assert state["update"] == 5
    assert all(v.isfinite().all() for v in state["model"].values())
    assert not (tmp_path / "model.safetensors").exists()


def test_nan_names_the_samples(tmp_path):
    with pytest.raises(EgolibError, match=r"training samples \[\d+, \d+, \d+") as caught:
        toy.run(tmp_path, nan_at=16)
    assert "near update 8" in str(caught.value)


def test_a_damaged_snapshot_gives_way_to_the_one_before(tmp_path, whole, capsys):
    with pytest.raises(EgolibError, match="loss became nan"):
        toy.run(tmp_path, nan_at=24)  # in update 12, after the snapshots of updates 5 and 10
    _, last = Snapshots(tmp_path).files()
    content = bytearray(last.read_bytes())
    content[len(content) // 2] ^= 1
    last.write_bytes(content)
    toy.run(tmp_path)
    assert "is damaged" in (said := capsys.readouterr().out)
    assert "continuing after update 5" in said
    assert_same_training(tmp_path, whole[0])


def test_only_damaged_snapshots_are_an_error(tmp_path):
    (tmp_path / "snapshot-00000005-0123456789abcdef.pt").write_bytes(b"damaged")
    with pytest.raises(EgolibError, match="no snapshot can be read"):
        toy.run(tmp_path)


def test_out_of_memory_names_a_micro_batch_that_takes_less(tmp_path, monkeypatch):
    def too_large(*arguments):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(fit_module._Training, "one_update", too_large)
    with pytest.raises(EgolibError, match="micro-batches of 4 samples") as caught:
        toy.run(tmp_path)
    assert "fit.micro_batch_size=2" in str(caught.value)


def test_bf16_trains_what_no_plugin_may_rebuild(tmp_path):
    """Batches of frozen dataclasses pass through precision plugins untouched."""

    @dataclasses.dataclass(frozen=True)
    class Batch:
        x: torch.Tensor
        y: torch.Tensor

        def to(self, device, **options):
            return Batch(self.x.to(device), self.y.to(device))

    def build():
        job = toy.build()
        collate, loss = job.data.collate, job.loss
        job.data.collate = lambda items: Batch(*collate(items))
        job.loss = lambda model, batch: loss(model, (batch.x, batch.y))
        return job

    settings = dataclasses.replace(toy.SETTINGS, precision="bf16-mixed")
    result = toy.fit(build, settings, tmp_path, seed=3, fingerprint="toy")
    assert result.losses()[-1]["loss"] < result.losses()[0]["loss"] / 2


def test_unknown_monitor_names_the_known(tmp_path):
    settings = dataclasses.replace(toy.SETTINGS, monitor="scores:max")
    with pytest.raises(EgolibError, match="known: \\['score'\\]"):
        toy.run(tmp_path, settings)


@pytest.mark.parametrize(
    ("samples", "settings", "expected"),
    [
        (0, FitConfig(), 1),
        (10, FitConfig(batch_size=4), 2),
        (10, FitConfig(batch_size=4, drop_last=False), 3),
        (100, FitConfig(batch_size=24, micro_batch_size=4), 4),
    ],
)
def test_updates_per_epoch(samples, settings, expected):
    assert updates_per_epoch(samples, settings) == expected


def test_an_update_is_as_large_on_any_number_of_processes():
    settings = FitConfig(batch_size=24, micro_batch_size=4)
    assert [batch_plan(settings, n).accumulate for n in (1, 2, 3, 6)] == [6, 3, 2, 1]
    assert batch_plan(FitConfig(batch_size=24, micro_batch_size=100), 2).micro_size == 12


@pytest.mark.parametrize("processes", [5, 7, 48])
def test_an_update_that_cannot_be_divided_is_refused(processes):
    with pytest.raises(EgolibError, match="24 samples .* cannot be divided into"):
        batch_plan(FitConfig(batch_size=24, micro_batch_size=4), processes)


def test_total_updates_may_be_cut():
    settings = FitConfig(epochs=3, max_updates=4)
    assert total_updates(2, settings) == 4
    assert total_updates(1, settings) == 3


def test_processes_share_an_update_without_overlap():
    settings = FitConfig(batch_size=8, micro_batch_size=2)
    options = {"epoch": 1, "first_update": 0, "seed": 0}
    whole_updates = dataclasses.replace(settings, micro_batch_size=4)
    one = list(UpdateSampler(toy.Lines(), whole_updates, **options))
    two = [
        list(UpdateSampler(toy.Lines(), settings, **options, rank=rank, world=2))
        for rank in range(2)
    ]
    assert len(one) == len(two[0]) == len(two[1])
    for whole, first, second in zip(one, *two, strict=False):
        assert whole == first + second


def test_a_sampler_can_start_in_the_middle():
    settings = FitConfig(batch_size=4)
    options = {"epoch": 0, "seed": 0}
    whole = list(UpdateSampler(toy.Lines(), settings, **options, first_update=0))
    rest = list(UpdateSampler(toy.Lines(), settings, **options, first_update=3))
    assert rest == whole[3:]
