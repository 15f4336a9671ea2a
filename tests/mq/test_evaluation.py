"""From clips and result files to numbers."""

from __future__ import annotations

import numpy as np
import pytest

from egolib.errors import EgolibError
from egolib.mq.config import EvaluateConfig
from egolib.mq.data.annotations import Clip, Moment
from egolib.mq.evaluation import evaluate, recall_curves
from tests.mq.small import CLIPS


def perfect(clips=CLIPS):
    return {
        clip.clip_uid: [
            {"label": m.label, "score": 0.9, "segment": [m.start_sec, m.end_sec]}
            for m in clip.moments
        ]
        for clip in clips
    }


def test_the_truth_itself_scores_one():
    found = evaluate(CLIPS, perfect(), perfect())
    assert found.detection is not None and found.detection.mean == 1
    assert found.retrieval is not None and (found.retrieval.values == 1).all()
    assert (found.clips, found.moments, found.classes) == (3, 6, ("open", "wash", "close"))
    summary = found.summary()
    assert summary["average mAP"] == summary["Recall@1x IoU=0.5"] == 100


def test_recall_by_the_overlap_that_is_demanded():
    curves = recall_curves(CLIPS, perfect())
    assert (curves["Recall@1x"][1] == 100).all()
    overlap, found = recall_curves(CLIPS, {**perfect(), "c2": []})["Recall@5x"]
    assert len(overlap) == 20 and found.tolist() == pytest.approx([500 / 6] * 20)  # all but c2


def test_clips_without_detections_count_as_missed():
    found = evaluate(CLIPS, {"c2": perfect()["c2"]})
    assert found.detection is not None
    assert found.detection.values[1].tolist() == [0.5] * 5  # wash: one of two
    assert found.detection.values[0].tolist() == [0] * 5


def test_strangers_are_counted():
    results = perfect() | {"other": [{"label": "open", "score": 1, "segment": [0, 1]}]}
    results["c0"] = [*results["c0"], {"label": "sing", "score": 1, "segment": [0, 1]}]
    found = evaluate(CLIPS, results)
    assert found.strangers == {"unknown class": 1, "unknown clip": 1}
    assert found.detection is not None
    open_, wash, _ = found.detection.values
    assert (open_ < 1).all()  # a wrong detection in a clip that has no truth
    assert (wash == 1).all()


def test_a_missing_clip_stops_retrieval():
    partial = {k: v for k, v in perfect().items() if k != "c1"}
    with pytest.raises(EgolibError, match=r"retrievals\.json, record c1: 1 clips"):
        evaluate(CLIPS, None, partial, file="retrievals.json")


def test_no_truth():
    with pytest.raises(EgolibError, match="no moment"):
        evaluate([Clip("t", "v", "test", 0, 10)], {}, {})


def test_convention_of_the_public_evaluator():
    twice = Clip("c", "v", "val", 0, 30, (Moment("open", 2, 6), Moment("open", 2.0005, 6)))
    answers = {"c": [{"label": "open", "score": 0.5, "segment": [2, 6]}]}
    official = evaluate([twice], answers, answers)
    public = evaluate([twice], answers, config=EvaluateConfig(convention="actionformer"))
    assert (official.moments, public.moments) == (2, 1)
    assert official.detection is not None and public.detection is not None
    assert official.detection.mean == 0.5 and public.detection.mean == 1
    assert public.retrieval is not None
    assert public.retrieval.thresholds == (0.1, 0.2, 0.3, 0.4, 0.5)
    np.testing.assert_allclose(public.retrieval.values, 1)
