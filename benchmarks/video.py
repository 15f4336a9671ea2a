"""Speed of reading and cutting videos, as ratios in one run with a check that outputs are equal.

    OMP_NUM_THREADS=1 python -m benchmarks.video [--runs 3]

Others on the same file, one thread each: OpenCV and decord. The slow side of the
extraction is the official order of work: one decode for each clip. Times are CPU
seconds of this process. Ends with 1 when a bar is missed or outputs differ.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("EGOLIB_PROGRESS", "off")

import cv2
import numpy as np

from egolib.video import ClipPlan, Encoding, VideoPlan, VideoReader, VideoWriter, extract

SIZE, FRAMES, FPS = (1440, 1080), 300, 30
KEYS_SEC = 250 / FPS
Frames = list[np.ndarray]


def make_video(path: Path) -> Path:
    """A camera that moves over soft noise, with a key frame every 250 frames and B-frames."""
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


def compare(name: str, runs: int, works: dict[str, Callable[[], Frames]]) -> bool:
    """Prints the others' median CPU time over ours; whether outputs agree and ours is fastest."""
    times: dict[str, list[float]] = {work: [] for work in works}
    outputs: dict[str, Frames] = {}
    for _ in range(runs):
        for work, run in works.items():
            begin = time.process_time()
            outputs[work] = run()
            times[work].append(time.process_time() - begin)
    ours = statistics.median(times["ours"])
    good = True
    for work in [name for name in works if name != "ours"]:
        ratio = statistics.median(times[work]) / ours
        equal = len(outputs[work]) == len(outputs["ours"]) and all(
            np.abs(a.astype(int) - b).max() <= 2 for a, b in zip(outputs[work], outputs["ours"])
        )
        met = ratio >= 0.95 and equal
        good &= met
        verdict = ("met" if met else "MISSED") + ("" if equal else ", outputs DIFFER")
        print(f"{name:<36} ours {ours:6.2f} s, {work} / ours {ratio:5.2f}  >= 0.95 {verdict}")
    return good


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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    runs = parser.parse_args().runs
    cv2.setNumThreads(1)
    rng = np.random.default_rng(1)
    everything, some = list(range(FRAMES)), rng.integers(0, FRAMES, 25).tolist()
    with tempfile.TemporaryDirectory() as folder:
        path = make_video(Path(folder) / "video.mp4")
        good = True
        for name, numbers in (
            ("all frames in order", everything),
            ("every sixth frame", everything[::6]),
            ("25 random frames", some),
        ):
            works: dict[str, Callable[[], Frames]] = {
                "ours": lambda n=numbers: reader_frames(path, n),  # type: ignore[misc]
                "OpenCV": lambda n=numbers: opencv_frames(path, n),  # type: ignore[misc]
            }
            if find_spec("decord"):
                works["decord"] = lambda n=numbers: reader_frames(path, n, "decord")  # type: ignore[misc]
            good &= compare(name, runs, works)
        good &= compare(
            "clips and images of one video",
            1,
            {"ours": lambda: cut(path, True), "one at a time": lambda: cut(path, False)},
        )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
