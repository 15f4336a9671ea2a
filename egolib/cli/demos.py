"""``egolib demo``: a trained model on one video; what it finds is printed and drawn.

Here, above the tasks, they may be combined: a question about a raw video first
needs video features (vlp), then grounding (nlq) or moments (mq).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from egolib import config as configs
from egolib.cli.answers import describe, with_length
from egolib.errors import EgolibError, UsageError, nearest
from egolib.io.provenance import Provenance
from egolib.io.records import check_target
from egolib.report.results import (
    Detections,
    FrameDetections,
    Moments,
    Result,
)
from egolib.runs import inputs
from egolib.runs.local import default_jobs, run_local
from egolib.runs.plan import Request, plan
from egolib.video.timing import exact_rate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from egolib.video import VideoReader

FIRST = "tiny"  # what a first model is trained on, where there is none
LEAST_SCORE = 0.3  # of boxes that are drawn and counted
ASKED = "nlq/vlp_states"  # the variant of nlq that reads what an egolib vlp model sees and reads
FOUND = "mq/features_vlp"  # the variant of mq that reads what an egolib vlp model sees
LOOKED_AT = 5.0  # frames a second that vq2d searches, as in the benchmark
MOST_CLASSES = 12  # of vod that are named
DEFAULTS = {"nlq": ASKED, "mq": FOUND}  # of the other tasks the newest training of any variant
FIGURES = (".png", ".svg", ".pdf")
SUFFIXES = {  # what each task's answer can be drawn as, the usual one first
    "vq2d": (".mp4", *FIGURES), "vod": (".mp4", *FIGURES),
    "vlp": FIGURES, "nlq": FIGURES, "mq": FIGURES,
}  # fmt: skip


def run(
    task: str,
    video: Path,
    texts: Sequence[str],
    model: str | None,
    query_frame: int | None,
    box: str | None,
    fps: float | None,
    out: Path | None,
) -> list[str]:
    """Runs one demo; returns the lines to print, the last names the drawing.

    Args:
        task: whose model is shown.
        video: any video file.
        texts: descriptions (vlp) or a question (nlq).
        model: a path, a Hub id, or ``<task>/<variant>`` of the newest run; None for the newest.
        query_frame: vq2d: the frame that shows the object.
        box: vq2d: ``x,y,w,h`` in that frame.
        fps: frames a second that are read; None for all.
        out: the video or figure to write; None beside the video's name.
    """
    ask = {"vq2d": _locate, "vlp": _similarity, "nlq": _ground, "mq": _find}
    if task not in SUFFIXES:
        raise UsageError(f"unknown task {task!r}", remedy=nearest(task, SUFFIXES))
    target = out or Path(f"{video.stem}_{task}{SUFFIXES[task][0]}")
    asked = _Question(video, texts, model, query_frame, box, fps)
    _check(task, asked, target)
    asked.model = str(_weights(task, model))
    if task == "vod":
        return _detect(asked, target)
    with _without_warnings("egolib.vlp.api"):  # unknown words are among what is told
        told, result = ask[task](asked)
    from egolib import viz

    return [*told, *describe(result), f"drawn: {viz.draw(asked.reader, result, out=target)}"]


@contextmanager
def _without_warnings(name: str) -> Iterator[None]:
    """Errors alone from a logger, for a while."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _weights(task: str, name: str | None) -> Path:
    """The model that answers; where nothing was trained and none is named, one is trained now.

    Raises:
        UsageError: a name that stands for nothing, or only runs of other names.
        EgolibError: the training failed.
    """
    wanted = name or DEFAULTS.get(task)
    try:
        return inputs.locate(wanted, task)
    except inputs.NotTrained as error:
        if name is not None:
            raise
        variant = wanted.partition("/")[2] if wanted else None
        better = f"egolib run {task}" + (f" --variant {variant}" if variant else "")
        print(f"{error.what}: a small one is trained first, on the preset {FIRST}", flush=True)
        print(f"(minutes; `{better}` trains a better one)", flush=True)
        _train(task, FIRST, variant)
        return inputs.locate(wanted, task)


