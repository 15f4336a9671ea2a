"""Where was this object last seen? ``load`` gives a ``Locator``, ``locate`` asks it.

Legend: F frames searched, N frames of the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from egolib.config import build, to_tree
from egolib.errors import EgolibError
from egolib.io import checkpoint
from egolib.report.results import ResponseTrack
from egolib.runs import inputs
from egolib.video import VideoReader
from egolib.vq2d.config import DetectConfig, DetectorConfig, KysConfig, LocalizeConfig
from egolib.vq2d.data.clips import ClipFrames, ClipReader
from egolib.vq2d.data.crop import crop_window
from egolib.vq2d.formats.checkpoint import KYS, infer_head, siamese_table
from egolib.vq2d.formats.detections import Detections
from egolib.vq2d.formats.official_config import read_official_config
from egolib.vq2d.localization.detect import Detector
from egolib.vq2d.localization.localize import Answer, NoBox, Tracker, localize
from egolib.vq2d.models.model import SiameseRcnn
from egolib.vq2d.tracking.kys.network import KysNetwork
from egolib.vq2d.tracking.trackers import make_tracker

MODEL_NAME = "vq2d/siamese_rcnn"
KYS_NAME = "vq2d/kys"
TrackerName = Literal["kys", "particle", "none"]


class Locator:
    """Detector and tracker together.

    Args:
        detector: scores every frame against the query.
        tracker: follows the object from the peak; None answers with one box.
        config: peaks and confidence.
        batch_size: frames that enter the detector together.
    """

    def __init__(
        self,
        detector: Detector,
        tracker: Tracker | None,
        config: LocalizeConfig | None = None,
        batch_size: int = 10,
        notes: Sequence[str] = (),
    ):
        self.detector, self.tracker = detector, tracker
        self.config, self.batch_size = config or LocalizeConfig(), batch_size
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
        reader = video if isinstance(video, VideoReader) else VideoReader(video)
        clip = Thinned(reader, fps, until)
        if not len(clip):
            raise EgolibError("no frame comes before the question", file=reader.path)
        reference = self.encode(query_image)
        detections = self._detect(clip, reference)
        curve_frames = clip.numbers
        if not detections.counts.any():
            return ResponseTrack(
                np.zeros(0, np.int64), np.zeros((0, 4)), 0.0, detections.best, curve_frames
            )
        answer = self._answer(clip, reader, detections)
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
        side = self.detector.config.reference_side
        crop = crop_window(query_image, (0, 0, width, height), margin=0, side=side)
        return self.detector.encode([crop.to(torch.uint8)])

    def _detect(self, clip: Thinned, reference: Tensor) -> Detections:
        boxes, scores = [], []
        for start in range(0, len(clip), self.batch_size):
            numbers = list(range(start, min(start + self.batch_size, len(clip))))
            for frame in self.detector.regions(list(clip.batch(numbers))):
                ((found, likeness),) = self.detector.compare(frame, reference)
                boxes.append(found.tolist())
                scores.append(likeness.tolist())
        return Detections.from_frames(boxes, scores)

    def _answer(self, clip: Thinned, reader: VideoReader, detections: Detections) -> Answer:
        """As in step 2; a start without box gives way to the best frame."""
        frames = ClipFrames(clip, reader.size, limit=len(clip))
        try:
            return localize(detections, frames, self.tracker, self.config, seed=self.config.seed)
        except NoBox:
            best = int(detections.best.argmax())
            shortened = Detections(
                detections.counts[: best + 1],
                detections.boxes_xyxy[: detections.starts[best + 1]],
                detections.scores[: detections.starts[best + 1]],
            )
            return localize(shortened, frames, self.tracker, self.config, seed=self.config.seed)


class Thinned:
    """A video seen at fewer frames per second, up to a frame.

    Args:
        fps: frames per second to look at; None takes all.
        until: video frame that ends it, excluded.
    """

    def __init__(self, reader: ClipReader, fps: float | None, until: int | None):
        self.reader = reader
        end = len(reader) if until is None else min(until, len(reader))
        rate = getattr(reader, "fps", None)
        step = 1 if fps is None or not rate else max(round(rate / fps), 1)
        self.numbers = np.arange(0, max(end, 0), step)

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
    precision: str = "float32",
    config: LocalizeConfig | None = None,
    detect: DetectConfig | None = None,
    head: str | None = None,
) -> Locator:
    """A locator.

    Args:
        model_root: an official folder with ``model.pth`` and ``config.yaml``, a checkpoint of
            ours (or its folder), a name as ``egolib.runs.inputs.locate`` takes it, or None for
            the newest training.
        tracker: a KYS checkpoint (``kys.pth`` or ours), ``particle``, ``none``, or ``kys``
            for the one beside the model. Without it: KYS where it lies beside the model,
            else the particle filter on grey levels.
        config: peaks, tracking, confidence.
        head: names the head of an official set model where its weights leave a choice:
            ``<compare>/<transformer>``.

    Raises:
        EgolibError: a file is missing, damaged, or of another model.
    """
    root = _detector_of(inputs.locate(model_root, "vq2d"))
    model, notes = read_detector(root, head)
    model = model.to(device).eval()
    folder = root if root.is_dir() else root.parent
    config, network = _choose_tracker(tracker, folder, config or LocalizeConfig())
    if network is not None:
        network = network.to(device)
    followed = make_tracker(config, kys=network, features=model.backbone)
    batch_size = (detect or DetectConfig()).batch_size
    return Locator(Detector(model, precision), followed, config, batch_size, notes)


def _choose_tracker(
    tracker: str | Path | None, folder: Path, config: LocalizeConfig
) -> tuple[LocalizeConfig, KysNetwork | None]:
    beside = kys_beside(folder)
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
                file=folder,
                remedy="give their path: tracker='.../kys.pth', or tracker='particle'",
            )
        tracker = beside
    return replace(config, tracker="kys"), read_kys(tracker)


def kys_beside(folder: Path) -> Path | None:
    """The KYS weights in a detector's folder, or beside it in one of our trainings."""
    places = [folder / "kys.safetensors", folder / "kys.pth"]
    places.append(folder.parent / "tracker" / "model.safetensors")
    return next((place for place in places if place.is_file()), None)


