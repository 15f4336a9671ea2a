"""Frame numbers of every sampler, and the frames that readers show."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from egolib.errors import EgolibError
from egolib.video import VideoReader
from egolib.vlp.api import window_frames
from egolib.vlp.data import readers, sampling
from egolib.vlp.data.egoclip import segment_id
from egolib.vlp.data.epic import timestamp_sec
from tests.parity.recordings import auxiliary, read

Case = dict[str, Any]


def python_draw(seed: int) -> sampling.Draw:
    """Draws as the official readers do, from Python's generator."""
    rng = random.Random(seed)
    return lambda low, stop: rng.choice(range(low, stop))


def numpy_draw(seed: int) -> sampling.Draw:
    """Draws from NumPy's old generator."""
    rng = np.random.RandomState(seed)
    return lambda low, stop: int(rng.randint(low, stop))


def check_random(parts: list, expected: list[int] | str, seed: int) -> None:
    if isinstance(expected, str):
        with pytest.raises(EgolibError, match="too short"):
            sampling.random_frames(parts, python_draw(seed))
    else:
        assert sampling.random_frames(parts, python_draw(seed)) == expected


def check_whole(case: Case) -> None:
    parts = sampling.whole_video(case["num_frames"], case["vlen"])
    assert [list(p) for p in parts] == case["rand_low_inclusive_high_exclusive"]
    assert sampling.middle_frames(parts) == case["uniform"]
    check_random(parts, case["rand_seed7"], 7)


def check_span(case: Case) -> None:
    parts = sampling.span(case["num_frames"], case["start"], case["end"])
    assert sampling.middle_frames(parts) == case["uniform"]
    check_random(parts, case["rand_seed11"], 11)


def check_moments(case: Case) -> None:
    frames = sampling.moment_frames(
        case["video_start_sec"], case["video_end_sec"], case["vlen"], case["num_frames"]
    )
    assert len(frames) == case["n_indices"]
    assert frames[: len(case["indices"])] == case["indices"]
    assert len(window_frames(frames, case["num_frames"])) == case["n_windows"]


def check_epic(case: Case) -> None:
    start, stop = timestamp_sec(case["start"]), timestamp_sec(case["stop"])
    parts = sampling.epic_intervals(start, stop, case["fps"], case["num_frames"])
    assert parts[0][0] == case["start_frame"]
    frames = readers.epic_frames(start, stop, case["fps"], case["num_frames"])
    assert frames == case["center"]
    drawn = readers.epic_frames(start, stop, case["fps"], case["num_frames"], numpy_draw(5))
    assert drawn == case["jitter_numpy_seed5"]


def check_egoclip(case: Case) -> None:
    start, end = case["clip_start"], case["clip_end"]
    numbers = readers.chunk_numbers(start, end)
    assert [f"DATA/U/{number}.mp4" for number in numbers] == case["files"]
    assert case["bound_sec"] == 600 * (numbers[0] + 1)
    span = sampling.seconds_to_span(*case["seconds"], 30)
    assert list(span) == [case["start_frame"], case["end_frame"]]
    assert case["bound_frame"] == 30 * case["bound_sec"]


def check_segment(case: Case) -> None:
    name = segment_id("uid", case["narration_time"], case["neg_param"])
    assert name == f"uid_{case['chunk_id']}"


CHECKS: dict[str, Callable[[Case], None]] = {
    "sample_frames": check_whole,
    "sample_frames_start_end": check_span,
    "mq_frames": check_moments,
    "ek100_frames": check_epic,
    "egoclip_path": check_egoclip,
    "segment_id": check_segment,
}


@pytest.mark.recordings("sampling")
def test_sampling(recording: Path) -> None:
    cases = json.loads(recording.read_text())
    assert cases
    for case in cases:
        CHECKS[case["fn"]](case)


# ---------------------------------------------------------------------- real frames


def frame_number(image: np.ndarray) -> int:
    """The number written into a picture: 16 blocks, black or white, lowest bit first."""
    height, width = image.shape[:2]
    rows, columns = np.arange(4) * height // 4, np.arange(4) * width // 4
    bits = [
        image[r + height // 16 : r + 3 * height // 16, c + width // 16 : c + 3 * width // 16].mean()
        > 127
        for r in rows
        for c in columns
    ]
    return sum(int(bit) << i for i, bit in enumerate(bits))


def whole_case(case: Case, video: VideoReader) -> list[int]:
    parts = sampling.whole_video(case["num_frames"], len(video))
    if case["sample"] == "uniform":
        return sampling.middle_frames(parts)
    return sampling.random_frames(parts, python_draw(case["seed"]))


def read_case(case: Case, folder: Path) -> np.ndarray:
    """The pictures that our reader gives for a recorded call."""
    if case["reader"] == "cv2_egoclip":
        chunks = tuple(VideoReader(folder / "U" / f"{case[k]}.mp4") for k in ("first", "second"))
        assert readers.chunk_numbers(case["start_sec"], case["end_sec"])[0] == int(case["first"])
        return readers.egoclip_images(
            chunks,  # type: ignore[arg-type]
            case["start_sec"],
            case["end_sec"],
            case["num_frames"],
        )
    video = VideoReader(folder / "plain.mp4")
    if case["reader"] == "cv2_charades":
        frames = readers.charades_frames(
            len(video), video.fps, case["num_frames"], case["start_sec"], case["end_sec"]
        )
    elif case["reader"] == "decord_start_end":
        frames = sampling.evenly(case["start"], case["end"], case["num_frames_arg"])
    else:
        frames = whole_case(case, video)
        assert frames == case["asked"]
        seek = "official" if case["reader"] == "cv2" else "exact"
        frames = [readers.shown_frame(frame, len(video), seek) for frame in frames]
    return video.batch(frames)


@pytest.mark.recordings("frame_reading")
def test_frames_read(recording: Path) -> None:
    folder = auxiliary(recording, "video")
    cases = read(recording)["cases"]
    assert cases
    for case in cases:
        shown = [frame_number(image) for image in read_case(case, folder)]
        assert shown == case["shown"], case
