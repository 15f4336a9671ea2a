"""Detection in videos, streamed: of a data set, or of any video file.

``load`` gives a ``Detector`` with two verbs: ``detect`` for one video, ``predict`` for
a data set. A frame is prepared and computed once, and nothing grows with the video but
a method's own bounded memory.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from egolib.config import build, to_tree
from egolib.errors import EgolibError, nearest
from egolib.io import checkpoint
from egolib.io.checkpoint import find_state, read_foreign
from egolib.metrics.detection import Boxes
from egolib.nn.roi import Found
from egolib.progress import track
from egolib.report.results import FrameDetections
from egolib.runs import inputs
from egolib.video import VideoReader
from egolib.vod.config import DataConfig, ModelConfig
from egolib.vod.config.data import BY_METHOD
from egolib.vod.data.classes import IMAGENET_VID
from egolib.vod.data.dataset import RECENT_INPUTS, TestVideo, class_names, mega_test_places
from egolib.vod.data.pipeline import Prepared, prepare
from egolib.vod.data.references import test_places
from egolib.vod.formats.checkpoint import MODELS, layout
from egolib.vod.formats.submission import DetectionSet
from egolib.vod.models.build import build_empty
from egolib.vod.models.frames import Frames
from egolib.vod.optim import make_frames
from egolib.vod.result_cache import KeptDetections, join


class Video(Protocol):
    """A video as a source of network inputs."""

    @property
    def order(self) -> Sequence[int]:
        """Places in the order of testing."""

    @property
    def number(self) -> int:
        """The number that ends the video's name."""

    def __len__(self) -> int: ...

    def input(self, place: int) -> Prepared:
        """The frame at a place of the video."""


class VideoFile:
    """A video file, at its own rate or at fewer frames a second.

    Args:
        fps: frames a second to look at; None for all frames.
    """

    number = 0

    def __init__(self, reader: VideoReader, config: DataConfig, fps: float | None = None) -> None:
        self.reader, self.config = reader, config
        step = 1.0 if fps is None else max(reader.fps / fps, 1.0)
        self.frames = [round(i * step) for i in range(int((len(reader) - 1) / step) + 1)]
        self.order: Sequence[int] = range(len(self.frames))
        self._recent: OrderedDict[int, Prepared] = OrderedDict()

    def __len__(self) -> int:
        return len(self.frames)

    def input(self, place: int) -> Prepared:
        """The frame at a place, RGB turned into BGR; the last few are kept."""
        if place not in self._recent:
            image = self.reader[self.frames[place]][..., ::-1]
            self._recent[place] = prepare(np.ascontiguousarray(image), self.config.pipeline)
            if len(self._recent) > RECENT_INPUTS:
                self._recent.popitem(last=False)
        return self._recent[place]


