"""The training loop that all tasks share, on Lightning Fabric.

It resumes exactly: a run that was killed at any update and started again gives
the same weights and the same log, bit for bit on a CPU.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from egolib.engine import distributed
from egolib.engine.config import FitConfig, batch_plan, total_updates, updates_per_epoch
from egolib.engine.host_copy import HostCopy
from egolib.engine.job import Held, Job, MovingAverage, Objective
from egolib.engine.loading import UpdateSampler, epoch_order, loader
from egolib.engine.log import Averages, Stopwatch, TrainingLog
from egolib.engine.precision import set_matmul_precision
from egolib.engine.process import asked_to_stop, make_fabric
from egolib.engine.snapshot import (
    Snapshots,
    random_state,
    restore_random_state,
    seed_everything,
)
from egolib.errors import EgolibError
from egolib.io import checkpoint
from egolib.nn.compiled import compile_blocks
from egolib.progress import Progress


@dataclass(frozen=True)
class FitResult:
    """What a training left behind.

    Args:
        weights: the last weights (``model.safetensors``).
        best: the best weights by the monitored metric; None without one.
        ema: the averaged weights; None without averaging.
        records: the lines of ``metrics.jsonl``.
        updates: optimiser updates.
    """

    weights: Path
    best: Path | None
    ema: Path | None
    records: list[dict[str, Any]]
    updates: int

    def losses(self) -> list[dict[str, Any]]:
        """The training lines of the log."""
        return [r for r in self.records if r["kind"] == "train"]

    def evaluations(self) -> list[dict[str, Any]]:
        """The evaluation lines of the log."""
        return [r for r in self.records if r["kind"] == "evaluate"]


def fit(
    build: Callable[[], Job],
    settings: FitConfig,
    out: str | Path,
    *,
    seed: int,
    fingerprint: str,
    what: str = "train",
) -> FitResult:
    """Trains a job, or continues it where a killed run of the same fingerprint stopped.

    Args:
        build: makes the job; called after all generators were seeded.
        settings: length, batch, precision and what is kept.
        out: folder for weights, log and snapshot.
        seed: of all generators.
        fingerprint: identifies configuration and data; a snapshot of another one is
            discarded and the training starts anew.
        what: the name that progress shows.

    Raises:
        EgolibError: no training data, or a loss that is not finite (the last good
            snapshot and all finished checkpoints stay).
    """
    set_matmul_precision(settings.matmul_precision)
    if settings.deterministic:
        torch.use_deterministic_algorithms(True, warn_only=True)
    fabric = make_fabric(settings)
    seed_everything(seed, fabric.global_rank)
    training = _Training(fabric, build(), settings, Path(out), seed, fingerprint, what)
    training.resume()
    try:
        with asked_to_stop() as stop:
            training.run(stop)
        return training.finish()
    finally:
        training.snapshots.wait()


class _Training:
    """The state of one running training; ``update`` counts finished updates."""

    def __init__(
        self,
        fabric: Fabric,
        job: Job,
        settings: FitConfig,
        out: Path,
        seed: int,
        fingerprint: str,
        what: str,
    ):
        self.fabric, self.job, self.settings = fabric, job, settings
        self.out, self.seed, self.fingerprint, self.what = out, seed, fingerprint, what
        self.samples = len(epoch_order(job.data, 0, seed)) if len(job.data) else 0
        self.batch = batch_plan(settings, fabric.world_size)
        self.per_epoch = updates_per_epoch(self.samples, settings)
        self.total = total_updates(self.samples, settings)
        for group in job.optimizer.param_groups:
            group["base_lr"] = group["lr"]
        self.compiled = self._compile()
        self.objective, self.optimizer = fabric.setup(Objective(job.model, job.loss), job.optimizer)
        self.ema = (
            MovingAverage(job.model, settings.ema_decay, job.ema_initial)
            if settings.ema_decay is not None
            else None
        )
        self.snapshots = Snapshots(self.out)
        self.update = 0
        self.best: float | None = None
        self.averages = Averages()
        self.unchecked: list[HostCopy] = []
        self.finished = False
        self.snapshot_time = time.monotonic()

    def _compile(self) -> int:
        """Compiles the task's blocks where that pays; how many."""
        if self.settings.compile == "off" or self.fabric.device.type != "cuda":
            return 0
        return compile_blocks(self.job.blocks, checkpointing=self.job.checkpointing)

    # ------------------------------------------------------------------ snapshots

    def resume(self) -> None:
        """Continues from a snapshot of the same fingerprint, else starts the log anew."""
        snapshot = self.snapshots.read()
        if snapshot is None or snapshot["fingerprint"] != self.fingerprint:
            if snapshot is not None:
                self.tell("the snapshot is of another configuration: training starts anew")
            self.start_anew()
            return
        self._restore(snapshot)
        offset = snapshot["log_offset"]
        self.log = TrainingLog(self.out, offset, active=self.fabric.is_global_zero)
        if self.update:
            self.tell(f"continuing after update {self.update} of {self.total}")

    def start_anew(self) -> None:
        """An empty log, and no snapshot of a training that is over."""
        if self.fabric.is_global_zero:
            self.snapshots.remove()
        self.log = TrainingLog(self.out, active=self.fabric.is_global_zero)

    def tell(self, text: str) -> None:
        """Prints a line, once for all processes."""
        if self.fabric.is_global_zero:
            print(text, flush=True)

    def _restore(self, snapshot: dict[str, Any]) -> None:
        self.job.model.load_state_dict(snapshot["model"])
        self.optimizer.load_state_dict(snapshot["optimizer"])
        if self.ema is not None:
            device = self.fabric.device
            self.ema.state = {k: v.to(device) for k, v in snapshot["ema"].items()}
        for name, part in self.job.stateful.items():
            part.load_state_dict(snapshot["stateful"][name])
        scaler = getattr(self.fabric._precision, "scaler", None)
        if scaler is not None:
            scaler.load_state_dict(snapshot["scaler"])
        self.averages.load_state_dict(snapshot["averages"], self.fabric.device)
        self.update, self.best = snapshot["update"], snapshot["best"]
        self.finished = snapshot["finished"]
        self._restore_random_state(snapshot["random"])

    def _restore_random_state(self, states: list[dict[str, Any]]) -> None:
        """Every process goes on with its own generators; another number of them, with new ones."""
        if len(states) == self.fabric.world_size:
            restore_random_state(states[self.fabric.global_rank])
            return
        seed_everything(self.seed + self.update, self.fabric.global_rank)
        self.tell(
            f"the snapshot is of {len(states)} processes, these are {self.fabric.world_size}: "
            "samples and their order stay, random numbers drawn in the network do not"
        )

    def snapshot(self) -> None:
        """Writes a snapshot, after making sure that all losses so far were finite."""
        self.check_losses(keep=0)
        states = distributed.gather_objects(random_state())
        if self.fabric.is_global_zero:
            scaler = getattr(self.fabric._precision, "scaler", None)
            content = {
                "fingerprint": self.fingerprint,
                "model": self.job.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "ema": self.ema.state if self.ema is not None else {},
                "stateful": {k: v.state_dict() for k, v in self.job.stateful.items()},
                "scaler": scaler.state_dict() if scaler is not None else {},
                "averages": self.averages.state_dict(),
                "update": self.update,
                "best": self.best,
                "finished": self.finished,
                "log_offset": self.log.offset,
                "random": states,
            }
            self.snapshots.write(content)
        self.snapshot_time = time.monotonic()

    def _snapshot_due(self) -> bool:
        every = self.settings.snapshot_updates
        if every:
            return self.update % every == 0
        due = time.monotonic() - self.snapshot_time > 60 * self.settings.snapshot_minutes
        return distributed.any_process(due)

    # ----------------------------------------------------------------------- loop

    def run(self, stop: Callable[[], bool]) -> None:
        """Trains to the end of the schedule."""
        if self.settings.evaluate_first and self.update == 0 and not self.finished:
            self.evaluate()
        self.job.model.train()
        with Progress(self.what, self.total, unit="update", start=self.update) as progress:
            while self.update < self.total:
                for batches, waited in self._updates_of_epoch():
                    with self._memory_errors(), self._cold_time():
                        note = self.one_update(batches, waited)
                    progress.step(note=note)
                    self.after_update()
                    if self.update >= self.total:
                        break
                    if distributed.any_process(stop()):
                        self.snapshot()
                        self.snapshots.wait()
                        raise EgolibError(
                            f"training was asked to stop after update {self.update}",
                            remedy="run the same command again to continue",
                        )

    def _updates_of_epoch(self) -> Iterator[tuple[list[Any], Stopwatch]]:
        """The micro-batches of each update that is left in the present epoch."""
        epoch, done = divmod(self.update, self.per_epoch)
        sampler = UpdateSampler(
            self.job.data,
            self.settings,
            epoch=epoch,
            first_update=done,
            seed=self.seed,
            rank=self.fabric.global_rank,
            world=self.fabric.world_size,
        )
        pin = self.fabric.device.type == "cuda"
        workers = self.settings.workers
        batches = iter(loader(self.job.data, sampler, seed=self.seed, workers=workers, pin=pin))
        watch = Stopwatch()
        for _ in range(done, self.per_epoch):
            taken = [self.fabric.to_device(next(batches)) for _ in range(self.batch.accumulate)]
            watch.data()
            yield taken, watch

    def one_update(self, batches: list[Any], watch: Stopwatch) -> str:
        """Forward and backward on the micro-batches, one optimiser step, one log entry."""
        factor = self.job.schedule(self.update)
        for group in self.optimizer.param_groups:
            group["lr"] = group["base_lr"] * factor
        self.optimizer.zero_grad()
        for number, batch in enumerate(batches, start=1):
            last = number == len(batches)
            quiet = nullcontext() if last else self.fabric.no_backward_sync(self.objective)
            with quiet:
                losses = self.objective(Held(batch))
                self.fabric.backward(losses["loss"] / len(batches))
            self.averages.add(losses)
            self.unchecked.append(HostCopy(losses["loss"]))
        if self.settings.clip_norm is not None:
            self.fabric.clip_gradients(
                self.objective,
                self.optimizer,
                max_norm=self.settings.clip_norm,
                norm_type=2,
                error_if_nonfinite=False,  # the loss is checked, and a loss scaler expects these
            )
        self.optimizer.step()
        if self.ema is not None:
            self.ema.update(self.job.model)
        self.check_losses(keep=1)
        self.update += 1
        watch.compute()
        return self._log(watch, factor)

    @contextmanager
    def _cold_time(self) -> Iterator[None]:
        """Tells how long the first update took where blocks are compiled in it."""
        begin = time.monotonic()
        yield
        if self.compiled:
            taken = time.monotonic() - begin
            self.tell(f"{self.compiled} blocks compiled: the first update took {taken:.0f} s")
            self.compiled = 0

    @contextmanager
    def _memory_errors(self) -> Iterator[None]:
        """Out of memory: names the update and what would take less."""
        try:
            yield
        except torch.OutOfMemoryError as error:
            raise EgolibError(
                f"out of GPU memory in update {self.update + 1}, with micro-batches of "
                f"{self.batch.micro_size} samples",
                file=self.out,
                remedy=f"fit.micro_batch_size={max(1, self.batch.micro_size // 2)} computes the "
                "same updates in less memory; the same command then continues",
            ) from error

    def _log(self, watch: Stopwatch, factor: float) -> str:
        if self.update % self.settings.log_every and self.update < self.total:
            return ""
        world = self.fabric.world_size
        samples = self.averages.count * self.batch.micro_size * world
        means = distributed.mean_over_processes(self.averages.take())
        rate = max(group["lr"] for group in self.optimizer.param_groups)
        values = {"epoch": (self.update - 1) // self.per_epoch, "lr": rate, **means}
        self.log.write("train", self.update, values, **watch.take(samples))
        return f"loss {means['loss']:.4g}, rate {rate:.3g}"

    def check_losses(self, keep: int) -> None:
        """Stops when a loss was not finite. The newest ``keep`` are looked at next time,
        so that a GPU need not wait."""
        while len(self.unchecked) > keep:
            value = self.unchecked.pop(0).get()
            if not math.isfinite(value):
                number = self.update - keep
                epoch, place = divmod(number, self.per_epoch)
                order = epoch_order(self.job.data, epoch, self.seed)
                size = self.batch.global_size
                samples = order[place * size : (place + 1) * size].tolist()
                raise EgolibError(
                    f"the loss became {value} near update {number + 1} (epoch {epoch})",
                    file=self.out,
                    record=f"training samples {samples[:8]}{' ...' if size > 8 else ''}",
                    remedy="the last good snapshot is kept; lower the rate, clip the gradient, "
                    "or look at the records of that batch",
                )

    def after_update(self) -> None:
        """Evaluation, epoch checkpoints and snapshots, where they are due."""
        epoch_ends = self.update % self.per_epoch == 0 or self.update == self.total
        epoch = -(-self.update // self.per_epoch)
        if self._evaluation_due(epoch, epoch_ends):
            self.evaluate()
        if epoch_ends and self.settings.keep_epochs:
            self.save(f"epoch_{epoch - 1:03d}", self.job.model.state_dict())
        if self._snapshot_due() and self.update < self.total:
            self.snapshot()

    def _evaluation_due(self, epoch: int, epoch_ends: bool) -> bool:
        if self.settings.evaluate_every_updates:
            return self.update % self.settings.evaluate_every_updates == 0
        every = self.settings.evaluate_every
        return bool(every) and epoch_ends and (epoch % every == 0 or self.update == self.total)

    # ------------------------------------------------------------ evaluation, ending

    def evaluate(self) -> None:
        """Evaluates without touching any generator, and keeps the best weights apart."""
        if self.job.evaluate is None:
            return
        before = random_state()
        model = self.job.model
        average = self.ema if self.settings.evaluate_weights == "ema" else None
        model.eval()
        with torch.no_grad(), average.applied(model) if average else nullcontext():
            metrics = {k: float(v) for k, v in self.job.evaluate(model).items()}
            self.log.write("evaluate", self.update, metrics)
            self._keep_best(metrics)
        model.train()
        restore_random_state(before)

    def _keep_best(self, metrics: Mapping[str, float]) -> None:
        name, _, direction = self.settings.monitor.partition(":")
        if not name:
            return
        if name not in metrics:
            raise EgolibError(f"monitor: no metric {name!r}", remedy=f"known: {sorted(metrics)}")
        value = metrics[name] if direction != "min" else -metrics[name]
        if self.best is None or value > self.best:
            self.best = value
            self.save("best", self.job.model.state_dict(), metrics)

    def save(
        self, name: str, state: Mapping[str, Tensor], metrics: Mapping[str, float] | None = None
    ) -> Path:
        """Writes weights with their sidecar, on the first process."""
        path = self.out / f"{name}.safetensors"
        if self.fabric.is_global_zero:
            about = {"update": self.update, "fingerprint": self.fingerprint}
            checkpoint.save(path, state, {**self.job.sidecar, **about, "metrics": metrics or {}})
        return path

    def finish(self) -> FitResult:
        """Writes the last weights and a snapshot that says the training is finished."""
        if not self.finished:
            self.check_losses(keep=0)
            self._require_finite_weights()
            self.save("model", self.job.model.state_dict())
            if self.ema is not None:
                self.save("ema", self.ema.state)
            self.finished = True
            self.snapshot()
            self.snapshots.wait()
        self.log.close()
        distributed.barrier()
        return FitResult(
            weights=self.out / "model.safetensors",
            best=self._written("best.safetensors"),
            ema=self._written("ema.safetensors"),
            records=self.log.records(),
            updates=self.update,
        )

    def _require_finite_weights(self) -> None:
        bad = [k for k, v in self.job.model.state_dict().items() if not v.isfinite().all()]
        if bad:
            raise EgolibError(f"weights are not finite: {bad[:3]}", file=self.out)

    def _written(self, name: str) -> Path | None:
        return self.out / name if (self.out / name).is_file() else None
