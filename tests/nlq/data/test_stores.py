"""Reports about feature stores."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from egolib.errors import EgolibError
from egolib.io.features import Provenance, write_packed
from egolib.io.strides import estimate_stride
from egolib.nlq.config import DataConfig
from egolib.nlq.data.annotations import Query, read_queries
from egolib.nlq.data.stores import (
    check_text_store,
    check_video_store,
    find_file,
    look_for,
    open_stores,
    open_video_store,
)
from tests.nlq.small import CUES, SMALL, Memory


def case(stride=16.043, clips=60, rounding=math.ceil):
    rng = np.random.default_rng(0)
    durations = {f"c{i}": float(rng.uniform(200, 1200)) for i in range(clips)}
    queries = [Query("a", f"{uid}_0", duration, uid) for uid, duration in durations.items()]
    rows = {uid: rounding(d * 30 / stride) for uid, d in durations.items()}
    return queries, {uid: np.zeros((n, 4), np.float32) for uid, n in rows.items()}


@pytest.mark.parametrize("stride", [16.043, 16.0])
@pytest.mark.parametrize("rounding", [math.ceil, math.floor, round])
def test_the_stride_shows_in_the_lengths(stride, rounding):
    queries, arrays = case(stride, rounding=rounding)
    report = check_video_store(Memory("video", arrays, 4), queries, stride_frames=stride)
    assert report.stride is not None
    assert report.stride.frames == pytest.approx(stride, abs=0.008)
    assert report.problems == [] and report.coverage == 1


def test_the_wrong_stride_is_named():
    queries, arrays = case(16.0)
    report = check_video_store(Memory("video", arrays, 4), queries, stride_frames=16.043)
    (problem,) = report.problems
    assert "16.043" in problem and "16.0 (as later systems" in problem
    assert problem in report.summary()


def test_the_stride_of_the_real_clip_lengths(real_dir):
    """415 real durations tell 16.043 from 16.0, though most are 480 s long."""
    queries = read_queries(real_dir / "nlq" / "nlq_val.json")
    durations = {q.clip_uid: q.duration_sec for q in queries}
    for stride in (16.043, 16.0):
        lengths = {uid: math.ceil(d * 30 / stride) for uid, d in durations.items()}
        estimate = estimate_stride(lengths, durations)
        assert estimate is not None and estimate.agrees_with(stride)
        assert not estimate.agrees_with(16.0 if stride == 16.043 else 16.043)


def test_what_is_wrong_is_listed():
    queries, arrays = case()
    del arrays["c3"]
    arrays["c4"][2, 1] = np.nan
    arrays["c5"] = arrays["c5"][:-20]
    arrays["extra"] = arrays["c6"]
    report = check_video_store(Memory("video", arrays, 4), queries, width=8, max_length=2000)
    assert report.missing == ["c3"] and report.unused == 1
    assert list(report.broken) == ["c4"] and "NaN" in report.broken["c4"]
    assert list(report.outliers) == ["c5"]
    assert set(report.too_long) == {u for u, a in arrays.items() if len(a) > 2000 and u != "extra"}
    assert len(report.problems) == 5
    with pytest.raises(EgolibError, match="c3"):
        report.require_usable()


def test_lengths_alone_can_be_checked():
    queries, arrays = case()
    arrays["c4"][2, 1] = np.nan
    report = check_video_store(Memory("video", arrays, 4), queries, read=False)
    assert not report.broken and report.require_usable() is report


def test_half_a_stride_shows_in_equal_clips():
    queries = [Query("a", f"c{i}_0", 480.0, f"c{i}") for i in range(5)]
    for rows, doubted in ((898, False), (1796, True), (449, True)):
        arrays = {q.clip_uid: np.zeros((rows, 4), np.float32) for q in queries}
        report = check_video_store(Memory("video", arrays, 4), queries)
        assert bool(report.problems) == doubted


def test_token_stores():
    queries, _ = case(clips=3)
    arrays = {q.query_id: np.zeros((4, 6), np.float32) for q in queries[:2]}
    report = check_text_store(Memory("text", arrays, 6), queries, width=6)
    assert report.missing == ["c2_0"] and report.stride is None


def test_no_questions():
    report = check_video_store(Memory("video", {}, 4), [])
    assert report.coverage == 1 and report.problems == []


def test_stores_of_a_configuration(tmp_path):
    frames = {"fps": 30.0, "stride_frames": 16.0, "window_frames": 16.0}
    arrays = {"clip": np.ones((5, 4), np.float32)}
    for name, width in (("shots", 4), ("ego", 8)):
        wide = {uid: np.tile(a, (1, width // 4)) for uid, a in arrays.items()}
        write_packed(tmp_path / name, Provenance("video", width, **frames), wide)
    for name, width in CUES.text_streams:
        tokens = {"q_0": np.ones((2, width), np.float32)}
        write_packed(tmp_path / "nlq" / name, Provenance("text", width), tokens)
    config = DataConfig(
        video_stores=("nlq/ego", "nlq/shots"),
        text_stores=tuple(f"nlq/{name}" for name, _ in CUES.text_streams),
        stride_frames=16.0,
    )
    video, texts = open_stores(tmp_path, CUES, config, training=True)
    assert video.get("clip").shape == (5, 12)
    assert {name: s.provenance.width for name, s in texts.items()} == dict(CUES.text_streams)
    with pytest.raises(EgolibError, match="token stores"):
        open_stores(tmp_path, SMALL, config, training=True)
    with pytest.raises(EgolibError, match=r"stride_frames 16\.0, .* expects 16\.043"):
        open_video_store(tmp_path, replace(config, stride_frames=16.043))


def test_files_below_a_root(tmp_path):
    (tmp_path / "nlq").mkdir()
    (tmp_path / "nlq" / "a.json").touch()
    (tmp_path / "b.json").touch()
    assert find_file(tmp_path, "nlq/a.json") == tmp_path / "nlq" / "a.json"
    assert find_file(tmp_path, "nlq/b.json") == tmp_path / "b.json"
    with pytest.raises(EgolibError, match="not found"):
        find_file(tmp_path, "nlq/c.json")
    assert look_for(tmp_path, "nlq/c.json") is None


def test_several_roots_are_searched_in_order(tmp_path):
    for folder in ("data", "made"):
        (tmp_path / folder).mkdir()
    (tmp_path / "made" / "store").touch()
    roots = (tmp_path / "data", tmp_path / "made")
    assert find_file(roots, "nlq/store") == tmp_path / "made" / "store"
    (tmp_path / "data" / "store").touch()
    assert find_file(roots, "nlq/store") == tmp_path / "data" / "store"
