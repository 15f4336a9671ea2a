"""Tracks that are kept, so that a sweep over peak settings follows each start only once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from egolib.io.records import read_json, write_json
from egolib.vq2d.localization.localize import Frames, Tracker
from egolib.vq2d.localization.tracks import Followed


class RememberedTracks:
    """A tracker whose tracks are kept in a file.

    Args:
        tracker: asked for what is not in the file.
        path: JSON, one per query.
        identity: names the tracker, its weights and settings; a file of another is replaced.
        earlier: a file of the same kind that is read as well, and never written.
    """

    def __init__(
        self, tracker: Tracker, path: str | Path, identity: str, earlier: str | Path | None = None
    ):
        self.tracker, self.path, self.identity = tracker, Path(path), identity
        self._tracks: dict[str, Any] = {} if earlier is None else self._read(Path(earlier))
        self._tracks |= self._read(self.path)

    def _read(self, path: Path) -> dict[str, Any]:
        if not path.is_file():
            return {}
        content = read_json(path, dict)
        return content["tracks"] if content.get("identity") == self.identity else {}

    def follow(
        self, frames: Frames, start_frame: int, end_frame: int, box_xyxy: Sequence[int], seed: int
    ) -> Followed:
        """See ``localize.Tracker``."""
        name = f"{start_frame}:{end_frame}:{','.join(map(str, box_xyxy))}:{seed}"
        if name not in self._tracks:
            found = self.tracker.follow(frames, start_frame, end_frame, box_xyxy, seed)
            self._tracks[name] = {
                "rows": found.rows.tolist(),
                "responses": found.responses.tolist(),
            }
            write_json(self.path, {"identity": self.identity, "tracks": self._tracks})
        kept = self._tracks[name]
        rows = np.array(kept["rows"], np.int64).reshape(-1, 5)
        return Followed(rows, np.array(kept["responses"]))


class LateTracker:
    """A tracker that is made when it is first asked; most replays never ask.

    Args:
        make: gives the tracker.
    """

    def __init__(self, make: Callable[[], Tracker]):
        self.make = make
        self._made: Tracker | None = None

    def follow(
        self, frames: Frames, start_frame: int, end_frame: int, box_xyxy: Sequence[int], seed: int
    ) -> Followed:
        """See ``localize.Tracker``."""
        if self._made is None:
            self._made = self.make()
        return self._made.follow(frames, start_frame, end_frame, box_xyxy, seed)
