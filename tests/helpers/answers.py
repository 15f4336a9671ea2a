"""What the steps of two runs are for, to be compared byte by byte."""

from __future__ import annotations

from pathlib import Path

NOT_ANSWERS = ("result.json", "node.json", "stamp.json", "progress.json", "inference.json")
CACHES = ("result_cache", "videos", "answers", "detections", "tracks")


def answers(folder: Path) -> dict[str, bytes]:
    """The files that the step is for, by name; notebooks, logs and caches are not."""
    files = [f.relative_to(folder) for f in folder.rglob("*") if f.suffix in (".npz", ".json")]
    return {
        str(file): (folder / file).read_bytes()
        for file in files
        if file.name not in NOT_ANSWERS and file.parts[0] not in CACHES
    }


def weights(folder: Path) -> dict[str, bytes]:
    """The weights that a step wrote, by name."""
    files = sorted(folder.rglob("*.safetensors"))
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}
