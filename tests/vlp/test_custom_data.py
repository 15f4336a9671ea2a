"""The example of the page on custom data is a valid data set."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from egolib.config import project_root
from egolib.vlp.config import DataConfig, LossConfig
from egolib.vlp.data.chunks import chunk_videos, verify_chunks
from egolib.vlp.data.egoclip import CHUNKS, TABLE, data_file, read_egoclip
from egolib.vlp.data.pretraining import PretrainingData
from egolib.vlp.data.videos import EgoClipVideos
from tests.vlp.small import CONFIG, numbered_video, tokenizer

PAGE = project_root() / "book" / "vlp_custom_data.md"
DATA = DataConfig(
    frame_jitter="inclusive", frame_seek="exact", assumed_fps=10.0, unreadable="error"
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The page's table, and its two videos of twenty seconds in pieces."""
    table = re.search(r"```\n(clip_idx\t.*?)```", PAGE.read_text(), re.DOTALL)
    assert table is not None
    (tmp_path / TABLE).parent.mkdir(parents=True)
    (tmp_path / TABLE).write_text(table[1])
    for uid in ("a", "b"):
        numbered_video(tmp_path / "videos" / f"{uid}.mp4", 200)
    chunk_videos(tmp_path / "videos", tmp_path / CHUNKS)
    return tmp_path


def test_the_page_is_a_valid_data_set(root: Path) -> None:
    report = verify_chunks(root / "videos", root / CHUNKS, ["a", "b"])
    assert len(report.readable) == 2 and not report.read_errors
    clips = read_egoclip(data_file(root, TABLE))
    assert len(clips) == 6 and clips.lost_lines == 0
    data = PretrainingData(
        clips, EgoClipVideos(root, DATA), tokenizer(), CONFIG, DATA, LossConfig()
    )
    batch = data.collate([data.sample(i, np.random.default_rng(i)) for i in range(len(data))])
    assert not batch.black.any() and batch.nouns.sum() == len(batch.ids) == 12
