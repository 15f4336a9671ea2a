"""Reading foreign files: what declared schemas cost, as ratios to parsing alone.

``python -m benchmarks.foreign_files [--nlq FILE ...] [--images 100000] [--before FOLDER]`` reads
the given NLQ files, complete, and a drawn CocoVID file, each several times, and prints the
fastest time of each beside that of ``json.loads``. ``--before`` names a checkout of an earlier
state of the package, whose readers are timed in a process of their own: the ratio should not
be above 2.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

TIMES = 3
_CODE = (
    "import sys; from benchmarks.foreign_files import readings; "
    "readings([*map(__import__('pathlib').Path, sys.argv[1:])])"
)


def draw_cocovid(path: Path, images: int) -> Path:
    """Writes a CocoVID file of videos of 100 images with two objects each."""
    content = {
        "categories": [{"id": n, "name": f"class {n}"} for n in range(1, 31)],
        "videos": [{"id": v, "name": f"video{v}"} for v in range(1, images // 100 + 1)],
        "images": [
            {"id": n + 1, "video_id": n // 100 + 1, "frame_id": n % 100, "height": 720,
             "width": 1280, "file_name": f"video{n // 100 + 1}/{n % 100:06d}.JPEG"}
            for n in range(images)
        ],
        "annotations": [
            {"id": n + 1, "image_id": n // 2 + 1, "category_id": n % 30 + 1, "area": 1200.0,
             "bbox": [10.0 + n % 500, 20.0, 30.0, 40.0], "instance_id": n % 2, "iscrowd": False}
            for n in range(2 * images)
        ],
    }  # fmt: skip
    path.write_text(json.dumps(content))
    return path


def fastest(read: Callable[[], object]) -> float:
    """Seconds of the fastest of several readings."""
    times = []
    for _ in range(TIMES):
        begin = time.perf_counter()
        read()
        times.append(time.perf_counter() - begin)
    return min(times)


def readings(files: list[Path]) -> None:
    """Prints one JSON object: the fastest reading of each file, in seconds, in this process."""
    from egolib.nlq.data.annotations import read_queries
    from egolib.vod.data.index import read_index

    found = {}
    for file in files:
        cache = file.with_name(file.name + ".index.npz")

        def read_anew(file: Path = file, cache: Path = cache) -> None:
            if file.name.startswith("cocovid"):
                read_index(file)
                cache.unlink(missing_ok=True)
            else:
                read_queries(file)

        found[str(file)] = fastest(read_anew)
    print(json.dumps(found))


def _in_checkout(folder: Path, files: list[Path]) -> dict[str, float]:
    """The readings by the package of another checkout."""
    code = Path(__file__).read_text()
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "benchmarks").mkdir()
        (Path(place) / "benchmarks" / "__init__.py").touch()
        (Path(place) / "benchmarks" / "foreign_files.py").write_text(code)
        paths = os.pathsep.join([place, str(folder)])
        done = subprocess.run(
            [sys.executable, "-c", _CODE, *map(str, files)],
            env=os.environ | {"PYTHONPATH": paths},
            cwd=place,
            check=True,
            capture_output=True,
            text=True,
        )
    times: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nlq", nargs="*", type=Path, default=[])
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--before", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        drawn = draw_cocovid(Path(folder) / "cocovid.json", asked.images)
        files = [*(file.resolve() for file in asked.nlq), drawn]
        now = _in_checkout(Path(__file__).parents[1], files)
        before = _in_checkout(asked.before.resolve(), files) if asked.before else {}
        for file in files:
            lines = file.suffix == ".jsonl"
            text = file.read_text()

            def parse(text: str = text, lines: bool = lines) -> object:
                return (
                    [json.loads(line) for line in text.split("\n")] if lines else json.loads(text)
                )

            plain, name = fastest(parse), str(file)
            line = f"{file.name:28} {now[name]:6.3f} s  {now[name] / plain:5.2f} times json.loads"
            if name in before:
                line += f"  {now[name] / before[name]:5.2f} times the earlier readers"
            print(line, flush=True)


if __name__ == "__main__":
    main()
