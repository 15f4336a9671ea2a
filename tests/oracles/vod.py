"""The official order of work of vod, on our own modules and kernels.

For ratios in ``benchmarks/vod.py`` and for tests that outputs are equal: nothing here is
slow on purpose, it only does what the published code does, in its order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from egolib.metrics.detection import RANGES
from egolib.nn.roi import Found
from egolib.vod.config.infer import published_infer
from egolib.vod.models.bank import MemoryBank
from egolib.vod.models.frames import Frames
from egolib.vod.models.heads import SupportHead
from egolib.vod.models.relation import Relation, position_embedding
from egolib.vod.models.selsa import Selsa
from egolib.vod.models.stpn import PromptBlock, PromptSwin, merge_prompts

# ----------------------------------------------------------------------------- SELSA


class OfficialSelsa:
    """Keeps the references' maps and repeats proposals and region head for all of them."""

    def __init__(self, model: Selsa, references: Frames) -> None:
        self.model = model
        self.sizes = references.sizes
        self.maps = [
            model.detector.maps(references.images[i : i + 1]) for i in range(len(references))
        ]

    @torch.no_grad()
    def step(self, frame: Frames) -> Found:
        """Detections in one frame."""
        return self.after_neck(frame, self.model.detector.maps(frame.images))

    @torch.no_grad()
    def after_neck(self, frame: Frames, maps: list[Tensor]) -> Found:
        """Detections from the frame's neck maps."""
        detector, head = self.model.detector, self.model.head
        boxes = detector.propose(maps, frame.sizes)[0].boxes
        everything = [torch.cat(parts) for parts in zip(*self.maps, maps, strict=True)]
        proposals = detector.propose(everything, [*self.sizes, *frame.sizes])
        x = head.pool(maps, [boxes])
        support = head.pool(everything, [p.boxes for p in proposals])
        for layer, aggregator in zip(head.layers, head.aggregators, strict=True):
            x, support = layer(x), layer(support)
            x = F.relu(x + aggregator(x, aggregator.project(support)))
            support = F.relu(support)
        limits = published_infer(self.model.config).detections
        return head.detect(x, boxes, frame.sizes[0], frame.scales[0], limits)


# ----------------------------------------------------------------------------- MAMBA


def official_mamba_head(
    head: SupportHead, pooled: Tensor, banks: Sequence[MemoryBank], top: int
) -> Tensor:
    """Hidden features of a frame's regions: all rows that are read are projected."""
    x = pooled
    for layer, aggregator, bank in zip(head.layers, head.aggregators, banks, strict=False):
        keys = bank.sample()[0]
        x = layer(x)
        x = x + aggregator(x, aggregator.project(keys))
        bank.update(x[:top])
        x = F.relu(x)
    return x


# ------------------------------------------------------------------------------ STPN


def official_prompt_block(block: PromptBlock, x: Tensor, prompts: Tensor) -> tuple[Tensor, Tensor]:
    """A block that copies the prompts into every window before anything is computed."""
    attention, number = block.attention, prompts.shape[1]
    layout = block.layout(x)
    windows = layout.split(block.norm1(x))  # (B, n, T, C)
    copies = block.norm1(prompts)[:, None].expand(-1, windows.shape[1], -1, -1)
    tokens = torch.cat([copies, windows], dim=2)
    query, key, value = attention.qkv(tokens).chunk(3, dim=-1)
    bias = F.pad(attention.window_bias(layout), (number, 0, number, 0))
    attended = attention.out(attention.attend(query, key, value, bias))
    x = x + layout.join(attended[:, :, number:].contiguous())
    prompts = prompts + attended[:, :, :number].mean(dim=1)
    return block.finish(x), prompts + block.mlp(block.norm2(prompts))


def official_prompt_maps(backbone: PromptSwin, images: Tensor, prompts: Tensor) -> list[Tensor]:
    """Maps of the whole backbone with such blocks."""
    x, maps = backbone.patches(images), []
    prompts = prompts.expand(len(images), -1, -1)
    for i, stage in enumerate(backbone.stages):
        for block in stage.blocks:
            x, prompts = official_prompt_block(block, x, prompts)
        maps.append(backbone.output(i, x))
        if stage.merge is not None:
            x = stage.merge(x)
            prompts = merge_prompts(stage.merge, prompts, backbone.prompt.merge)
    return maps


# ------------------------------------------------------------------------------ MEGA


def official_relation(
    relation: Relation, x: Tensor, support: Tensor, boxes: Tensor | None, others: Tensor | None
) -> Tensor:
    """A relation that mixes whole support rows for every group, then convolves by group."""
    groups = relation.groups
    query = relation.query(x).unflatten(1, (groups, -1)).transpose(0, 1)
    key = relation.key(support).unflatten(1, (groups, -1)).transpose(0, 1)
    logits = (query + relation.bias) @ key.transpose(1, 2) / query.shape[-1] ** 0.5
    if relation.position is not None:
        assert boxes is not None and others is not None
        embedding = position_embedding(boxes, others, relation.position.in_features)
        weights = F.relu(relation.position(embedding)).permute(2, 0, 1)
        logits = logits + (weights + 1e-6).log()
    mixed = logits.softmax(dim=2) @ support  # (G, N, D)
    stacked = mixed.transpose(0, 1).flatten(1)[:, :, None, None]  # (N, G * D, 1, 1)
    weight = relation.value.weight[:, :, None, None]
    return F.conv2d(stacked, weight, relation.value.bias, groups=groups)[:, :, 0, 0]


# ------------------------------------------------------------------------- evaluator


