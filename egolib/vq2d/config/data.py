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


@dataclass(frozen=True)
class DetectConfig:
    """Step 1.

    Args:
        batch_size: frames that enter the network together (official: 10).
        precision: ``float32``, ``bfloat16`` or ``float16``.
    """

    batch_size: int = 10
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
