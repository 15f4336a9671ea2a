"""Step 2 over many queries: a hand-written cache, failures, processes, kept tracks."""

from __future__ import annotations

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from egolib.runs.result_cache import ResultCache
from egolib.vq2d.config import LocalizeConfig, ParticleConfig, PeakConfig
from egolib.vq2d.evaluation import evaluate_content
from egolib.vq2d.formats.submission import build_submission
from egolib.vq2d.localization.answers import Answers, Work, answer_all, query_jobs
from egolib.vq2d.localization.track_cache import tracks_key
from egolib.vq2d.tracking.trackers import make_tracker
from tests.vq2d import made

CFG = LocalizeConfig(
    peaks=PeakConfig(distance=3, width=1, prominence=0.05),
    tracker="particle",
    particle=ParticleConfig(particles=60, similarity="pixel", metric_sigma=0.1, lost_threshold=0.2),
)


def source(config: LocalizeConfig, device: str):
    return make_tracker(config)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Two clips of the moving square, two queries each, and their cache."""
    made.write_clip(tmp_path / "clips", "clip")
    made.write_clip(tmp_path / "clips", "other")
    (tmp_path / "cache").mkdir()
    made.write_scores(tmp_path / "cache", made.four_queries())
    return tmp_path


def run(
    place: Path,
    config: LocalizeConfig = CFG,
    processes: int = 1,
    tracks=None,
    source=source,
    **more,
) -> Answers:
    todo = query_jobs(made.four_queries().by_clip(), place / "clips")
    if tracks is not None:
        tracks = ResultCache(tracks, tracks_key(config, weights=[], data="clips"))
    work = Work(config, place / "cache", tracks)
    return answer_all(todo, work, partial(source, config), processes=processes, **more)


def test_a_hand_written_cache_needs_no_detector(place: Path) -> None:
    answers = run(place)
    assert list(answers.found) == ["a_1", "a_2", "b_1", "b_2"] and not answers.skipped.reasons
    truth = made.four_queries()
    table = evaluate_content(truth, build_submission(truth, answers.tracks)).table()
    assert table["success%"] == 100
    assert table["stAP@0.25"] > 0.2


def test_any_number_of_processes(place: Path) -> None:
    one, two = run(place), run(place, processes=2)
    assert list(one.found) == list(two.found)
    for key, answer in one.found.items():
        np.testing.assert_array_equal(answer.track.boxes_xyxy, two.found[key].track.boxes_xyxy)


class Many:
    """A tracker that follows many; notes how many at a time."""

    def __init__(self, config: LocalizeConfig):
        self.tracker, self.asked = make_tracker(config), []

    def follow(self, *asked):
        return self.tracker.follow(*asked)

    def follow_many(self, todo):
        self.asked.append(len(todo))
        return [
            self.tracker.follow(x.frames, x.start_frame, x.end_frame, x.box_xyxy, x.seed)
            for x in todo
        ]


def test_many_queries_at_once(place: Path) -> None:
    """As one by one; a query that needs no track, or fails, keeps nobody waiting."""
    (place / "cache" / "b_1.json").unlink()
    alone, many = run(place), Many(CFG)
    together = run(place, source=lambda config, device: many, at_once=3)
    assert many.asked == [2]  # a_1 and a_2; b_2 is alone in its group
    assert list(together.found) == list(alone.found) == ["a_1", "a_2", "b_2"]
    assert together.skipped.reasons == alone.skipped.reasons
    for key, answer in alone.found.items():
        np.testing.assert_array_equal(answer.track.boxes_xyxy, together.found[key].track.boxes_xyxy)


BROKEN = {
    "cut JSON": (".json", lambda whole: whole[: len(whole) // 2]),
    "no text": (".json", lambda whole: b"\xff\xfe\x00"),
    "NaN": (".json", lambda whole: whole.replace(b"0.9", b"NaN", 1)),
    "another clip's": (".json", lambda whole: b'{"frames": []}'),
    "cut pt": (".pt", lambda whole: b"PK\x03\x04" + whole[:50]),
    "pickle": (".pt", lambda whole: b"\x80\x02}q\x00."),
    "cut npz": (".npz", lambda whole: b"PK\x03\x04"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_cache_costs_its_query_alone(place: Path, kind: str) -> None:
    """Among many; it is listed with its reason, and mending it is enough."""
    whole = run(place)
    suffix, damage = BROKEN[kind]
    file = place / "cache" / "a_2.json"
    content = file.read_bytes()
    file.unlink()
    file.with_suffix(suffix).write_bytes(damage(content))
    answers = run(place)
    assert list(answers.found) == ["a_1", "b_1", "b_2"] and list(answers.skipped.reasons) == ["a_2"]
    for key, answer in answers.found.items():
        np.testing.assert_array_equal(answer.track.boxes_xyxy, whole.found[key].track.boxes_xyxy)
    reason = answers.skipped.reasons["a_2"]
    assert len(reason) > 10 and "Traceback" not in reason
    file.with_suffix(suffix).unlink()
    file.write_bytes(content)
    assert list(run(place).found) == list(whole.found)


@pytest.mark.parametrize(
    ("lost", "answered"), [("official", ["b_1", "b_2"]), ("kept", ["b_1", "b_2"])]
)
def test_a_missing_clip_costs_its_queries(place: Path, lost: str, answered: list) -> None:
    (place / "clips" / "clip.mp4").unlink()
    answers = run(place, replace(CFG, lost_queries=lost))
    assert list(answers.found) == answered
    assert set(answers.skipped.reasons) == {"a_1", "a_2"}


@pytest.mark.parametrize(
    ("lost", "answered"), [("official", ["b_1", "b_2"]), ("kept", ["a_1", "b_1", "b_2"])]
)
def test_a_crop_beyond_the_clip(place: Path, lost: str, answered: list) -> None:
    """Official behaviour: the whole clip is lost; ``kept`` loses one query."""
    made.write_clip(place / "short", "clip", count=25)  # the crop of a_2 is frame 25
    shutil.copy(place / "short" / "clip.mp4", place / "clips" / "clip.mp4")
    answers = run(place, replace(CFG, lost_queries=lost))
    assert list(answers.found) == answered
    assert "visual crop is frame 25" in answers.skipped.reasons["a_2"]


def test_a_corrupt_cache_costs_its_query(place: Path) -> None:
    (place / "cache" / "a_2.json").write_text('{"frames": [')
    (place / "cache" / "b_1.json").unlink()
    answers = run(place)
    assert list(answers.found) == ["a_1", "b_2"]
    assert "malformed JSON" in answers.skipped.reasons["a_2"]
    assert "no detections" in answers.skipped.reasons["b_1"]


def test_tracks_are_used_again_for_other_settings(place: Path) -> None:
    first = run(place, tracks=place / "tracks")
    files = sorted((place / "tracks").glob("*/[ab]_*.json"))
    times = [file.stat().st_mtime_ns for file in files]
    assert len(files) == 4
    again = run(place, replace(CFG, confidence="height"), tracks=place / "tracks")
    assert [file.stat().st_mtime_ns for file in files] == times
    assert again.found["a_1"].track.score != first.found["a_1"].track.score
    run(place, replace(CFG, particle=replace(CFG.particle, particles=30)), tracks=place / "tracks")
    assert len(sorted((place / "tracks").glob("*/[ab]_*.json"))) == 8
