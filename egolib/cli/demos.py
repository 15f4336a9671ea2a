"""``egolib demo``: a trained model on one video; what it finds is printed and drawn.

Here, above the tasks, they may be combined: a question about a raw video first
needs video features (vlp), then grounding (nlq) or moments (mq).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from egolib import config as configs
from egolib.errors import EgolibError, UsageError
from egolib.report.results import (
    Detections,
    FrameDetections,
    LabelledMoments,
    Moments,
    ResponseTrack,
    Result,
    Similarity,
)
from egolib.runs import inputs
from egolib.runs.local import default_jobs, run_local
from egolib.runs.plan import Request, plan
from egolib.video.timing import exact_rate

LEAST_SCORE = 0.3  # of boxes that are drawn and counted
ASKED = "nlq/vlp_states"  # the variant of nlq that reads what an egolib vlp model sees and reads
FOUND = "mq/features_vlp"  # the variant of mq that reads what an egolib vlp model sees
LOOKED_AT = 5.0  # frames a second that vq2d searches, as in the benchmark
MOST_SEGMENTS = 20  # of mq that are printed
MOST_CLASSES = 12  # of vod that are named


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
    if task != "vod" and task not in ask:
        raise UsageError(f"unknown task {task!r}", remedy="vq2d, vod, vlp, nlq or mq")
    if not video.is_file():
        raise EgolibError("the video does not exist", file=video)
    if fps is not None and not 0 < fps < float("inf"):
        raise UsageError(f"--fps {fps:g} is no rate of frames")
    suffix = {"vod": ".mp4", "vq2d": ".mp4"}.get(task, ".png")
    target = out or Path(f"{video.stem}_{task}{suffix}")
    from egolib.viz.style import check_target

    check_target(target)
    if task == "vod":
        return _detect(video, model, fps, target)
    question = _Question(video, texts, model, query_frame, box, fps)
    told, result = ask[task](question)
    from egolib import viz

    return [*told, *describe(result), f"drawn: {viz.draw(video, result, out=target)}"]


@dataclass(frozen=True)
class _Question:
    """What the command line was asked."""

    video: Path
    texts: Sequence[str]
    model: str | None
    query_frame: int | None = None
    box: str | None = None
    fps: float | None = None


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
        request = Request(task, "2_train", preset=preset)
        if run_local(plan(request, _schema), jobs=default_jobs()).failed:
            raise EgolibError(
                "the training failed", record=task, remedy=f"egolib run {task} --preset {preset}"
            )
        found = sorted(folder.glob(pattern), key=lambda file: file.stat().st_mtime)
    return str(found[-1])


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


def describe(result: Result) -> list[str]:
    """A result in a few lines."""
    if isinstance(result, ResponseTrack):
        if not len(result.frames):
            return ["not found"]
        first, last = result.frames[0], result.frames[-1]
        if result.peak_frame is None:
            return [
                f"frames {first} to {last}; the similarity has no peak, so the answer starts from "
                "a fallback frame and its score means nothing"
            ]
        return [f"frames {first} to {last}, score {result.score:.3f}"]
    if isinstance(result, Similarity):
        return [
            f"{score:.3f}  {text}" for text, score in zip(result.texts, result.scores, strict=True)
        ]
    if isinstance(result, Moments):
        rows = zip(result.segments_sec, result.scores, strict=True)
        return [
            f"{start:7.2f} s to {end:7.2f} s, score {score:.3f}" for (start, end), score in rows
        ]
    if isinstance(result, LabelledMoments):
        found = zip(result.labels, result.segments_sec, result.scores, strict=True)
        return [
            f"{start:7.2f} s to {end:7.2f} s, score {score:.3f}  {label}"
            for label, (start, end), score in list(found)[:MOST_SEGMENTS]
        ]
    return [repr(result)]


def _locate(asked: _Question) -> Told:
    from egolib.video import VideoReader

    if asked.query_frame is None or asked.box is None:
        raise UsageError("vq2d needs --query-frame N and --box x,y,w,h")
    number, text = asked.query_frame, asked.box
    try:
        x, y, width, height = (round(float(value)) for value in text.split(","))
    except ValueError as error:
        raise UsageError(f"--box {text!r} is not x,y,w,h") from error
    reader = VideoReader(asked.video)
    if not 0 <= number < len(reader):
        raise UsageError(f"--query-frame {number} of a video of {len(reader)} frames")
    frame = reader[number]
    crop = frame[max(y, 0) : max(y + height, 0), max(x, 0) : max(x + width, 0)]
    if not crop.size:
        raise UsageError(f"--box {text} lies outside the {frame.shape[1]}x{frame.shape[0]} picture")
    from egolib import vq2d

    locator = vq2d.load(asked.model)
    fps = asked.fps or LOOKED_AT
    told = [f"model: {locator.about}", f"looked at {fps:g} frames a second, before frame {number}"]
    return told, locator.locate(reader, crop, until=number, fps=fps)


def _detect(video: Path, model: str | None, fps: float | None, out: Path) -> list[str]:
    """Detections drawn as they come, so that memory does not grow with the video; a figure
    needs them all, without those too weak to be drawn."""
    from egolib import viz, vod
    from egolib.video import VideoReader

    detector = vod.load(model)
    counter = _Counter()
    found = counter(detector.detect(video, fps=fps, min_score=LEAST_SCORE))
    if out.suffix.lower() == ".mp4":
        reader = VideoReader(video)
        rate = reader.rate if fps is None else min(exact_rate(fps), reader.rate)
        viz.detection_stream(
            reader, found, out, detector.class_names, rate=rate, threshold=LEAST_SCORE
        )
    else:
        detections = Detections(list(found), detector.class_names)
        viz.draw(video, detections, out=out, threshold=LEAST_SCORE)
    scored = f"{counter.boxes} boxes of score {LEAST_SCORE:g} and more"
    classes = ", ".join(detector.class_names[:MOST_CLASSES])
    more = f", … ({len(detector.class_names)})" if len(detector.class_names) > MOST_CLASSES else ""
    return [
        f"model: {detector.about}",
        f"it knows: {classes}{more}",
        f"{scored} in {counter.frames} frames",
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
    if not asked.texts:
        raise UsageError("vlp needs one or more texts")
    from egolib import vlp
    from egolib.video import VideoReader

    reader = VideoReader(asked.video)
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
    if len(asked.texts) != 1:
        raise UsageError("nlq needs one question")
    from egolib import nlq, vlp
    from egolib.nlq.api import Grounder
    from egolib.video import VideoReader

    grounding = nlq.load(asked.model or ASKED)
    if not isinstance(grounding, Grounder):
        raise UsageError(
            "VSLNet reads features that know the question, which `vlp/nlq_questions` writes",
            remedy="name a model of GroundNLQ, or run it on annotated questions",
        )
    source = inputs.of_hash(grounding.text.model_hash, "vlp") if grounding.text else None
    words = vlp.load(source)
    reader = VideoReader(asked.video)
    features = words.strided_features(reader, grounding.data.stride_frames / grounding.data.fps)
    encoder = None if grounding.text_encoder else words.text_encoder
    result = grounding.ground(
        features, asked.texts[0], text_encoder=encoder, duration_sec=reader.duration_sec
    )
    told = [f"model: {grounding.about}", f"features: {words.about}"]
    return [*told, *_unknown(words, asked.texts)], result


def _find(asked: _Question) -> Told:
    """Moments of the given classes, or of all, on what the newest vlp model sees."""
    from egolib import mq, vlp
    from egolib.video import VideoReader

    finder = mq.load(asked.model or FOUND)
    reader = VideoReader(asked.video)
    words = vlp.load(None)
    result = finder.find(
        words.features(reader), asked.texts or None, duration_sec=reader.duration_sec
    )
    return [f"model: {finder.about}", f"features: {words.about}"], result
