"""The graph branch of VSGN's encoder: every position looks at the positions most like it.

B clips, C channels, T positions, K neighbours.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from egolib.mq.config import ModelConfig


def nearest(distances: Tensor, k: int) -> Tensor:
    """(B, T, K) int64 positions with the smallest distances (B, T, T), nearest first."""
    return distances.topk(k, dim=-1, largest=False).indices


def squared_distances(x: Tensor) -> Tensor:
    """(B, T, T) Euclidean distances of x (B, T, C), squared and without a matrix product.

    Neighbours are discrete: distances by a matrix product changed them in one of five
    recorded inputs, and boxes by half a feature.
    """
    return torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist").square_()


def find_neighbors(x: Tensor, k: int) -> Tensor:
    """(B, T, K) int64: for every position the k nearest, itself included.

    Args:
        x: (B, T, C) features; the whole padded length takes part.
        k: number of neighbours.
    """
    return nearest(squared_distances(x), k)


def find_stitched_neighbors(x: Tensor, k: int, lengths: Tensor, config: ModelConfig) -> Tensor:
    """As ``find_neighbors``; short clips take half of theirs from the other scale.

    In a stitched clip the first k // 2 neighbours stay; for the others no edge among the
    stretched copy's positions counts. VSGN (arXiv 2011.14598), section 3.2.

    Official behaviour: the distance that stands for "no edge" is the largest one of the
    whole batch plus 1, so that with several processes it depends on the split.

    Args:
        x: (B, T, C) features of an encoder level.
        k: number of neighbours.
        lengths: (B,) int64 features of each clip.
        config: gap, scale and which clips count as short.
    """
    distances = squared_distances(x)
    chosen = nearest(distances, k)
    short = lengths <= config.short_fraction * config.length
    if not short.any():
        return chosen
    blocked = distances.max() + 1
    positions = x.shape[1]
    ratio = config.length / positions
    first = ((lengths + config.stitch_gap) / ratio).long()  # of the stretched copy
    copied = torch.arange(positions, device=x.device) >= first[:, None]  # B T
    distances = torch.where(copied[:, :, None] & copied[:, None, :], blocked, distances)
    half = chosen[..., : k // 2]
    distances.scatter_(-1, half, blocked.expand(half.shape))
    mixed = torch.cat([half, nearest(distances, k - k // 2)], -1)
    return torch.where(short[:, None, None], mixed, chosen)


class GraphBranch(nn.Module):
    """A linear map of every neighbour beside the position itself, then their maximum.

    The map of [x_j, x_p] is split: both halves are computed once for each position, and
    the neighbours' parts are gathered.

    Args:
        config: width, neighbours and how edges are made.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        self.edge = nn.Linear(2 * config.width, config.width)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(B, C, T) for features (B, C, T).

        Args:
            x: features of an encoder level.
            lengths: (B,) features of each clip; needed for stitched neighbours.
        """
        nodes = x.transpose(1, 2)  # B T C
        neighbors = self.neighbors(nodes.detach(), lengths)
        return self.aggregate(nodes, neighbors).transpose(1, 2)

    @torch.no_grad()
    def neighbors(self, nodes: Tensor, lengths: Tensor | None) -> Tensor:
        """(B, T, K) int64 neighbours of nodes (B, T, C)."""
        config = self.config
        if config.stitched_neighbors and lengths is not None:
            return find_stitched_neighbors(nodes, config.neighbors, lengths, config)
        return find_neighbors(nodes, config.neighbors)

    def aggregate(self, nodes: Tensor, neighbors: Tensor) -> Tensor:
        """(B, T, C) from nodes (B, T, C) and their neighbours (B, T, K)."""
        config = self.config
        of_neighbor, of_self = self.edge.weight.chunk(2, dim=1)  # C C each
        if config.edge_features == "difference":
            of_self = of_self - of_neighbor
        sent = _gather(nodes @ of_neighbor.T, neighbors)  # B T K C
        kept = nodes @ of_self.T + self.edge.bias  # B T C
        if config.edge_weights:
            sent = (sent + kept[:, :, None]) * _cosine(nodes, neighbors)
            return _reduce(sent, config.aggregation)
        return _reduce(sent, config.aggregation) + kept


def _gather(values: Tensor, neighbors: Tensor) -> Tensor:
    """(B, T, K, C) rows of values (B, T, C)."""
    batch, positions, channels = values.shape
    offset = torch.arange(batch, device=values.device)[:, None, None] * positions
    flat = (neighbors + offset).reshape(-1)
    return values.reshape(-1, channels)[flat].view(batch, positions, -1, channels)


def _cosine(nodes: Tensor, neighbors: Tensor) -> Tensor:
    """(B, T, K, 1) similarity of each neighbour; NaN where features are all zero."""
    unit = nodes / nodes.norm(dim=-1, keepdim=True)
    similarity: Tensor = (_gather(unit, neighbors) * unit[:, :, None]).sum(-1, keepdim=True)
    return similarity


def _reduce(sent: Tensor, aggregation: str) -> Tensor:
    return sent.mean(2) if aggregation == "mean" else sent.max(2).values
