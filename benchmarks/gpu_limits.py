"""What a device can do at most: products of matrices in every precision, and copies in its memory.

The rates of other parts are read beside these.
"""

from __future__ import annotations

from typing import Any

import torch

from benchmarks.gpu_common import PRECISIONS, Measured, Setting, device_seconds, precision


def products(setting: Setting) -> dict[str, Any]:
    """TFLOP/s of square products."""
    size = 256 if setting.tiny else 8192
    row = Measured("TFLOP/s", note=f"products of {size} x {size} matrices")
    for name in PRECISIONS:
        kind = torch.bfloat16 if name == "bf16" else torch.float32
        left, right = (torch.randn(size, size, device=setting.device, dtype=kind) for _ in range(2))
        with precision(name, setting.device):
            taken = device_seconds(lambda x=left, y=right: x @ y, setting, repeats=10)
        row.ours[name] = 2 * size**3 / taken / 1e12
    return row.record(setting)


def copies(setting: Setting) -> dict[str, Any]:
    """TB/s of copies inside the device's memory, bytes read and written."""
    count = 2**20 if setting.tiny else 2**30
    source = torch.zeros(count, device=setting.device)
    target = torch.empty_like(source)
    taken = device_seconds(lambda: target.copy_(source), setting, repeats=10)
    size = source.numel() * source.element_size()
    note = f"copies of {size / 1e9:.3g} GB, bytes read and written"
    return Measured("TB/s", ours={"fp32": 2 * size / taken / 1e12}, note=note).record(setting)


PARTS = {"products": products, "copies": copies}