def _check(task: str, asked: _Question, target: Path) -> None:
    """Refuses what can be refused before anything heavy is loaded."""
    if asked.video.is_dir():
        raise UsageError(f"{asked.video} is a folder", remedy="name a video file")
    if not asked.video.is_file():
        raise EgolibError("the video does not exist", file=asked.video)
    if task == "vq2d" and (asked.query_frame is None or asked.box is None):
        raise UsageError("vq2d needs --query-frame N and --box x,y,w,h")
    if task == "vlp" and not asked.texts:
        raise UsageError("vlp needs one or more texts")
    if task == "nlq" and len(asked.texts) != 1:
        raise UsageError("nlq needs one question", remedy="put it in quotation marks")
    if task in ("vod", "vq2d") and asked.texts:
        raise UsageError(f"{task} takes no texts", remedy="see: egolib demo --help")
    if task != "vq2d" and (asked.query_frame is not None or asked.box is not None):
        raise UsageError(f"--query-frame and --box are vq2d's, {task} takes none")
    if task not in ("vod", "vq2d") and asked.fps is not None:
        raise UsageError(f"--fps is of vod and vq2d; {task} sees windows of its own")
    if asked.fps is not None and not 0 < asked.fps < float("inf"):
        raise UsageError(f"--fps {asked.fps:g} is no rate of frames")
    if target.suffix.lower() not in SUFFIXES[task]:
        kind = target.suffix or "a file without suffix"
        raise UsageError(f"{task} is not drawn as {kind}", remedy=f"use {_listed(SUFFIXES[task])}")
    check_target(target)
    asked.look(task)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)


@dataclass
class _Question:
    """What the command line was asked."""

    video: Path
    texts: Sequence[str]
    model: str | None
    query_frame: int | None = None
    box: str | None = None
    fps: float | None = None

    def look(self, task: str) -> None:
        """Reads what a task asks about, so that what cannot be read is told at once."""
        _ = self.crop if task == "vq2d" else self.reader

    @cached_property
    def reader(self) -> VideoReader:
        """The open video."""
        from egolib.video import VideoReader

        return VideoReader(self.video)

    @cached_property
    def crop(self) -> NDArray[np.uint8]:
        """vq2d: the picture of the object, (h, w, 3).

        Raises:
            UsageError: the frame or the box lies outside the video.
        """
        number, text, frames = self.query_frame or 0, self.box or "", len(self.reader)
        try:
            x, y, width, height = (round(float(value)) for value in text.split(","))
        except (ValueError, OverflowError) as error:
            raise UsageError(f"--box {text!r} is not x,y,w,h") from error
        if not 0 <= number < frames:
            raise UsageError(f"--query-frame {number} of a video of {frames} frames")
        frame = self.reader[number]
        crop = frame[max(y, 0) : max(y + height, 0), max(x, 0) : max(x + width, 0)]
        if not crop.size:
            size = f"{frame.shape[1]}x{frame.shape[0]}"
            raise UsageError(f"--box {text} lies outside the {size} picture")
        return crop


Told = tuple[list[str], Result]  # who answered and what was assumed, and the answer


def models(preset: str, given: Mapping[str, str], runs: str = "") -> dict[str, str]:
    """A model for each task that looks at raw video: the given name, else the newest training.

    Where a task was never trained, its default variant is, on the preset.

    Args:
        preset: of a training that is started.
        given: task -> path, Hub id or ``<task>/<variant>``.
        runs: folder of the run whose models answer; that of the preset by default.

    Raises:
        EgolibError: a given name stands for nothing, or a training failed.
    """
    found = {task: str(inputs.locate(name, task)) for task, name in given.items()}
    for task in ("vq2d", "vod", "vlp"):
        if task not in found:
            found[task] = _newest(task, preset, runs)
    return found


def _newest(task: str, preset: str, run: str = "") -> str:
    """The newest training of a task by that preset; trained now where there is none."""
    folder = configs.project_root() / (run or f"runs/{preset}")
    pattern = f"{task}/*/2_train/**/model.safetensors"
    if not (found := sorted(folder.glob(pattern), key=lambda file: file.stat().st_mtime)):
        _train(task, preset)
        found = sorted(folder.glob(pattern), key=lambda file: file.stat().st_mtime)
    return str(found[-1])


def _train(task: str, preset: str, variant: str | None = None) -> None:
    """Trains a variant, the task's default by default, with all that it needs."""
    request = Request(task, "2_train", variant, preset=preset)
    if run_local(plan(request, _schema), jobs=default_jobs()).failed:
        raise EgolibError(
            "the training failed", record=task, remedy=f"egolib run {task} --preset {preset}"
        )


def ask(video: str | Path, question: str, model: str | None = None) -> tuple[list[str], Moments]:
    """Who answers a question about a video, and when it happened.

    Args:
        video: any video file.
        question: the text.
        model: of nlq, trained on features and text states of vlp; the newest by default.
    """
    told, found = _ground(_Question(Path(video), [question], model))
    assert isinstance(found, Moments)
    return told, found


def _schema(task: str) -> type:
    """The configuration dataclass of a task."""
    found: type = import_module(f"egolib.{task}.config").Config
    return found


