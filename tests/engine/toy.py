"""A tiny training with all that a resume could get wrong: dropout, augmentation, EMA, state."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

from egolib.engine import FitConfig
from egolib.engine.fit import FitResult, fit
from egolib.engine.job import Job

SETTINGS = FitConfig(
    epochs=4,
    batch_size=8,
    micro_batch_size=4,
    clip_norm=1.0,
    ema_decay=0.9,
    log_every=3,
    evaluate_every=1,
    monitor="score:max",
    snapshot_updates=5,
    device="cpu",
)


class Lines:
    """Noisy points of a line; 43 samples, so that batches do not come out even."""

    def __len__(self) -> int:
        return 43

    def sample(self, index: int, rng: np.random.Generator) -> tuple[np.ndarray, float]:
        x = np.array([index / 43, 1.0], np.float32) + 0.1 * rng.standard_normal(2)
        return x.astype(np.float32), float(3 * x[0] - 1)

    def collate(self, items):
        return torch.tensor(np.stack([x for x, _ in items])), torch.tensor([y for _, y in items])


class Counter:
    """State outside the weights."""

    def __init__(self) -> None:
        self.value = 0.0

    def state_dict(self):
        return {"value": self.value}

    def load_state_dict(self, state) -> None:
        self.value = state["value"]


def build(nan_at: int | None = None) -> Job:
    model = nn.Sequential(nn.Linear(2, 16), nn.Dropout(0.3), nn.ReLU(), nn.Linear(16, 1))
    counter = Counter()
    calls = []

    def loss(model, batch):
        x, y = batch
        error = (model(x)[:, 0] - y).square().mean()
        counter.value = 0.9 * counter.value + 0.1 * float(error.detach())
        calls.append(1)
        factor = float("nan") if nan_at is not None and len(calls) == nan_at else 1.0
        return {"loss": error * factor + 0.01 * counter.value, "error": error}

    return Job(
        model=model,
        loss=loss,
        data=Lines(),
        optimizer=torch.optim.AdamW(model.parameters(), lr=0.01),
        schedule=lambda update: 1 / (1 + 0.1 * update),
        evaluate=lambda model: {"score": float(torch.rand(())) + model[0].bias.mean().item()},
        stateful={"counter": counter},
        sidecar={"model": "toy"},
    )


def run(out: Path, settings: FitConfig = SETTINGS, **options) -> FitResult:
    return fit(lambda: build(**options), settings, out, seed=3, fingerprint="toy")


def log_without_times(out: Path) -> list[dict]:
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "time"} for line in lines]


if __name__ == "__main__":
    torch.set_num_threads(1)
    run(Path(sys.argv[1]))
