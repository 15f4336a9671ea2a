"""vlp on a GPU: a training step of EgoVLPv2 and its embedding of clips.

    python -m benchmarks.gpu_vlp [--device cpu] [--tiny] [PART ...]

The official step takes float16 with loss scaling, separate passes, plain attention and
recomputes whole blocks; ours takes bfloat16, shared passes and compiled blocks. Both
start from the same weights, and their first losses are compared.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.bars import Bar
from benchmarks.gpu_common import (
    Measured,
    Setting,
    compare,
    launches_and_synchronisations,
    peak_memory_gb,
    seconds,
)
from benchmarks.vlp import open_model, random_batch
from egolib.engine.legacy_adamw import LegacyAdamW
from egolib.nn.compiled import compile_blocks
from egolib.vlp.config import LossConfig, ModelConfig, egovlpv2
from egolib.vlp.losses.pretraining import PretrainingBatch, PretrainingLoss
from egolib.vlp.models.model import VideoLanguageModel

Record = dict[str, Any]
TINY = ModelConfig(
    image_size=32, width=48, heads=4, text_width=40, text_heads=4, text_mlp_width=80, depth=2,
    fusion_depth=1, vocabulary_size=99, text_positions=20, projection="small", projection_width=16,
)  # fmt: skip
FASTER, MEMORY = 4.0, 1.5  # times the official step's speed, of its peak memory


def network(setting: Setting, *, checkpointing: bool = False) -> VideoLanguageModel:
    """The published network of 4 frames, or a reduced one."""
    config = TINY if setting.tiny else egovlpv2()
    model = open_model(replace(config, gradient_checkpointing=checkpointing))
    return model.to(setting.device)


class Step:
    """Whole training steps; what ``__call__`` returns is the loss, on the device.

    Args:
        model: in training mode.
        batch: on its device.
        dtype: of autocast; None for none. float16 scales the loss.
        official: separate passes and plain attention.
    """

    def __init__(
        self,
        model: VideoLanguageModel,
        batch: PretrainingBatch,
        dtype: torch.dtype | None,
        official: bool = False,
    ):
        self.model, self.batch, self.dtype, self.official = model.train(), batch, dtype, official
        self.kind = batch.video.device.type
        self.loss = PretrainingLoss(LossConfig(share_prefix=not official))
        self.optimizer = LegacyAdamW(model.parameters(), 1e-6)
        scaled = dtype == torch.float16 and self.kind == "cuda"
        self.scaler = torch.amp.grad_scaler.GradScaler(self.kind, enabled=scaled)

    def __call__(self) -> torch.Tensor:
        torch.manual_seed(0)
        self.optimizer.zero_grad()
        plain = sdpa_kernel([SDPBackend.MATH]) if self.official else nullcontext()
        self.loss.generator = torch.Generator().manual_seed(0)
        autocast = torch.autocast(self.kind, self.dtype, enabled=self.dtype is not None)
        with plain:
            with autocast:
                loss = self.loss(self.model, self.batch)["loss"]
            self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return loss.detach()


def official_step(setting: Setting, batch: PretrainingBatch, row: Measured) -> tuple[float, float]:
    """Measures the official order of work; its time in seconds and its first loss."""
    step = Step(network(setting, checkpointing=True), batch, torch.float16, official=True)
    first = float(step())
    taken = seconds(step, setting, repeats=3, warm_up=1)
    if memory := peak_memory_gb(step, setting):
        row.peak_memory_gb["official"] = memory
    counts = launches_and_synchronisations(step, setting)
    row.official = 1000 * taken
    row.official_launches = counts.launches
    row.official_synchronisations = counts.synchronisations
    return taken, first


def our_step(
    setting: Setting, batch: PretrainingBatch, row: Measured, *, compiled: bool, name: str
) -> tuple[float, float]:
    """Measures ours in bfloat16; its time in seconds and its first loss.

    Args:
        setting: where and how large.
        batch: on the device.
        row: filled in under ``name``.
        compiled: blocks are compiled, and keep a part of their activations.
        name: of this way of computing.
    """
    model = network(setting, checkpointing=compiled)
    if compiled:
        compile_blocks(model.video.blocks, checkpointing=True)
    step = Step(model, batch, torch.bfloat16)
    begin = time.perf_counter()
    first = float(step())
    row.more[f"{name}: first step, s"] = time.perf_counter() - begin
    taken = seconds(step, setting, repeats=5, warm_up=2)
    row.ours[name] = 1000 * taken
    if memory := peak_memory_gb(step, setting):
        row.peak_memory_gb[name] = memory
    counts = launches_and_synchronisations(step, setting)
    row.more[f"{name}: launches"] = counts.launches
    row.launches, row.synchronisations, row.busy = (
        counts.launches, counts.synchronisations, counts.busy
    )  # fmt: skip
    row.more["synchronisation_kinds"] = counts.kinds
    return taken, first


def training(setting: Setting, clips: int) -> Record:
    """A step of ``clips`` clips with their texts, 15 tokens long."""
    row = Measured("ms/step", note=f"{clips} clips of 4 frames; official in float16")
    config = TINY if setting.tiny else egovlpv2()
    batch = random_batch(config, clips).to(setting.device)
    taken, loss = official_step(setting, batch, row)
    free(setting)
    ways = (("bf16", False), ("bf16 compiled", True))
    for name, compiled in ways if setting.cuda else ways[:1]:
        if name == "bf16" and clips > 16:
            continue  # everything that is kept takes five times the memory
        try:
            ours, first = our_step(setting, batch, row, compiled=compiled, name=name)
        except Exception as error:
            row.errors[name] = f"{type(error).__name__}: {error}"[:500]
            continue
        finally:
            free(setting)
        equal = abs(first - loss) < 0.02 * abs(loss)
        row.deviation[name] = {"absolute": abs(first - loss), "relative": abs(first / loss - 1)}
        row.bars = [Bar("against the official step", taken / ours, "x", FASTER, True, equal)]
        if setting.cuda:
            part = row.peak_memory_gb[name] / row.peak_memory_gb["official"]
            row.bars.append(Bar("of the official memory", part, "x", MEMORY, False, equal))
    return row.record(setting)


def free(setting: Setting) -> None:
    """Gives cached memory back, and forgets what was compiled for other networks."""
    import gc

    gc.collect()
    if setting.cuda:
        torch.cuda.empty_cache()


def embedding(setting: Setting) -> Record:
    """Embeddings of clips of 4 frames, the dual path; official: one clip at a time."""
    model = network(setting).eval()
    config, size = model.config, 4 if setting.tiny else 64
    shape = (size, config.frames, 3, config.image_size, config.image_size)
    video = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(setting.device)

    @torch.inference_mode()
    def ours() -> torch.Tensor:
        return model.encode_video(video)

    @torch.inference_mode()
    def official() -> torch.Tensor:
        return torch.cat([model.encode_video(clip[None]) for clip in video])

    row = compare(setting, ours, unit="clips/s", units=size, official=official)
    row.note = f"batches of {size} clips of 4 frames, in memory"
    return row.record(setting)


def _sized(clips: int) -> Callable[[Setting], Record]:
    return lambda setting: training(setting, 4 if setting.tiny else clips)


PARTS: dict[str, Callable[[Setting], Record]] = {
    "training_16": _sized(16),
    "training_48": _sized(48),
    "embedding": embedding,
}


def main() -> None:
    """Prints the records of some parts, or of all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("parts", nargs="*", help="parts of names; all without any")
    given = parser.parse_args()
    setting = Setting(given.device, given.tiny)
    for name, part in PARTS.items():
        if not given.parts or any(word in name for word in given.parts):
            begin = time.perf_counter()
            record = part(setting)
            print(name, round(time.perf_counter() - begin, 1), "s")
            print(json.dumps(record, indent=1, default=str), flush=True)


if __name__ == "__main__":
    main()
