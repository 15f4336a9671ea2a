"""Detection in videos, streamed: of a data set, or of any video file.

``load`` gives a ``Detector`` with two verbs: ``detect`` for one video, ``predict`` for
a data set. A frame is prepared and computed once, and nothing grows with the video but
a method's own bounded memory.
"""

from __future__ import annotations

import copy
import os
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from egolib.config import build, merge
from egolib.engine.device import resolve_device
from egolib.engine.precision import computing
from egolib.engine.prefetch import prefetched
from egolib.errors import EgolibError
from egolib.io import checkpoint
from egolib.metrics.detection import Boxes
from egolib.nn.fold import for_inference
from egolib.nn.roi import Found
from egolib.report.results import FrameDetections
from egolib.runs import inputs
from egolib.runs.result_cache import ResultCache
from egolib.runs.shards import map_items, own_part
from egolib.video import VideoReader
from egolib.vod.config import DataConfig, InferConfig, ModelConfig
from egolib.vod.config.infer import causal_settings, published_infer
from egolib.vod.config.rules import check_testing
from egolib.vod.data.batches import make_frames
from egolib.vod.data.dataset import RECENT_INPUTS, TestVideo, class_names, mega_test_places
from egolib.vod.data.pipeline import Prepared, prepare
from egolib.vod.data.references import test_places
from egolib.vod.formats.network import description, load_network, load_official
from egolib.vod.formats.network import published_data as published_data
from egolib.vod.formats.submission import DetectionSet, join
from egolib.vod.models.ahead import Batch, frames_ahead, pipelined

LOADERS = min(8, os.cpu_count() or 1)  # threads that read and resize frames for a GPU
Load = Callable[..., Iterable[Prepared]]


