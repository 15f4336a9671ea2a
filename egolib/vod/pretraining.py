"""A stand-in for ImageNet weights: the backbone first learns to classify cut-out objects.

Published detectors start from backbones that can already classify. Where no such weights
exist, as for the built-in world, a short training on the objects of the training images,
each cut out by itself, costs little and gives the detector features to start from.

N objects; S pixels of a side.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from egolib.errors import EgolibError
from egolib.nn.resnet import ResNet
from egolib.nn.swin import Swin
from egolib.progress import track
from egolib.vod.config import ObjectConfig
from egolib.vod.config.data import PipelineConfig
from egolib.vod.data.dataset import Source, read_image, true_objects
from egolib.vod.data.pipeline import finish, make_sample

MARGIN = 0.1  # of the larger side, on every side of the object
CELLS = 4  # a side of the pooled map that is classified


def cut_out(sources: Sequence[Source], side: int) -> tuple[np.ndarray, np.ndarray]:
    """Every training object as a square image (N, S, S, 3) uint8 BGR, and labels (N,).

    Squares keep the ratio of the sides; what lies beyond the image is its repeated border.

    Raises:
        EgolibError: there is no object.
    """
    squares, labels = [], []
    for source in sources:
        for row in track(source.rows.tolist(), "cutting out objects", unit="image"):
            image = read_image(source.images / source.index.path(row))
            for box, label in zip(*true_objects(source, row), strict=True):
                squares.append(_square(image, box, side))
                labels.append(label)
    if not squares:
        raise EgolibError("there is no object to learn from", remedy="see data.train_on")
    return np.stack(squares), np.array(labels)


def as_input(squares: np.ndarray, config: PipelineConfig) -> Tensor:
    """Squares (B, S, S, 3) as network inputs (B, 3, S, S), without padding."""
    side = squares.shape[1]
    inputs = [finish(make_sample(square), config).pixels[:, :side, :side] for square in squares]
    return torch.from_numpy(np.stack(inputs))


def jitter(squares: np.ndarray, config: ObjectConfig, rng: np.random.Generator) -> np.ndarray:
    """Squares, each turned, zoomed, shifted, relit and by chance mirrored.

    Args:
        squares: (B, S, S, 3) uint8.
        config: limits of the changes.
        rng: of the draws.
    """
    side = squares.shape[1]
    changed = np.empty_like(squares)
    for square, out in zip(squares, changed, strict=True):
        angle = rng.uniform(-config.turn, config.turn)
        zoom = np.exp(rng.uniform(-config.zoom, config.zoom))
        turn = cv2.getRotationMatrix2D((side / 2, side / 2), angle, zoom)
        turn[:, 2] += rng.uniform(-config.shift, config.shift, 2) * side
        moved = cv2.warpAffine(square, turn, (side, side), borderMode=cv2.BORDER_REPLICATE)
        contrast, light = rng.uniform(-config.light, config.light, 2)
        relit = (moved - 128.0) * (1 + contrast) + 128 * (1 + light)
        mirrored = relit[:, ::-1] if rng.random() < 0.5 else relit
        out[:] = np.clip(mirrored, 0, 255)
    return changed


def _square(image: np.ndarray, box: np.ndarray, side: int) -> np.ndarray:
    """The square around a box, (S, S, 3)."""
    x1, y1, x2, y2 = (float(v) for v in box)
    half = max(x2 - x1, y2 - y1) * (0.5 + MARGIN)
    scale = side / (2 * half)
    left, top = (x1 + x2) / 2 - half, (y1 + y2) / 2 - half
    turn = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]])
    return cv2.warpAffine(image, turn, (side, side), borderMode=cv2.BORDER_REPLICATE)


class ObjectClassifier(nn.Module):
    """Backbone, average pooling to a few cells, two layers: (B, 3, S, S) to logits (B, K)."""

    def __init__(self, backbone: ResNet | Swin, classes: int, width: int = 128) -> None:
        super().__init__()
        self.backbone = backbone
        self.hidden = nn.Linear(backbone.channels[-1] * CELLS**2, width)
        self.out = nn.Linear(width, classes)

    def forward(self, images: Tensor) -> Tensor:
        pooled = F.adaptive_avg_pool2d(self.backbone(images)[-1], CELLS).flatten(1)
        logits: Tensor = self.out(F.relu(self.hidden(pooled)))
        return logits


def learn_objects(
    backbone: ResNet | Swin,
    sources: Sequence[Source],
    classes: int,
    config: ObjectConfig,
    pipeline: PipelineConfig,
    rng: np.random.Generator,
) -> list[float]:
    """Trains a backbone in place, frozen parts too; returns the loss of every update.

    AdamW with a short warm-up, then a rate that falls linearly to nothing.

    Args:
        backbone: is trained in place.
        sources: images with objects.
        classes: how many.
        config: length, rate and what is changed by chance.
        pipeline: turns cut-out objects into network inputs.
        rng: of all draws.
    """
    squares, labels = cut_out(sources, config.side)
    frozen = [p for p in backbone.parameters() if not p.requires_grad]
    backbone.requires_grad_(True)
    classifier = ObjectClassifier(backbone, classes).train()
    optimizer = torch.optim.AdamW(classifier.parameters(), config.learning_rate)
    losses = []
    for update in track(range(config.updates), "learning objects", unit="update"):
        rising, falling = (update + 1) / 50, 1 - update / config.updates
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * min(1.0, rising, 2 * falling)
        chosen = rng.integers(len(labels), size=config.batch_size)
        images = as_input(jitter(squares[chosen], config, rng), pipeline)
        loss = F.cross_entropy(classifier(images), torch.from_numpy(labels[chosen]))
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(float(loss.detach()))
    for parameter in frozen:
        parameter.requires_grad_(False)
    return losses
