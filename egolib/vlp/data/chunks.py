"""Preparing videos: one height, and pieces of ten minutes.

Both steps go through ``egolib.video.extract``: one pass over a video, files that
appear whole or not at all, finished ones kept, unreadable ones listed.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from egolib.errors import EgolibError
from egolib.io.names import file_name
from egolib.io.records import Skipped, atomic_path
from egolib.io.schema import require_unique
from egolib.io.tables import line_of, read_table, require_texts
from egolib.progress import track
from egolib.video import (
    ClipPlan,
    Encoding,
    Resize,
    VideoPlan,
    VideoReader,
    check_frames,
    chunks,
    extract,
)
from egolib.video.extract import Extraction

#: FFmpeg's own defaults, which the official commands leave as they are.
ENCODING = Encoding(crf=23)


# -------------------------------------------------------------------------- resizing


def resize_plans(
    videos: Mapping[Path, Path],
    height: int = 256,
    side: Literal["height", "short"] = "height",
) -> list[VideoPlan]:
    """Plans that bring videos to one height, sound copied.

    Official behaviour: the *height* becomes 256, also of portrait videos, although
    the text says the short side; ``short`` does what it says.

    Args:
        videos: source file to target file.
        height: in pixels; the width is proportional, rounded down to an even number.
        side: that gets it, ``height`` or ``short``.
    """
    resize = Resize(height, width="down", side=side, interpolation="bicubic")
    return [
        VideoPlan(source, [ClipPlan(target, resize=resize, encoding=ENCODING, audio="copy")])
        for source, target in videos.items()
    ]


def ego4d_targets(source: str | Path, target: str | Path) -> dict[Path, Path]:
    """Every ``*.mp4`` of a folder, and its place in another folder."""
    return {file: Path(target) / file.name for file in sorted(Path(source).glob("*.mp4"))}


def epic_targets(source: str | Path, target: str | Path) -> dict[Path, Path]:
    """EPIC-KITCHENS videos (``P01/P01_01.MP4``), and their places in ``video_ht256px``."""
    source = Path(source)
    files = sorted(file for file in source.rglob("*") if file.suffix.lower() == ".mp4")
    return {file: Path(target) / file.stem.split("_")[0] / f"{file.stem}.MP4" for file in files}


def resize_videos(
    videos: Mapping[Path, Path],
    *,
    height: int = 256,
    side: Literal["height", "short"] = "height",
    workers: int = 1,
) -> Extraction:
    """Resizes videos; what is there already is kept, what cannot be read is listed.

    Args:
        videos: source file to target file.
        height: in pixels; the width is proportional, rounded down to an even number.
        side: that gets it, ``height`` or ``short``; see ``resize_plans``.
        workers: processes; each works on one video at a time.
    """
    return extract(resize_plans(videos, height, side), workers=workers)


# -------------------------------------------------------------------------- chunking


@dataclass(frozen=True)
class ChunkPlan:
    """One chunk of a video.

    Args:
        path: ``<out>/<uid>/<number>.mp4``.
        frames: source frames.
        whole: the video is short enough to be copied as it is.
    """

    path: Path
    frames: range
    whole: bool


def chunk_plan(
    uid: str, length: int, fps: float, out: str | Path, chunk_sec: int = 600
) -> list[ChunkPlan]:
    """The chunks of a video: consecutive stretches of ten minutes, the last one shorter.

    Official behaviour: a video that is an exact multiple of ten minutes long gets a
    further, empty chunk, which is a broken file. Here it does not.

    Args:
        uid: of the video.
        length: its frames.
        fps: its rate.
        out: folder of all chunks.
        chunk_sec: length of a chunk.
    """
    folder = Path(out) / uid
    if length / fps <= chunk_sec:
        return [ChunkPlan(folder / "0.mp4", range(length), whole=True)]
    parts = chunks(length, fps, chunk_sec)
    return [ChunkPlan(folder / f"{i}.mp4", part, whole=False) for i, part in enumerate(parts)]


def chunk_videos(
    source: str | Path,
    out: str | Path,
    uids: Iterable[str] | None = None,
    *,
    chunk_sec: int = 600,
    workers: int = 1,
) -> Extraction:
    """Cuts the videos of a folder into ``<out>/<uid>/{0,1,2,...}.mp4``.

    Args:
        source: folder of the videos.
        out: folder of the chunks.
        uids: videos by name without suffix; None for all. Those without a file are
            skipped, matching the official code.
        chunk_sec: length of a chunk.
        workers: processes.
    """
    files = {file.stem: file for file in sorted(Path(source).glob("*.mp4"))}
    wanted = [u for u in (files if uids is None else uids) if u in files]
    total, plans = Extraction(), []
    for uid in wanted:
        try:
            video = VideoReader(files[uid])
        except EgolibError as error:
            total.skipped.add(files[uid], error.what)
            continue
        parts = chunk_plan(uid, len(video), float(video.rate), out, chunk_sec)
        video.close()
        if parts[0].whole:
            _copy(files[uid], parts[0].path, total)
        else:
            clips = [ClipPlan(p.path, p.frames, encoding=ENCODING, audio="copy") for p in parts]
            plans.append(VideoPlan(files[uid], clips))
    total.add(extract(plans, workers=workers))
    return total


def read_manifest(path: str | Path) -> list[str]:
    """The uids of a manifest: its first column, whatever that is called."""
    table = read_table(path, dtype=str, keep_default_na=False)
    uids = require_texts(table, table.columns[0], path)
    for row, uid in enumerate(uids):
        file_name(uid, file=path, record=line_of(table, row))
    require_unique(uids, "uid", file=path)
    return uids


def _copy(source: Path, target: Path, outcome: Extraction) -> None:
    if target.is_file() and target.stat().st_size == source.stat().st_size:
        outcome.kept.append(target)
        return
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)
    outcome.written.append(target)


# ------------------------------------------------------------------------ verifying


@dataclass
class ChunkReport:
    """Which chunks there should be, and what they are.

    Args:
        expected: chunk to its number of frames.
        readable: chunk to the number of frames that it has, all of which decode.
        read_errors: chunks that are missing, damaged or of another length, with reasons.
    """

    expected: dict[Path, int] = field(default_factory=dict)
    readable: dict[Path, int] = field(default_factory=dict)
    read_errors: Skipped = field(default_factory=Skipped)

    def summary(self) -> str:
        """Counts, then what is wrong."""
        counts = f"{len(self.readable)} of {len(self.expected)} chunks are readable"
        return f"{counts}; {self.read_errors.summary() if self.read_errors else 'all as expected'}"


def verify_chunks(
    source: str | Path, out: str | Path, uids: Iterable[str], chunk_sec: int = 600
) -> ChunkReport:
    """Decodes every chunk and compares it with the video that it was cut from.

    Args:
        source: folder of the videos, ``<uid>.mp4``.
        out: folder of the chunks, ``<out>/<uid>/<number>.mp4``.
        uids: videos by name without suffix; one that cannot be read is listed.
        chunk_sec: length of a chunk, in seconds.
    """
    report = ChunkReport()
    for uid in track(list(uids), "verifying", unit="video"):
        try:
            video = VideoReader(Path(source) / f"{uid}.mp4")
        except EgolibError as error:
            report.read_errors.add(uid, error.what)
            continue
        for part in chunk_plan(uid, len(video), float(video.rate), out, chunk_sec):
            _verify(part, report)
        video.close()
    return report


def _verify(part: ChunkPlan, report: ChunkReport) -> None:
    report.expected[part.path] = len(part.frames)
    try:
        found = check_frames(part.path)
    except EgolibError as error:
        report.read_errors.add(part.path, error.what)
        return
    report.readable[part.path] = found
    if found != len(part.frames):
        report.read_errors.add(part.path, f"{found} frames, {len(part.frames)} expected")
