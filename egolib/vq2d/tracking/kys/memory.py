"""The tracker's memory of training samples for the target filter.

Legend: n slots, C channels, H, W feature map.
"""

from __future__ import annotations

import torch
from torch import Tensor

from egolib.vq2d.config import TrackConfig


class Memory:
    """Features, boxes and weights of up to n crops of the target; the latter two on the CPU.

    Args:
        features: (k, C, H, W) of the first frame's crops.
        boxes_xywh: (k, 4) the target in them.
    """

    def __init__(self, features: Tensor, boxes_xywh: Tensor, config: TrackConfig):
        self.config, self.first, self.count = config, len(features), len(features)
        self.features = features.new_zeros(config.memory_size, *features.shape[1:])
        self.boxes_xywh = torch.zeros(config.memory_size, 4)
        self.weights = torch.zeros(config.memory_size)
        self.features[: self.first] = features
        self.boxes_xywh[: self.first] = boxes_xywh.cpu()
        self.weights[: self.first] = 1.0 / self.first
        self.last: int | None = None

    def add(self, features: Tensor, box_xywh: Tensor) -> None:
        """Stores one crop, in a free slot or instead of the lightest later one.

        Nothing waits for the device: the box is on the CPU.
        """
        slot = self._weigh()
        self.features[slot], self.boxes_xywh[slot] = features[0], box_xywh
        self.last, self.count = slot, max(self.count, slot + 1)

    def samples(self) -> tuple[Tensor, Tensor, Tensor]:
        """Features, boxes and weights of the filled slots, on the features' device."""
        device = self.features.device
        return (
            self.features[: self.count],
            self.boxes_xywh[: self.count].to(device),
            self.weights[: self.count].to(device),
        )

    def copy(self) -> Memory:
        """An independent memory with the same content."""
        twin = object.__new__(Memory)
        twin.__dict__.update(self.__dict__)
        twin.features, twin.boxes_xywh = self.features.clone(), self.boxes_xywh.clone()
        twin.weights = self.weights.clone()
        return twin

    def _weigh(self) -> int:
        """Gives the next sample its slot and weight; the first frame keeps a minimum fraction."""
        rate, fraction, first = (
            self.config.learning_rate,
            self.config.first_frame_fraction,
            self.first,
        )
        if self.count < self.config.memory_size:
            slot = self.count
        else:
            slot = first + int(torch.argmin(self.weights[first:]))
        if self.last is None:
            self.weights /= 1 - rate
            self.weights[slot] = rate
        else:
            self.weights[slot] = self.weights[self.last] / (1 - rate)
        self.weights /= self.weights.sum()
        if self.weights[:first].sum() < fraction:
            self.weights /= fraction + self.weights[first:].sum()
            self.weights[:first] = fraction / first
        return slot
