"""From prepared frames to what networks take: tensors, clips, batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from egolib.vod.data.dataset import PreparedClip
from egolib.vod.data.pipeline import Prepared
from egolib.vod.models.frames import Clip, Frames, Truth


def make_frames(inputs: Sequence[Prepared], numbers: Sequence[int] = ()) -> Frames | None:
    """Network inputs as a batch, padded to the largest; None for no input."""
    if not inputs:
        return None
    height = max(p.pixels.shape[1] for p in inputs)
    width = max(p.pixels.shape[2] for p in inputs)
    images = torch.zeros(len(inputs), 3, height, width)
    for image, p in zip(images, inputs, strict=True):
        image[:, : p.pixels.shape[1], : p.pixels.shape[2]] = torch.from_numpy(p.pixels)
    scales = torch.stack([torch.from_numpy(p.scale) for p in inputs])
    return Frames(images, [p.size for p in inputs], scales, list(numbers))


def make_clip(prepared: PreparedClip) -> Clip:
    """A training sample as tensors."""
    key = make_frames([prepared.key])
    assert key is not None
    truth = Truth(torch.from_numpy(prepared.key.boxes), torch.from_numpy(prepared.key.labels))
    others = (prepared.references, prepared.memory, prepared.distant)
    return Clip(key, truth, *(make_frames(part) for part in others))


class ClipBatch:
    """Clips of an update, which keep their own sizes and are computed one after the other.

    A plain object, so that a trainer moves it to a device as a whole and casts nothing in it:
    boxes stay in single precision whatever the network computes in.
    """

    def __init__(self, clips: Sequence[Clip]) -> None:
        self.clips = list(clips)

    def __len__(self) -> int:
        return len(self.clips)

    def __iter__(self) -> Iterator[Clip]:
        return iter(self.clips)

    def __getitem__(self, place: int) -> Clip:
        return self.clips[place]

    def to(self, device: torch.device | str, **_: Any) -> ClipBatch:
        """The same on another device."""
        return ClipBatch([clip.to(device) for clip in self.clips])

    def pin_memory(self) -> ClipBatch:
        """The same in page-locked memory, from which a GPU copies faster."""
        return ClipBatch([clip.pin_memory() for clip in self.clips])


def collate(items: Sequence[PreparedClip]) -> ClipBatch:
    """A batch of training samples."""
    return ClipBatch([make_clip(item) for item in items])
