"""Step 1 on a GPU: frames go there as they are, and only detections come back.

Frames are read some batches ahead in another thread and copied without waiting. Resizing
(with the pixels of the official libraries), the network, suppression and comparison are queued
batch after batch; the host looks at a batch's detections when the next batch is under way.

Legend: B frames of a batch, H, W annotated size, Q queries, E width of projected regions.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from egolib.nn.fold import for_inference
from egolib.nn.rpn import Size
from egolib.ops import resize
from egolib.ops.suppression import ROUNDS
from egolib.vq2d.config import DetectConfig
from egolib.vq2d.models import whole_batch
from egolib.vq2d.models.inputs import network_image, scaled_down
from egolib.vq2d.models.model import SiameseRcnn

Scored = list[tuple[np.ndarray, np.ndarray]]
"""Boxes (n, 4) in annotated pixels and scores (n,) for each of some queries."""
Batch = tuple[list[int], Any]
"""Numbers of frames, and what ``Scanner.prepare`` made of them."""


class DevicePixels:
    """Network pixels of frames of one size, computed on a device.

    Args:
        size: (height, width) of the frames.
        settings: sizes of step 1.
        device: where frames come in and pixels go out.

    Attributes:
        small: (height, width) of the scaled-down frames.
        scale: pixels of those per pixel of a frame.
        exact: whether a random frame gives what the official libraries give, bit by bit;
            another build of them may round otherwise.
    """

    def __init__(self, size: Size, settings: DetectConfig, device: torch.device):
        self.settings, self.device = settings, device
        frame = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
        small, self.scale = scaled_down(frame, settings.intermediate_height)
        expected = host_pixels([frame], settings)
        self.small = (small.shape[0], small.shape[1])
        self.output = (expected.shape[2], expected.shape[3])
        self._first: tuple[resize.Taps, resize.Taps] | None = None
        if self.small != tuple(size):
            self._first = (
                resize.opencv_taps(size[0], small.shape[0], 1 / self.scale, "rows").to(device),
                resize.opencv_taps(size[1], small.shape[1], 1 / self.scale, "columns").to(device),
            )
        self._second = [
            None if cells == outputs else resize.pillow_taps(cells, outputs).to(device)
            for cells, outputs in zip(self.small, self.output, strict=True)
        ]
        found = self(torch.from_numpy(frame)[None].to(device))
        self.exact = torch.equal(found.cpu(), expected)

    def __call__(self, frames: Tensor) -> Tensor:
        """(B, 3, h, w) uint8 BGR of frames (B, H, W, 3) uint8 RGB."""
        images = frames.permute(0, 3, 1, 2).flip(1)
        if self._first is not None:
            images = resize.opencv_bilinear(images, *self._first)
        return resize.pillow_bilinear(images, *self._second)


def host_pixels(frames: Sequence[np.ndarray], settings: DetectConfig) -> Tensor:
    """The same (B, 3, h, w), by the official libraries.

    Args:
        frames: RGB frames (H, W, 3) uint8.
        settings: sizes of step 1.
    """
    small = [scaled_down(frame, settings.intermediate_height)[0] for frame in frames]
    return torch.stack([network_image(x, settings.short_side, settings.long_side) for x in small])


@dataclass
class _Running:
    """A batch that is under way."""

    numbers: list[int]
    frames: Tensor
    pixels: DevicePixels
    found: Tensor
    done: torch.cuda.Event | None


class Scanner:
    """Detections of whole batches of frames.

    Args:
        model: with a head that looks at each region on its own (``whole_batch.fits``).
        settings: of step 1.
        cast: gives the context in which the network computes.
    """

    def __init__(
        self,
        model: SiameseRcnn,
        settings: DetectConfig,
        cast: Callable[[], AbstractContextManager[Any]],
    ):
        self.model, self.settings, self.cast = for_inference(model), settings, cast
        self.device = model.pixel_mean.device
        self._pixels: dict[Size, DevicePixels] = {}

    # ------------------------------------------------------------------------ reading

    def prepare(self, frames: Sequence[np.ndarray]) -> Tensor:
        """Frames (B, H, W, 3) as they are copied: in pinned memory. For another thread.

        Args:
            frames: RGB frames (H, W, 3) uint8 of one size.
        """
        images = torch.from_numpy(np.stack(frames))
        return images.pin_memory() if self.device.type == "cuda" else images

    # ----------------------------------------------------------------------- scanning

    @torch.no_grad()
    def scan(
        self, batches: Iterable[Batch], references: Tensor, ends: Sequence[int]
    ) -> Iterator[tuple[list[int], Scored]]:
        """For every frame the queries that come after it, and its detections for them.

        Args:
            batches: of frames in order.
            references: (Q, E).
            ends: the frame of every query.
        """
        running: deque[_Running] = deque()
        for numbers, frames in batches:
            running.append(self._begin(numbers, frames, references))
            if len(running) > 1:
                yield from self._finish(running.popleft(), references, ends)
        while running:
            yield from self._finish(running.popleft(), references, ends)

    def _begin(self, numbers: list[int], frames: Tensor, references: Tensor) -> _Running:
        """Queues all work on a batch and the copy of its detections."""
        pixels = self.pixels_of((frames.shape[1], frames.shape[2]))
        inputs = frames if pixels.exact else host_pixels(list(frames.numpy()), self.settings)
        inputs = inputs.to(self.device, non_blocking=True)
        found = self._detect(inputs, pixels, references, ROUNDS)
        found = found.to("cpu", non_blocking=True)
        done = None
        if self.device.type == "cuda":
            done = torch.cuda.Event()  # type: ignore[no-untyped-call]
            done.record()
        return _Running(numbers, inputs, pixels, found, done)

    def pixels_of(self, size: Size) -> DevicePixels:
        """What makes network pixels of frames of a size (height, width)."""
        if size not in self._pixels:
            self._pixels[size] = DevicePixels(size, self.settings, self.device)
        return self._pixels[size]

    def _detect(
        self, inputs: Tensor, pixels: DevicePixels, references: Tensor, rounds: int
    ) -> Tensor:
        """Packed detections of frames, or of network pixels where those had to be made before."""
        images = pixels(inputs) if pixels.exact else inputs
        with self.cast():
            regions = whole_batch.batch_regions(self.model, images, self.settings.proposals, rounds)
        sizes = (pixels.output, pixels.small)
        return whole_batch.batch_detect(
            self.model, regions, references, sizes, self.settings, rounds
        ).packed()

    def _finish(
        self, batch: _Running, references: Tensor, ends: Sequence[int]
    ) -> Iterator[tuple[list[int], Scored]]:
        """Waits for a batch and takes its detections apart."""
        if batch.done is not None:
            batch.done.synchronize()
        found = batch.found
        if not found[-1]:  # a longer chain of overlaps than ever seen: as many rounds as boxes
            limit = max(self.settings.proposals.before, self.settings.proposals.after)
            found = self._detect(batch.frames, batch.pixels, references, limit).cpu()
        rows = found[:-1].numpy().reshape(len(batch.frames), len(references), -1, 6)
        for number, frame in zip(batch.numbers, rows, strict=True):
            asking = [i for i, end in enumerate(ends) if number < end]
            yield asking, [self._scored(frame[i], batch.pixels.scale) for i in asking]

    def _scored(self, rows: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
        rows = rows[rows[:, 5] > 0]
        corners = rows[:, :4] / np.float32(scale)
        exact = self.settings.box_rounding == "exact"
        return corners if exact else corners.astype(int), rows[:, 4]
