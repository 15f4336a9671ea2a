"""The event log keeps its rules; verbs, nouns and stations do not give each other away."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from egolib.world.catalog import PARTNER, TYPICAL, VERBS
from egolib.world.episode import make_episode
from egolib.world.script import NONE, State
from egolib.world.settings import WorldSettings


@pytest.fixture(scope="module")
def episodes(mini_settings: WorldSettings) -> list:
    return [make_episode(mini_settings, "train", i) for i in range(30)]


def check(state: State, event: object) -> None:
    verb, obj = event.verb, event.obj  # type: ignore[attr-defined]
    box = event.container  # type: ignore[attr-defined]
    if verb == "put":
        assert state.held == obj
        assert box == NONE or (box in state.opened and not state.contents(box))
        assert event.slot_to not in state.slot or event.slot_to == NONE  # type: ignore[attr-defined]
    elif obj != NONE and verb not in ("open", "close"):
        assert state.held == NONE
        assert not state.contents(obj)
        assert state.slot[obj] != NONE or (state.inside[obj] == box and box in state.opened)
    if verb in ("open", "close"):
        assert (obj in state.opened) == (verb == "close") and state.slot[obj] != NONE
    if verb in ("turn-on", "turn-off"):
        assert (event.fixture in state.on) == (verb == "turn-off")  # type: ignore[attr-defined]


def test_preconditions_hold(episodes: list) -> None:
    for episode in episodes:
        for state, event in zip(episode.states, episode.events, strict=False):
            check(state, event)
        places = [s for s in episode.states[-1].slot if s != NONE]
        assert len(places) == len(set(places))


def test_time_runs_forwards_and_gaze_leads_the_hand(episodes: list) -> None:
    for episode in episodes:
        low, high = (round(sec * episode.settings.fps) for sec in episode.settings.gaze_lead_sec)
        for event in episode.events:
            assert low <= event.start - event.gaze_start
            assert low <= event.gaze_end - event.end <= high
            assert event.gaze_end <= episode.settings.frames
        for one, two in pairwise(episode.fixations):
            assert one.end <= two.start


def test_pace_and_balance(episodes: list) -> None:
    minutes = len(episodes) * episodes[0].settings.video_sec / 60
    counts = Counter(e.verb for episode in episodes for e in episode.events)
    assert 12 <= sum(counts.values()) / minutes <= 25
    fraction = np.array([counts[v] for v in VERBS]) / sum(counts.values())
    assert fraction.min() > 0.05 and fraction.max() < 0.12
    for first, second in PARTNER.items():
        assert abs(counts[first] - counts[second]) < 0.25 * counts[first]


def test_verbs_do_not_depend_on_nouns(episodes: list) -> None:
    """Cramer's V of verb against silhouette, for verbs that can be done to anything."""
    free = [v for v in VERBS if v in TYPICAL]
    kinds = list(dict.fromkeys(k for names in TYPICAL.values() for k in names))
    table = np.zeros((len(free), len(kinds)))
    for episode in episodes:
        for event in episode.events:
            if event.verb in free and event.obj != NONE:
                kind = episode.room.instances[event.obj].silhouette
                table[free.index(event.verb), kinds.index(kind)] += 1
    expected = table.sum(1, keepdims=True) * table.sum(0, keepdims=True) / table.sum()
    chi = ((table - expected) ** 2 / expected).sum()
    assert np.sqrt(chi / table.sum() / (min(table.shape) - 1)) < 0.2


def test_bias_makes_habits(mini_settings: WorldSettings) -> None:
    def typical_fraction(bias: float) -> float:
        settings = replace(mini_settings, bias=bias)
        found = [
            episode.room.instances[e.obj].silhouette in TYPICAL[e.verb]
            for episode in (make_episode(settings, "val", i) for i in range(6))
            for e in episode.events
            if e.verb in TYPICAL
        ]
        return float(np.mean(found))

    assert typical_fraction(1.0) > typical_fraction(0.0) + 0.25
