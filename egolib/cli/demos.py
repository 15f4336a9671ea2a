"""``egolib demo``: a trained model on one video; what it finds is printed and drawn.

Here, above the tasks, they may be combined: a question about a raw video first
needs video features (vlp), then grounding (nlq).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from egolib.errors import EgolibError, UsageError
from egolib.results import Detections, Moments, ResponseTrack, Result, Similarity


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
    """Runs one demo; returns the lines to print, the last names the drawing."""
    from egolib import viz

    if not video.is_file():
        raise EgolibError("the video does not exist", file=video)
    result: Result
    if task == "vq2d":
        result = _locate(video, model, query_frame, box)
    elif task == "vod":
        result = _detect(video, model, fps)
    elif task == "vlp":
        result = _similarity(video, texts, model)
    elif task == "nlq":
        result = _ground(video, texts, model)
    else:
        raise UsageError(f"unknown task {task!r}", remedy="vq2d, vod, vlp or nlq")
    moving = isinstance(result, ResponseTrack | Detections)
    target = out or Path(f"{video.stem}_{task}{'.mp4' if moving else '.png'}")
    return [*describe(result), f"drawn: {viz.draw(video, result, out=target)}"]


def describe(result: Result) -> list[str]:
    """A result in a few lines."""
    if isinstance(result, ResponseTrack):
        if not len(result.frames):
            return ["not found"]
        first, last = result.frames[0], result.frames[-1]
        return [f"frames {first} to {last}, score {result.score:.3f}"]
    if isinstance(result, Similarity):
        return [f"{score:.3f}  {text}" for text, score in zip(result.texts, result.scores)]
    if isinstance(result, Moments):
        rows = zip(result.segments_sec, result.scores)
        return [
            f"{start:7.2f} s to {end:7.2f} s, score {score:.3f}" for (start, end), score in rows
        ]
    if isinstance(result, Detections):
        boxes = sum(len(frame.boxes_xyxy) for frame in result.frames)
        return [f"{boxes} boxes in {len(result.frames)} frames"]
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
    frame = VideoReader(video)[query_frame]
    crop = frame[max(y, 0) : y + height, max(x, 0) : x + width]
    if not crop.size:
        raise UsageError(f"--box {box} lies outside the {frame.shape[1]}x{frame.shape[0]} picture")
    return vq2d.load(model).locate(video, crop, until=query_frame)


def _detect(video: Path, model: str | None, fps: float | None) -> Detections:
    from egolib import vod

    detector = vod.load(model)
    return Detections(list(detector.detect(video, fps=fps)), detector.class_names)


def _similarity(video: Path, texts: Sequence[str], model: str | None) -> Similarity:
    from egolib import vlp

    if not texts:
        raise UsageError("vlp needs one or more texts")
    return vlp.load(model).similarity(video, list(texts))


def _ground(video: Path, texts: Sequence[str], model: str | None) -> Moments:
    from egolib import nlq, vlp

    if len(texts) != 1:
        raise UsageError("nlq needs one question")
    grounding: Any = nlq.load(model)
    features: Any = vlp.load(None)
    return grounding.ground(features.features(video), texts[0], text_encoder=features.tokens)
