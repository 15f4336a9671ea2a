"""What a feature store says about its arrays, and what every store offers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from egolib.errors import EgolibError


@dataclass(frozen=True)
class Provenance:
    """What a store's arrays are.

    Args:
        kind: ``video`` (rows are windows in time) or ``text`` (rows are tokens).
        width: number of columns of every array.
        fps: frames per second that stride and window are counted in; None for text.
        stride_frames: distance between rows.
        window_frames: length of a row's window.
        model: what computed them, for instance a variant or a published name.
        model_hash: SHA-256 of its weights, or of the definition of a fixed projection.
    """

    kind: str
    width: int
    fps: float | None = None
    stride_frames: float | None = None
    window_frames: float | None = None
    model: str = "unknown"
    model_hash: str = "unknown"

    @property
    def rows_per_sec(self) -> float:
        """Rows in one second of video."""
        if not self.fps or not self.stride_frames:
            raise EgolibError("the store does not say its fps and stride")
        return self.fps / self.stride_frames


def differs(own: Provenance, trained: Provenance) -> bool:
    """Whether features are of other weights, or of another width, than those of a training.

    What is not known of either is believed.

    Args:
        own: what made the features.
        trained: what made those of the training.
    """
    if "unknown" in (own.model, trained.model):
        return False
    hashes = {own.model_hash, trained.model_hash} - {"unknown", ""}
    known = "unknown" not in (own.model_hash, trained.model_hash) and hashes
    same = len(hashes) == 1 if known else own.model == trained.model
    return not same or own.width != trained.width


@runtime_checkable
class Store(Protocol):
    """What every store offers: arrays (n, width) float32 by uid."""

    provenance: Provenance

    def get(self, uid: str) -> np.ndarray: ...

    def uids(self) -> list[str]: ...

    def length(self, uid: str) -> int: ...

    def __contains__(self, uid: object) -> bool: ...
