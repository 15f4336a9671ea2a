"""The network's architecture: what its weights fix. No torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

from egolib.engine.rules import at_least, fraction, require
from egolib.vlp.config.benchmarks import SummarizerConfig


@dataclass(frozen=True)
class ModelConfig:
    """The network (arXiv 2307.05463).

    Args:
        frames: frames F of a clip.
        image_size: side of the square input in pixels.
        patch_size: side of a patch in pixels.
        width: channels of the video encoder.
        heads: its attention heads.
        mlp_ratio: hidden channels of its MLPs, in widths.
        text_width: channels of the text encoder.
        text_heads: its attention heads.
        text_mlp_width: hidden channels of its MLPs.
        depth: blocks of the video encoder and layers of the text encoder.
        fusion_depth: how many of the last blocks and layers attend to the other side.
        vocabulary_size: token ids; 0 takes the size of the vocabulary that is read.
        text_positions: rows of the position table; texts are at most two shorter.
        pad_id: the id of padding, which gets no gradient.
        text_dropout: hidden and attention dropout of the text encoder.
        drop_path: probability of stochastic depth in the last video block; it grows
            linearly from 0 in the first one.
        projection: ``large`` has three layers on both sides, ``small`` has one.
        projection_width: width of the embeddings.
        gradient_checkpointing: recompute activations of blocks, layers and projectors.
        summarizer: what scores shots for a query (QFVS); None for networks without it.
    """

    frames: int = 4
    image_size: int = 224
    patch_size: int = 16
    width: int = 768
    heads: int = 12
    mlp_ratio: float = 4.0
    text_width: int = 768
    text_heads: int = 12
    text_mlp_width: int = 3072
    depth: int = 12
    fusion_depth: int = 6
    vocabulary_size: int = 50265
    text_positions: int = 514
    pad_id: int = 1
    text_dropout: float = 0.1
    drop_path: float = 0.0
    projection: Literal["large", "small"] = "large"
    projection_width: int = 4096
    gradient_checkpointing: bool = False
    summarizer: SummarizerConfig | None = None

    builders: ClassVar[dict[str, Callable[[], ModelConfig]]] = {}

    def __post_init__(self) -> None:
        sizes = "frames image_size patch_size width heads text_width text_heads text_mlp_width"
        at_least(self, 1, "model", *sizes.split(), "depth", "projection_width")
        at_least(self, 0, "model", "fusion_depth", "vocabulary_size", "pad_id")
        fraction(self, "model", "text_dropout", "drop_path", below=1.0)
        require(
            self.image_size % self.patch_size == 0,
            f"model.image_size {self.image_size} is no multiple of model.patch_size "
            f"{self.patch_size}",
            f"use {self.patch_size * max(1, self.image_size // self.patch_size)}, or another patch",
        )
        for width, heads in (("width", "heads"), ("text_width", "text_heads")):
            require(
                getattr(self, width) % getattr(self, heads) == 0,
                f"model.{width} {getattr(self, width)} cannot be divided among model.{heads} "
                f"{getattr(self, heads)}",
                f"choose a divisor of {getattr(self, width)}",
            )
        require(
            self.summarizer is None or self.summarizer.width == self.width,
            f"model.summarizer.width is not model.width {self.width}",
            f"set model.summarizer.width: {self.width}",
        )
        require(
            self.fusion_depth <= self.depth,
            f"model.fusion_depth {self.fusion_depth} of model.depth {self.depth} layers",
            f"use 0 to {self.depth}",
        )
        require(
            self.text_positions > self.pad_id + 3,
            f"model.text_positions {self.text_positions} has no room for a text after model.pad_id "
            f"{self.pad_id}",
            f"use {self.pad_id + 4} or more",
        )

    @property
    def patches(self) -> int:
        """Patches P of one frame."""
        return (self.image_size // self.patch_size) ** 2

    @property
    def longest_text(self) -> int:
        """Tokens of the longest text, start and end included."""
        return self.text_positions - self.pad_id - 1


def egovlpv2() -> ModelConfig:
    """EgoVLPv2 with the large projector: EgoMCQ, MQ, NLQ, EgoTaskQA, QFVS."""
    return ModelConfig()


def egovlpv2_small_projection() -> ModelConfig:
    """EgoVLPv2 with the small projector: EPIC-KITCHENS-100 retrieval and Charades-Ego."""
    return ModelConfig(frames=16, projection="small", projection_width=256)


ModelConfig.builders.update(egovlpv2=egovlpv2, egovlpv2_small_projection=egovlpv2_small_projection)
