from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egolib.errors import EgolibError
from egolib.video.timing import (
    check_chunks,
    chunks,
    clip_frames,
    clip_to_video,
    exact_rate,
    frame_step,
    in_chunk,
    same_time,
    stretch_frames,
    to_frame,
    to_seconds,
    video_to_clip,
)

NTSC = Fraction(30000, 1001)
RATES = [
    Fraction(5),
    Fraction(25),
    Fraction(30),
    NTSC,
    Fraction(24000, 1001),
    Fraction(60000, 1001),
]


@pytest.mark.parametrize(
    ("stated", "rate"),
    [
        (30, 30),
        (29.97, NTSC),
        (29.97002997, NTSC),
        (Fraction(19001, 634), NTSC),
        (59.94, Fraction(60000, 1001)),
        (23.976, Fraction(24000, 1001)),
        (12.5, Fraction(25, 2)),
        (29.9, Fraction(299, 10)),
        (1.87, Fraction(187, 100)),
        (30000 / 1001, NTSC),
    ],
)
def test_exact_rate(stated: float, rate: Fraction) -> None:
    assert exact_rate(stated) == rate


@pytest.mark.parametrize("fps", [0, -30])
def test_a_rate_is_positive(fps: int) -> None:
    with pytest.raises(EgolibError, match="positive"):
        exact_rate(fps)


@pytest.mark.parametrize(
    ("sec", "floor", "nearest", "ceil"),
    [
        (0.0, 0, 0, 0),
        (0.0166, 0, 0, 1),
        (0.0168, 0, 1, 1),
        (1 / 29.97, 1, 1, 1),
        (60.06, 1800, 1800, 1800),
        (60.05, 1799, 1800, 1800),
        (3600.0, 107892, 107892, 107893),
    ],
)
def test_seconds_to_frames_at_29_97(sec: float, floor: int, nearest: int, ceil: int) -> None:
    assert to_frame(sec, 29.97) == floor
    assert to_frame(sec, 29.97, "nearest") == nearest
    assert to_frame(sec, 29.97, "ceil") == ceil


@given(st.integers(0, 10**6), st.sampled_from(RATES), st.sampled_from(["floor", "nearest", "ceil"]))
def test_a_frames_own_time_leads_back_to_it(frame: int, rate: Fraction, rounding: str) -> None:
    seconds = to_seconds(frame, rate)
    for written in (seconds, float(seconds), round(float(seconds), 6)):
        assert to_frame(written, rate, rounding) == frame  # type: ignore[arg-type]


def test_rounding_names_are_checked() -> None:
    with pytest.raises(EgolibError, match="rounding"):
        to_frame(1.0, 30, "down")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("video", "clip", "official", "nearest"),
    [(30, 5, 6, 6), (NTSC, 5, None, 6), (29.97, 5, None, 6), (60, 5, 12, 12), (30, 7, None, None),
     (25, 5, 5, 5), (30, 5.0, 6, 6), (30, 0.5, None, 60),
     (29.9, 5, None, None)],
)  # fmt: skip
def test_frame_step(video: float, clip: float, official: int | None, nearest: int | None) -> None:
    for rule, expected in (("official", official), ("nearest", nearest)):
        if expected is None:
            with pytest.raises(EgolibError, match="divide"):
                frame_step(video, clip, rule)  # type: ignore[arg-type]
        else:
            assert frame_step(video, clip, rule) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("start", "end", "step", "frames"),
    [(0, 0, 6, [0]), (10, 22, 6, [10, 16, 22]), (10, 21, 6, [10, 16]), (5, 4, 6, [])],
)
def test_clip_frames_include_the_end(start: int, end: int, step: int, frames: list[int]) -> None:
    assert list(clip_frames(start, end, step)) == frames


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(1, 60))
def test_clip_frames_and_video_frames_are_inverse(clip: int, start: int, step: int) -> None:
    video = clip_to_video(clip, start, step)
    assert {video_to_clip(video, start, step, r) for r in ("floor", "nearest", "ceil")} == {clip}
    assert video_to_clip(video + step - 1, start, step, "floor") == clip
    assert clip_frames(start, video, step)[-1] == video


