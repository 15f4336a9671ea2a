"""What the particle filter compares: features of a detector's backbone.

Legend: P particles, C channels, H, W frame, h, w window.

The official filter sends every particle's window through an ImageNet ResNet-50; here the
detector's backbone, which starts from such a network, takes its place.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from egolib.nn.config import RoiAlignConfig
from egolib.nn.roi import RoiAlign
from egolib.vq2d.models.model import SiameseRcnn
from egolib.vq2d.tracking.particle_filter import window_of

CELLS = 4  # along a side of a window that is pooled from a frame's map


def cosine(vectors: np.ndarray, template: np.ndarray) -> np.ndarray:
    """(P,) cosine of vectors (P, C) with a template (C,); 0 for vectors of zeros."""
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(template)
    result: np.ndarray = vectors @ template / np.maximum(lengths, 1e-12)
    return result


class WindowFeatures:
    """Similarity of images: cosine of pooled features of every window (``deep``).

    Args:
        detector: in evaluation mode.
        side: length of the longer side of windows in the network.
        batch_size: windows at once.
    """

    def __init__(self, detector: SiameseRcnn, side: int = 256, batch_size: int = 64):
        self.detector, self.side, self.batch_size = detector.eval(), side, batch_size

    @torch.no_grad()
    def __call__(self, windows: np.ndarray, template: np.ndarray) -> np.ndarray:
        """(P,) similarity of windows (P, h, w, 3) and a template (h, w, 3), RGB, 0 to 255."""
        both = np.concatenate([windows, template[None]])
        images = scaled(both, self.side, self.detector.pixel_mean.device)
        parts = [self._pooled(part) for part in torch.split(images, self.batch_size)]
        vectors = torch.cat(parts).double().cpu().numpy()
        return cosine(vectors[:-1], vectors[-1])

    def _pooled(self, images: Tensor) -> Tensor:
        mean, std = self.detector.pixel_mean, self.detector.pixel_std
        result: Tensor = self.detector.backbone((images.flip(1) - mean) / std)[-1].mean(dim=(2, 3))
        return result


class FrameFeatures:
    """Windows pooled from one map of the frame (``deep_shared``): the network sees each
    frame once, not each of its windows.

    Args:
        detector: in evaluation mode; the pyramid level that it compares regions on is read.
        side: length of the longer side of frames in the network.
    """

    def __init__(self, detector: SiameseRcnn, side: int = 1024):
        self.detector, self.side = detector.eval(), side
        stride = detector.config.rpn.anchors.strides[detector.config.level]
        self.pool = RoiAlign(RoiAlignConfig(CELLS, (stride,), 2, True))

    def template(self, frame: np.ndarray, box_xyxy: Sequence[int]) -> np.ndarray:
        """(C,) float64 of the box's window."""
        result: np.ndarray = self._vectors(frame, np.array([box_xyxy], np.float64))[0]
        return result

    def observe(
        self, particles: np.ndarray, frame: np.ndarray, size: tuple[int, int]
    ) -> np.ndarray:
        """(P, C) float64, zeros for windows that leave the frame or are empty.

        Args:
            particles: (P, 4).
            frame: (H, W, 3) uint8.
            size: (height, width) of the template.
        """
        boxes = np.array([window_of(particle, size) for particle in particles], np.float64)
        height, width = frame.shape[:2]
        inside = (boxes[:, :2] >= 0).all(1) & (boxes[:, 2] < width) & (boxes[:, 3] < height)
        inside &= (boxes[:, :2] < boxes[:, 2:]).all(1)
        vectors = self._vectors(frame, boxes[inside])
        found = np.zeros((len(particles), vectors.shape[1]))
        found[inside] = vectors
        return found

    def compare(self, windows: np.ndarray, template: np.ndarray) -> np.ndarray:
        """(P,) cosine."""
        return cosine(windows, template)

    @torch.no_grad()
    def _vectors(self, frame: np.ndarray, boxes_xyxy: np.ndarray) -> np.ndarray:
        """(n, C) pooled features of boxes (n, 4) in pixels of the frame."""
        device = self.detector.pixel_mean.device
        image = scaled(frame[None], self.side, device)  # (1, 3, H', W')
        padded = self.detector.batch(list(image.flip(1))).images
        level = self.detector.maps(padded)[self.detector.config.level]
        ratio = image.shape[3] / frame.shape[1], image.shape[2] / frame.shape[0]
        boxes = torch.from_numpy(boxes_xyxy * np.tile(ratio, 2)).float().to(device)
        result: np.ndarray = self.pool([level], [boxes]).mean(dim=(2, 3)).double().cpu().numpy()
        return result


def scaled(images: np.ndarray, side: int, device: torch.device) -> Tensor:
    """(B, 3, h', w') float32 of images (B, h, w, 3) whose longer side becomes ``side``.

    Args:
        images: any numbers.
        side: in pixels.
        device: of the result.
    """
    height, width = images.shape[1:3]
    scale = side / max(height, width)
    size = (max(1, int(height * scale)), max(1, int(width * scale)))
    x = torch.from_numpy(np.ascontiguousarray(images)).float().permute(0, 3, 1, 2).to(device)
    return functional.interpolate(x, size, mode="bilinear")
