from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from egolib.errors import EgolibError
from egolib.video import VideoReader, available_backends, check_backend, compare_backends
from tests.helpers.video_files import encode, make, numbers

needs_decord = pytest.mark.skipif(not find_spec("decord"), reason="decord is not installed")
needs_torchcodec = pytest.mark.skipif(
    not find_spec("torchcodec"), reason="torchcodec is not installed"
)
EXACT_WITH_DECORD = ["constant rate", "offset start", "variable rate", "29.97"]
OFFICIAL = [
    pytest.param("decord", marks=needs_decord),
    pytest.param("torchcodec", marks=needs_torchcodec),
]


@pytest.mark.parametrize("backend", OFFICIAL)
@pytest.mark.parametrize("kind", EXACT_WITH_DECORD)
def test_other_back_ends_read_plain_files(backend: str, kind: str, tmp_path: Path) -> None:
    path, shown = make(kind, tmp_path)
    other, ours = VideoReader(path, backend), VideoReader(path)
    frames = np.random.default_rng(0).integers(0, len(shown), 12).tolist()
    assert len(other) == len(shown)
    assert numbers(other.batch(frames)) == [shown[frame] for frame in frames]
    assert other.size == ours.size
    assert other.fps == pytest.approx(ours.fps, rel=1e-2 if kind == "variable rate" else 1e-3)
    assert other.duration_sec == pytest.approx(ours.duration_sec, abs=0.05)
    since_start = other.timestamp(20) - other.start_sec
    assert since_start == pytest.approx(ours.timestamp(20) - ours.start_sec, abs=0.02)
    assert compare_backends(path, [backend]) == []


@needs_decord
def test_decords_wrong_frames_are_reported(tmp_path: Path) -> None:
    path, shown = make("edit list", tmp_path)
    (report,) = compare_backends(path, ["decord", "av"])
    assert report.backend == "decord"
    assert report.pyav_length == len(shown) == 152
    assert report.length != 152
    assert report.frames
    assert "frames against 152" in report.reason


@needs_decord
def test_decords_shifted_frames_are_reported_at_equal_lengths(tmp_path: Path) -> None:
    path, shown = make("transport stream", tmp_path)
    (report,) = compare_backends(path, ["decord"])
    assert report.length == len(shown)
    assert len(report.frames) > 6


@needs_decord
def test_a_file_that_decord_cannot_open_is_reported(tmp_path: Path) -> None:
    path, _ = make("no stated length", tmp_path)
    (report,) = compare_backends(path, ["decord"])
    assert report.length is None
    assert "decord cannot read it" in report.reason
    with pytest.raises(EgolibError, match="decord cannot read it"):
        VideoReader(path, "decord")


def test_unknown_back_end(tmp_path: Path) -> None:
    encode(tmp_path / "a.mp4", range(3))
    with pytest.raises(EgolibError, match="did you mean decord"):
        VideoReader(tmp_path / "a.mp4", "decrod")


def test_missing_back_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("egolib.video.backends.find_spec", lambda name: name == "av" or None)
    assert available_backends() == ["av"]
    with pytest.raises(EgolibError, match="not installed"):
        VideoReader(tmp_path / "a.mp4", "decord")


@needs_decord
def test_options_that_only_av_has(tmp_path: Path) -> None:
    encode(tmp_path / "a.mp4", range(3))
    with pytest.raises(EgolibError, match="damaged can only"):
        VideoReader(tmp_path / "a.mp4", "decord", damaged="keep")


@pytest.mark.parametrize("name", ["decord", "torchcodec"])
def test_a_missing_extra_is_named(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("egolib.video.backends.find_spec", lambda module: module == "av" or None)
    encode(tmp_path / "a.mp4", range(3))
    with pytest.raises(EgolibError, match=rf"pip install 'egolib\[{name}\]'"):
        VideoReader(tmp_path / "a.mp4", name)
    with pytest.raises(EgolibError, match="not installed"):
        check_backend(name)


def test_names_of_the_default(tmp_path: Path) -> None:
    encode(tmp_path / "a.mp4", range(3))
    assert VideoReader(tmp_path / "a.mp4", "pyav").backend == check_backend("av") == "av"


@needs_decord
def test_decord_reads_names_with_a_colon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    encode(tmp_path / "a:b.mp4", range(9))
    assert numbers(VideoReader("a:b.mp4", "decord")) == list(range(9))
