"""Selection of boxes with results of fixed size, for whole batches and without the host.

What ``rpn`` and ``roi`` select box by box has as many results as there are, so that the host
waits to learn how many. Here every step has shapes that follow from the inputs' shapes; a
batch is computed at once, and can be captured as a CUDA graph. Results are equal where they
are ``complete``; an image of which they are not has to be computed the other way.

B images; N boxes, best first; P proposals; R regions; K classes; D detections.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from egolib.nn.config import DetectionConfig, ProposalConfig
from egolib.nn.roi import Found
from egolib.nn.rpn import RegionProposals, RpnOutput, map_size
from egolib.ops import boxes as bx
from egolib.ops.suppression import first_of, rows_at, survivors

SCANNED = 3072  # boxes that are looked at for the first P that stay
TIES = 16  # detections beyond the limit that may tie with the last one


class FixedProposals(NamedTuple):
    """Proposals of B images, best first: boxes (B, P, 4), scores (B, P), complete (B,) bool."""

    boxes: Tensor
    scores: Tensor
    complete: Tensor


class FixedFound(NamedTuple):
    """Detections of B images, best first: boxes (B, D, 4), labels (B, D), scores (B, D), how many
    of them count (B,), and complete (B,) bool."""

    boxes: Tensor
    labels: Tensor
    scores: Tensor
    number: Tensor
    complete: Tensor

    def image(self, index: int, number: int) -> Found:
        """The detections of one image, of which ``number`` count."""
        return Found(*(x[index, :number] for x in self[:3]))


# ---------------------------------------------------------------------- proposals


@torch.no_grad()
def propose(
    rpn: RegionProposals, output: RpnOutput, corner: Tensor, limits: ProposalConfig
) -> FixedProposals:
    """What ``RegionProposals.propose`` finds in images of one size.

    Complete where ``limits.after`` proposals are among the best ``SCANNED`` boxes.

    Args:
        rpn: the network's region proposals.
        output: its dense predictions for B images.
        corner: (4,) largest x, y, x, y of a box (``corner_of``).
        limits: of the selection.
    """
    parts = [_best_of_level(rpn, i, output, limits) for i in range(len(output.logits))]
    boxes, scores = (torch.cat(x, dim=1) for x in zip(*parts, strict=True))
    sizes = [p[1].shape[1] for p in parts]
    levels = torch.cat([torch.full((n,), i, device=boxes.device) for i, n in enumerate(sizes)])
    levels = levels.expand(len(boxes), -1)
    if len(parts) > 1:
        scores, order = scores.sort(dim=1, descending=True, stable=True)
        boxes, levels = rows_at(boxes, order), rows_at(levels, order)
    boxes, scores, levels = (x[:, :SCANNED] for x in (boxes, scores, levels))
    boxes = torch.minimum(boxes.clamp(min=0), corner)
    valid = torch.isfinite(boxes).all(dim=2) & torch.isfinite(scores)
    boxes = boxes.nan_to_num()  # what is no number fills up, and pooling it would crash
    if limits.drop_empty:
        valid &= _has_area(boxes)
    stay, settled = survivors(
        boxes,
        valid,
        limits.nms_threshold,
        groups=levels if len(parts) > 1 else None,
        extent=rpn.config.boxes.extent,
    )
    places = first_of(stay, limits.after)
    complete = settled & (stay.sum(dim=1) >= limits.after)
    return FixedProposals(rows_at(boxes, places), rows_at(scores, places), complete)


def _best_of_level(
    rpn: RegionProposals, level: int, output: RpnOutput, limits: ProposalConfig
) -> tuple[Tensor, Tensor]:
    """Decoded boxes (B, n, 4) and scores (B, n) of the best predictions of one level."""
    logits, offsets = output.logits[level].float(), output.offsets[level].float()
    anchors = rpn.anchors.level(level, map_size(logits), logits.device).expand(len(logits), -1, -1)
    scores = logits.permute(0, 2, 3, 1).flatten(1)
    if limits.rank_by == "probability":
        scores = scores.sigmoid()
    offsets = offsets.permute(0, 2, 3, 1).reshape(len(offsets), -1, 4)
    if scores.shape[1] > limits.before or len(output.logits) == 1:
        scores, best = scores.sort(dim=1, descending=True, stable=True)
        scores, best = scores[:, : limits.before], best[:, : limits.before]
        anchors, offsets = rows_at(anchors, best), rows_at(offsets, best)
    return rpn.coder.decode(anchors, offsets), scores


def _has_area(boxes: Tensor) -> Tensor:
    return (boxes[..., 2] > boxes[..., 0]) & (boxes[..., 3] > boxes[..., 1])


def corner_of(size: tuple[int, int], extent: float) -> tuple[float, float, float, float]:
    """Largest x, y, x, y of a box in an image of (height, width)."""
    height, width = size
    return (width - extent, height - extent) * 2


# --------------------------------------------------------------------- detections


@torch.no_grad()
def select(
    scores: Tensor,
    offsets: Tensor,
    regions: Tensor,
    corner: Tensor,
    scales: Tensor,
    *,
    coder: bx.BoxCoder,
    config: DetectionConfig,
) -> FixedFound:
    """What ``roi.select_detections`` finds in images of one size.

    Args:
        scores: (B, R, K) class probabilities, without background.
        offsets: (B, R, K, 4), or (B, R, 1, 4) when all classes share them.
        regions: (B, R, 4) in pixels of the network's input.
        corner: (4,) largest x, y, x, y of a box (``corner_of``).
        scales: (B, 4) input pixels per pixel of the original image, for x, y, x, y.
        coder: turns offsets into boxes.
        config: thresholds and numbers.
    """
    batch, count, classes = scores.shape
    boxes = coder.decode(regions[:, :, None], offsets).expand(-1, -1, classes, -1)
    boxes = torch.minimum(boxes.clamp(min=0), corner)
    valid = scores > config.score_threshold
    if config.drop_empty:
        valid &= _has_area(boxes)
    scales = scales[:, None, None]
    if config.rescale == "before":
        boxes = boxes / scales
    lists = (batch * classes, count)
    order = scores.transpose(1, 2).reshape(lists).argsort(dim=1, descending=True, stable=True)
    ordered = rows_at(boxes.transpose(1, 2).reshape(*lists, 4), order)
    allowed = valid.transpose(1, 2).reshape(lists).gather(1, order)
    stay, settled = survivors(ordered, allowed, config.nms_threshold, extent=coder.config.extent)
    stay = torch.empty_like(stay).scatter_(1, order, stay).view(batch, classes, count)
    final = torch.where(stay.transpose(1, 2), scores, -torch.inf).flatten(1)  # (B, R * K)
    best, places = final.sort(dim=1, descending=True, stable=True)
    kept = config.limit + (TIES if config.limit_ties == "keep" else 0)
    best, places = best[:, :kept], places[:, :kept]
    boxes = rows_at(boxes.flatten(1, 2), places)
    if config.rescale == "after":
        boxes = boxes / scales[:, 0]
    number, all_there = _number(best, config)
    complete = settled.view(batch, classes).all(dim=1) & all_there
    return FixedFound(boxes, places % classes, best, number, complete)


def _number(scores: Tensor, config: DetectionConfig) -> tuple[Tensor, Tensor]:
    """How many of descending scores (B, D) count, and whether no tie goes on beyond them."""
    there = torch.isfinite(scores)
    if config.limit_ties == "cut" or scores.shape[1] <= config.limit:
        return there[:, : config.limit].sum(dim=1), there.new_ones(len(there))
    there &= scores >= scores[:, config.limit - 1, None]
    number = there.sum(dim=1)
    return number, number < scores.shape[1]


class Dense(NamedTuple):
    """Candidates of one level of a dense detector, best first: boxes (B, n, 4) in pixels of the
    input, labels (B, n), final scores (B, n), and which of them are candidates (B, n)."""

    boxes: Tensor
    labels: Tensor
    scores: Tensor
    valid: Tensor


@torch.no_grad()
def select_dense(
    levels: list[Dense], corner: Tensor, scales: Tensor, config: DetectionConfig
) -> FixedFound:
    """Detections from the candidates of all levels, suppressed within every class.

    Complete where ``config.limit`` detections are among the best ``SCANNED`` candidates, or
    all candidates are among them.

    Args:
        levels: candidates, finest level first.
        corner: (4,) largest x, y, x, y of a box (``corner_of``).
        scales: (B, 4) input pixels per pixel of the original image, for x, y, x, y.
        config: thresholds and numbers.
    """
    boxes, labels, scores, valid = (torch.cat(x, dim=1) for x in zip(*levels, strict=True))
    boxes = torch.minimum(boxes.clamp(min=0), corner) / scales[:, None]
    ranked = torch.where(valid, scores, -torch.inf)
    ranked, order = ranked.sort(dim=1, descending=True, stable=True)
    ranked, order = ranked[:, :SCANNED], order[:, :SCANNED]
    boxes, labels = rows_at(boxes, order), rows_at(labels, order)
    there = torch.isfinite(ranked)
    stay, settled = survivors(boxes, there, config.nms_threshold, groups=labels)
    places = first_of(stay, config.limit)
    number = stay.sum(dim=1).clamp(max=config.limit)
    seen = valid.sum(dim=1) <= there.sum(dim=1)
    boxes, labels, ranked = (rows_at(x, places) for x in (boxes, labels, ranked))
    complete = settled & (seen | (number == config.limit))
    return FixedFound(boxes, labels, ranked, number, complete)
