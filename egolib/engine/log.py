"""The log of a training: ``metrics.jsonl`` (exactly resumable) and TensorBoard scalars."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from egolib.io.records import read_jsonl, unwritable


class TrainingLog:
    """Appends lines to ``metrics.jsonl``; a resumed run first cuts it back to its snapshot.

    Every line holds numbers that the run determines, and under ``time`` those that
    the machine determines.
    """

    def __init__(self, folder: Path, offset: int = 0, *, active: bool = True):
        self.path, self.active = folder / "metrics.jsonl", active
        self._board: Any = None
        self._shows = True  # on TensorBoard
        self._folder = folder
        if active:
            folder.mkdir(parents=True, exist_ok=True)
            self.path.touch()
            with self.path.open("rb+") as stream:
                stream.truncate(offset)

    @property
    def offset(self) -> int:
        """Length of the log in bytes, for a snapshot."""
        return self.path.stat().st_size if self.active else 0

    def write(self, kind: str, update: int, values: Mapping[str, Any], **machine: Any) -> None:
        """Adds one line of a kind (``train``, ``evaluate``).

        Args:
            kind: ``train`` or ``evaluate``.
            update: its number.
            values: names to numbers.
            machine: names to numbers that depend on the machine, such as times.
        """
        if not self.active:
            return
        line: dict[str, Any] = {"kind": kind, "update": update, **values}
        if machine:
            line["time"] = {k: round(v, 4) for k, v in machine.items()}
        try:
            with self.path.open("a") as stream:
                stream.write(json.dumps(line) + "\n")
        except OSError as error:
            raise unwritable(self.path, error) from error
        try:
            self._scalars(kind, update, values)
        except OSError as error:  # the training can do without
            self._shows = False
            print(f"nothing further for TensorBoard: {unwritable(self._folder, error)}", flush=True)

    def _scalars(self, kind: str, update: int, values: Mapping[str, Any]) -> None:
        if not self._shows:
            return
        if self._board is None:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(self._folder / "tensorboard", purge_step=update)
        for name, value in values.items():
            if isinstance(value, int | float):
                self._board.add_scalar(f"{kind}/{name}", value, update)

    def records(self) -> list[dict[str, Any]]:
        """All lines so far."""
        return read_jsonl(self.path)

    def close(self) -> None:
        """Flushes and closes the TensorBoard file."""
        if self._board is not None and self._shows:
            self._board.close()


class Averages:
    """Running sums of named tensors between two log lines, kept on their device."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.count = 0

    def add(self, values: Mapping[str, Tensor]) -> None:
        """Adds one update's values."""
        self.count += 1
        for name, value in values.items():
            value = value.detach().float()
            self.sums[name] = self.sums[name] + value if name in self.sums else value

    def take(self) -> dict[str, float]:
        """The means, rounded to what float32 holds; then starts anew."""
        means = {name: float(total) / max(self.count, 1) for name, total in self.sums.items()}
        self.sums, self.count = {}, 0
        return means

    def state_dict(self) -> dict[str, Any]:
        """For a snapshot."""
        return {"sums": {k: v.cpu() for k, v in self.sums.items()}, "count": self.count}

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        """From a snapshot."""
        self.sums = {k: v.to(device) for k, v in state["sums"].items()}
        self.count = state["count"]


class Stopwatch:
    """Seconds spent waiting for data and computing since the last reading."""

    def __init__(self) -> None:
        self.data_sec = self.compute_sec = 0.0
        self._last = time.perf_counter()

    def data(self) -> None:
        """The time since the last call went into waiting for data."""
        now = time.perf_counter()
        self.data_sec += now - self._last
        self._last = now

    def compute(self) -> None:
        """The time since the last call went into computing."""
        now = time.perf_counter()
        self.compute_sec += now - self._last
        self._last = now

    def take(self, samples: int) -> dict[str, float]:
        """Seconds by kind, samples a second and peak memory; then starts anew."""
        total = max(self.data_sec + self.compute_sec, 1e-9)
        reading = {
            "data_sec": self.data_sec,
            "compute_sec": self.compute_sec,
            "samples_per_sec": samples / total,
        }
        if torch.cuda.is_available():
            reading["gpu_gib"] = torch.cuda.max_memory_allocated() / 2**30
        self.data_sec = self.compute_sec = 0.0
        return reading
