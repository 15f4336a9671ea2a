"""``3_infer``: step 1 (detection caches) and step 2 (answers) for whole splits.

All files are looked up before anything is computed. Step 1 loads the detector, step 2 the
tracker; each can be left out where its files are there. Both resume where an interrupted run
stopped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from egolib.config import to_tree
from egolib.engine.device import resolve_device
from egolib.engine.precision import (
    MatmulPrecision,
    in_precision_of_infer,
    set_matmul_precision,
)
from egolib.errors import EgolibError
from egolib.io.records import Skipped, file_sha256
from egolib.report.results import identity
from egolib.report.source import show
from egolib.runs.result_cache import ResultCache, cache_key
from egolib.runs.shards import end_of_part, is_part, own_part
from egolib.runs.step import Step
from egolib.video import VideoReader
from egolib.vq2d.config import Config, KysConfig, LocalizeConfig
from egolib.vq2d.data.annotations import Annotations, Query
from egolib.vq2d.formats import submission
from egolib.vq2d.formats.checkpoint import (
    PUBLISHED_TRACKER,
    detector_file,
    kys_beside,
    read_detector,
    read_kys,
)
from egolib.vq2d.localization import answers as answering
from egolib.vq2d.localization.answers import Answers, Work
from egolib.vq2d.localization.confidence import Calibration
from egolib.vq2d.localization.detect import Detector, extract
from egolib.vq2d.localization.localize import Tracker, localize
from egolib.vq2d.localization.peaks import find_curve
from egolib.vq2d.localization.replay import DETECTIONS, TRACKS, InferenceRecord
from egolib.vq2d.localization.settings import further
from egolib.vq2d.steps.data import clips_folder, read_splits
from egolib.vq2d.steps.data import table as describe_queries
from egolib.vq2d.steps.looking import curve_examples, strip_examples
from egolib.vq2d.tracking.trackers import make_tracker, needs_detector

if TYPE_CHECKING:
    import pandas as pd

SPLITS = ("val", "test")
DECODER_THREADS = 8
"""Threads of a decoder that feeds a GPU; on a CPU one, for the rest compute."""


# ---------------------------------------------------------------------------- inputs


@dataclass(frozen=True)
class Sources:
    """The files that this step reads, all of them there.

    Args:
        clips: folder of the clips.
        cache: folder of detections that take the place of step 1; None for none.
        detector: file of its weights; None where nothing needs it.
        tracker: file of its weights; None for none.
        calibration: file of the confidence's calibration; None for none.
    """

    clips: Path
    cache: Path | None
    detector: Path | None
    tracker: Path | None
    calibration: Path | None


def read_queries(step: Step[Config]) -> dict[str, Annotations]:
    """The annotations of val, and of test where they are."""
    return {name: own for name, own in read_splits(step).items() if name in SPLITS}


def own_clips(queries: Mapping[str, Annotations]) -> dict[str, list[Query]]:
    """The clips of all splits with their queries: all of them, or this job's part of an array."""
    clips: dict[str, list[Query]] = {}
    for split in queries.values():
        for uid, own in split.by_clip().items():
            clips.setdefault(uid, []).extend(own)
    return dict(own_part(list(clips.items()), lambda clip: len(clip[1])))


def weights_file(step: Step[Config]) -> Path:
    """The detector's weights: of a training, an egolib checkpoint, or an official file or folder.

    Raises:
        EgolibError: there are none, or several.
    """
    return detector_file(step.input("model"), step.config.infer.weights)


def tracker_file(step: Step[Config]) -> Path | None:
    """The tracker's weights; None where the configured tracker has none.

    They are the file named by ``localize.tracker_weights``, else the one beside the detector
    (in its folder, or trained with it), else ``vq2d/kys/kys.pth`` below the data root.

    Raises:
        EgolibError: there is none; all places are named.
    """
    config = step.config.localize
    if config.tracker != "kys":
        return None
    published = step.data_root / PUBLISHED_TRACKER
    if config.tracker_weights:
        named = step.data_root / config.tracker_weights
        return _existing(named, "the tracker's weights (localize.tracker_weights)")
    model = step.input("model")
    beside = kys_beside(model)
    if beside is None and not published.is_file():
        raise EgolibError(
            "no weights of a tracker: no kys.pth, kys.safetensors or trained tracker beside the "
            f"model, and no {published}",
            file=model,
            remedy="put kys.pth beside the model, name it in localize.tracker_weights, "
            "or set localize.tracker to particle or none",
        )
    return beside or published


def sources(step: Step[Config]) -> Sources:
    """Looks up everything that both steps will need.

    Raises:
        EgolibError: a file or folder is not there.
    """
    detect, config = step.config.detect, step.config.localize
    clips = _existing(clips_folder(step), "the folder of clips")
    cache = calibration = None
    if detect.cache:
        cache = _existing(step.data_root / detect.cache, "the detection cache (detect.cache)")
    if config.confidence == "calibrated":
        named = step.data_root / config.calibration
        calibration = _existing(named, "the calibration (localize.calibration)")
    wanted = cache is None or needs_detector(config)
    resolve_device(step.config.infer.device)
    detector = weights_file(step) if wanted else None
    return Sources(clips, cache, detector, tracker_file(step), calibration)


