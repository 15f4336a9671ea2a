"""Training a KYS network from a trained backbone: egolib's own recipe, for the built-in world.

Legend: B sequences, T frames of a sequence, S crop side, h feature side, K boxes.

The published training code is another project's; this one has no parity and says so. The
backbone stays as it is. For every sequence the first frame shows the target; the filter is
fitted to it and measured on the others (squared error against a Gaussian, over all iterations),
the IoU net is measured on jittered boxes (squared error), the predictor on the sequence (binary
cross-entropy of its fused response).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from egolib.errors import EgolibError
from egolib.nn.resnet import ResNet
from egolib.ops import boxes as bx
from egolib.video.images import read_image
from egolib.vq2d.config import KysConfig, TrackerOptimConfig
from egolib.vq2d.data.annotations import Box
from egolib.vq2d.data.images import image_name
from egolib.vq2d.data.resize import resize_to
from egolib.vq2d.data.samples import ImageSize
from egolib.vq2d.tracking.kys.classifier import apply_filter
from egolib.vq2d.tracking.kys.network import KysNetwork, Maps
from egolib.vq2d.tracking.kys.patches import cut_patch

SEARCH_AREA = 5.0


class Sequences(NamedTuple):
    """A batch.

    Args:
        crops: (B, T, 3, S, S) uint8 RGB.
        boxes_xywh: (B, T, 4) the target in each crop.
        jittered_xywh: (B, T, K, 4) boxes around it.
    """

    crops: Tensor
    boxes_xywh: Tensor
    jittered_xywh: Tensor


class Run(NamedTuple):
    """Consecutive stored frames of one response track."""

    files: tuple[str, ...]
    boxes: tuple[Box, ...]


def find_runs(
    items: Sequence[dict[str, Any]], image_size: ImageSize, length: int, suffix: str = ".jpg"
) -> list[Run]:
    """Runs of ``length`` stored frames of each response track, one starting at each frame.

    Args:
        items: the processed annotation list.
        image_size: see ``data.samples.build_samples``.
        length: frames of a run.
        suffix: of image names.
    """
    found = []
    for item in items:
        track = sorted(map(Box.from_record, item["response_track"]), key=lambda box: box.frame)
        files = [image_name(item["clip_uid"], box.frame, suffix) for box in track]
        stored = [image_size(name) is not None for name in files]
        for start in range(len(track) - length + 1):
            part = slice(start, start + length)
            if all(stored[part]):
                found.append(Run(tuple(files[part]), tuple(track[part])))
    return found


class SequenceData:
    """Crops around the target as a tracker would take them, off centre and off scale.

    Args:
        runs: of ``find_runs``.
        images: the folder of stored images.
    """

    def __init__(
        self, runs: Sequence[Run], images: str | Path, net: KysConfig, config: TrackerOptimConfig
    ):
        if not runs:
            raise EgolibError(
                f"no response track has {config.sequence} stored frames in a row", file=images
            )
        self.runs, self.images, self.net, self.config = list(runs), Path(images), net, config

    def __len__(self) -> int:
        return len(self.runs)

    def sample(self, index: int, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """One sequence: crops (T, 3, S, S), boxes (T, 4), jittered boxes (T, K, 4)."""
        run, side = self.runs[index], self.net.image_side
        crops, boxes = [], []
        for number, (file, box) in enumerate(zip(run.files, run.boxes, strict=True)):
            frame = resize_to(read_image(self.images / file), box.frame_size)
            reach = np.sqrt(max(box.width * box.height, 1.0))
            scale = SEARCH_AREA * reach / side * np.exp(rng.uniform(*np.log(self.config.zoom)))
            offset = rng.uniform(-1, 1, 2) * self.config.shift * reach * (number > 0)
            middle = np.array([box.y + box.height / 2, box.x + box.width / 2]) + offset
            patch = cut_patch(frame, middle, (scale * side,) * 2, (side, side))
            low = (np.array([box.y, box.x]) - patch.centre) / patch.scale + (side - 1) / 2
            sizes = np.array([box.height, box.width]) / patch.scale
            crops.append(patch.image.to(torch.uint8))
            boxes.append(np.concatenate([low[::-1], sizes[::-1]]))
        target = torch.tensor(np.array(boxes), dtype=torch.float32)
        return torch.stack(crops), target, self._jittered(target, rng)

    def collate(self, items: list[tuple[Tensor, Tensor, Tensor]]) -> Sequences:
        """A batch of sequences."""
        return Sequences(*(torch.stack(part) for part in zip(*items, strict=True)))

    def _jittered(self, boxes: Tensor, rng: np.random.Generator) -> Tensor:
        """(T, K, 4) boxes around the target, from near to far."""
        count = self.config.boxes
        strength = torch.linspace(0.1, 1, count)[:, None]
        draw = torch.tensor(rng.uniform(-1, 1, (len(boxes), count, 4)), dtype=torch.float32)
        position, size = self.config.box_jitter
        sizes = boxes[:, None, 2:] * torch.exp(draw[..., 2:] * strength * size)
        reach = boxes[:, None, 2:].prod(-1, keepdim=True).sqrt()
        centres = boxes[:, None, :2] + boxes[:, None, 2:] / 2
        centres = centres + draw[..., :2] * strength * position * reach
        return torch.cat([centres - sizes / 2, sizes], dim=-1)


# --------------------------------------------------------------------------- losses


def sequence_losses(
    network: KysNetwork, batch: Sequences, config: TrackerOptimConfig
) -> dict[str, Tensor]:
    """``loss`` and its parts ``classifier``, ``iou``, ``predictor``.

    Args:
        network: the tracker.
        batch: of sequences.
        config: weights of the losses.
    """
    crops, boxes = batch.crops.float(), batch.boxes_xywh
    count, length = crops.shape[:2]
    with torch.no_grad():
        maps = network.maps(crops.flatten(0, 1))
    features = network.classifier.features(maps.deep)
    features = features.reshape(count, length, *features.shape[1:])
    parts = []
    for i in range(count):
        own = Maps(*(part.reshape(count, length, *part.shape[1:])[i] for part in maps))
        classifier, scores = _classifier_loss(network, features[i], boxes[i], config)
        iou = _iou_loss(network, own, boxes[i], batch.jittered_xywh[i])
        predictor = _predictor_loss(network, own.deep, scores, boxes[i])
        parts.append(torch.stack([classifier, iou, predictor]))
    classifier, iou, predictor = torch.stack(parts).mean(0)
    total = (
        config.classifier_weight * classifier
        + config.iou_weight * iou
        + config.predictor_weight * predictor
    )
    return {"loss": total, "classifier": classifier, "iou": iou, "predictor": predictor}


def labels(boxes_xywh: Tensor, cells: int, stride: int, sigma: float) -> Tensor:
    """(T, 1, cells, cells) Gaussians at the targets' middles, in cells of a score map.

    Args:
        boxes_xywh: (T, 4) targets in crops.
        cells: along a side of the score map.
        stride: pixels a cell.
        sigma: in cells.
    """
    centre = (boxes_xywh[:, :2] + boxes_xywh[:, 2:] / 2) / stride  # (T, 2) x, y
    cell = torch.arange(cells, dtype=boxes_xywh.dtype, device=boxes_xywh.device)
    across = torch.exp(-0.5 / sigma**2 * (cell - centre[:, :1]) ** 2)
    down = torch.exp(-0.5 / sigma**2 * (cell - centre[:, 1:]) ** 2)
    return (down[:, :, None] * across[:, None, :])[:, None]


def _classifier_loss(
    network: KysNetwork, features: Tensor, boxes: Tensor, config: TrackerOptimConfig
) -> tuple[Tensor, Tensor]:
    """Error of the filter after each iteration, and its last scores (T, 1, h, h)."""
    net = network.config
    first = network.classifier.initialiser(features[:1], boxes[:1])
    fit = network.classifier.optimiser(first, features[:1], boxes[:1], config.filter_iterations)
    errors = []
    for weight in fit.history:
        scores = apply_filter(features[1:], weight)
        label = labels(boxes[1:], scores.shape[-1], net.stride, net.label_sigma)
        # far from the target only what is above zero is wrong
        wanted = torch.where(label > 0.05, scores - label, functional.relu(scores))
        errors.append((wanted**2).mean())
    return torch.stack(errors).mean(), apply_filter(features, fit.weight)[..., :-1, :-1]


def _iou_loss(network: KysNetwork, maps: Maps, boxes: Tensor, jittered: Tensor) -> Tensor:
    """Squared error of the predicted IoU of boxes around the target in later frames."""
    net = network.iou_net
    modulation = net.modulation(maps.shallow[:1], maps.deep[:1], boxes[:1])
    weighted = net.weighted(modulation, maps.shallow[1:], maps.deep[1:])
    predicted = net(weighted, jittered[1:])  # (T - 1, K)
    truth = torch.stack(
        [
            bx.iou(bx.from_xywh(box[None]), bx.from_xywh(around))[0]
            for box, around in zip(boxes[1:], jittered[1:], strict=True)
        ]
    )
    return functional.mse_loss(predicted, 2 * truth - 1)


def _predictor_loss(network: KysNetwork, deep: Tensor, scores: Tensor, boxes: Tensor) -> Tensor:
    """Binary cross-entropy of the fused response through the sequence."""
    net, predictor = network.config, network.predictor
    label = labels(boxes, net.feature_side, net.stride, net.label_sigma)
    state = predictor.start(label[:1])
    losses = []
    for t in range(1, len(deep)):
        found = predictor(deep[t : t + 1], deep[t - 1 : t], scores[t : t + 1], state)
        losses.append(functional.binary_cross_entropy(found.fused, label[t : t + 1]))
        state = found.state
    return torch.stack(losses).mean()


# ------------------------------------------------------------------------ optimisation


def from_detector(backbone: ResNet, config: KysConfig) -> KysNetwork:
    """A fresh KYS network on a trained detector's backbone, which is not trained further.

    Raises:
        EgolibError: the backbone has other numbers than the configuration.
    """
    if (
        backbone.config.width != config.backbone.width
        or backbone.config.blocks != config.backbone.blocks
    ):
        raise EgolibError(
            f"a backbone of {backbone.config.blocks} x {backbone.config.width} for a tracker of "
            f"{config.backbone.blocks} x {config.backbone.width}",
            remedy="use the tracker builder that belongs to the detector's",
        )
    network = KysNetwork(config)
    network.backbone.load_state_dict(backbone.state_dict())
    network.backbone.requires_grad_(False)
    network.image_classifier.requires_grad_(False)
    return network


def parameter_groups(network: KysNetwork, config: TrackerOptimConfig) -> list[dict[str, Any]]:
    """One group: everything but the backbone."""
    trained = [p for p in network.parameters() if p.requires_grad]
    return [{"params": trained, "lr": config.learning_rate}]


def schedule(config: TrackerOptimConfig) -> Callable[[int], float]:
    """Factor on the rate for update 0, 1, ...: full, then ``gamma``."""
    return lambda update: 1.0 if update < config.decay_fraction * config.updates else config.gamma


def make_optimizer(network: nn.Module, config: TrackerOptimConfig) -> torch.optim.Optimizer:
    """Adam over the parameter groups."""
    assert isinstance(network, KysNetwork)
    return torch.optim.Adam(parameter_groups(network, config), lr=config.learning_rate)
