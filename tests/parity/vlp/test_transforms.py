"""Evaluation views, and a fixed training crop."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from egolib.vlp.data import transforms
from tests.parity.recordings import read, recipe, stream
from tests.parity.vlp.networks import assert_close


@pytest.mark.recordings("transforms")
def test_views(recording: Path) -> None:
    recorded = read(recording)
    prefix = recipe(recording)["streams"]
    cases = sorted({name.split("/")[0] for name in recorded})
    assert cases
    for case in cases:
        shape = tuple(recorded[f"{case}/shape"].tolist())
        pixels = stream(f"{prefix}/tf/{case}").random(shape).astype(np.float32)
        video = torch.from_numpy(pixels).transpose(0, 1)  # F 3 H W
        check_view(recorded, case, "test", transforms.test_view(video.clone()))
        grey = torch.floor(255.99 * video) / 255
        check_view(recorded, case, "epic_test", transforms.test_view(grey, kind="epic"))
        check_crop(recorded, case, video)


def check_view(recorded: dict, case: str, name: str, view: torch.Tensor) -> None:
    ours = view.transpose(0, 1)  # 3 F S S
    assert_close(ours[..., ::9, ::9], recorded[f"{case}/{name}"], atol=1e-5, what=name)
    stats = np.array([ours.double().mean(), ours.double().std(correction=0)])
    expected = recorded[f"{case}/{name.removesuffix('_test')}_stats"]
    np.testing.assert_allclose(stats, expected, atol=1e-5)


def check_crop(recorded: dict, case: str, video: torch.Tensor) -> None:
    """The crop's rectangle stands in the name of its recording."""
    (name,) = (k for k in recorded if k.startswith(f"{case}/crop_flip_"))
    numbers = re.findall(r"\d+", name.split("crop_flip_")[1])
    top, left, height, width = map(int, numbers)
    view = transforms.train_view(video, transforms.Crop(top, left, height, width, flip=True))
    ours = view.transpose(0, 1)[..., ::9, ::9]
    assert_close(ours, recorded[name], atol=1e-5, what=name)
