"""Frames of a clip for trackers: annotated size, forwards and backwards, little memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from egolib.errors import EgolibError
from egolib.vq2d.data.resize import resize_to


class ClipReader(Protocol):
    """What is asked of a video: its length, single frames, several frames (RGB uint8)."""

    def __len__(self) -> int: ...

    def __getitem__(self, frame: int) -> np.ndarray: ...

    def batch(self, frames: Sequence[int]) -> np.ndarray: ...


class ClipFrames:
    """Gives frames by number in the annotated size.

    Trackers walk one frame at a time, also backwards, where every single read would decode
    from the last key frame. So a run of frames in the direction of travel is read at once.

    Args:
        reader: of the clip.
        size: width and height that boxes refer to.
        run: frames read at once.
        limit: first frame that will not be asked for.
    """

    def __init__(
        self, reader: ClipReader, size: tuple[int, int], run: int = 16, limit: int | None = None
    ):
        self.reader, self.size, self.run = reader, size, run
        self.limit = min(len(reader), limit if limit is not None else len(reader))
        self._kept: dict[int, np.ndarray] = {}
        self._last = -1

    def __call__(self, frame: int) -> np.ndarray:
        if not 0 <= frame < self.limit:
            raise EgolibError(f"frame {frame} of a clip of {self.limit} frames")
        if frame not in self._kept:
            if frame < self._last:
                numbers = list(range(max(frame - self.run + 1, 0), frame + 1))
            else:
                numbers = list(range(frame, min(frame + self.run, self.limit)))
            images = self.reader.batch(numbers)
            self._kept = {
                n: resize_to(image, self.size) for n, image in zip(numbers, images, strict=True)
            }
        self._last = frame
        return self._kept[frame]
