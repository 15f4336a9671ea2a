"""The list files of ImageNet VID and DET (from Flow-Guided-Feature-Aggregation).

Blank-separated columns. ``VID_train_15frames``: video, 1, 0-based frame, frames of the
video. ``VID_val_videos``: video, 1-based number of its first frame over the whole set,
0, frames of the video. ``DET_train_30classes``: image without suffix, 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from egolib.errors import EgolibError
from egolib.io.records import read_text

FOLDERS = ("Lists", "ImageSets")
VID_TRAIN, VID_VAL, DET_TRAIN = "VID_train_15frames", "VID_val_videos", "DET_train_30classes"


@dataclass
class ListedVideo:
    """A video of a list: its name, its length, and the frames that the list names."""

    name: str
    frames: int
    listed: list[int] = field(default_factory=list)


def find_list(root: str | Path, name: str, folder: str | Path | None = None) -> Path:
    """The file of a list below an ILSVRC folder.

    Official behaviour: the READMEs say ``ImageSets``, the converters read ``Lists``; both
    are searched, in that order of preference.

    Args:
        root: the ILSVRC folder.
        name: of the list, without suffix.
        folder: searched instead of the two.

    Raises:
        EgolibError: no such list.
    """
    root = Path(root)
    places = [Path(folder)] if folder else [root / f for f in FOLDERS]
    places += [p / "VID" for p in places] + [root]
    for place in places:
        if (place / f"{name}.txt").is_file():
            return place / f"{name}.txt"
    raise EgolibError(
        f"the list {name}.txt was not found",
        file=root,
        remedy="it comes from github.com/msracver/Flow-Guided-Feature-Aggregation, "
        "data/ILSVRC2015/ImageSets; ILSVRC2017 archives have other lists",
    )


def read_videos(path: str | Path) -> list[ListedVideo]:
    """The videos of a list, in the order of first appearance.

    A list with one line a frame (``VID_train_15frames``, or mega.pytorch's 4-column
    variant of ``VID_val_videos``) gives its third column as ``listed``.

    Raises:
        EgolibError: a line has other columns, or a video two lengths.
    """
    videos: dict[str, ListedVideo] = {}
    for number, parts in _rows(path):
        if len(parts) != 4:
            raise EgolibError(
                f"expected 4 columns, found {len(parts)}", file=path, record=f"line {number}"
            )
        name, frame, length = (
            parts[0],
            _whole(parts[2], path, number),
            _whole(parts[3], path, number),
        )
        video = videos.setdefault(name, ListedVideo(name, length))
        if video.frames != length:
            raise EgolibError(f"{name} has two lengths", file=path, record=f"line {number}")
        video.listed.append(frame)
    return list(videos.values())


def read_images(path: str | Path) -> list[str]:
    """First column of a list: images without suffix, in order."""
    return [parts[0] for _, parts in _rows(path)]


def _rows(path: str | Path) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if line.strip():
            yield number, line.split()


def _whole(text: str, path: str | Path, number: int) -> int:
    try:
        return int(text)
    except ValueError:
        raise EgolibError(
            f"{text!r} is no whole number", file=path, record=f"line {number}"
        ) from None
