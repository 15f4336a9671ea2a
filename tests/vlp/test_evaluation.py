from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from egolib.errors import EgolibError
from egolib.vlp.data.charades import CharadesVideo
from egolib.vlp.data.egoclip import Question
from egolib.vlp.data.epic import read_epic_split
from egolib.vlp.evaluation import (
    evaluate_charades,
    evaluate_egomcq,
    evaluate_epic,
    evaluate_files,
)
from egolib.vlp.formats.submission import write
from tests.vlp.made import question, write_clips


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
