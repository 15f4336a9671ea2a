"""Step 1: boxes and scores of every frame before every query of a clip.

Legend: B frames of a batch, Q queries of a clip, E width of projected regions.

Backbone, proposals and their projection do not depend on the query: they are computed once
per frame and clip, the reference once per query.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from egolib import progress
from egolib.errors import EgolibError
from egolib.io.records import Skipped
from egolib.runs.result_cache import ResultCache
from egolib.video.ahead import ahead
from egolib.vq2d.config import DetectConfig
from egolib.vq2d.data.annotations import Query
from egolib.vq2d.data.crop import reference_crop
from egolib.vq2d.data.resize import resize_to
from egolib.vq2d.formats import detections as caches
from egolib.vq2d.formats.detections import Detections
from egolib.vq2d.localization.scan import Batch, Scanner, Scored
from egolib.vq2d.models.inputs import network_image, scaled_down
from egolib.vq2d.models.model import Regions, SiameseRcnn
from egolib.vq2d.models.whole_batch import fits

PRECISION = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


class ClipReader(Protocol):
    """What is asked of a video: its length, single frames, several frames (RGB uint8)."""

    def __len__(self) -> int: ...

    def __getitem__(self, frame: int) -> np.ndarray: ...

    def batch(self, frames: Sequence[int]) -> np.ndarray: ...


OpenClip = Callable[[str], ClipReader]


@dataclass(frozen=True)
class FrameRegions:
    """All of a frame that no query changes.

    Args:
        regions: projected proposals.
        network_size: (height, width) in the network.
        size: (height, width) of the scaled-down frame.
        scale: pixels of that frame per pixel of the annotated one.
    """

    regions: Regions
    network_size: tuple[int, int]
    size: tuple[int, int]
    scale: float


class Detector:
    """A Siamese R-CNN on RGB frames, under some settings of step 1.

    Args:
        model: any Siamese R-CNN.
        settings: sizes, proposals, thresholds, precision (autocast).
        work: ``batches`` computes whole batches in tensors of fixed size (``scan``), ``frames``
            one frame after the other; equal up to rounding. ``auto`` takes batches on a GPU,
            where the head allows it.
    """

    def __init__(
        self,
        model: SiameseRcnn,
        settings: DetectConfig,
        work: Literal["auto", "batches", "frames"] = "auto",
    ):
        self.model, self.settings = model.eval(), settings
        self.device = model.pixel_mean.device
        self._type = PRECISION[settings.precision]
        whole = work == "batches" or (work == "auto" and self.device.type == "cuda")
        self.scanner = Scanner(model, settings, self.cast) if whole and fits(model) else None

    @property
    def reference(self) -> tuple[int, int]:
        """Side and margin of reference crops, in pixels."""
        return self.model.config.reference_side, self.model.config.reference_margin

    @torch.no_grad()
    def encode(self, crops: Sequence[Tensor]) -> Tensor:
        """(Q, E) of reference crops (3, 256, 256) uint8 RGB."""
        images = torch.stack([crop.flip(0) for crop in crops]).to(self.device)  # BGR
        with self.cast():
            return self.model.encode(images).float()

    @torch.no_grad()
    def regions(self, frames: Sequence[np.ndarray]) -> list[FrameRegions]:
        """Proposals of RGB frames (H, W, 3) uint8 in the annotated size."""
        settings = self.settings
        small = [scaled_down(frame, settings.intermediate_height) for frame in frames]
        images = [
            network_image(frame, settings.short_side, settings.long_side).to(self.device)
            for frame, _ in small
        ]
        batch = self.model.batch(images)
        with self.cast():
            found = self.model.regions(batch, settings.proposals)
        return [
            FrameRegions(
                Regions(part.boxes.float(), part.vectors.float()), size, frame.shape[:2], scale
            )
            for part, size, (frame, scale) in zip(found, batch.sizes, small, strict=True)
        ]

    def compare(
        self, frame: FrameRegions, references: Tensor
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Boxes (n, 4) in annotated pixels and scores (n,) for each reference (Q, E)."""
        sizes = frame.network_size, frame.size
        found = self.model.detect(frame.regions, references, *sizes, self.settings)
        return [(self._round(boxes, frame.scale), scores.cpu().numpy()) for boxes, scores in found]

    def prepare(self, frames: Sequence[np.ndarray]) -> Any:
        """Frames as ``scan`` takes them; for the thread that reads.

        Args:
            frames: RGB frames (H, W, 3) uint8 of one size.
        """
        return frames if self.scanner is None else self.scanner.prepare(frames)

    def scan(
        self, batches: Iterable[Batch], references: Tensor, ends: Sequence[int]
    ) -> Iterator[tuple[list[int], Scored]]:
        """For every frame the queries that come after it, and its detections for them.

        Args:
            batches: numbers of frames, in order, and what ``prepare`` made of the frames.
            references: (Q, E) from ``encode``.
            ends: the frame of every query.
        """
        if self.scanner is not None:
            yield from self.scanner.scan(batches, references, ends)
            return
        for numbers, frames in batches:
            for number, frame in zip(numbers, self.regions(frames), strict=True):
                asking = [i for i, end in enumerate(ends) if number < end]
                yield asking, self.compare(frame, references[asking])

    def _round(self, boxes: Tensor, scale: float) -> np.ndarray:
        corners = (boxes / scale).cpu().numpy()
        return corners.astype(int) if self.settings.box_rounding == "official" else corners

    def cast(self) -> AbstractContextManager[Any]:
        """The context of the network's work: autocast, or none in float32."""
        if self._type is None:
            return nullcontext()
        return torch.autocast(self.device.type, self._type)


