"""Training: what validation measures, what a sidecar says, that a stop changes nothing."""

from __future__ import annotations

import pytest
import torch

from egolib.errors import EgolibError
from egolib.io import checkpoint
from egolib.io.records import read_json
from egolib.mq.data.prepared import read_prepared
from egolib.mq.steps import figures
from egolib.mq.steps import train as steps
from tests.mq.project import step


def trained(runs, name="best"):
    return checkpoint.load(runs / "2_train" / "train" / f"{name}.safetensors")


def test_weights_say_what_they_are(runs):
    _, about = trained(runs)
    assert about["model"] == "mq/vsgn"
    assert about["classes"] == ["Background", "close", "open", "wash"]
    assert about["rows_per_sec"] == pytest.approx(30 / 16)
    assert about["config"]["model"]["feature_width"] == 5
    metrics = read_json(runs / "2_train" / "result.json")["metrics"]
    assert metrics["updates"] == 6 and metrics["lowest_validation_loss"] > 0


def test_seeds_decide(root, runs, tmp_path):
    found = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        made = step("2_train", root, tmp_path / name, {"seed": seed}, data=runs / "1_data")
        steps.train(made)
        state, _ = checkpoint.load(made.out / "train" / "model.safetensors")
        found.append(state["detection.class_output.weight"])
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


def test_last_validation_batch(root, runs):
    """Three clips of validation in batches of two, and of four."""
    losses = {}
    for choice in ("official", "keep"):
        for size in (2, 4):
            changes = {"data": {"last_validation_batch": choice}, "fit": {"batch_size": size}}
            made = step("2_train", root, runs, changes)
            job = steps.build_job(made)
            losses[choice, size] = job.evaluate(job.model)["loss"]
    assert losses["official", 4] == 0  # no whole batch: the first epoch is the best for ever
    assert losses["keep", 4] > 0
    assert losses["official", 2] != losses["keep", 2] > 0


def test_the_map_can_decide(root, runs):
    made = step("2_train", root, runs, {"fit": {"monitor": "average_map:max"}})
    job = steps.build_job(made)
    assert 0 <= job.evaluate(job.model)["average_map"] <= 100


def test_weights_of_an_earlier_training(root, runs, tmp_path):
    made = step("2_train", root, tmp_path, data=runs / "1_data", initial=runs / "2_train")
    job = steps.build_job(made)
    state, _ = trained(runs)
    assert all(torch.equal(job.model.state_dict()[k], v) for k, v in state.items())
    other = step("2_train", root, tmp_path, {"model": {"width": 8}}, data=runs / "1_data",
                 initial=runs / "2_train")  # fmt: skip
    with pytest.raises(EgolibError):
        steps.build_job(other)
    nowhere = step("2_train", root, runs, {"initial": {"weights": "gone.pth.tar"}})
    with pytest.raises(EgolibError, match=r"gone\.pth\.tar: initial.weights is not there"):
        steps.build_job(nowhere)


def test_stitched_windows_train(root, runs):
    changes = {"data": {"stitching": "vsgn"}, "model": {"stitched_neighbors": True}}
    made = step("2_train", root, runs, changes)
    job = steps.build_job(made)
    items = [job.data[i] for i in range(len(job.data))]
    assert any(item.stitched for item in items)
    loss = job.loss(job.model, job.data.collate(items[:3]))["loss"]
    assert loss.isfinite()


def test_tables_and_figures(root, runs):
    made = step("2_train", root, runs)
    table = steps.parameter_table(made)["parameters"]
    assert table["all"] == table.drop("all").sum() > 0
    data = steps.training_data(made)
    assert steps.batch_table(data)["features"].tolist() == [30] * 4
    assert "sent" in repr(steps.graph_source())
    records = [{"kind": "train", "update": 1, "classification": 1.0},
               {"kind": "evaluate", "update": 1, "classification": 2.0}]  # fmt: skip
    assert len(figures.training(records, steps.make_schedule(made.config, 6)).axes) == 2
    assert read_prepared(made).classes == data.classes