def _existing(path: Path, what: str) -> Path:
    if not path.exists():
        raise EgolibError(f"{what} is not there", file=path)
    return path


def inventory(found: Sources) -> pd.Series:
    """The files, for people."""
    import pandas as pd

    return pd.Series({name: str(value or "not needed") for name, value in vars(found).items()})


# --------------------------------------------------------------------------- predicting


@dataclass(frozen=True)
class Predictions:
    """What both steps gave.

    Args:
        queries: annotations by split.
        detections: folder of the detection cache.
        undetected: queries that step 1 skipped, with reasons.
        answers: of step 2, by split.
    """

    queries: Mapping[str, Annotations]
    detections: Path
    undetected: Skipped
    answers: Mapping[str, Answers]


@in_precision_of_infer
def predict(step: Step[Config]) -> Predictions:
    """Steps 1 and 2 for val and test; writes submission files and what a replay needs."""
    found, queries = sources(step), read_queries(step)
    detections, undetected = detect(step, found, queries)
    answers = follow(step, found, queries, detections)
    end_of_part()
    return Predictions(queries, detections, undetected, answers)


def detect(
    step: Step[Config], found: Sources, queries: Mapping[str, Annotations]
) -> tuple[Path, Skipped]:
    """Step 1: the folder of the detections of all queries, and what was skipped.

    Args:
        step: the step.
        found: its files; a cache takes the place of step 1, and no detector is loaded.
        queries: annotations by split.
    """
    if found.cache is not None or found.detector is None:
        assert found.cache is not None
        return found.cache, Skipped()
    config = step.config
    loaded = read_detector(found.detector, config.model)
    for line in (*loaded.notes, *_other_settings(step, loaded.detect)):
        print(line)
    device = resolve_device(config.infer.device)
    model, threads = loaded.model.to(device), 1 if device.type == "cpu" else DECODER_THREADS
    clips = own_clips(queries)
    cache = ResultCache(step.out / DETECTIONS, detections_key(step, found.detector))
    opened = partial(_open_clip, found.clips, config.data.backend, threads)
    skipped = extract(clips, opened, Detector(model, config.detect), cache)
    cache.remove_others()
    return cache.folder, skipped


def detections_key(step: Step[Config], detector: Path) -> dict[str, Any]:
    """What the detections rest on: weights, settings of step 1, clips, code."""
    settings = to_tree(replace(step.config.detect, cache=""))
    model = to_tree(step.config.model)  # what an official file does not say itself
    return cache_key(
        "vq2d",
        weights=[file_sha256(detector)],
        detect=settings,
        model=model,
        matmul_precision=step.config.infer.matmul_precision,
        data=_clips(step),
    )


def _other_settings(step: Step[Config], theirs: Any) -> list[str]:
    """How the settings that a model's ``config.yaml`` or sidecar gives differ from the run's."""
    ours, given = to_tree(step.config.detect), to_tree(theirs)
    names = ("short_side", "long_side", "proposals", "nms_threshold", "limit")
    return [
        f"the model's own settings give detect.{name}: {given[name]}, this run {ours[name]}"
        for name in names
        if given[name] != ours[name]
    ]


def _open_clip(folder: Path, backend: str, threads: int, uid: str) -> VideoReader:
    return VideoReader(folder / f"{uid}.mp4", backend, threads=threads)


def _clips(step: Step[Config]) -> str:
    """Identifies the clips, and what decodes them where that is not PyAV."""
    backend = step.config.data.backend
    return identity(step.input("data")) + (f" {backend}" if backend != "av" else "")


# ----------------------------------------------------------------------------- step 2


def follow(
    step: Step[Config],
    found: Sources,
    queries: Mapping[str, Annotations],
    detections: Path,
) -> dict[str, Answers]:
    """Step 2: answers by split, written as submission files.

    The tracks that other settings of the sweep start are followed too and kept, so that
    ``4_evaluate`` needs no network.

    Args:
        step: the step.
        found: its files.
        queries: annotations by split.
        detections: folder of the detection cache.
    """
    config = step.config.localize
    record = _record(step, found, detections)
    tracks = ResultCache(step.out / TRACKS, record.tracks_key(config))
    calibration = None if found.calibration is None else Calibration.read(found.calibration)
    work = Work(config, detections, tracks, calibration, further(config, step.config.sweep))
    source = partial(
        tracker_of,
        config,
        step.config.tracker,
        record.tracker,
        record.detector,
        matmul_precision=step.config.infer.matmul_precision,
    )
    places = places_of(step)
    answers, here = {}, own_clips(queries)
    for split, own in queries.items():
        clips = {uid: asked for uid, asked in own.by_clip().items() if uid in here}
        todo = answering.query_jobs(clips, found.clips, step.config.data.backend)
        answers[split] = answering.answer_all(
            todo,
            work,
            source,
            processes=places.processes,
            devices=places.devices,
            at_once=places.at_once,
        )
        if not is_part():
            submission.write(step.out / f"{split}.json", own, answers[split].tracks)
    if is_part():
        return answers
    skipped = {k: why for each in answers.values() for k, why in each.skipped.reasons.items()}
    replace(record, tracks=str(tracks.folder), skipped=skipped).write(step.out)
    return answers