class Video(Protocol):
    """A video as a source of network inputs.

    ``parallel`` says whether several threads may read frames at once.
    """

    parallel: bool

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
        reader: of the file.
        config: preparation of its frames.
        fps: frames a second to look at; None for all frames. Where the rate varies, those on
            screen that often.
    """

    number = 0
    parallel = False  # a decoder goes from frame to frame

    def __init__(self, reader: VideoReader, config: DataConfig, fps: float | None = None) -> None:
        self.reader, self.config = reader, config
        if fps is not None and reader.varies:
            self.frames = reader.looked_at(fps)
        else:
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


class Detector(inputs.Told):
    """A network with everything that turns videos into detections.

    The network keeps no setting of testing: ``settings`` are passed when a video is started,
    so several detectors may share one network.

    Args:
        model: the network; it is put into evaluation mode on ``settings.device``.
        config: what it is.
        data: preparation of images.
        settings: of testing; as published for that network by default.
        names: of the classes, in label order; the data's by default.
        seed: of the shuffles and memories; every video starts from it anew.

    Raises:
        EgolibError: settings that the network cannot be tested with, or no such device.
    """

    def __init__(
        self,
        model: nn.Module,
        config: ModelConfig,
        data: DataConfig,
        settings: InferConfig | None = None,
        *,
        names: Sequence[str] = (),
        seed: int = 0,
    ) -> None:
        wanted = settings or published_infer(config)
        self.settings = causal_settings(config.method, wanted) if wanted.causal else wanted
        check_testing(config, self.settings)
        self.config, self.data, self.seed = config, data, seed
        self.device = resolve_device(self.settings.device)
        self.model = model.to(self.device).eval()
        if self.device.type == "cuda":  # equal up to rounding
            self.model = for_inference(self.model)
        self.class_names = tuple(names) or class_names(data)

    # ------------------------------------------------------------------ one video

    def detect(
        self,
        video: str | Path | VideoReader,
        *,
        fps: float | None = None,
        min_score: float = 0.0,
    ) -> Iterator[FrameDetections]:
        """Detections of a video, frame by frame as they are computed.

        Args:
            video: a file, or a reader of one.
            fps: frames a second to look at; None for all.
            min_score: lower scores are skipped.
        """
        reader = video if isinstance(video, VideoReader) else VideoReader(video)
        source = VideoFile(reader, self.data, fps)
        for place, found in self.stream(source):
            good = found.scores >= min_score
            frame = source.frames[place]
            boxes, labels, scores = (x[good].cpu().numpy() for x in found)
            yield FrameDetections(frame, reader.timestamp(frame), boxes, labels, scores)

    def stream(self, video: Video, previous: Any = None) -> Iterator[tuple[int, Found]]:
        """(place, detections) of every frame in the video's order.

        Args:
            video: a source of network inputs.
            previous: the state that the video before left; only EOVOD reads it.
        """
        for place, found, _ in self._steps(video, previous):
            yield place, found

    def _steps(self, video: Video, previous: Any) -> Iterator[tuple[int, Found, Any]]:
        """(place, detections, state after it) of every frame, a few frames at a time."""
        size, on_gpu = frames_ahead(self.settings, self.device), self.device.type == "cuda"
        groups = [video.order[i : i + size] for i in range(0, len(video.order), size)]
        parallel = on_gpu and video.parallel
        with ThreadPoolExecutor(LOADERS if parallel else 1) as pool:
            read = partial(self._batches, video, load=pool.map if parallel else map)
            loaded = prefetched(read, groups, ahead=2 if on_gpu else 0)
            batches = (batch.to(self.device) for part in loaded for batch in part)
            state = self._start(video, previous)
            for place, found in pipelined(self.model, state, batches, ahead=size > 1):
                yield place, _best_first(found), state

    def _start(self, video: Video, previous: Any) -> Any:
        """The state before a video's first frame, with the references that come with it."""
        references = None
        if self.config.method != "mega" and len(video.order):
            near, _ = self._companions(video.order[0], len(video), [])
            inputs = [video.input(place) for place in near]
            references = make_frames(inputs, near)
        return self.model.start_video(  # type: ignore[operator]
            self.settings,
            references and references.to(self.device),
            seed=self.seed,
            number=video.number,
            previous=previous,
        )

    def _batches(self, video: Video, places: Sequence[int], load: Load) -> list[Batch]:
        """Frames in the order of testing with what comes with them, on the host: one batch, or
        one for every frame where their sizes differ."""
        mega = self.config.method == "mega"
        others: list[dict[str, list[int]]] = []
        shuffled = np.random.RandomState(self.seed).permutation(len(video)).tolist()
        for place in places:
            near, far = self._companions(place, len(video), shuffled)
            if place == video.order[0] and not mega:
                near = []  # the state was started with them
            others.append({"references": near} | ({"distant": far} if mega else {}))
        wanted = list(dict.fromkeys([*places, *(n for o in others for v in o.values() for n in v)]))
        inputs = dict(zip(wanted, load(video.input, wanted), strict=True))
        if len({p.pixels.shape + p.size for p in inputs.values()}) > 1 and len(places) > 1:
            return [b for place in places for b in self._batches(video, [place], map)]
        pool = make_frames(list(inputs.values()), wanted)
        assert pool is not None
        if self.device.type == "cuda":
            pool = pool.pin_memory()
        coming = [n for n in wanted if n not in places]
        slides = self.settings.slides and self.settings.references.stride == 1
        return [Batch(pool, places, others, coming if slides and coming else wanted)]

    def _companions(
        self, place: int, length: int, shuffled: Sequence[int]
    ) -> tuple[list[int], list[int]]:
        """Places of the frames that come with a frame: nearby ones, and MEGA's distant ones."""
        if self.config.method != "mega":
            return test_places(place, length, self.settings.references), []
        rules = self.settings.mega
        if self.settings.causal:  # the window's frames and a random earlier one
            return [place] * (place > 0), [shuffled[place] % (place + 1)]
        return mega_test_places(place, shuffled, rules.window, rules.position, rules.global_size)

    # ----------------------------------------------------------------- a data set

    def predict(
        self,
        videos: Iterable[TestVideo],
        cache: ResultCache | None = None,
        devices: Sequence[str] = (),
    ) -> DetectionSet:
        """Detections of a data set, in its order of testing.

        Args:
            videos: in the order of testing.
            cache: where the detections of finished videos are kept, and taken from when
                this is repeated.
            devices: what computes, a process each; this process and its device without any.

        Raises:
            EgolibError: videos that could not be detected in, after all others are finished.
        """
        chains = own_part(self._chains(videos), lambda chain: sum(map(len, chain)))
        outcomes = map_items(
            chains,
            partial(_ChainWorker, self._on_host() if devices else self, cache),
            devices=devices or (str(self.device),),
            cost=(lambda chain: sum(map(len, chain))) if len(devices) > 1 else None,
            what="detecting",
            unit="video",
        )
        failed = [(o.item[0].name, o.error) for o in outcomes if o.error is not None]
        if failed:
            raise EgolibError(
                f"{len(failed)} of {len(chains)} videos failed, the others are finished: "
                + "; ".join(f"{name}: {error}" for name, error in failed[:10]),
                remedy="mend or leave out those; a second run goes on from here",
            )
        return join([o.result for o in outcomes if o.result is not None], self.class_names)

    def _on_host(self) -> Detector:
        """A twin on the CPU, which can be sent to other processes."""
        twin = copy.copy(self)
        twin.device = torch.device("cpu")
        twin.model = copy.deepcopy(self.model).to(twin.device)
        return twin

    def kept_or_computed(
        self, chain: Sequence[TestVideo], cache: ResultCache | None
    ) -> DetectionSet:
        """Detections of videos that must be seen one after the other.

        Args:
            chain: the videos.
            cache: where detections are kept under the first one's name; None for nowhere.
        """
        wanted = np.array([v.image_id(p) for v in chain for p in v.order], np.int64)
        part = self._cached(cache, chain[0].name, wanted)
        if part is None:
            settings = self.settings
            device = str(self.device)
            with computing(device, settings.precision, settings.matmul_precision):
                part = self._predict_chain(chain)
            if cache is not None:
                arrays = {**vars(part.boxes), "image_id": part.image_id}
                cache.put(chain[0].name, **arrays)
        return part

    def _cached(
        self, cache: ResultCache | None, name: str, wanted: np.ndarray
    ) -> DetectionSet | None:
        """What was kept under a name; None where there is nothing of exactly these images."""
        kept = None if cache is None else cache.get(name)
        if kept is None or not np.array_equal(kept.get("image_id", wanted[:0]), wanted):
            return None
        boxes = Boxes(kept["frame"], kept["label"], kept["box"], kept["score"])
        return DetectionSet(boxes, wanted, self.class_names)

    def _chains(self, videos: Iterable[TestVideo]) -> list[list[TestVideo]]:
        """Videos that must be seen one after the other: EOVOD's snippets of one source."""
        official = self.settings.location.bank_reset == "official"
        shared = self.config.method == "eovod" and official
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


