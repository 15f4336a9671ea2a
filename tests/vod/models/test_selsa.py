"""SELSA: equal to the official order of work, nothing computed twice, sliding windows."""

from __future__ import annotations

import pytest
import torch

from egolib.vod.models.frames import Frames
from tests.oracles.vod import OfficialSelsa
from tests.vod.small import begin, counted, frames, make, same


def without_numbers(part: Frames) -> Frames:
    return Frames(part.images, part.sizes, part.scales)


def test_equals_the_official_order_of_work():
    model, _ = make("selsa")
    references, video = frames(3, seed=5, first=50), frames(4)
    state, official = begin(model, references), OfficialSelsa(model, references)
    for i in range(4):
        frame = video[i : i + 1]
        same(model.step(frame, state), official.step(frame))


def test_references_are_not_computed_again_when_their_turn_comes():
    model, _ = make("selsa")
    video = frames(6)
    references = Frames(video.images[::2], video.sizes[::2], video.scales[::2], video.numbers[::2])
    seen, state = counted(model), begin(model, references)
    found = [model.step(video[i : i + 1], state) for i in range(6)]
    assert sum(seen) == 6
    again = begin(model, without_numbers(references))
    plain = [model.step(without_numbers(video[i : i + 1]), again) for i in range(6)]
    assert sum(seen) == 6 + 3 + 6
    for one, two in zip(found, plain, strict=False):
        same(one, two)


def sliding(centre: str = "official", stride: int = 2):
    references = {"method": "fixed_stride", "window": [-1, 1], "stride": stride}
    return {"references": references, "centre": centre}


@pytest.mark.parametrize("numbered", [True, False])
def test_sliding_window_computes_every_frame_once(numbered: bool):
    model, video = make("selsa")[0], frames(6)
    pick = (lambda part: part) if numbered else without_numbers
    seen = counted(model)
    first = Frames(video.images[[0, 0, 1]], video.sizes[:3], video.scales[:3], [0, 0, 1])
    state = begin(model, pick(first), change=sliding(stride=1))
    start = sum(seen)
    for i in range(5):
        new = pick(video[i + 1 : i + 2]) if i else None
        model.step(pick(video[i : i + 1]), state, new)
    assert sum(seen) - start == (4 if numbered else 9)


def test_centre_of_the_window_stays_officially():
    """With a stride above 1 the current frame replaces the one that the window was made of."""
    results = {}
    for centre in ("official", "restored"):
        model, video = make("selsa")[0], frames(6)
        first = Frames(video.images[[0, 0, 2]], video.sizes[:3], video.scales[:3])
        state = begin(model, first, change=sliding(centre))
        results[centre] = []
        for i in range(4):
            new = without_numbers(video[4:5]) if i == 2 else None
            found = model.step(without_numbers(video[i : i + 1]), state, new)
            results[centre].append(found)
    same(results["official"][1], results["restored"][1])
    assert not torch.equal(results["official"][2].scores, results["restored"][2].scores)


def test_without_references_a_frame_supports_itself():
    model, _ = make("selsa")
    assert len(model.step(frames(1), begin(model)).scores)
