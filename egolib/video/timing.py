"""Time and frame arithmetic that is exact for 29.97-type rates.

Three countings meet in prepared data: frames of the source *video* (say 30000/1001
per second), frames of the *clip* cut from it (say 5 per second) and *seconds*
since the first video frame. Rates are ``Fraction``, so that nothing drifts in an
hour of 29.97; floats are welcome at the door and are snapped by ``exact_rate``.

    video frame  <-- to_seconds / to_frame -->  seconds
    clip frame   --> clip_to_video --> video frame   (video_to_clip goes back)
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from math import ceil, floor
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
        video_fps: of the video.
        clip_fps: of the clip.
        rule: how a ratio that is no whole number is rounded.

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
        clip_frame: from 0.
        start_frame: the video frame of clip frame 0.
        step: video frames from one clip frame to the next.
    """
    return start_frame + clip_frame * step


def video_to_clip(
    video_frame: int, start_frame: int, step: int, rounding: Rounding = "nearest"
) -> int:
    """The clip frame closest to (``nearest``), shown at (``floor``) or after (``ceil``) a frame.

    Args:
        video_frame: from 0.
        start_frame: the video frame of clip frame 0.
        step: video frames from one clip frame to the next.
        rounding: ``nearest``, ``floor`` or ``ceil``.

    >>> video_to_clip(907, start_frame=900, step=6)
    1
    """
    return to_frame(Fraction(video_frame - start_frame, step), 1, rounding)


def clip_frames(start_frame: int, end_frame: int, step: int) -> range:
    """The video frames of a clip whose last frame may still be shown (end inclusive).

    Args:
        start_frame: the first.
        end_frame: the last that may be shown.
        step: video frames from one clip frame to the next.

    >>> list(clip_frames(10, 22, 6))
    [10, 16, 22]
    """
    return range(start_frame, end_frame + 1, step)


def chunks(frame_count: int, fps: Rate, chunk_sec: Rate) -> list[range]:
    """The frames of consecutive chunks: chunk i holds the frames that start in its seconds.

    No chunk is empty: a length that is a multiple of ``chunk_sec`` has no chunk
    after the last full one.

    Args:
        frame_count: of the video.
        fps: frames per second.
        chunk_sec: length of a chunk.

    >>> [len(c) for c in chunks(25, fps=10, chunk_sec=1)]
    [10, 10, 5]
    """
    per_chunk, starts = Fraction(chunk_sec), [0]
    while starts[-1] < frame_count:
        starts.append(min(to_frame(per_chunk * len(starts), fps, "ceil"), frame_count))
    return [range(first, end) for first, end in pairwise(starts)]
