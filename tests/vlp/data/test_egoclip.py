from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from egolib.errors import EgolibError
from egolib.vlp.data.egoclip import (
    NOUNS,
    VERBS,
    SegmentIndex,
    class_vector,
    data_file,
    read_egoclip,
    read_egomcq,
    segment_id,
)
from tests.vlp.made import question

HEADER = (
    "clip_idx\tvideo_uid\tvideo_dur\tnarration_source\tnarration_ind\tnarration_time\t"
    "clip_start\tclip_end\tclip_text\ttag_verb\ttag_noun"
)


def table(tmp_path: Path, *rows: str) -> Path:
    path = tmp_path / "egoclip.csv"
    path.write_text("\n".join([HEADER, *rows, ""]))
    return path


def row(uid: str, time: float, verbs: str = "[1, 2]", nouns: str = "[]") -> str:
    return (
        f"0\t{uid}\t99\tpass_1\t3\t{time}\t{time - 0.5}\t{time + 0.5}\t#C C walks\t{verbs}\t{nouns}"
    )


@pytest.mark.parametrize(
    "tags, expected", [("[]", []), ("[3]", [3]), (" [0, 2,2] ", [0, 2]), ("[ 1 ]", [1])]
)
def test_class_vector(tags: str, expected: list[int]) -> None:
    assert np.flatnonzero(class_vector(tags, 4)).tolist() == expected


@pytest.mark.parametrize("tags", ["", "3", "[a]", "[-1]", "__import__('os')", "[9]", "[1.5]"])
def test_tags_are_never_evaluated(tags: str) -> None:
    with pytest.raises(EgolibError):
        class_vector(tags, 4)


def test_reading_a_table(tmp_path: Path) -> None:
    path = table(tmp_path, row("a", 3.0), row("b", 4.0, "[117]", "[581]"))
    clips = read_egoclip(path)
    assert len(clips) == 2 and clips.lost_lines == 0
    assert [clips.video(i) for i in range(2)] == ["a", "b"]
    assert np.flatnonzero(clips.verbs(0)).tolist() == [1, 2]
    assert clips.verbs(1).shape == (VERBS,) and clips.nouns(1).shape == (NOUNS,)
    assert clips.texts[1] == "#C C walks" and clips.start_sec[1] == 3.5


def test_malformed_lines_are_left_out_and_counted(tmp_path: Path) -> None:
    path = table(tmp_path, row("a", 3.0), row("b", 4.0) + "\ttoo\tmany", row("c", 5.0))
    clips = read_egoclip(path)
    assert clips.videos == ["a", "c"] and clips.lost_lines == 1


def test_errors_name_file_and_clip(tmp_path: Path) -> None:
    clips = read_egoclip(table(tmp_path, row("a", 3.0, verbs="[118]")))
    with pytest.raises(EgolibError, match=r"egoclip.csv, record clip 0"):
        clips.verbs(0)
    with pytest.raises(EgolibError, match="does not exist"):
        read_egoclip(tmp_path / "none.csv")


def test_segments_equal_the_names_of_the_official_code() -> None:
    rng = np.random.default_rng(0)
    videos = rng.integers(0, 5, 300)
    times = rng.uniform(0, 400, 300)
    index = SegmentIndex(videos, times)
    names = [segment_id(str(v), t) for v, t in zip(videos, times, strict=False)]
    assert len(index) == len(set(names))
    for i in range(300):
        expected = [j for j in range(300) if names[j] == names[i]]
        assert index.rows(i).tolist() == expected


def test_no_clips_no_segments() -> None:
    assert len(SegmentIndex(np.zeros(0), np.zeros(0))) == 0


def test_a_partner_may_be_the_clip_itself_unless_asked_otherwise() -> None:
    index = SegmentIndex(np.zeros(4), np.array([1.0, 2.0, 3.0, 70.0]))
    rng = np.random.default_rng(0)
    assert {index.partner(1, rng) for _ in range(100)} == {0, 1, 2}
    assert {index.partner(1, rng, "other") for _ in range(100)} == {0, 2}
    assert index.partner(3, rng, "other") == 3  # there is no other one


def test_questions_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "egomcq.json"
    path.write_text(json.dumps({"10": question(types=1), "9": question()}))
    found = read_egomcq(path)
    assert [q.number for q in found] == ["9", "10"]
    assert (found[0].answer, found[0].kind, found[0].text) == (1, 2, "q")
    assert found[0].choices[0].end_sec == 2.0


@pytest.mark.parametrize(
    "changes", [{"answer": 2}, {"types": 3}, {"query": {}}, {"choices": {"0": {}}}]
)
def test_wrong_questions_are_named(tmp_path: Path, changes: dict) -> None:
    path = tmp_path / "egomcq.json"
    path.write_text(json.dumps({"7": question(**changes)}))
    with pytest.raises(EgolibError, match="record 7"):
        read_egomcq(path)


def test_files_are_found_below_a_root_or_in_it(tmp_path: Path) -> None:
    below = Path("egoclip/egoclip.csv")
    assert data_file(tmp_path, below) == tmp_path / "egoclip.csv"
    (tmp_path / "egoclip").mkdir()
    (tmp_path / below).write_text("")
    assert data_file(tmp_path, below) == tmp_path / below
