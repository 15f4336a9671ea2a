"""Guards against shortcuts: what a blind or an order-free look can find out must be chance.

Each runs on at least 2,000 items made for it, and each has a control: the same
probe on a spoilt world, where it must succeed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest

from egolib.world.catalog import CLASSES, HUES, PARTNER, SECOND_VERBS, SILHOUETTES
from egolib.world.episode import Episode, make_episode, sketch_boxes
from egolib.world.exports import egoclip, nlq, vq2d
from egolib.world.exports.common import clip_fields
from egolib.world.library import World
from egolib.world.motion import scene_at
from egolib.world.narrations import narrations
from egolib.world.room import Instance
from egolib.world.script import NONE
from egolib.world.settings import WorldSettings
from egolib.world.sprites import Sprite, object_sprite

Worlds = Callable[..., World]


def near_chance(rate: float, chance: float, count: int, most: float) -> bool:
    """Within 3 standard errors + 2 points of chance, and within the guard's own limit."""
    error = np.sqrt(chance * (1 - chance) / count)
    return abs(rate - chance) <= min(3 * error + 0.02, most)


def linear_probe(features: np.ndarray, labels: np.ndarray) -> float:
    """Accuracy on the second half of a regularised least-squares classifier of the first."""
    half = len(labels) // 2
    mean, deviation = features[:half].mean(0), features[:half].std(0) + 1e-9
    table = np.column_stack([(features - mean) / deviation, np.ones(len(labels))])
    weights = np.linalg.solve(
        table[:half].T @ table[:half] + 1e-2 * half * np.eye(table.shape[1]),
        table[:half].T @ (2.0 * labels[:half] - 1),
    )
    return float(((table[half:] @ weights > 0) == labels[half:]).mean())


# --------------------------------------------------------------- 1. metamer textures


def degraded_colours(
    settings: WorldSettings, count: int, offset: float
) -> tuple[np.ndarray, np.ndarray]:
    """Mean colours of blurred, noisy objects on a random ground, and which texture they have.

    Colours are relative to all objects of the same silhouette and hue, so that the
    probe has only the texture to find.
    """
    rng = np.random.default_rng(0)
    colours, striped = np.empty((count, 3)), np.empty(count, bool)
    group = np.empty(count, int)
    for i in range(count):
        index = int(rng.integers(len(CLASSES)))
        hue = list(HUES)[rng.integers(len(HUES))]
        instance = Instance(0, index, hue, int(rng.integers(2**31)), rng.uniform(0.88, 1.15))
        striped[i] = instance.texture == "striped"
        group[i] = list(HUES).index(hue) * len(SILHOUETTES) + index // 2
        sprite = object_sprite(instance, 0.0, 1.0, settings.texture_period * settings.size_factor)
        colours[i] = blurred_mean(settings, rng, sprite, offset * striped[i])
    for g in np.unique(group):
        colours[group == g] -= colours[group == g].mean(0)
    return colours, striped


def blurred_mean(
    settings: WorldSettings, rng: np.random.Generator, sprite: Sprite, offset: float
) -> np.ndarray:
    alpha = sprite.rgba[..., 3:] / 255.0
    ground = np.full((*sprite.rgba.shape[:2], 3), rng.uniform(90, 170))
    picture = ground * (1 - alpha) + sprite.rgba[..., :3] + offset * alpha
    sigma = rng.uniform(*settings.defocus_sigma) * settings.size_factor
    soft = cv2.GaussianBlur(picture, (0, 0), sigma) + rng.normal(0, 2, picture.shape)
    inside = alpha[..., 0] > 0.9
    return soft[inside].mean(0)


def test_mean_colour_does_not_tell_metamers_apart(mini_settings: WorldSettings) -> None:
    colours, striped = degraded_colours(mini_settings, 4000, offset=0.0)
    assert near_chance(linear_probe(colours, striped), 0.5, 2000, most=0.05)


def test_the_colour_probe_finds_a_brightness_difference(mini_settings: WorldSettings) -> None:
    colours, striped = degraded_colours(mini_settings, 1500, offset=10.0)
    assert linear_probe(colours, striped) > 0.6


# -------------------------------------------------------------------- 2. blind answers


def choice_features(question: dict) -> np.ndarray:
    """(5, F) what a text-only model may know of the choices: place, rank, length, times."""
    choices = list(question["choices"].values())
    start = np.array([c["clip_start"] for c in choices])
    length = np.array([c["clip_end"] for c in choices]) - start
    stamp = np.array([c["narration_time"] for c in choices]) - start - length / 2
    rank = start.argsort().argsort()
    verb = question["query"]["tag_verb"][0]
    table = np.zeros((5, 73))
    table[np.arange(5), np.arange(5)] = 1
    table[np.arange(5), 5 + rank] = 1
    table[np.arange(5), 10 + 5 * verb + rank] = 1
    gap = np.sort(np.abs(start[:, None] - start), axis=1)[:, 1]
    table[:, 70:] = np.column_stack([length - 2, stamp, gap / 10])
    return table


