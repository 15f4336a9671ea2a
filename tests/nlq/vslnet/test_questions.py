"""Text and times as they are prepared."""

from __future__ import annotations

import pytest

from egolib.errors import EgolibError
from egolib.nlq.config.span import SpanDataConfig
from egolib.nlq.data.annotations import Query
from egolib.nlq.data.vslnet.questions import on_grid, prepare, sentence

OUTWARD = SpanDataConfig(rounding="outward")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "?"),
        ("   ", "?"),
        ("Where is the Mug", "where is the mug?"),
        (" Where is the mug?? ", "where is the mug?"),
        ("Where is the mug ?", "where is the mug ?"),
        ("? why.", " why.?"),
    ],
)
def test_sentence(text, expected):
    assert sentence(text) == expected


def query(*window, duration=479.97):
    return Query("what?", "a_0", duration, "c", (window,) if window else None)


def test_everything_is_rounded_down_officially():
    official, outward = on_grid(query(10.1, 10.5)), on_grid(query(10.1, 10.5), OUTWARD)
    assert (official.steps, official.window_steps) == (899, (18, 19))
    assert (outward.steps, outward.window_steps) == (900, (18, 20))
    assert official.duration_sec == pytest.approx(479.4667)
    assert outward.duration_sec == pytest.approx(480)


def test_a_moment_inside_one_step():
    assert on_grid(query(10.2, 10.5)).window_sec == (19 / 1.875, 19 / 1.875)
    assert on_grid(query(10.2, 10.5), OUTWARD).window_sec == (19 / 1.875, 20 / 1.875)


def test_windows_are_cut_to_the_clip():
    grid = on_grid(query(-1.0, 500.0))
    assert grid.window_sec == (0, grid.duration_sec)


def test_without_answer():
    assert on_grid(query()).window_sec is None


def official(**entry):
    queries = [{"query": ""}, {"query": " What ? ", **entry}, {"query": None}, {}]
    annotations = [{"annotation_uid": "a", "language_queries": queries}]
    clips = [
        {
            "clip_uid": "c",
            "video_start_sec": 5.0,
            "video_end_sec": 15.0,
            "annotations": annotations,
        },
        {"clip_uid": "d", "video_start_sec": 0.0, "video_end_sec": 2.0, "annotations": []},
    ]
    return {"videos": [{"video_uid": "v", "clips": clips}]}


def test_prepare():
    prepared, clips = prepare(official(clip_start_sec=1.0, clip_end_sec=2.0))
    assert clips == {"c": ["v", 5.0, 15.0], "d": ["v", 0.0, 2.0]}
    assert prepared["c"] == {
        "fps": 1.875,
        "num_frames": 18,
        "timestamps": [[1, 3]],
        "exact_times": [[1.0, 2.0]],
        "sentences": ["what ?"],
        "annotation_uids": ["a"],
        "query_idx": [1],
    }
    assert prepared["d"]["num_frames"] == 3 and prepared["d"]["sentences"] == []


def test_prepare_without_answers():
    prepared, _ = prepare(official())
    assert prepared["c"]["timestamps"] == [[0, 0]] and prepared["c"]["exact_times"] == [[0.0, 0.0]]


def test_prepare_outward():
    prepared, _ = prepare(official(clip_start_sec=1.0, clip_end_sec=2.0), OUTWARD)
    assert prepared["c"]["num_frames"] == 19 and prepared["c"]["timestamps"] == [[1, 4]]


def test_prepare_names_what_is_missing():
    content = official()
    del content["videos"][0]["clips"][0]["video_end_sec"]
    with pytest.raises(EgolibError, match=r"clip c: field 'video_end_sec' is missing"):
        prepare(content, file="nlq_val.json")
