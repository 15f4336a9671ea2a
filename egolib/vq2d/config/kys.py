"""The KYS network: numbers and names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from egolib.nn.config import ResNetConfig


@dataclass(frozen=True)
class KysConfig:
    """The KYS network.

    Args:
        backbone: the residual network; its second and third stage are used.
        pixel_mean: of each channel scaled to ``pixel_scale``, in ``channel_order``.
        pixel_std: standard deviation of each such channel.
        pixel_scale: 1 for values 0..1, 255 for grey levels.
        channel_order: ``rgb`` or ``bgr``.
        image_side: side of the square crops in pixels.
        stride: pixels per cell of the third stage.
        classifier_channels: channels of the target filter and of the features it is applied to.
        filter_size: side of the target filter, in cells.
        label_sigma: width of the Gaussian labels, in cells.
        distance_bins: knots of the learned label, mask and weight functions of the distance
            to the target.
        distance_bin_width: distance between two knots, in cells.
        state_channels: of the state that the response predictor carries from frame to frame.
        representation_channels: of the response predictor's hidden layer.
        correlation_kernel: side of the windows that the cost volume compares, in cells.
        correlation_reach: largest displacement in the cost volume, in cells.
        score_floor: classifier score below which nothing is the target.
        iou_reference: channels of the IoU net's reference path at the second stage; the third
            has twice as many.
        iou_channels: channels of the IoU net's test path and modulation vectors.
        norm: of IoU net and predictor; ``group`` for training from scratch on few sequences.
    """

    backbone: ResNetConfig = field(
        default_factory=lambda: ResNetConfig(blocks=(3, 4, 6, 3), norm="batch", freeze="none")
    )
    pixel_mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    pixel_std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    pixel_scale: float = 1.0
    channel_order: Literal["rgb", "bgr"] = "rgb"
    image_side: int = 288
    stride: int = 16
    classifier_channels: int = 512
    filter_size: int = 4
    label_sigma: float = 0.9
    distance_bins: int = 100
    distance_bin_width: float = 0.1
    state_channels: int = 8
    representation_channels: int = 16
    correlation_kernel: int = 3
    correlation_reach: int = 9
    score_floor: float = 0.05
    iou_reference: int = 128
    iou_channels: int = 256
    norm: Literal["batch", "group"] = "batch"

    builders: ClassVar[dict[str, Callable[[], KysConfig]]] = {}

    @property
    def feature_side(self) -> int:
        """Cells along a side of a crop's deep map."""
        return self.image_side // self.stride

    @property
    def shallow_channels(self) -> int:
        """Channels of the second stage."""
        return 4 * self.backbone.width * 2

    @property
    def deep_channels(self) -> int:
        """Channels of the third stage."""
        return 4 * self.backbone.width * 4


def kys() -> KysConfig:
    """The published tracker: 450 entries."""
    return KysConfig()


def small_kys() -> KysConfig:
    """A reduced tracker on the backbone of the reduced detector (``small``).

    It sees what that backbone was trained on: BGR grey levels less their mean.
    """
    return KysConfig(
        backbone=ResNetConfig(
            blocks=(1, 1, 1, 1), stem_channels=32, width=32, norm="group", freeze="none"
        ),
        pixel_mean=(103.53, 116.28, 123.675),
        pixel_std=(1.0, 1.0, 1.0),
        pixel_scale=255.0,
        channel_order="bgr",
        image_side=160,
        classifier_channels=64,
        iou_reference=32,
        iou_channels=64,
        norm="group",
    )


KysConfig.builders.update(kys=kys, small_kys=small_kys)


@dataclass(frozen=True)
class TrackerOptimConfig:
    """Our recipe for a KYS network whose backbone is trained already (no parity).

    Args:
        updates: length of the training; 0 trains none, as published systems take a finished
            tracker (``kys.pth``).
        batch_size: sequences an update.
        sequence: consecutive frames of a sequence; the first one shows the target.
        learning_rate: of Adam.
        gamma: factor on the rate towards the end of the training.
        decay_fraction: of the updates, after which that factor applies.
        filter_iterations: of the filter optimiser in training.
        classifier_weight: of the target filter's squared error.
        iou_weight: of the predicted IoU's squared error.
        predictor_weight: of the fused response's binary cross entropy.
        boxes: jittered boxes a frame for the IoU net.
        box_jitter: their spread in position and size.
        shift: largest random offset of crops after the first, in target sizes (square root of
            the box's area).
        zoom: lowest and highest random factor on the crops' scale.
    """

    updates: int = 0
    batch_size: int = 2
    sequence: int = 5
    learning_rate: float = 2e-3
    gamma: float = 0.1
    decay_fraction: float = 0.7
    filter_iterations: int = 3
    classifier_weight: float = 10.0
    iou_weight: float = 5.0
    predictor_weight: float = 1.0
    boxes: int = 8
    box_jitter: tuple[float, float] = (0.15, 0.4)
    shift: float = 1.0
    zoom: tuple[float, float] = (0.8, 1.25)
