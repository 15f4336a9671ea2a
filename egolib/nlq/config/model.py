"""The network, and the published ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

from egolib.engine.rules import bounded, require
from egolib.nlq.config.span import VslnetConfig


@dataclass(frozen=True)
class ModelConfig:
    """The network.

    Args:
        video_streams: (name, width) of the video features, concatenated in this order.
        text_streams: (name, width) of the token streams that video positions attend to;
            the first is the question, others are cues such as objects or captions.
        max_length: longest video in features; length of the position table.
        width: channels C of the whole network.
        head_width: channels inside the two heads.
        heads: attention heads.
        embedding_layers: convolutions of each embedding.
        text_blocks: transformer blocks of each token stream.
        stem_blocks: video blocks at full resolution, with cross attention.
        cross_branch_blocks: down-sampling blocks with cross attention, first.
        plain_branch_blocks: down-sampling blocks without it, after those.
        windows: attention window of the stem and of each branch block, in positions;
            one entry holds for all, 1 or less is global attention.
        branch_windows: ``official`` restarts the list at the first plain branch block
            (quirk), ``by_level`` goes on with the list.
        relative_bias: a learned bias for each distance inside a window.
        position_table: add the sinusoid table to the video.
        embedding_kernel: width of the video embedding's convolutions.
        embedding_norm: layer norms after the embedding's convolutions.
        level_norm: a layer norm after each level.
        head_norm: layer norms inside the heads.
        head_kernel: width of the heads' convolutions.
        head_layers: convolutions of each head, the output included.
        classes: number of classes.
        class_prior: initial probability of a positive.
        empty_classes: classes without samples, which start at probability 1e-6.
        dropout: inside the MLPs.
        drop_path: probability of stochastic depth; 0 builds no gains either.
        span: VSLNet, which then takes the place of GroundNLQ and of all fields above.
    """

    video_streams: tuple[tuple[str, int], ...] = (("video", 2304),)
    text_streams: tuple[tuple[str, int], ...] = (("query", 512),)
    max_length: int = 2560
    width: int = 384
    head_width: int = 384
    heads: int = 4
    embedding_layers: int = 2
    text_blocks: int = 4
    stem_blocks: int = 4
    cross_branch_blocks: int = 0
    plain_branch_blocks: int = 6
    windows: tuple[int, ...] = (9,)
    branch_windows: Literal["official", "by_level"] = "official"
    relative_bias: bool = False
    position_table: bool = True
    embedding_kernel: int = 3
    embedding_norm: bool = True
    level_norm: bool = True
    head_norm: bool = True
    head_kernel: int = 3
    head_layers: int = 3
    classes: int = 1
    class_prior: float = 0.01
    empty_classes: tuple[int, ...] = ()
    dropout: float = 0.0
    drop_path: float = 0.1
    span: VslnetConfig | None = None

    builders: ClassVar[dict[str, Callable[[], ModelConfig]]] = {}

    def __post_init__(self) -> None:
        counts = ("width", "head_width", "heads", "embedding_layers", "stem_blocks", "head_layers")
        bounded(self, "model", *counts, "classes", "max_length", least=1)
        bounded(self, "model", "text_blocks", "cross_branch_blocks", "plain_branch_blocks")
        bounded(self, "model", "dropout", "drop_path", "class_prior", below=1)
        self._check_streams()
        self._check_windows()
        require(
            self.width % self.heads == 0,
            f"model.width {self.width} is not a multiple of model.heads {self.heads}",
            f"choose model.heads among {[n for n in range(1, 17) if self.width % n == 0]}",
        )
        for name in ("embedding_kernel", "head_kernel"):
            value = getattr(self, name)
            require(
                value > 0 and value % 2 == 1, f"model.{name} is {value}", "use an odd number: 1, 3"
            )
        require(
            all(0 <= number < self.classes for number in self.empty_classes),
            f"model.empty_classes {list(self.empty_classes)} of model.classes {self.classes}",
            "name classes from 0 on",
        )

    def _check_streams(self) -> None:
        for name in ("video_streams", "text_streams"):
            streams = getattr(self, name)
            names = [stream for stream, _ in streams]
            fits = bool(streams) and len(set(names)) == len(names)
            fits = fits and all(width > 0 for _, width in streams)
            remedy = "name at least one stream, each once, as [name, width]"
            require(fits, f"model.{name} is {[list(s) for s in streams]}", remedy)

    def _check_windows(self) -> None:
        windows = list(self.windows)
        require(
            len(windows) in (1, self.levels),
            f"model.windows has {len(windows)} entries; model.cross_branch_blocks and "
            f"model.plain_branch_blocks make {self.levels} levels",
            f"use one entry for all levels, or {self.levels}",
        )
        require(
            all(window <= 1 or window % 2 == 1 for window in windows),
            f"model.windows is {windows}",
            "use odd numbers, or 1 or less for global attention",
        )

    @property
    def levels(self) -> int:
        """Number of pyramid levels; level l has stride 2**l."""
        return 1 + self.cross_branch_blocks + self.plain_branch_blocks


def groundnlq() -> ModelConfig:
    """GroundNLQ (arXiv 2306.15255): 32,527,498 parameters."""
    return ModelConfig()


def groundnlq_star() -> ModelConfig:
    """GroundNLQ*: cross attention in the branch too; 36,080,266 parameters."""
    return ModelConfig(cross_branch_blocks=6, plain_branch_blocks=0)


ModelConfig.builders.update(groundnlq=groundnlq, groundnlq_star=groundnlq_star)
