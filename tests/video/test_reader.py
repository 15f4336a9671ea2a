from __future__ import annotations

import tracemalloc
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from egolib.errors import EgolibError
from egolib.video import VideoReader, check_frames, stretch_frames
from tests.helpers.video_files import (
    HEIGHT,
    WIDTH,
    damage,
    encode,
    make,
    number_of,
    numbers,
    turn_by_metadata,
)
from tests.video.conftest import Sample


def test_the_file_shows_what_was_drawn(sample: Sample) -> None:
    assert numbers(sample.images) == sample.numbers
    assert len(VideoReader(sample.path)) == len(sample.numbers)


def test_sequential_reading_is_exact(sample: Sample) -> None:
    for image, expected in zip(VideoReader(sample.path), sample.images, strict=True):
        np.testing.assert_array_equal(image, expected)


def test_random_reading_is_exact(sample: Sample) -> None:
    reader = VideoReader(sample.path)
    for frame in np.random.default_rng(1).permutation(len(reader)):
        np.testing.assert_array_equal(reader[int(frame)], sample.images[frame])


def test_a_first_read_anywhere_is_exact(sample: Sample) -> None:
    for frame in (0, 1, 51, 99, len(sample.numbers) - 1):
        with VideoReader(sample.path) as reader:
            np.testing.assert_array_equal(reader[frame], sample.images[frame])


def test_batches_keep_the_order_asked_for(sample: Sample) -> None:
    asked = np.random.default_rng(2).integers(-20, len(sample.numbers), 40).tolist()
    batch = VideoReader(sample.path).batch([*asked, asked[0]])
    np.testing.assert_array_equal(batch, sample.images[[*asked, asked[0]]])


def test_steps_are_exact(sample: Sample) -> None:
    steps = list(VideoReader(sample.path).frames(3, 120, 6))
    np.testing.assert_array_equal(steps, sample.images[3:120:6])


def test_times_are_those_of_the_decoded_frames(sample: Sample) -> None:
    reader = VideoReader(sample.path)
    with av.open(str(sample.path)) as container:
        times = [frame.time for frame in container.decode(video=0)]
    assert [reader.timestamp(i) for i in range(len(reader))] == pytest.approx(times, abs=1e-9)
    assert reader.start_sec == pytest.approx(times[0])
    assert reader.duration_sec == pytest.approx(times[-1] - times[0] + 1 / 30, abs=0.05)


@pytest.mark.parametrize(
    ("kind", "fps", "start_sec"),
    [
        ("constant rate", 30, 0),
        ("offset start", 30, 2.5),
        ("transport stream", 30, 1.4),
        ("29.97", 30000 / 1001, 0),
        ("no stated length", 30, 0),
    ],
)
def test_rate_and_start(kind: str, fps: float, start_sec: float, tmp_path: Path) -> None:
    path, _ = make(kind, tmp_path)
    reader = VideoReader(path)
    assert reader.fps == fps
    assert reader.start_sec == pytest.approx(start_sec, abs=0.07)
    assert reader.size == (WIDTH, HEIGHT)


def test_the_frame_on_screen_at_a_time(sample: Sample) -> None:
    reader = VideoReader(sample.path)
    last = len(reader) - 1
    for frame in (0, 1, 17, last):
        start = reader.timestamp(frame) - reader.start_sec
        assert reader.frame_at(start) == frame
        assert reader.frame_at(start + 0.004) == frame
        if frame:
            assert reader.frame_at(start - 0.004) == frame - 1
    assert reader.frame_at(-5.0) == 0
    assert reader.frame_at(1e6) == last


def test_reading_again_after_the_end_and_after_closing(tmp_path: Path) -> None:
    encode(tmp_path / "a.mp4", range(60))
    reader = VideoReader(tmp_path / "a.mp4")
    assert numbers(reader) == numbers(reader) == list(range(60))
    reader.close()
    assert number_of(reader[-1]) == 59


def test_two_iterations_do_not_disturb_each_other(tmp_path: Path) -> None:
    encode(tmp_path / "a.mp4", range(60))
    reader = VideoReader(tmp_path / "a.mp4")
    pairs = [
        (number_of(a), number_of(b))
        for a, b in zip(reader.frames(0, 20), reader.frames(30), strict=False)
    ]
    assert pairs == [(i, 30 + i) for i in range(20)]