def _detector_of(root: Path) -> Path:
    """The detector's folder of a training of ours, which holds two networks."""
    for folder in (root, *root.parents[:2]):
        if (folder / "detector").is_dir() and (folder / "tracker").is_dir():
            return folder / "detector"
    return root


def read_detector(root: Path, head: str | None = None) -> tuple[SiameseRcnn, list[str]]:
    """A Siamese R-CNN from a folder or file, and notes on what was not understood."""
    path = _model_file(root)
    if path.suffix == ".safetensors":
        return _read_ours(path), []
    state = checkpoint.find_state(checkpoint.read_foreign(path))
    config_file = path.parent / "config.yaml"
    if config_file.is_file():
        official = read_official_config(config_file)
        config = official.detector
        notes = [f"config.yaml: {name} was not understood" for name in official.unknown]
    else:
        config = replace(DetectorConfig(), head=infer_head(state, choice=head or ""))
        notes = ["no config.yaml beside the model: published settings are assumed"]
    model = SiameseRcnn(config, weights="empty")
    siamese_table(config).load(model, state, file=path)
    return model, notes


def _model_file(root: Path) -> Path:
    if root.is_file():
        return root
    for name in ("model.safetensors", "model.pth"):
        if (root / name).is_file():
            return root / name
    raise EgolibError(
        "no model.pth or model.safetensors in this folder",
        file=root,
        remedy="name the folder of one model, for instance .../siam_rcnn_8_gpus",
    )


def _read_ours(path: Path) -> SiameseRcnn:
    state, sidecar = checkpoint.load(path)
    if sidecar.get("model") != MODEL_NAME:
        raise EgolibError(f"a checkpoint of {sidecar.get('model')!r}", file=path)
    config = build(DetectorConfig, sidecar["config"]["model"])
    model = SiameseRcnn(config, weights="empty")
    checkpoint.load_into(model, state, file=path)
    return model


def read_kys(path: str | Path) -> KysNetwork:
    """A KYS network from the official ``kys.pth`` or a checkpoint of ours.

    The official file also pickles an object that builds the network; it is not run.
    """
    path = Path(path)
    if path.suffix == ".safetensors":
        state, sidecar = checkpoint.load(path)
        if sidecar.get("model") != KYS_NAME:
            raise EgolibError(f"a checkpoint of {sidecar.get('model')!r}", file=path)
        network = KysNetwork(build(KysConfig, sidecar["config"]["model"]))
        checkpoint.load_into(network, state, file=path)
        return network
    network = KysNetwork(KysConfig())
    KYS.load(network, checkpoint.find_state(checkpoint.read_foreign(path)), file=path)
    return network


def save(path: str | Path, model: nn.Module, **sidecar: Any) -> Path:
    """Writes a detector or a KYS network as ``load`` and ``read_kys`` read it."""
    name = KYS_NAME if isinstance(model, KysNetwork) else MODEL_NAME
    config = {"model": to_tree(model.config)}
    return checkpoint.save(path, model.state_dict(), {"model": name, "config": config, **sidecar})
