"""Whole splits answered by several inference variants, and resumed after an interruption."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from egolib.config import build, merge, to_tree
from egolib.errors import EgolibError
from egolib.io import checkpoint
from egolib.nlq.api import load
from egolib.nlq.config import InferConfig
from egolib.nlq.data.dataset import open_data
from egolib.nlq.formats.checkpoint import KEYS
from egolib.nlq.formats.submission import read as read_submission
from egolib.nlq.formats.submission import validate_file
from egolib.nlq.formats.submission import write as write_submission
from egolib.nlq.steps import data as prepare
from egolib.nlq.steps import infer as steps
from egolib.nlq.steps import train
from tests.nlq.project import VIDEO, changed, make_root, step

VARIANTS = ["consistent", "per_query", "averaged"]


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
    made = step("3_infer", root, folder, {"infer": {"compare": VARIANTS}})
    return changed(made, out=tmp_path)


def test_variants_differ_from_the_configured_one_in_one_thing():
    base, *others = steps.inference_variants(InferConfig(compare=tuple(VARIANTS)))
    assert (base.name, base.weights) == ("", "model")
    expected = (
        replace(base, infer=replace(base.infer, decode_offset="consistent")),
        replace(base, infer=replace(base.infer, text_padding="per_query")),
        replace(base, weights="ema"),
    )
    for variant, wanted in zip(others, expected, strict=True):
        assert replace(variant, name="") == wanted


def test_files_answer_every_question(run, infer):
    root, _ = run
    answers = steps.predict(infer)
    files = answers.files
    assert set(files) == {
        f"{split}{v}.json" for split in ("val", "test") for v in ("", *(f".{w}" for w in VARIANTS))
    }
    annotations = root / "ego4d" / "v2" / "annotations"
    assert "every question answered" in validate_file(
        files["val.json"], annotations / "nlq_val.json"
    )
    official = annotations / "nlq_test_unannotated.json"
    assert "every question answered" in validate_file(files["test.json"], official)
    windows = {
        v: read_submission(files[f"val{v}.json"])[0]["predicted_times"][0]
        for v in ("", ".consistent")
    }
    start, shifted = windows[""][0], windows[".consistent"][0]
    assert start == 0 or start - shifted == pytest.approx(16.043 / 60, abs=1e-4)
    steps.check(infer, answers)
    assert steps.counts(answers) == {"val": 6, "test": 3}
    assert steps.metrics(answers)["mean_score"] > 0
    assert steps.table(answers).loc["count", "score"] == 6
    assert len(steps.examples(infer, answers)) == 3


def test_impossible_answers_are_refused(infer):
    answers = steps.predict(infer)
    records = answers.records()
    records[1]["predicted_times"][0] = [5.0, 2.0, 0.5]
    write_submission(answers.files["val.json"], records)
    with pytest.raises(EgolibError, match="impossible windows"):
        steps.check(infer, answers)


def test_the_trained_network_decides_which_features_fit(run, infer):
    """A network that was changed for ``2_train`` alone answers, whatever the preset says."""
    wider = replace(infer.config.model, video_streams=(("video", 2304),), max_length=64)
    answers = steps.predict(changed(infer, config=replace(infer.config, model=wider)))
    assert len(answers.records()) > 0


def test_the_files_hold_what_the_grounder_says(run, infer):
    answers = steps.predict(infer)
    weights = infer.inputs["model"] / "train" / "model.safetensors"
    data = open_data(infer.config, prepare.read_list(infer, "val"), prepare.roots(infer))
    grounder = load(weights, infer=infer.config.infer)
    assert answers.records() == grounder.predict(data)


def kept(infer) -> list:
    """The parts of answers that the configured variant keeps."""
    return sorted((infer.out / "answers" / "configured").glob("*/val-*.json"))


def watch(monkeypatch) -> list:
    """Grows by the rows of each part that is answered anew."""
    answered = []
    stream = steps.Grounder.stream

    def watched(self, data, done):
        for part in stream(self, data, done):
            answered.append(part[0])
            yield part

    monkeypatch.setattr(steps.Grounder, "stream", watched)
    return answered


def test_an_interrupted_run_resumes(infer, monkeypatch):
    whole = {name: path.read_bytes() for name, path in steps.predict(infer).files.items()}
    _, second = kept(infer)
    second.write_text(second.read_text()[:20])  # cut off while it was written
    (infer.out / "val.json").unlink()
    answered = watch(monkeypatch)
    again = {name: path.read_bytes() for name, path in steps.predict(infer).files.items()}
    assert again == whole
    assert answered == [[3, 4, 5]]


def test_features_that_break_cost_nothing_that_is_answered(run, infer, monkeypatch):
    """The error names the clip; once it is mended the same command computes the rest alone."""
    root, _ = run
    whole = steps.predict(infer)
    answers = whole.records()
    for part in kept(infer):
        part.unlink()
    file = root / VIDEO / "val1.safetensors"
    content = file.read_bytes()
    try:
        file.write_bytes(content[: len(content) // 2])
        with pytest.raises(EgolibError) as found:
            steps.predict(infer)
    finally:
        file.write_bytes(content)
    assert found.value.file == file and found.value.remedy
    assert len(kept(infer)) == 1, "the clip before it is answered and kept"
    asked = watch(monkeypatch)
    assert steps.predict(infer).records() == answers
    assert asked == [[3, 4, 5]]


ANSWERING = {
    "score_threshold": 0.5,
    "candidates_per_level": 3,
    "duration_threshold": 3.0,
    "decode_offset": "consistent",
    "text_padding": "per_query",
    "text_batch": 1,
    "clip_batch": 1,
    "path": "official",
    "suppression": {"sigma": 0.1},
}


@pytest.mark.parametrize("name", ANSWERING)
def test_other_settings_do_not_use_kept_answers(infer, name):
    """Every setting that changes answers changes the key of what is kept."""
    steps.predict(infer)
    before = kept(infer)[0].parent
    tree = merge(to_tree(infer.config), {"infer": {name: ANSWERING[name]}})
    steps.predict(changed(infer, config=build(type(infer.config), tree)))
    assert kept(infer)[0].parent != before
    assert not before.exists()


def test_weights_by_name_or_file(infer):
    with pytest.raises(EgolibError, match="wrote no weights 'epoch_009'"):
        steps.weights_file(infer, "epoch_009")
    file = infer.inputs["model"] / "train" / "model.safetensors"
    given = changed(infer, inputs={**infer.inputs, "model": file})
    assert steps.weights_file(given, "model") == file
    with pytest.raises(EgolibError, match="averaged"):
        steps.weights_file(given, "ema")


def test_one_checkpoint_is_not_compared_with_weights_that_it_lacks(infer, capsys):
    file = infer.inputs["model"] / "train" / "model.safetensors"
    tree = merge(to_tree(infer.config), {"infer": {"compare": ["averaged"]}})
    config = build(type(infer.config), tree)
    given = changed(infer, config=config, inputs={**infer.inputs, "model": file})
    assert set(steps.predict(given).files) == {"val.json", "test.json"}
    assert "no comparison with averaged" in capsys.readouterr().out


def test_an_official_file_or_its_folder_answers_like_the_weights_in_it(infer, tmp_path):
    trained = infer.inputs["model"] / "train"
    expected = steps.predict(infer)
    live, average = (checkpoint.load(trained / f"{n}.safetensors")[0] for n in ("model", "ema"))
    folder = tmp_path / "official"
    folder.mkdir()
    content = {
        "epoch": 5,
        "state_dict": KEYS.to_official(live),
        "state_dict_ema": KEYS.to_official(average),
    }
    torch.save(content, folder / "epoch_005.pth.tar")
    for model in (folder, folder / "epoch_005.pth.tar"):
        given = changed(infer, out=tmp_path / model.name, inputs={**infer.inputs, "model": model})
        found = steps.predict(given)
        for name, path in found.files.items():
            assert path.read_bytes() == expected.files[name].read_bytes(), name


def test_two_processes_answer_as_one(run, tmp_path):
    """Byte by byte; what is kept is shared too, so that a second call computes nothing."""
    root, folder = run
    files = {}
    for name, spread in (("one", {}), ("two", {"devices": "cpu", "processes": 2})):
        made = changed(step("3_infer", root, folder, {"infer": spread}), out=tmp_path / name)
        files[name] = steps.predict(made).files
        assert made.config.infer.processes == (2 if name == "two" else 1)
    assert files["one"].keys() == files["two"].keys() == {"val.json", "test.json"}
    for name, file in files["one"].items():
        assert file.read_bytes() == files["two"][name].read_bytes()


def test_answers_in_bfloat16_are_close(run, tmp_path):
    """Scores at least: which of many equally likely windows comes first is another matter."""
    root, folder = run
    scores = {}
    for name in ("float32", "bfloat16"):
        made = changed(
            step("3_infer", root, folder, {"infer": {"precision": name}}), out=tmp_path / name
        )
        records = steps.predict(made).records()
        scores[name] = [record["predicted_times"][0][2] for record in records]
    assert scores["bfloat16"] != scores["float32"]
    assert scores["bfloat16"] == pytest.approx(scores["float32"], rel=0.05)