class Detector:
    """A network with everything that turns videos into detections.

    Args:
        model: the network; it is put into evaluation mode.
        config: its settings.
        data: preparation of images and choice of references.
        names: of the classes, in label order.
        causal: use no frame later than the current one.
        seed: of the shuffles and memories; every video starts from it anew.
    """

    def __init__(
        self,
        model: nn.Module,
        config: ModelConfig,
        data: DataConfig,
        names: Sequence[str] = (),
        *,
        causal: bool = False,
        seed: int = 0,
        device: str | torch.device = "cpu",
    ) -> None:
        self.config, self.data = causal_settings(config, data) if causal else (config, data)
        self.model = model.to(device).eval()
        _apply(self.model, self.config)
        self.class_names = tuple(names) or class_names(data)
        self.causal, self.seed, self.device = causal, seed, torch.device(device)

    # ------------------------------------------------------------------ one video

    def detect(
        self, video: str | Path | VideoReader, *, fps: float | None = None, min_score: float = 0.0
    ) -> Iterator[FrameDetections]:
        """Detections of a video, frame by frame as they are computed.

        Args:
            fps: frames a second to look at; None for all.
            min_score: leave out detections with a lower score.
        """
        reader = video if isinstance(video, VideoReader) else VideoReader(video)
        source = VideoFile(reader, self.data, fps)
        for place, found in self.stream(source):
            good = found.scores >= min_score
            frame = source.frames[place]
            boxes, labels, scores = (x[good].cpu().numpy() for x in found)
            yield FrameDetections(frame, reader.timestamp(frame), boxes, labels, scores)

    def stream(self, video: Video, previous: Any = None) -> Iterator[tuple[int, Found]]:
        """(place, detections) of every frame in the video's order."""
        for place, found, _ in self._steps(video, previous):
            yield place, found

    def _steps(self, video: Video, previous: Any) -> Iterator[tuple[int, Found, Any]]:
        shuffled = np.random.RandomState(self.seed).permutation(len(video)).tolist()
        state: Any = None
        mega = self.config.method == "mega"
        for count, place in enumerate(video.order):
            near, far = self._companions(place, len(video), shuffled)
            references, frame = self._frames(video, near), self._frames(video, [place])
            if count == 0:
                state = self.model.start_video(  # type: ignore[operator]
                    None if mega else references,
                    seed=self.seed,
                    number=video.number,
                    previous=previous,
                )
                references = references if mega else None
            extra = {"distant": self._frames(video, far)} if mega else {}
            found = self.model.step(frame, state, references, **extra)  # type: ignore[operator]
            yield place, _best_first(found), state

    def _companions(
        self, place: int, length: int, shuffled: Sequence[int]
    ) -> tuple[list[int], list[int]]:
        """Places of the frames that come with a frame: nearby ones, and MEGA's distant ones."""
        if self.config.method != "mega":
            return test_places(place, length, self.data.test_references), []
        settings = self.config.mega
        if self.causal:  # the window's frames and a random earlier one
            return [place] * (place > 0), [shuffled[place] % (place + 1)]
        return mega_test_places(
            place, shuffled, settings.window, settings.position, settings.global_size
        )

    def _frames(self, video: Video, places: Sequence[int]) -> Frames | None:
        frames = make_frames([video.input(place) for place in places], places)
        return None if frames is None else frames.to(self.device)

    # ----------------------------------------------------------------- a data set

    def predict(
        self, videos: Iterable[TestVideo], kept: KeptDetections | None = None
    ) -> DetectionSet:
        """Detections of a data set, in its order of testing.

        Args:
            kept: where finished videos are kept, and taken from when this is repeated.
        """
        parts: list[DetectionSet] = []
        for chain in track(self._chains(videos), "detecting", unit="video"):
            name, wanted = chain[0].name, [v.image_id(place) for v in chain for place in v.order]
            part = kept.get(name, wanted) if kept else None
            if part is None:
                part = self._predict_chain(chain)
                if kept:
                    kept.put(name, part)
            parts.append(part)
        return join(parts, self.class_names)

    def _chains(self, videos: Iterable[TestVideo]) -> list[list[TestVideo]]:
        """Videos that must be seen one after the other: EOVOD's snippets of one source."""
        shared = self.config.method == "eovod" and self.config.location.bank_reset == "official"
        chains: list[list[TestVideo]] = []
        for video in videos:
            if shared and chains and video.number % 1000 != 0:
                chains[-1].append(video)
            else:
                chains.append([video])
        return chains

    def _predict_chain(self, chain: Sequence[TestVideo]) -> DetectionSet:
        ids: list[int] = []
        rows: list[Found] = []
        previous: Any = None
        for video in chain:
            for place, found, state in self._steps(video, previous):
                ids.append(video.image_id(place))
                rows.append(Found(*(x.cpu() for x in found)))
                previous = state
        return DetectionSet(_columns(rows), np.array(ids, np.int64), self.class_names)


def _apply(model: nn.Module, config: ModelConfig) -> None:
    """Gives the settings of inference to a network built with others."""
    for part in model.modules():
        if isinstance(getattr(part, "config", None), ModelConfig):
            part.config = config  # type: ignore[assignment]


def _best_first(found: Found) -> Found:
    order = found.scores.argsort(descending=True, stable=True)
    return Found(*(x[order] for x in found))


def _columns(rows: Sequence[Found]) -> Boxes:
    counts = [len(found.scores) for found in rows]
    frame = np.repeat(np.arange(len(rows)), counts)
    boxes, labels, scores = (
        torch.cat([f[i] for f in rows]).numpy() if rows else np.zeros(0) for i in range(3)
    )
    return Boxes(frame, labels.astype(np.int64), boxes.reshape(-1, 4).astype(np.float32), scores)


