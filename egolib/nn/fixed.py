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

BLOCK = 512  # boxes whose suppression is settled together
ROUNDS = 24  # steps for it; chains of boxes that spare each other are rarely longer
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


# -------------------------------------------------------------------- suppression


def survivors(
    boxes: Tensor,
    valid: Tensor,
    threshold: float,
    *,
    groups: Tensor | None = None,
    extent: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Greedy non-maximum suppression of several lists of boxes at once.

    A box stays when no better one that stays overlaps it. Within a block this is applied to
    all boxes again and again, from all of them staying, until nothing changes: the fixed point
    is unique, and is the result of going box by box.

    Args:
        boxes: (B, N, 4) float, best first.
        valid: (B, N) bool; others neither stay nor suppress.
        threshold: a box goes when its IoU with a better one is larger.
        groups: (B, N), within which boxes suppress each other; None for one group.
        extent: what the convention adds to ``x2 - x1`` for a width.

    Returns:
        Which boxes stay, (B, N) bool, and whether that is settled, (B,) bool.
    """
    kind = torch.bfloat16 if boxes.is_cuda else torch.float32
    stay = valid.new_zeros(valid.shape, dtype=kind)
    settled = valid.new_ones(len(valid))
    with torch.autocast(boxes.device.type, enabled=False):
        for start in range(0, boxes.shape[1], BLOCK):
            block = slice(start, min(start + BLOCK, boxes.shape[1]))
            hit = _overlap(boxes, block, threshold, extent)
            if groups is not None:
                hit &= groups[:, block, None] == groups[:, None, : block.stop]
            hit = hit.to(kind)
            free = valid[:, block]
            if start:
                free = free & _none(hit[:, :, :start], stay[:, :start])
            kept, same = _fixed_point(hit[:, :, start:].tril(-1), free)
            stay[:, block] = kept.to(kind)
            settled = settled & same
    return stay > 0, settled


def _overlap(boxes: Tensor, block: slice, threshold: float, extent: float) -> Tensor:
    """Whether boxes of a block overlap those up to its end by more than the threshold."""
    x1, y1, x2, y2 = boxes.unbind(-1)
    x2, y2 = x2 + extent, y2 + extent
    areas = (x2 - x1) * (y2 - y1)
    width = _shared(x1, x2, block)
    shared = _shared(y1, y2, block).mul_(width)
    union = (areas[:, block, None] + areas[:, None, : block.stop]).sub_(shared)
    return shared.div_(union) > threshold


def _shared(low: Tensor, high: Tensor, block: slice) -> Tensor:
    """Length, (B, block, N), that intervals of a block share with those up to its end."""
    first = torch.maximum(low[:, block, None], low[:, None, : block.stop])
    last = torch.minimum(high[:, block, None], high[:, None, : block.stop])
    return last.sub_(first).clamp_(min=0)


def _none(hit: Tensor, stay: Tensor) -> Tensor:
    """Which rows of ``hit`` (B, n, m) meet none of those that stay (B, m)."""
    return torch.bmm(hit, stay[..., None])[..., 0] == 0


def _fixed_point(hit: Tensor, free: Tensor) -> tuple[Tensor, Tensor]:
    before = kept = free
    for _ in range(min(ROUNDS, free.shape[1])):
        before, kept = kept, free & _none(hit, kept.to(hit.dtype))
    return kept, (kept == before).all(dim=1)


def first_of(stay: Tensor, number: int) -> Tensor:
    """Places (B, number) of the first rows that stay, in order; what follows them is arbitrary."""
    places: Tensor = stay.to(torch.uint8).sort(dim=1, descending=True, stable=True).indices
    return places[:, :number]


def rows_at(x: Tensor, places: Tensor) -> Tensor:
    """Rows (B, P, ...) of x (B, N, ...) at places (B, P)."""
    return x[torch.arange(len(x), device=x.device)[:, None], places]


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
