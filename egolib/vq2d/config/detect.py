"""Step 1: settings of detection, given when a detector is used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from egolib.nn.config import ProposalConfig


@dataclass(frozen=True)
class DetectConfig:
    """Step 1.

    Args:
        short_side: shorter side of frames that enter the network, in pixels.
        long_side: limit of their longer side; where it binds, the shorter one shrinks too.
        intermediate_height: frames are first scaled to this height (official step 1);
            0 leaves that out.
        proposals: regions of a frame that are compared.
        score_threshold: scores must be larger.
        nms_threshold: IoU above which the lower-scored of two boxes goes.
        limit: boxes kept per frame.
        box_rounding: ``official`` truncates detected boxes to integers, ``exact`` keeps them.
        batch_size: frames that enter the network together (official: 10).
        precision: ``float32``, ``bfloat16`` or ``float16``.
        cache: a folder of detection caches, one a query, below the data root or absolute:
            any detector's scores in place of step 1, which is then left out. Empty for none.
    """

    short_side: int = 800
    long_side: int = 1333
    intermediate_height: int = 700
    proposals: ProposalConfig = field(
        default_factory=lambda: ProposalConfig(1000, 1000, 0.7, "logit")
    )
    score_threshold: float = 0.0
    nms_threshold: float = 0.5
    limit: int = 10
    box_rounding: Literal["official", "exact"] = "official"
    batch_size: int = 10
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    cache: str = ""

    builders: ClassVar[dict[str, Callable[[], DetectConfig]]] = {}


def official() -> DetectConfig:
    """As published."""
    return DetectConfig()


def small_frames() -> DetectConfig:
    """For reduced detectors on the built-in world (192 x 144 frames)."""
    return DetectConfig(
        short_side=144,
        long_side=256,
        intermediate_height=0,
        proposals=ProposalConfig(300, 60, 0.7, "logit"),
    )


DetectConfig.builders.update(official=official, small=small_frames)
