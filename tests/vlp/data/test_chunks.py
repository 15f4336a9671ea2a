from __future__ import annotations

from pathlib import Path

import pytest

from egolib.video import VideoReader
from egolib.vlp.data.chunks import (
    chunk_plan,
    chunk_videos,
    ego4d_targets,
    epic_targets,
    read_manifest,
    resize_plans,
    resize_videos,
    verify_chunks,
)
from tests.vlp.small import numbered_video, shown


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Videos of 3.5, 2.0 and 1.0 seconds at ten frames a second, and one that is broken."""
    folder = tmp_path_factory.mktemp("source")
    for name, frames in (("long", 35), ("even", 20), ("short", 10)):
        numbered_video(folder / f"{name}.mp4", frames)
    (folder / "broken.mp4").write_bytes(b"no video")
    return folder


@pytest.mark.parametrize(
    "length, expected",
    [
        (10, [(0, 10)]),
        (20, [(0, 20)]),  # exactly one chunk: copied
        (35, [(0, 20), (20, 35)]),
        (40, [(0, 20), (20, 40)]),  # an exact multiple has no empty chunk after it
        (41, [(0, 20), (20, 40), (40, 41)]),
    ],
)
def test_chunk_plan(length: int, expected: list) -> None:
    plan = chunk_plan("v", length, 10.0, "out", chunk_sec=2)
    assert [(p.frames.start, p.frames.stop) for p in plan] == expected
    assert [p.path for p in plan] == [Path(f"out/v/{i}.mp4") for i in range(len(expected))]
    assert [p.whole for p in plan] == ([True] if length <= 20 else [False] * len(expected))


def test_rates_of_2997_keep_frames_in_the_chunk_of_their_time() -> None:
    plan = chunk_plan("v", 40_000, 30000 / 1001, "out")
    assert plan[0].frames == range(17_983)  # frame 17,982 is shown at 599.9994 s
    assert plan[-1].frames.stop == 40_000


def test_chunking(source: Path, tmp_path: Path) -> None:
    outcome = chunk_videos(source, tmp_path, ["long", "short", "broken", "absent"], chunk_sec=2)
    assert len(outcome.written) == 3 and len(outcome.skipped) == 1
    first, second = (VideoReader(tmp_path / "long" / f"{i}.mp4") for i in range(2))
    assert (len(first), len(second)) == (20, 15)
    assert shown(second.batch([0, 14])) == [20, 34]
    copied = tmp_path / "short/0.mp4"
    assert copied.read_bytes() == (source / "short.mp4").read_bytes()
    again = chunk_videos(source, tmp_path, chunk_sec=2)
    assert {p.name for p in again.kept} == {"0.mp4", "1.mp4"} and len(again.kept) == 3
    assert [p.parent.name for p in again.written] == ["even"]


def test_verifying_names_what_is_missing_or_damaged(source: Path, tmp_path: Path) -> None:
    chunk_videos(source, tmp_path, ["long", "even", "short"], chunk_sec=2)
    good = verify_chunks(source, tmp_path, ["long", "even", "short"], chunk_sec=2)
    assert "4 of 4" in good.summary() and "all as expected" in good.summary()
    (tmp_path / "long/1.mp4").unlink()
    cut = tmp_path / "even/0.mp4"
    cut.write_bytes(cut.read_bytes()[:-200])
    numbered_video(tmp_path / "short/0.mp4", 7)
    report = verify_chunks(source, tmp_path, ["long", "even", "short", "broken"], chunk_sec=2)
    assert len(report.read_errors) == 4
    assert any("7 frames, 10 expected" in why for why in report.read_errors.reasons.values())


def test_resizing(source: Path, tmp_path: Path) -> None:
    videos = {k: v for k, v in ego4d_targets(source, tmp_path).items() if "even" not in k.name}
    outcome = resize_videos(videos, height=32)
    assert len(outcome.written) == 2
    assert any("broken" in record for record in outcome.skipped.reasons)
    video = VideoReader(tmp_path / "long.mp4")
    assert video.size == (42, 32) and len(video) == 35
    assert shown(video.batch([0, 34])) == [0, 34]
    assert len(resize_videos(videos, height=32).kept) == 2


def test_portraits_get_the_height_unless_asked_otherwise() -> None:
    def size(side: str) -> tuple[int, int]:
        (plan,) = resize_plans({Path("a"): Path("b.mp4")}, 256, side)  # type: ignore[arg-type]
        return plan.clips[0].resize.size((1080, 1920))

    assert size("height") == (144, 256)
    assert size("short") == (256, 454)


def test_epic_videos_go_to_their_participants(tmp_path: Path) -> None:
    (tmp_path / "P01").mkdir()
    (tmp_path / "P01/P01_01.MP4").touch()
    (tmp_path / "P02_103.mp4").touch()
    found = epic_targets(tmp_path, "out")
    assert list(found.values()) == [Path("out/P01/P01_01.MP4"), Path("out/P02/P02_103.MP4")]


def test_the_first_column_of_a_manifest_names_the_videos(tmp_path: Path) -> None:
    path = tmp_path / "manifest.csv"
    path.write_text("uid,size,duration\n001,5,600.5\nb,6,7\n")
    assert read_manifest(path) == ["001", "b"]
