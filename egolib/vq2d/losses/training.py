"""The detector's loss on a batch: examples of every frame, compared with every reference.

Legend: B images of a batch, R regions of an image, M regions of all images, E width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import NamedTuple

import torch
from torch import Tensor

from egolib.nn.config import AssignConfig, RpnConfig, SampleConfig
from egolib.nn.roi import roi_examples
from egolib.vq2d.config import LossConfig
from egolib.vq2d.data.dataset import TrainingBatch
from egolib.vq2d.losses.siamese import comparison_loss, cross_batch, frame_loss
from egolib.vq2d.models.heads import SetHead
from egolib.vq2d.models.model import SiameseRcnn


class Examples(NamedTuple):
    """Sampled regions of one image: boxes (R, 4), classes (R,) with 0 the object."""

    boxes: Tensor
    classes: Tensor


class TrainingLoss:
    """From a network and a batch to named losses, as the engine wants it.

    Args:
        config: examples and losses.
        trunk: ``frozen`` or ``trained``, see ``OptimConfig``.
    """

    def __init__(self, config: LossConfig, trunk: str):
        self.config, self.frozen = config, trunk == "frozen"
        self.assign = AssignConfig(config.positive_iou, config.positive_iou)
        self.sample = SampleConfig(config.regions, config.positive_fraction)

    def __call__(self, model: SiameseRcnn, batch: TrainingBatch) -> dict[str, Tensor]:
        """``loss`` and its parts: ``comparison``, and where there are such ``frame``,
        ``objectness``, ``rpn_box``."""
        device = model.pixel_mean.device
        truths = [boxes.to(device) for boxes in batch.boxes]
        images = model.batch([frame.to(device) for frame in batch.frames])
        losses: dict[str, Tensor] = {}
        with torch.no_grad() if self.frozen else nullcontext():
            maps = model.maps(images.images)
            references = model.maps(model.batch(list(batch.references.to(device))).images)
            predicted = model.proposals(maps)
        proposals = model.proposals.propose(predicted, images.sizes, self.config.proposals)
        if not self.frozen:
            generator = torch.Generator().manual_seed(batch.seeds[0])
            losses |= model.proposals.losses(
                predicted, images.sizes, truths, generator, self._rpn(model)
            )
        boxes = [found.boxes for found in proposals]
        examples = list(self._examples(boxes, truths, batch))
        regions = model.pooled(maps, [example.boxes for example in examples])
        vectors = model.head.projectors.region(regions)
        pooled = model.pool_reference(references[model.config.level])
        encoded = model.head.projectors.reference(pooled)
        losses |= self._compare(model, vectors, encoded, [e.classes for e in examples])
        return losses | {"loss": torch.stack(list(losses.values())).sum()}

    def _rpn(self, model: SiameseRcnn) -> RpnConfig:
        own, losses = model.config.rpn, self.config.rpn
        return RpnConfig(
            anchors=own.anchors,
            boxes=own.boxes,
            assign=losses.assign,
            sample=losses.sample,
            border=losses.border,
            normalise=losses.normalise,
            beta=losses.beta,
        )

    def _examples(
        self, boxes: Sequence[Tensor], truths: Sequence[Tensor], batch: TrainingBatch
    ) -> Iterator[Examples]:
        """Sampled regions of every image; the true boxes join the proposals."""
        for proposals, truth, removed, seed in zip(
            boxes, truths, batch.without_object, batch.seeds, strict=True
        ):
            found = roi_examples(
                proposals,
                truth,
                self.assign,
                self.sample,
                add_truth="last",
                generator=torch.Generator().manual_seed(seed),
            )
            classes = (found.truth < 0).long()
            kept = classes == 1 if removed else torch.ones_like(classes, dtype=torch.bool)
            yield Examples(found.boxes[kept], classes[kept])

    def _compare(
        self, model: SiameseRcnn, vectors: Tensor, references: Tensor, classes: list[Tensor]
    ) -> dict[str, Tensor]:
        """Losses of the comparison of vectors (M, E) with references (B, E)."""
        head, config = model.head, self.config
        sizes = [len(own) for own in classes]
        if config.cross_batch_negatives:
            compared = head.compare(vectors[None], references)
            logits, frames = list(compared.regions), compared.frames
            classes = cross_batch(classes)
        else:
            each = [
                head.compare(own[None], reference[None])
                for own, reference in zip(torch.split(vectors, sizes), references, strict=True)
            ]
            logits = [one.regions[0] for one in each]
            first = each[0].frames
            frames = None if first is None else torch.cat([o.frames for o in each])  # type: ignore[misc]
        kept = head.config.tokens if isinstance(head, SetHead) and head.config.tokens else None
        logits = [row[:kept].float() for row in logits]  # losses stay float32
        classes = [row[:kept] for row in classes]
        losses = {
            "comparison": comparison_loss(
                logits,
                classes,
                config.comparison,
                hard_negatives=config.hard_negatives,
                choice=config.hard_negative_choice,
                margin=config.margin,
            )
        }
        if frames is not None:
            losses["frame"] = frame_loss(frames.float(), classes, config.frame_weight)
        return losses
