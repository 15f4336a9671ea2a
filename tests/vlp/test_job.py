"""Training by configuration: what the engine is given, and what it leaves behind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from egolib import config as configs
from egolib.errors import EgolibError
from egolib.io import checkpoint
from egolib.vlp.api import load
from egolib.vlp.config import Config
from egolib.vlp.data.training import labelled_rows
from egolib.vlp.formats.checkpoint import KEYS
from egolib.vlp.steps import infer, train
from tests.vlp.project import PRETRAIN, step

FINETUNE = "epic_finetune_10"
INPUTS = {"data": f"{PRETRAIN}/1_data", "initial": f"{PRETRAIN}/2_train"}


def test_weights_load_without_knowing_more(runs: Path) -> None:
    weights = runs / PRETRAIN / "2_train/train/model.safetensors"
    model = load(weights)
    assert model.view.kind == "ego4d" and model.model.config.width == 32
    assert model.embed_text(["#C C opens the jar"]).shape == (1, 32)


def test_fine_tuning_starts_at_the_pre_training(tiny_world: Path, runs: Path) -> None:
    made = step("2_train", tiny_world, runs, FINETUNE, **INPUTS)
    state = train.build_job(made).model.state_dict()
    trained, _ = checkpoint.load(runs / PRETRAIN / "2_train/train/model.safetensors")
    assert all(torch.equal(state[name], value) for name, value in trained.items())
    result = train.train(made)
    assert result.updates == 2 and load(result.weights).view.kind == "epic"


def test_more_frames_stretch_the_time_embedding(tiny_world: Path, runs: Path) -> None:
    changes = {"model": {"frames": 7}}
    made = step("2_train", tiny_world, runs, FINETUNE, changes, **INPUTS)
    assert train.build_job(made).model.state_dict()["video.times"].shape[1] == 7


def test_an_official_file_and_one_of_another_network(tiny_world: Path, runs: Path) -> None:
    made = step("2_train", tiny_world, runs, PRETRAIN)
    model = train.build_job(made).model
    official = KEYS.to_official(model.state_dict())
    torch.save({"state_dict": {f"module.{k}": v for k, v in official.items()}}, runs / "a.pth")
    changes = {"initial": {"weights": str(runs / "a.pth")}}
    inputs = {"data": INPUTS["data"]}
    state = train.build_job(step("2_train", tiny_world, runs, FINETUNE, changes, **inputs)).model
    assert torch.equal(state.state_dict()["video.positions"], model.state_dict()["video.positions"])
    wider = {**changes, "model": {"projection_width": 16}}
    with pytest.raises(EgolibError, match="another network"):
        train.build_job(step("2_train", tiny_world, runs, FINETUNE, wider, **inputs))


def test_a_vocabulary_of_another_size_is_refused(tiny_world: Path, runs: Path) -> None:
    made = step("2_train", tiny_world, runs, changes={"model": {"vocabulary_size": 50265}})
    with pytest.raises(EgolibError, match="vocabulary"):
        train.build_job(made)


def test_evaluation_between_epochs(tiny_world: Path, runs: Path) -> None:
    changes = {"fit": {"evaluate_every": 1, "monitor": "ensemble.Intra-video:max"}}
    made = step("2_train", tiny_world, runs, changes=changes)
    result = train.train(replace(made, out=runs / "evaluated"))
    assert {"dual.Inter-video", "ensemble.Intra-video"} <= set(result.evaluations()[0])
    assert result.best is not None and "validation" in train.last_evaluation(result)


def test_an_epoch_may_be_cut_but_the_schedule_is_not(tiny_world: Path, runs: Path) -> None:
    """Official behaviour: the schedule counts whole epochs."""
    plain = {"optim": {"warmup_fraction": 0}}
    whole = step("2_train", tiny_world, runs, changes=plain)
    cut = step("2_train", tiny_world, runs, changes={**plain, "data": {"epoch_samples": 8}})
    data = train.training_data(cut)
    assert len(data.order(0, np.random.default_rng(0))) == 8 < len(data)
    factors = [train.make_schedule(s.config, len(data)) for s in (whole, cut)]
    assert [f(2) for f in factors] == [factors[0](2)] * 2


def test_a_fraction_of_the_labels_is_the_same_in_every_run() -> None:
    assert labelled_rows(100, 0.1).tolist() == labelled_rows(100, 0.1).tolist()
    assert len(labelled_rows(100, 0.1)) == 10 and len(labelled_rows(3, 0.01)) == 1


def test_parameters_by_part(tmp_path: Path) -> None:
    published = configs.build(Config, configs.resolve(Config, "vlp", "egoclip_pretrain", "paper"))
    made = replace(step("2_train", tmp_path, tmp_path), config=published)
    assert train.parameter_table(made).loc["all", "parameters"] > 381e6


# ------------------------------------------------------------------ where weights start


def test_a_published_start_is_required(tiny_world: Path, runs: Path) -> None:
    """Unless the configuration says that there is none on purpose."""
    required = {"initial": {"required": True}}
    made = step("2_train", tiny_world, runs, changes=required)
    with pytest.raises(EgolibError, match="was published with initial weights"):
        train.train(made)
    freed = step("2_train", tiny_world, runs, changes={"initial": {"weights": "none"}})
    assert train.build_job(freed).model is not None
    missing = {"initial": {"weights": "vlp/EgoVLPv2_smallproj.pth"}}
    with pytest.raises(EgolibError, match=r"initial.weights is not there"):
        train.train(step("2_train", tiny_world, runs, changes=missing))


def test_none_starts_fresh_even_where_a_training_is_there(tiny_world: Path, runs: Path) -> None:
    changes = {"initial": {"weights": "none"}}
    made = step("2_train", tiny_world, runs, FINETUNE, changes, **INPUTS)
    state = train.build_job(made).model.state_dict()
    trained, _ = checkpoint.load(runs / PRETRAIN / "2_train/train/model.safetensors")
    assert not torch.equal(state["video.positions"], trained["video.positions"])


def test_inference_changes_no_training(tiny_world: Path, runs: Path) -> None:
    """What is evaluated between epochs does not depend on what ``3_infer`` is asked for."""
    changes = {"fit": {"evaluate_every": 1}, "infer": {"fusion": False, "rerank": 9}}
    made = step("2_train", tiny_world, runs, changes=changes)
    evaluation = train.build_job(made).evaluate
    assert evaluation is not None
    assert "ensemble.Intra-video" in evaluation(train.build_job(made).model.eval())


@pytest.mark.parametrize("precision", ["bf16-mixed", "32-true"])
def test_precisions_on_a_processor(tiny_world: Path, runs: Path, precision: str) -> None:
    made = step("2_train", tiny_world, runs, changes={"fit": {"precision": precision}})
    train.check(train.train(replace(made, out=runs / precision)))


def test_a_card_that_is_not_there(
    tiny_world: Path, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    changes = {"infer": {"device": "cuda"}}
    made = step("3_infer", tiny_world, runs, changes=changes)
    with pytest.raises(EgolibError, match="0 GPUs"):
        infer.predict(made)
