"""Our Siamese R-CNN as a meta-architecture of detectron2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from detectron2.structures import Boxes, Instances
from torch import Tensor, nn

from egolib.interop.detectron2_config import settings_of
from egolib.vq2d.config import LossConfig
from egolib.vq2d.data.dataset import TrainingBatch
from egolib.vq2d.losses.training import TrainingLoss
from egolib.vq2d.models.model import SiameseRcnn


class EgolibSiameseRcnn(nn.Module):
    """A Siamese R-CNN with detectron2's inputs and outputs.

    An input is a dictionary with ``image`` (3, H, W) BGR, 0 to 255, scaled for the network;
    ``reference`` (3, S, S) BGR, the picture of the object; in testing ``height`` and
    ``width`` of the original image; in training ``instances`` with ``gt_boxes`` and, by
    option, ``without_object`` for a frame of background only.

    Args:
        node: detectron2's configuration.
        loss: which losses; those of the configuration unless given.
    """

    def __init__(self, node: Any, loss: LossConfig | None = None) -> None:
        super().__init__()
        settings = settings_of(node)
        self.network = SiameseRcnn(settings.detector)
        self.settings = settings.detect
        self.training_loss = TrainingLoss(loss or settings.loss, trunk="frozen")

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.network.pixel_mean.device

    def forward(self, batched_inputs: Sequence[Mapping[str, Any]]) -> Any:
        """Named losses in training, else one ``{"instances": Instances}`` an image, with
        ``pred_boxes``, ``scores`` and ``pred_classes`` (all 0: the object)."""
        return self._losses(batched_inputs) if self.training else self._detect(batched_inputs)

    def _losses(self, inputs: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        batch = TrainingBatch(
            [one["image"] for one in inputs],
            [one["instances"].gt_boxes.tensor for one in inputs],
            torch.stack([one["reference"] for one in inputs]),
            [bool(one.get("without_object", False)) for one in inputs],
            torch.randint(2**31, (len(inputs),)).tolist(),
        )
        losses = self.training_loss(self.network, batch)
        return {f"loss_{name}": value for name, value in losses.items() if name != "loss"}

    @torch.no_grad()
    def _detect(self, inputs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        return [{"instances": self._instances(one)} for one in inputs]

    def _instances(self, one: Mapping[str, Any]) -> Any:
        batch = self.network.batch([one["image"].to(self.device)])
        (regions,) = self.network.regions(batch, self.settings.proposals)
        reference = self.network.encode(one["reference"].to(self.device)[None])
        size = batch.sizes[0]
        output = (one.get("height", size[0]), one.get("width", size[1]))
        ((boxes, scores),) = self.network.detect(regions, reference, size, output, self.settings)
        found = Instances(output)
        found.pred_boxes, found.scores = Boxes(boxes), scores
        found.pred_classes = torch.zeros_like(scores, dtype=torch.int64)
        return found
