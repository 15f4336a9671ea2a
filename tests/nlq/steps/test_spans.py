"""VSLNet through the steps: question files, features, training, answers, what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from egolib import config as configs
from egolib.errors import EgolibError
from egolib.io.features import FeatureWriter, Provenance, open_store
from egolib.nlq.api import load
from egolib.nlq.config import Config
from egolib.nlq.formats.submission import read as read_submission
from egolib.nlq.models.vslnet.infer import SpanGrounder
from egolib.nlq.steps import data, evaluate, infer, spans, train
from egolib.vlp.features.questions import read_questions
from tests.nlq.project import TEXT, TREE, VIDEO, changed, make_root, step

SPANS = {
    "model": {
        "span": {
            "video_width": 0,
            "text_width": 0,
            "width": 8,
            "heads": 2,
            "max_length": 64,
            "conv_layers": 1,
        }
    },
    "data": {"span": {"tokens": 8}},
    "optim": {"builder": "vslnet", "warmup_epochs": 0},
    "fit": {
        "ema_decay": None,
        "evaluation": ["recall"],
        "evaluate_every": 1,
        "monitor": "r1_at_0.3:max",
        "drop_last": False,
    },
    "infer": {"weights": "best"},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Prepared questions, features of them as vlp writes them, and a training."""
    folder = tmp_path_factory.mktemp("run")
    root = make_root(folder / "root")
    prepared = data.prepare(step("1_data", root, folder, SPANS))
    data.check(step("1_data", root, folder, SPANS), prepared)
    (folder / "1_data" / "result.json").write_text("{}")
    write_features(folder, root)
    result = train.train(of(run_step(folder, root, "2_train"), folder))
    (folder / "2_train" / "result.json").write_text("{}")
    return folder, root, result


def run_step(folder, root, name, changes=None):
    return step(name, root, folder, configs.merge(SPANS, changes or {}))


def of(made, folder):
    return changed(made, inputs={**made.inputs, "features": folder / "vlp"})


def write_features(folder, root):
    """What ``vlp/nlq_questions`` writes, from the files that ``1_data`` wrote."""
    video, text = open_store(root / VIDEO), open_store(root / TEXT)
    out = folder / "vlp" / "questions"
    frames = {"fps": 30.0, "stride_frames": 16.0, "window_frames": 16.0}
    writers = {
        "video": FeatureWriter(out / "video", Provenance("video", 8, **frames)),
        "text": FeatureWriter(out / "text", Provenance("text", 16)),
        "mask": FeatureWriter(out / "mask", Provenance("text", 1)),
    }
    for split in ("train", "val", "test"):
        for clip, questions in read_questions(folder / f"1_data/{split}.json").items():
            for uid in questions:
                tokens = text.get(uid)
                writers["video"].write(uid, video.get(clip))
                writers["text"].write(uid, tokens)
                writers["mask"].write(uid, np.ones((len(tokens), 1), np.float32))


def test_the_questions_are_written_as_the_official_preparation_writes_them(run):
    folder, _, _ = run
    written = json.loads((folder / "1_data/val.json").read_text())
    assert written["val0"]["sentences"][0] == "where did i put the mug?"
    assert set(json.loads((folder / "1_data/val_clips.json").read_text())) == set(written)


def test_a_training_keeps_the_best_of_its_evaluations(run):
    folder, root, result = run
    assert len(result.evaluations()) == 2 and result.best is not None
    grounder = load(result.best)
    assert isinstance(grounder, SpanGrounder)
    assert grounder.model.config.video_width == 8 and grounder.model.config.text_width == 16
    parts = train.parameter_table(of(run_step(folder, root, "2_train"), folder))
    count = sum(p.numel() for p in grounder.model.parameters())
    assert parts.loc["all", "parameters"] == count
    asked = train.training_data(of(run_step(folder, root, "2_train"), folder))
    assert "first and last cell" in train.sample_table(asked[0]).index


def test_every_question_is_answered_and_scored(run):
    folder, root, _ = run
    made = of(run_step(folder, root, "3_infer"), folder)
    found = infer.predict(made)
    infer.check(made, found)
    assert len(read_submission(found.files["val.json"])) == len(found.queries["val"]) == 6
    again = infer.predict(made)
    assert again.files["test.json"].read_bytes() == found.files["test.json"].read_bytes()
    later = run_step(folder, root, "4_evaluate")
    truth = evaluate.read_truth(later)
    scored = evaluate.score(later, evaluate.read_predictions(later, truth), truth)
    evaluate.check(scored)
    numbers = evaluate.metrics(scored)
    lead = numbers["val_test"]["r1_at_0.3"] - numbers["blind"]["r1_at_0.3"]
    assert numbers["over_blind"]["r1_at_0.3"] == pytest.approx(lead)


def test_stores_below_the_data_root_serve_too(run):
    folder, root, _ = run
    made = run_step(folder, root, "2_train")
    questions = data.read_list(made, "train")
    found, skipped = spans.open_spans(made, questions, "train", training=True)
    assert len(found) == len(questions) and not skipped
    assert found[0].video.shape[1] == 8


def test_narrations_are_in_the_question_file_of_train_alone(run, tmp_path):
    _, root, _ = run
    changes = configs.merge(SPANS, {"data": {"train": "train+narrations"}})
    made = step("1_data", root, tmp_path, changes)
    queries = data.prepare(made).lists["train+narrations"].queries
    asked = read_questions(made.out / "train.json")
    assert {uid for each in asked.values() for uid in each} == {q.query_id for q in queries}
    assert asked["train0"]["train0_narrator-1_0"] == "#c c cuts?"
    for split in ("val", "test"):
        found = read_questions(made.out / f"{split}.json")
        assert not any("narrator" in uid for each in found.values() for uid in each)


def test_a_clip_that_the_table_of_lengths_lacks_is_left_out(run):
    folder, root, _ = run
    (root / "shapes.json").write_text(json.dumps({"train0": 56, "train1": 74}))
    made = run_step(folder, root, "2_train", {"data": {"span": {"shapes": "shapes.json"}}})
    questions = data.read_list(made, "train")
    found, skipped = spans.open_spans(made, questions, "train", training=True)
    assert len(found) == 6 and len(skipped) == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optim": {"optimizer": "adamw"}}, "optim.optimizer adamw with model.span"),
        ({"optim": {"schedule": "cosine"}}, "optim.schedule cosine with model.span"),
        ({"infer": {"compare": ["consistent"]}}, "infer.compare"),
        ({"fit": {"evaluation": ["loss", "recall"]}}, "fit.evaluation"),
        ({"data": {"train": "train+val"}}, "data.train"),
        ({"model": {"span": None}}, "without model.span"),
    ],
)
def test_settings_that_do_not_go_together(changes, message):
    tree = configs.merge(TREE, SPANS, changes)
    with pytest.raises(EgolibError, match=message):
        configs.build(Config, tree)
