"""Peak memory of `egolib demo vod` on a long video against a short one.

    OMP_NUM_THREADS=1 python -m benchmarks.vod_memory VIDEO [--model PATH] [--fps 5]
        [--minutes 1,10] [--most 1.05]

The video is encoded once with the project's encoder and its packets are repeated to the
asked lengths. Each length is detected and drawn by a process of its own, which then states
its peak resident memory. Ends with 1 when the longest needs more than ``--most`` times the
memory of the shortest.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("EGOLIB_PROGRESS", "off")

import av

from egolib.cli import demos
from egolib.runs import inputs
from egolib.video import VideoReader, write_video

KIB_A_MIB = 1024


def loop(source: Path, out: Path, seconds: float) -> int:
    """Repeats a video without encoding it again; returns the number of frames written.

    Args:
        source: one pass, of constant rate, that starts with a key frame.
    """
    reader = VideoReader(source)
    times = max(round(seconds * reader.fps / len(reader)), 1)
    with av.open(str(source)) as start, av.open(str(out), "w") as target:
        stream = start.streams.video[0]
        copied = target.add_stream_from_template(stream)
        length = int(Fraction(len(reader)) / reader.rate / stream.time_base)
        for turn in range(times):
            start.seek(0)
            for packet in start.demux(stream):
                if packet.dts is None:
                    continue
                packet.pts += turn * length
                packet.dts += turn * length
                packet.stream = copied
                target.mux(packet)
    return times * len(reader)


def measure(video: Path, model: str, fps: float) -> None:
    """Detects and draws; prints frames, seconds and peak memory as JSON."""
    start = time.perf_counter()
    drawn = video.with_suffix(".drawn.mp4")
    [found, _] = demos.run("vod", video, [], model, None, None, fps, drawn)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB_A_MIB
    seconds = time.perf_counter() - start
    print(json.dumps({"found": found, "peak_mib": peak, "seconds": seconds}))


def in_own_process(video: Path, model: str, fps: float) -> dict:
    """What ``measure`` prints there."""
    command = [sys.executable, "-m", "benchmarks.vod_memory", str(video), "--model", model]
    command += ["--fps", str(fps), "--measure"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def compare(video: Path, model: str, fps: float, minutes: list[float], most: float) -> bool:
    """Measures every length; whether the longest stays within its bar."""
    peaks = []
    with tempfile.TemporaryDirectory() as folder:
        once = Path(folder) / "once.mp4"
        reader = VideoReader(video)
        write_video(once, reader, fps=reader.rate)
        for length in sorted(minutes):
            looped = Path(folder) / f"{length:g}.mp4"
            frames = loop(once, looped, 60 * length)
            if len(VideoReader(looped)) != frames:
                sys.exit(f"{looped.name} has {len(VideoReader(looped))} frames, not {frames}")
            row = in_own_process(looped, model, fps)
            peaks.append(row["peak_mib"])
            print(
                f"{length:>5g} min  {frames:>6} frames  {row['found']}  "
                f"{row['seconds']:.0f} s  peak {row['peak_mib']:.1f} MiB",
                flush=True,
            )
    ratio = peaks[-1] / peaks[0]
    held = ratio <= most
    print(f"longest / shortest: {ratio:.3f} (bar {most:g}): {'held' if held else 'MISSED'}")
    return held


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("video", type=Path)
    parser.add_argument("--model", help="as egolib demo takes it; the newest training by default")
    parser.add_argument("--fps", type=float, default=5.0)
    parser.add_argument("--minutes", default="1,10")
    parser.add_argument("--most", type=float, default=1.05)
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    model = str(inputs.locate(given.model, "vod"))
    if given.measure:
        measure(given.video, model, given.fps)
        return
    minutes = [float(text) for text in given.minutes.split(",")]
    sys.exit(0 if compare(given.video, model, given.fps, minutes, given.most) else 1)


if __name__ == "__main__":
    main()
