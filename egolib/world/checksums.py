"""``manifest.csv``: one line a video, with checksums that do not depend on the codec."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from egolib.io.records import write_text
from egolib.io.tables import read_table

CHECK_EVERY = 50  # raw frames
COLUMNS = (
    "uid",
    "split",
    "index",
    "file",
    "frames",
    "fps",
    "width",
    "height",
    "seconds",
    "actions",
    "log_sha256",
    "frames_sha256",
)


@dataclass
class FrameChecksum:
    """SHA-256 over every 50th raw frame."""

    def __post_init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, index: int, image: np.ndarray) -> None:
        """Notes a frame when its turn comes."""
        if index % CHECK_EVERY == 0:
            self._digest.update(np.ascontiguousarray(image).tobytes())

    def value(self) -> str:
        """Hexadecimal checksum."""
        return self._digest.hexdigest()


def write_manifest(path: Path, rows: list[dict[str, str]]) -> Path:
    """Writes the table; equal worlds give equal bytes."""
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return write_text(path, table.to_csv(index=False, lineterminator="\n"))


def read_manifest(path: Path) -> pd.DataFrame:
    """The table of a world."""
    return read_table(path, COLUMNS)