def test_images_may_be_written_to_and_stay_when_reading_goes_on(tmp_path: Path) -> None:
    encode(tmp_path / "a.mp4", range(30))
    reader = VideoReader(tmp_path / "a.mp4")
    first = reader[0]
    kept = first.copy()
    list(reader)
    np.testing.assert_array_equal(first, kept)
    first[:] = 0
    np.testing.assert_array_equal(reader[0], kept)
    assert first.flags.c_contiguous


def test_iteration_holds_one_frame_in_memory(tmp_path: Path) -> None:
    encode(tmp_path / "a.mp4", range(60), size=(640, 480))
    reader = VideoReader(tmp_path / "a.mp4")
    tracemalloc.start()
    total = sum(int(image[0, 0, 0]) for image in reader)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total > 0
    assert peak < 5 * 640 * 480 * 3


def test_an_empty_batch(tmp_path: Path) -> None:
    encode(tmp_path / "a.mp4", range(5))
    assert VideoReader(tmp_path / "a.mp4").batch([]).shape == (0, HEIGHT, WIDTH, 3)


@pytest.mark.parametrize("frame", [5, -6, 10**9])
def test_numbers_outside_the_video(frame: int, tmp_path: Path) -> None:
    encode(tmp_path / "a.mp4", range(5))
    reader = VideoReader(tmp_path / "a.mp4")
    with pytest.raises(IndexError, match="5 frames"):
        reader[frame]
    with pytest.raises(IndexError):
        reader.batch([0, frame])


