from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from egolib.errors import EgolibError
from egolib.video import (
    ClipPlan,
    Encoding,
    ImagePlan,
    VideoPlan,
    VideoReader,
    VideoWarning,
    extract,
    write_video,
)
from egolib.video.index import _remembered
from tests.helpers.odd_video_files import (
    COUNT,
    COUNTED,
    changing_size,
    drop_packets,
    lose,
    piped_avi,
    thumbnail_first,
    two_streams,
    write_matrix,
)
from tests.helpers.video_files import HEIGHT, WIDTH, encode, number_of, numbers, picture

FAST = Encoding(preset="ultrafast")


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Warnings are looked at where they matter."""
    _remembered.cache_clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VideoWarning)
        yield


# -------------------------------------------------------- files without presentation times


@pytest.fixture(scope="module", params=list(COUNTED))
def counted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    suffix, write = COUNTED[request.param]
    path = tmp_path_factory.mktemp("odd") / f"video{suffix}"
    write(path)
    return path


def test_frames_without_times_are_those_of_a_decode_from_the_start(counted: Path) -> None:
    with av.open(str(counted)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        images = [f.to_ndarray(format="rgb24").copy() for f in container.decode(video=0)]
    assert numbers(images) == list(range(len(images))), "as drawn"
    assert len(images) >= COUNT - 1  # raw streams may end without their last frame
    reader = VideoReader(counted)
    assert len(reader) == len(images)
    assert reader.fps == 25
    assert reader.duration_sec == pytest.approx(COUNT / 25, abs=0.05)
    times = [reader.timestamp(frame) for frame in range(len(reader))]
    assert np.median(np.diff(times)) == pytest.approx(0.04)
    assert min(np.diff(times)) > 0.03
    for frame in [*np.random.default_rng(1).integers(0, len(images), 12), -1, 0]:
        np.testing.assert_array_equal(reader[int(frame)], images[frame])
    for frame in (61, 33):  # a first read anywhere
        np.testing.assert_array_equal(VideoReader(counted)[frame], images[frame])


def test_clips_of_files_without_times(counted: Path, tmp_path: Path) -> None:
    plan = VideoPlan(
        counted,
        [ClipPlan(tmp_path / "a.mp4", range(10, 70, 5), 5, encoding=FAST)],
        [ImagePlan(tmp_path / "b.png", 44)],
    )
    assert not len(extract([plan]).skipped)
    assert numbers(VideoReader(tmp_path / "a.mp4")) == list(range(10, 70, 5))
    np.testing.assert_array_equal(VideoReader(counted)[44], _pixels(tmp_path / "b.png"))


def _pixels(path: Path) -> np.ndarray:
    from egolib.video import read_image

    return read_image(path)


def test_decoding_in_order_is_told_once(tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    COUNTED["H.264 in AVI"][1](path)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", VideoWarning)
        for _ in range(3):
            VideoReader(path)[40]
    assert len(told) == 1
    assert "a.avi: frames can only be found by decoding" in str(told[0].message)


def test_the_rate_of_a_raw_stream_is_told(tmp_path: Path) -> None:
    encode(tmp_path / "a.h264", range(20), 50, form="h264")
    with pytest.warns(VideoWarning, match="it states no times: 50 frames a second"):
        assert VideoReader(tmp_path / "a.h264").fps == 50


def test_avi_without_reordered_frames_keeps_its_index(tmp_path: Path) -> None:
    encode(tmp_path / "a.avi", range(60), codec="mpeg4", gop=20)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert number_of(VideoReader(tmp_path / "a.avi")[31]) == 31


# ------------------------------------------------------------------ turned and mirrored


@pytest.mark.parametrize(
    ("matrix", "shown"),
    [
        ((-1, 0, 0, 1), lambda image: image[:, ::-1]),
        ((1, 0, 0, -1), lambda image: image[::-1]),
        ((-1, 0, 0, -1), lambda image: image[::-1, ::-1]),
        ((0, 1, 1, 0), lambda image: image.transpose(1, 0, 2)),
        ((0, -1, -1, 0), lambda image: image.transpose(1, 0, 2)[::-1, ::-1]),
        ((0, -1, 1, 0), lambda image: np.rot90(image)),
        ((0, 2, -2, 0), lambda image: np.rot90(image, -1)),
    ],
)
def test_display_matrices(matrix: tuple, shown: object, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    encode(path, range(10))
    plain = VideoReader(path)[6]
    write_matrix(path, matrix)
    reader = VideoReader(path)
    np.testing.assert_array_equal(reader[6], shown(plain))  # type: ignore[operator]
    assert reader.size == reader[6].shape[1::-1]
    extract([VideoPlan(path, images=[ImagePlan(tmp_path / "a.png", 6)])])
    np.testing.assert_array_equal(_pixels(tmp_path / "a.png"), reader[6])


@pytest.mark.parametrize("workers", [1, 2])
def test_an_oblique_turn_costs_only_its_own_file(workers: int, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        encode(tmp_path / f"{name}.mp4", range(20))
    write_matrix(tmp_path / "b.mp4", (0.8, 0.6, -0.6, 0.8))
    plans = [
        VideoPlan(tmp_path / f"{name}.mp4", images=[ImagePlan(tmp_path / f"{name}.png", 3)])
        for name in ("a", "b", "c")
    ]
    outcome = extract(plans, workers=workers)
    assert {path.name for path in outcome.written} == {"a.png", "c.png"}
    assert "no multiple of 90" in outcome.skipped.reasons[str(tmp_path / "b.mp4")]
    with pytest.raises(EgolibError, match=r"323\.1 degrees.*no multiple of 90"):
        VideoReader(tmp_path / "b.mp4")
    assert number_of(VideoReader(tmp_path / "b.mp4", rotation="ignore")[3]) == 3


# ------------------------------------------------------------------------- lost packets


@pytest.mark.parametrize(
    ("suffix", "codec", "container"),
    [
        (".mkv", "libx264", {}),
        (".mkv", "libx264", {"live": "1"}),
        (".webm", "libvpx-vp9", {}),
        (".avi", "mpeg4", {}),
        (".avi", "libx264", {}),
    ],
)
def test_lost_packets(suffix: str, codec: str, container: dict, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    options = {"cpu-used": "8", "deadline": "realtime"} if codec == "libvpx-vp9" else {}
    encode(path, range(200), codec=codec, gop=20, options=options, container=container)
    assert len(VideoReader(path)) == 200, "the whole file is not refused"
    lose(path, 0.4, 0.5)
    _remembered.cache_clear()  # it may have changed within a tick of the file system's clock
    with pytest.raises(EgolibError, match="the video is damaged: .* follow a gap") as error:
        VideoReader(path)
    whole = VideoReader(path, damaged="whole")
    assert error.value.record == f"frame {len(whole)}"
    assert 30 < len(whole) < 110
    assert numbers(whole) == list(range(len(whole)))


@pytest.mark.parametrize("suffix", [".mkv", ".avi"])
def test_packets_that_were_never_stored_are_told(suffix: str, tmp_path: Path) -> None:
    source, path = tmp_path / "source.mkv", tmp_path / f"a{suffix}"
    encode(source, range(100), 25, codec="mpeg4", gop=20)
    drop_packets(source, path, 45, 50)
    with pytest.warns(VideoWarning, match="about 6 frames are missing, the first after frame 44"):
        assert len(VideoReader(path)) == 94


def test_a_variable_rate_is_no_loss(tmp_path: Path) -> None:
    gaps = np.random.default_rng(0).integers(1, 6, 60)
    encode(tmp_path / "a.mkv", np.cumsum(gaps).tolist(), 120)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(VideoReader(tmp_path / "a.mkv")) == 60


def test_an_avi_from_a_pipe_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    piped_avi(path)
    reader = VideoReader(path)
    assert numbers(reader) == list(range(COUNT))
    assert reader.fps == 25


# ------------------------------------------------------------------------- which stream


@pytest.mark.parametrize("default", [0, 1])
def test_the_default_stream_is_read(default: int, tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    two_streams(path, default, ((WIDTH, HEIGHT), (WIDTH, HEIGHT)))
    first = 100 * default
    assert numbers(VideoReader(path)) == list(range(first, first + 20))


def test_the_larger_of_equal_streams_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    two_streams(path, -1, ((WIDTH, HEIGHT), (2 * WIDTH, 2 * HEIGHT)))
    assert VideoReader(path).size == (2 * WIDTH, 2 * HEIGHT)


def test_a_thumbnail_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    thumbnail_first(path)
    assert numbers(VideoReader(path)) == list(range(20))


def test_the_stream_is_an_option(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    two_streams(path, 0, ((WIDTH, HEIGHT), (WIDTH, HEIGHT)))
    assert numbers(VideoReader(path, stream=1)) == list(range(100, 120))
    assert number_of(VideoReader(path, stream=0)[7]) == 7
    clip = ClipPlan(tmp_path / "clip.mp4", range(5), 5, encoding=FAST)
    assert extract([VideoPlan(path, [clip], stream=1)]).written
    assert numbers(VideoReader(clip.path)) == list(range(100, 105))
    assert extract([VideoPlan(path, [clip], stream=0)]).written, "another stream, another clip"
    with pytest.raises(EgolibError, match="no video stream 2"):
        VideoReader(path, stream=2)


# --------------------------------------------------------------------- sizes and names


def test_a_size_that_changes_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.ts"
    changing_size(path)
    reader = VideoReader(path)
    assert number_of(reader[20]) == 20
    for frame in (45, 20, 31):
        if frame > 30:
            with pytest.raises(EgolibError, match=r"from 160x120 to 320x240") as error:
                reader[frame]
            assert error.value.record == f"frame {frame}"
    plan = VideoPlan(
        path,
        [ClipPlan(tmp_path / "early.mp4", range(20), 25, encoding=FAST),
         ClipPlan(tmp_path / "across.mp4", range(31, 50), 25, encoding=FAST)],
    )  # fmt: skip
    outcome = extract([plan])
    assert outcome.written == [tmp_path / "early.mp4"]
    assert "320x240" in outcome.skipped.reasons[str(tmp_path / "across.mp4")]


def test_names_that_look_like_protocols(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_video("a:b.mp4", [picture(i) for i in range(5)], 25, FAST)
    assert (tmp_path / "a:b.mp4").is_file()
    assert numbers(VideoReader("a:b.mp4")) == list(range(5))
    assert extract(
        [VideoPlan(Path("a:b.mp4"), [ClipPlan(Path("http:c.mp4"), range(5), 25, encoding=FAST)])]
    ).written
    assert numbers(VideoReader("http:c.mp4")) == list(range(5))


def test_names_of_streams_that_are_no_utf_8_cost_nothing(tmp_path: Path) -> None:
    encode(tmp_path / "a.mp4", range(3))
    data = (tmp_path / "a.mp4").read_bytes()
    assert b"VideoHandler" in data
    (tmp_path / "a.mp4").write_bytes(data.replace(b"VideoHandler", b"V\xfcdeoHandler"))
    assert numbers(VideoReader(tmp_path / "a.mp4")) == [0, 1, 2]


def test_pipes_are_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.mp4")
    with pytest.raises(EgolibError, match="not a regular file.*pipe"):
        VideoReader(tmp_path / "a.mp4")
