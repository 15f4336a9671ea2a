"""Detection mAP and retrieval recall, equal to the official evaluators'."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from egolib.errors import EgolibError
from egolib.metrics.moment_detection import interpolated_area
from egolib.mq.data.annotations import clips_of, select
from egolib.mq.evaluation import evaluate
from egolib.mq.localization.suppression import soft_nms
from egolib.ops.segments import hull_iou, iou
from tests.parity.recordings import read


@pytest.mark.recordings("metrics")
def test_official_evaluators(recording: Path) -> None:
    recorded = read(recording)
    expected = recorded["expected"]
    clips = select(clips_of(recorded["truth"]), recorded["subset"])
    found = evaluate(clips, recorded["detection"]["results"])
    detection = found.detection
    assert detection is not None
    assert detection.thresholds == tuple(recorded["tiou"])
    assert list(found.classes) == list(expected["class_order"])
    values = np.array([expected["ap"][name] for name in found.classes])
    np.testing.assert_allclose(detection.values, values, rtol=0, atol=1e-9)
    np.testing.assert_allclose(detection.by_threshold, expected["mAP"], rtol=0, atol=1e-9)
    assert detection.mean == pytest.approx(expected["average_mAP"], abs=1e-9)
    if "recall" not in expected:
        return  # detection alone was recorded
    retrievals = recorded["retrieval"]["results"]
    if isinstance(expected["recall"], str):
        with pytest.raises(EgolibError, match="no entry among the retrievals"):
            evaluate(clips, None, retrievals)
        return
    retrieval = evaluate(clips, None, retrievals).retrieval
    assert retrieval is not None
    assert retrieval.thresholds == tuple(expected["recall_tiou"])
    assert retrieval.top_k == tuple(expected["recall_k"])
    np.testing.assert_allclose(retrieval.values, expected["recall"], rtol=0, atol=1e-9)


@pytest.mark.recordings("segment_functions")
def test_overlaps(recording: Path) -> None:
    recorded = read(recording)
    predicted, truth = recorded["pred"][:, None], recorded["gt"]
    for function, name in ((iou, "detection_iou"), (hull_iou, "retrieval_iou")):
        if name in recorded:
            equal(function(predicted, truth), recorded[name])


def equal(found: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


@pytest.mark.recordings("segment_functions")
def test_decay_follows_the_overlap_of_soft_suppression(recording: Path) -> None:
    recorded = read(recording)
    if "soft_nms_iou" not in recorded:
        pytest.skip("the overlap of soft suppression was not recorded")
    for row, expected in zip(recorded["pred"], recorded["soft_nms_iou"], strict=False):
        for truth, overlap in zip(recorded["gt"], expected, strict=False):
            _, scores = soft_nms(
                np.stack([row, truth]),
                np.array([1.0, 0.5]),
                np.ones(2, int),
                sigma=1.0,
                last_candidate="keep",
            )
            decay = np.exp(-(overlap**2)) if overlap > 0 else 1.0
            np.testing.assert_allclose(scores, [1.0, 0.5 * decay], rtol=0, atol=1e-9)


@pytest.mark.recordings("segment_functions")
def test_interpolated_area(recording: Path) -> None:
    recorded = read(recording)
    names = [name.rpartition("/")[0] for name in recorded if name.endswith("/value")]
    if not names:
        pytest.skip("no area was recorded")
    for name in names:
        found = interpolated_area(recorded[f"{name}/prec"], recorded[f"{name}/rec"])
        assert found == pytest.approx(float(recorded[f"{name}/value"]), abs=1e-9)
