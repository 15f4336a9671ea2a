"""ActionFormer in place of VSGN: the network and its targets. No torch.

The published values are those of OpenTAD (github.com/sming256/OpenTAD, configs/actionformer),
whose networks on EgoVLP and InternVideo features reach 22.13 and 27.52 average mAP.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

from egolib.engine.rules import at_least, require

EGOVLP_RANGES = (
    (0, 4), (2, 8), (4, 16), (8, 32), (16, 64), (32, 128), (64, 256), (128, 512), (256, 10000),
)  # fmt: skip


@dataclass(frozen=True)
class ActionFormerConfig:
    """The network (Zhang et al., ECCV 2022, arXiv 2202.07925).

    Feature width, classes and the longest clip T are ``model.feature_width``,
    ``model.classes`` (the background is none here) and ``model.length``.

    Args:
        width: channels C of the whole network.
        head_width: channels inside the two heads.
        heads: attention heads.
        embedding_layers: convolutions before the transformer.
        embedding_kernel: their width.
        stem_blocks: transformer blocks at full resolution.
        branch_blocks: down-sampling blocks, each a level of the pyramid.
        windows: attention window of the stem and of each branch block, in positions; one
            entry holds for all, 1 or less is global attention.
        relative_bias: a learned bias for each distance inside a window.
        position_table: add the sinusoid table to the features.
        head_kernel: width of the heads' convolutions.
        head_layers: convolutions of each head, the output included.
        head_norm: layer norms inside the heads.
        class_prior: initial probability of a positive.
        dropout: inside the MLPs and of the attention's outputs.
        input_dropout: of whole channels of the features.
        drop_path: probability of stochastic depth; 0 builds no gains either.
    """

    width: int = 384
    head_width: int = 384
    heads: int = 4
    embedding_layers: int = 2
    embedding_kernel: int = 3
    stem_blocks: int = 2
    branch_blocks: int = 8
    windows: tuple[int, ...] = (9, 9, 9, 9, 9, 9, -1, -1, -1)
    relative_bias: bool = False
    position_table: bool = True
    head_kernel: int = 3
    head_layers: int = 3
    head_norm: bool = True
    class_prior: float = 0.01
    dropout: float = 0.1
    input_dropout: float = 0.2
    drop_path: float = 0.1

    builders: ClassVar[dict[str, Callable[[], ActionFormerConfig]]] = {}

    def __post_init__(self) -> None:
        prefix = "model.actionformer"
        counts = ("width", "head_width", "heads", "embedding_layers", "head_layers")
        at_least(self, 1, prefix, *counts)
        at_least(self, 0, prefix, "stem_blocks", "branch_blocks")
        for name in ("embedding_kernel", "head_kernel"):
            value = getattr(self, name)
            require(
                value > 0 and value % 2 == 1,
                f"{prefix}.{name} is {value}",
                "use an odd number: 1, 3",
            )
        require(
            len(self.windows) in (1, self.levels),
            f"{prefix}.windows has {len(self.windows)} entries; {prefix}.branch_blocks makes "
            f"{self.levels} levels",
            f"use one entry for all levels, or {self.levels}",
        )
        require(
            all(window <= 1 or window % 2 == 1 for window in self.windows),
            f"{prefix}.windows is {list(self.windows)}",
            "use odd numbers, or 1 or less for global attention",
        )
        require(
            self.width % self.heads == 0,
            f"{prefix}.width {self.width} is no multiple of {prefix}.heads {self.heads}",
            f"choose {prefix}.heads among the divisors of {prefix}.width",
        )

    @property
    def levels(self) -> int:
        """Levels of the pyramid; level l has stride 2^l."""
        return 1 + self.branch_blocks

    @property
    def level_windows(self) -> tuple[int, ...]:
        """The window of each level."""
        return self.windows * self.levels if len(self.windows) == 1 else self.windows


def egovlp() -> ActionFormerConfig:
    """On EgoVLP features of 256 channels, 1.875 a second."""
    return ActionFormerConfig()


def internvideo() -> ActionFormerConfig:
    """On InternVideo features of 1024 channels, 3.75 a second."""
    windows = (17, 17, 17, 17, 17, 17, 17, -1, -1, -1)
    return ActionFormerConfig(width=512, head_width=512, branch_blocks=9, windows=windows)


ActionFormerConfig.builders.update(egovlp=egovlp, internvideo=internvideo)


@dataclass(frozen=True)
class PointLossConfig:
    """Targets and losses of ActionFormer.

    Args:
        regression_ranges: for each level the smallest and largest distance, in features,
            from a point to a moment's far end; both inclusive.
        center_sampling: ``radius`` takes points near the moment's centre, ``none`` all in it.
        center_radius: that radius, in strides of the level.
        positives: ``official`` leaves a moment that contains no point without any positive;
            ``guaranteed`` gives it the nearest point.
        sharing: the classes of a point that several moments claim: ``all`` of theirs (as
            published), or those of the ``shortest`` and of those as long as it.
        label_smoothing: fraction of the uniform distribution in the class targets.
        regression_weight: of the regression loss; 0 or less balances it.
        overlap: the regression loss, ``diou`` or ``giou``.
        initial_normalizer: the running number of positives at the start.
        normalizer_momentum: how much of it stays at each update.
    """

    regression_ranges: tuple[tuple[float, float], ...] = EGOVLP_RANGES
    center_sampling: Literal["radius", "none"] = "radius"
    center_radius: float = 1.5
    positives: Literal["official", "guaranteed"] = "official"
    sharing: Literal["all", "shortest"] = "all"
    label_smoothing: float = 0.0
    regression_weight: float = 1.0
    overlap: Literal["diou", "giou"] = "diou"
    initial_normalizer: float = 100.0
    normalizer_momentum: float = 0.9


@dataclass(frozen=True)
class GridConfig:
    """Where the moments of a clip lie on its features, and how training clips are cut.

    Args:
        times: ``frames`` makes whole frames of times (OpenTAD: rounded down), then takes
            ``offset_frames`` off; ``rows`` spreads the clip's features over its duration.
        fps: frames a second.
        stride_frames: distance between features.
        offset_frames: the frame that a clip's first feature stands for.
        crop: smallest and largest fraction of a training clip that is kept; both 1 keep it
            whole. Clips longer than T are cut to T.
        kept: least fraction of a moment that must be left in the cut.
    """

    times: Literal["frames", "rows"] = "frames"
    fps: float = 30.0
    stride_frames: float = 16.0
    offset_frames: float = 8.0
    crop: tuple[float, float] = (0.9, 1.0)
    kept: float = 0.3

    def __post_init__(self) -> None:
        least, most = self.crop
        require(
            0 < least <= most <= 1,
            f"data.grid.crop is {list(self.crop)}",
            "use two fractions, the smaller one first",
        )
