from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from egolib.errors import EgolibError
from egolib.video import VideoReader
from egolib.vlp.data.cache import FrameCache, write_cache
from tests.vlp.small import numbered_video, shown


@pytest.fixture
def root(tmp_path: Path) -> Path:
    numbered_video(tmp_path / "a/0.mp4", 20)
    (tmp_path / "b").mkdir()
    os.link(tmp_path / "a/0.mp4", tmp_path / "b/1.mp4")
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    return tmp_path


def videos(root: Path) -> list[Path]:
    return [root / name for name in ("a/0.mp4", "b/1.mp4", "broken.mp4")]


def test_frames_are_those_of_the_video(root: Path) -> None:
    skipped = write_cache(root, videos(root), root / "frames", 24)
    assert list(skipped.reasons) == ["broken.mp4"]
    video, reader = (
        FrameCache(root / "frames", root).get(root / "a/0.mp4"),
        VideoReader(videos(root)[0]),
    )
    assert (len(video), video.fps) == (len(reader), reader.fps)
    found = video.batch([3, 0, 19])
    assert found.shape == (3, 24, 32, 3) and found.dtype == np.uint8
    assert shown(found) == [3, 0, 19]


def test_hard_links_share_an_array(root: Path) -> None:
    write_cache(root, videos(root), root / "frames", 24)
    cache = FrameCache(root / "frames", root)
    assert len(list((root / "frames").glob("*.npy"))) == 1
    np.testing.assert_array_equal(
        cache.get(root / "a/0.mp4").batch([5]), cache.get(root / "b/1.mp4").batch([5])
    )


def test_finished_arrays_are_kept_and_changed_videos_decoded_again(root: Path) -> None:
    write_cache(root, videos(root), root / "frames", 24)
    (array,) = (root / "frames").glob("*.npy")
    stamp = array.stat().st_mtime_ns
    write_cache(root, videos(root), root / "frames", 24)
    assert array.stat().st_mtime_ns == stamp
    (root / "a/0.mp4").unlink()
    numbered_video(root / "a/0.mp4", 30)
    write_cache(root, videos(root), root / "frames", 24)
    cache = FrameCache(root / "frames", root)
    assert len(cache.get(root / "a/0.mp4")) == 30 and len(cache.get(root / "b/1.mp4")) == 20


def test_errors(root: Path) -> None:
    write_cache(root, videos(root), root / "frames", 24)
    cache = pickle.loads(pickle.dumps(FrameCache(root / "frames", root)))
    with pytest.raises(EgolibError, match="no such video"):
        cache.get(root / "broken.mp4")
    with pytest.raises(IndexError):
        cache.get(root / "a/0.mp4").batch([20])
    with pytest.raises(EgolibError):
        FrameCache(root / "nowhere", root)
