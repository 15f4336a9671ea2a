"""``egolib demo``: a trained model on one video; what it finds is printed and drawn.

Here, above the tasks, they may be combined: a question about a raw video first
needs video features (vlp), then grounding (nlq).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from egolib.errors import EgolibError, UsageError
from egolib.report.results import (
    Detections,
    FrameDetections,
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
GROUNDING = "features_vlp"  # the variant of nlq that reads what an egolib vlp model sees


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
    from egolib import viz

    if not video.is_file():
        raise EgolibError("the video does not exist", file=video)
    result: Result
    if task == "vod":
        return _detect(video, model, fps, out or Path(f"{video.stem}_vod.mp4"))
    if task == "vq2d":
        result = _locate(video, model, query_frame, box)
    elif task == "vlp":
        result = _similarity(video, texts, model)
    elif task == "nlq":
        result = _ground(video, texts, model)
    else:
        raise UsageError(f"unknown task {task!r}", remedy="vq2d, vod, vlp or nlq")
    moving = isinstance(result, ResponseTrack)
    target = out or Path(f"{video.stem}_{task}{'.mp4' if moving else '.png'}")
    return [*describe(result), f"drawn: {viz.draw(video, result, out=target)}"]


def models(preset: str, given: Mapping[str, str]) -> dict[str, str]:
    """A model for each task that looks at raw video: the given name, else the newest training.

    Where a task was never trained, its default variant is, on the preset.

    Args:
        preset: of a training that is started.
        given: task -> path, Hub id or ``<task>/<variant>``.

    Raises:
        EgolibError: a given name stands for nothing, or a training failed.
    """
    found = {task: str(inputs.locate(name, task)) for task, name in given.items()}
    for task in ("vq2d", "vod", "vlp"):
        if task not in found:
            found[task] = _newest(task, preset)
    return found


def _newest(task: str, preset: str) -> str:
    try:
        return str(inputs.locate(None, task))
    except UsageError:
        request = Request(task, "2_train", preset=preset)
        if run_local(plan(request, _schema), jobs=default_jobs()).failed:
            raise EgolibError(
                "the training failed", record=task, remedy=f"egolib run {task} --preset {preset}"
            ) from None
        return str(inputs.locate(None, task))


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
    return [repr(result)]


def _locate(
    video: Path, model: str | None, query_frame: int | None, box: str | None
) -> ResponseTrack:
    from egolib import vq2d
    from egolib.video import VideoReader

    if query_frame is None or box is None:
        raise UsageError("vq2d needs --query-frame N and --box x,y,w,h")
    try:
        x, y, width, height = (round(float(value)) for value in box.split(","))
    except ValueError as error:
        raise UsageError(f"--box {box!r} is not x,y,w,h") from error
    reader = VideoReader(video)
    if not 0 <= query_frame < len(reader):
        raise UsageError(f"--query-frame {query_frame} of a video of {len(reader)} frames")
    frame = reader[query_frame]
    crop = frame[max(y, 0) : y + height, max(x, 0) : x + width]
    if not crop.size:
        raise UsageError(f"--box {box} lies outside the {frame.shape[1]}x{frame.shape[0]} picture")
    return vq2d.load(model).locate(video, crop, until=query_frame)


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
    return [f"{scored} in {counter.frames} frames", f"drawn: {out}"]


class _Counter:
    """Counts frames and boxes that pass by."""

    frames = boxes = 0

    def __call__(self, found: Iterable[FrameDetections]) -> Iterator[FrameDetections]:
        for frame in found:
            self.frames, self.boxes = self.frames + 1, self.boxes + len(frame.boxes_xyxy)
            yield frame


def _similarity(video: Path, texts: Sequence[str], model: str | None) -> Similarity:
    """Windows of two seconds; shorter ones below eight, so that the curve has several points."""
    from egolib import vlp
    from egolib.video import VideoReader

    if not texts:
        raise UsageError("vlp needs one or more texts")
    reader = VideoReader(video)
    window_sec = min(2.0, len(reader) / reader.fps / 4)
    loaded = vlp.load(model)
    return loaded.similarity(reader, texts, window_sec=window_sec, stride_sec=window_sec / 2)


def _ground(video: Path, texts: Sequence[str], model: str | None) -> Moments:
    from egolib import nlq, vlp

    if len(texts) != 1:
        raise UsageError("nlq needs one question")
    grounding: Any = nlq.load(model or f"nlq/{GROUNDING}")
    features: Any = vlp.load(None)
    result: Moments = grounding.ground(
        features.features(video), texts[0], text_encoder=features.tokens
    )
    return result
