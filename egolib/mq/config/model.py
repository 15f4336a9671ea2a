"""The network: the published ones, and what can be changed about them. No torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

from egolib.engine.rules import at_least, require
from egolib.mq.config.actionformer import ActionFormerConfig

BACKGROUND = 0
"""The class of a box without moment."""


@dataclass(frozen=True)
class ModelConfig:
    """The network.

    Args:
        feature_width: width D of the input features; 0 takes that of the feature store.
        length: temporal scale T, to which every clip is padded or cut; a multiple of
            2^(levels - 1).
        width: channels C of the whole network, a multiple of ``norm_groups``.
        classes: classes K, background (0) included; 0 takes those of the class table.
        levels: pyramid levels; level l has stride 2^l.
        head_layers: convolutions of each tower of the detection head.
        norm_groups: groups of the towers' group norms.
        anchor_scales: anchor lengths of a level, in strides.
        graph: the encoder has graph branches; without, strided convolutions.
        neighbors: neighbours k of a position, itself included.
        graph_input: ``parallel`` adds graph and convolution of the same input,
            ``sequential`` takes the graph of the convolution's output.
        aggregation: of the neighbours, ``max`` or ``mean``.
        edge_features: what is mapped for neighbour j of position p: ``pair`` is
            [x_j, x_p], ``difference`` [x_j - x_p, x_p].
        edge_weights: multiply each neighbour's map with its cosine similarity;
            ``pair`` only.
        stitched_neighbors: half of the neighbours of a stitched clip come from the other
            scale (VSGN's cross-scale edges; off in every published command).
        stitch_gap: features between a clip and its stretched copy.
        short_fraction: clips of at most this fraction of ``length`` count as stitched.
        actionformer: ActionFormer, which then takes the place of VSGN; of the fields above it
            has ``feature_width``, ``length`` and ``classes``.
    """

    feature_width: int = 4096
    length: int = 928
    width: int = 256
    classes: int = 111
    levels: int = 5
    head_layers: int = 4
    norm_groups: int = 32
    anchor_scales: tuple[float, ...] = (1, 10)
    graph: bool = True
    neighbors: int = 12
    graph_input: Literal["parallel", "sequential"] = "parallel"
    aggregation: Literal["max", "mean"] = "max"
    edge_features: Literal["pair", "difference"] = "pair"
    edge_weights: bool = False
    stitched_neighbors: bool = False
    stitch_gap: int = 30
    short_fraction: float = 0.4
    actionformer: ActionFormerConfig | None = None

    builders: ClassVar[dict[str, Callable[[], ModelConfig]]] = {}

    def require_fit(self) -> None:
        """Refuses sizes that do not fit together in a whole network.

        Raises:
            EgolibError: the fields are named.
        """
        if self.actionformer is None:
            self._check_vsgn()

    def _check_vsgn(self) -> None:
        counts = ("length", "width", "levels", "norm_groups", "neighbors")
        at_least(self, 1, "model", *counts)
        at_least(self, 0, "model", "head_layers", "feature_width", "classes")
        require(
            bool(self.anchor_scales) and min(self.anchor_scales) > 0,
            f"model.anchor_scales is {list(self.anchor_scales)}",
            "name at least one length, in strides",
        )
        stride = 2 ** (self.levels - 1)
        require(
            self.length % stride == 0,
            f"model.length {self.length} is no multiple of {stride}, the stride of the last of "
            f"model.levels {self.levels}",
            f"set model.length to a multiple of {stride}, or take fewer model.levels",
        )
        require(
            self.width % self.norm_groups == 0,
            f"model.width {self.width} is no multiple of model.norm_groups {self.norm_groups}",
            "choose model.norm_groups among the divisors of model.width",
        )
        require(
            not self.edge_weights or self.edge_features == "pair",
            f"model.edge_weights with model.edge_features {self.edge_features}",
            "edge weights go with model.edge_features: pair only",
        )
        coarsest = self.level_lengths[max(self.levels - 2, 0)]
        require(
            not self.graph or self.neighbors <= coarsest,
            f"model.neighbors {self.neighbors} of the {coarsest} positions of the coarsest graph",
            f"set model.neighbors to {coarsest} or less, or model.graph: false",
        )

    @property
    def level_lengths(self) -> tuple[int, ...]:
        """Positions of each level, fine to coarse."""
        return tuple(-(-self.length // 2**level) for level in range(self.levels))

    @property
    def boxes(self) -> int:
        """Number A of anchors over all levels."""
        return len(self.anchor_scales) * sum(self.level_lengths)


def vsgn_egovlpv2() -> ModelConfig:
    """VSGN on EgoVLPv2 features (arXiv 2307.05463): 10,084,583 parameters."""
    return ModelConfig()


def vsgn_ego4d() -> ModelConfig:
    """VSGN on SlowFast features, the Ego4D baseline (arXiv 2110.07058)."""
    return ModelConfig(feature_width=2304)


def vsgn_plain() -> ModelConfig:
    """The Ego4D baseline without graph: 8,051,687 parameters."""
    return ModelConfig(feature_width=2304, graph=False)


ModelConfig.builders.update(
    vsgn_egovlpv2=vsgn_egovlpv2, vsgn_ego4d=vsgn_ego4d, vsgn_plain=vsgn_plain
)
