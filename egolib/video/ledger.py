"""What extraction made of each video: sizes and checksums, to notice what changed since."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from egolib.errors import EgolibError
from egolib.io.records import file_sha256, read_json, write_json
from egolib.video.plans import ClipPlan, ImagePlan, VideoPlan, is_made

Recheck = Literal["quick", "checksum", "decode"]

#: The hidden folder in each folder of targets: a file for each source video.
FOLDER = ".made"


class Ledger:
    """The sizes and checksums of what former runs made of a video.

    A ledger that is lost, damaged or cannot be written costs time, not truth: targets are
    then looked into.

    Args:
        plan: the video and its targets.
    """

    def __init__(self, plan: VideoPlan):
        self.plan = plan
        folders = {target.path.parent for target in plan.targets}
        self._entries = {folder: _read(self.file(folder)) for folder in folders}

    def file(self, folder: Path) -> Path:
        """Where the entries of a folder are kept."""
        return folder / FOLDER / f"{self.plan.source.name}.json"

    def holds(self, target: ClipPlan | ImagePlan, recheck: Recheck) -> bool:
        """Whether a target is there, made by the same plan and unchanged since.

        Args:
            target: what is wanted.
            recheck: how closely it is looked at; see ``extract``.
        """
        if not target.path.is_file() or not self._unchanged(target.path, recheck):
            return False
        return is_made(target, self.plan.source, recheck, self.plan.stream, self.plan.backend)

    def note(self, made: Iterable[Path]) -> None:
        """Stores size, time and checksum of files that were made or found right."""
        changed = set()
        for path in made:
            entries = self._entries[path.parent]
            if entries.get(path.name, {}).get("state") != _state(path):
                entries[path.name] = {"state": _state(path), "sha256": file_sha256(path)}
                changed.add(path.parent)
        for folder in changed:
            with suppress(EgolibError):
                write_json(self.file(folder), self._entries[folder], indent=0)

    def _unchanged(self, path: Path, recheck: Recheck) -> bool:
        entry = self._entries[path.parent].get(path.name)
        if entry is None:
            return True  # nobody knows: its content decides
        if entry["state"] == _state(path) and recheck == "quick":
            return True
        same_size: bool = entry["state"][0] == path.stat().st_size
        return same_size and entry["sha256"] == file_sha256(path)


def _state(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]


def _read(path: Path) -> dict[str, Any]:
    """Name of a target -> state and checksum; empty where there is no sound ledger."""
    try:
        found = read_json(path, dict)
    except EgolibError:
        return {}
    sound = all(isinstance(e, dict) and {"state", "sha256"} <= e.keys() for e in found.values())
    return found if sound else {}
