"""Random streams by name: what is drawn for one purpose never depends on another.

A stream is a generator seeded by the hash of its key, for instance
``stream("mini", 0, "train", 3, "camera")``. A new purpose gets a new key, so
adding a feature to the world reshuffles nothing that exists.
"""

from __future__ import annotations

import hashlib
import uuid

import numpy as np

Key = str | int


def stream(*key: Key) -> np.random.Generator:
    """The generator of a key (preset, seed, split, video, purpose)."""
    return np.random.Generator(np.random.PCG64(int.from_bytes(_digest(key)[:16], "little")))


def uid(*key: Key) -> str:
    """A UUID-shaped name that only its key decides."""
    return str(uuid.UUID(bytes=_digest(("uid", *key))[:16], version=4))


def _digest(key: tuple[Key, ...]) -> bytes:
    return hashlib.sha256("\x1f".join(str(part) for part in key).encode()).digest()
