"""What can be set for the data of video object detection (no torch, no image library)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Literal

Method = Literal[
    "none", "uniform", "bilateral_uniform", "stagewise_uniform", "adaptive_stride", "fixed_stride"
]


@dataclass(frozen=True)
class ReferenceConfig:
    """How the references of a frame are chosen, in training or in testing.

    Args:
        method: ``uniform`` and ``bilateral_uniform`` (half before, half after) draw from
            a window around the frame; ``stagewise_uniform`` draws one from each of
            several windows; ``adaptive_stride`` spreads them over the video, with its
            first frame only; ``fixed_stride`` slides a window over the video.
        number: how many; with the two strides the window's length counts instead.
        window: first and last frame relative to the current one.
        reach: half the windows of ``stagewise_uniform``, one a stage.
        without_key: the frame itself is no candidate.
        stride: frames between references of ``fixed_stride``.
    """

    method: Method = "none"
    number: int = 0
    window: tuple[int, int] = (0, 0)
    reach: tuple[int, ...] = ()
    without_key: bool = True
    stride: int = 1


@dataclass(frozen=True)
class MegaSampling:
    """The further frames of MEGA's clips.

    Args:
        local: number of frames around the current one.
        reach: largest distance of those, in frames, and of the memory's from their centre.
        memory: number of frames around an earlier one.
        back: how many frames earlier that one is.
        distant: number of frames from anywhere in the video.
    """

    local: int = 2
    reach: int = 12
    memory: int = 3
    back: int = 25
    distant: int = 2


@dataclass(frozen=True)
class PipelineConfig:
    """What happens to images.

    Args:
        long_side: longer side, in pixels, of the frame that the image is resized to fit
            into, as large as its ratio allows.
        short_side: shorter side of that frame.
        interpolation: ``opencv`` bilinear (mmdetection), or ``pillow`` bilinear, which
            filters when shrinking and truncates the long side (maskrcnn-benchmark).
        channels: order that the network takes; ``grey`` gives it the brightness three times
            (no published training has it, but a detector that sees few instances learns
            their colours in place of their classes).
        mean: subtracted, in the network's channel order, from values 0 to 255.
        std: what the difference is divided by, in the same order.
        divisor: zero padding on the right and at the bottom to a multiple of it, after
            normalising.
        flip: chance of mirroring a training clip.
        augmentation: ``plain``, or ``crops`` (Swin's: random short sides, with a chance
            of one half after a random crop).
        short_sides: short sides, in pixels, that ``crops`` chooses the input's from.
        crop_short_sides: those that it chooses from before a random crop.
        augmented_long_side: limit of the long side in both.
        crop: smallest and largest side of a crop.
        extent: 1 where the last pixel counts: mirroring and clipping then end at
            width - 1.
        crop_draws: ``official`` draws a crop for every frame of a clip, ``shared`` one.
    """

    long_side: int = 1000
    short_side: int = 600
    interpolation: Literal["opencv", "pillow"] = "opencv"
    channels: Literal["rgb", "bgr", "grey"] = "rgb"
    mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    std: tuple[float, float, float] = (58.395, 57.12, 57.375)
    divisor: int = 16
    flip: float = 0.5
    extent: float = 0.0
    augmentation: Literal["plain", "crops"] = "plain"
    short_sides: tuple[int, ...] = tuple(range(480, 801, 32))
    crop_short_sides: tuple[int, ...] = (400, 500, 600)
    augmented_long_side: int = 1333
    crop: tuple[int, int] = (384, 600)
    crop_draws: Literal["official", "shared"] = "official"


@dataclass(frozen=True)
class DataConfig:
    """Annotations, images and what is done with them; paths are below the data root.

    Args:
        train_vid: CocoVID file of the training videos.
        train_det: CocoVID file of the still images; empty leaves them out (they keep the
            detector from overfitting to few videos).
        evaluation: CocoVID file of the test videos.
        train_on: ``both`` files, or the frames of ``videos``, or ``stills`` alone.
        images_vid: folder that file names of videos are below.
        images_det: folder that file names of still images are below.
        lists: folder of the list files; empty searches ``Lists``, then ``ImageSets``.
        annotations_vid: XML folder of the videos, which the converters read.
        annotations_det: XML folder of the still images.
        classes: (name, wnid) pairs; empty means the 30 classes of ImageNet VID.
        frame_offset: the converters' reading of the train list: ``official`` is one frame
            too early, ``zero_based`` is right.
        smallest: images with a shorter side are not trained on.
        train_references: how the references of a training frame are chosen.
        mega: the further frames of MEGA's clips.
        pipeline: what happens to images.
    """

    train_vid: str = "ILSVRC/annotations/imagenet_vid_train.json"
    train_det: str = "ILSVRC/annotations/imagenet_det_30plus1cls.json"
    evaluation: str = "ILSVRC/annotations/imagenet_vid_val.json"
    train_on: Literal["both", "videos", "stills"] = "both"
    images_vid: str = "ILSVRC/Data/VID"
    images_det: str = "ILSVRC/Data/DET"
    lists: str = ""
    annotations_vid: str = "ILSVRC/Annotations/VID"
    annotations_det: str = "ILSVRC/Annotations/DET"
    classes: tuple[tuple[str, str], ...] = ()
    frame_offset: Literal["official", "zero_based"] = "official"
    smallest: int = 32
    train_references: ReferenceConfig = field(default_factory=ReferenceConfig)
    mega: MegaSampling = field(default_factory=MegaSampling)
    pipeline: PipelineConfig = field(default_factory=PipelineConfig)

    builders: ClassVar[dict[str, Callable[[], DataConfig]]] = {}


# ------------------------------------------------------------- published preparations

_CAFFE_BGR = (102.9801, 115.9465, 122.7717)


def _around(number: int, reach: int) -> ReferenceConfig:
    return ReferenceConfig("bilateral_uniform", number, (-reach, reach))


def single() -> DataConfig:
    """One frame at a time, short side 600."""
    return DataConfig()


def selsa() -> DataConfig:
    """Two references within 9 frames."""
    return DataConfig(train_references=_around(2, 9))


def mamba() -> DataConfig:
    """Two references from anywhere in the video."""
    return DataConfig(train_references=_around(2, 1000))


def stpn() -> DataConfig:
    """As SELSA, with random scales and crops, a crop for every frame."""
    return DataConfig(
        train_references=_around(2, 9),
        pipeline=PipelineConfig(augmentation="crops"),
    )


def tdvit() -> DataConfig:
    """One reference a stage, within 4, 8, 16 and 32 frames; crops shared by a clip."""
    return DataConfig(
        train_references=ReferenceConfig("stagewise_uniform", 4, reach=(4, 8, 16, 32)),
        pipeline=PipelineConfig(augmentation="crops", crop_draws="shared"),
    )


def eovod() -> DataConfig:
    """As SELSA, images as Caffe networks want them, padded to a multiple of 32."""
    pipeline = PipelineConfig(channels="bgr", mean=_CAFFE_BGR, std=(1.0, 1.0, 1.0), divisor=32)
    return DataConfig(train_references=_around(2, 9), pipeline=pipeline)


def fcos() -> DataConfig:
    """EOVOD's frame detector alone: its preparation, no references."""
    return DataConfig(pipeline=eovod().pipeline)


def dff() -> DataConfig:
    """One reference within 9 frames, which may be the frame itself."""
    references = ReferenceConfig("uniform", 1, (-9, 9), without_key=False)
    return DataConfig(train_references=references)


def fgfa() -> DataConfig:
    """Two references within 9 frames."""
    return DataConfig(train_references=_around(2, 9))


def c4() -> DataConfig:
    """mega.pytorch: Pillow's resize, BGR, nothing padded, the last pixel counts."""
    return DataConfig(
        pipeline=PipelineConfig(
            interpolation="pillow",
            channels="bgr",
            mean=_CAFFE_BGR,
            std=(1.0, 1.0, 1.0),
            divisor=1,
            extent=1.0,
        )
    )


BY_METHOD: dict[str, Callable[[], DataConfig]] = {
    "single": single,
    "selsa": selsa,
    "mamba": mamba,
    "stpn": stpn,
    "tdvit": tdvit,
    "eovod": eovod,
    "dff": dff,
    "fgfa": fgfa,
    "mega": c4,
}
DataConfig.builders.update(BY_METHOD | {"c4": c4, "fcos": fcos})
