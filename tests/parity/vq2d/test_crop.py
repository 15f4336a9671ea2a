"""Visual-crop windows: float values to 1e-4, integers equal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from egolib.vq2d.data.crop import crop_window
from tests.parity.recordings import read


@pytest.mark.recordings("crop")
def test_crops(recording: Path) -> None:
    case = read(recording)
    names = [name.removeprefix("image_") for name in case if name.startswith("image_")]
    assert names
    for i in names:
        pad = float(case[f"pad_{i}"])
        window = crop_window(case[f"image_{i}"], case[f"bbox_{i}"], pad_value=pad)
        thinned = window[:, ::16, ::16].numpy()
        np.testing.assert_allclose(thinned, case[f"float_{i}"], rtol=0, atol=1e-4)
        whole = window.to(torch.uint8)[:, ::8, ::8].numpy()
        np.testing.assert_array_equal(whole, case[f"uint8_{i}"])
        assert window.double().sum().item() == pytest.approx(float(case[f"sum_{i}"]), rel=1e-6)
