"""Average precision on single frames, which a training is monitored by."""

from __future__ import annotations

import numpy as np
import torch

from egolib.metrics.coco import evaluate_coco
from egolib.metrics.detection import Boxes
from egolib.vq2d.config import DetectConfig
from egolib.vq2d.data.dataset import Item, TrainingSet
from egolib.vq2d.models.model import SiameseRcnn


@torch.no_grad()
def validation_ap(
    model: SiameseRcnn, data: TrainingSet, settings: DetectConfig, limit: int = 0
) -> dict[str, float]:
    """COCO's box AP and AP50 on single frames, each with its own reference, as fractions.

    The published training monitors this every 5,000 updates on ``visual_query_clean``
    samples of the validation split.

    Args:
        model: the network.
        data: without augmentation.
        settings: of step 1.
        limit: only so many samples, evenly spread; 0 for all.
    """
    count = min(limit or len(data), len(data))
    numbers = np.linspace(0, len(data) - 1, count).astype(int)
    truths, found, sizes = [], [], []
    for number in numbers.tolist():
        item = data.sample(number, np.random.default_rng(0))
        height, width = item.frame.shape[1:]
        sizes.append((height, width))
        truths.append((item.boxes.numpy(), np.zeros(0, np.float32)))
        found.append(detect_item(model, item, settings))
    precision = evaluate_coco(_stacked(truths), _stacked(found), sizes)
    return {"AP": max(precision["bbox_mAP"], 0.0), "AP50": max(precision["bbox_mAP_50"], 0.0)}


@torch.no_grad()
def detect_item(
    model: SiameseRcnn, item: Item, settings: DetectConfig
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (n, 4) and scores (n,) of one sample, in its own pixels.

    Args:
        model: the network.
        item: the frame and the picture of the object.
        settings: of step 1.
    """
    device = model.pixel_mean.device
    batch = model.batch([item.frame.to(device)])
    (regions,) = model.regions(batch, settings.proposals)
    references = model.encode(item.reference[None].to(device))
    size = batch.sizes[0]
    ((boxes, scores),) = model.detect(regions, references, size, size, settings)
    return boxes.cpu().numpy(), scores.cpu().numpy()


def _stacked(frames: list[tuple[np.ndarray, np.ndarray]]) -> Boxes:
    """Boxes and scores of frames in one table; truths have no scores."""
    counts = [len(boxes) for boxes, _ in frames]
    return Boxes(
        np.repeat(np.arange(len(frames)), counts),
        np.zeros(sum(counts), np.int64),
        np.concatenate([boxes for boxes, _ in frames]).astype(np.float32),
        np.concatenate([scores for _, scores in frames]).astype(np.float32),
    )
