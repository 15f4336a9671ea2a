"""What every method must do: detect, learn, keep videos apart, and save into official files."""

from __future__ import annotations

import pytest
import torch

from egolib.vod.formats.checkpoint import layout
from egolib.vod.models.build import build_empty
from tests.vod.small import BUILDERS, CLASSES, begin, clip, frames, make, same


def start(model, config, seed: int = 0):
    """A state, and the companions of the first frame."""
    if config.method == "mega":
        return begin(model, seed=seed), {
            "references": frames(2, 5, 1),
            "distant": frames(3, 6),
        }
    references = frames(3, seed=9, first=100)
    return begin(model, references, seed=seed), {}


def run(model, config, count: int = 4) -> list:
    """Detections of the first frames of a video."""
    state, first = start(model, config)
    video = frames(count)
    found = []
    for i in range(count):
        later = {"references": frames(1, 7, i + 2), "distant": frames(1, 8)}
        extra = first if i == 0 else (later if config.method == "mega" else {})
        found.append(model.step(video[i : i + 1], state, **extra))
    return found


@pytest.mark.parametrize("name", BUILDERS)
def test_detects_and_repeats_itself(name: str):
    model, config = make(name)
    first, second = run(model, config), run(model, config)
    assert sum(len(f.scores) for f in first) > 0
    for one, two in zip(first, second, strict=True):
        same(one, two)
        assert one.boxes.shape == (len(one.scores), 4)
        assert ((one.labels >= 0) & (one.labels < CLASSES)).all()
        assert torch.isfinite(one.boxes).all()
        assert (one.boxes[:, 2:] >= one.boxes[:, :2] - 1).all()


@pytest.mark.parametrize("name", BUILDERS)
def test_frames_in_which_nothing_is_proposed_have_no_detections(name: str):
    """Memories without rows, and a frame without any region, are nobody's error."""
    model, config = make(name)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(float("nan"))  # no proposal and no score is a number
    assert [len(found.scores) for found in run(model, config)] == [0] * 4


@pytest.mark.parametrize("name", BUILDERS)
def test_learns(name: str):
    model, config = make(name)
    model.train()
    more = {}
    if config.method == "mega":
        more = {"memory": frames(3, 3), "distant": frames(2, 4)}
    references = 4 if config.method == "tdvit" else 2
    losses = model.losses(clip(references, **more), torch.Generator().manual_seed(0))
    accuracy = losses.pop("accuracy", None)
    assert accuracy is None or 0 <= accuracy <= 1
    total = torch.stack(list(losses.values())).sum()
    assert torch.isfinite(total) and total > 0
    total.backward()
    silent = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not silent


@pytest.mark.parametrize("name", BUILDERS)
def test_interleaved_videos_do_not_disturb_each_other(name: str):
    model, config = make(name)
    alone = run(model, config, 3)
    state, first = start(model, config)
    other, other_first = start(model, config)
    video, foreign = frames(3), frames(3, seed=77)
    for i in range(3):
        later = {"references": frames(1, 7, i + 2), "distant": frames(1, 8)}
        extra = first if i == 0 else (later if config.method == "mega" else {})
        found = model.step(video[i : i + 1], state, **extra)
        foreign_extra = other_first if i == 0 else extra
        model.step(foreign[i : i + 1], other, **foreign_extra)
        same(found, alone[i])


@pytest.mark.parametrize("name", BUILDERS)
def test_official_names_both_ways(name: str):
    model, config = make(name)
    official = layout(config)
    state = official.to_official(model.state_dict())
    other = build_empty(config).to_empty(device="cpu")
    assert official.load(other, state).complete
    for key, value in model.state_dict().items():
        assert torch.equal(other.state_dict()[key], value)


def test_different_seeds_give_different_memories():
    model, _ = make("mamba")
    video, found = frames(12), []
    for seed in (0, 1):
        state = begin(model, frames(3, seed=9, first=100), seed=seed)
        found.append([model.step(video[i : i + 1], state) for i in range(12)])
    same(found[0][1], found[1][1])  # nothing random yet
    assert not torch.equal(found[0][-1].scores, found[1][-1].scores)