# -------------------------------------------------------------------- one clip


@dataclass
class _Collector:
    """Detections of one query as they come."""

    boxes: list[np.ndarray] = field(default_factory=list)
    scores: list[np.ndarray] = field(default_factory=list)

    def finish(self) -> Detections:
        counts = np.array([len(scores) for scores in self.scores], np.int64)
        boxes = [np.asarray(boxes, np.float64).reshape(-1, 4) for boxes in self.boxes]
        return Detections(
            counts,
            np.concatenate([np.zeros((0, 4)), *boxes]),
            np.concatenate([np.zeros(0), *self.scores]).astype(np.float64),
        )


def detect_clip(
    reader: ClipReader, queries: Sequence[Query], detector: Detector
) -> dict[str, Detections]:
    """Detections of all queries of one clip by key; every frame is computed once.

    Args:
        reader: of the clip, which must be long enough for every query (``frames_needed``).
        queries: of the clip.
        detector: computes the regions.
    """
    found: dict[str, Detections] = {}
    for size in dict.fromkeys(query.crop.frame_size for query in queries):
        group = [query for query in queries if query.crop.frame_size == size]
        found |= _detect_group(reader, group, size, detector)
    return found


def _detect_group(
    reader: ClipReader, queries: list[Query], size: tuple[int, int], detector: Detector
) -> dict[str, Detections]:
    """Queries whose annotations refer to one frame size."""
    side, margin = detector.reference
    crops = [reference_crop(reader[q.crop.frame], q.crop.xyxy, size, side, margin) for q in queries]
    references = torch.cat([detector.encode([crop]) for crop in crops])
    collectors = [_Collector() for _ in queries]
    ends = [query.query_frame for query in queries]
    batches = _read(reader, _batches(max(ends), detector.settings.batch_size), size, detector)
    for asking, answers in detector.scan(ahead(batches), references, ends):
        for i, (boxes, scores) in zip(asking, answers, strict=True):
            collectors[i].boxes.append(boxes)
            collectors[i].scores.append(scores)
    return {query.key: c.finish() for query, c in zip(queries, collectors, strict=True)}


def _read(
    reader: ClipReader, batches: Iterable[list[int]], size: tuple[int, int], detector: Detector
) -> Iterator[Batch]:
    """Frames in the annotated size, ready for the detector."""
    for numbers in batches:
        yield numbers, detector.prepare([resize_to(frame, size) for frame in reader.batch(numbers)])


def _batches(count: int, size: int) -> Iterator[list[int]]:
    for start in range(0, count, size):
        yield list(range(start, min(start + size, count)))


# -------------------------------------------------------------------- all clips


def extract(
    clips: Mapping[str, Sequence[Query]],
    open_clip: OpenClip,
    detector: Detector,
    cache: ResultCache,
) -> Skipped:
    """Puts the detections of many clips into a cache; what is there already is kept.

    A clip that cannot be read is listed, and the others go on.

    Args:
        clips: clip uid -> its queries (``Annotations.by_clip``).
        open_clip: gives the reader of a clip.
        detector: scores the frames.
        cache: of this detector and its settings, one item a query.

    Returns:
        The queries that were skipped, with reasons.
    """
    skipped = Skipped()
    for uid, queries in progress.track(list(clips.items()), "detections", unit="clip"):
        missing = [query for query in queries if not _done(cache, query)]
        if not missing:
            continue
        try:
            reader = open_clip(uid)
            whole = _long_enough(reader, missing, skipped)
            found = detect_clip(reader, whole, detector)
        except EgolibError as error:
            for query in missing:
                skipped.add(query.key, error)
            continue
        for key, detections in found.items():
            caches.put(cache, key, detections)
    return skipped


def frames_needed(query: Query) -> int:
    """How many frames the clip must have for a query: its crop may lie after its frame."""
    return max(query.query_frame, query.crop.frame + 1)


def _long_enough(reader: ClipReader, queries: Sequence[Query], skipped: Skipped) -> list[Query]:
    kept = []
    for query in queries:
        needed = frames_needed(query)
        if needed <= len(reader):
            kept.append(query)
        else:
            skipped.add(query.key, f"the clip has {len(reader)} frames, the query needs {needed}")
    return kept


def _done(cache: ResultCache, query: Query) -> bool:
    kept = cache.get(query.key)
    return kept is not None and len(kept["counts"]) == query.query_frame
