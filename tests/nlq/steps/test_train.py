"""Training by configuration: what the engine is given, and what it leaves behind."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from egolib.errors import EgolibError
from egolib.io import checkpoint
from egolib.nlq.api import load
from egolib.nlq.config import groundnlq
from egolib.nlq.formats.checkpoint import KEYS
from egolib.nlq.losses import training as training_losses
from egolib.nlq.models.network import GroundNLQ
from egolib.nlq.optim import HEADS
from egolib.nlq.steps import data, train
from tests.nlq.project import changed, make_root, step


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A data root with the lists of ``1_data`` in ``runs``."""
    folder = tmp_path_factory.mktemp("root")
    made = make_root(folder / "data")
    data.convert(step("1_data", made, folder / "runs"))
    (folder / "runs" / "1_data" / "result.json").write_text("{}")
    return made


def training(root, out, changes=None, **inputs):
    made = step("2_train", root, root.parent / "runs", changes)
    return changed(made, out=out, inputs={**made.inputs, **inputs})


def test_weights_load_without_knowing_more(root, tmp_path):
    result = train.train(training(root, tmp_path))
    assert result.updates == 4
    grounder = load(result.weights)
    assert grounder.model.config.width == 8 and grounder.data.counts == "any"
    assert result.ema is not None and load(result.ema)
    assert train.last_evaluation(result) == {}


def test_evaluation_between_epochs(root, tmp_path):
    changes = {"fit": {"evaluate_every": 1, "evaluation": ["loss", "recall"]}}
    result = train.train(training(root, tmp_path, changes))
    assert len(result.evaluations()) == 2
    found = train.last_evaluation(result)["validation"]
    assert {"loss", "classification", "regression", "r1_at_0.3", "miou"} <= set(found)


@pytest.mark.parametrize(("behaviour", "equal"), [("official", False), ("clean", True)])
def test_a_clean_evaluation_changes_nothing(root, tmp_path, behaviour, equal):
    """The official one moves the loss normaliser, and with it the rest of the training."""
    without = train.train(training(root, tmp_path / "without"))
    changes = {"fit": {"evaluate_every": 1}, "loss": {"validation": behaviour}}
    evaluated = train.train(training(root, tmp_path / "with", changes))
    same = without.weights.read_bytes() == evaluated.weights.read_bytes()
    assert same == equal


@pytest.mark.parametrize("heads", ["official", "kept"])
def test_starting_from_an_earlier_training(root, tmp_path, heads):
    first = train.train(training(root, tmp_path / "first"))
    changes = {"initial": {"heads": heads}}
    later = training(root, tmp_path / "later", changes, initial=tmp_path / "first")
    (tmp_path / "first" / "train").mkdir(exist_ok=True)
    torch.manual_seed(0)
    state = train.build_job(later).model.state_dict()
    trained, _ = checkpoint.load(first.weights)
    for name, value in state.items():
        taken = heads == "kept" or not name.startswith(HEADS)
        assert not taken or torch.equal(value, trained[name]), name
    head = "classification.body.convs.0.weight"
    assert torch.equal(state[head], trained[head]) == (heads == "kept")


def test_starting_from_an_official_file(root, tmp_path):
    made = training(root, tmp_path, {"initial": {"weights": "nlq/pretrained.pth.tar"}})
    with pytest.raises(EgolibError, match="not found"):
        train.build_job(made)
    torch.manual_seed(3)
    official = KEYS.to_official(GroundNLQ(made.config.model).state_dict())
    torch.save({"state_dict": official}, root / "nlq" / "pretrained.pth.tar")
    state = train.build_job(made).model.state_dict()
    name = "stem.0.attention.query.linear.weight"
    assert torch.equal(state[name], KEYS.to_ours(official)[name])


