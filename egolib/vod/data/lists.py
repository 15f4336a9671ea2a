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
from egolib.io.names import relative_path
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
    variant of ``VID_val_videos``) gives its third column as ``listed``. Of a video that is
    shorter than 15 frames some stand there twice.

    Raises:
        EgolibError: a line has other columns, a video two lengths or a frame beyond its end.
    """
    videos: dict[str, ListedVideo] = {}
    for number, parts in _rows(path):
        if len(parts) != 4:
            raise EgolibError(
                f"expected 4 columns, found {len(parts)}", file=path, record=f"line {number}"
            )
        name = relative_path(parts[0], file=path, record=f"line {number}")
        _, frame, length = (_whole(part, path, number) for part in parts[1:])
        video = videos.setdefault(name, ListedVideo(name, length))
        if video.frames != length:
            raise EgolibError(f"{name} has two lengths", file=path, record=f"line {number}")
        if frame > length:
            raise EgolibError(f"frame {frame} of {length}", file=path, record=f"line {number}")
        video.listed.append(frame)
    if not videos:
        raise EgolibError("the list is empty", file=path)
    return list(videos.values())


def read_images(path: str | Path) -> list[str]:
    """First column of a list: images without suffix, in order.

    Raises:
        EgolibError: a line has more than two columns, or an image stands twice.
    """
    images: dict[str, None] = {}
    for number, parts in _rows(path):
        name = relative_path(parts[0], file=path, record=f"line {number}")
        if len(parts) > 2 or name in images:
            what = f"{len(parts)} columns" if len(parts) > 2 else "the image stands twice"
            raise EgolibError(what, file=path, record=f"line {number}")
        images[name] = None
    if not images:
        raise EgolibError("the list is empty", file=path)
    return list(images)


def _rows(path: str | Path) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if line.strip():
            yield number, line.split()


def _whole(text: str, path: str | Path, number: int) -> int:
    if text.isascii() and text.isdecimal() and len(text) < 10:
        return int(text)
    raise EgolibError(f"{text[:40]!r} is no whole number", file=path, record=f"line {number}")
