from __future__ import annotations

import numpy as np

from egolib.world.camera import matrix
from egolib.world.degrade import FAST, runs
from egolib.world.episode import Episode, sketch_boxes
from egolib.world.settings import ROOM_HEIGHT, ROOM_WIDTH


def test_the_view_stays_in_the_room(episode: Episode) -> None:
    camera, settings = episode.camera, episode.settings
    half = np.array([settings.view_width, settings.view_height]) / 2 / settings.scale
    assert (camera.x - half[0] / camera.zoom >= -1e-6).all()
    assert (camera.x + half[0] / camera.zoom <= ROOM_WIDTH + 1e-6).all()
    assert (camera.y - half[1] / camera.zoom >= -1e-6).all()
    assert (camera.y + half[1] / camera.zoom <= ROOM_HEIGHT + 1e-6).all()
    assert (np.abs(camera.roll) <= settings.roll_deg).all()
    assert camera.zoom.min() >= settings.zoom[0] and camera.zoom.max() <= settings.zoom[1]


def test_saccades_are_quick_and_short(episode: Episode) -> None:
    speed = episode.camera.speed()
    spans = runs(speed > FAST)
    lengths = spans[:, 1] - spans[:, 0]
    assert len(spans) > 10 and lengths.max() <= episode.settings.saccade_frames[1] + 2
    peaks = [speed[a:b].max() for a, b in spans]
    assert 14 <= np.median(peaks) <= episode.settings.saccade_px[1] + 3


def test_the_target_is_in_view_while_the_hand_works(episode: Episode) -> None:
    boxes = sketch_boxes(episode)
    limit = [episode.settings.view_width, episode.settings.view_height]
    seen = []
    for event in episode.events:
        if event.verb in ("pour", "cut", "wash", "stir", "shake"):
            middle = boxes[(event.start + event.end) // 2, event.obj].reshape(2, 2).mean(0)
            seen.append(((middle > 0) & (middle < limit)).all())
    assert seen and np.mean(seen) > 0.9


def test_matrix_maps_the_gaze_to_the_middle(episode: Episode) -> None:
    pose = episode.camera.at(100.25)
    point = np.array([pose[0], pose[1], 1.0]) * [episode.settings.scale] * np.array([1, 1, 1])
    view = matrix(episode.settings, pose) @ [point[0], point[1], 1.0]
    np.testing.assert_allclose(view, [96, 72], atol=1e-9)
    turned = matrix(episode.settings, (*pose[:2], 2.0, 90.0))
    np.testing.assert_allclose(turned[:, :2], [[0, -2], [2, 0]], atol=1e-9)
