"""Joined predictions."""

from __future__ import annotations

import pytest

from egolib.errors import EgolibError
from egolib.nlq.formats.submission import read as read_submission
from egolib.nlq.formats.submission import write as write_submission
from egolib.nlq.localization.ensemble import (
    cluster_windows,
    ensemble,
    ensemble_files,
    join,
    list_nms,
    overlap,
)


def record(index, *windows):
    return {
        "query_idx": index,
        "annotation_uid": "u",
        "clip_uid": "c",
        "predicted_times": [list(w) for w in windows],
    }


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [([0, 2], [1, 3], 1 / 3), ([0, 1], [2, 3], 0), ([1, 1], [1, 1], 0), ([0, 2], [0, 2], 1)],
)
def test_overlap(a, b, expected):
    assert overlap(a, b) == pytest.approx(expected)


def test_nms_of_few():
    assert list_nms([], 0.5, 5) == []
    assert list_nms([[3, 1, 0.0]], 0.5, 0) == [[3, 1, 0.0]]


def test_clusters():
    # centres 10, 11.5, 13 chain; 15 is exactly 2 away
    firsts = [[9, 11, 0.2], [10.5, 12.5, 0.5], [12, 14, 0.4], [14, 16, 0.9]]
    new = cluster_windows(firsts)
    assert [w[4] for w in new] == pytest.approx([1.1, 0.9])
    assert new[0][:3] == pytest.approx([10.5, 12.5, 0.5])  # median and best are the same
    assert new[1][:3] == pytest.approx([14, 16, 0.9])


@pytest.mark.parametrize(("scores", "middle"), [((0.2, 0.3), 1), ((0.3, 0.3), 0), ((0.4, 0.3), 0)])
def test_the_middle_of_two(scores, middle):
    """The upper one only where its score is strictly higher."""
    members = [[9, 11, scores[0]], [10, 12, scores[1]]]
    best = members[scores[1] > scores[0]]
    expected = [(a + b) / 2 for a, b in zip(members[middle], best, strict=False)]
    assert cluster_windows(members)[0][:3] == pytest.approx(expected)


def test_of_equal_centres_the_last_counts():
    new = cluster_windows([[9, 11, 0.9], [8, 12, 0.1]])
    assert new[0] == pytest.approx([8, 12, 0.1, 0, 0.1])


def test_always_five_windows():
    found = join([[[0, 1, 0.5]], [[0, 1, 0.4]]])
    assert len(found) == 5
    assert [w[:2] for w in found] == [[0, 1]] * 5


def test_agreement_counts_with_the_vote_only():
    """Two models agree on 10-20, one is surer about 50-60."""
    models = [[[10, 20, 0.5]], [[10.5, 20.5, 0.5]], [[50, 60, 0.6]]]
    assert join(models)[0][0] == 50
    assert join(models, "cluster_vote")[0][0] == pytest.approx(10, abs=0.6)


def test_questions_are_matched_by_name():
    first = [record(0, (0, 1, 0.5)), record(1, (5, 6, 0.5))]
    found = ensemble([first, first[::-1]])
    assert [r["query_idx"] for r in found] == [0, 1]
    assert found[1]["predicted_times"][0] == [5, 6]
    with pytest.raises(EgolibError, match="file 2 lacks"):
        ensemble([first, first[:1]])
    with pytest.raises(EgolibError, match="cluster_vote"):
        ensemble([first, first], "votes")  # type: ignore[arg-type]


def test_files(tmp_path):
    paths = [
        write_submission(tmp_path / f"{i}.json", [record(0, (i, i + 5, 0.5))]) for i in range(3)
    ]
    out = ensemble_files(paths, tmp_path / "out.json")
    assert len(read_submission(out)[0]["predicted_times"]) == 5
    with pytest.raises(EgolibError, match="two"):
        ensemble_files(paths[:1], out)
