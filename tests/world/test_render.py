"""Frames and what is seen in them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from egolib.world.canvas import HAND
from egolib.world.episode import Episode, make_episode, sketch_boxes
from egolib.world.render import Frame, Renderer
from egolib.world.script import NONE
from egolib.world.settings import WorldSettings
from egolib.world.visibility import Truth, TruthBuilder, sketch_truth


@pytest.fixture(scope="module")
def drawn(mini_settings: WorldSettings) -> tuple[Episode, list[Frame], Truth]:
    episode = make_episode(replace(mini_settings, video_sec=60), "train", 3)
    builder, frames = TruthBuilder(episode), []
    for index, frame in enumerate(Renderer(episode).frames()):
        builder.add(index, frame)
        frames.append(frame)
    return episode, frames, builder.build()


Drawn = tuple[Episode, list[Frame], Truth]


def test_boxes_lie_in_the_frame_and_hug_their_masks(drawn: Drawn) -> None:
    episode, frames, truth = drawn
    limit = [episode.settings.view_width, episode.settings.view_height] * 2
    assert (truth.boxes >= 0).all() and (truth.boxes <= limit).all()
    for index in range(0, len(frames), 97):
        for entity in np.flatnonzero(truth.area[index]):
            y, x = np.nonzero(frames[index].labels == entity + 1)
            box = [x.min(), y.min(), x.max() + 1, y.max() + 1]
            assert truth.boxes[index, entity].tolist() == box
            assert truth.area[index, entity] == len(x)


def test_the_sketch_agrees_with_the_drawing(drawn: Drawn) -> None:
    """Centres of whole, unhidden objects lie where the log says."""
    episode, _, truth = drawn
    sketch = sketch_boxes(episode)[:, : len(episode.room.instances)]
    whole = truth.fraction[:, : sketch.shape[1]] > 0.97
    closed = [not i.is_container for i in episode.room.instances]
    errors = np.abs(sketch - truth.boxes[:, : sketch.shape[1]])[whole & closed]
    assert len(errors) > 200 and np.median(errors) < 3
    seen = sketch_truth(episode).visible(episode.settings)[:, : sketch.shape[1]]
    assert (seen == truth.visible(episode.settings)[:, : sketch.shape[1]]).mean() > 0.96


def test_the_hand_hides_a_part_of_the_object(drawn: Drawn) -> None:
    """10 to 60 % during contact, for objects that are otherwise in full view."""
    episode, frames, truth = drawn
    hidden = []
    for event in episode.events:
        middle = (event.start + event.end) // 2
        before = truth.fraction[event.start, event.obj] if event.obj != NONE else 0
        if event.verb in ("pour", "shake", "move", "wash") and before > 0.97:
            assert (frames[middle].labels == HAND).any()
            hidden.append(1 - truth.fraction[middle, event.obj])
    assert len(hidden) >= 3
    assert 0.1 <= np.median(hidden) <= 0.6


def test_degraded_frames_are_smoother(drawn: Drawn) -> None:
    _, frames, truth = drawn
    detail = np.array([np.abs(np.diff(f.image.astype(int), axis=1)).mean() for f in frames])
    assert detail[truth.degraded].mean() < 0.75 * detail[truth.sharp].mean()


def test_a_saccade_is_blurred_along_its_path(drawn: Drawn) -> None:
    episode, _, _ = drawn
    renderer = Renderer(episode)
    fast = int(np.argmax(episode.camera.speed()))
    low, high = episode.settings.blur_samples
    assert low <= len(renderer._exposure(fast)) <= high
    still = int(np.argmin(episode.camera.speed()))
    assert len(renderer._exposure(still)) == 0


def test_an_object_in_a_box_is_not_seen(mini_settings: WorldSettings) -> None:
    for index in range(20):
        episode = make_episode(mini_settings, "val", index)
        held = [i for i, box in enumerate(episode.room.inside) if box != NONE]
        first = episode.events[0].start
        if held and all(e.obj not in held for e in episode.events[:1]):
            assert np.isnan(sketch_boxes(episode)[:first, held]).all()
            return
    pytest.fail("no video begins with a filled container")


def test_drawing_twice_gives_the_same_frames(mini_settings: WorldSettings) -> None:
    episode = make_episode(replace(mini_settings, video_sec=20), "test", 0)
    runs = [
        [f.image for _, f in zip(range(40), Renderer(episode).frames(), strict=False)]
        for _ in range(2)
    ]
    assert all((a == b).all() for a, b in zip(*runs, strict=True))
