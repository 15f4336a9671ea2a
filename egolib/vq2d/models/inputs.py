"""From RGB frames to what enters the network.

Legend: H, W frame size.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from egolib.vq2d.config import DetectorConfig
from egolib.vq2d.data.resize import resize_to


def network_size(height: int, width: int, cfg: DetectorConfig) -> tuple[int, int]:
    """(height, width) with the shortest side as wanted, unless the longest gets too long."""
    scale = cfg.shortest_side / min(height, width)
    new = (height * scale, width * scale)
    if max(new) > cfg.longest_side:
        shrink = cfg.longest_side / max(new)
        new = (new[0] * shrink, new[1] * shrink)
    return int(new[0] + 0.5), int(new[1] + 0.5)


def scaled_down(frame: np.ndarray, height: int) -> tuple[np.ndarray, float]:
    """A frame scaled to about this height (0 leaves it), and the scale."""
    if not height:
        return frame, 1.0
    scale = float(height) / frame.shape[0]
    return cv2.resize(frame, None, fx=scale, fy=scale), scale


def network_image(frame: np.ndarray, cfg: DetectorConfig) -> Tensor:
    """(3, H, W) uint8 BGR in network size, of an RGB frame (H, W, 3) uint8."""
    height, width = network_size(frame.shape[0], frame.shape[1], cfg)
    bgr = np.ascontiguousarray(frame[:, :, ::-1])
    if (height, width) != bgr.shape[:2]:
        bgr = np.asarray(Image.fromarray(bgr).resize((width, height), Image.Resampling.BILINEAR))
    return torch.from_numpy(np.ascontiguousarray(bgr.transpose(2, 0, 1)))


def annotated_frame(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A frame in the size (width, height) that boxes refer to."""
    return resize_to(frame, size)
