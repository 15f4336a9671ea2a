"""Long clips: features averaged in groups, so that at most so many are left.

Shapes: n features of a clip, V their width, M rows at most.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def merge(features: Floats, most: int, merging: str = "official") -> Floats:
    """(min(n, M), V) means of consecutive features; up to M features stay as they are.

    Row k is the mean of the features from border k up to border k + 1, or the single
    feature at border k where there are none; border k is k / M of the clip, rounded
    half to even.

    Official behaviour: borders are at most n - 1, so that from n = 1.5 M on the last
    feature never counts. ``merging="complete"`` ends the last group behind it.

    Args:
        features: (n, V).
        most: M.
        merging: ``official`` or ``complete``.
    """
    count = len(features)
    if count <= most:
        return features
    borders = np.round(np.arange(most + 1) / most * count).astype(np.int64)
    borders = np.minimum(borders, count - 1)
    if merging == "complete":
        borders[-1] = count
    until = max(borders[-1], borders[-2] + 1)
    sums = np.add.reduceat(features[:until], borders[:-1], axis=0)
    sizes = np.maximum(np.diff(borders), 1)
    return (sums / sizes[:, None]).astype(np.float32)
