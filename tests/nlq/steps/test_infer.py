"""Whole splits answered, in several ways, and continued after an interruption."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from egolib.config import to_tree
from egolib.errors import EgolibError
from egolib.nlq.api import load
from egolib.nlq.config import InferConfig
from egolib.nlq.formats.submission import read_submission, validate_file
from egolib.nlq.steps import data as prepare
from egolib.nlq.steps import infer as predict
from egolib.nlq.steps import train
from tests.nlq.project import changed, make_root, step

WAYS = ["consistent", "per_query", "averaged"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Data and a trained network."""
    folder = tmp_path_factory.mktemp("run")
    root = make_root(folder / "root")
    prepare.convert(step("1_data", root, folder))
    train.train(step("2_train", root, folder))
    for name in ("1_data", "2_train"):
        (folder / name / "result.json").write_text("{}")
    return root, folder


@pytest.fixture
def infer(run, tmp_path):
    root, folder = run
    made = step("3_infer", root, folder, {"infer": {"compare": WAYS}})
    return changed(made, out=tmp_path)


def test_ways_differ_from_the_configured_one_in_one_thing():
    base, *others = predict.ways(InferConfig(compare=("consistent", "per_query", "averaged")))
    assert (base.name, base.weights, base.text_padding) == ("", "model", None)
    for way, expected in zip(
        others,
        (
            replace(base, infer=replace(base.infer, decode_offset="consistent")),
            replace(base, text_padding="per_query"),
            replace(base, weights="ema"),
        ),
    ):
        assert replace(way, name="") == expected


def test_files_answer_every_question(run, infer):
    root, _ = run
    files = predict.predict(infer)
    assert set(files) == {
        f"{split}{way}.json" for split in ("val", "test") for way in ("", *(f".{w}" for w in WAYS))
    }
    annotations = root / "ego4d" / "v2" / "annotations"
    assert "every question answered" in validate_file(
        files["val.json"], annotations / "nlq_val.json"
    )
    official = annotations / "nlq_test_unannotated.json"
    assert "every question answered" in validate_file(files["test.json"], official)
    windows = {
        way: read_submission(files[f"val{way}.json"])[0]["predicted_times"][0]
        for way in ("", ".consistent")
    }
    start, shifted = windows[""][0], windows[".consistent"][0]
    assert start == 0 or start - shifted == pytest.approx(16.043 / 60, abs=1e-4)


def test_the_trained_network_decides_which_features_fit(run, infer):
    """A network that was changed for ``2_train`` alone answers, whatever the preset says."""
    wider = replace(infer.config.model, video_streams=(("video", 2304),), max_length=64)
    files = predict.predict(changed(infer, config=replace(infer.config, model=wider)))
    assert len(read_submission(files["val.json"])) > 0


def test_the_files_hold_what_the_grounder_says(run, infer):
    files = predict.predict(infer)
    weights = infer.inputs["model"] / "train" / "model.safetensors"
    data = train.question_data(infer, "val")
    grounder = load(weights, infer=infer.config.infer)
    assert read_submission(files["val.json"]) == grounder.predict(data)


def test_an_interrupted_run_goes_on(infer, monkeypatch):
    whole = {name: path.read_bytes() for name, path in predict.predict(infer).items()}
    cache = infer.out / "val.jsonl"
    lines = cache.read_text().splitlines(keepends=True)
    cache.write_text("".join(lines[:2]) + lines[2][:20])  # cut off while the third was written
    (infer.out / "val.json").unlink()
    answered = []
    stream = predict.Grounder.stream

    def watched(self, data, done):
        for part in stream(self, data, done):
            answered.append(part[0])
            yield part

    monkeypatch.setattr(predict.Grounder, "stream", watched)
    again = {name: path.read_bytes() for name, path in predict.predict(infer).items()}
    assert again == whole
    assert len(answered) == len(lines) - 2


def test_other_settings_do_not_use_kept_answers(infer):
    predict.predict(infer)
    before = json.loads((infer.out / "val.jsonl").read_text().splitlines()[0])["key"]
    tree = to_tree(infer.config)
    tree["infer"]["score_threshold"] = 0.5
    from egolib.config import build

    predict.predict(changed(infer, config=build(type(infer.config), tree)))
    after = json.loads((infer.out / "val.jsonl").read_text().splitlines()[0])["key"]
    assert before != after


def test_weights_by_name_or_file(infer):
    with pytest.raises(EgolibError, match="no weights 'epoch_009'"):
        predict.weights_file(infer, "epoch_009")
    file = infer.inputs["model"] / "train" / "model.safetensors"
    given = changed(infer, inputs={**infer.inputs, "model": file})
    assert predict.weights_file(given, "model") == file
    with pytest.raises(EgolibError, match="averaged"):
        predict.weights_file(given, "ema")
