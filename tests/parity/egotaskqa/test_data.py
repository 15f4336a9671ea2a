"""Division of the raw questions, sampling of frames, accuracies."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from egolib.errors import EgolibError
from egolib.metrics import question_answering as metrics
from egolib.vlp.data import egotaskqa, egotaskqa_splits
from tests.parity.recordings import read


@pytest.mark.recordings("convert")
def test_preparation(recording: Path) -> None:
    expected = read(recording.parent / f"expected{recording.stem.removeprefix('qas')}.json.gz")
    rows = egotaskqa_splits.read_raw(recording)
    lists = []
    for split in egotaskqa.SPLITS:
        found, wanted = (
            egotaskqa_splits.prepare(rows, split, expected["split_seed"]),
            expected[split],
        )
        assert found.answers == wanted["answer_set"]
        assert found.types == wanted["reasoning_types"]
        for part in egotaskqa.PARTS:
            assert found.rows[part] == wanted[part], (split, part)
        lists.append(found.types)
    assert egotaskqa.reasoning_index(lists) == expected["reasoning_index"]


@pytest.mark.recordings("convert")
def test_what_is_written_is_read(recording: Path, tmp_path: Path) -> None:
    expected = read(recording.parent / f"expected{recording.stem.removeprefix('qas')}.json.gz")
    rows = egotaskqa_splits.read_raw(recording)
    for split in egotaskqa.SPLITS:
        prepared = egotaskqa_splits.prepare(rows, split, expected["split_seed"])
        egotaskqa_splits.write_prepared(tmp_path / split, prepared)
        assert egotaskqa.read_answers(tmp_path / split) == expected[split]["answer_set"]
        for part in egotaskqa.PARTS:
            questions = egotaskqa.read_questions(tmp_path / split, part)
            assert [q.answer_index for q in questions] == [
                row["answer_encode"] for row in expected[split][part]
            ]
    assert egotaskqa.read_reasoning_index(tmp_path) == expected["reasoning_index"]


@pytest.mark.recordings("sampling")
def test_sampling(recording: Path) -> None:
    cases = read(recording)
    assert cases
    for case in cases:
        rng = random.Random(case["seed"])
        length, frames = case["length"], case["frames"]

        def draw(low: int, stop: int, rng: random.Random = rng) -> int:
            return rng.choice(range(low, stop))

        assert egotaskqa.interval_frames(length, frames) == case["uniform"]
        if "random_error" in case:
            with pytest.raises(EgolibError, match="too short"):
                egotaskqa.interval_frames(length, frames, draw)
        else:
            assert egotaskqa.interval_frames(length, frames, draw) == case["random"]


@pytest.mark.recordings("metrics")
def test_accuracies(recording: Path) -> None:
    recorded = read(recording)
    assert recorded["cases"]
    for case in recorded["cases"]:
        types = case["reasoning"]
        predicted, answers = np.array(case["prediction"]), np.array(case["label"])
        assert [metrics.counted_types(names) for names in types] == case["kept_types"]
        counts = metrics.type_counts(predicted == answers, types)
        assert {name: hits for name, (hits, _) in counts.items() if hits} == {
            name: hits for name, hits in case["true"].items() if hits
        }
        assert {name: asked for name, (_, asked) in counts.items()} == {
            name: asked for name, asked in case["all"].items() if asked
        }
        found = metrics.accuracy_by_type(predicted, answers, types, names=case["accuracy"])
        assert found == pytest.approx(case["accuracy"], abs=1e-12)
        printed = metrics.batch_accuracy(predicted, answers, case["batch"], case["world"])
        assert printed == pytest.approx(case["printed_accuracy_of_batches"], abs=1e-12)
    for names in recorded["too_many"]["reasoning"]:
        assert len(metrics.counted_types(names)) == recorded["too_many"]["kept"]
