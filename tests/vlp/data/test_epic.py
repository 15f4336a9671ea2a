from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from egolib.errors import EgolibError
from egolib.vlp.data.epic import (
    class_set,
    describe_relevancy,
    make_sentences,
    noun_iou,
    read_epic_clips,
    read_epic_split,
    read_relevancy,
    read_sentences,
    relevancy_matrix,
    timestamp_sec,
)
from tests.vlp.made import write_clips


@pytest.mark.parametrize(
    "text, expected", [("00:00:00.56", 0.56), ("01:01:01.5", 3661.5), ("00:10:00", 600.0)]
)
def test_timestamps(text: str, expected: float) -> None:
    assert timestamp_sec(text) == pytest.approx(expected)


@pytest.mark.parametrize("text, expected", [("[]", ()), ("[5]", (5,)), ("[3, 1, 3]", (1, 3))])
def test_class_sets(text: str, expected: tuple[int, ...]) -> None:
    assert class_set(text) == expected


def test_lists_are_never_evaluated(tmp_path: Path) -> None:
    path = write_clips(tmp_path)
    path.write_text(path.read_text().replace('"[3]"', '"[3].pop()"'))
    with pytest.raises(EgolibError, match="no list of classes"):
        read_epic_clips(path)


def test_clips(tmp_path: Path) -> None:
    clips = read_epic_clips(write_clips(tmp_path))
    assert len(clips) == 5
    assert clips.video(0) == Path("P01/P01_01.MP4")
    assert (clips.start_sec[0], clips.stop_sec[0]) == (1.5, 62.25)
    assert clips.noun_sets[4] == (3, 6)


def test_sentences_without_a_file(tmp_path: Path) -> None:
    sentences = make_sentences(read_epic_clips(write_clips(tmp_path)))
    assert sentences.narrations == ["cut pan", "take it", "wash", "take it"]
    assert sentences.clip_rows.tolist() == [0, 2, 4, 3]
    assert sentences.unique == 3


def test_shipped_sentences(tmp_path: Path) -> None:
    clips = read_epic_clips(write_clips(tmp_path))
    path = tmp_path / "s.csv"
    path.write_text("narration_id,narration\nP01_01_4,wash\nP01_01_0,cut pan\n")
    assert read_sentences(path, clips).clip_rows.tolist() == [4, 0]
    path.write_text("narration_id,narration\nP09_01_4,wash\n")
    with pytest.raises(EgolibError, match="P09_01_4"):
        read_sentences(path, clips)


@pytest.mark.parametrize(
    "left, right, expected",
    [
        ([], [(1,)], np.zeros((0, 1))),
        ([(1, 2)], [(1, 2), (2, 3), (4,), ()], [[1, 1 / 3, 0, 0]]),
        ([()], [()], [[0]]),
    ],
)
def test_noun_iou(left, right, expected) -> None:
    np.testing.assert_array_equal(noun_iou(left, right), expected)


def test_relevancy_is_a_literal_loop(tmp_path: Path) -> None:
    clips = read_epic_clips(write_clips(tmp_path))
    sentences = make_sentences(clips)
    matrix = relevancy_matrix(clips, sentences)
    for i in range(len(clips)):
        for j, row in enumerate(sentences.clip_rows):
            a, b = set(clips.noun_sets[i]), set(clips.noun_sets[row])
            noun = len(a & b) / len(a | b)
            assert matrix[i, j] == (float(clips.verbs[i] == clips.verbs[row]) + noun) / 2


def test_a_shipped_matrix_is_preferred_and_described(tmp_path: Path) -> None:
    folder = tmp_path / "EK100/epic-kitchens-100-annotations/retrieval_annotations"
    write_clips(folder)
    computed = read_epic_split(tmp_path, "test")
    assert computed.source == "computed"
    assert read_epic_split(folder, "test").relevancy.shape == (5, 4)
    shipped = folder / "relevancy/caption_relevancy_EPIC_100_retrieval_test.pkl"
    shipped.parent.mkdir()
    shipped.write_bytes(pickle.dumps(computed.relevancy / 2, protocol=2))
    found = read_epic_split(tmp_path, "test")
    assert found.source == shipped.name
    np.testing.assert_array_equal(found.relevancy, computed.relevancy / 2)
    about, other = describe_relevancy(found.relevancy), describe_relevancy(computed.relevancy)
    assert about["shape"] == [5, 4] and about["ones"] == 0 and about["sha256"] != other["sha256"]
    shipped.write_bytes(pickle.dumps(np.zeros((4, 4))))
    with pytest.raises(EgolibError, match="5 clips"):
        read_epic_split(tmp_path, "test")


class Trap:
    def __reduce__(self):
        return (Path.touch, (Path("executed"),))


def test_pickles_are_never_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trap.pkl").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(EgolibError, match="refused"):
        read_relevancy(tmp_path / "trap.pkl")
    assert not (tmp_path / "executed").exists()
