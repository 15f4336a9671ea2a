"""Speed of reading and cutting videos, as ratios in one run with a check that outputs are equal.

    OMP_NUM_THREADS=1 python -m benchmarks.video [--runs 3] [--only reading]

Others on the same file, one thread each: OpenCV and decord. The slow side of the
extraction is the official order of work: one decode for each clip. Times are CPU
seconds of this process. Ends with 1 when a bar is missed or outputs differ.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("EGOLIB_PROGRESS", "off")

import cv2
import numpy as np

from benchmarks.bars import Bar, median_ratio, run_parts, timed
from egolib.video import ClipPlan, Encoding, VideoPlan, VideoReader, VideoWriter, extract

SIZE, FRAMES, FPS = (1440, 1080), 300, 30
KEYS_SEC = 250 / FPS
LEAST = 0.95  # of the others' time over ours
Frames = list[np.ndarray]


@cache
def made_folder() -> tempfile.TemporaryDirectory[str]:
    """Holds the video while the benchmark runs."""
    return tempfile.TemporaryDirectory()


@cache
def make_video() -> Path:
    """A camera that moves over soft noise, with a key frame every 250 frames and B-frames."""
    path = Path(made_folder().name) / "video.mp4"
    rng = np.random.default_rng(0)
    width, height = SIZE
    scene = cv2.GaussianBlur(rng.random((height + 400, width + 1200, 3), np.float32), (0, 0), 6)
    scene = cv2.normalize(scene, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)  # type: ignore[call-overload]
    with VideoWriter(path, FPS, Encoding(preset="fast", keyframe_sec=KEYS_SEC)) as writer:
        for number in range(FRAMES):
            left, top = 3 * number, int(200 + 150 * np.sin(number / 25))
            image = scene[top : top + height, left : left + width].copy()
            cv2.circle(image, (200 + 3 * number, 500), 90, (220, 60, 40), -1)
            writer.write(image)
    return path


def opencv_frames(path: Path, numbers: list[int]) -> Frames:
    """RGB frames by OpenCV; reads on where the next number follows."""
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    position, images = 0, []
    for number in numbers:
        if number != position:
            capture.set(cv2.CAP_PROP_POS_FRAMES, number)
        images.append(cv2.cvtColor(capture.read()[1], cv2.COLOR_BGR2RGB)[::40, ::40].copy())
        position = number + 1
    return images


def reader_frames(path: Path, numbers: list[int], backend: str = "pyav") -> Frames:
    """RGB frames by our reader; a small part of each is kept, as proof of equality."""
    reader = VideoReader(path, backend)
    return [reader[number][::40, ::40].copy() for number in numbers]


def compare(name: str, runs: int, works: dict[str, Callable[[], Frames]]) -> list[Bar]:
    """The others' median CPU time over ours, and whether outputs agree.

    Args:
        name: what is read.
        runs: interleaved runs of each side.
        works: by name, one of them ``ours``.
    """
    times: dict[str, list[float]] = {work: [] for work in works}
    outputs: dict[str, Frames] = {}
    for _ in range(runs):
        for work, run in works.items():
            seconds, outputs[work] = timed(run)
            times[work].append(seconds)
    return [
        Bar(
            f"{name}: {work} / ours",
            median_ratio(times, work, "ours"),
            "x",
            LEAST,
            equal=agree(outputs[work], outputs["ours"]),
        )
        for work in works
        if work != "ours"
    ]


def agree(found: Frames, ours: Frames) -> bool:
    """As many frames, no value further apart than rounding."""
    if len(found) != len(ours):
        return False
    pairs = zip(found, ours, strict=True)
    return all(np.abs(a.astype(int) - b).max() <= 2 for a, b in pairs)


def cut(path: Path, together: bool) -> Frames:
    """Six overlapping clips at 5 frames per second and 30 images, 320 pixels high or less."""
    from egolib.video import ImagePlan, Resize

    small, quick = Resize(320, interpolation="bicubic"), Encoding(preset="ultrafast")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        starts = range(0, 180, 30)
        clips = [ClipPlan(out / f"{s}.mp4", range(s, s + 120, 6), 5, small, quick) for s in starts]
        images = [ImagePlan(out / f"{n}.png", n, small) for n in range(3, FRAMES, 10)]
        parts = [VideoPlan(path, clips, images)]
        if not together:
            parts = [VideoPlan(path, [clip]) for clip in clips]
            parts += [VideoPlan(path, [], [image]) for image in images]
        for part in parts:
            extract([part])
        shown = [f for s in starts for f in VideoReader(out / f"{s}.mp4").frames(0, None, 5)]
        return [image[::20, ::20].copy() for image in shown]


def reading(runs: int) -> list[Bar]:
    """Frames in order, some of them, and random ones."""
    cv2.setNumThreads(1)
    path, everything = make_video(), list(range(FRAMES))
    some = np.random.default_rng(1).integers(0, FRAMES, 25).tolist()
    wanted = {
        "all frames in order": everything,
        "every sixth frame": everything[::6],
        "25 random frames": some,
    }
    bars = []
    for name, numbers in wanted.items():
        works: dict[str, Callable[[], Frames]] = {
            "ours": partial(reader_frames, path, numbers),
            "OpenCV": partial(opencv_frames, path, numbers),
        }
        if find_spec("decord"):
            works["decord"] = partial(reader_frames, path, numbers, "decord")
        bars += compare(name, runs, works)
    return bars


def extraction(_runs: int) -> list[Bar]:
    """Clips and images of one video, all together and one at a time."""
    path = make_video()
    works: dict[str, Callable[[], Frames]] = {
        "ours": lambda: cut(path, True),
        "one at a time": lambda: cut(path, False),
    }
    return compare("clips and images", 1, works)


if __name__ == "__main__":
    sys.exit(run_parts({"reading": reading, "extraction": extraction}, __doc__))
