"""``3_infer``: files looked up first, detection caches, then answers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from egolib.errors import EgolibError
from egolib.vq2d.formats import detections as caches
from egolib.vq2d.steps import evaluate, infer
from tests.vq2d.project import step

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("vq2d_steps")]


def test_step_1_is_not_repeated(root: Path, answered: Path) -> None:
    own = step("3_infer", root, answered)
    before = {p: p.stat().st_mtime_ns for p in (own.out / "detections").rglob("*.npz")}
    infer.detect(own, infer.sources(own), infer.read_queries(own))
    after = {p: p.stat().st_mtime_ns for p in (own.out / "detections").rglob("*.npz")}
    assert before and before == after


def test_every_setting_of_step_1_is_in_the_key(root: Path, runs: Path) -> None:
    keys = []
    for changes in (
        {},
        {"precision": "bfloat16"},
        {"score_threshold": 0.1},
        {"limit": 3},
        {"short_side": 48},
        {"box_rounding": "exact"},
        {"proposals": {"after": 7}},
    ):
        own = step("3_infer", root, runs, {"detect": changes})
        keys.append(infer.detections_key(own, infer.weights_file(own)))
    assert len({json.dumps(key, sort_keys=True) for key in keys}) == len(keys)


def test_a_hand_written_cache_needs_no_detector(root: Path, runs: Path, tmp_path: Path) -> None:
    """Any detector's scores go through step 2 and evaluation; there is no Siamese checkpoint."""
    shutil.copytree(runs / "1_data", tmp_path / "1_data")
    (tmp_path / "2_train").mkdir()
    changes = {"detect": {"cache": str(tmp_path / "cache")}, "localize": {"tracker": "none"}}
    own = step("3_infer", root, tmp_path, changes)
    (tmp_path / "cache").mkdir()
    for split in infer.read_queries(own).values():
        for query in split.queries:
            frames = [{"boxes": [], "scores": []} for _ in range(query.query_frame)]
            for box in query.track:
                frames[box.frame] = {"boxes": [box.xyxy], "scores": [0.9]}
            frames[-1] = (
                frames[-1] if frames[-1]["boxes"] else {"boxes": [[1, 1, 9, 9]], "scores": [0.1]}
            )
            (tmp_path / "cache" / f"{query.key}.json").write_text(json.dumps({"frames": frames}))
    predictions = infer.predict(own)
    assert sum(len(found.skipped) for found in predictions.answers.values()) == 0
    later = step("4_evaluate", root, tmp_path, changes)
    truth = evaluate.read_truth(later)
    answers = evaluate.configured(later, evaluate.read_predictions(later, truth))
    assert evaluate.score(later, truth, answers)["val"].success[0] > 0


def test_a_damaged_cache_costs_its_query_only(root: Path, answered: Path, tmp_path: Path) -> None:
    for name in ("1_data", "2_train", "3_infer"):
        shutil.copytree(answered / name, tmp_path / name)
    own = step("3_infer", root, tmp_path)
    sources, queries = infer.sources(own), infer.read_queries(own)
    folder = next((own.out / "detections").iterdir())
    victim = sorted(folder.glob("*.npz"))[0]
    victim.write_bytes(b"damaged")
    answers = infer.follow(own, sources, queries, folder)
    skipped = {key for found in answers.values() for key in found.skipped.reasons}
    assert skipped == {victim.stem}
    folder, _ = infer.detect(own, sources, queries)  # makes it again
    known = [query for split in queries.values() for query in split.queries]
    query = next(query for query in known if query.key == victim.stem)
    assert len(caches.read(folder, query.key, query.query_frame)) == query.query_frame


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"localize": {"tracker_weights": "no/kys.pth"}}, "localize.tracker_weights"),
        ({"localize": {"confidence": "calibrated", "calibration": "no.json"}}, "calibration"),
        ({"detect": {"cache": "no/cache"}}, "detect.cache"),
        ({"infer": {"device": "cuda"}}, "0 GPUs|CUDA"),
    ],
)
def test_files_are_looked_up_before_anything_is_computed(
    root: Path, runs: Path, tmp_path: Path, monkeypatch, changes: dict, message: str
) -> None:
    shutil.copytree(runs / "1_data", tmp_path / "1_data")
    shutil.copytree(runs / "2_train", tmp_path / "2_train")
    monkeypatch.setattr(infer, "read_detector", None)  # would be the first to compute
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    with pytest.raises(EgolibError, match=message):
        infer.predict(step("3_infer", root, tmp_path, changes))


def test_where_a_tracker_is_found(root: Path, runs: Path, tmp_path: Path) -> None:
    """Named, else beside the model, else the published one below the data root."""
    shutil.copytree(runs / "1_data", tmp_path / "runs" / "1_data")
    model = tmp_path / "model"
    model.mkdir()
    shutil.copy(runs / "2_train" / "detector" / "model.safetensors", model)
    shutil.copy(runs / "2_train" / "detector" / "model.json", model)
    data_root = tmp_path / "data"
    shutil.copytree(root, data_root)

    def found(changes: dict | None = None) -> Path | None:
        own = step("3_infer", data_root, tmp_path / "runs", changes, model=model)
        return infer.tracker_file(own)

    with pytest.raises(EgolibError, match="vq2d/kys/kys.pth"):
        found()
    published = data_root / "vq2d" / "kys" / "kys.pth"
    published.parent.mkdir(parents=True)
    published.touch()
    assert found() == published
    (model / "kys.pth").touch()
    assert found() == model / "kys.pth"
    (data_root / "mine.pth").touch()
    assert found({"localize": {"tracker_weights": "mine.pth"}}) == data_root / "mine.pth"
    assert found({"localize": {"tracker": "none"}}) is None
