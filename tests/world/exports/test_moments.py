"""The moments annotations of the built-in world: three official files that are not all in order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from egolib.io.records import read_json
from egolib.mq.config import DataConfig
from egolib.mq.data.conversion import convert, read_durations
from egolib.world.exports import moments
from egolib.world.library import World

FOLDER = "ego4d/v2/annotations"
NAMES = ("train", "val", "test_unannotated")


@pytest.fixture(scope="module")
def clips(tiny: World) -> dict[str, list[dict[str, Any]]]:
    files = {name: read_json(tiny.path(FOLDER, f"moments_{name}.json")) for name in NAMES}
    return {name: [v["clips"][0] for v in content["videos"]] for name, content in files.items()}


def test_a_second_annotator_is_less_exact(clips: dict[str, list[dict[str, Any]]]) -> None:
    first, second = (a["labels"] for a in clips["train"][0]["annotations"])
    assert all(label["primary"] for label in first)
    assert {label["primary"] for label in second} == {True, False}
    assert len(first) - 2 <= len(second) <= len(first)
    nearest = [
        min(abs(a["start_time"] - b["start_time"]) for a in first if a["label"] == b["label"])
        for b in second
    ]
    assert 0 < max(nearest) <= 0.4


def test_a_label_reaches_past_the_end(clips: dict[str, list[dict[str, Any]]]) -> None:
    ends = [
        max((x["end_time"] for a in clip["annotations"] for x in a["labels"]), default=0.0)
        - (clip["video_end_sec"] - clip["video_start_sec"])
        for clip in clips["train"]
    ]
    assert [end > 0 for end in ends] == [False, True, *[False] * (len(ends) - 2)]


def test_test_clips_have_no_annotations(clips: dict[str, list[dict[str, Any]]]) -> None:
    assert not any("annotations" in clip for clip in clips["test_unannotated"])


def test_the_conversion_removes_the_clip_without_labels(tiny: World) -> None:
    files = [tiny.path(FOLDER, f"moments_{name}.json") for name in NAMES]
    durations = read_durations(tiny.path("ego4d", "ego4d.json"))
    found = convert(files, durations, lambda uid: 100, DataConfig())
    assert len(found.unlabelled) == 1 and len(found.clips) == len(tiny.videos) - 1
    missing = {video.uid for video in tiny.videos} - {c["video_id"] for c in found.clips.values()}
    assert missing < {video.uid for video in tiny.of("train")}


def test_training_has_every_class_of_validation(logs: Callable[..., World]) -> None:
    world = logs(train_videos=8, val_videos=4)
    train, val = (
        {x["label"] for found in annotations for one in found for x in one["labels"]}
        for annotations in (
            moments.annotate_training(world),
            [moments.annotate(video) for video in world.of("val")],
        )
    )
    assert len(val) > 8 and val <= train