def blind_accuracy(questions: list[dict], extra: np.ndarray | None = None) -> float:
    """Accuracy on the second half of a conditional logit trained on the first."""
    table = np.stack([choice_features(q) for q in questions])
    if extra is not None:
        table = np.concatenate([table, extra[..., None]], axis=-1)
    answer = np.array([q["answer"] for q in questions])
    half, weights = len(answer) // 2, np.zeros(table.shape[-1])
    right = table[:half][np.arange(half), answer[:half]]
    for _ in range(200):
        score = table[:half] @ weights
        fraction = np.exp(score - score.max(1, keepdims=True))
        fraction /= fraction.sum(1, keepdims=True)
        weights += (right - (fraction[..., None] * table[:half]).sum(1)).mean(0) - 1e-3 * weights
    return float(((table[half:] @ weights).argmax(1) == answer[half:]).mean())


@pytest.fixture(scope="module")
def mcq(logs: Worlds) -> list[dict]:
    return list(egoclip.questions(logs(val_videos=30, mcq_questions=4000)).values())


@pytest.mark.parametrize("kind", [egoclip.INTER, egoclip.INTRA])
def test_multiple_choice_is_chance_without_the_video(mcq: list[dict], kind: int) -> None:
    questions = [q for q in mcq if q["types"] == kind]
    assert near_chance(blind_accuracy(questions), 0.2, 1000, most=0.04)


def test_the_blind_chooser_learns_what_can_be_learnt(mcq: list[dict]) -> None:
    hint = np.array([[float(i == q["answer"]) for i in range(5)] for q in mcq])
    noisy = hint + np.random.default_rng(0).normal(0, 0.5, hint.shape)
    assert blind_accuracy(mcq, noisy) > 0.5


def test_reversal_partners_are_among_the_choices(mcq: list[dict]) -> None:
    verbs = [
        (q["query"]["tag_verb"][0], {c["tag_verb"][0] for c in q["choices"].values()})
        for q in mcq
        if q["types"] == egoclip.INTRA
    ]
    names = list(egoclip.VERBS)
    reversible = [(v, others) for v, others in verbs if names[v] in PARTNER]
    assert len(reversible) > 0.25 * len(verbs)
    assert all(names.index(PARTNER[names[v]]) in others for v, others in reversible)


def best_fixed_recall(windows: np.ndarray) -> float:
    """Largest fraction of (N, 2) windows, in parts of the video, that one interval meets at 0.3."""
    edges = np.linspace(0, 1, 61)
    best = 0.0
    for start in edges[:-1]:
        for end in start + np.array([0.01, 0.02, 0.03, 0.05, 0.08]):
            common = np.minimum(windows[:, 1], end) - np.maximum(windows[:, 0], start)
            hull = np.maximum(windows[:, 1], end) - np.minimum(windows[:, 0], start)
            best = max(best, float((common / hull > 0.3).mean()))
    return best