@pytest.mark.parametrize(
    ("count", "fps", "seconds", "lengths"),
    [
        (0, 30, 600, []),
        (1, 30, 600, [1]),
        (18000, 30, 600, [18000]),
        (18001, 30, 600, [18000, 1]),
        (36000, 30, 600, [18000, 18000]),
        (36000, NTSC, 600, [17983, 17982, 35]),
    ],
)
def test_chunks(count: int, fps: float, seconds: int, lengths: list[int]) -> None:
    parts = chunks(count, fps, seconds)
    assert [len(part) for part in parts] == lengths
    assert [frame for part in parts for frame in part] == list(range(count))
    for number, part in enumerate(parts):
        assert number * seconds <= to_seconds(part[0], fps)
        assert to_seconds(part[-1], fps) < (number + 1) * seconds


@pytest.mark.parametrize("seconds", [15, 60, 600])
@pytest.mark.parametrize("fps", [25, 30, 60, NTSC])
def test_chunks_of_any_length_hold_what_in_chunk_says(seconds: int, fps: Fraction | int) -> None:
    count = int(2.4 * seconds * fps)
    parts = chunks(count, fps, seconds)
    check_chunks([float(len(part) / Fraction(fps)) for part in parts], seconds)
    for frame in (0, 7, len(parts[0]) - 1, len(parts[0]), count - 1):
        number, inside = in_chunk(to_seconds(frame, fps), seconds)
        assert frame in parts[number]
        offset = to_seconds(parts[number][0], fps) - number * seconds  # < a frame
        assert to_frame(inside - offset, fps) == frame - parts[number][0]


def test_chunks_of_another_length_than_stated_are_noticed() -> None:
    check_chunks([600.0, 600.0, 12.0], 600)
    check_chunks([], 600)
    for lengths in ([15.0, 15.0, 4.0], [60.0] * 3, [1200.0]):
        with pytest.raises(EgolibError, match=r"chunk 0 lasts .*chunks of 600 s.*\n.*chunk_sec"):
            check_chunks(lengths, 600)


@pytest.mark.parametrize(
    ("start", "end", "count", "fps", "frames"),
    [
        (1.0, 2.0, 100, 25, range(25, 50)),
        (1.0, 2.0, 100, 60, range(60, 100)),
        (1.0, 1.0, 100, 25, range(25, 26)),
        (0.99, 1.01, 100, 25, range(24, 26)),
        (-3.0, 1.0, 100, 25, range(25)),
        (3.5, 99.0, 100, 25, range(87, 100)),
    ],
)
def test_stretches_are_cut_at_the_end_of_the_video(
    start: float, end: float, count: int, fps: int, frames: range
) -> None:
    assert stretch_frames(start, end, count, fps) == frames


@pytest.mark.parametrize(
    ("start", "end", "reason"),
    [
        (2.0, 1.0, "stops before it starts"),
        (4.0, 5.0, "lies outside the video, which lasts 4 s"),
        (-2.0, -1.0, "outside"),
        (float("nan"), 1.0, "no finite times"),
        (0.0, float("inf"), "no finite times"),
    ],
)
def test_impossible_stretches_name_the_clip(start: float, end: float, reason: str) -> None:
    with pytest.raises(EgolibError, match=f"clips.csv, record clip 7: .*{reason}"):
        stretch_frames(start, end, 100, 25, record="clip 7", file="clips.csv")


@given(st.integers(0, 10**5), st.sampled_from([25, 30, 50, 60, NTSC]))
def test_the_same_time_at_another_rate(frame: int, fps: Fraction | int) -> None:
    assert same_time(frame, fps, fps) == frame
    other = same_time(frame, 30, fps)
    assert to_seconds(other, fps) <= to_seconds(frame, 30) < to_seconds(other + 1, fps)
    assert same_time(frame, 30, fps, count=10) == min(other, 9)
