"""From RGB frames to what enters the network.

Legend: H, W frame size.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor


def network_size(height: int, width: int, short_side: int, long_side: int) -> tuple[int, int]:
    """(height, width) with the shortest side as wanted, unless the longest gets too long.

    Args:
        height: of the frame.
        width: of the frame.
        short_side: wanted shortest side in pixels.
        long_side: limit of the longest side.
    """
    scale = short_side / min(height, width)
    new = (height * scale, width * scale)
    if max(new) > long_side:
        shrink = long_side / max(new)
        new = (new[0] * shrink, new[1] * shrink)
    return int(new[0] + 0.5), int(new[1] + 0.5)


def scaled_down(frame: np.ndarray, height: int) -> tuple[np.ndarray, float]:
    """A frame scaled to about this height (0 leaves it), and the scale."""
    if not height:
        return frame, 1.0
    scale = float(height) / frame.shape[0]
    return cv2.resize(frame, None, fx=scale, fy=scale), scale


def network_image(frame: np.ndarray, short_side: int, long_side: int) -> Tensor:
    """(3, H, W) uint8 BGR in network size, of an RGB frame (H, W, 3) uint8.

    Args:
        frame: the frame.
        short_side: see ``network_size``.
        long_side: see ``network_size``.
    """
    height, width = network_size(frame.shape[0], frame.shape[1], short_side, long_side)
    bgr = np.ascontiguousarray(frame[:, :, ::-1])
    if (height, width) != bgr.shape[:2]:
        bgr = np.asarray(Image.fromarray(bgr).resize((width, height), Image.Resampling.BILINEAR))
    return torch.from_numpy(np.ascontiguousarray(bgr.transpose(2, 0, 1)))
