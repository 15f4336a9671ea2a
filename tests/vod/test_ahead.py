"""Frames computed ahead in batches give the detections of frames one by one, in any precision."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from unittest import mock

import numpy as np
import pytest
import torch

from egolib.nn import fixed
from egolib.nn.roi import Found
from egolib.nn.swin import _shift_mask
from egolib.ops.suppression import survivors
from egolib.vod.api import Detector
from egolib.vod.config import DataConfig
from egolib.vod.data.pipeline import Prepared
from egolib.vod.models.build import build_model
from tests.vod.small import BUILDERS, SIZE, clip, frames, make, reduced, settings

COUNT = 7


class MadeVideo:
    """Frames in memory, of which some may be smaller."""

    number, parallel = 0, False

    def __init__(self, count: int = COUNT, small: tuple[int, ...] = ()) -> None:
        self.order, self.small = range(count), small
        self.images = frames(count, seed=3).images.numpy()

    def __len__(self) -> int:
        return len(self.order)

    def input(self, place: int) -> Prepared:
        cut = 32 if place in self.small else 0
        pixels = np.ascontiguousarray(self.images[place][:, : SIZE[0] - cut])
        nothing = np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
        return Prepared(pixels, (SIZE[0] - cut, SIZE[1]), *nothing, np.full(4, 1.25, np.float32))


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch):
    """Everything in double precision, where sums taken in another order hardly differ: the
    reduced networks amplify differences more than trained ones do."""

    def double(self: torch.Tensor) -> torch.Tensor:
        return self if self.is_floating_point() else self.to(torch.float64)

    monkeypatch.setattr(torch.Tensor, "float", double)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)
    _shift_mask.cache_clear()


def agree(one: Found, other: Found) -> None:
    """Equal up to the rounding of sums that were taken in another order."""
    assert torch.equal(one.labels, other.labels)
    torch.testing.assert_close(one.boxes, other.boxes, rtol=0, atol=1e-7)
    torch.testing.assert_close(one.scores, other.scores, rtol=0, atol=1e-9)


def detections(name: str, video: MadeVideo, **changes) -> list[Found]:
    model, config = make(name)
    limits = settings(config)
    if limits.references.method != "none":
        limits = replace(limits, references=replace(limits.references, window=(-1, 2)))
    limits = replace(limits, device="cpu", **changes)
    found = list(Detector(model, config, DataConfig(), limits, names="abcde").stream(video))
    assert [place for place, _ in found] == list(video.order)
    return [one for _, one in found]


@pytest.mark.parametrize("name", BUILDERS)
def test_frames_ahead_change_no_detection(name: str, double):
    video = MadeVideo()
    alone, together = (detections(name, video, frames_ahead=n) for n in (1, 3))
    assert sum(len(found.scores) for found in alone) > 20
    for one, other in zip(alone, together, strict=True):
        agree(one, other)


@pytest.mark.parametrize("name", ["single", "selsa", "mamba", "mega"])
def test_what_is_not_complete_is_computed_again(name: str, double):
    video = MadeVideo(4)
    alone = detections(name, video, frames_ahead=1)
    hasty = partial(survivors, rounds=1)  # nothing settles
    with mock.patch.object(fixed, "survivors", hasty):
        together = detections(name, video, frames_ahead=4)
    for one, other in zip(alone, together, strict=True):
        agree(one, other)


@pytest.mark.parametrize("name", ["selsa", "fcos"])
def test_frames_of_other_sizes_are_computed_alone(name: str, double):
    video = MadeVideo(6, small=(2, 3))
    alone, together = (detections(name, video, frames_ahead=n) for n in (1, 3))
    for one, other in zip(alone, together, strict=True):
        agree(one, other)


@pytest.mark.parametrize("name", BUILDERS)
def test_bfloat16_on_the_cpu(name: str):
    video = MadeVideo(4)
    exact = detections(name, video, frames_ahead=2)
    with torch.autocast("cpu", torch.bfloat16):
        found = detections(name, video, frames_ahead=2)
    for one, other in zip(exact, found, strict=True):
        assert other.boxes.dtype == other.scores.dtype == torch.float32
        assert torch.isfinite(other.boxes).all()
        if len(one.scores):
            assert abs(float(one.scores[0] - other.scores[0])) < 0.1


@pytest.mark.parametrize("name", BUILDERS)
def test_losses_in_bfloat16(name: str):
    def loss(mixed: bool) -> torch.Tensor:
        torch.manual_seed(0)
        config = reduced(BUILDERS[name]())
        model = build_model(config).train()
        more = {"memory": frames(3, 3), "distant": frames(2, 4)} if config.method == "mega" else {}
        sample = clip(4 if config.method == "tdvit" else 2, **more)
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            losses = model.losses(sample, torch.Generator().manual_seed(0))
        losses.pop("accuracy", None)
        total = torch.stack([x.float() for x in losses.values()]).sum()
        total.backward()
        assert all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters())
        return total.detach()

    torch.testing.assert_close(loss(True), loss(False), rtol=0.02, atol=0)


@pytest.mark.parametrize("enhanced", ["both", "classes"])
def test_dense_detections_of_one_frame(enhanced: str):
    """What EOVOD asks for frame by frame on a GPU."""
    model, _ = make("fcos")
    detector, frame = model.detector, frames(1)
    limits = settings(model.config)
    with torch.no_grad():
        plain = detector.backbone(frame.images)
        other = plain if enhanced == "both" else [1.1 * x for x in plain]
        (ahead,) = detector.detections_of(other, plain, frame, limits).get()
        class_maps, box_maps = detector.neck(other), detector.neck(plain)
        levels = detector.every_level
        (exact,) = detector.detect_levels(class_maps, box_maps, frame, levels, limits)
    assert len(exact.found.scores) > 20
    for a, b in zip(ahead, exact.found, strict=True):
        assert torch.equal(a, b)
