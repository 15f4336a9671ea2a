"""How a training runs, whatever it trains: one dataclass, shared by all tasks (no torch here)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class FitSettings:
    """Length, batches, precision, safety and evaluation of one training.

    Args:
        epochs: passes over the training data.
        max_updates: stop earlier, after this many optimiser updates.
        batch_size: samples a process computes at once.
        accumulate: how many such batches make one update.
        drop_last: leave out the last, incomplete batch of an epoch.
        precision: ``32-true``, ``bf16-mixed`` or ``16-mixed`` (with loss scaling).
        clip_norm: largest global L2 norm of the gradient; None for no clipping.
        ema_decay: keep an exponential moving average of all weights; None for none.
        evaluate_weights: which weights the evaluation sees, ``live`` or ``ema``.
        workers: loader processes; 0 loads in the training process.
        device: ``auto`` takes a GPU where there is one.
        processes: training processes on each node; 0 means one for each GPU.
        nodes: machines that train together.
        snapshot_minutes: time between snapshots, which a killed run continues from.
        snapshot_updates: updates between snapshots; None for time alone.
        log_every: updates that one log line averages over.
        evaluate_every: epochs between evaluations; 0 for none.
        evaluate_every_updates: the same in updates; None for epochs.
        evaluate_first: evaluate before the first update too.
        monitor: ``name:max`` or ``name:min``, the metric that decides which is best.
        keep_epochs: keep the weights of every epoch, not only the last and the best.
        deterministic: ask torch for deterministic algorithms (slower on a GPU).
    """

    epochs: int = 1
    max_updates: int | None = None
    batch_size: int = 1
    accumulate: int = 1
    drop_last: bool = True
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    clip_norm: float | None = None
    ema_decay: float | None = None
    evaluate_weights: Literal["live", "ema"] = "live"
    workers: int = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    processes: int = 1
    nodes: int = 1
    snapshot_minutes: float = 5.0
    snapshot_updates: int | None = None
    log_every: int = 20
    evaluate_every: int = 0
    evaluate_every_updates: int | None = None
    evaluate_first: bool = False
    monitor: str = ""
    keep_epochs: bool = False
    deterministic: bool = False


def updates_per_epoch(samples: int, settings: FitSettings, processes: int = 1) -> int:
    """Optimiser updates in one pass over the data; at least 1.

    Args:
        samples: length of the training data.
        processes: training processes over all nodes.
    """
    batch = settings.batch_size * settings.accumulate * processes
    whole = samples // batch if settings.drop_last else -(-samples // batch)
    return max(1, whole)


def total_updates(samples: int, settings: FitSettings, processes: int = 1) -> int:
    """Optimiser updates of the whole training."""
    planned = settings.epochs * updates_per_epoch(samples, settings, processes)
    return planned if settings.max_updates is None else min(planned, settings.max_updates)
