"""What can be computed of many frames at once, ahead of what depends on their order.

Regions of a batch of frames (backbone, neck, proposals, first layer of the head) and the
detections of a batch have shapes that follow from the frames' sizes, so that on a GPU both are
captured as CUDA graphs and the host waits for neither. A frame whose proposals or detections
are not complete that way (``egolib.nn.fixed``) is computed again on its own.

B frames; P proposals; R regions; D width of the head.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from egolib.nn import fixed
from egolib.nn.config import DetectionConfig, ProposalConfig
from egolib.nn.graphs import Captured
from egolib.nn.roi import Found
from egolib.ops.constants import constant
from egolib.vod.config.infer import InferConfig
from egolib.vod.models.frames import Frames


class Regions(NamedTuple):
    """Proposals of one frame: boxes (P, 4), best first, their features (P, D) after the head's
    first layer, before its ReLU, and the frame's neck maps where they were asked for."""

    boxes: Tensor
    first: Tensor
    maps: list[Tensor]


class Hidden(NamedTuple):
    """Regions of one frame, ready for prediction: features (R, D) and boxes (R, 4)."""

    features: Tensor
    boxes: Tensor


class Later:
    """A small tensor on its way to the host.

    Args:
        x: on any device.
    """

    def __init__(self, x: Tensor) -> None:
        self._event: Any = None
        if x.is_cuda:
            self._host = torch.empty(x.shape, dtype=x.dtype, pin_memory=True)
            self._host.copy_(x, non_blocking=True)
            self._event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._event.record()
        else:
            self._host = x

    def get(self) -> Tensor:
        """The tensor on the CPU; waits only for what was queued before it was asked for."""
        if self._event is not None:
            self._event.synchronize()
            self._event = None
        return self._host


@dataclass
class RegionsAhead:
    """Regions of several frames; ``complete`` says for which of them."""

    found: tuple[Tensor, Tensor, list[Tensor]]
    complete: Later
    again: Callable[[int], Regions] | None

    def frame(self, index: int) -> Regions:
        """Regions of one frame, computed on their own where they are not complete."""
        complete = self.complete.get()
        if self.again is not None and not bool(complete[index]):
            return self.again(index)
        if bool(complete.all()):
            self.again = None  # and with it the images
        boxes, first, maps = self.found
        return Regions(boxes[index], first[index], [m[index : index + 1] for m in maps])


class KnownRegions:
    """Regions of frames by number.

    Args:
        size: frames that are remembered, the last ones that were used; 0 for all until they are
            taken, once each.
    """

    def __init__(self, size: int = 0) -> None:
        self.size = size
        self._kept: OrderedDict[int, Callable[[], Regions]] = OrderedDict()

    def __contains__(self, number: int) -> bool:
        return number in self._kept

    def keep(self, frames: Frames, regions: Sequence[Callable[[], Regions]]) -> None:
        """Remembers regions of numbered frames."""
        for number, own in zip(frames.numbers, regions, strict=True):
            self._kept[number] = own
            self._kept.move_to_end(number)
        while self.size and len(self._kept) > self.size:
            self._kept.popitem(last=False)

    def take(self, frame: Frames) -> Regions | None:
        """The regions of a frame; None where they are not known."""
        number = frame.numbers[0] if frame.numbers else None
        if number is None or number not in self._kept:
            return None
        if self.size:
            self._kept.move_to_end(number)
            return self._kept[number]()
        return self._kept.pop(number)()


@dataclass
class FoundAhead:
    """Detections of several frames on their way to the host."""

    rows: Later
    counts: Later
    again: Callable[[int], Found]

    def get(self) -> list[Found]:
        """Detections of every frame, on the CPU."""
        rows, counts = self.rows.get(), self.counts.get().tolist()
        found = []
        for i, (number, complete) in enumerate(counts):
            if complete:
                own = rows[i, :number].clone()
                found.append(Found(own[:, :4], own[:, 4].long(), own[:, 5]))
            else:
                found.append(Found(*(x.cpu() for x in self.again(i))))
        return found


@dataclass
class Ready:
    """Detections that were computed frame by frame."""

    found: list[Found]

    def get(self) -> list[Found]:
        """Detections of every frame."""
        return self.found


def static(frames: Frames) -> bool:
    """Whether frames are computed with results of fixed size: on a GPU, and batches of one size."""
    same = all(size == frames.sizes[0] for size in frames.sizes)
    return same and (frames.images.is_cuda or len(frames) > 1)


def corner(frames: Frames, extent: float) -> Tensor:
    """(4,) largest x, y, x, y of a box in the frames."""
    return constant(fixed.corner_of(frames.sizes[0], extent), frames.scales)


