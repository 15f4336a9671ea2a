"""What the KYS tracker remembers of a target, and what it says about a frame.

Legend: H, W frame size, h feature side (18), C channels, D state channels, f filter side.
Positions and sizes are (row, column) pairs, boxes (x, y, width, height).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from egolib.vq2d.tracking.kys.memory import Memory


@dataclass(frozen=True)
class TrackStep:
    """What the tracker says about a frame.

    Args:
        box_xywh: (4,) float64, pixels of the frame.
        response: highest fused response, 0 to 1.
        found: False where the target counts as lost; the box is then the last one.
        scores: (1, 1, h, h) classifier scores.
        fused: (1, 1, h, h) fused response.
    """

    box_xywh: np.ndarray
    response: float
    found: bool
    scores: Tensor
    fused: Tensor


@dataclass(frozen=True)
class Motion:
    """What is known of the surroundings: the last frame's map and the carried state.

    Args:
        deep: (1, C, h, h).
        box_xywh: (4,) the target in that crop, on the CPU.
        state: (1, D, h, h); None before the first step.
        label: (1, 1, h, h) of the first frame.
    """

    deep: Tensor
    box_xywh: Tensor
    state: Tensor | None
    label: Tensor


@dataclass
class Target:
    """All that a tracker remembers of its target.

    Args:
        position: (2,) float32 row and column of the target's middle, in frame pixels.
        size: (2,) float32 height and width of the target, in frame pixels.
        base_size: (2,) float32, of the target in crops of scale 1.
        scale: frame pixels per crop pixel of the next crop.
        weight: (1, C, f, f) target filter.
        memory: samples that the filter is fitted to.
        modulation: vectors of the IoU net.
        motion: map and state of the last frame in which it was found.
        generator: of the tracker's random numbers, on the CPU.
        frames: how many frames were seen.
    """

    position: np.ndarray
    size: np.ndarray
    base_size: np.ndarray
    scale: float
    weight: Tensor
    memory: Memory
    modulation: tuple[Tensor, Tensor]
    motion: Motion
    generator: torch.Generator
    frames: int = 1

    @property
    def place(self) -> np.ndarray:
        """(4,) float64 box (x, y, width, height) in frame pixels."""
        row, column = self.position.astype(np.float64)
        height, width = self.size.astype(np.float64)
        return np.array([column - (width - 1) / 2, row - (height - 1) / 2, width, height])

    def copy(self, generator: torch.Generator) -> Target:
        """An independent target with its own random numbers."""
        return replace(self, memory=self.memory.copy(), generator=generator)
