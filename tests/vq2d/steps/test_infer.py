"""``3_infer``: detection caches, then answers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from egolib.vq2d.formats import detections as caches
from egolib.vq2d.localization import settings
from egolib.vq2d.steps import evaluate, infer
from tests.vq2d.project import step

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("vq2d_steps")]


def test_step_1_is_not_repeated(root: Path, answered: Path) -> None:
    own = step("3_infer", root, answered)
    before = {p: p.stat().st_mtime_ns for p in (own.out / "detections").rglob("*.safetensors")}
    infer.detect(own)
    after = {p: p.stat().st_mtime_ns for p in (own.out / "detections").rglob("*.safetensors")}
    assert before and before == after


def test_a_hand_written_cache_needs_no_detector(root: Path, runs: Path, tmp_path: Path) -> None:
    """Any detector's scores go through step 2 and evaluation; there is no Siamese checkpoint."""
    shutil.copytree(runs / "1_data", tmp_path / "1_data")
    (tmp_path / "2_train").mkdir()
    changes = {"detect": {"cache": str(tmp_path / "cache")}, "localize": {"tracker": "none"}}
    own = step("3_infer", root, tmp_path, changes)
    (tmp_path / "cache").mkdir()
    for split in infer.splits_to_answer(own).values():
        for query in split.queries:
            frames = [{"boxes": [], "scores": []} for _ in range(query.query_frame)]
            for box in query.track:
                frames[box.frame] = {"boxes": [box.xyxy], "scores": [0.9]}
            frames[-1] = (
                frames[-1] if frames[-1]["boxes"] else {"boxes": [[1, 1, 9, 9]], "scores": [0.1]}
            )
            (tmp_path / "cache" / f"{query.key}.json").write_text(json.dumps({"frames": frames}))
    folder, _ = infer.detect(own)
    answers = infer.follow(own, folder)
    assert sum(len(found.skipped) for found in answers.values()) == 0
    later = step("4_evaluate", root, tmp_path, changes)
    truths = evaluate.read_truths(later)
    replay = evaluate.open_replay(later, truths)
    found = evaluate.score_splits(truths, constant(replay, later), later.config.evaluate)
    assert found["val"].success[0] > 0


def constant(replay, own):
    return evaluate.constant(replay.answers(settings.configured(own.config)))


def test_a_damaged_cache_costs_its_query_only(root: Path, answered: Path, tmp_path: Path) -> None:
    shutil.copytree(answered / "1_data", tmp_path / "1_data")
    shutil.copytree(answered / "2_train", tmp_path / "2_train")
    shutil.copytree(answered / "3_infer", tmp_path / "3_infer")
    own = step("3_infer", root, tmp_path)
    folder = next((own.out / "detections").iterdir())
    victim = sorted(folder.glob("*.safetensors"))[0]
    victim.write_bytes(b"damaged")
    answers = infer.follow(own, folder)
    skipped = {key for found in answers.values() for key in found.skipped.reasons}
    assert skipped == {victim.stem}
    infer.detect(own)  # makes it again
    assert caches.is_complete(victim, _frames(own, victim.stem))


def _frames(own, key: str) -> int:
    queries = [q for split in infer.splits_to_answer(own).values() for q in split.queries]
    return next(query.query_frame for query in queries if query.key == key)
