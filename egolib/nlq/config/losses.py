"""Targets and losses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from egolib.engine.rules import bounded, require
from egolib.nlq.config.span import SpanLossConfig

Validation = Literal["official", "clean"]


@dataclass(frozen=True)
class LossConfig:
    """Targets and losses (sections 5 and 6 of the specification).

    Args:
        regression_ranges: for each level the smallest and largest distance, in
            features, from a point to a window's far end; both inclusive.
        center_sampling: ``radius`` takes points near the window's centre, ``none``
            all inside the window.
        center_radius: that radius, in strides of the level.
        positives: ``official`` leaves a window that contains no grid point without
            any positive (0.65 % of train); ``guaranteed`` gives it the nearest point.
        label_smoothing: fraction of the uniform distribution in the class targets.
        regression_weight: of the regression loss; 0 or less balances it by the
            ratio of both losses.
        overlap: the regression loss, ``diou`` or ``giou``.
        initial_normalizer: the running number of positives at the start.
        normalizer_momentum: how much of it stays at each update.
        distributed: with several processes ``official`` counts positives in each by
            itself; ``exact`` over all, which equals one process with the whole batch.
        validation: ``official`` computes the validation loss with stochastic depth and lets
            it move the normaliser (quirk), ``clean`` does neither.
        span: the loss of VSLNet (``model.span``), in place of all above.
    """

    regression_ranges: tuple[tuple[float, float], ...] = (
        (0, 4),
        (2, 8),
        (4, 16),
        (8, 32),
        (16, 64),
        (32, 128),
        (64, 10000),
    )
    center_sampling: Literal["radius", "none"] = "radius"
    center_radius: float = 1.5
    positives: Literal["official", "guaranteed"] = "official"
    label_smoothing: float = 0.1
    regression_weight: float = 1.0
    overlap: Literal["diou", "giou"] = "diou"
    initial_normalizer: float = 200.0
    normalizer_momentum: float = 0.9
    distributed: Literal["official", "exact"] = "official"
    validation: Validation = "official"
    span: SpanLossConfig = field(default_factory=SpanLossConfig)

    def __post_init__(self) -> None:
        bounded(self, "loss", "center_radius", "initial_normalizer", above=True)
        bounded(self, "loss", "label_smoothing", below=1)
        bounded(self, "loss", "normalizer_momentum", below=1.0000001)
        ranges = [list(pair) for pair in self.regression_ranges]
        require(
            bool(ranges) and all(low <= high for low, high in ranges),
            f"loss.regression_ranges is {ranges}",
            "use one [smallest, largest] for each level",
        )