def test_where_the_average_of_a_fine_tuning_starts(root, tmp_path):
    train.train(training(root, tmp_path / "first"))
    found = {}
    for behaviour in ("official", "loaded"):
        changes = {"initial": {"average": behaviour}}
        job = train.build_job(training(root, tmp_path, changes, initial=tmp_path / "first"))
        assert job.ema_initial is not None
        name = "stem.0.attention.query.linear.weight"
        found[behaviour] = torch.equal(job.ema_initial[name], job.model.state_dict()[name])
    assert found == {"official": False, "loaded": True}


def test_the_schedule_spans_the_training(root, tmp_path):
    made = training(root, tmp_path)
    factor = train.make_schedule(made.config, samples=9)  # two updates an epoch
    assert [factor(t) for t in range(3)] == [0, 1, 1]
    assert factor(4) == pytest.approx(0, abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("behaviour", "equal"), [("exact", True), ("official", False)])
def test_two_processes(root, tmp_path, behaviour, equal):
    """``exact`` equals one process with the whole batch; officially each counts by itself."""
    changes = {
        "seed": 2,  # positives are unevenly spread over the processes
        "model": {"drop_path": 0.0},
        "data": {"text_padding": "per_query"},
        "optim": {"optimizer": "sgd", "learning_rate": 0.1},
        "fit": {"device": "cpu"},
        "loss": {"normalizer_momentum": 0.0, "distributed": behaviour},
    }
    one = train.train(training(root, tmp_path / "one", changes))
    halves = {**changes, "fit": {"device": "cpu", "batch_size": 4, "processes": 2}}
    two = train.train(training(root, tmp_path / "two", halves))
    states = [checkpoint.load(result.weights)[0] for result in (one, two)]
    worst = max((states[0][k] - states[1][k]).abs().max().item() for k in states[0])
    assert (worst < 1e-5) == equal, worst


def test_parameters_by_part(root, tmp_path):
    made = training(root, tmp_path)
    sizes = {
        width: changed(made, config=replace(made.config, model=replace(groundnlq(), width=width)))
        for width in (384, 64)
    }
    assert train.parameter_table(sizes[384]).loc["all", "parameters"] == 32_527_498
    assert train.parameter_table(sizes[64]).loc["all", "parameters"] < 4e6


def test_what_the_notebook_shows_and_checks(root, tmp_path):
    made = training(root, tmp_path)
    assert "window, in features" in train.sample_table(train.training_data(made)[0]).index
    result = train.train(made)
    train.check(result)
    assert train.metrics(result)["updates"] == 4
    with pytest.raises(EgolibError, match="no weights or no log"):
        train.check(replace(result, updates=0))
    broken = [{**record, "loss": float("nan")} for record in result.records]
    with pytest.raises(EgolibError, match="loss of nan"):
        train.check(replace(result, records=broken))


@pytest.mark.parametrize("variant", ["finetune", "finetune_trainval", "finetune_published"])
def test_a_published_start_is_required(root, tmp_path, variant):
    """Without the weights that it was published with, a variant trains only when told so."""
    made = changed(training(root, tmp_path), variant=variant)
    with pytest.raises(EgolibError, match="published with weights to start from"):
        train.build_job(made)
    told = changed(training(root, tmp_path, {"initial": {"weights": "none"}}), variant=variant)
    assert train.build_job(told).model is not None
    assert train.initial_weights(training(root, tmp_path)) is None


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_mixed_precision_trains_on_a_cpu(root, tmp_path, precision):
    """Close to full precision, and the targets still come from float64 windows."""
    seen = []
    assign = training_losses.assign_batch

    def watched(points, windows, *others):
        seen.extend(w.dtype for w in windows)
        return assign(points, windows, *others)

    results = {}
    for name in ("32-true", precision):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(training_losses, "assign_batch", watched)
            changes = {"fit": {"precision": name, "device": "cpu"}}
            results[name] = train.train(training(root, tmp_path / name, changes)).losses()
    assert set(seen) == {torch.float64}
    exact, mixed = (results[name][-1]["loss"] for name in ("32-true", precision))
    assert mixed == pytest.approx(exact, rel=0.05) and mixed != exact
