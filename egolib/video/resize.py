"""How large the pictures of prepared clips and images are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from egolib.video.orientation import UPRIGHT, Orientation
from egolib.video.picture import Converter, as_array, as_frame


@dataclass(frozen=True)
class Resize:
    """A rule for the size of prepared pictures; the default keeps the source's size.

    Attributes:
        height: new height in pixels, None to keep the source's.
        width: ``up`` truncates the proportional width and adds 1 where it is odd (the
            clip extraction of VQ2D); ``down`` takes the even number below (FFmpeg's
            ``trunc(oh*a/2)*2``, EgoVLPv2's resizing step).
        side: ``height`` sets the height, also of portrait pictures (Official
            behaviour of both); ``short`` sets the shorter side.
        interpolation: ``opencv_bilinear`` is OpenCV's (no smoothing before
            shrinking: official in VQ2D); ``bicubic`` is the default of FFmpeg's
            tools; ``bilinear`` and ``area`` are FFmpeg's.
    """

    height: int | None = None
    width: Literal["up", "down"] = "up"
    side: Literal["height", "short"] = "height"
    interpolation: Literal["opencv_bilinear", "bicubic", "bilinear", "area"] = "opencv_bilinear"

    def size(self, source: tuple[int, int]) -> tuple[int, int]:
        """(width, height) of the result for a source of that (width, height).

        >>> Resize(height=256, width="down").size((1440, 1080))
        (340, 256)
        >>> Resize(height=700).size((1440, 1080))
        (934, 700)
        """
        width, height = source
        if self.height is None:
            return source
        if self.side == "short" and width < height:
            return self.height, self._other(height, width)
        return self._other(width, height), self.height

    def even_size(self, source: tuple[int, int]) -> tuple[int, int]:
        """The same with odd sides enlarged by one pixel: yuv420p stores pairs of pixels."""
        width, height = self.size(source)
        return width + width % 2, height + height % 2

    def _other(self, other: int, given: int) -> int:
        """The proportional, even length of the other side when ``given`` becomes ``height``."""
        assert self.height is not None
        if self.width == "down":
            return self.height * other // (2 * given) * 2
        length = other * self.height // given
        return length + length % 2


class PictureMaker:
    """Turns decoded frames into pictures of one size, rotation applied.

    Args:
        source: (width, height) of the upright source pictures.
        size: (width, height) of the result.
        orientation: how the decoded pictures are turned and mirrored.
        interpolation: see ``Resize``.
    """

    def __init__(
        self,
        source: tuple[int, int],
        size: tuple[int, int],
        orientation: Orientation,
        interpolation: str,
    ):
        self._opencv_size = size if interpolation == "opencv_bilinear" and size != source else None
        graph_size = None if size == source or self._opencv_size else size
        kind = "bicubic" if self._opencv_size else interpolation
        if kind == "opencv_bilinear":
            kind = "bilinear"
        self._plain = graph_size is None and orientation == UPRIGHT
        self._rgb = Converter("rgb24", orientation, graph_size, kind)  # type: ignore[arg-type]
        self._yuv = Converter("yuv420p", orientation, graph_size, kind)  # type: ignore[arg-type]

    def image(self, frame: VideoFrame) -> NDArray[np.uint8]:
        """(H, W, 3) RGB."""
        image = as_array(self._rgb(frame))
        if self._opencv_size is None:
            return image
        import cv2

        return cv2.resize(image, self._opencv_size, interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]

    def frame(self, frame: VideoFrame) -> VideoFrame:
        """A picture to encode: yuv420p stays so, unless OpenCV resizes it; others become RGB."""
        if self._opencv_size or frame.format.name != "yuv420p":
            return as_frame(self.image(frame))
        return frame if self._plain else self._yuv(frame)
