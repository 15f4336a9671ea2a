"""Scoring whole runs, groups of questions, and joining predictions."""

from __future__ import annotations

import pytest

from egolib.io.records import write_json
from egolib.nlq.formats.submission import moments, table, write_submission
from egolib.nlq.steps import data, evaluate
from tests.nlq.project import make_root, step


@pytest.fixture
def run(tmp_path):
    """Predictions: val perfectly right; late by 100 s in the way ``consistent``; test right."""
    root = make_root(tmp_path / "root")
    data.convert(step("1_data", root, tmp_path))
    made = step("4_evaluate", root, tmp_path)
    folder = tmp_path / "3_infer"
    splits = evaluate.read_splits(made)
    for split in ("val", "test"):
        right = [_record(query, query.windows_sec[0]) for query in splits[split].queries]
        wrong = [_record(query, (100.0, 101.0)) for query in splits[split].queries]
        write_submission(folder / f"{split}.json", right)
        write_submission(folder / f"{split}.consistent.json", wrong)
    return made, splits


def _record(query, window):
    return {
        "clip_uid": query.clip_uid,
        "annotation_uid": query.annotation_uid,
        "query_idx": query.index,
        "predicted_times": [[*window, 0.5]],
    }


def test_splits_know_their_answers(run):
    _, splits = run
    assert {name: len(split.queries) for name, split in splits.items()} == {
        "val": 6,
        "test": 3,
        "val_test": 9,
    }
    assert all(query.windows_sec for query in splits["test"].queries)
    assert evaluate.main_split(splits) == "val_test"


def test_without_test_answers_only_val_is_scored(run):
    made, _ = run
    (made.data_root / "truth" / "nlq_test.json").unlink()
    splits = evaluate.read_splits(made)
    assert set(splits) == {"val"} and evaluate.main_split(splits) == "val"


def test_scores_and_effects(run):
    made, splits = run
    answers = evaluate.read_answers(made.input("predictions"), splits)
    assert list(answers) == ["", "consistent"]
    assert list(answers[""]) == ["val", "test", "val_test"]
    scored = evaluate.score(answers, splits)
    assert evaluate.nested(scored)["val_test"]["r1_at_0.5"] == 100
    assert evaluate.effects(scored, "val_test")["consistent"]["r1_at_0.3"] == -100
    assert scored[""]["val_test"].evaluated == 9


def test_ensembles_of_a_run_and_another(run, tmp_path):
    made, splits = run
    answers = evaluate.read_answers(made.input("predictions"), splits)
    assert (
        evaluate.ensembles(
            list(evaluate.members(made, answers, "val").values()), splits["val"].truth
        )
        == {}
    )
    other = tmp_path / "other"
    write_json(other / "result.json", {"variant": "star"})
    for split in ("val", "test"):
        (other / f"{split}.json").write_bytes(
            (made.input("predictions") / f"{split}.json").read_bytes()
        )
    made.inputs["other"] = other
    members = evaluate.members(made, answers, "val_test")
    assert list(members) == ["scratch", "star"]
    joined = evaluate.ensembles(list(members.values()), splits["val_test"].truth)
    assert {name: e.summary()["r1_at_0.5"] for name, e in joined.items()} == {
        "official": 100,
        "cluster_vote": 100,
    }
    assert set(evaluate.singles(members, splits["val_test"])) == {"scratch", "star"}


def test_groups_partition_the_questions(run):
    made, splits = run
    answers = evaluate.read_answers(made.input("predictions"), splits)
    for name, group in evaluate.group_tables(answers[""]["val_test"], splits["val_test"]).items():
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
    _, splits = run
    train = splits["val"].queries
    prior, found = evaluate.blind_baseline(train, splits["val"])
    assert found.coverage == 1 and found.summary()["r1_at_0.3"] > 0
    families = evaluate.blind_families(train, train)
    assert families[prior.family][1].summary() == found.summary()
    assert len(evaluate.blind_table(families)) == 3


def test_submissions_are_validated(run):
    made, _ = run
    lines = evaluate.validate_files(made)
    assert lines[0].startswith("val.json: valid: 6 predictions, every question answered")
    assert len(lines) == 2


def test_examples_and_tables_for_figures(run):
    made, splits = run
    answers = evaluate.read_answers(made.input("predictions"), splits)
    found = evaluate.examples(answers[""]["val"], splits["val"], 2)
    assert [m.question for m in found] == [q.text for q in splits["val"].queries[:2]]
    assert (found[0].segments_sec == found[0].truth_sec).all()
    assert table(answers[""]["val"])["score"].tolist() == [0.5] * 6
    bare = moments(splits["val"].queries[0], {"predicted_times": [[1.0, 2.0], [3.0, 4.0]]})
    assert bare.scores.tolist() == [1.0, 0.5]


def test_the_recorded_real_baseline():
    """Real data, no model: three families, the complete validation set."""
    found = evaluate.recorded_real_baseline()
    assert list(found.index) == ["relative", "mixed", "absolute"]
    assert (found["questions"] == 4552).all()
    assert found["r1_at_0.3"].between(0, 10).all()
