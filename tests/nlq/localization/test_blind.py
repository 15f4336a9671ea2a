"""Fixed intervals."""

from __future__ import annotations

import numpy as np
import pytest

from egolib.errors import EgolibError
from egolib.nlq.data.annotations import Query
from egolib.nlq.data.truth import truth_of
from egolib.nlq.evaluation import evaluate
from egolib.nlq.localization import blind


def asked(windows, durations=(100.0, 200.0)):
    return [
        Query("a", f"x{i}_{j}", duration, f"c{i}", (tuple(w(duration)),))
        for i, duration in enumerate(durations)
        for j, w in enumerate(windows)
    ]


PLACES = {
    "relative": lambda d: (0.45 * d, 0.55 * d),
    "mixed": lambda d: (0.5 * d - 3, 0.5 * d + 3),
    "absolute": lambda d: (60.0, 66.0),
}


@pytest.mark.parametrize("family", blind.FAMILIES)
def test_each_family_finds_its_kind_of_regularity(family):
    queries = asked([PLACES[family]])
    scores = {
        f: evaluate(blind.predict(blind.fit(queries, f), queries), truth_of(queries)).recall
        for f in blind.FAMILIES
    }
    assert scores[family].at(1, 0.5) == 1
    assert blind.fit_best(queries).family in [f for f in scores if scores[f].at(1, 0.5) == 1]


def test_further_intervals_answer_what_is_left():
    queries = asked([lambda d: (10, 16), lambda d: (10, 16), lambda d: (70, 76)], (100.0,))
    prior = blind.fit(queries, "absolute", 2)
    first, second = prior.windows_sec(np.array([100.0]))[0]
    assert first.mean() == pytest.approx(13, abs=3) and second.mean() == pytest.approx(73, abs=3)
    assert evaluate(blind.predict(prior, queries), truth_of(queries)).recall.at(5, 0.3) == 1


def test_windows_stay_inside_the_clip():
    prior = blind.Prior("absolute", np.array([[5.0, 20.0], [95.0, 20.0]]))
    np.testing.assert_allclose(prior.windows_sec(np.array([100.0]))[0], [[0, 15], [85, 100]])


@pytest.mark.parametrize(
    ("family", "interval", "words"),
    [
        ("relative", [0.02, 0.06], "0.0% to 5.0% of the clip"),
        ("mixed", [0.5, 6.0], "3.0 s to both sides of 50% of the clip"),
        ("absolute", [0.0, 52.0], "0.0 to 26.0 s"),
    ],
)
def test_in_words(family, interval, words):
    assert str(blind.Prior(family, np.array([interval]))) == words


def test_questions_without_answers_teach_nothing():
    with pytest.raises(EgolibError, match="with answers"):
        blind.fit([Query("a", "x_0", 10.0, "c")])
