"""Where the comparison of a detector without initial weights starts (egolib's own recipe).

Legend: N pairs of a region with its object and a picture of that object, R regions, C channels,
E width of the vectors.

A bilinear form of two random vectors has hardly any gradient: published trainings start from
a trained trunk and last hundreds of thousands of updates, reduced ones last hundreds. So the
last linear layer starts as a linear discriminant analysis of what the random trunk gives:
directions in which the two views of an object agree and different objects differ. The form
starts as a scaled identity over them.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from egolib.errors import EgolibError
from egolib.vq2d.data.dataset import TrainingBatch, TrainingSet
from egolib.vq2d.models.heads import SiameseHead
from egolib.vq2d.models.model import SiameseRcnn

SAMPLES, BATCH = 640, 16
FRACTION = 0.25  # of the vector's entries that the discriminant directions take
SHRINKAGE = 0.05
EQUAL_LOGIT, BIAS = 5.0, -2.0


def fit_comparison(model: SiameseRcnn, data: TrainingSet, seed: int) -> None:
    """Changes the head's linear layers and bilinear form in place.

    Args:
        model: the detector.
        data: whose samples are compared with their references.
        seed: of the choice of samples and views.

    Raises:
        EgolibError: another head than a Siamese one with one projector and a bilinear form.
    """
    head = model.head
    if (
        not isinstance(head, SiameseHead)
        or head.config.compare != "bilinear"
        or not head.config.shared
    ):
        raise EgolibError(
            "only a shared projector with a bilinear form can start fitted",
            remedy="set initial.comparison: official",
        )
    projector = head.projectors.region
    with torch.no_grad():
        pairs = [
            projector.blocks(_pooled(model, batch)).mean(dim=(2, 3))
            for batch in _batches(data, seed)
        ]
        halves = [pair.chunk(2) for pair in pairs]
        both = torch.cat([half[0] for half in halves] + [half[1] for half in halves])  # (2N, C)
        hidden = functional.relu(_standardised(projector.linear1, both))
        agreement = _discriminate(projector.linear2, *hidden.chunk(2))
        head.bilinear.weight.copy_(torch.diag(agreement * EQUAL_LOGIT / agreement.sum())[None])
        head.bilinear.bias.fill_(BIAS)


def _batches(data: TrainingSet, seed: int) -> Iterator[TrainingBatch]:
    """Samples whose frame shows the object, in random order."""
    rng = np.random.default_rng(seed)
    shown = [i for i, sample in enumerate(data.samples) if sample.frame.box_xyxy is not None]
    chosen = rng.choice(shown, min(SAMPLES, len(shown)), replace=False)
    for start in range(0, len(chosen), BATCH):
        yield data.collate([data.sample(int(i), rng) for i in chosen[start : start + BATCH]])


def _pooled(model: SiameseRcnn, batch: TrainingBatch) -> Tensor:
    """(2n, C, S, S): the object's region in each frame, then the references."""
    images = model.batch(batch.frames)
    regions = model.pooled(model.maps(images.images), [boxes[:1] for boxes in batch.boxes])
    references = model.maps(model.batch(list(batch.references)).images)[model.config.level]
    return torch.cat([regions, model.pool_reference(references)])


def _standardised(layer: nn.Linear, inputs: Tensor) -> Tensor:
    """The layer's outputs after it was changed to give mean 0 and variance 1."""
    outputs = layer(inputs)
    mean, spread = outputs.mean(0), outputs.std(0) + 1e-6
    layer.weight.div_(spread[:, None])
    layer.bias.copy_((layer.bias - mean) / spread)
    result: Tensor = layer(inputs)
    return result


def _discriminate(layer: nn.Linear, x: Tensor, y: Tensor) -> Tensor:
    """Sets the layer to discriminant directions of pairs (N, E); returns how far views agree.

    The first directions get variance 1 over all vectors; the others stay random and small.

    Returns:
        (E,) the correlation of both views along each direction, small for the others.
    """
    both = torch.cat([x, y]).double()
    mean, count = both.mean(0), both.shape[1]
    total = torch.cov(both.T) + 1e-6 * torch.eye(count, dtype=both.dtype)
    within = torch.cov((x - y).double().T) / 2
    within = (1 - SHRINKAGE) * within + SHRINKAGE * within.trace() / count * torch.eye(count)
    whitening = torch.linalg.inv(torch.linalg.cholesky(within))
    values, vectors = torch.linalg.eigh(whitening @ total @ whitening.T)
    number = max(int(FRACTION * count), 1)
    values, vectors = values.flip(0)[:number], vectors.flip(1)[:, :number]
    directions = (vectors.T @ whitening) / values.sqrt()[:, None]  # (number, E)
    layer.weight.mul_(0.1)
    layer.weight[:number] = directions.float()
    layer.bias.copy_(-(layer.weight.double() @ mean).float())
    agreement = torch.full((count,), 0.02)
    agreement[:number] = (1 - 1 / values).clamp(min=0.02).float()
    return agreement
