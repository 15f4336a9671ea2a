"""Chunks of other lengths and rates: the frames of the clip, or an error that says the length."""

from __future__ import annotations

from pathlib import Path

import pytest

from egolib.errors import EgolibError
from egolib.vlp.config import DataConfig
from egolib.vlp.data.chunks import chunk_videos
from egolib.vlp.data.videos import EgoClipVideos
from tests.helpers.video_files import encode, number_of


@pytest.mark.parametrize(("rate", "length"), [(25, 3), (60, 2)])
def test_chunks_of_another_length(rate: int, length: int, tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    encode(tmp_path / "whole" / "uid.mp4", range(5 * rate), rate)
    chunk_videos(tmp_path / "whole", tmp_path / "chunks", chunk_sec=length)
    start, end = length - 0.5, length + 0.5
    wanted = {"index": {"frame_times": "index"}, "assumed": {"assumed_fps": float(rate)}}
    for settings in wanted.values():
        config = DataConfig(chunk_sec=length, frame_seek="exact", **settings)  # type: ignore[arg-type]
        images = EgoClipVideos(tmp_path / "chunks", config).images("uid", start, end, 4)
        seconds = [number_of(image) / rate for image in images]
        assert seconds == sorted(seconds) and len(set(seconds)) == 4
        assert start <= seconds[0] and seconds[-1] < end
    for times in ("official", "index"):
        config = DataConfig(frame_times=times)  # type: ignore[arg-type]
        with pytest.raises(EgolibError, match=rf"chunk 0 lasts {length}\.0 s, chunks of 600 s"):
            EgoClipVideos(tmp_path / "chunks", config).images("uid", 0.5, 1.5, 4)
