"""Snapshots: everything that a killed training needs to go on as if nothing had happened."""

from __future__ import annotations

import random
import threading
from pathlib import Path
from typing import Any

import numpy as np
import torch

from egolib.errors import EgolibError
from egolib.io.records import atomic_path, file_sha256

#: Digits of the hash in a snapshot's name.
DIGITS = 16


class Snapshots:
    """The last two snapshots of a training, written beside it.

    A file's name carries the update and the first digits of its SHA-256, so that a whole
    file can be told from a damaged one; where the newest is damaged, the one before it is
    taken.

    Args:
        folder: of the training.
    """

    KEPT = 2

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._writer: threading.Thread | None = None
        self._failure: BaseException | None = None

    def files(self) -> list[Path]:
        """The snapshots, oldest first."""
        return sorted(self.folder.glob("snapshot-*.pt"))

    def read(self) -> dict[str, Any] | None:
        """The newest whole snapshot; None where there is none.

        Raises:
            EgolibError: there are snapshots, and all are damaged.
        """
        files = self.files()
        for file in reversed(files):
            content = _read(file)
            if content is not None:
                return content
            print(f"{file} is damaged, the snapshot before it is looked at", flush=True)
        if files:
            raise EgolibError(
                "no snapshot can be read",
                file=files[-1],
                remedy="remove the snapshots; the training then starts anew",
            )
        return None

    def write(self, content: dict[str, Any]) -> None:
        """Writes a snapshot while the training goes on; its tensors are copied before.

        Raises:
            EgolibError: the one before could not be written.
        """
        self.wait()
        copied = _on_cpu(content)
        self._writer = threading.Thread(target=self._write, args=(copied,), daemon=False)
        self._writer.start()

    def wait(self) -> None:
        """Waits until everything is on disk.

        Raises:
            EgolibError: it could not be written.
        """
        if self._writer is not None:
            self._writer.join()
            self._writer = None
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    def remove(self) -> None:
        """Removes all snapshots, for a training that starts anew."""
        for file in self.files():
            file.unlink()

    def _write(self, content: dict[str, Any]) -> None:
        try:
            target = self.folder / "snapshot.pt"
            with atomic_path(target) as temporary:
                torch.save(content, temporary)
                digest = file_sha256(temporary)[:DIGITS]
            target.replace(self.folder / f"snapshot-{content['update']:08d}-{digest}.pt")
            for old in self.files()[: -self.KEPT]:
                old.unlink()
        except BaseException as error:
            self._failure = error


def _read(file: Path) -> dict[str, Any] | None:
    """A snapshot's content; None where the file is not what its name says, or cannot be read."""
    if file_sha256(file)[:DIGITS] != file.stem.rpartition("-")[2]:
        return None
    try:
        content: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
        return content
    except Exception as error:
        raise EgolibError(
            f"the snapshot cannot be read: {error}",
            file=file,
            remedy="remove it; the training then starts from the one before, or anew",
        ) from error


def _on_cpu(value: Any) -> Any:
    """The same values with every tensor copied to the CPU."""
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {k: _on_cpu(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_on_cpu(v) for v in value)
    return value


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
