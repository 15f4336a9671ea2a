"""The KYS network: backbone, target classifier, response predictor, IoU net.

Legend: B images, S crop side (288), H, W maps.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from egolib.nn.fold import blocked, for_inference, has_blocked_layout
from egolib.nn.resnet import ResNet
from egolib.vq2d.config import KysConfig
from egolib.vq2d.tracking.kys.classifier import Classifier
from egolib.vq2d.tracking.kys.iou_net import IouNet
from egolib.vq2d.tracking.kys.predictor import ResponsePredictor


class Maps(NamedTuple):
    """Backbone maps of crops: stride 8 (B, 512, 36, 36) and stride 16 (B, 1024, 18, 18)."""

    shallow: Tensor
    deep: Tensor


class KysNetwork(nn.Module):
    """All parts; the tracker calls them one by one."""

    pixel_mean: Tensor
    pixel_std: Tensor
    is_blocked = False

    def __init__(self, config: KysConfig):
        super().__init__()
        self.config = config
        self.backbone = ResNet(config.backbone, weights="empty")
        self.image_classifier = nn.Linear(self.backbone.channels[-1], 1000)  # of ImageNet; unused
        self.classifier = Classifier(config)
        self.predictor = ResponsePredictor(config)
        self.iou_net = IouNet(config)
        for name in ("pixel_mean", "pixel_std"):
            values = torch.tensor(getattr(config, name)).reshape(1, 3, 1, 1)
            self.register_buffer(name, values, persistent=False)

    def maps(self, crops: Tensor) -> Maps:
        """Backbone maps of RGB crops (B, 3, S, S), 0 to 255."""
        if self.config.channel_order == "bgr":
            crops = crops.flip(1)
        x = (crops * (self.config.pixel_scale / 255.0) - self.pixel_mean) / self.pixel_std
        stages = self.backbone.stages
        x = x.to_mkldnn() if self.is_blocked else x
        shallow = stages[1](stages[0](self.backbone.stem(x)))
        deep = stages[2](shallow)
        return Maps(shallow.to_dense(), deep.to_dense()) if self.is_blocked else Maps(shallow, deep)

    def for_inference(self) -> KysNetwork:
        """A copy that gives equal maps with less work; see ``egolib.nn.fold``."""
        twin = for_inference(self)
        on_cpu = self.pixel_mean.device.type == "cpu"
        if on_cpu and has_blocked_layout() and self.config.backbone.norm != "group":
            twin.backbone, twin.is_blocked = blocked(twin.backbone), True
        return twin
