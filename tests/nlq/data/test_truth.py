"""True windows by clip, annotation and index."""

from __future__ import annotations

import numpy as np
import pytest

from egolib.errors import EgolibError
from egolib.nlq.data.annotations import Query, to_official, write_queries
from egolib.nlq.data.truth import make_truth, read_truth

QUERIES = [
    Query("a", "u_0", 100.0, "c", ((10, 20),)),
    Query("b", "u_2", 100.0, "c", ((30, 40),)),
    Query("c", "w_0", 100.0, "d", ((50, 60),)),
]


def test_nothing():
    assert make_truth({"videos": []}).questions == 0


def test_entries_without_text_keep_their_place():
    truth = make_truth(to_official(QUERIES, "val"))
    assert truth.questions == 3
    assert truth.rows == {("c", "u"): (0, 3), ("d", "w"): (3, 1)}
    assert truth.asked.tolist() == [True, False, True, True]
    np.testing.assert_array_equal(truth.windows[2], [30, 40])
    assert np.isnan(truth.windows[1]).all()


def test_a_file_without_answers(tmp_path):
    path = write_queries(tmp_path / "test.jsonl", [Query("a", "u_0", 100.0, "c")])
    with pytest.raises(EgolibError, match="no answers"):
        read_truth(path)