def test_a_changed_file_is_indexed_again(tmp_path: Path) -> None:
    encode(tmp_path / "a.mp4", range(5))
    assert len(VideoReader(tmp_path / "a.mp4")) == 5
    encode(tmp_path / "a.mp4", range(9))
    assert len(VideoReader(tmp_path / "a.mp4")) == 9


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_pictures_are_turned_as_the_file_asks(degrees: int, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    encode(path, range(20))
    upright = VideoReader(path).batch([0, 7])
    turn_by_metadata(path, degrees)
    reader = VideoReader(path)
    np.testing.assert_array_equal(reader.batch([0, 7]), np.rot90(upright, degrees // 90, (1, 2)))
    assert reader.size == reader[0].shape[1::-1]
    np.testing.assert_array_equal(VideoReader(path, rotation="ignore").batch([0, 7]), upright)


# ------------------------------------------------------------------- bad files


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(EgolibError, match=r"none\.mp4: the file does not exist"):
        VideoReader(tmp_path / "none.mp4")


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(EgolibError, match="folder"):
        VideoReader(tmp_path)


@pytest.mark.parametrize("content", [b"", b"hello " * 500])
def test_not_a_video(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(EgolibError, match=r"empty|not a readable video"):
        VideoReader(path)


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "a.m4a"
    with av.open(str(path), "w", format="mp4") as output:
        stream = output.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 16000
        output.mux(stream.encode(frame))
        output.mux(stream.encode())
    with pytest.raises(EgolibError, match="no video stream"):
        VideoReader(path)


def test_an_interrupted_recording_has_no_table_of_frames(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    encode(path, range(100))
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(EgolibError, match="truncated"):
        VideoReader(path, damaged="keep")


@pytest.mark.parametrize(
    ("suffix", "codec", "options"),
    [
        (".mp4", "libx264", {"movflags": "faststart"}),
        (".mp4", "libx264", {"movflags": "frag_keyframe+empty_moov"}),
        (".mkv", "libx264", {}),
        (".ts", "libx264", {}),
        (".avi", "mpeg4", {}),
    ],
)
def test_truncated_files(suffix: str, codec: str, options: dict, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    encode(path, range(200), codec=codec, container=options)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 6 // 10 | 1])  # odd: inside a transport packet of 188
    with pytest.raises(EgolibError, match="truncated") as error:
        VideoReader(path)
    reader = VideoReader(path, damaged="keep")
    assert error.value.record == f"frame {len(reader)}"
    assert 80 < len(reader) < 190
    assert numbers(reader) == list(range(len(reader)))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_damaged_frames_and_those_predicted_from_them_are_refused(
    suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / f"a{suffix}"
    encode(path, range(150), gop=50)
    sound = VideoReader(path).batch(range(150))
    damaged = damage(path, 70, 85)
    reader, refused, changed = VideoReader(path), [], []
    for frame in range(150):
        try:
            if not np.array_equal(reader[frame], sound[frame]):
                changed.append(frame)
        except EgolibError as error:
            assert error.record == f"frame {frame}"
            refused.append(frame)
    assert damaged - 8 < refused[0] <= damaged
    assert refused == list(range(refused[0], 100)), "up to the next key frame"
    # frames shown just before a repaired one may have been predicted from it
    assert set(changed) <= set(range(damaged - 4, damaged))
    with pytest.raises(EgolibError, match="damaged|decoded"):
        check_frames(path)
    repaired = VideoReader(path, damaged="keep")
    np.testing.assert_array_equal(repaired[120], sound[120])
    assert repaired[95].shape == sound[95].shape


# ------------------------------------------------------------------ real files


@pytest.mark.parametrize(
    ("name", "count", "size", "duration_sec"),
    [
        ("flipping_a_pancake.mkv", 310, (426, 240), 10.333),
        ("ego4d_3c0dffd0_012_014.mp4", 60, (384, 288), 2.0),
    ],
)
def test_real_videos_decode_exactly(
    real_dir: Path, name: str, count: int, size: tuple[int, int], duration_sec: float
) -> None:
    path = real_dir / "video" / name
    if not path.is_file():
        pytest.skip(f"no real video at {path}")
    with av.open(str(path)) as container:
        expected = np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])
    assert len(expected) == count
    reader = VideoReader(path)
    assert (len(reader), reader.size, reader.fps) == (count, size, 30.0)
    assert reader.duration_sec == pytest.approx(duration_sec, abs=1e-3)
    order = np.random.default_rng(0).permutation(count)
    for frame in order[:80]:
        np.testing.assert_array_equal(reader[int(frame)], expected[frame])
    np.testing.assert_array_equal(np.stack(list(reader)), expected)
    np.testing.assert_array_equal(reader.batch(order), expected[order])
    assert check_frames(path) == count


# ---------------------------------------------------------------- seconds become frames


def test_seconds_of_a_variable_rate_become_frames_by_their_own_times(tmp_path: Path) -> None:
    """A screen recording: ten frames in the first second, then one every second."""
    encode(tmp_path / "a.mp4", [*range(10), *range(10, 100, 10)], 10)
    reader = VideoReader(tmp_path / "a.mp4")
    assert reader.frames_between(1.0, 2.0) == range(10, 11)
    assert reader.frames_between(0.25, 0.45) == range(2, 5)
    assert reader.frames_between(1.5, 3.5) == range(10, 13)
    assert reader.frames_between(7.0, 99.0) == range(16, 19)
    assert reader.frames_between(0.0, reader.duration_sec) == range(19)
    assert [reader.frame_at(1.6, rule) for rule in ("floor", "nearest", "ceil")] == [10, 11, 11]
    assert [reader.frame_at(2.0, rule) for rule in ("floor", "nearest", "ceil")] == [11, 11, 11]
    assert [reader.frame_at(99, rule) for rule in ("floor", "nearest", "ceil")] == [18] * 3
    with pytest.raises(EgolibError, match=r"a\.mp4: the stretch from 3 s to 2 s stops"):
        reader.frames_between(3.0, 2.0)
    assert reader.varies
    assert reader.looked_at(2) == [0, 5, *range(10, 19)]
    assert reader.looked_at(0.5) == [0, 11, 13, 15, 17]


@pytest.mark.parametrize("rate", [25, Fraction(30000, 1001), 60])
def test_frames_of_a_constant_rate_agree_with_the_arithmetic(
    rate: Fraction | int, tmp_path: Path
) -> None:
    encode(tmp_path / "a.mp4", range(90), rate)
    reader = VideoReader(tmp_path / "a.mp4")
    assert not reader.varies
    assert reader.looked_at(float(rate)) == list(range(90))
    rng = np.random.default_rng(0)
    for start, length in zip(rng.uniform(0, 1.4, 20), rng.uniform(0, 2, 20), strict=True):
        expected = stretch_frames(start, start + length, len(reader), rate)
        assert reader.frames_between(start, start + length) == expected
