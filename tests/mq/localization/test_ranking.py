"""Ranked moments for both scores."""

from __future__ import annotations

import numpy as np

from egolib.mq.config import InferConfig
from egolib.mq.localization.proposals import Proposals
from egolib.mq.localization.ranking import detect, retrieve

NAMES = ["Background", "open", "wash"]
PROPOSALS = Proposals(
    np.array([[0.04, 10.04], [20, 30], [20, 30], [40, 50.5]]),
    np.array([0.2, 0.9, 0.1234567, 0.5]),
    np.array([1, 1, 2, 2]),
)


def test_detections_leave_the_last_one_out():
    found = detect(PROPOSALS, 50.0, InferConfig())
    assert found.labels.tolist() == [1, 2, 1]
    kept = detect(PROPOSALS, 50.0, InferConfig(last_candidate="keep"))
    assert kept.labels.tolist() == [1, 2, 1, 2]
    assert kept.scores[3] < 0.1234567
    apart = detect(PROPOSALS, 50.0, InferConfig(last_candidate="keep", soft_nms="per_class"))
    assert apart.scores[3] == 0.1234567


def test_records_are_rounded():
    records = detect(PROPOSALS, 50.0, InferConfig(last_candidate="keep")).records(NAMES)
    assert records[1] == {"label": "wash", "score": 0.5, "segment": [40.0, 50.0]}
    assert records[2]["segment"] == [0.0, 10.0]
    exact = retrieve(PROPOSALS, 50.0, [2], InferConfig()).records(NAMES, "none")
    assert exact[1] == {"label": "wash", "score": 0.1234567, "segment": [20.0, 30.0]}


def test_retrievals_are_of_the_asked_classes():
    assert retrieve(PROPOSALS, 50.0, [1], InferConfig()).scores.tolist() == [0.9, 0.2]
    assert retrieve(PROPOSALS, 50.0, [], InferConfig()).scores.tolist() == []
    assert len(retrieve(PROPOSALS, 50.0, None, InferConfig()).scores) == 4


def test_a_frequent_class_crowds_out_the_others():
    together = retrieve(PROPOSALS, 50.0, [1, 2], InferConfig(limit=1))
    each = retrieve(PROPOSALS, 50.0, [1, 2], InferConfig(limit=1, retrieval_limit="per_class"))
    assert together.labels.tolist() == [1]
    assert each.labels.tolist() == [1, 2]


def test_equal_scores_keep_the_order_of_the_queries():
    tied = Proposals(np.tile([0.0, 1], (2, 1)), np.array([0.5, 0.5]), np.array([1, 2]))
    assert retrieve(tied, 9.0, [2, 1], InferConfig()).labels.tolist() == [2, 1]
