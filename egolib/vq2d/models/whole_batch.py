"""Step 1 for whole batches of frames, in tensors of fixed size: nothing asks the host.

What ``SiameseRcnn.regions`` and ``detect`` give frame by frame, as a GPU likes it: every frame
has as many proposals as are allowed, with a mask of those that exist; suppression runs over
all levels, frames and queries together.

Legend: B frames of one size, L levels, R proposals of a frame, E width of projected regions,
Q references, n detections kept of a frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from egolib.nn.config import ProposalConfig
from egolib.nn.rpn import RegionProposals, Size
from egolib.ops import boxes as bx
from egolib.ops.suppression import ROUNDS, best_first, rows_at, survivors
from egolib.vq2d.config import DetectConfig
from egolib.vq2d.models.heads import SiameseHead
from egolib.vq2d.models.model import SiameseRcnn


class BatchRegions(NamedTuple):
    """Proposals of every frame.

    boxes (B, R, 4) in network pixels, vectors (B, R, E), exists (B, R) bool, settled () bool:
    False where suppression needed more rounds than it had.
    """

    boxes: Tensor
    vectors: Tensor
    exists: Tensor
    settled: Tensor


class BatchDetections(NamedTuple):
    """Detections of every frame for every reference, best first.

    boxes (B, Q, n, 4) in output pixels, scores (B, Q, n), exists (B, Q, n) bool, settled ()
    bool.
    """

    boxes: Tensor
    scores: Tensor
    exists: Tensor
    settled: Tensor

    def packed(self) -> Tensor:
        """All of it as one float tensor (B Q n 6 + 1,), for one copy to the host."""
        rows = torch.cat([self.boxes, self.scores[..., None], self.exists[..., None]], dim=-1)
        return torch.cat([rows.flatten(), self.settled[None].to(rows)])


def batch_regions(
    model: SiameseRcnn,
    pixels: Tensor,
    limits: ProposalConfig,
    rounds: int = ROUNDS,
) -> BatchRegions:
    """Proposals with vectors of frames of one size.

    Args:
        model: in evaluation mode, with a head that looks at each region on its own.
        pixels: (B, 3, H, W) uint8 BGR in network size.
        limits: of the proposals.
        rounds: of the suppression.
    """
    size = (pixels.shape[2], pixels.shape[3])
    maps = model.maps(normalised(model, pixels))
    boxes, exists, settled = batch_proposals(model.proposals, maps, size, limits, rounds)
    level = maps[model.config.level].float().contiguous()
    vectors = torch.stack([_vectors(model, level[i : i + 1], b) for i, b in enumerate(boxes)])
    return BatchRegions(boxes, vectors.float(), exists, settled)


def _vectors(model: SiameseRcnn, level: Tensor, boxes: Tensor) -> Tensor:
    """(R, E) projected regions of one frame, of its map (1, C, h, w); channels last, and in
    autocast's precision from the start."""
    regions = model.pool([level], [boxes])
    kind = regions.device.type
    if torch.is_autocast_enabled(kind):
        regions = regions.to(torch.get_autocast_dtype(kind))
    result: Tensor = model.head.projectors.region(
        regions.contiguous(memory_format=torch.channels_last)
    )
    return result


def normalised(model: SiameseRcnn, pixels: Tensor) -> Tensor:
    """(B, 3, H', W') what ``SiameseRcnn.batch`` makes of frames of one size, channels last.

    Args:
        model: gives mean and deviation.
        pixels: (B, 3, H, W) uint8 BGR.
    """
    divisor = model.config.size_divisor
    height, width = pixels.shape[2:]
    values = (pixels.float() - model.pixel_mean) / model.pixel_std
    padding = (0, -width % divisor, 0, -height % divisor)
    return functional.pad(values, padding).contiguous(memory_format=torch.channels_last)


