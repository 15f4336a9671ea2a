"""Optimisation of the Siamese R-CNN: parameter groups, rates, losses, where weights start.

Legend: B images of a batch, R regions of an image, M regions of all images, E width.

Pure pieces; the loop itself is ``egolib.engine``'s.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from egolib.errors import EgolibError
from egolib.io import checkpoint
from egolib.io.checkpoint import LoadReport
from egolib.nn.config import AssignConfig, SampleConfig
from egolib.nn.resnet import FixedBatchNorm
from egolib.nn.roi import roi_examples
from egolib.vq2d.config import TrainConfig
from egolib.vq2d.data.dataset import Batch, Item, TrainingSet
from egolib.vq2d.formats.checkpoint import siamese_table
from egolib.vq2d.losses.siamese import comparison_loss, cross_batch, frame_loss
from egolib.vq2d.models.heads import SetHead
from egolib.vq2d.models.model import SiameseRcnn

NORMS = (nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm, FixedBatchNorm)


# ---------------------------------------------------------------- parameter groups


def set_trunk(model: SiameseRcnn, config: TrainConfig) -> None:
    """Turns the gradients of backbone, pyramid and proposal network off where they are frozen."""
    if config.trunk == "frozen":
        for part in (model.backbone, model.pyramid, model.proposals):
            part.requires_grad_(False)


def parameter_groups(model: SiameseRcnn, config: TrainConfig) -> list[dict[str, Any]]:
    """Groups with ``name``, ``params``, ``lr``, ``weight_decay``; empty ones are left out.

    The parts are backbone (with pyramid), heads and proposal network; norms of each part
    form a group of their own where their weight decay differs.
    """
    set_trunk(model, config)
    parts: dict[str, tuple[list[nn.Module], float]] = {
        "backbone": ([model.backbone, model.pyramid], config.base_rate * config.trunk_rate),
        "heads": ([model.head], config.base_rate),
        "proposals": ([model.proposals], config.base_rate * config.trunk_rate),
    }
    groups = []
    for name, (modules, rate) in parts.items():
        plain, norms = _split_norms(modules)
        if config.norm_decay == config.weight_decay:
            plain, norms = plain + norms, []
        for suffix, params, decay in (
            ("", plain, config.weight_decay),
            ("_norms", norms, config.norm_decay),
        ):
            if params:
                group = {"name": name + suffix, "params": params}
                groups.append(group | {"lr": rate, "weight_decay": decay})
    return groups


def _split_norms(modules: Sequence[nn.Module]) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    plain: list[nn.Parameter] = []
    norms: list[nn.Parameter] = []
    for module in modules:
        for part in module.modules():
            own = [p for p in part.parameters(recurse=False) if p.requires_grad]
            (norms if isinstance(part, NORMS) else plain).extend(own)
    return plain, norms


def make_optimizer(model: SiameseRcnn, config: TrainConfig) -> torch.optim.Optimizer:
    """SGD with momentum, or AdamW, over the parameter groups."""
    groups = [
        {name: value for name, value in group.items() if name != "name"}
        for group in parameter_groups(model, config)
    ]
    if config.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=config.base_rate)
    return torch.optim.SGD(groups, lr=config.base_rate, momentum=config.momentum)


def schedule(config: TrainConfig) -> Callable[[int], float]:
    """The factor on every group's rate for update t = 0, 1, 2, ...

    Linear from ``warmup_factor`` to 1 over the first updates, then a step down at each
    milestone.
    """
    milestones = sorted(config.milestones)

    def factor(update: int) -> float:
        start = 1.0
        if update < config.warmup_updates:
            share = update / config.warmup_updates
            start = config.warmup_factor * (1 - share) + share
        return start * config.gamma ** bisect_right(milestones, update)

    return factor


# -------------------------------------------------------------------- loss of a batch


class Examples(NamedTuple):
    """Sampled regions of one image: boxes (R, 4), classes (R,) with 0 the object."""

    boxes: Tensor
    classes: Tensor


class TrainingLoss:
    """From a network and a batch to named losses, as the engine wants it."""

    def __init__(self, config: TrainConfig):
        self.config = config
        self.assign = AssignConfig(config.positive_iou, config.positive_iou)
        self.sample = SampleConfig(config.regions, config.positive_share)

    def __call__(self, model: SiameseRcnn, batch: Batch) -> dict[str, Tensor]:
        """``loss`` and its parts: ``comparison``, and where there are such ``frame``,
        ``objectness``, ``rpn_box``."""
        device = model.pixel_mean.device
        truths = [boxes.to(device) for boxes in batch.boxes]
        images = model.batch([frame.to(device) for frame in batch.frames])
        frozen = self.config.trunk == "frozen"
        losses: dict[str, Tensor] = {}
        with torch.no_grad() if frozen else nullcontext():
            maps = model.maps(images.images)
            references = model.maps(model.batch(list(batch.references.to(device))).images)
            predicted = model.proposals(maps)
        limits = model.config.rpn.test if frozen else model.config.rpn.train
        proposals = model.proposals.propose(predicted, images.sizes, limits)
        if not frozen:
            generator = torch.Generator().manual_seed(batch.seeds[0])
            losses |= model.proposals.losses(predicted, images.sizes, truths, generator)
        boxes = [found.boxes for found in proposals]
        examples = list(self._examples(boxes, truths, batch))
        regions = model.pooled(maps, [example.boxes for example in examples])
        vectors = model.head.projectors.region(regions)
        pooled = model.pool_reference(references[model.config.level])
        encoded = model.head.projectors.reference(pooled)
        losses |= self._compare(model, vectors, encoded, [e.classes for e in examples])
        return losses | {"loss": torch.stack(list(losses.values())).sum()}

    def _examples(
        self, boxes: Sequence[Tensor], truths: Sequence[Tensor], batch: Batch
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
                for own, reference in zip(vectors.split(sizes), references, strict=True)
            ]
            logits = [one.regions[0] for one in each]
            first = each[0].frames
            frames = None if first is None else torch.cat([o.frames for o in each])  # type: ignore[misc]
        kept = head.config.tokens if isinstance(head, SetHead) and head.config.tokens else None
        logits = [row[:kept] for row in logits]
        classes = [row[:kept] for row in classes]
        losses = {
            "comparison": comparison_loss(
                logits,
                classes,
                config.loss,
                hard_negatives=config.hard_negatives,
                choice=config.hard_negative_choice,
                margin=config.margin,
            )
        }
        if frames is not None:
            losses["frame"] = frame_loss(frames, classes, config.frame_weight)
        return losses


# ------------------------------------------------------------------ initial weights

TRUNK = ("backbone.", "pyramid.", "proposals.")


def load_initial(model: SiameseRcnn, path: str | Path) -> LoadReport:
    """Starts backbone, pyramid and proposal network from a detectron2 checkpoint (COCO Mask
    R-CNN R50-FPN 3x, ``.pkl`` or ``.pth``) or one of ours; heads start fresh.

    Returns:
        What was loaded, what starts fresh, and what of the file was not used.

    Raises:
        EgolibError: an entry of the trunk is missing or has another shape.
    """
    if Path(path).suffix == ".safetensors":
        state, _ = checkpoint.load(path)
    else:
        official = checkpoint.find_state(checkpoint.read_foreign(path))
        state = siamese_table(model.config).to_ours(official)
    trunk = {name: value for name, value in state.items() if name.startswith(TRUNK)}
    report = checkpoint.load_partial(model, trunk)
    fresh = [name for name in report.missing if name.startswith(TRUNK)]
    if fresh or report.reshaped or report.unexpected:
        raise EgolibError(
            f"these initial weights are of another trunk: {report}",
            file=path,
            remedy="use COCO Mask R-CNN R50-FPN 3x, or the builder that the file belongs to",
        )
    unused = sorted(name for name in state if name not in trunk)
    return LoadReport(report.missing, unused, [], report.loaded)


# ------------------------------------------------------------------------ evaluation


@torch.no_grad()
def validation_ap(model: SiameseRcnn, data: TrainingSet, limit: int | None = None) -> dict:
    """COCO box AP and AP50 on single frames, each with its own reference.

    The published training monitors this every 5,000 updates on ``visual_query_clean``
    samples of the validation split.

    Args:
        data: without augmentation.
        limit: only so many samples, evenly spread.
    """
    from faster_coco_eval import COCO, COCOeval_faster

    numbers = np.linspace(0, len(data) - 1, min(limit or len(data), len(data))).astype(int)
    truths, found = [], []
    for number in numbers.tolist():
        item = data.sample(number, np.random.default_rng(0))
        truths += [{"image_id": number, "box": box} for box in item.boxes.tolist()]
        boxes, scores = detect_item(model, item)
        pairs = zip(boxes.tolist(), scores.tolist(), strict=True)
        found += [{"image_id": number, "box": box, "score": score} for box, score in pairs]
    truth = COCO(
        {
            "images": [{"id": number} for number in numbers.tolist()],
            "categories": [{"id": 1, "name": "visual_crop"}],
            "annotations": [_coco(entry) | {"id": i + 1} for i, entry in enumerate(truths)],
        }
    )
    if not found:
        return {"AP": 0.0, "AP50": 0.0}
    predicted = truth.loadRes([_coco(entry) for entry in found])
    evaluation = COCOeval_faster(truth, predicted, iouType="bbox", print_function=lambda *_: None)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return {"AP": 100 * float(evaluation.stats[0]), "AP50": 100 * float(evaluation.stats[1])}


def detect_item(model: SiameseRcnn, item: Item) -> tuple[Tensor, Tensor]:
    """Boxes (n, 4) and scores (n,) of one sample, in its own pixels."""
    device = model.pixel_mean.device
    batch = model.batch([item.frame.to(device)])
    (regions,) = model.regions(batch)
    references = model.encode(item.reference[None].to(device))
    size = batch.sizes[0]
    ((boxes, scores),) = model.detect(regions, references, size, size)
    return boxes.cpu(), scores.cpu()


def _coco(entry: dict[str, Any]) -> dict[str, Any]:
    """A COCO record of a box."""
    x1, y1, x2, y2 = entry["box"]
    sides = {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1)}
    rest = {name: value for name, value in entry.items() if name != "box"}
    return rest | sides | {"category_id": 1, "iscrowd": 0}
