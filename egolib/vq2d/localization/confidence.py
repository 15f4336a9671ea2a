"""How sure an answer is: scores that rank the answers of different queries.

Legend: Q queries, D evidence values.

Official behaviour: every answer gets 1.0, so that average precision hangs on the order of
ties. The other choices leave boxes, recovery and success as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from annotated_types import Gt
from typing_extensions import TypedDict

from egolib.errors import EgolibError
from egolib.io.records import read_json, write_json
from egolib.io.schema import OPEN, Finite, validated
from egolib.vq2d.localization.peaks import Curve, Peak


class _CalibrationFile(TypedDict):
    """What ``Calibration.write`` writes."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    mean: list[Finite]
    scale: list[Annotated[Finite, Gt(0)]]
    weights: list[Finite]
    bias: Finite


@dataclass(frozen=True)
class Evidence:
    """What is known of an answer.

    Args:
        height: smoothed score at the peak; without a peak, of the frame where tracking starts.
        prominence: of the peak (see ``peaks.Peak``); 0 without one.
        margin: of the peak over the next best one (see ``peaks.Peak``); 0 without one.
        response: mean response of the tracker.
        length: frames of the track.
        similarity: mean detection score along the track.
    """

    height: float
    prominence: float
    margin: float
    response: float
    length: float
    similarity: float

    def values(self) -> np.ndarray:
        """(D,) float64; the length as a logarithm."""
        fields = asdict(self) | {"length": np.log1p(self.length)}
        return np.array(list(fields.values()), np.float64)


def gather(
    curve: Curve, peak: Peak | None, index: int, responses: np.ndarray, similarity: float
) -> Evidence:
    """Evidence of an answer that starts at a position of the curve.

    Args:
        curve: of the query.
        peak: where the track started; None without one.
        index: position of the start in the curve.
        responses: (N,) of the tracker.
        similarity: mean detection score along the track.
    """
    if peak is None:
        peak = Peak(index, float(curve.smoothed[index]), 0.0, 0.0)
    mean = float(np.mean(responses)) if len(responses) else 0.0
    return Evidence(
        peak.height, peak.prominence, peak.margin, mean, float(len(responses)), similarity
    )


@dataclass(frozen=True)
class Calibration:
    """A logistic combination of the evidence.

    Args:
        mean: (D,) that is taken from the values to standardise them.
        scale: (D,) that the centred values are divided by.
        weights: (D,) of the standardised values.
        bias: added to their sum.
    """

    mean: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    bias: float

    def score(self, evidence: Evidence) -> float:
        """Probability that the answer is right."""
        x = (evidence.values() - np.array(self.mean)) / np.array(self.scale)
        return float(1 / (1 + np.exp(-(x @ np.array(self.weights) + self.bias))))

    def write(self, path: str | Path) -> Path:
        """As JSON."""
        return write_json(path, asdict(self), indent=1)

    @classmethod
    def read(cls, path: str | Path) -> Calibration:
        """From JSON."""
        content = validated(_CalibrationFile, read_json(path, dict), file=path)
        mean, scale, weights = (tuple(content[name]) for name in ("mean", "scale", "weights"))
        if not len(mean) == len(scale) == len(weights):
            raise EgolibError("mean, scale and weights differ in length", file=path)
        return cls(mean, scale, weights, content["bias"])


def fit_calibration(
    evidence: Sequence[Evidence], right: Sequence[bool], ridge: float = 1.0
) -> Calibration:
    """Logistic regression of "the answer is right" on the evidence, by Newton's method.

    Args:
        evidence: of training queries.
        right: whether each answer reached the stIoU that counts (0.25).
        ridge: penalty on the squared weights, not on the bias.

    Raises:
        EgolibError: no queries, or all answers right or all wrong.
    """
    target = np.array(right, np.float64)
    if not len(target) or target.min() == target.max():
        raise EgolibError(
            "a calibration needs right and wrong answers",
            remedy="fit it on more training queries, or rank by confidence: height",
        )
    x = np.stack([item.values() for item in evidence])
    mean, scale = x.mean(0), x.std(0)
    scale = np.where(scale > 0, scale, 1.0)
    x = np.concatenate([(x - mean) / scale, np.ones((len(x), 1))], axis=1)
    penalty = np.diag([ridge] * (x.shape[1] - 1) + [0.0])
    weights = np.zeros(x.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-x @ weights))
        gradient = x.T @ (p - target) + penalty @ weights
        hessian = (x * (p * (1 - p))[:, None]).T @ x + penalty + 1e-9 * np.eye(len(weights))
        step = np.linalg.solve(hessian, gradient)
        weights = weights - step
        if np.abs(step).max() < 1e-10:
            break
    return Calibration(
        tuple(mean.tolist()), tuple(scale.tolist()), tuple(weights[:-1].tolist()), weights[-1]
    )


def confidence(kind: str, evidence: Evidence, calibration: Calibration | None = None) -> float:
    """The score of an answer.

    Args:
        kind: ``official`` (1.0), a field of ``Evidence``, or ``calibrated``.
        evidence: of the answer.
        calibration: for ``calibrated``.
    """
    if kind == "official":
        return 1.0
    if kind == "calibrated":
        if calibration is None:
            raise EgolibError(
                "confidence: calibrated needs a fitted calibration",
                remedy="fit one with egolib.vq2d.localization.confidence.fit_calibration",
            )
        return calibration.score(evidence)
    values = asdict(evidence)
    if kind not in values:
        names = ", ".join(["official", *values, "calibrated"])
        raise EgolibError(f"unknown confidence {kind!r}", remedy=f"one of {names}")
    return float(values[kind])