def batch_proposals(
    network: RegionProposals,
    maps: Sequence[Tensor],
    size: Size,
    limits: ProposalConfig,
    rounds: int = ROUNDS,
) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes (B, R, 4) of the proposals, which of them exist (B, R), and whether that is final.

    Args:
        network: gives logits, offsets and anchors.
        maps: of the pyramid.
        size: (height, width) of all frames without padding.
        limits: how many are kept.
        rounds: of the suppression.
    """
    output = network(maps)
    found = [
        _best_of_level(network, level, logits, offsets, limits)
        for level, (logits, offsets) in enumerate(zip(*output, strict=True))
    ]
    extent = network.config.boxes.extent
    boxes = bx.clip(torch.stack([b for b, _ in found], 1), size, extent)  # (B, L, N, 4)
    scores = torch.stack([s for _, s in found], 1)  # (B, L, N)
    valid = torch.isfinite(boxes).all(dim=-1) & torch.isfinite(scores)
    if limits.drop_empty:
        valid &= (boxes[..., 2] > boxes[..., 0]) & (boxes[..., 3] > boxes[..., 1])
    kept, settled = survivors(
        boxes.flatten(0, 1), valid.flatten(0, 1), limits.nms_threshold, extent=extent, rounds=rounds
    )
    kept, scores, boxes = kept.reshape(len(scores), -1), scores.flatten(1), boxes.flatten(1, 2)
    order, exists = best_first(scores, kept, limits.after)
    return rows_at(boxes, order), exists, settled.all()


def _best_of_level(
    network: RegionProposals, level: int, logits: Tensor, offsets: Tensor, limits: ProposalConfig
) -> tuple[Tensor, Tensor]:
    """Decoded boxes (B, N, 4) and scores (B, N) of a level, N = ``limits.before``, best first;
    the score of places that a small level does not fill is minus infinity."""
    batch, _, height, width = logits.shape
    anchors = network.anchors.level(level, (height, width), logits.device)
    scores = logits.float().permute(0, 2, 3, 1).reshape(batch, -1)
    if limits.rank_by == "probability":
        scores = scores.sigmoid()
    values = offsets.float().permute(0, 2, 3, 1).reshape(batch, -1, 4)
    scores, best = scores.sort(dim=1, descending=True, stable=True)
    scores, best = scores[:, : limits.before], best[:, : limits.before]
    boxes = network.coder.decode(anchors[best], rows_at(values, best))
    missing = limits.before - best.shape[1]
    boxes = functional.pad(boxes, (0, 0, 0, missing))
    return boxes, functional.pad(scores, (0, missing), value=-torch.inf)


def batch_detect(
    model: SiameseRcnn,
    regions: BatchRegions,
    references: Tensor,
    sizes: tuple[Size, Size],
    settings: DetectConfig,
    rounds: int = ROUNDS,
) -> BatchDetections:
    """Detections of all frames for all references.

    Args:
        model: whose head compares.
        regions: of the frames.
        references: (Q, E).
        sizes: (height, width) of the frames in the network, and of those that the boxes
            shall refer to.
        settings: thresholds and limit.
        rounds: of the suppression.
    """
    size, output = sizes
    frames, count = regions.exists.shape
    flat = regions.vectors.flatten(0, 1)[None]
    scores = model.head.compare(flat, references).scores()  # (Q, B R)
    scores = scores.reshape(-1, frames, count).transpose(0, 1).flatten(0, 1)  # (B Q, R)
    boxes, valid = (_for_each(x, len(references)) for x in (regions.boxes, regions.exists))
    valid = valid & torch.isfinite(boxes).all(dim=-1) & torch.isfinite(scores)
    valid = valid & (scores > settings.score_threshold)
    order, valid = best_first(scores, valid, count)
    boxes, scores = rows_at(bx.clip(boxes, size), order), scores.gather(1, order)
    kept, settled = survivors(boxes, valid, settings.nms_threshold, rounds=rounds)
    order, exists = best_first(scores, kept, settings.limit)
    ratio = (output[1] / size[1], output[0] / size[0])
    boxes = torch.stack(
        [x * ratio[i % 2] for i, x in enumerate(rows_at(boxes, order).unbind(-1))], -1
    )
    boxes = bx.clip(boxes, output)
    exists = exists & (boxes[..., 2] > boxes[..., 0]) & (boxes[..., 3] > boxes[..., 1])
    shape = (frames, len(references), -1)
    return BatchDetections(
        boxes.reshape(*shape, 4),
        scores.gather(1, order).reshape(shape),
        exists.reshape(shape),
        regions.settled & settled.all(),
    )


def _for_each(rows: Tensor, count: int) -> Tensor:
    """(B count, ...) every row as often as there are references, of rows (B, ...)."""
    return rows[:, None].expand(-1, count, *rows.shape[1:]).flatten(0, 1)


def fits(model: SiameseRcnn) -> bool:
    """Whether its head looks at each region on its own, so that absent ones do no harm."""
    return isinstance(model.head, SiameseHead)
