"""Clips, images, training lists, step 1: settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


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
        samples: variant of the training list, see ``data.samples.VARIANTS``.
        validation_samples: variant of the list that training is evaluated on.
        train_clips: cut clips of the training split too (official); its single images are
            enough to train on.
        clips, images: folders for them below the data root; empty for the folder of
            ``1_data``.
        workers: processes that cut videos.
        test_truth: answers of the test split, which only the built-in world has.
    """

    height: int = -1
    crf: float = 22
    rate_rounding: Literal["official", "nearest"] = "official"
    image_annotations: Literal["official", "all"] = "official"
    negative_frames: bool = False
    image_suffix: Literal[".jpg", ".png"] = ".jpg"
    image_quality: int = 95
    samples: str = "visual_query_clean_aug"
    validation_samples: str = "visual_query_clean"
    train_clips: bool = True
    clips: str = ""
    images: str = ""
    workers: int = 1
    test_truth: str = "truth/vq_test.json"


@dataclass(frozen=True)
class DetectConfig:
    """Step 1.

    Args:
        batch_size: frames that enter the network together (official: 10).
        precision: ``float32``, ``bfloat16`` or ``float16``.
        device: ``auto`` takes a GPU where there is one.
        cache: a folder of detection caches, one a query, below the data root or absolute:
            any detector's scores in place of step 1, which is then left out. Empty for none.
    """

    batch_size: int = 10
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    cache: str = ""
