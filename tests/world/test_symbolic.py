from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from egolib.io.features import open_store
from egolib.world import symbolic
from egolib.world.exports import nlq
from egolib.world.language import vocabulary_hash
from egolib.world.library import World
from egolib.world.settings import WorldSettings


def test_rows_come_at_the_official_rate(mini_settings: WorldSettings) -> None:
    table = np.arange(1200.0)[:, None]
    rows = symbolic.rows_of(mini_settings, table)
    assert len(rows) == 224
    seconds = (rows[:, 0] + 0.5) / mini_settings.fps
    wanted = (np.arange(224) + 0.5) * 16.043 / 30
    assert np.abs(seconds - wanted).max() < 0.06


def test_stores(tiny: World) -> None:
    video = open_store(tiny.path(*symbolic.VIDEO_STORE))
    text = open_store(tiny.path(*symbolic.TEXT_STORE))
    assert (video.provenance.width, text.provenance.width) == (128, 64)
    assert video.provenance.rows_per_sec == pytest.approx(1.87, abs=1e-4)
    assert text.provenance.model_hash == vocabulary_hash()
    for split in ("train", "val", "test"):
        for v, questions in nlq.choose(tiny, split):
            assert len(video.get(nlq.whole_clip(v)["clip_uid"])) == 37
            for i, _ in enumerate(questions):
                assert text.length(f"{nlq.annotation_uid(v)}_{i}") >= 3


def test_signal_to_noise(tiny: World) -> None:
    """Every column: variance of the signal 1 on the training videos, and as much noise."""
    store = open_store(tiny.path(*symbolic.VIDEO_STORE))
    rows = np.concatenate([store.get(nlq.whole_clip(v)["clip_uid"]) for v in tiny.of("train")])
    assert np.abs(rows.mean()) < 0.1 and 1.8 < rows.var(0).mean() < 2.2


def test_what_is_done_can_be_read_off(logs: Callable[..., World]) -> None:
    """A linear reader finds the verb in noisy rows far above chance."""
    world = logs(train_videos=16)
    settings = replace(world.settings)
    weights = symbolic.projection(settings)
    rng = np.random.default_rng(0)
    rows, verbs = [], []
    for video in world.of("train"):
        table = symbolic.rows_of(settings, symbolic.state(video))
        first = symbolic.OFFSETS["verb, first half"]
        active = table[:, first : first + 24]
        rows.append(table @ weights)
        verbs.append(np.where(active.max(1) > 0, active.argmax(1) % 12, 12))
    signal, labels = np.concatenate(rows), np.concatenate(verbs)
    signal = (signal - signal.mean(0)) / signal.std(0)
    noisy = np.column_stack([signal + rng.normal(size=signal.shape), np.ones(len(signal))])
    half = len(labels) // 2
    goal = np.eye(13)[labels]
    reader = np.linalg.solve(
        noisy[:half].T @ noisy[:half] + 10 * np.eye(noisy.shape[1]), noisy[:half].T @ goal[:half]
    )
    found, known = (noisy[half:] @ reader)[:, :12].argmax(1), labels[half:]
    assert (found == known)[known < 12].mean() > 0.5