def literal_vid(
    truths: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
    predictions: Sequence[Sequence[np.ndarray]],
    classes: int,
) -> np.ndarray:
    """AP of every motion range and class, (4, K), by loops over frames, classes, detections
    and true boxes, one pass for each range.

    Args:
        truths: for every frame boxes (G, 4), labels (G,) and motion IoU (G,).
        predictions: for every frame K arrays (n, 5).
    """
    entries = np.concatenate([m if len(m) else np.zeros(1) for _, _, m in truths])
    return np.stack(
        [_literal_range(truths, predictions, classes, r, entries) for r in RANGES.values()]
    )


def _literal_range(
    truths: Sequence[tuple],
    predictions: Sequence[Sequence[np.ndarray]],
    classes: int,
    limits: tuple[float, float],
    entries: np.ndarray,
) -> np.ndarray:
    low, high = limits
    weight = 0.0
    if limits != (0.0, 1.0):
        weight = float(((entries >= low) & (entries <= high)).sum()) / len(entries)
        weight = 0.0 if weight == 1 else weight
    count = np.zeros(classes)
    lists: list[dict[str, list]] = [
        {"score": [], "match": [], "ignore": []} for _ in range(classes)
    ]
    for (boxes, labels, motion), frame in zip(truths, predictions, strict=False):
        outside = (motion < low) | (motion > high)
        for label in range(classes):
            mine = labels == label
            found = np.asarray(frame[label], np.float32).reshape(-1, 5)
            found = found[found[:, 4].argsort()[::-1]]
            count[label] += (mine & ~outside).sum()
            lists[label]["score"] += found[:, 4].tolist()
            _literal_frame(lists[label], found, boxes[mine], outside[mine], weight)
    return np.array([_literal_ap(lists[k], count[k]) for k in range(classes)])


def _literal_frame(
    record: dict[str, list],
    found: np.ndarray,
    boxes: np.ndarray,
    outside: np.ndarray,
    weight: float,
) -> None:
    """Judges one frame's detections of one class."""
    if not len(boxes):
        record["match"] += [0] * len(found)
        record["ignore"] += [weight] * len(found)
        return
    overlaps = _literal_iou(found, boxes)
    used = [False] * len(boxes)
    for row in overlaps:
        best, chosen, counted, ignored = 0.5, -1, -1.0, -1.0
        for k in range(len(boxes)):
            if outside[k]:
                ignored = max(ignored, row[k])
            else:
                counted = max(counted, row[k])
            if used[k] or row[k] < best:
                continue
            if row[k] > best or chosen < 0 or outside[chosen]:
                chosen = k
            best = row[k]
        if chosen >= 0:
            used[chosen] = True
            record["match"].append(1)
            record["ignore"].append(float(outside[chosen]))
            continue
        record["match"].append(0)
        share = float(outside.sum()) / len(outside)
        record["ignore"].append(0.0 if counted > ignored else 1.0 if counted < ignored else share)


def _literal_iou(found: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """IoU of the official evaluator: 1 is added to x2 and y2, and once more to the sides."""
    a, b = found[:, :4].copy(), boxes.astype(np.float32).copy()
    a[:, 2:] += 1
    b[:, 2:] += 1
    one = np.float32(1)
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.clip(high - low + one, 0, None).prod(-1)
    areas = [(x[:, 2:] - x[:, :2] + one).prod(-1) for x in (a, b)]
    return shared / (areas[0][:, None] + areas[1][None] - shared)


def _literal_ap(record: dict[str, list], positives: float) -> float:
    if not positives:
        return float("nan")
    order = np.array(record["score"], np.float32).argsort()[::-1]
    match, ignore = np.array(record["match"])[order], np.array(record["ignore"])[order]
    true = np.cumsum((match == 1) & (ignore != 1))
    false = np.cumsum(((match == 0) & (ignore != 1)) * np.where(ignore == 0, 1, ignore))
    precision = np.concatenate([[0], true / (true + false + np.spacing(1)), [0]])
    recall = np.concatenate([[0], true / positives, [1]])
    for i in range(len(precision) - 2, -1, -1):
        precision[i] = max(precision[i], precision[i + 1])
    rises = np.flatnonzero(recall[1:] != recall[:-1])
    return float(((recall[rises + 1] - recall[rises]) * precision[rises + 1]).sum())


def random_detections(
    frames: int, classes: int, seed: int = 0, boxes: int = 4, found: int = 60
) -> tuple[list[tuple[np.ndarray, np.ndarray, np.ndarray]], list[list[Any]]]:
    """Made-up truths and detections, some near true boxes, for the evaluators."""
    rng = np.random.default_rng(seed)
    truths, predictions = [], []
    for _ in range(frames):
        count = int(rng.integers(0, boxes + 1))
        corner = rng.uniform(0, 400, (count, 2))
        box = np.concatenate([corner, corner + rng.uniform(20, 200, (count, 2))], 1).round()
        labels = rng.integers(0, classes, count)
        truths.append(
            (box.astype(np.float32), labels, rng.choice([0.5, 0.7, 0.8, 0.9, 1.0], count))
        )
        near = rng.integers(0, max(count, 1), found)
        base = box[near] if count else rng.uniform(0, 600, (found, 4))
        moved = (base + rng.normal(0, 12, (found, 4))).astype(np.float32)
        label = np.where(
            rng.random(found) < 0.5, labels[near] if count else 0, rng.integers(0, classes, found)
        )
        rows = np.column_stack([moved, rng.random(found)]).astype(np.float32)
        predictions.append([rows[label == k] for k in range(classes)])
    return truths, predictions
