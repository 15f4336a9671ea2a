"""Relations between regions: attention with a learned weight for their geometry (MEGA).

N query regions; M support regions; D width; G groups; E values of the embedding.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from egolib.nn import init
from egolib.vod.models.heads import attention

ROWS_AT_ONCE = {"cpu": 64, "cuda": 1024}


class Relation(nn.Module):
    """What regions gather from others (Hu et al., CVPR 2018; Chen et al., CVPR 2020, eq. 2-4).

    logit = log(relu(W_g embedding) + 1e-6) + (W_q x + u) . (W_k support) / sqrt(D / G)

    The published form mixes whole support rows with every group's weights and then
    applies a grouped 1x1 convolution. Both are linear, so the convolution is applied to
    the support first: equal sums, D / G times less work.

    Args:
        width: D.
        groups: G.
        embedding: E.
        geometry: whether positions enter; the global relations know none.
    """

    def __init__(self, width: int, groups: int, embedding: int, geometry: bool) -> None:
        super().__init__()
        self.groups = groups
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.bias = nn.Parameter(torch.empty(groups, 1, width // groups).normal_(std=0.01))
        self.position = nn.Linear(embedding, groups) if geometry else None
        init.normal(self.value, 0.01)
        if self.position is not None:
            init.normal(self.position, 0.01)

    def forward(
        self,
        x: Tensor,
        support: Tensor,
        boxes: Tensor | None = None,
        support_boxes: Tensor | None = None,
    ) -> Tensor:
        """What rows x (N, D) gather from the support (M, D); (N, D), to be added to them.

        Args:
            x: (N, D).
            support: (M, D).
            boxes: (N, 4) of the rows, where geometry enters.
            support_boxes: (M, 4) of the support, where geometry enters.
        """
        query = self._split(self.query(x)) + self.bias  # (G, N, D / G)
        key, value = self._split(self.key(support)), self._split(self.value(support))
        weights = None
        if self.position is not None:
            assert boxes is not None and support_boxes is not None
            weights = self.position_logits(boxes, support_boxes)[None]
        gathered = attention(query[None], key[None], value[None], weights)
        return gathered[0].transpose(0, 1).flatten(1)

    def position_logits(self, boxes: Tensor, support_boxes: Tensor) -> Tensor:
        """log(relu(W_g embedding) + 1e-6), (G, N, M), a few query rows at a time."""
        assert self.position is not None
        width, device = self.position.in_features, boxes.device.type
        with torch.autocast(device, enabled=False):
            logits = [
                (F.relu(self.position(position_embedding(part, support_boxes, width))) + 1e-6).log()
                for part in torch.split(boxes, ROWS_AT_ONCE.get(device, 64))
            ]
        return torch.cat(logits).permute(2, 0, 1)

    def _split(self, x: Tensor) -> Tensor:
        return torch.unflatten(x, 1, (self.groups, -1)).transpose(0, 1)


def position_embedding(boxes: Tensor, others: Tensor, width: int) -> Tensor:
    """Sines and cosines of the relative geometry of boxes (N, 4) and others (M, 4).

    Four numbers for every pair: log(|dx| / w + 1e-3), log(|dy| / h + 1e-3), log(w / w'),
    log(h / h'), sides counted with + 1. Each gives width / 8 sines, then as many cosines.

    Args:
        boxes: (N, 4) xyxy in input pixels.
        others: (M, 4) xyxy in input pixels.
        width: E, a multiple of 8.

    Returns:
        (N, M, width).
    """
    centre, size = _centre_and_size(boxes)
    other_centre, other_size = _centre_and_size(others)
    apart = (centre[:, None] - other_centre[None]).abs() / size[:, None]
    geometry = torch.cat(
        [torch.log(apart + 1e-3), torch.log(size[:, None] / other_size[None])], dim=-1
    )  # (N, M, 4)
    step = torch.arange(width // 8, device=boxes.device, dtype=boxes.dtype) * (8 / width)
    angles = 100 * geometry[..., None] / 1000.0**step  # (N, M, 4, width / 8)
    return torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(2)


def _centre_and_size(boxes: Tensor) -> tuple[Tensor, Tensor]:
    return (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2] + 1
