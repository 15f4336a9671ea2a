from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from egolib.errors import EgolibError
from egolib.vlp.formats import submission
from tests.vlp.made import question, write_clips


def test_scores_go_through_a_file(tmp_path: Path) -> None:
    path = submission.write(tmp_path / "scores.npz", {"dual": np.eye(2), "fusion": None})
    found = submission.read(path)
    assert list(found) == ["dual"]
    np.testing.assert_array_equal(found["dual"], np.eye(2))


def test_unreadable_scores(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(b"nothing")
    for path in (tmp_path / "x.npz", tmp_path / "none.npz"):
        with pytest.raises(EgolibError, match="score file"):
            submission.read(path)


GOOD = {"dual": np.array([[0.1, 0.9]]), "fusion": np.array([[0.5, 0.5]])}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dual": np.array([[np.nan, 0.9]])}, "row 0, column 0 is nan"),
        ({"dual": np.array([[np.inf, 0.9]])}, "is inf"),
        ({"dual": np.array([[0.1, 0.9, 0.3]])}, "3 columns of scores for 2 records"),
        ({"dual": np.eye(2)}, "2 rows of scores for 1 records"),
        ({"dual": np.array([[1, 2]])}, "int64, a matrix of floats"),
        ({"dual": np.array([0.1, 0.9])}, "a matrix of floats"),
        ({"other": np.eye(2)}, "no array 'other'"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, change: dict, message: str) -> None:
    """NaN would count as the highest score, and so as right."""
    (tmp_path / "egomcq.json").write_text(json.dumps({"0": question()}))
    path = submission.write(tmp_path / "scores.npz", GOOD | change)
    with pytest.raises(EgolibError, match=message) as found:
        submission.validate_file(path, tmp_path / "egomcq.json")
    assert str(path) in str(found.value)


def test_valid_files_are_described(tmp_path: Path) -> None:
    (tmp_path / "egomcq.json").write_text(json.dumps({"0": question()}))
    path = submission.write(tmp_path / "scores.npz", GOOD)
    found = submission.validate_file(path, tmp_path / "egomcq.json")
    assert "valid scores of egomcq: dual (1, 2), fusion (1, 2)" in found
    assert "egomcq" in submission.validate_file(path)
    truth = write_clips(tmp_path)
    path = submission.write(tmp_path / "epic.npz", {"similarity": np.zeros((5, 4))})
    assert "scores of epic" in submission.validate_file(path, truth)
    assert "scores of epic" in submission.validate_file(path)
    with pytest.raises(EgolibError, match="are no scores"):
        submission.validate_file(submission.write(tmp_path / "x.npz", {"x": np.zeros((1, 1))}))
    with pytest.raises(EgolibError, match="cannot be told"):
        submission.validate_file(path, tmp_path / "other.json")
