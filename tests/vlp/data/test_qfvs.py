from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from egolib.errors import EgolibError
from egolib.vlp.data import qfvs
from tests.vlp.summaries import SHOTS, tag_matrix, write_annotations, write_tags

PLACES = 40


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    write_annotations(tmp_path)
    return tmp_path


def oracle(folder: Path, name: str) -> Path:
    return folder / qfvs.ORACLES / "P01" / name


# --------------------------------------------------------------------------- queries


def test_queries_are_the_names_of_files(origin: Path) -> None:
    first, second = qfvs.read_queries(origin, 1, SHOTS, PLACES)
    assert (first.name, second.name) == ("Book_Hands_1", "Car_Cupglass_1")
    assert second.prompts == (
        "There is a Car",
        "There is a Glass",
        "There is a Car and a Glass",
    )
    assert first.oracle == tuple(sorted(first.oracle)) and len(first.oracle) == 5


@pytest.mark.parametrize(
    "name", ["Book_Hands.txt", "Book_oracle.txt", "A_B_C_oracle.txt", "_B_oracle.txt"]
)
def test_other_names_are_refused(origin: Path, name: str) -> None:
    oracle(origin, name).write_text("1\n")
    with pytest.raises(EgolibError, match=f"{name}: not the name of a query"):
        qfvs.read_queries(origin, 1, SHOTS, PLACES)


def test_a_video_without_queries(origin: Path) -> None:
    with pytest.raises(EgolibError, match="P02: no reference summaries"):
        qfvs.read_queries(origin, 2, SHOTS, PLACES)


@pytest.mark.parametrize(
    "text, official, strict",
    [
        ("3\n1\n3\n", (0, 2), (0, 2)),
        ("0\n3\n", (2, 39), "record line 1: shot 0"),
        ("30\n", (29,), "record line 1: shot 30 of a video with shots 1 to 24"),
        ("", (), "the reference summary is empty"),
        ("41\n", "shot 41", "shot 41"),
        ("1\n\n2\n", "record line 2: '' is no shot", "record line 2"),
        ("1\nx\n", "record line 2: 'x' is no shot", "record line 2"),
        ("1.5\n", "'1.5' is no shot", "'1.5'"),
    ],
)
def test_reference_summaries(
    tmp_path: Path, text: str, official: tuple | str, strict: tuple | str
) -> None:
    path = tmp_path / "A_B_oracle.txt"
    path.write_text(text)
    for numbers, expected in (("official", official), ("strict", strict)):
        if isinstance(expected, str):
            with pytest.raises(EgolibError, match=expected) as error:
                qfvs.read_oracle(path, SHOTS, PLACES, numbers)  # type: ignore[arg-type]
            assert str(path) in str(error.value)
        else:
            assert qfvs.read_oracle(path, SHOTS, PLACES, numbers) == expected  # type: ignore[arg-type]


# ------------------------------------------------------------------------------ tags


def test_concepts_of_shots(origin: Path) -> None:
    tags = tag_matrix()
    dense = qfvs.read_dense_tags(origin, 1)
    assert len(dense) == SHOTS
    assert qfvs.concept_labels(dense, "Hands", SHOTS).tolist() == tags[:, 1].tolist()
    assert not qfvs.concept_labels(dense, "Hand", SHOTS).any()  # compared as whole names
    assert len(qfvs.concept_labels(dense[:3], "Hands", SHOTS)) == SHOTS


def test_tag_matrices(tmp_path: Path) -> None:
    path = write_tags(tmp_path / "Tags.mat", tag_matrix(0), tag_matrix(1, 30))
    first, second = qfvs.read_tags(path)
    assert first.dtype == np.uint8 and np.array_equal(first, tag_matrix(0))
    assert np.array_equal(second, tag_matrix(1, 30))


def cells(*rows: list) -> np.ndarray:
    found = np.empty((len(rows), 1), object)
    for i, row in enumerate(rows):
        found[i, 0] = np.array(row)
    return found


