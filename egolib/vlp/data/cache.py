"""Small decoded frames of many videos on disk, so that training does not wait for decoders.

A cache is a folder with one uint8 array (frames, height, width, 3) per different file
and ``index.json``: path below the data root -> array, rate, and times where the rate
varies. Files that are the same on disk (hard links) share an array. Arrays are
memory-mapped, so that only the frames that are looked at are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from egolib.errors import EgolibError
from egolib.io.records import Skipped, atomic_path, read_json, write_json
from egolib.progress import track
from egolib.video import VideoReader, check_backend
from egolib.video.timing import TOLERANCE_SEC

INDEX = "index.json"
FRAMES = "frames"  #: the cache's folder in that of ``1_data``


class CachedVideo:
    """A video whose frames were decoded and made smaller before; see ``readers.Video``.

    Args:
        path: the array.
        fps: frames per second of the video.
        times_sec: when each frame is shown, where the rate varies.
    """

    def __init__(self, path: Path, fps: float, times_sec: Sequence[float] | None = None):
        self.fps = fps
        self._images = np.load(path, mmap_mode="r")
        times = np.arange(len(self._images)) / fps if times_sec is None else times_sec
        self._times_sec = np.asarray(times, np.float64)

    def __len__(self) -> int:
        return len(self._images)

    @property
    def duration_sec(self) -> float:
        """Length; the last frame is taken to be shown as long as the mean of all."""
        return float(self._times_sec[-1] + 1 / self.fps) if len(self) else 0.0

    def frame_at(self, sec: float) -> int:
        """The frame on screen so many seconds after the first one; the ends outside."""
        before = np.searchsorted(self._times_sec, sec + float(TOLERANCE_SEC), side="right")
        return max(int(before) - 1, 0)

    def batch(self, frames: Sequence[int]) -> np.ndarray:
        """Pictures (n, H, W, 3) uint8.

        Raises:
            IndexError: the video has no such frame.
        """
        numbers = np.asarray(frames, np.int64)
        if len(numbers) and not -len(self) <= numbers.min() <= numbers.max() < len(self):
            raise IndexError(f"frames {numbers.tolist()} of a video of {len(self)} frames")
        return np.asarray(self._images[numbers])


class FrameCache:
    """A folder of decoded frames, as ``write_cache`` made it.

    Raises:
        EgolibError: there is none.
    """

    def __init__(self, folder: str | Path, data_root: str | Path):
        self.folder, self.data_root = Path(folder), Path(data_root).absolute()
        self.index: dict[str, dict[str, Any]] = read_json(self.folder / INDEX, dict)["videos"]
        self._open: dict[str, CachedVideo] = {}

    def get(self, path: str | Path) -> CachedVideo:
        """The frames of a video file.

        Raises:
            EgolibError: the cache has no such file.
        """
        name = str(Path(path).absolute().relative_to(self.data_root))
        if name not in self._open:
            if name not in self.index:
                raise EgolibError("the frame cache has no such video", file=path)
            about = self.index[name]
            array, times = self.folder / about["array"], about.get("times_sec")
            self._open[name] = CachedVideo(array, about["fps"], times)
        return self._open[name]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_open": {}}


def write_cache(
    data_root: str | Path,
    videos: Iterable[Path],
    folder: str | Path,
    height: int,
    *,
    backend: str = "av",
) -> Skipped:
    """Decodes videos once and keeps their frames at one height; finished ones are kept.

    Args:
        data_root: folder that all videos lie below.
        videos: files.
        folder: where the cache lies.
        height: of the pictures in pixels; the width is proportional.
        backend: what decodes; see ``egolib.video.VideoReader``.

    Returns:
        Videos that could not be read.

    Raises:
        EgolibError: the back end is not installed.
    """
    backend = check_backend(backend)
    data_root, folder, skipped = Path(data_root).absolute(), Path(folder), Skipped()
    arrays: dict[tuple[int, int], dict[str, Any]] = {}
    index: dict[str, dict[str, Any]] = {}
    for path in track(sorted(videos), "decoding", unit="video"):
        name = str(path.absolute().relative_to(data_root))
        try:
            found = path.stat()
            key = (found.st_dev, found.st_ino)
            if key not in arrays:
                target = folder / f"{len(arrays):05d}_{height}.npy"
                arrays[key] = _decode(path, target, height, backend)
        except (EgolibError, OSError) as error:
            skipped.add(name, error)
            continue
        index[name] = arrays[key]
    write_json(folder / INDEX, {"height": height, "videos": index}, indent=1)
    return skipped


def _decode(path: Path, target: Path, height: int, backend: str) -> dict[str, Any]:
    """Writes one array; what the index says of it. An array of this file is kept."""
    import cv2

    stat = path.stat()
    note = target.with_suffix(".json")
    about: dict[str, Any] = {
        "array": target.name,
        "of": [str(path), stat.st_size, stat.st_mtime_ns, *([backend] * (backend != "av"))],
    }
    if target.is_file() and note.is_file():
        old: dict[str, Any] = read_json(note, dict)
        if old["of"] == about["of"]:
            return old
    with VideoReader(path, backend) as video:
        size = (round(video.size[0] * height / video.size[1]), height)
        images = [cv2.resize(i, size, interpolation=cv2.INTER_AREA) for i in video]
        about["fps"] = video.fps
        times = np.array([video.timestamp(i) - video.start_sec for i in range(len(video))])
        if video.varies:
            about["times_sec"] = times.round(6).tolist()
    with atomic_path(target) as temporary, temporary.open("wb") as stream:
        np.save(stream, np.stack(images))
    write_json(note, about)
    return about