class _ChainWorker:
    """Detects in chains of videos on one device.

    Args:
        detector: of the process that asked; on another device a twin of it.
        cache: where finished chains are kept.
        device: what computes.
    """

    def __init__(self, detector: Detector, cache: ResultCache | None, device: str) -> None:
        if torch.device(device) != detector.device:
            settings = replace(detector.settings, device=device)
            detector = copy.copy(detector)
            detector.settings, detector.device = settings, torch.device(device)
            detector.model = detector.model.to(device)
        self.detector, self.cache = detector, cache

    def __call__(self, chain: Sequence[TestVideo]) -> DetectionSet:
        return self.detector.kept_or_computed(chain, self.cache)


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


# ---------------------------------------------------------------------------- loading


def load(
    name: str | Path | None = None,
    *,
    model: str | None = None,
    classes: Sequence[tuple[str, str]] | None = None,
    infer: Mapping[str, Any] | None = None,
    causal: bool = False,
    seed: int = 0,
    device: str = "auto",
    runs_dir: str | Path | None = None,
) -> Detector:
    """A detector from an egolib checkpoint or an official file.

    Args:
        name: a path, ``vod/<variant>`` (the newest training), a Hub repository, or None
            for the newest training.
        model: of an official file: the published network, where its keys fit several.
        classes: (name, wnid) pairs of an official file trained on other classes.
        infer: changes to the settings of testing, by the names of ``InferConfig``, for
            instance ``{"detections": {"score_threshold": 0.1}}``.
        causal: use no frame later than the current one.
        seed: of shuffles and memories.
        device: ``auto`` takes a GPU where there is one.
        runs_dir: where runs lie; None for ``runs`` in the checkout.

    Raises:
        EgolibError: nothing of that name, a file of another model, or an unknown setting.
    """
    path = inputs.weights_file(inputs.locate(name, "vod", runs_dir))
    if path.suffix == ".safetensors":
        network, config = load_network(path)
    else:
        network, config = load_official(path, model, classes)
    changes = merge(dict(infer or {}), {"causal": causal, "device": device})
    settings = build(InferConfig, merge(asdict(config.infer), changes), where="infer.")
    loaded = Detector(network, config.model, config.data, settings, seed=seed)
    loaded.about = inputs.who(path)
    return loaded


def save(
    path: str | Path,
    model: nn.Module,
    config: ModelConfig,
    data: DataConfig,
    infer: InferConfig | None = None,
    **sidecar: Any,
) -> Path:
    """Writes an egolib checkpoint, which ``load`` reads; returns the path of its tensor file.

    Args:
        path: of the tensor file.
        model: the network.
        config: what it is.
        data: preparation of its images.
        infer: settings of testing; as published for that network by default.
        sidecar: further plain values for the description beside the weights.
    """
    about = description(config, data, infer or published_infer(config))
    return checkpoint.save(path, model.state_dict(), {**about, **sidecar})
