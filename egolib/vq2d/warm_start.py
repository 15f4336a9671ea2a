"""Where the comparison of a detector without initial weights starts (a recipe of ours).

Legend: B samples, R regions of all samples, C channels, E width of the vectors.

A bilinear form of two small random vectors has hardly any gradient: published trainings
start from a trained trunk and last hundreds of thousands of updates, reduced ones last
hundreds. So the projector's linear layers are scaled and shifted until their outputs on a
batch have mean 0 and variance 1, and the form starts as a scaled identity: equal vectors
get a high logit, unrelated ones about the bias.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from egolib.errors import EgolibError
from egolib.vq2d.data.dataset import Batch, TrainingSet
from egolib.vq2d.siamese.heads import SiameseHead
from egolib.vq2d.siamese.model import SiameseRcnn

SAMPLES = 24
BOXES = 8
EQUAL_LOGIT, BIAS = 4.0, -2.0


def standardise(model: SiameseRcnn, data: TrainingSet, seed: int) -> None:
    """Changes the head's linear layers and bilinear form in place.

    Args:
        data: whose samples the statistics are taken from.
        seed: of the choice of samples, views and boxes.

    Raises:
        EgolibError: another head than a Siamese one with one projector and a bilinear form.
    """
    head = model.head
    if not isinstance(head, SiameseHead) or head.cfg.compare != "bilinear" or not head.cfg.shared:
        raise EgolibError(
            "only a shared projector with a bilinear form can start standardised",
            remedy="set train.comparison_start: official",
        )
    rng = np.random.default_rng(seed)
    chosen = rng.integers(0, len(data), SAMPLES)
    batch = data.collate([data.sample(int(index), rng) for index in chosen])
    projector = head.projectors.region
    with torch.no_grad():
        x = projector.blocks(_pooled(model, batch, rng)).mean(dim=(2, 3))  # (R, C)
        x = functional.relu(_standardised(projector.linear1, x))
        x = _standardised(projector.linear2, x)  # (R, E)
        head.bilinear.weight.copy_(torch.eye(x.shape[1])[None] * EQUAL_LOGIT / x.shape[1])
        head.bilinear.bias.fill_(BIAS)


def _standardised(layer: nn.Linear, inputs: Tensor) -> Tensor:
    """The layer's outputs after it was changed to give mean 0 and variance 1."""
    outputs = layer(inputs)
    mean, spread = outputs.mean(0), outputs.std(0) + 1e-6
    layer.weight.div_(spread[:, None])
    layer.bias.copy_((layer.bias - mean) / spread)
    return layer(inputs)


def _pooled(model: SiameseRcnn, batch: Batch, rng: np.random.Generator) -> Tensor:
    """(R, C, S, S) of true boxes, random boxes and references."""
    images = model.batch(batch.frames)
    boxes = [
        torch.cat([own, _random_boxes(size, rng)])
        for own, size in zip(batch.boxes, images.sizes, strict=True)
    ]
    regions = model.pooled(model.maps(images.images), boxes)
    references = model.maps(model.batch(list(batch.references)).images)[model.cfg.level]
    return torch.cat([regions, model.pool_reference(references)])


def _random_boxes(size: tuple[int, int], rng: np.random.Generator) -> Tensor:
    """(BOXES, 4) in a frame of this (height, width), of a tenth to a half of its sides."""
    sides = np.array([size[1], size[0]])
    extent = rng.uniform(0.1, 0.5, (BOXES, 2)) * sides
    corner = rng.uniform(0, 1, (BOXES, 2)) * (sides - extent)
    return torch.tensor(np.concatenate([corner, corner + extent], axis=1), dtype=torch.float32)
