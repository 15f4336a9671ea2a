"""The deterministic frames used by the network cases of this folder.

``frames(name, n, height, width)`` gives ``n`` already normalised RGB frames of
one synthetic video, float32, shape ``(n, 3, height, width)``. Every frame is
``0.8 * base + 0.6 * noise_t``: ``base`` is shared by the video and drawn from
``stream(name + "/base")``, ``noise_t`` from ``stream(f"{name}/{t}")``. Pixels
outside ``valid`` (rows, columns), when given, are zero, as padding is.
"""

import zlib

import numpy as np


def stream(name: str) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(zlib.crc32(name.encode())))


def frames(name, n, height, width, valid=None):
    base = stream(name + "/base").standard_normal((3, height, width))
    out = np.empty((n, 3, height, width), np.float32)
    for t in range(n):
        noise = stream(f"{name}/{t}").standard_normal((3, height, width))
        out[t] = (0.8 * base + 0.6 * noise).astype(np.float32)
    if valid is not None:
        out[:, :, valid[0] :] = 0
        out[:, :, :, valid[1] :] = 0
    return out


def boxes(name, n, height, width):
    """``n`` random boxes (x1, y1, x2, y2), float32, inside height x width."""
    rng = stream(name)
    w = rng.uniform(8, 0.7 * width, n)
    h = rng.uniform(8, 0.7 * height, n)
    x = rng.uniform(0, 1, n) * (width - w)
    y = rng.uniform(0, 1, n) * (height - h)
    return np.stack([x, y, x + w, y + h], 1).astype(np.float32)


def subset(array, limit=2048):
    """Flattened strided subset (at most about ``limit`` values): ``a.ravel()[::step]``
    with ``step = max(1, size // limit)``."""
    flat = np.asarray(array).ravel()
    return flat[:: max(1, flat.size // limit)]
