"""Reduced networks, vocabularies and videos that the tests of vlp share."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch

from egolib.io import checkpoint
from egolib.text.tokens import WordTokenizer
from egolib.video import Encoding, write_video
from egolib.vlp.config import InitialConfig, ModelConfig
from egolib.vlp.losses.pretraining import PretrainingBatch
from egolib.vlp.models.build import build
from egolib.vlp.models.model import VideoLanguageModel

CONFIG = ModelConfig(
    frames=2,
    image_size=32,
    width=48,
    heads=4,
    text_width=40,
    text_heads=4,
    text_mlp_width=80,
    depth=3,
    fusion_depth=2,
    vocabulary_size=13,
    text_positions=20,
    text_dropout=0.0,
    projection="small",
    projection_width=16,
)

TOKENS = ["<s>", "<pad>", "</s>", "<unk>", "#c", "c", "takes", "puts", "the", "mug", "pan", "a"]


def tokenizer() -> WordTokenizer:
    """Thirteen words."""
    return WordTokenizer({token: i for i, token in enumerate([*TOKENS, "<mask>"])})


def small_model(seed: int = 0, **changes: object) -> VideoLanguageModel:
    """A reduced network in evaluation mode whose gates are open and whose layers all act."""
    config = replace(CONFIG, **changes)  # type: ignore[arg-type]
    initial = InitialConfig(time_init="zero_output")
    model, _ = build(config, initial, generator=torch.Generator().manual_seed(seed))
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.add_(0.5 if name.endswith("cross_gate") else 0.05 * noise)
    return model.eval()


def save_small(folder: Path, **changes: object) -> Path:
    """The reduced network's weights with their vocabulary beside them."""
    words = tokenizer()
    (folder / "vocabulary.json").write_text(json.dumps(words.vocabulary))
    network = small_model()
    about = {"model": "vlp/small", "config": asdict(network.config), "tokenizer_hash": words.hash}
    return checkpoint.save(folder / "model", network.state_dict(), about | changes)


def batch(size: int, seed: int = 0, config: ModelConfig = CONFIG) -> PretrainingBatch:
    """Random clips and texts; every second pair shares its classes with the one before."""
    g = torch.Generator().manual_seed(seed)
    ids = torch.randint(4, 12, (size, 7), generator=g)
    ids[:, 0], ids[:, -1] = 0, 2
    ids[0, -2:] = torch.tensor([2, 1])
    labels = torch.where(torch.rand(ids.shape, generator=g) < 0.4, ids, -100)
    labels[:, 0] = -100
    side = config.image_size
    return PretrainingBatch(
        video=torch.randn(size, config.frames, 3, side, side, generator=g),
        ids=ids,
        mask=(ids != 1).long(),
        corrupted=torch.where(labels >= 0, torch.full_like(ids, 12), ids),
        labels=labels,
        nouns=torch.eye(size)[torch.arange(size) // 2 * 2],
        verbs=torch.eye(size)[torch.arange(size) // 2 * 2],
        black=torch.zeros(size, dtype=torch.bool),
    )


def numbered_video(
    path: Path, frames: int, fps: int = 10, size: tuple[int, int] = (64, 48)
) -> Path:
    """A video whose frame i is grey of brightness 4 i (modulo 240)."""
    images = (np.full((size[1], size[0], 3), 4 * i % 240, np.uint8) for i in range(frames))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, images, fps, Encoding(crf=10, preset="ultrafast"))
    return path


def shown(images: np.ndarray) -> list[int]:
    """The frame numbers (modulo 60) that pictures of ``numbered_video`` carry."""
    return np.round(images.reshape(len(images), -1).mean(1) / 4).astype(int).tolist()
