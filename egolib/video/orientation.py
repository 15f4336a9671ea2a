"""How players turn and mirror the stored pictures of a file: its display matrix.

The matrix maps a stored pixel to where it is shown (ISO/IEC 14496-12, 6.2.2): with rows
(a, b, u), (c, d, v), (x, y, w), a pixel (p, q) goes to (a p + c q, b p + d q).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import atan2, degrees, hypot

import numpy as np
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame

from egolib.errors import EgolibError

#: Largest angle, as a sine, that is taken for upright (one degree, as FFmpeg's tools have it).
_TOLERANCE = 0.0175


@dataclass(frozen=True)
class Orientation:
    """What is done to a stored picture, in this order.

    Attributes:
        transpose: rows become columns.
        mirror: left and right change places.
        flip: top and bottom change places.
        skewed: degrees counterclockwise of a turn that is no multiple of 90; else None.
    """

    transpose: bool = False
    mirror: bool = False
    flip: bool = False
    skewed: float | None = None

    @property
    def filters(self) -> list[tuple[str, str]]:
        """FFmpeg's filters that do it: names and arguments."""
        if self.transpose:
            kinds = {(0, 0): "cclock_flip", (1, 0): "clock", (0, 1): "cclock", (1, 1): "clock_flip"}
            return [("transpose", kinds[self.mirror, self.flip])]
        return [("hflip", "")] * self.mirror + [("vflip", "")] * self.flip

    def size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) of the shown picture."""
        return (height, width) if self.transpose else (width, height)


UPRIGHT = Orientation()


def orientation_of(frame: VideoFrame) -> Orientation:
    """The orientation that a decoded frame asks for; upright where it asks for none."""
    matrix = frame.side_data.get(Type.DISPLAYMATRIX)  # type: ignore[call-overload]
    return UPRIGHT if matrix is None else from_matrix(np.frombuffer(matrix, np.int32, 9))


def from_matrix(matrix: np.ndarray) -> Orientation:
    """The orientation of a display matrix.

    Args:
        matrix: (9,) int32, row by row, as containers store it; scales are ignored.
    """
    a, b, _, c, d, *_ = (float(value) for value in matrix)
    to_right, to_down = hypot(a, b), hypot(c, d)
    if not to_right or not to_down:  # says nothing: players show the picture as it is
        return UPRIGHT
    a, b, c, d = a / to_right, b / to_right, c / to_down, d / to_down
    if max(abs(b), abs(c)) <= _TOLERANCE:
        return Orientation(mirror=a < 0, flip=d < 0)
    if max(abs(a), abs(d)) <= _TOLERANCE:
        return Orientation(transpose=True, mirror=c < 0, flip=b < 0)
    return Orientation(skewed=degrees(atan2(-b, a)) % 360)


def check_orientation(orientation: Orientation, path: object) -> Orientation:
    """The orientation, where pictures can be turned so without new pixels.

    Raises:
        EgolibError: the file asks for a turn that is no multiple of 90 degrees.
    """
    if orientation.skewed is not None:
        raise EgolibError(
            f"the file asks to turn its pictures by {orientation.skewed:.1f} degrees, "
            "which is no multiple of 90",
            file=str(path),
            remedy="rotation='ignore' reads the pictures as they are stored",
        )
    return orientation
