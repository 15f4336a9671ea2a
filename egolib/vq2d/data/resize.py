"""Frames in the size that annotations refer to."""

from __future__ import annotations

import cv2
import numpy as np


def resize_to(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """An HWC uint8 image in another size (width, height), bilinear; itself where it fits.

    Stored frames may be smaller than the annotated ones; boxes refer to the latter.
    """
    if (image.shape[1], image.shape[0]) == tuple(size):
        return image
    return cv2.resize(image, tuple(size), interpolation=cv2.INTER_LINEAR)