def _record(step: Step[Config], found: Sources, detections: Path) -> InferenceRecord:
    reads_detector = needs_detector(step.config.localize)
    files = [found.tracker, found.detector if reads_detector else None]
    return InferenceRecord(
        detections=str(detections),
        tracks="",
        weights=[file_sha256(file) for file in files if file is not None],
        tracker=str(found.tracker or ""),
        detector=str(found.detector) if reads_detector else "",
        data=_clips(step),
        matmul_precision=step.config.infer.matmul_precision,
        skipped={},
    )


class Places(NamedTuple):
    """Where queries are answered: devices, processes on each, queries at once in each process."""

    devices: list[str]
    processes: int
    at_once: int


def places_of(step: Step[Config]) -> Places:
    """One process on a CPU, where other chains run side by side. On a GPU KYS follows the targets
    of many queries in one process, in lock step; another tracker needs as many processes."""
    config = step.config.localize
    if resolve_device(step.config.infer.device).type == "cpu":
        return Places(["cpu"], 1, 1)
    devices = [f"cuda:{i}" for i in range(max(torch.cuda.device_count(), 1))]
    if config.tracker == "kys":
        return Places(devices, 1, config.processes_per_gpu)
    return Places(devices, config.processes_per_gpu, 1)


def tracker_of(
    config: LocalizeConfig,
    architecture: KysConfig,
    tracker: str,
    detector: str,
    device: str,
    matmul_precision: MatmulPrecision = "highest",
) -> Tracker | None:
    """The tracker of a configuration on a device; made in every process.

    Args:
        config: of step 2.
        architecture: what an official tracker file does not say.
        tracker: file of its weights; empty for none.
        detector: file of the detector whose features it reads; empty for none.
        device: ``cpu``, ``cuda:0``, ...
        matmul_precision: of float32 products on a GPU, from now on in this process.
    """
    set_matmul_precision(matmul_precision)
    network = read_kys(tracker, architecture).to(device) if tracker else None
    model = read_detector(Path(detector)).model.to(device) if detector else None
    return make_tracker(config, kys=network, detector=model)


# --------------------------------------------------------------------------- showing


def table(predictions: Predictions) -> pd.DataFrame:
    """One column a split: answered and skipped queries, peaks, lengths."""
    import pandas as pd

    return pd.DataFrame(metrics(predictions))


def problems(predictions: Predictions) -> str:
    """Everything that was skipped, for people."""
    lines = [f"step 1: {predictions.undetected.summary()}"]
    lines += [f"step 2, {k}: {own.skipped.summary()}" for k, own in predictions.answers.items()]
    return "\n".join(lines)


def check(step: Step[Config], predictions: Predictions) -> None:
    """Raises EgolibError where an answer is missing without a reason, empty, or before frame 0."""
    for split, own in predictions.answers.items():
        count = len(predictions.queries[split].queries)
        if len(own.found) + len(own.skipped) != count:
            raise EgolibError(f"{count} queries of {split}, not as many answers", file=step.out)
        for key, answer in own.found.items():
            if not len(answer.track) or answer.track.frames.min() < 0:
                raise EgolibError("an answer without a frame", file=step.out, record=key)


def metrics(predictions: Predictions) -> dict[str, dict[str, float]]:
    """How many answers started at a peak, and how long they are, by split."""
    found = {}
    for split, own in predictions.answers.items():
        all_found = list(own.found.values())
        found[split] = {
            "answered": len(all_found),
            "skipped": len(own.skipped),
            "with_peak": sum(answer.start.peak is not None for answer in all_found),
            "mean_length": float(np.mean([len(answer.track) for answer in all_found] or [0])),
        }
    return found


def counts(predictions: Predictions) -> dict[str, Any]:
    """Counts of the annotations, for ``result.json``."""
    return {name: own.counts() for name, own in predictions.queries.items()}


__all__ = [
    "Predictions",
    "Sources",
    "check",
    "clips_folder",
    "counts",
    "curve_examples",
    "describe_queries",
    "detect",
    "detections_key",
    "find_curve",
    "follow",
    "inventory",
    "localize",
    "metrics",
    "predict",
    "problems",
    "read_queries",
    "show",
    "sources",
    "strip_examples",
    "table",
    "tracker_file",
    "tracker_of",
    "weights_file",
]
