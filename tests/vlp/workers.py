"""What each of several processes does in the tests of distributed training."""

from __future__ import annotations

import os
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn

from egolib.vlp.config import LossConfig
from egolib.vlp.losses.matching import MatchingPlan
from egolib.vlp.losses.pretraining import PretrainingBatch, PretrainingLoss
from egolib.vlp.losses.retrieval import RetrievalBatch, RetrievalLoss
from tests.vlp.small import batch, small_model

SIZE = 6

PLAN = MatchingPlan(
    torch.tensor([1, 0, 0, 1, 0, 1]),
    torch.tensor([0, 4, 2, 3, 4, 5]),  # pair 1 gets a video of the other process
    torch.tensor([0, 1, 5, 3, 0, 5]),  # pairs 2 and 4 get texts of the other process
)


class PlannedLoss(PretrainingLoss):
    """The training step with the same pairs in every process count."""

    def plan(self, similarity: torch.Tensor, positives: torch.Tensor, own: int) -> MatchingPlan:
        first = dist.get_rank() * own if dist.is_initialized() else 0
        return PLAN.rows(first, first + own)


def share(whole: PretrainingBatch | RetrievalBatch, rank: int, world: int) -> dict:
    """A process's rows of a batch."""
    size = SIZE // world
    return {k: v[rank * size : (rank + 1) * size] for k, v in vars(whole).items()}


def retrieval_batch() -> tuple[RetrievalBatch, torch.Tensor]:
    """Captioned clips and the relevancy matrix that their rows and columns are of."""
    whole = batch(SIZE, seed=3)
    relevancy = torch.rand(9, 8, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    rows, columns = torch.tensor([3, 1, 8, 0, 2, 5]), torch.tensor([7, 0, 3, 3, 1, 6])
    captioned = RetrievalBatch(
        video=whole.video,
        ids=whole.ids,
        mask=whole.mask,
        weight=relevancy[rows, columns].float(),
        clip_row=rows,
        caption_column=columns,
        black=whole.black,
    )
    return captioned, relevancy


def gradients(config: LossConfig, rank: int = 0, world: int = 1) -> dict[str, torch.Tensor]:
    """Loss and gradients of one step, averaged over the processes as DDP does."""
    model = small_model(seed=5)
    if config.objectives == ("egonce", "mlm", "itm"):
        rows = PretrainingBatch(**share(batch(SIZE, seed=2), rank, world))
        losses = PlannedLoss(config)(model, rows)
    else:
        whole, relevancy = retrieval_batch()
        loss = RetrievalLoss(config, relevancy.numpy())
        losses = loss(model, RetrievalBatch(**share(whole, rank, world)))
    losses["loss"].backward()
    return {"loss": losses["loss"].detach(), **_averaged(model, world)}


def _averaged(model: nn.Module, world: int) -> dict[str, torch.Tensor]:
    found = {}
    for name, parameter in model.named_parameters():
        grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        if world > 1:
            dist.all_reduce(grad)
        found[name] = grad / world
    return found


def work(rank: int, world: int, store: str, configs: list[LossConfig], out: str) -> None:
    """Computes every configuration in a group of gloo processes; rank 0 writes the results."""
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=world)
    try:
        results = [gradients(config, rank, world) for config in configs]
        if rank == 0:
            torch.save(results, Path(out))
    finally:
        dist.destroy_process_group()
