"""Cutting clips and images out of videos, and checking clips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from egolib.video import VideoReader
from egolib.video.encode import Encoding, write_video
from egolib.video.extract import extract
from egolib.video.images import read_image
from egolib.vq2d.config import DataConfig
from egolib.vq2d.data.annotations import from_content
from egolib.vq2d.data.prepare import check_clips, plans, video_batch
from tests.vq2d import made


def numbered(count: int) -> list[np.ndarray]:
    """Frames whose grey level says their number."""
    return [np.full((48, 64, 3), 20 + i, np.uint8) for i in range(count)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_video(tmp_path / "videos" / "video.mp4", numbered(180), 30, Encoding(crf=1))
    return tmp_path


def content() -> dict:
    return made.content(
        made.clip("clip", made.two_queries()["videos"][0]["clips"][0]["annotations"]),
        made.clip(None, []),
    )


def make(root: Path, config: DataConfig | None = None, **options):
    folders = (root / "videos", root / "clips", root / "images")
    return plans(from_content(content()), *folders, config or DataConfig(), **options)


def test_clips_and_images_hold_the_right_frames(root: Path) -> None:
    video_plans, skipped = make(root)
    assert list(skipped.reasons.values()) == ["no uid"]
    outcome = extract(video_plans)
    assert not outcome.skipped.reasons
    reader = VideoReader(root / "clips" / "clip.mp4")
    assert len(reader) == 30 and reader.fps == 5
    assert abs(float(reader[11].mean()) - (20 + 66)) < 2
    image = read_image(root / "images" / "clip" / "frame_0000006.jpg")  # clip frame 5
    assert abs(float(image.mean()) - (20 + 30)) < 2
    assert not check_clips(from_content(content()), root / "clips").reasons


def test_height_by_option(root: Path) -> None:
    video_plans, _ = make(root, DataConfig(height=24))
    extract(video_plans)
    assert VideoReader(root / "clips" / "clip.mp4").size == (32, 24)


def test_only_some_clips(root: Path) -> None:
    assert make(root, only_clips=["other"])[0] == []
    assert len(make(root, only_clips=["clip"])[0]) == 1


def test_missing_videos_are_listed(tmp_path: Path) -> None:
    found, skipped = make(tmp_path)
    assert found == [] and "video" in skipped.reasons


def test_rates_that_give_no_clips(root: Path) -> None:
    """29.97 fps: refused as in the official code, taken as 30 by option."""
    write_video(root / "videos" / "video.mp4", numbered(180), 30000 / 1001, Encoding(crf=1))
    found, skipped = make(root)
    assert found == [] and "29.97" in skipped.reasons["video"]
    found, skipped = make(root, DataConfig(rate_rounding="nearest"))
    assert len(found) == 1 and "video" not in skipped.reasons


def test_batches_of_videos() -> None:
    assert video_batch([1, 2, 3], 1, 2) == [3]  # type: ignore[list-item]


def test_what_is_wrong_with_clips(tmp_path: Path) -> None:
    annotations = from_content(made.two_queries())
    problems = [check_clips(annotations, tmp_path).reasons["clip"]]
    made.write_clip(tmp_path, "clip", count=20)
    problems.append(check_clips(annotations, tmp_path).reasons["clip"])
    made.write_clip(tmp_path, "clip", count=26, fps=5)
    assert not check_clips(annotations, tmp_path).reasons
    (tmp_path / "clip.mp4").write_bytes(b"no video")
    problems.append(check_clips(annotations, tmp_path).reasons["clip"])
    write_video(tmp_path / "clip.mp4", numbered(180), 30)
    problems.append(check_clips(annotations, tmp_path).reasons["clip"])
    for problem, part in zip(
        problems, ("exist", "lasts 4.0 s", "", "30 frames per second"), strict=True
    ):
        assert part in problem


def test_queries_beyond_the_clip(tmp_path: Path) -> None:
    late = made.query(28, None, made.box(29, 0, 0, 5, 5))
    annotations = from_content(made.content(made.clip("c", [made.annotation("a", late)])))
    made.write_clip(tmp_path, "c", count=27)
    assert "a_1: visual crop frame 29" in check_clips(annotations, tmp_path).reasons["c"]
