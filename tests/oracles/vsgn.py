"""VSGN's graph and boundary adjustment in the published order of work, for comparison.

B clips, C channels, T positions, K neighbours, A boxes. Every pair of positions is formed
before it is reduced, every neighbour is mapped by itself, every box gathers its columns
before they are convolved.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from egolib.mq.config import ModelConfig
from egolib.mq.models.boundary import BoundaryOffset
from egolib.mq.models.graph import GraphBranch


def find_neighbors(x: Tensor, k: int) -> Tensor:
    """(B, T, K) nearest positions of x (B, T, C), from all differences (B, C, T, T)."""
    channels = x.transpose(1, 2)
    difference = channels[:, :, :, None] - channels[:, :, None, :]
    return (difference**2).sum(1).topk(k, dim=-1, largest=False).indices


def find_stitched_neighbors(x: Tensor, k: int, lengths: Tensor, config: ModelConfig) -> Tensor:
    """As above, clip by clip; short clips take the second half from the other scale."""
    channels = x.transpose(1, 2)
    distances = ((channels[:, :, :, None] - channels[:, :, None, :]) ** 2).sum(1)
    chosen = distances.topk(k, dim=-1, largest=False).indices
    blocked, ratio = distances.max() + 1, config.length / x.shape[1]
    for clip, length in enumerate(lengths.tolist()):
        if length <= config.short_fraction * config.length:
            first = int((length + config.stitch_gap) / ratio)
            distances[clip, first:, first:] = blocked
            for position in range(x.shape[1]):
                row = distances[clip, position]
                row[chosen[clip, position, : k // 2]] = blocked
                chosen[clip, position, k // 2 :] = row.topk(k - k // 2, largest=False).indices
    return chosen


def aggregate(branch: GraphBranch, nodes: Tensor, neighbors: Tensor) -> Tensor:
    """(B, T, C): the linear map of every neighbour beside the position, then the reduction."""
    config = branch.config
    batch = torch.arange(len(nodes))[:, None, None]
    there = nodes[batch, neighbors]  # B T K C
    here = nodes[:, :, None].expand_as(there)
    first = there - here if config.edge_features == "difference" else there
    mapped = branch.edge(torch.cat([first, here], -1))
    if config.edge_weights:
        norms = there.norm(dim=-1) * here.norm(dim=-1)
        mapped = mapped * ((there * here).sum(-1) / norms)[..., None]
    return mapped.mean(2) if config.aggregation == "mean" else mapped.max(2).values


def boundary_offset(module: BoundaryOffset, finest: Tensor, columns: Tensor) -> Tensor:
    """(B, A) offsets: the convolution over each box's own three columns."""
    batch, boxes, _ = columns.shape
    index = columns.reshape(batch, 1, -1).expand(-1, finest.shape[1], -1)
    gathered = finest.gather(2, index).view(batch, -1, boxes, 3)  # B C A 3
    own = gathered.transpose(1, 2).reshape(batch * boxes, -1, 3)
    hidden = F.conv1d(own, module.hidden.weight, module.hidden.bias).relu()
    return F.conv1d(hidden, module.output.weight, module.output.bias).view(batch, boxes)
