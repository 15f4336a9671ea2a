from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from egolib.errors import EgolibError
from egolib.vlp.data import qfvs
from egolib.vlp.data.charades import CharadesVideo
from egolib.vlp.data.egoclip import Question
from egolib.vlp.data.epic import read_epic_split
from egolib.vlp.evaluation import (
    evaluate_charades,
    evaluate_egomcq,
    evaluate_epic,
    evaluate_files,
    read_summary_files,
)
from egolib.vlp.formats.submission import write
from egolib.vlp.steps.evaluate import without_nan
from tests.vlp.made import question, write_clips
from tests.vlp.summaries import write_annotations, write_tags


def test_perfect_scores_are_perfect_everywhere(tmp_path: Path) -> None:
    asked = [Question(str(i), "q", (), i % 5, 1 + i % 2) for i in range(10)]
    right = np.eye(5)[[q.answer for q in asked]]
    accuracy = evaluate_egomcq(asked, {"dual": right, "fusion": right})
    assert {v for kind in accuracy.values() for v in kind.values()} == {100.0}
    write_clips(tmp_path)
    split = read_epic_split(tmp_path, "test")
    # clip 1 matches no sentence exactly: officially there is no mean precision then
    scores = {"similarity": split.relevancy}
    assert np.isnan(evaluate_epic(split, scores)["mAP_V2T"])
    metrics = evaluate_epic(split, scores, "binary", empty_queries="skip")
    assert all(value == pytest.approx(100, abs=1e-6) for value in metrics.values())
    videos = [CharadesVideo("A", (0, 2)), CharadesVideo("B", (1,)), CharadesVideo("C", ())]
    scores = np.array([[1.0, 0, 1], [0, 1, 0], [9, 9, 9]])
    assert evaluate_charades(videos, {"scores": scores})["mAP"] == 1.0


@pytest.mark.parametrize(
    "arrays, message", [({"other": np.eye(1)}, "no 'dual'"), ({"dual": np.eye(3)}, "3 rows")]
)
def test_scores_that_do_not_fit(arrays: dict, message: str) -> None:
    with pytest.raises(EgolibError, match=message):
        evaluate_egomcq([Question("0", "q", (), 0, 1)], arrays)


def test_files_of_each_benchmark(tmp_path: Path) -> None:
    (tmp_path / "egomcq.json").write_text(json.dumps({"0": question()}))
    scores = write(tmp_path / "mcq.npz", {"dual": np.array([[0.0, 1.0]])})
    assert evaluate_files(tmp_path / "egomcq.json", scores) == {"dual": {"Inter-video": 100.0}}
    named = evaluate_files(tmp_path / "egomcq.json", scores, names="by_value")
    assert named == {"dual": {"Intra-video": 100.0}}
    truth = write_clips(tmp_path)
    scores = write(tmp_path / "epic.npz", {"similarity": np.random.rand(5, 4)})
    found = evaluate_files(truth, scores)
    assert found["relevancy"]["shape"] == [5, 4] and found["relevancy"]["source"] == "computed"
    with pytest.raises(EgolibError, match="cannot be told"):
        evaluate_files(tmp_path / "other.csv", scores)
    with pytest.raises(EgolibError, match="no benchmark"):
        evaluate_files(truth, scores, benchmark="epics")


def test_the_truth_that_is_named_is_read(tmp_path: Path) -> None:
    """Not the official table of the same split beside it, nor one below ``EK100``."""
    truth = write_clips(tmp_path)
    fewer = tmp_path / "EPIC_100_retrieval_mine.csv"
    lines = truth.read_text().splitlines()
    fewer.write_text("\n".join(lines[:4]) + "\n")
    official = tmp_path / "EK100/epic-kitchens-100-annotations/retrieval_annotations"
    official.mkdir(parents=True)
    (official / fewer.name).write_text(truth.read_text())
    scores = write(tmp_path / "epic.npz", {"similarity": np.random.rand(3, 2)})
    assert evaluate_files(fewer, scores, empty_queries="skip")["relevancy"]["shape"] == [3, 2]


def test_scores_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    (tmp_path / "egomcq.json").write_text(json.dumps({"0": question()}))
    scores = write(tmp_path / "mcq.npz", {"dual": np.full((1, 2), np.nan)})
    with pytest.raises(EgolibError, match="is nan"):
        evaluate_files(tmp_path / "egomcq.json", scores)


def test_summaries_are_scored_from_their_files(tmp_path: Path) -> None:
    """The reference shots themselves score 100; a video without tags is an error."""
    tags = write_annotations(tmp_path / qfvs.ORIGIN)
    truth = write_tags(tmp_path / "Tags.mat", tags)
    queries, found = read_summary_files(truth, 1)
    assert (found == tags).all() and len(queries) == 2
    shots = np.zeros((2, len(tags)))
    for row, query in zip(shots, queries, strict=True):
        row[list(query.oracle)] = 1.0
    file = write(tmp_path / "qfvs.npz", {"shots": shots})
    options = {"fraction": 5 / len(tags), "empty_tags": "equal"}
    assert evaluate_files(truth, file, **options)["f1"] == pytest.approx(100)
    assert evaluate_files(truth, file, fraction=1 / len(tags))["f1"] < 60
    with pytest.raises(EgolibError, match="no tags of video 2"):
        evaluate_files(truth, file, video=2)


def test_what_is_not_a_number_becomes_none() -> None:
    found = without_nan({"f1": float("nan"), "more": {"recall": 0.5, "names": "nan"}})
    assert found == {"f1": None, "more": {"recall": 0.5, "names": "nan"}}
    assert json.loads(json.dumps(found)) == found
