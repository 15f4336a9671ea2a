"""Whether the images of a CocoVID file are there, whole, and of the size that it states."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from egolib.errors import EgolibError
from egolib.io.records import Skipped
from egolib.progress import track
from egolib.video.images import image_size, read_image
from egolib.vod.config.data import DataConfig
from egolib.vod.data.index import VideoIndex

#: How a whole file ends, by its format; some programs write a little behind it.
ENDS = {".jpg": b"\xff\xd9", ".jpeg": b"\xff\xd9", ".png": b"IEND"}
LAST_BYTES = 4096
READERS = 8  # threads; most of the time goes into opening files


@dataclass
class ImageReport:
    """What was found.

    Args:
        wanted: images that the file names.
        missing: those that are not there.
        broken: those that are no image, or not whole.
        other_size: those of another size than the file says: boxes do not fit them.
    """

    wanted: int = 0
    missing: Skipped = field(default_factory=Skipped)
    broken: Skipped = field(default_factory=Skipped)
    other_size: Skipped = field(default_factory=Skipped)

    @property
    def absent(self) -> bool:
        """Whether none of the images is there: the annotations alone were looked at."""
        return 0 < self.wanted == len(self.missing)

    def notes(self) -> list[str]:
        """A sentence for each kind of problem, with the first image that has it."""
        found = {"are missing": self.missing, "are broken": self.broken}
        found |= {"are of another size than annotated": self.other_size}
        return [
            f"{len(own)} of {self.wanted} images {what}, first {next(iter(own.reasons.items()))[0]}"
            for what, own in found.items()
            if own
        ]

    def require_whole(self, part: str, file: Path) -> None:
        """Raises EgolibError where some of the images, not all of them, cannot be read.

        Args:
            part: of the configuration.
            file: the annotations.
        """
        unreadable = Skipped(self.missing.reasons | self.broken.reasons)
        if unreadable and not self.absent:
            raise EgolibError(
                f"{part}: images that cannot be read: {unreadable.summary()}",
                file=file,
                record=next(iter(unreadable.reasons)),
                remedy="copy them again, or take their frames out of the annotations",
            )


def image_folder(data: DataConfig, part: str) -> str:
    """The folder, below the data root, that a part's file names are below."""
    return data.images_det if part == "train_det" else data.images_vid


def look_at_images(index: VideoIndex, folder: str | Path) -> ImageReport:
    """Looks at the head and the end of every image; one without an end is decoded.

    Args:
        index: columns of the annotation file.
        folder: that its file names are below.
    """
    report, folder = ImageReport(len(index)), Path(folder)
    sizes = zip(index.width.tolist(), index.height.tolist(), strict=True)
    names = [index.path(row) for row in range(len(index))]
    if not _any_there(folder, names):
        for name in names:
            report.missing.add(name, "the file does not exist")
        return report
    with ThreadPoolExecutor(READERS) as pool:
        found = pool.map(_looked_at, (folder / name for name in names))
        shown = track(found, "looking at images", total=len(names), unit="image")
        for name, size, seen in zip(names, sizes, shown, strict=True):
            if isinstance(seen, tuple):
                if seen != size:
                    why = f"{seen[0]}x{seen[1]}, the annotation says {size[0]}x{size[1]}"
                    report.other_size.add(name, why)
            elif (folder / name).is_file():
                report.broken.add(name, seen.what)
            else:
                report.missing.add(name, seen.what)
    return report


def _any_there(folder: Path, names: list[str]) -> bool:
    return folder.is_dir() and any((folder / name).is_file() for name in names)


def _looked_at(path: Path) -> tuple[int, int] | EgolibError:
    """(width, height) of a whole image, or why it is none."""
    try:
        size = image_size(path)
        if not _has_end(path):
            read_image(path)
        return size
    except EgolibError as error:
        return error


def _has_end(path: Path) -> bool:
    wanted = ENDS.get(path.suffix.lower())
    with path.open("rb") as stream:
        length = stream.seek(0, 2)
        stream.seek(max(length - LAST_BYTES, 0))
        return wanted is not None and wanted in stream.read()
