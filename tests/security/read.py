"""Reads files in a process of its own: ``python -m tests.security.read READER FOLDER``.

Prints one JSON line a file: its name and what came of it (``error`` or ``value``).
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from egolib.errors import EgolibError

MEMORY = 8 << 30  # bytes; more is taken for an attempt to fill the machine


def read_weights(path: Path) -> Any:
    from egolib.io import checkpoint

    return checkpoint.find_weights(checkpoint.read_foreign(path), file=path)


def read_cache(path: Path) -> Any:
    from egolib.vq2d.formats.detections import read_official

    return read_official(path)


def read_relevancies(path: Path) -> Any:
    from egolib.vlp.data.epic import read_relevancy

    return read_relevancy(path)


def read_results(path: Path) -> Any:
    from egolib.vod.formats import submission

    read = getattr(submission, "read", None) or submission.read_detections
    return read(path)


def read_features(path: Path) -> Any:
    from egolib.io.features import open_store

    store = open_store(path)
    return [store.get(uid) for uid in store.uids()]


READERS: dict[str, Callable[[Path], Any]] = {
    "weights": read_weights,
    "cache": read_cache,
    "relevancies": read_relevancies,
    "results": read_results,
    "features": read_features,
}


def main(reader: str, folder: Path) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for path in sorted(folder.iterdir()):
        begin = time.monotonic()
        try:
            READERS[reader](path)
            outcome = "value"
        except EgolibError:
            outcome = "error"
        seconds = time.monotonic() - begin
        print(json.dumps({"file": path.name, "outcome": outcome, "seconds": seconds}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]).resolve())
