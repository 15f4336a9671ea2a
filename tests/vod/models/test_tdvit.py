"""TDViT: which earlier map a block sees, and when it changes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from egolib.vod.models.tdvit import BlockMemory
from tests.vod.small import begin, frames, make


class Recorder:
    """A block that returns the map it should project."""

    def project_reference(self, x):
        return x


def memory(policy: str = "earliest", dilation: int = 3) -> BlockMemory:
    return BlockMemory(dilation, policy, torch.Generator().manual_seed(0))


def serve(block: BlockMemory, values: list[float]) -> list[float | None]:
    """The (constant) reference that every frame sees."""
    seen = []
    for value in values:
        current = block.current(Recorder())
        seen.append(None if current is None else float(current.flatten()[0]))
        block.remember(torch.full((1, 2, 2, 1), value))
    return seen


def test_the_earliest_serves_for_its_time():
    seen = serve(memory(), [float(i) for i in range(9)])
    assert seen == [None, 0, 0, 0, 1, 1, 1, 4, 4]


def test_the_largest_norm():
    seen = serve(memory("norm"), [0.0, -9.0, 2.0, 3.0, 4.0, 5.0])
    assert seen == [None, 0, 0, 0, -9, -9]


@pytest.mark.parametrize("policy", ["patch_shuffle", "channel_shuffle"])
def test_shuffles_mix_earlier_frames(policy: str):
    block = memory(policy, 4)
    for value in range(4):
        block.remember(torch.full((1, 8, 8, 16), float(value)))
    drawn = block.current(Recorder())
    assert drawn.shape == (1, 8, 8, 16) and len(drawn.unique()) == 4
    across = drawn.std(dim=(1, 2)) if policy == "channel_shuffle" else drawn.std(dim=3)
    assert across.max() == 0


@pytest.mark.parametrize("attention", ["cross", "joint"])
def test_the_first_frame_is_a_plain_swin_and_later_ones_are_not(attention: str):
    model, _ = make(
        "tdvit", change=lambda c: replace(c, temporal=replace(c.temporal, attention=attention))
    )
    video, state = frames(3).images, begin(model)
    with torch.no_grad():
        for i in range(3):
            online = model.backbone.online(video[i : i + 1], state.memory)
            plain = model.backbone(video[i : i + 1])
            equal = all(torch.equal(a, b) for a, b in zip(online, plain, strict=False))
            assert equal == (i == 0)


def test_keys_of_a_reference_are_projected_once():
    model, _ = make("tdvit")
    count = []
    block = model.backbone.stages[0].blocks[1]
    project = block.project_reference
    block.project_reference = lambda x: (count.append(1), project(x))[1]
    state, video = begin(model), frames(6)
    for i in range(6):
        model.step(video[i : i + 1], state)
    assert len(count) == 2  # dilation 4: frames 1 to 4, then 5


def test_training_references_are_what_online_blocks_would_see():
    """With one reference for all stages, training equals the second frame online."""
    model, _ = make("tdvit")
    video, state = frames(2).images, begin(model)
    with torch.no_grad():
        model.backbone.online(video[:1], state.memory)
        online = model.backbone.online(video[1:], state.memory)
        trained = model.backbone.with_references(video[1:], video[:1].expand(4, -1, -1, -1))
    for a, b in zip(online, trained, strict=False):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_layout_must_fit_the_depths():
    with pytest.raises(ValueError, match="layout"):
        make("tdvit", change=lambda c: replace(c, temporal=replace(c.temporal, layout=("st",) * 4)))
