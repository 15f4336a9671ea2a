"""Snapshots: everything that a killed training needs to go on as if nothing had happened."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import torch

from egolib.errors import EgolibError
from egolib.io.records import atomic_path


def write_snapshot(path: Path, content: dict[str, Any]) -> None:
    """Writes tensors and plain values atomically."""
    with atomic_path(path) as temporary:
        torch.save(content, temporary)


def read_snapshot(path: Path) -> dict[str, Any] | None:
    """The snapshot, or None where there is none.

    Raises:
        EgolibError: the file cannot be read.
    """
    if not path.is_file():
        return None
    try:
        result: dict[str, Any] | None = torch.load(path, map_location="cpu", weights_only=True)
        return result
    except Exception as error:
        raise EgolibError(
            f"the snapshot cannot be read: {error}",
            file=path,
            remedy="remove it; the training then starts anew",
        ) from error


def random_state() -> dict[str, Any]:
    """States of the generators of Python, NumPy and torch, as plain values and tensors."""
    legacy: Any = np.random.get_state(legacy=True)
    name, keys, position, has_gauss, gauss = legacy
    state: dict[str, Any] = {
        "python": random.getstate(),
        "numpy": (name, torch.from_numpy(keys.astype(np.int64)), position, has_gauss, gauss),
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def restore_random_state(state: dict[str, Any]) -> None:
    """Sets the generators of Python, NumPy and torch."""
    version, values, gauss_next = state["python"]
    random.setstate((version, tuple(values), gauss_next))
    name, keys, position, has_gauss, gauss = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, gauss))
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])


def seed_everything(seed: int, rank: int = 0) -> None:
    """Seeds the generators of Python, NumPy and torch; each process gets its own stream."""
    random.seed(seed + rank)
    np.random.seed((seed + rank) % 2**32)
    torch.manual_seed(seed + rank)
