"""Walks with queries and reference summaries, read by the task's own readers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from egolib.io.records import read_json
from egolib.metrics.summarization import match_summaries, mean_match
from egolib.text.tokens import words
from egolib.video import VideoReader
from egolib.video.images import read_image
from egolib.vlp.data import qfvs
from egolib.vlp.summarization.selection import (
    best_possible_summary,
    random_summary,
    uniform_summary,
)
from egolib.world.exports import qfvs as export
from egolib.world.language import vocabulary
from egolib.world.library import World

PLACES = 4000


def read_walk(world: World, video: int) -> tuple[list, list[qfvs.Query], np.ndarray]:
    """Shots, queries and tags of a walk."""
    files = qfvs.frame_files(qfvs.frame_folder(world.path(), video))
    shots = qfvs.shots_of(files)
    origin = world.path(str(qfvs.ORIGIN))
    queries = qfvs.read_queries(origin, video, len(shots), PLACES, "strict")
    return shots, queries, qfvs.read_tags(world.path("Tags.mat"))[video - 1]


@pytest.mark.parametrize("video", export.WALKS)
def test_every_file_passes_the_reader(tiny: World, video: int) -> None:
    shots, queries, tags = read_walk(tiny, video)
    origin = tiny.path(str(qfvs.ORIGIN))
    assert 20 <= len(shots) == len(tags) and len(queries) >= 5
    assert qfvs.warnings(origin, video, len(shots), queries, tags) == []
    dense = qfvs.read_dense_tags(origin, video)
    for query in queries:
        for concept in query.concepts:
            column = export.CONCEPTS.index(concept)
            labels = qfvs.concept_labels(dense, concept, len(shots))
            assert labels.tolist() == tags[:, column].tolist() and labels.any()
        shown = tags[:, [export.CONCEPTS.index(c) for c in query.concepts]].any(1)
        assert shown[list(query.oracle)].all()


def test_both_kinds_of_tags_agree(tiny: World) -> None:
    origin = tiny.path(str(qfvs.ORIGIN))
    dense = [qfvs.read_dense_tags(origin, video) for video in export.WALKS]
    assert qfvs.tag_columns_agree(dense, qfvs.read_tags(tiny.path("Tags.mat")))


def test_frames_are_those_of_the_videos(tiny: World) -> None:
    about = read_json(tiny.path("truth", "qfvs_walks.json"), dict)
    files = {v.uid: v.file for v in tiny.videos}
    for video, shots in about["walks"].items():
        pictures = qfvs.frame_files(qfvs.frame_folder(tiny.path(), int(video)))
        assert len(pictures) == len(shots) * export.SHOT_FRAMES
        uid, frame = shots[-1]
        source = VideoReader(files[uid])[frame].astype(int)
        written = read_image(pictures[(len(shots) - 1) * export.SHOT_FRAMES]).astype(int)
        assert np.abs(source - written).mean() < 6  # JPEG
    step = tiny.settings.fps / about["frames_per_sec"]
    assert about["shot_sec"] == export.SHOT_FRAMES * step / tiny.settings.fps


def test_prompts_are_in_the_vocabulary() -> None:
    for concept in export.CONCEPTS:
        assert "_" not in concept and "," not in concept
        for prompt in qfvs.prompts(concept, concept):
            assert set(words(prompt)) <= set(vocabulary()), prompt


@pytest.fixture(scope="module")
def walks(logs: Callable[..., World]) -> list[tuple[np.ndarray, list[list[int]]]]:
    """Tags and reference summaries of four longer walks, which exist as logs."""
    world = logs(val_videos=8, test_videos=4)
    found = []
    for number, shots in zip(export.WALKS, export.walks(world), strict=True):
        matrix = export.tags(shots)
        queries = export.choose_queries(matrix, world.rng(f"qfvs {number}"))
        found.append((matrix, [export.reference_summary(matrix, q) for q in queries]))
    return found


def test_long_walks(walks: list) -> None:
    for matrix, summaries in walks:
        assert len(matrix) >= export.FEWEST_SHOTS and len(summaries) == export.QUERIES
        assert 2.5 < matrix.sum(1).mean() < 6  # the published videos: 3.2 to 4.1
        assert matrix.any(1).all()
        low, high = 3, round(export.SUMMARY_SHARE * len(matrix))
        assert all(low <= len(summary) <= high for summary in summaries)


def test_queries_have_different_summaries(walks: list) -> None:
    for _, summaries in walks:
        shared = [
            len(set(a) & set(b)) / min(len(a), len(b))
            for i, a in enumerate(summaries)
            for b in summaries[:i]
        ]
        assert np.mean(shared) < 0.35


def test_what_a_score_is_worth(walks: list) -> None:
    """Random and evenly spread summaries are far from nothing, and far from the best."""
    rng = np.random.default_rng(0)
    for matrix, summaries in walks:
        count = round(0.05 * len(matrix))
        scores = {}
        for name, make in (
            ("random", lambda _, m=matrix, c=count: random_summary(len(m), c, rng)),
            ("uniform", lambda _, m=matrix, c=count: uniform_summary(len(m), c)),
            ("best", lambda s, m=matrix, c=count: best_possible_summary(s, m, c)),
        ):
            matches = [match_summaries(list(make(s)), s, matrix, zero_f1="zero") for s in summaries]
            scores[name] = mean_match(matches).f1
        assert 0.05 < scores["random"] < 0.65 and scores["uniform"] < 0.65
        assert scores["best"] > max(scores["random"], scores["uniform"]) + 0.25


def test_a_reference_summary_stands_for_its_query(walks: list) -> None:
    """A shot stands for alike neighbours, and shots with both concepts come first."""
    mug, take, put = (export.CONCEPTS.index(name) for name in ("Mug", "Take", "Put"))
    matrix = np.zeros((50, len(export.CONCEPTS)), np.uint8)
    matrix[[4, 5, 6], mug] = 1  # three alike neighbours
    matrix[30, [mug, take]] = 1
    assert export.reference_summary(matrix, (mug, take)) == [4, 30]  # 4 stands for 5 and 6
    matrix[12, put] = 1
    assert export.reference_summary(matrix, (mug, take)) == [4, 30]  # not asked for
    matrix[[20, 40], take] = 1
    assert len(export.reference_summary(matrix, (mug, take))) == 3  # 6 % of fifty
    for found, summaries in walks:
        for summary in summaries:
            assert found[summary].any(1).all() and summary == sorted(set(summary))
