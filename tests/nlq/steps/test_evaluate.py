"""Scoring whole runs, groups of questions, and joining predictions."""

from __future__ import annotations

import pytest

from egolib.errors import EgolibError
from egolib.io.records import write_json
from egolib.nlq.formats.submission import moments, table
from egolib.nlq.formats.submission import write as write_submission
from egolib.nlq.localization import baseline
from egolib.nlq.steps import data, evaluate
from tests.nlq.project import make_root, step


@pytest.fixture
def run(tmp_path):
    """Predictions: val perfectly right; late by 100 s where ``consistent``; test right."""
    root = make_root(tmp_path / "root")
    data.convert(step("1_data", root, tmp_path))
    made = step("4_evaluate", root, tmp_path)
    folder = tmp_path / "3_infer"
    truth = evaluate.read_truth(made)
    for split in ("val", "test"):
        right = [_record(query, query.windows_sec[0]) for query in truth[split].queries]
        wrong = [_record(query, (100.0, 101.0)) for query in truth[split].queries]
        write_submission(folder / f"{split}.json", right)
        write_submission(folder / f"{split}.consistent.json", wrong)
    return made, truth


def _record(query, window):
    return {
        "clip_uid": query.clip_uid,
        "annotation_uid": query.annotation_uid,
        "query_idx": query.index,
        "predicted_times": [[*window, 0.5]],
    }


def test_splits_know_their_answers(run):
    _, truth = run
    assert {name: len(split.queries) for name, split in truth.items()} == {
        "val": 6,
        "test": 3,
        "val_test": 9,
    }
    assert all(query.windows_sec for query in truth["test"].queries)
    assert evaluate.main_split(truth) == "val_test"


def test_without_test_answers_only_val_is_scored(run):
    made, _ = run
    (made.data_root / "truth" / "nlq_test.json").unlink()
    truth = evaluate.read_truth(made)
    assert set(truth) == {"val"} and evaluate.main_split(truth) == "val"


def test_scores_and_effects(run):
    made, truth = run
    predictions = evaluate.read_predictions(made, truth)
    assert list(predictions) == ["", "consistent"]
    assert list(predictions[""]) == ["val", "test", "val_test"]
    scored = evaluate.score(made, predictions, truth)
    assert evaluate.metrics(scored)["val_test"]["r1_at_0.5"] == 100
    assert evaluate.effects(scored)["consistent"]["r1_at_0.3"] == -100
    assert scored.variants[""]["val_test"].evaluated == 9
    assert evaluate.counts(truth) == {"val": 6, "test": 3, "val_test": 9}
    assert list(evaluate.effect_table(scored).index) == ["consistent"]
    assert len(evaluate.table(scored)) == 4
    evaluate.check(scored)


def test_missing_questions_count_by_option(run):
    made, truth = run
    predictions = evaluate.read_predictions(made, truth)
    predictions[""]["val"] = predictions[""]["val"][:3]
    recalls = [
        evaluate.score_variants(predictions, truth, missing)[""]["val"].percentages()["r1_at_0.5"]
        for missing in ("official", "strict")
    ]
    assert recalls == [100, 50]
    with pytest.raises(EgolibError, match="no answer"):
        evaluate.check(evaluate.score(made, predictions, truth))


def test_a_folder_without_predictions_is_an_error(run, tmp_path):
    made, truth = run
    made.inputs["predictions"] = tmp_path / "1_data"
    with pytest.raises(EgolibError, match="no predictions"):
        evaluate.read_predictions(made, truth)


def test_ensembles_of_a_run_and_another(run, tmp_path):
    made, truth = run
    predictions = evaluate.read_predictions(made, truth)
    alone = evaluate.members(made, predictions, truth, "val")
    assert evaluate.ensembles(list(alone.values()), truth["val"].truth) == {}
    other = tmp_path / "other"
    write_json(other / "result.json", {"variant": "star"})
    for split in ("val", "test"):
        (other / f"{split}.json").write_bytes(
            (made.input("predictions") / f"{split}.json").read_bytes()
        )
    made.inputs["other"] = other
    members = evaluate.members(made, predictions, truth, "val_test")
    assert list(members) == ["scratch", "star"]
    joined = evaluate.ensembles(list(members.values()), truth["val_test"].truth)
    recalls = {name: e.percentages()["r1_at_0.5"] for name, e in joined.items()}
    assert recalls == {"official": 100, "cluster_vote": 100}
    scored = evaluate.score(made, predictions, truth)
    assert set(scored.members) == {"scratch", "star"}
    assert evaluate.effects(scored)["cluster_vote"]["r1_at_0.3"] == 0
    assert len(evaluate.ensemble_table(scored)) == 4


def test_groups_partition_the_questions(run):
    made, truth = run
    predictions = evaluate.read_predictions(made, truth)
    for name, group in evaluate.groups(predictions, truth).items():
        assert group["questions"].sum() == 9, name
        assert (group["r1_at_0.3"] == 100).all()


@pytest.mark.parametrize(
    ("window", "label"), [((0, 1), "up to 2 s"), ((0, 3), "2 to 4 s"), ((0, 99), "above 32 s")]
)
def test_length_groups(window, label):
    assert evaluate.length_label(window) == label


@pytest.mark.parametrize(
    ("centre", "label"), [(-1, "first fifth"), (50, "third"), (100, "last fifth")]
)
def test_place_groups(centre, label):
    assert evaluate.place_label((centre, centre), 100.0) == label


def test_the_blind_baseline_is_scored_like_any_other(run):
    _, truth = run
    train = truth["val"].queries
    found = baseline.best(train, train, truth["val"].truth)
    assert found.evaluation.coverage == 1 and found.evaluation.percentages()["r1_at_0.3"] > 0
    families = baseline.families(train, train)
    numbers = families[found.prior.family].evaluation.percentages()
    assert numbers == found.evaluation.percentages()
    assert len(baseline.table(families)) == 3


def test_submissions_are_validated(run):
    made, _ = run
    lines = evaluate.validation_lines(made)
    assert lines[0].startswith("val.json: valid: 6 predictions, every question answered")
    assert len(lines) == 2


def test_examples_and_tables_for_figures(run):
    made, truth = run
    predictions = evaluate.read_predictions(made, truth)
    found = evaluate.examples(predictions, truth, 2)
    assert [m.question for m in found] == [q.text for q in truth["val"].queries[:2]]
    assert (found[0].segments_sec == found[0].truth_sec).all()
    assert table(predictions[""]["val"])["score"].tolist() == [0.5] * 6
    bare = moments(truth["val"].queries[0], {"predicted_times": [[1.0, 2.0], [3.0, 4.0]]})
    assert bare.scores.tolist() == [1.0, 0.5]