def placed_uniformly(windows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    length = windows[:, 1] - windows[:, 0]
    start = rng.uniform(0, 1 - length)
    return np.column_stack([start, start + length])


def test_answers_of_questions_lie_anywhere(logs: Worlds) -> None:
    world = logs(val_videos=110, nlq_queries=(1, 2200, 1))
    windows = np.array(
        [(q.start_sec, q.end_sec) for _, questions in nlq.choose(world, "val") for q in questions]
    )
    assert len(windows) >= 2000
    windows = windows / world.settings.video_sec
    rng = np.random.default_rng(0)
    even = np.mean([best_fixed_recall(placed_uniformly(windows, rng)) for _ in range(5)])
    assert best_fixed_recall(windows) <= 1.5 * even
    early = windows - 0.7 * windows.mean(1, keepdims=True)  # all in the first third
    assert best_fixed_recall(early) > 1.5 * even  # the guard can fail


def centre_success(world: World, sizes: tuple[float, ...] = (0.2, 0.3, 0.45)) -> tuple[float, int]:
    """Best fraction of answers that a centred box on the last frame before the query meets."""
    settings = world.settings
    width, height = settings.view_width, settings.view_height
    hits, count = np.zeros(len(sizes)), 0
    for video in world.of("val"):
        rng = video.rng("vq2d")
        for clip in vq2d.video_clips(video):
            for query in vq2d.candidates(clip, rng):
                count += 1
                frames = clip.frames[slice(*query.track)]
                boxes = video.truth.boxes[frames, query.obj].astype(float)
                volume = (boxes[:, 2:] - boxes[:, :2]).prod(1).sum()
                for k, size in enumerate(sizes):
                    half = np.array([width, height]) * size / 2
                    middle = np.array([width, height]) / 2
                    mine = np.concatenate([middle - half, middle + half])
                    common = 0.0
                    if query.frame - 1 == query.track[1] - 1:
                        low = np.maximum(mine[:2], boxes[-1, :2])
                        high = np.minimum(mine[2:], boxes[-1, 2:])
                        common = np.clip(high - low, 0, None).prod()
                    hits[k] += common / (volume + (2 * half).prod() - common) >= 0.05
    return float(hits.max() / count), count


def test_a_box_in_the_middle_of_the_last_frame_finds_nothing(logs: Worlds) -> None:
    rate, count = centre_success(logs(val_videos=40))
    assert count >= 2000
    assert rate - 1.96 * np.sqrt(rate * (1 - rate) / count) <= 0.05


# ------------------------------------------------------------- 3. order of the frames


def frame_states(episode: Episode) -> np.ndarray:
    """(T, F) what a frame shows, whatever its time: gaze, light, hand, states of things."""
    table = np.zeros((episode.settings.frames, 10))
    table[:, 0], table[:, 1] = episode.camera.zoom, episode.camera.roll
    table[:, 2], table[:, 3] = episode.camera.speed(), episode.degradation.sigma
    table[:, 4] = episode.degradation.gain
    for event in episode.events:
        for frame in range(event.start, event.end):
            scene = scene_at(event, frame)
            table[frame, 5:] = (
                1.0,
                scene.hand_y,
                scene.dy,
                scene.openness + scene.on,
                float(scene.shown),
            )
    return table


def reversal_clips(world: World) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Clips of reversal actions: order-free states, states by halves, and which verb."""
    bags, ordered, second = [], [], []
    for video in world.of("val"):
        states = frame_states(video.episode)
        boxes = sketch_boxes(video.episode)
        for line in narrations(video):
            event = video.episode.events[line.event] if line.event != NONE else None
            if event is None or event.verb not in PARTNER:
                continue
            fps = world.settings.fps
            rows = slice(int(line.start_sec * fps), int(line.end_sec * fps) + 1)
            entity = event.obj
            if entity == NONE:
                entity = len(video.episode.room.instances) + (event.fixture == "lamp")
            box = np.nan_to_num(boxes[rows, entity], nan=-50.0)
            clip = np.column_stack([states[rows], box])
            bags.append(
                np.concatenate([clip.mean(0), clip.std(0), *np.quantile(clip, (0.1, 0.9), 0)])
            )
            half = len(clip) // 2
            ordered.append(clip[half:].mean(0) - clip[:half].mean(0))
            second.append(event.verb in SECOND_VERBS)
    return np.array(bags), np.array(ordered), np.array(second)


def test_reversal_pairs_need_the_order_of_frames(logs: Worlds) -> None:
    bags, ordered, second = reversal_clips(logs(val_videos=290))
    assert len(second) >= 4000
    mixed = np.random.default_rng(0).permutation(len(second))
    accuracy = linear_probe(bags[mixed], second[mixed])
    assert near_chance(accuracy, 0.5, len(second) // 2, most=0.05)
    assert linear_probe(ordered[mixed], second[mixed]) > 0.75  # with order it is easy


@pytest.mark.parametrize("verb", [v for v in PARTNER if v in ("take", "open", "turn-on")])
def test_partners_show_the_same_frames_backwards(episode: Episode, verb: str) -> None:
    event = next(e for e in episode.events if e.verb in (verb, PARTNER[verb]))
    one, other = replace(event, verb=verb), replace(event, verb=PARTNER[verb])
    frames = range(event.start, event.end)
    forwards = [scene_at(one, f) for f in frames]
    backwards = [scene_at(other, f) for f in reversed(frames)]
    for a, b in zip(forwards, backwards, strict=True):
        assert vars(a) == pytest.approx(vars(b))
    assert forwards != [scene_at(other, f) for f in frames]


def test_classes_come_in_pairs() -> None:
    assert len(CLASSES) == 2 * len(SILHOUETTES)
    for first, second in zip(CLASSES[::2], CLASSES[1::2], strict=True):
        assert first.silhouette == second.silhouette and first.texture != second.texture


def test_ego4d_clip_times_are_those_of_their_frames(logs: Worlds) -> None:
    video = logs().videos[0]
    fields = clip_fields(video, "vq", 600, 1199, 5)
    assert fields["video_start_sec"] == 60.0 and fields["video_end_sec"] == 119.9
    assert make_episode(video.settings, "train", 0).uid == video.uid
