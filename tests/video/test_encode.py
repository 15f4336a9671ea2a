from __future__ import annotations

import os
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from egolib.errors import EgolibError
from egolib.video import Encoding, VideoReader, VideoWriter, check_frames, note_of, write_video
from egolib.video.encode import is_whole
from tests.helpers.video_files import numbers, picture

PICTURES = [picture(number) for number in range(45)]


def _key_times(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        return [float(p.pts * p.time_base) for p in container.demux(video=0) if p.is_keyframe]


@pytest.mark.parametrize("fps", [5, 10, 30, 29.97, 12.5])
def test_what_is_written_is_read(fps: float, tmp_path: Path) -> None:
    path = write_video(tmp_path / "new" / "a.mp4", PICTURES, fps)
    reader = VideoReader(path)
    assert numbers(reader) == list(range(45))
    assert reader.fps == pytest.approx(fps, rel=1e-4)
    assert reader.timestamp(44) == pytest.approx(44 / fps, abs=1e-3)
    assert np.abs(reader[20].astype(int) - PICTURES[20]).mean() < 4
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")


@pytest.mark.parametrize(("fps", "keyframe_sec"), [(5, 1.0), (29.97, 1.0), (30, 0.5), (0.5, 1.0)])
def test_key_frames_come_at_least_that_often(
    fps: float, keyframe_sec: float, tmp_path: Path
) -> None:
    path = write_video(tmp_path / "a.mp4", PICTURES, fps, Encoding(keyframe_sec=keyframe_sec))
    gaps = np.diff([*_key_times(path), 45 / fps])
    assert gaps.max() <= max(keyframe_sec, 1 / fps) + 1e-3


def test_key_frames_at_a_variable_rate(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4", fps=30) as writer:
        for number in range(45):
            writer.write(PICTURES[number], Fraction(number * number, 90))
    reader = VideoReader(tmp_path / "a.mp4")
    times = [reader.timestamp(number) for number in range(45)]
    assert times == pytest.approx([number**2 / 90 for number in range(45)], abs=1e-3)
    keys = _key_times(tmp_path / "a.mp4")
    for key, following in pairwise([*keys, 99.0]):
        assert not [t for t in times if key + 1.04 < t < following], "a key frame is due after 1 s"


def test_equal_input_gives_equal_files(tmp_path: Path) -> None:
    files = [write_video(tmp_path / name, PICTURES, 10) for name in ("a.mp4", "b.mp4")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_quality_is_the_encodings(tmp_path: Path) -> None:
    sizes = [
        write_video(tmp_path / "a.mp4", PICTURES, 10, Encoding(crf)).stat().st_size
        for crf in (40, 30, 22, 10)
    ]
    assert sizes == sorted(sizes)


def test_the_note(tmp_path: Path) -> None:
    note = {"source": "käse.mp4", "frames": list(range(20000))}
    with VideoWriter(tmp_path / "a.mp4", 5, note=note) as writer:
        writer.write(PICTURES[0])
    assert note_of(tmp_path / "a.mp4") == note
    write_video(tmp_path / "b.mp4", PICTURES[:1], 5)
    assert note_of(tmp_path / "b.mp4") == {}


def test_an_error_leaves_nothing_new_and_the_old_file(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", PICTURES[:5], 5)
    with pytest.raises(RuntimeError), VideoWriter(path, 5) as writer:
        writer.write(PICTURES[0])
        raise RuntimeError
    assert check_frames(path) == 5
    assert os.listdir(tmp_path) == ["a.mp4"]


def test_a_file_that_does_not_read_back_is_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("egolib.video.encode.check_frames", lambda path: 4)
    with pytest.raises(EgolibError, match="5 frames were written and 4 can be read"):
        write_video(tmp_path / "a.mp4", PICTURES[:5], 5)
    assert os.listdir(tmp_path) == []


def test_no_pictures(tmp_path: Path) -> None:
    with pytest.raises(EgolibError, match="at least one picture"):
        write_video(tmp_path / "a.mp4", [], 5)
    assert os.listdir(tmp_path) == []


def test_odd_sizes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EgolibError, match="even sides, not 159x120"):
        write_video(tmp_path / "a.mp4", [PICTURES[0][:, :159]], 5)


def test_two_writers_of_one_file(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4", 5) as writer:
        writer.write(PICTURES[0])
        with pytest.raises(EgolibError, match="another process"):
            VideoWriter(tmp_path / "a.mp4", 5)
    assert check_frames(tmp_path / "a.mp4") == 1


def test_is_whole(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", PICTURES, 5)
    assert is_whole(path, 45)
    assert is_whole(path, 45, decode=True)
    assert not is_whole(path, 44)
    assert not is_whole(tmp_path / "none.mp4", 1)
    path.write_bytes(path.read_bytes()[:-100])
    assert not is_whole(path, 45)


@pytest.mark.parametrize("tag", [None, (1, 1), (6, 1), (1, 2)], ids=["none", "709", "601", "full"])
def test_decoded_frames_keep_their_colours(tag: tuple[int, int] | None, tmp_path: Path) -> None:
    source = tmp_path / "a.mp4"
    colours = np.zeros((96, 128, 3), np.uint8)
    for third, colour in enumerate([(230, 60, 50), (60, 200, 50), (50, 70, 220)]):
        colours[:, 40 * third : 40 * third + 48] = colour
    with av.open(str(source), "w") as output:
        stream = output.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        stream.options = {"crf": "2"}
        if tag:
            stream.codec_context.colorspace, stream.codec_context.color_range = tag
        for _ in range(3):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(colours, "rgb24")))
        output.mux(stream.encode())
    with (
        av.open(str(source)) as container,
        VideoWriter(tmp_path / "b.mp4", 10, Encoding(crf=2)) as writer,
    ):
        for frame in container.decode(video=0):
            writer.write(frame)
    before, after = VideoReader(source)[1].astype(int), VideoReader(tmp_path / "b.mp4")[1]
    assert np.abs(before - after).max() <= 6
