"""Tracks in the result cache, so that a sweep over peak settings follows each start only once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from egolib.config import to_tree
from egolib.io.records import read_json
from egolib.runs.result_cache import ResultCache, cache_key
from egolib.vq2d.config import LocalizeConfig
from egolib.vq2d.localization.localize import Frames, Tracker
from egolib.vq2d.localization.tracks import Followed


def tracks_key(
    config: LocalizeConfig,
    *,
    weights: Iterable[str],
    data: str,
    matmul_precision: str = "highest",
) -> dict[str, Any]:
    """What tracks rest on.

    Args:
        config: the tracker and its settings.
        weights: SHA-256 of the tracker's weights.
        data: identifies the clips.
        matmul_precision: of float32 products on a GPU.
    """
    settings = to_tree(config).get(config.tracker)  # `none` has no settings
    return cache_key(
        "vq2d",
        weights=weights,
        tracker=config.tracker,
        settings=settings,
        data=data,
        matmul_precision=matmul_precision,
    )


class CachedTracker:
    """A tracker whose tracks of one query are kept.

    Args:
        tracker: asked for what is not kept.
        cache: of this tracker's tracks, one item a query.
        item: the query's key.
        earlier: the cache folder of an earlier step, which is read as well and never written.
    """

    def __init__(
        self, tracker: Tracker, cache: ResultCache, item: str, earlier: Path | None = None
    ):
        self.tracker, self.cache, self.item = tracker, cache, item
        self._tracks: dict[str, Any] = {}
        if earlier is not None and (file := earlier / cache.path(item, ".json").name).is_file():
            self._tracks |= read_json(file, dict)["result"]
        self._tracks |= cache.get_json(item) or {}

    def follow(
        self, frames: Frames, start_frame: int, end_frame: int, box_xyxy: Sequence[int], seed: int
    ) -> Followed:
        """See ``localize.Tracker``.

        Args:
            frames: gives the RGB frame (H, W, 3) uint8 of a clip frame, annotated size.
            start_frame: clip frame where the box is known.
            end_frame: first clip frame after the search window.
            box_xyxy: corners x1, y1, x2, y2 of the start box, integer pixels.
            seed: of the tracker's random numbers; part of the track's name in the cache.
        """
        name = f"{start_frame}:{end_frame}:{','.join(map(str, box_xyxy))}:{seed}"
        if name not in self._tracks:
            found = self.tracker.follow(frames, start_frame, end_frame, box_xyxy, seed)
            self._tracks[name] = {
                "rows": found.rows.tolist(),
                "responses": found.responses.tolist(),
            }
            self.cache.put_json(self.item, self._tracks)
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
        """See ``localize.Tracker``.

        Args:
            frames: gives the RGB frame (H, W, 3) uint8 of a clip frame, annotated size.
            start_frame: clip frame where the box is known.
            end_frame: first clip frame after the search window.
            box_xyxy: corners x1, y1, x2, y2 of the start box, integer pixels.
            seed: of the tracker's random numbers.
        """
        if self._made is None:
            self._made = self.make()
        return self._made.follow(frames, start_frame, end_frame, box_xyxy, seed)