@dataclass
class StaticParts:
    """The captured functions of one detector, by the settings that are built into them."""

    regions: dict[tuple[ProposalConfig, bool, bool], Captured] = field(default_factory=dict)
    detections: dict[DetectionConfig, Captured] = field(default_factory=dict)
    dense: dict[tuple[DetectionConfig, int, str], Captured] = field(default_factory=dict)
    maps: Captured | None = None


def frames_ahead(settings: InferConfig, device: torch.device) -> int:
    """Frames whose regions are computed at once: as asked for, else 8 on a GPU and 1 on a CPU."""
    return settings.frames_ahead or (8 if device.type == "cuda" else 1)


def filled(x: Tensor, number: int) -> Tensor:
    """On a GPU (B, ...) with the last row repeated up to ``number``, so that few shapes occur:
    single frames and whole batches."""
    missing = number - len(x)
    if not x.is_cuda or missing <= 0 or len(x) == 1:
        return x
    return torch.cat([x, x[-1:].expand(missing, *x.shape[1:])])


def packed(found: fixed.FixedFound) -> tuple[Tensor, Tensor]:
    """Rows (B, D, 6) of box, label and score; their number, and whether complete, (B, 2)."""
    last = torch.stack([found.labels.float(), found.scores], dim=2)
    kept = torch.stack([found.number, found.complete.long()], dim=1)
    return torch.cat([found.boxes, last], dim=2), kept


def backbone_maps(detector: Any, frames: Frames, settings: InferConfig) -> list[Tensor]:
    """Maps (N, C, H, W) of a detector's backbone, finest first, of any number of frames.

    Args:
        detector: has a ``backbone`` and ``parts``.
        frames: of one video.
        settings: of testing.
    """
    parts, found = detector.parts, []
    size = frames_ahead(settings, frames.images.device)
    parts.maps = parts.maps or Captured(detector.backbone)
    for i in range(0, len(frames), size):
        images = filled(frames.images[i : i + size], size)
        if images.is_cuda:
            images = images.contiguous(memory_format=torch.channels_last)
        maps = parts.maps(images)
        found.append([m[: len(frames.images[i : i + size])] for m in maps])
    if len(found) == 1:
        return found[0]
    return [torch.cat(level) for level in zip(*found, strict=True)]


# ---------------------------------------------------------------------- whole videos


@dataclass(frozen=True)
class Batch:
    """Some frames of a video in the order of testing.

    Args:
        pool: all frames that play a part, with numbers.
        order: numbers of the frames whose turn it is.
        others: numbers of what comes with each of them, by the names that a model's ``step``
            takes; empty where nothing comes with any.
        needed: numbers of the frames that have to be computed: those of ``order``, or those that
            enter a window or a memory with them.
    """

    pool: Frames
    order: Sequence[int]
    others: Sequence[Mapping[str, Sequence[int]]]
    needed: Sequence[int]

    def to(self, device: torch.device) -> Batch:
        """The same on another device."""
        return replace(self, pool=self.pool.to(device))

    def ahead(self, model: Any, state: Any) -> None:
        """Has a model look ahead at the needed frames."""
        model.look_ahead(self.pool.numbered(self.needed), state)

    def steps(self, model: Any, state: Any) -> FoundAhead | Ready:
        """Detections of a model, whose state moves on."""
        others = [
            {name: self.pool.numbered(v) if v else None for name, v in other.items()}
            for other in self.others
        ]
        return model.steps(self.pool.numbered(self.order), state, others)  # type: ignore


def pipelined(
    model: Any, state: Any, batches: Iterable[Batch], *, ahead: bool = True
) -> Iterator[tuple[int, Found]]:
    """(number, detections) of the frames of a video.

    The device is given the next batch before the host waits for the one before, so that it
    never idles.

    Args:
        model: a video object detector.
        state: of the video; it moves on.
        batches: of the video, in the order of testing.
        ahead: without, every batch is answered before the next is read.
    """
    turns = _looked_ahead(model, state, batches) if ahead else batches
    waiting: tuple[Batch, FoundAhead | Ready] | None = None
    for batch in turns:
        done = batch, batch.steps(model, state)
        if waiting is not None:
            yield from _answers(*waiting)
        waiting = done if ahead else None
        if not ahead:
            yield from _answers(*done)
    if waiting is not None:
        yield from _answers(*waiting)


def _looked_ahead(model: Any, state: Any, batches: Iterable[Batch]) -> Iterator[Batch]:
    """The batches; when one's turn comes, the next one's frames are being computed too."""
    before: Batch | None = None
    for batch in batches:
        batch.ahead(model, state)
        if before is not None:
            yield before
        before = batch
    if before is not None:
        yield before


def _answers(batch: Batch, found: FoundAhead | Ready) -> Iterator[tuple[int, Found]]:
    yield from zip(batch.order, found.get(), strict=True)
