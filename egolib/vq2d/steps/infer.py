"""``3_infer``: step 1 (detection caches) and step 2 (answers) for whole splits.

Step 1 loads the detector, step 2 the tracker; each can be left out where its files are
there. Both go on where an interrupted run stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from egolib.errors import EgolibError
from egolib.io.records import Skipped, file_sha256
from egolib.runs.step import Step
from egolib.video import VideoReader
from egolib.vq2d.api import kys_beside, read_detector, read_kys
from egolib.vq2d.config import Config, LocalizeConfig
from egolib.vq2d.data.annotations import Annotations
from egolib.vq2d.formats.submission import write_submission
from egolib.vq2d.localization import answers as answer
from egolib.vq2d.localization.answers import Answers, Work
from egolib.vq2d.localization.confidence import Calibration
from egolib.vq2d.localization.detect import Detector, extract
from egolib.vq2d.localization.localize import Tracker
from egolib.vq2d.localization.replay import DETECTIONS, TRACKS, InferenceRecord
from egolib.vq2d.localization.settings import further
from egolib.vq2d.steps.data import clips_folder, read_splits
from egolib.vq2d.tracking.trackers import make_tracker

SPLITS = ("val", "test")


def splits_to_answer(step: Step[Config]) -> dict[str, Annotations]:
    """The annotations of val, and of test where they are."""
    return {name: own for name, own in read_splits(step).items() if name in SPLITS}


# ---------------------------------------------------------------------------- weights


def detector_folder(step: Step[Config]) -> Path:
    """The detector's folder of a training of ours, or what the input ``model`` itself is."""
    given = step.inputs["model"]
    return given / "detector" if (given / "detector").is_dir() else given


def tracker_file(step: Step[Config]) -> Path:
    """The tracker's weights: named by the configuration, trained with the detector, or beside it.

    Raises:
        EgolibError: there are none.
    """
    named = step.config.tracker_train.weights
    if named:
        return step.data_root / named
    folder = detector_folder(step)
    found = kys_beside(folder if folder.is_dir() else folder.parent)
    if found is None:
        raise EgolibError(
            "no weights of a tracker",
            file=folder,
            remedy="put kys.pth beside the model, name it in tracker_train.weights, "
            "or set localize.tracker to particle or none",
        )
    return found


def device_of(wanted: str) -> str:
    """The device that ``auto`` stands for."""
    if wanted != "auto":
        return wanted
    return "cuda" if torch.cuda.is_available() else "cpu"


# ----------------------------------------------------------------------------- step 1


def detect(step: Step[Config]) -> tuple[Path, Skipped]:
    """Step 1: the folder of the detection caches of val and test, and what was passed over.

    Where the configuration names a cache, that is taken and no detector is loaded.
    """
    config = step.config
    if config.detect.cache:
        folder = step.data_root / config.detect.cache
        if not folder.is_dir():
            raise EgolibError("no such folder of detection caches", file=folder)
        return folder, Skipped()
    model, notes = read_detector(detector_folder(step))
    print(*notes, sep="\n", end="\n" if notes else "")
    model = model.to(device_of(config.detect.device))
    provenance = {"model_hash": _hash_of(detector_folder(step)), "variant": step.variant}
    clips = {u: q for own in splits_to_answer(step).values() for u, q in own.by_clip().items()}
    folder = step.out / DETECTIONS / provenance["model_hash"]
    skipped = extract(
        clips,
        partial(_open_clip, clips_folder(step)),
        Detector(model, config.detect.precision),
        folder,
        config.detect,
        provenance,
    )
    return folder, skipped


def _open_clip(folder: Path, uid: str) -> VideoReader:
    return VideoReader(folder / f"{uid}.mp4")


def _hash_of(folder: Path) -> str:
    names = ("model.safetensors", "model.pth")
    files = [folder] if folder.is_file() else [folder / n for n in names if (folder / n).is_file()]
    return file_sha256(files[0])[:12]


# ----------------------------------------------------------------------------- step 2


def follow(step: Step[Config], detections: Path) -> dict[str, Answers]:
    """Step 2: answers of val and test, written as submission files.

    The tracks that other settings of the sweep start are followed too and remembered, so
    that ``4_evaluate`` needs no network.
    """
    work, source = make_work(step, detections)
    devices, processes = places(step)
    answers = {}
    for split, own in splits_to_answer(step).items():
        todo = answer.jobs(own.by_clip(), clips_folder(step))
        answers[split] = answer.answer_all(todo, work, source, processes=processes, devices=devices)
        write_submission(step.out / f"{split}.json", own, answers[split].tracks)
    skipped = {k: why for each in answers.values() for k, why in each.skipped.reasons.items()}
    InferenceRecord(str(detections), work.tracker_name, _tracker_path(step), skipped).write(
        step.out
    )
    return answers


def make_work(step: Step[Config], detections: Path) -> tuple[Work, Callable[[str], Tracker | None]]:
    """What all queries share, and what makes the tracker in each process."""
    cfg = step.config.localize
    path = _tracker_path(step)
    calibration = Calibration.read(step.data_root / cfg.calibration) if cfg.calibration else None
    name = file_sha256(Path(path))[:12] if path else ""
    also = further(cfg, step.config.sweep)
    work = Work(cfg, detections, step.out / TRACKS, name, calibration, also)
    detector = detector_folder(step) if _needs_detector(cfg) else None
    return work, partial(make_follower, cfg, path, detector)


def places(step: Step[Config]) -> tuple[list[str], int]:
    """Devices, and processes on each: one on a CPU, where other chains run side by side."""
    if device_of(step.config.detect.device) == "cpu":
        return ["cpu"], 1
    count = max(torch.cuda.device_count(), 1)
    return [f"cuda:{i}" for i in range(count)], step.config.localize.processes_per_gpu


def make_follower(cfg: LocalizeConfig, path: str, detector: Path | None, device: str):
    """The tracker of a configuration on a device."""
    network = read_kys(path).to(device) if path else None
    features = None if detector is None else read_detector(detector)[0].backbone.to(device)
    return make_tracker(cfg, kys=network, features=features)


def _tracker_path(step: Step[Config]) -> str:
    return str(tracker_file(step)) if step.config.localize.tracker == "kys" else ""


def _needs_detector(cfg: LocalizeConfig) -> bool:
    """The particle filter's deep similarity takes the detector's backbone."""
    return cfg.tracker == "particle" and cfg.particle.similarity == "deep"
