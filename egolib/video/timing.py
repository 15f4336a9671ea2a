"""Time and frame arithmetic that is exact for 29.97-type rates.

Three countings meet in prepared data: frames of the source *video* (say 30000/1001
per second), frames of the *clip* cut from it (say 5 per second) and *seconds*
since the first video frame. Rates are ``Fraction``, so that nothing drifts in an
hour of 29.97; floats are welcome at the door and are snapped by ``exact_rate``.

    video frame  <-- to_seconds / to_frame -->  seconds
    clip frame   --> clip_to_video --> video frame   (video_to_clip goes back)
    seconds      --> in_chunk --> number of a chunk, seconds inside it

These count at a constant rate; ``VideoReader.frame_at`` and ``frames_between`` ask the
times of the frames themselves, which variable rates need.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from math import ceil, floor, isfinite
from pathlib import Path
from typing import Literal

from egolib.errors import EgolibError

Rate = float | int | Fraction
Rounding = Literal["floor", "nearest", "ceil"]

#: Times written as decimal numbers miss a frame's start by rounding; a microsecond forgives it.
TOLERANCE_SEC = Fraction(1, 1_000_000)
#: Relative distance within which a stated rate is taken to be a standard one.
_SNAP = Fraction(1, 20_000)


def exact_rate(fps: Rate) -> Fraction:
    """Frames per second as an exact fraction.

    Whole numbers and their 1000/1001 (29.97 = 30000/1001, 23.976 = 24000/1001)
    are recovered from floats and from the approximations that containers store
    (19001/634); other rates are kept as they are.

    >>> exact_rate(29.97)
    Fraction(30000, 1001)
    >>> exact_rate(12.5)
    Fraction(25, 2)

    Raises:
        EgolibError: the rate is not positive.
    """
    value = Fraction(fps)
    if value <= 0:
        raise EgolibError(f"a frame rate must be positive, not {fps}")
    whole = round(value)
    broadcast = Fraction(round(value * 1001 / 1000) * 1000, 1001)
    for standard in (Fraction(whole), broadcast):
        if standard and abs(value - standard) <= standard * _SNAP:
            return standard
    return value.limit_denominator(100_000)


def to_seconds(frame: int, fps: Rate) -> Fraction:
    """The time at which a frame of a constant-rate video is first shown, exactly.

    >>> float(to_seconds(1800, 29.97))
    60.06
    """
    return Fraction(frame) / exact_rate(fps)


def to_frame(sec: float | Fraction, fps: Rate, rounding: Rounding = "floor") -> int:
    """The frame number of a time in a constant-rate video.

    Args:
        sec: seconds since the first frame.
        fps: frames per second.
        rounding: ``floor`` is the frame on screen at that time, ``nearest`` the
            frame whose start is closest (a tie goes to the later one), ``ceil``
            the first frame that starts no earlier. A time within a microsecond of
            a frame's start counts as that start.

    >>> to_frame(60.06, 29.97), to_frame(60.05, 29.97), to_frame(60.05, 29.97, "ceil")
    (1800, 1799, 1800)
    """
    rate = exact_rate(fps)
    position, slack = Fraction(sec) * rate, TOLERANCE_SEC * rate
    if rounding == "floor":
        return floor(position + slack)
    if rounding == "ceil":
        return ceil(position - slack)
    if rounding == "nearest":
        return floor(position + Fraction(1, 2))
    raise EgolibError(f"rounding is floor, nearest or ceil, not {rounding!r}")


def frame_step(
    video_fps: Rate, clip_fps: Rate, rule: Literal["official", "nearest"] = "official"
) -> int:
    """How many video frames one clip frame advances.

    Official behaviour: both rates are truncated to whole numbers and must divide
    (VQ2D's clip extraction), so 29.97 becomes 29 and fails at 5 per second. The
    rule ``nearest`` takes the closest whole ratio, which may be off by 0.2 %.

    Args:
        video_fps: rate of the video.
        clip_fps: rate of the clip cut from it.
        rule: ``official`` or ``nearest``.

    Raises:
        EgolibError: the rates do not divide.
    """
    if rule not in ("official", "nearest"):
        raise EgolibError(f"the rule is official or nearest, not {rule!r}")
    video, clip = Fraction(video_fps), Fraction(clip_fps)
    if rule == "official":
        video, clip = Fraction(floor(video)), Fraction(floor(clip))
    step = round(video / clip) if clip else 0
    if step < 1 or abs(step * clip - video) > (0 if rule == "official" else video / 500):
        raise EgolibError(
            f"{float(video_fps):g} frames per second do not divide into {float(clip_fps):g}",
            remedy="choose a clip rate that divides the video's, or rule='nearest' for 29.97",
        )
    return step


def clip_to_video(clip_frame: int, start_frame: int, step: int) -> int:
    """The video frame that a clip frame was cut from: ``start_frame + clip_frame * step``.

    Args:
        clip_frame: counted from 0 in the clip.
        start_frame: the video frame of the clip's first frame.
        step: video frames from one clip frame to the next.
    """
    return start_frame + clip_frame * step


def video_to_clip(
    video_frame: int, start_frame: int, step: int, rounding: Rounding = "nearest"
) -> int:
    """The clip frame closest to (``nearest``), shown at (``floor``) or after (``ceil``) a frame.

    Args:
        video_frame: counted from 0 in the video.
        start_frame: the video frame of the clip's first frame.
        step: video frames from one clip frame to the next.
        rounding: see ``to_frame``.

    >>> video_to_clip(907, start_frame=900, step=6)
    1
    """
    return to_frame(Fraction(video_frame - start_frame, step), 1, rounding)


def clip_frames(start_frame: int, end_frame: int, step: int) -> range:
    """The video frames of a clip whose last frame may still be shown (end inclusive).

    Args:
        start_frame: first video frame of the clip.
        end_frame: last video frame of the clip.
        step: video frames from one clip frame to the next.

    >>> list(clip_frames(10, 22, 6))
    [10, 16, 22]
    """
    return range(start_frame, end_frame + 1, step)


def cut_interval(
    start_sec: float,
    end_sec: float,
    duration_sec: float,
    *,
    record: object = None,
    file: str | Path | None = None,
) -> tuple[float, float]:
    """A stretch of a video, cut where the video starts and ends.

    >>> cut_interval(8.0, 12.0, 10.0)
    (8.0, 10.0)

    Args:
        start_sec: of the stretch.
        end_sec: of the stretch.
        duration_sec: of the video.
        record: the clip or annotation that wants the stretch, for messages.
        file: where it is written, for messages.

    Raises:
        EgolibError: the times are not finite, the stretch stops before it starts, or no
            part of it lies in the video.
    """
    place = f"the stretch from {start_sec:g} s to {end_sec:g} s"
    if not (isfinite(start_sec) and isfinite(end_sec)):
        raise EgolibError(f"{place} has no finite times", file=file, record=record)
    if end_sec < start_sec:
        raise EgolibError(f"{place} stops before it starts", file=file, record=record)
    if end_sec < 0 or start_sec >= duration_sec:
        raise EgolibError(
            f"{place} lies outside the video, which lasts {duration_sec:g} s",
            file=file,
            record=record,
            remedy="compare the video with the one that was annotated, and the unit of times",
        )
    return max(float(start_sec), 0.0), min(float(end_sec), float(duration_sec))


def stretch_frames(
    start_sec: float,
    end_sec: float,
    count: int,
    fps: Rate,
    *,
    record: object = None,
    file: str | Path | None = None,
) -> range:
    """The frames on screen in a stretch of a constant-rate video; at least one.

    >>> stretch_frames(1.0, 2.0, count=40, fps=25)
    range(25, 40)

    Args:
        start_sec: of the stretch.
        end_sec: of the stretch; the frame shown exactly then is left out.
        count: frames of the video; a stretch that goes past them is cut.
        fps: its rate.
        record: for messages; see ``cut_interval``.
        file: for messages; see ``cut_interval``.

    Raises:
        EgolibError: as ``cut_interval``.
    """
    duration = float(to_seconds(count, fps))
    start, end = cut_interval(start_sec, end_sec, duration, record=record, file=file)
    first = min(to_frame(start, fps), count - 1)
    return range(first, max(min(to_frame(end, fps, "ceil"), count), first + 1))


def same_time(frame: int, fps: Rate, other_fps: Rate, count: int | None = None) -> int:
    """The frame of a video of another rate that is on screen when a frame starts.

    >>> same_time(60, fps=30, other_fps=25)
    50

    Args:
        frame: of a video of ``fps`` frames a second.
        fps: its rate, for instance the one that a recipe assumes.
        other_fps: the rate of the video that there is.
        count: its number of frames; frames after the last one give the last one.
    """
    found = to_frame(to_seconds(frame, fps), other_fps)
    return found if count is None else min(found, count - 1)


def in_chunk(sec: float | Fraction, chunk_sec: Rate) -> tuple[int, Fraction]:
    """Number of the chunk that shows a time of the whole video, and the time inside it.

    >>> in_chunk(125, 60)
    (2, Fraction(5, 1))
    """
    position = max(Fraction(sec), Fraction(0))
    number = floor((position + TOLERANCE_SEC) / Fraction(chunk_sec))
    return number, max(position - number * Fraction(chunk_sec), Fraction(0))


def check_chunks(
    durations_sec: Sequence[float],
    chunk_sec: float,
    *,
    first: int = 0,
    file: str | Path | None = None,
) -> None:
    """Checks that a video was cut into chunks of that length.

    Args:
        durations_sec: of its chunks, in order.
        chunk_sec: the length that the configuration states.
        first: number of the first of them.
        file: the folder of chunks, for messages.

    Raises:
        EgolibError: some chunk is longer, or one before the last is shorter (by more than
            half a second: cuts are made at frames).
    """
    for number, length in enumerate(durations_sec):
        last = number == len(durations_sec) - 1
        if length > chunk_sec + 0.5 or (length < chunk_sec - 0.5 and not last):
            name = f"chunk {first + number}"
            raise EgolibError(
                f"{name} lasts {length:.1f} s, chunks of {chunk_sec:g} s are expected",
                file=file,
                remedy="state the length that the chunks have: data.chunk_sec",
            )


def chunks(frame_count: int, fps: Rate, chunk_sec: Rate) -> list[range]:
    """The frames of consecutive chunks: chunk i holds the frames that start in its seconds.

    No chunk is empty: a length that is a multiple of ``chunk_sec`` has no chunk
    after the last full one.

    Args:
        frame_count: of the video.
        fps: its rate.
        chunk_sec: length of a chunk.

    >>> [len(c) for c in chunks(25, fps=10, chunk_sec=1)]
    [10, 10, 5]
    """
    per_chunk, starts = Fraction(chunk_sec), [0]
    while starts[-1] < frame_count:
        starts.append(min(to_frame(per_chunk * len(starts), fps, "ceil"), frame_count))
    return [range(first, end) for first, end in pairwise(starts)]
