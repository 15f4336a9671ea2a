"""Score curves, peaks and the box handed to the tracker: equal to the recorded ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from egolib.errors import EgolibError
from egolib.vq2d.config import PeakConfig
from egolib.vq2d.formats.detections import Detections
from egolib.vq2d.localization.localize import start_of_track
from egolib.vq2d.localization.peaks import find_curve, search_window
from tests.parity.recordings import read


def settings(case: dict) -> PeakConfig:
    signals = dict(case["signals"])
    threshold = signals.pop("peak_similarity_thresh")
    signals.pop("wlen")  # never used by the official code
    factors = {name: case[name] for name in ("recency_factor", "subsampling_factor")}
    return PeakConfig(threshold=threshold, **signals, **factors)


@pytest.mark.recordings("peaks")
def test_curves(recording: Path) -> None:
    for case in read(recording):
        config = settings(case)
        detections = Detections.from_frames(case["boxes"], case["scores"])
        frames = search_window(case["query_frame"], config)
        curve = find_curve(frames, detections.best[frames], config)
        np.testing.assert_array_equal(curve.smoothed, case["smoothed"])
        assert [peak.index for peak in curve.peaks] == case["peaks"]


@pytest.mark.recordings("peaks")
def test_starts(recording: Path) -> None:
    """The tracker's first box, or the answer without a peak."""
    for case in read(recording):
        detections = Detections.from_frames(case["boxes"], case["scores"])
        if case["error"]:
            with pytest.raises(EgolibError, match="no (box|frame)"):
                start_of_track(detections, settings(case))
            continue
        start = start_of_track(detections, settings(case))
        (first,) = case["prediction"]["bboxes"]  # the recorded tracker gives its start back
        assert as_json(start.frame, start.box_xyxy) == first
        assert (start.peak is not None) == (case["tracked_from"] is not None)
        if start.peak is not None:
            assert case["tracked_from"] == first
            assert case["track_end"] == case["query_frame"]


def as_json(frame: int, box: np.ndarray) -> dict:
    x1, y1, x2, y2 = (int(value) for value in box)
    return {"fno": frame, "x1": x1, "x2": x2, "y1": y1, "y2": y2}
