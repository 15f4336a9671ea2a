"""Where was this object last seen? ``load`` gives a ``Locator``, ``locate`` asks it.

Legend: F frames searched, N frames of the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from egolib.engine.device import resolve_device
from egolib.errors import EgolibError
from egolib.report.results import ResponseTrack
from egolib.runs import inputs
from egolib.video import VideoReader
from egolib.vq2d.config import DetectConfig, LocalizeConfig
from egolib.vq2d.data.clips import ClipFrames, ClipReader
from egolib.vq2d.data.crop import crop_window
from egolib.vq2d.formats.checkpoint import (
    detector_file,
    kys_beside,
    read_detector,
    read_kys,
    save,
)
from egolib.vq2d.formats.detections import Detections
from egolib.vq2d.localization.detect import Detector
from egolib.vq2d.localization.localize import Answer, NoBox, localize
from egolib.vq2d.models.model import SiameseRcnn
from egolib.vq2d.tracking.kys.network import KysNetwork
from egolib.vq2d.tracking.trackers import make_tracker

TrackerName = Literal["kys", "particle", "none"]


class Locator(inputs.Told):
    """Detector and tracker together, with the settings that they are used under.

    Args:
        model: the detector's network.
        tracker: its network; None for a particle filter, or for one box without tracking.
        detect: settings of step 1.
        localize: settings of step 2.
        notes: what was not understood of the files.
    """

    def __init__(
        self,
        model: SiameseRcnn,
        tracker: KysNetwork | None = None,
        *,
        detect: DetectConfig | None = None,
        localize: LocalizeConfig | None = None,
        notes: Sequence[str] = (),
    ):
        self.detect, self.localize = detect or DetectConfig(), localize or LocalizeConfig()
        self.detector = Detector(model, self.detect)
        self.tracker = make_tracker(self.localize, kys=tracker, detector=model)
        self.notes = tuple(notes)

    def locate(
        self,
        video: str | Path | VideoReader,
        query_image: np.ndarray,
        until: int | None = None,
        *,
        fps: float | None = 5.0,
    ) -> ResponseTrack:
        """The most recent appearance of an object.

        Args:
            video: a file, or a reader of one.
            query_image: (h, w, 3) uint8 RGB, the object with little around it.
            until: video frame of the question; frames from it on are not searched. The
                whole video without it.
            fps: frames per second that are looked at (5 as in the benchmark); None takes
                every frame.

        Returns:
            The track in video frame numbers; empty where no frame has any box.
        """
        return self.search(video, query_image, until, fps=fps).answer()

    def search(
        self,
        video: str | Path | VideoReader,
        query_image: np.ndarray,
        until: int | None = None,
        *,
        fps: float | None = 5.0,
    ) -> Search:
        """Step 1 alone, the slow one: its boxes are kept, for answers at several thresholds.

        Args:
            video: a file, or a reader of one.
            query_image: (h, w, 3) uint8 RGB, the object with little around it.
            until: as of ``locate``.
            fps: as of ``locate``.
        """
        reader = video if isinstance(video, VideoReader) else VideoReader(video)
        clip = SubsampledVideo(reader, fps, until)
        if not len(clip):
            raise EgolibError("no frame comes before the question", file=reader.path)
        return Search(self, reader, clip, self._detect(clip, self.encode(query_image)))

    def answer(
        self,
        clip: SubsampledVideo,
        reader: VideoReader,
        detections: Detections,
        localize: LocalizeConfig,
    ) -> ResponseTrack:
        """Step 2 on kept boxes.

        Args:
            clip: the frames that were looked at.
            reader: of the video.
            detections: what step 1 found.
            localize: settings of step 2.
        """
        curve_frames = clip.numbers
        if not detections.counts.any():
            return ResponseTrack(
                np.zeros(0, np.int64), np.zeros((0, 4)), 0.0, detections.best, curve_frames
            )
        answer = self._answer(clip, reader, detections, localize)
        track, start = answer.track, answer.start
        return ResponseTrack(
            frames=curve_frames[track.frames],
            boxes_xyxy=track.boxes_xyxy,
            score=track.score,
            curve=detections.best,
            curve_frames=curve_frames,
            peak_frame=int(curve_frames[start.frame]) if start.peak else None,
            fps=reader.fps,
        )

    def encode(self, query_image: np.ndarray) -> Tensor:
        """(1, E) of a query image (h, w, 3) uint8 RGB."""
        if query_image.ndim != 3 or query_image.shape[2] != 3 or query_image.dtype != np.uint8:
            raise EgolibError(
                "a query image is (height, width, 3) uint8 RGB, "
                f"got {query_image.shape} {query_image.dtype}"
            )
        height, width = query_image.shape[:2]
        side, _ = self.detector.reference
        crop = crop_window(query_image, (0, 0, width, height), margin=0, side=side)
        return self.detector.encode([crop.to(torch.uint8)])

    def _detect(self, clip: SubsampledVideo, reference: Tensor) -> Detections:
        boxes, scores = [], []
        size = self.detect.batch_size
        for start in range(0, len(clip), size):
            numbers = list(range(start, min(start + size, len(clip))))
            for frame in self.detector.regions(list(clip.batch(numbers))):
                ((found, similarity),) = self.detector.compare(frame, reference)
                boxes.append(found.tolist())
                scores.append(similarity.tolist())
        return Detections.from_frames(boxes, scores)

    def _answer(
        self,
        clip: SubsampledVideo,
        reader: VideoReader,
        detections: Detections,
        settings: LocalizeConfig,
    ) -> Answer:
        """As in step 2; a start without box gives way to the best frame."""
        frames = ClipFrames(clip, reader.size, limit=len(clip))
        try:
            return localize(detections, frames, self.tracker, settings, seed=settings.seed)
        except NoBox:
            best = int(detections.best.argmax())
            shortened = Detections(
                detections.counts[: best + 1],
                detections.boxes_xyxy[: detections.starts[best + 1]],
                detections.scores[: detections.starts[best + 1]],
            )
            return localize(shortened, frames, self.tracker, settings, seed=settings.seed)


@dataclass(frozen=True)
class Search:
    """The boxes of a searched video, from which answers follow without the detector.

    Args:
        locator: whose tracker answers.
        reader: of the video.
        clip: the frames that were looked at.
        detections: boxes and similarities of each.
    """

    locator: Locator
    reader: VideoReader
    clip: SubsampledVideo
    detections: Detections

    def answer(self, threshold: float | None = None) -> ResponseTrack:
        """The most recent appearance.

        Args:
            threshold: least smoothed similarity of the peak that is taken; the locator's own
                by default.
        """
        settings = self.locator.localize
        if threshold is not None:
            settings = replace(settings, peaks=replace(settings.peaks, threshold=threshold))
        return self.locator.answer(self.clip, self.reader, self.detections, settings)


class SubsampledVideo:
    """A video seen at fewer frames per second, up to a frame.

    Args:
        reader: of the video.
        fps: frames per second to look at; None takes all. Where the rate varies, those on
            screen that often.
        until: video frame that ends it, excluded.
    """

    def __init__(self, reader: ClipReader, fps: float | None, until: int | None):
        self.reader = reader
        end = len(reader) if until is None else min(until, len(reader))
        rate = getattr(reader, "fps", None)
        step = 1 if fps is None or not rate else max(round(rate / fps), 1)
        self.numbers = np.arange(0, max(end, 0), step)
        if fps is not None and isinstance(reader, VideoReader) and reader.varies:
            shown = np.array(reader.looked_at(fps), np.int64)
            self.numbers = shown[shown < end]

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, frame: int) -> np.ndarray:
        return self.reader[int(self.numbers[frame])]

    def batch(self, frames: Sequence[int]) -> np.ndarray:
        """Several frames."""
        return self.reader.batch([int(self.numbers[frame]) for frame in frames])


# -------------------------------------------------------------------------- loading


def load(
    model_root: str | Path | None = None,
    *,
    tracker: TrackerName | str | Path | None = None,
    device: str = "cpu",
    weights: str = "model",
    detect: DetectConfig | None = None,
    localize: LocalizeConfig | None = None,
    head: str = "",
) -> Locator:
    """A locator.

    Args:
        model_root: an official folder with ``model.pth`` and ``config.yaml``, an egolib
            checkpoint (or its folder), a name as ``egolib.runs.inputs.locate`` takes it, or
            None for the newest training.
        tracker: a KYS checkpoint (``kys.pth`` or egolib's), ``particle``, ``none``, or ``kys``
            for the one beside the model. Without it: KYS where it lies beside the model,
            else the particle filter on grey levels.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        weights: of a training: ``model`` (the last ones) or ``best``.
        detect: settings of step 1; those of the file unless given.
        localize: settings of step 2: peaks, tracking, confidence.
        head: names the head of an official set model where its weights leave a choice:
            ``<compare>/<transformer>``.

    Raises:
        EgolibError: a file is missing, damaged, or of another model.
    """
    file = detector_file(inputs.locate(model_root, "vq2d"), weights)
    found = read_detector(file, head=head)
    settings, kys = _choose_tracker(tracker, file, localize or LocalizeConfig())
    place = resolve_device(device)
    network = None if kys is None else read_kys(kys).to(place)
    loaded = Locator(
        found.model.to(place).eval(),
        network,
        detect=detect or found.detect,
        localize=settings,
        notes=found.notes,
    )
    loaded.about = inputs.who(file)
    return loaded


def _choose_tracker(
    tracker: str | Path | None, detector: Path, config: LocalizeConfig
) -> tuple[LocalizeConfig, Path | None]:
    """Step 2 with that tracker, and the file of its weights."""
    beside = kys_beside(detector)
    if tracker is None:
        tracker = "kys" if beside else "particle"
        if tracker == "particle":
            config = replace(config, particle=replace(config.particle, similarity="pixel"))
    if tracker in ("particle", "none"):
        return replace(config, tracker=tracker), None  # type: ignore[arg-type]
    if tracker == "kys":
        if beside is None:
            raise EgolibError(
                "no KYS weights beside the model",
                file=detector.parent,
                remedy="give their path: tracker='.../kys.pth', or tracker='particle'",
            )
        tracker = beside
    return replace(config, tracker="kys"), Path(tracker)


__all__ = ["Locator", "Search", "SubsampledVideo", "load", "save"]
