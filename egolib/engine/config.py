"""How a training runs, whatever it trains: settings that all tasks share (no torch here)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from egolib.errors import EgolibError

#: Fields of ``fit`` that say what a training runs on and not what it computes: a snapshot is
#: continued whatever they are.
RESOURCES = (
    "micro_batch_size",
    "workers",
    "device",
    "processes",
    "nodes",
    "max_restarts",
    "snapshot_minutes",
    "snapshot_updates",
    "compile",
)


@dataclass(frozen=True)
class FitConfig:
    """Length, batches, precision, safety and evaluation of one training.

    Args:
        epochs: passes over the training data.
        max_updates: stop earlier, after this many optimiser updates.
        batch_size: samples of one update, over all processes and nodes.
        micro_batch_size: samples that a process computes at once, which decides the memory
            that it takes; None for all of its part of ``batch_size``. An update adds up the
            gradients of as many micro-batches as it needs.
        drop_last: leave out the last, incomplete batch of an epoch.
        precision: ``32-true``, ``bf16-mixed`` or ``16-mixed`` (with loss scaling).
        matmul_precision: of float32 products on a GPU: ``highest`` is float32 itself, ``high``
            TensorFloat-32.
        compile: ``auto`` compiles the blocks that a task names, on a GPU, which takes a minute
            or two at the first update; ``off`` compiles nothing.
        clip_norm: largest global L2 norm of the gradient; None for no clipping.
        ema_decay: keep an exponential moving average of all weights; None for none.
        evaluate_weights: which weights the evaluation sees, ``live`` or ``ema``.
        workers: loader processes; 0 loads in the training process.
        device: ``auto`` takes a GPU where there is one.
        processes: training processes on each node; 0 means one for each GPU.
        nodes: machines that train together.
        max_restarts: how often processes that died are started again from the last snapshot
            (one node).
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
    micro_batch_size: int | None = None
    drop_last: bool = True
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    matmul_precision: Literal["highest", "high"] = "highest"
    compile: Literal["auto", "off"] = "auto"
    clip_norm: float | None = None
    ema_decay: float | None = None
    evaluate_weights: Literal["live", "ema"] = "live"
    workers: int = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    processes: int = 1
    nodes: int = 1
    max_restarts: int = 1
    snapshot_minutes: float = 5.0
    snapshot_updates: int | None = None
    log_every: int = 20
    evaluate_every: int = 0
    evaluate_every_updates: int | None = None
    evaluate_first: bool = False
    monitor: str = ""
    keep_epochs: bool = False
    deterministic: bool = False


@dataclass(frozen=True)
class BatchPlan:
    """How processes share the samples of one update.

    Args:
        global_size: samples of an update.
        micro_size: samples that a process computes at once.
        accumulate: micro-batches of a process in an update.
        processes: over all nodes.
    """

    global_size: int
    micro_size: int
    accumulate: int
    processes: int


def batch_plan(settings: FitConfig, processes: int = 1) -> BatchPlan:
    """How ``processes`` share an update, so that its size does not depend on their number.

    Raises:
        EgolibError: the update cannot be divided evenly; the arithmetic is in the message.
    """
    each, rest = divmod(settings.batch_size, processes)
    micro = min(settings.micro_batch_size or each, each)
    if rest or not each or each % micro:
        raise EgolibError(
            f"an update of {settings.batch_size} samples (fit.batch_size) cannot be divided into "
            f"{processes} processes x micro-batches of {micro or settings.micro_batch_size}",
            remedy="choose fit.batch_size = processes x fit.micro_batch_size x a whole number",
        )
    return BatchPlan(settings.batch_size, micro, each // micro, processes)


def updates_per_epoch(samples: int, settings: FitConfig) -> int:
    """Optimiser updates in one pass over ``samples`` training samples; at least 1."""
    size = settings.batch_size
    return max(1, samples // size if settings.drop_last else -(-samples // size))


def total_updates(samples: int, settings: FitConfig) -> int:
    """Optimiser updates of the whole training."""
    planned = settings.epochs * updates_per_epoch(samples, settings)
    return planned if settings.max_updates is None else min(planned, settings.max_updates)


@dataclass(frozen=True)
class OptimConfig:
    """Optimiser, learning rate and schedule; every task adds what is particular to it.

    Args:
        optimizer: ``adamw``, ``sgd``.
        learning_rate: the effective base rate, for the whole update of ``fit.batch_size``.
        momentum: of SGD.
        betas: decay of AdamW's two moments.
        epsilon: of AdamW.
        weight_decay: of the weights that decay.
        backbone_lr_factor: factor on the rate of the backbone (what is not a head).
        warmup_updates: updates over which the rate rises linearly.
        warmup_start_factor: factor on the rate at the first update of the warm-up.
        schedule: ``constant``, ``multistep``, ``cosine`` or ``polynomial``, after the warm-up.
        milestones: where ``multistep`` multiplies the rate by ``gamma``, in ``milestone_unit``.
        milestone_unit: ``updates`` or ``epochs``.
        gamma: that factor.
    """

    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = 1e-4
    momentum: float = 0.9
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    weight_decay: float = 0.0
    backbone_lr_factor: float = 1.0
    warmup_updates: int = 0
    warmup_start_factor: float = 0.0
    schedule: Literal["constant", "multistep", "cosine", "polynomial"] = "constant"
    milestones: tuple[int, ...] = ()
    milestone_unit: Literal["updates", "epochs"] = "updates"
    gamma: float = 0.1
