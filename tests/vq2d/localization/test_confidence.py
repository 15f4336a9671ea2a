"""Confidence scores and their calibration."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from egolib.errors import EgolibError
from egolib.metrics.visual_query import average_precision
from egolib.vq2d.localization.confidence import (
    Calibration,
    Evidence,
    confidence,
    fit_calibration,
    gather,
)
from egolib.vq2d.localization.peaks import Curve, Peak


def evidence(height: float, response: float = 0.5) -> Evidence:
    return Evidence(height, 0.3, 0.1, response, 4.0, 0.2)


def made_queries(count: int = 400):
    """Answers that are right more often the higher their peak."""
    rng = np.random.default_rng(0)
    heights = rng.random(count)
    right = rng.random(count) < heights
    return [evidence(h, rng.random()) for h in heights], right


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("official", 1.0), ("height", 0.8), ("prominence", 0.3), ("margin", 0.1), ("length", 4.0)],
)
def test_single_values(kind: str, expected: float) -> None:
    assert confidence(kind, evidence(0.8)) == expected


def test_unknown_and_uncalibrated() -> None:
    with pytest.raises(EgolibError, match="unknown confidence"):
        confidence("luck", evidence(0.8))
    with pytest.raises(EgolibError, match="needs a fitted calibration"):
        confidence("calibrated", evidence(0.8))


def test_gather_without_a_peak_takes_the_curve() -> None:
    curve = Curve(np.arange(3), np.zeros(3), np.array([0.1, 0.2, 0.4]), ())
    found = gather(curve, None, 2, np.array([1.0]), 0.0)
    assert (found.height, found.prominence, found.response, found.length) == (0.4, 0.0, 1.0, 1.0)
    with_peak = gather(curve, Peak(1, 0.2, 0.15, 0.05), 1, np.array([0.5, 1.0]), 0.3)
    assert (with_peak.prominence, with_peak.response) == (0.15, 0.75)


def test_calibration_finds_what_matters(tmp_path: Path) -> None:
    items, right = made_queries()
    fitted = fit_calibration(items, right)
    weights = np.abs(fitted.weights)
    assert weights.argmax() == 0  # the height
    assert fitted.score(evidence(0.95)) > 0.75 > 0.3 > fitted.score(evidence(0.05))
    again = Calibration.read(fitted.write(tmp_path / "calibration.json"))
    assert again == fitted


def test_ranking_raises_average_precision() -> None:
    items, right = made_queries()
    fitted = fit_calibration(items[::2], right[::2])
    iou, query = right[1::2].astype(float), np.arange(len(right[1::2]))
    values = {
        kind: average_precision(
            iou,
            query,
            np.array([confidence(kind, item, fitted) for item in items[1::2]]),
            len(iou),
            ties="expected",
            thresholds=[0.5],
        ).values[0]
        for kind in ("official", "height", "calibrated")
    }
    assert values["height"] > values["official"] + 0.1
    assert values["calibrated"] > values["official"] + 0.1


def test_calibration_needs_both_outcomes() -> None:
    with pytest.raises(EgolibError, match="right and wrong"):
        fit_calibration([evidence(0.5)] * 3, [True] * 3)