@pytest.mark.parametrize(
    "rows, message",
    [
        (cells([0, 1], [0, 1, 1]), "video 1, shot 2: tags of another length"),
        (cells([0, 2]), "video 1, shot 1: tags are 0 or 1"),
        (cells([0, 1], ["a", "b"]), "video 1, shot 2: tags of another"),
        (np.zeros((3, 2)), "video 1: a cell array"),
    ],
)
def test_bad_vectors_are_named(tmp_path: Path, rows: np.ndarray, message: str) -> None:
    tags = np.empty((1, 1), [("Bin_Vecs", object)])
    tags[0, 0]["Bin_Vecs"] = rows
    savemat(tmp_path / "Tags.mat", {"Tags": tags})
    with pytest.raises(EgolibError, match=message) as error:
        qfvs.read_tags(tmp_path / "Tags.mat")
    assert "Tags.mat" in str(error.value)


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "Tags.mat"
    with pytest.raises(EgolibError, match="does not exist"):
        qfvs.read_tags(path)
    path.write_bytes(b"MATLAB 7.3 MAT-file" + b" " * 105 + b"\x00\x02IM" + bytes(400))
    with pytest.raises(EgolibError, match=r"MATLAB 7.3 file, which is HDF5"):
        qfvs.read_tags(path)
    path.write_bytes(b"nothing of the kind" * 20)
    with pytest.raises(EgolibError, match="not a MATLAB 5 file"):
        qfvs.read_tags(path)
    savemat(path, {"Tags": np.zeros((2, 2))})
    with pytest.raises(EgolibError, match="field Bin_Vecs was expected"):
        qfvs.read_tags(path)
    savemat(path, {"Other": np.zeros((2, 2))})
    with pytest.raises(EgolibError, match="no variable Tags"):
        qfvs.read_tags(path)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = write_tags(tmp_path / "Tags.mat", tag_matrix())
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(EgolibError, match="not a MATLAB 5 file"):
        qfvs.read_tags(path)


# ----------------------------------------------------------------------------- frames


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).touch()
    return folder


def test_frame_order(tmp_path: Path) -> None:
    with pytest.raises(EgolibError, match="no frames"):
        qfvs.frame_files(tmp_path)
    padded = touch(tmp_path, "f01.jpg", "f02.jpg", "f10.jpg", "other.png")
    assert [f.name for f in qfvs.frame_files(padded)] == ["f01.jpg", "f02.jpg", "f10.jpg"]


def test_names_without_padding_are_refused_unless_an_order_is_given(tmp_path: Path) -> None:
    touch(tmp_path, "1.jpg", "2.jpg", "10.jpg")
    with pytest.raises(EgolibError, match=r"differ from .* at 10.jpg\n.*frame_order: natural"):
        qfvs.frame_files(tmp_path)
    official = qfvs.frame_files(tmp_path, "official")
    assert [f.name for f in official] == ["1.jpg", "10.jpg", "2.jpg"]
    natural = qfvs.frame_files(tmp_path, "natural")
    assert [f.name for f in natural] == ["1.jpg", "2.jpg", "10.jpg"]


def test_an_incomplete_shot_is_dropped() -> None:
    files = [Path(str(i)) for i in range(12)]
    shots = qfvs.shots_of(files)
    assert [len(shot) for shot in shots] == [5, 5] and shots[1][0] == files[5]
    assert qfvs.shots_of(files[:4]) == []


# ----------------------------------------------------------------------------- checks


def test_what_is_passed_over_officially_is_said(origin: Path) -> None:
    oracle(origin, "Book_Nothing_oracle.txt").write_text("3\n3\n30\n")
    queries = qfvs.read_queries(origin, 1, SHOTS, PLACES)
    found = qfvs.warnings(origin, 1, SHOTS, queries, tag_matrix()[:-1])
    assert found == [
        "Tags.mat: 23 shots, the frames have 24",
        "Book_Nothing_1: reference shots [30] are beyond the video",
        "Book_Nothing_1: 1 shots are repeated",
        "Book_Nothing_1: no shot shows Nothing",
    ]
    good = [q for q in queries if "Nothing" not in q.name]
    assert qfvs.warnings(origin, 1, SHOTS, good, tag_matrix()) == []


def test_both_kinds_of_tags_are_compared_by_counts(origin: Path) -> None:
    dense, tags = qfvs.read_dense_tags(origin, 1), tag_matrix()
    assert qfvs.tag_columns_agree([dense], [tags])
    assert qfvs.tag_columns_agree([dense], [tags[:, ::-1]])
    tags[:, 0] = 1
    assert not qfvs.tag_columns_agree([dense], [tags])


def test_no_torch_behind() -> None:
    code = "import egolib.vlp.data.qfvs, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
