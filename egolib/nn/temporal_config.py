"""What networks over time and their targets are set by; any configuration with these fields fits.

GroundNLQ (nlq) and ActionFormer (mq) are built of the same parts. No torch here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class BlockSettings(Protocol):
    """Settings of ``temporal_blocks.Block``."""

    @property
    def width(self) -> int:
        """Channels."""

    @property
    def heads(self) -> int:
        """Attention heads."""

    @property
    def relative_bias(self) -> bool:
        """A learned bias for each distance inside a window."""

    @property
    def dropout(self) -> float:
        """Inside the MLP."""

    @property
    def drop_path(self) -> float:
        """Probability of stochastic depth; 0 builds no gains either."""


class HeadSettings(Protocol):
    """Settings of ``point_head.PointHead``."""

    @property
    def width(self) -> int:
        """Channels of the levels."""

    @property
    def head_width(self) -> int:
        """Channels inside."""

    @property
    def head_kernel(self) -> int:
        """Width of the convolutions."""

    @property
    def head_layers(self) -> int:
        """Convolutions, the output included."""

    @property
    def head_norm(self) -> bool:
        """Layer norms inside."""


class PointRules(Protocol):
    """Which points may predict which windows, see ``points.assign``."""

    @property
    def regression_ranges(self) -> Sequence[tuple[float, float]]:
        """For each level the smallest and largest distance to a window's far end."""

    @property
    def center_sampling(self) -> str:
        """``radius`` or ``none``."""

    @property
    def center_radius(self) -> float:
        """In strides of the level."""

    @property
    def positives(self) -> str:
        """``official`` or ``guaranteed``."""


class PointLossRules(Protocol):
    """Weights and normaliser of ``point_losses.PointLoss``."""

    @property
    def label_smoothing(self) -> float:
        """Fraction of the uniform distribution in the class targets."""

    @property
    def regression_weight(self) -> float:
        """Of the regression loss; 0 or less balances it."""

    @property
    def overlap(self) -> str:
        """``diou`` or ``giou``."""

    @property
    def initial_normalizer(self) -> float:
        """The running number of positives at the start."""

    @property
    def normalizer_momentum(self) -> float:
        """How much of it stays at each update."""
