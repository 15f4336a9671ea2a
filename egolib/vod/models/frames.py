"""What goes through a video object detector: frames, truths, clips, and the protocol.

N frames; H, W rows and columns of pixels; G true boxes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from egolib.nn.roi import Found
from egolib.vod.config.infer import InferConfig

Size = tuple[int, int]


@dataclass(frozen=True)
class Frames:
    """Prepared frames of one video.

    Args:
        images: (N, 3, H, W) float32, normalised, zero beyond each frame's size.
        sizes: (height, width) of every frame without padding.
        scales: (N, 4) input pixels per original pixel, for x, y, x, y.
        numbers: place of every frame in its video, from 0.
    """

    images: Tensor
    sizes: list[Size]
    scales: Tensor
    numbers: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: torch.device | str) -> Frames:
        """The same on another device; page-locked memory is copied while the host goes on."""
        images, scales = (x.to(device, non_blocking=True) for x in (self.images, self.scales))
        return Frames(images, self.sizes, scales, self.numbers)

    def pin_memory(self) -> Frames:
        """The same in page-locked memory."""
        images, scales = self.images.pin_memory(), self.scales.pin_memory()
        return Frames(images, self.sizes, scales, self.numbers)

    def __getitem__(self, part: slice) -> Frames:
        """Some of the frames."""
        return Frames(self.images[part], self.sizes[part], self.scales[part], self.numbers[part])

    def some(self, places: Sequence[int]) -> Frames:
        """The frames at some places; neighbours are not copied."""
        first = places[0] if places else 0
        if list(places) == list(range(first, first + len(places))):
            return self[first : first + len(places)]
        images, scales = (torch.stack([x[i] for i in places]) for x in (self.images, self.scales))
        return Frames(
            images, [self.sizes[i] for i in places], scales, [self.numbers[i] for i in places]
        )

    def numbered(self, numbers: Sequence[int]) -> Frames:
        """The frames of some numbers."""
        return self.some([self.numbers.index(number) for number in numbers])


def single_frames(frames: Frames) -> list[Frames]:
    """Every frame on its own."""
    return [frames[i : i + 1] for i in range(len(frames))]


@dataclass(frozen=True)
class Truth:
    """True objects of a frame: boxes (G, 4) in input pixels, labels (G,) int64 from 0."""

    boxes: Tensor
    labels: Tensor

    def to(self, device: torch.device | str) -> Truth:
        """The same on another device."""
        return Truth(self.boxes.to(device), self.labels.to(device))

    def pin_memory(self) -> Truth:
        """The same in page-locked memory."""
        return Truth(self.boxes.pin_memory(), self.labels.pin_memory())


@dataclass(frozen=True)
class Clip:
    """A training sample: a frame, its truth, and other frames of its video.

    Args:
        key: the frame that the losses are for (N = 1).
        truth: its true objects.
        references: nearby frames, or frames of the whole video; by method.
        memory: MEGA's frames around an earlier one.
        distant: MEGA's frames from anywhere in the video.
    """

    key: Frames
    truth: Truth
    references: Frames | None = None
    memory: Frames | None = None
    distant: Frames | None = None

    def to(self, device: torch.device | str) -> Clip:
        """The same on another device."""
        parts = [p and p.to(device) for p in (self.references, self.memory, self.distant)]
        return Clip(self.key.to(device), self.truth.to(device), *parts)

    def pin_memory(self) -> Clip:
        """The same in page-locked memory."""
        parts = [p and p.pin_memory() for p in (self.references, self.memory, self.distant)]
        return Clip(self.key.pin_memory(), self.truth.pin_memory(), *parts)


Losses = dict[str, Tensor]


class VideoDetector(Protocol):
    """What every method does. It keeps no state and no settings of testing: both are passed in."""

    def start_video(
        self,
        settings: InferConfig,
        references: Frames | None = None,
        *,
        seed: int = 0,
        number: int = 0,
        previous: Any = None,
    ) -> Any:
        """The state before a video's first frame; it carries the settings through the video.

        Args:
            settings: of testing; no network keeps any.
            references: frames that the method wants to see first; None where it has none.
            seed: of the video's own generator.
            number: the number that ends the video's name.
            previous: the state that the video before left; only EOVOD reads it.
        """

    def step(self, frame: Frames, state: Any, references: Frames | None = None) -> Found:
        """Detections in one frame, in pixels of the original image; ``state`` moves on.

        Args:
            frame: of N = 1.
            state: of its video.
            references: frames that a sliding window meets with this one.
        """

    def losses(self, clip: Clip, generator: torch.Generator | None = None) -> Losses:
        """Named scalar losses of one clip; their sum is what is trained."""