def causal_settings(config: ModelConfig, data: DataConfig) -> tuple[ModelConfig, DataConfig]:
    """Settings under which no frame needs a later one.

    Sliding windows end at the current frame. Where references were spread over the
    video: SELSA slides a window of as many earlier frames, STPN and EOVOD start from the
    first frame alone, MAMBA from nothing.
    """
    references = data.test_references
    length = references.window[1] - references.window[0]
    method = config.method
    if method == "mega":
        mega = replace(config.mega, position=config.mega.window - 1)
        return replace(config, mega=mega), data
    if method in ("selsa", "fgfa"):
        references = replace(references, method="fixed_stride", window=(-length, 0), stride=1)
        support = replace(config.support, window="fixed", left=length, stride=1)
        flow = replace(config.flow, left=length, stride=1)
        config = replace(config, support=support, flow=flow)
    elif method in ("stpn", "eovod"):
        references = replace(references, method="adaptive_stride", window=(0, 1))
    else:
        references = replace(references, method="none")
    return config, replace(data, test_references=references)


# ---------------------------------------------------------------------------- loading


def load(
    name: str | Path | None = None,
    *,
    model: str | None = None,
    classes: Sequence[tuple[str, str]] | None = None,
    causal: bool = False,
    seed: int = 0,
    device: str | torch.device = "cpu",
    runs_dir: str | Path | None = None,
) -> Detector:
    """A detector from a checkpoint of ours or an official file.

    Args:
        name: a path, ``vod/<variant>`` (the newest training), a Hub repository, or None
            for the newest training.
        model: of an official file: the published network, where its keys fit several.
        classes: (name, wnid) pairs of an official file trained on other classes.
        causal, seed, device: see ``Detector``.

    Raises:
        EgolibError: nothing of that name, or a file of another model.
    """
    path = inputs.locate(name, "vod", runs_dir)
    if path.is_dir():
        path = _only_checkpoint(path)
    if path.suffix == ".safetensors":
        network, config, data = _load_ours(path)
    else:
        network, config, data = _load_official(path, model, classes)
    return Detector(network, config, data, causal=causal, seed=seed, device=device)


def save(
    path: str | Path, model: nn.Module, config: ModelConfig, data: DataConfig, **sidecar: Any
) -> Path:
    """Writes a checkpoint that ``load`` reads; returns the path of its tensor file."""
    known = {"model": to_tree(config), "data": to_tree(data)}
    about = {"model": f"vod/{config.method}", "config": known, **sidecar}
    return checkpoint.save(path, model.state_dict(), about)


def _load_ours(path: Path) -> tuple[nn.Module, ModelConfig, DataConfig]:
    state, sidecar = checkpoint.load(path)
    if not str(sidecar.get("model", "")).startswith("vod"):
        raise EgolibError(f"a checkpoint of {sidecar.get('model')!r}, not of vod", file=path)
    known = sidecar["config"]
    config = build(ModelConfig, known["model"])
    data = build(DataConfig, known["data"]) if "data" in known else published_data(config)
    network = build_empty(config)
    checkpoint.compare(state, network.state_dict()).require_complete(file=path)
    network.load_state_dict(state, assign=True)
    return network, config, data


def _load_official(
    path: Path, model: str | None, classes: Sequence[tuple[str, str]] | None
) -> tuple[nn.Module, ModelConfig, DataConfig]:
    state = find_state(read_foreign(path))
    name = model or _recognise(state, path)
    if name.removeprefix("vod/") not in ModelConfig.builders:
        raise EgolibError(f"unknown model {name!r}", remedy=nearest(name, ModelConfig.builders))
    config = ModelConfig.builders[name.removeprefix("vod/")]()
    if classes is not None:
        config = replace(config, classes=len(classes))
    network = build_empty(config)
    ours = layout(config).to_ours(state, file=path)
    checkpoint.compare(ours, network.state_dict()).require_complete(file=path)
    network.load_state_dict(ours, assign=True)
    data = replace(published_data(config), classes=tuple(classes or IMAGENET_VID))
    return network, config, data


def _recognise(state: checkpoint.State, path: Path) -> str:
    names = [m.name for m in MODELS if m.matches(state)]
    if len(names) == 1:
        return names[0]
    several = f"the keys fit several networks: {', '.join(names)}"
    raise EgolibError(
        several if names else "no published network of vod has these keys",
        file=path,
        remedy="name it: load(path, model=...)",
    )


def _only_checkpoint(folder: Path) -> Path:
    files = sorted(folder.glob("*.safetensors"))
    if len(files) != 1:
        raise EgolibError(f"{len(files)} checkpoints in the folder", file=folder)
    return files[0]


def published_data(config: ModelConfig) -> DataConfig:
    """Preparation and references that a published network is tested with."""
    if config.method == "single" and config.detector != "rcnn":
        return DataConfig.builders[config.detector]()
    return BY_METHOD[config.method]()