def _locate(asked: _Question) -> Told:
    from egolib import vq2d

    locator = vq2d.load(asked.model)
    fps = asked.fps or LOOKED_AT
    told = [
        f"model: {locator.about}",
        f"looked at {fps:g} frames a second, before frame {asked.query_frame}",
    ]
    return told, locator.locate(asked.reader, asked.crop, until=asked.query_frame, fps=fps)


def _detect(asked: _Question, out: Path) -> list[str]:
    """Detections drawn as they come, so that memory does not grow with the video; a figure
    needs them all, without those too weak to be drawn."""
    from egolib import viz, vod

    reader, fps = asked.reader, asked.fps
    detector = vod.load(asked.model)
    counter = _Counter()
    found = counter(detector.detect(asked.video, fps=fps, min_score=LEAST_SCORE))
    if out.suffix.lower() == ".mp4":
        rate = reader.rate if fps is None else min(exact_rate(fps), reader.rate)
        viz.detection_stream(
            reader, found, out, detector.class_names, rate=rate, threshold=LEAST_SCORE
        )
    else:
        detections = Detections(list(found), detector.class_names)
        viz.draw(reader, detections, out=out, threshold=LEAST_SCORE)
    scored = f"{counter.boxes} boxes of score {LEAST_SCORE:g} and more"
    classes = ", ".join(detector.class_names[:MOST_CLASSES])
    more = f", … ({len(detector.class_names)})" if len(detector.class_names) > MOST_CLASSES else ""
    small = not counter.boxes and f"preset {FIRST}" in str(detector.about)
    unsure = ": a model of that preset is seldom so sure, `egolib run vod` trains a better one"
    return [
        f"model: {detector.about}",
        f"it knows: {classes}{more}",
        f"{scored} in {counter.frames} frames{unsure if small else ''}",
        f"drawn: {out}",
    ]


class _Counter:
    """Counts frames and boxes that pass by."""

    frames = boxes = 0

    def __call__(self, found: Iterable[FrameDetections]) -> Iterator[FrameDetections]:
        for frame in found:
            self.frames, self.boxes = self.frames + 1, self.boxes + len(frame.boxes_xyxy)
            yield frame


def _similarity(asked: _Question) -> Told:
    """Windows of two seconds; shorter ones below eight, so that the curve has several points."""
    from egolib import vlp

    reader = asked.reader
    window_sec = min(2.0, reader.duration_sec / 4)
    loaded = vlp.load(asked.model)
    found = loaded.similarity(
        reader, list(asked.texts), window_sec=window_sec, stride_sec=window_sec / 2
    )
    return [f"model: {loaded.about}", *_unknown(loaded, asked.texts)], found


def _unknown(language: Any, texts: Sequence[str]) -> list[str]:
    """A line about the words that a vocabulary lacks; none where it knows them all."""
    from egolib.vlp.api import unknown_words

    words = unknown_words(language.tokenizer, texts) if language.tokenizer is not None else []
    return [f"words that it does not know: {', '.join(words)}"] if words else []


def _ground(asked: _Question) -> Told:
    """A question to nlq, on features and text states of the very vlp model it was trained on."""
    from egolib import nlq
    from egolib.nlq.api import Grounder

    grounding = nlq.load(asked.model)
    if not isinstance(grounding, Grounder):
        raise UsageError(
            "VSLNet reads features that know the question, which `vlp/nlq_questions` writes",
            remedy="name a model of GroundNLQ, or run it on annotated questions",
        )
    words = _seeing(grounding.text)
    reader = asked.reader
    features = words.strided_features(reader, grounding.data.stride_frames / grounding.data.fps)
    encoder = None if grounding.text_encoder else words.text_encoder
    result = grounding.ground(
        features, asked.texts[0], text_encoder=encoder, duration_sec=reader.duration_sec
    )
    told = [f"model: {grounding.about}", f"features: {words.about}"]
    return [*told, *_unknown(words, asked.texts)], result


def _seeing(trained: Provenance | None) -> Any:
    """The vlp model whose features, or text states, a training read; the newest if unknown."""
    from egolib import vlp

    return vlp.load(inputs.of_hash(trained.model_hash, "vlp") if trained else None)


def _find(asked: _Question) -> Told:
    """Moments of the given classes, or of all, on what the vlp model of the training sees."""
    from egolib import mq

    finder = mq.load(asked.model)
    finder.numbers(asked.texts or None)  # unknown classes are told before the video is read
    reader = asked.reader
    words = _seeing(finder.made_by)
    finder.require_same_features(words.made_by)
    result = finder.find(
        words.features(reader), asked.texts or None, duration_sec=reader.duration_sec
    )
    told = [f"model: {finder.about}", f"features: {words.about}"]
    shown = with_length(result)
    if lost := len(result.labels) - len(shown.labels):
        told.append(f"left out: {lost} segments that end before they begin")
    return told, shown
