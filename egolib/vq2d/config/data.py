"""Clips, images, training lists, random views: settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Samples = Literal[
    "visual_query",
    "visual_query_clean",
    "visual_query_clean_plus",
    "visual_query_clean_aug",
    "visual_query_clean_aug_neg",
]
"""Variants of the training list, see ``data.samples.VARIANTS``."""


@dataclass(frozen=True)
class AugmentConfig:
    """Random views of training frames and references.

    Args:
        short_sides: one is drawn, in pixels.
        long_side: limit of the other side.
        flip: probability of mirroring.
        brightness: lowest and highest factor.
        rotation: lowest and highest angle of references, in degrees.
        reference_views: change references too.
        masked_fraction: of 32-px cells hidden in frame and reference (improved baseline).
        object_removed: probability that a frame is trained on its background only
            (set heads; their published code reads a flag that nothing sets).
    """

    short_sides: tuple[int, ...] = (640, 672, 704, 736, 768, 800)
    long_side: int = 1333
    flip: float = 0.5
    brightness: tuple[float, float] = (0.75, 1.33333)
    rotation: tuple[float, float] = (-120.0, 120.0)
    reference_views: bool = True
    masked_fraction: float = 0.0
    object_removed: float = 0.0


@dataclass(frozen=True)
class DataConfig:
    """Clips, images and training samples.

    Args:
        height: of stored frames in pixels; 0 or less keeps that of the video (published).
        crf: quality of clip files (H.264).
        rate_rounding: ``official`` truncates frame rates and refuses 29.97 fps; ``nearest``
            takes it as 30.
        image_annotations: images are stored for the first annotation of a clip
            (``official``) or for ``all``.
        negative_frames: also store frames after the answer, without the object.
        image_suffix: ``.jpg``, or ``.png`` of the improved baseline.
        image_quality: of JPEG.
        samples: variant of the training list.
        validation_samples: variant of the list that training is evaluated on.
        validation_limit: samples that an evaluation in training looks at, evenly spread; 0
            for all.
        augment: random views.
        train_clips: cut clips of the training split too (official); its single images are
            enough to train on.
        clips: folder of the clip files below the data root; empty for that of ``1_data``.
        images: folder of the single images below the data root; empty for that of ``1_data``.
        workers: processes that cut videos.
        backend: what decodes videos and clips: ``av`` (PyAV, exact), or the extras
            ``torchcodec`` and ``decord``.
        test_truth: answers of the test split, which only the built-in world has.
    """

    height: int = -1
    crf: float = 22
    rate_rounding: Literal["official", "nearest"] = "official"
    image_annotations: Literal["official", "all"] = "official"
    negative_frames: bool = False
    image_suffix: Literal[".jpg", ".png"] = ".jpg"
    image_quality: int = 95
    samples: Samples = "visual_query_clean_aug"
    validation_samples: Samples = "visual_query_clean"
    validation_limit: int = 0
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    train_clips: bool = True
    clips: str = ""
    images: str = ""
    workers: int = 1
    backend: Literal["av", "torchcodec", "decord"] = "av"
    test_truth: str = "truth/vq_test.json"
