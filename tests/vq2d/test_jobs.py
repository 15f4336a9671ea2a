"""The steps after ``1_data``: two trainings, two steps of inference, replay and scores."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from egolib import checkpoint, vq2d
from egolib.errors import EgolibError
from egolib.vq2d import detections as caches
from egolib.vq2d import figures, jobs, predict, prepare, scores, settings
from egolib.vq2d.infer import KYS_NAME, MODEL_NAME, read_kys
from egolib.vq2d.submission import build_submission
from tests.vq2d.project import make_world, step

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("vq2d_jobs")]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_world(tmp_path_factory.mktemp("jobs") / "world")


@pytest.fixture(scope="module")
def runs(root: Path) -> Path:
    """A run up to the trained networks."""
    folder = root.parent / "runs"
    own = step("1_data", root, folder)
    prepare.cut(own, prepare.read_splits(own))
    training = step("2_train", root, folder)
    results = jobs.train(training)
    assert set(results) == {"detector", "tracker"}
    found = jobs.summary(results)
    assert found["detector"]["updates"] == found["tracker"]["updates"] == 2
    assert len(figures.losses(results["detector"].records).axes) == 2
    return folder


@pytest.fixture(scope="module")
def answered(root: Path, runs: Path) -> Path:
    """The same after ``3_infer``."""
    own = step("3_infer", root, runs)
    folder, skipped = predict.detect(own)
    answers = predict.follow(own, folder)
    assert not skipped.reasons
    splits = predict.splits_to_answer(own)
    for split, found in answers.items():
        assert len(found.found) == len(splits[split].queries)
    counts = scores.summary(answers)
    assert counts["val"]["answered"] == len(splits["val"].queries)
    return runs


# ------------------------------------------------------------------------- training


def test_weights_say_what_they_are(runs: Path) -> None:
    for folder, name in (("detector", MODEL_NAME), ("tracker", KYS_NAME)):
        _, sidecar = checkpoint.load(runs / "2_train" / folder / "model.safetensors")
        assert sidecar["model"] == name
    locator = vq2d.load(str(runs / "2_train" / "tracker" / "model.safetensors"))
    assert locator.cfg.tracker == "kys"  # found beside the detector, whichever file is named


def test_the_tracker_keeps_the_detectors_backbone(runs: Path) -> None:
    detector, _ = checkpoint.load(runs / "2_train" / "detector" / "model.safetensors")
    tracker = read_kys(runs / "2_train" / "tracker" / "model.safetensors").state_dict()
    for name, value in detector.items():
        if name.startswith("backbone."):
            assert torch.equal(value, tracker[name]), name


def test_samples_without_the_object_can_be_left_out(root: Path, runs: Path) -> None:
    counts = {}
    for name in ("visual_query_clean_aug", "visual_query_clean_aug_neg"):
        own = step("2_train", root, runs, {"data": {"samples": name}})
        samples = jobs.detector_samples(own)
        counts[name] = sum(sample.frame.box_xyxy is None for sample in samples)
        drawn = jobs.training_set(own)
        side = own.config.model.reference_side
        assert drawn.sample(0, np.random.default_rng(0)).reference.shape == (3, side, side)
        assert len(figures.samples(drawn, count=2).axes) == 4
    assert counts["visual_query_clean_aug"] == 0 < counts["visual_query_clean_aug_neg"]
    with pytest.raises(EgolibError, match="unknown samples"):
        jobs.detector_samples(step("2_train", root, runs, {"data": {"samples": "clean"}}))


def test_published_weights_take_the_trackers_place(root: Path, runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "1_data", tmp_path / "1_data")
    changes = {"tracker_train": {"weights": "kys.safetensors"}}
    results = jobs.train(step("2_train", root, tmp_path, changes))
    assert set(results) == {"detector"}
    own = step("3_infer", root, tmp_path, changes)
    assert predict.tracker_file(own) == root / "kys.safetensors"


def test_parameters_by_part() -> None:
    from egolib.vq2d.config import Config

    table = jobs.parameter_table(Config())
    assert ("detector", "head") in table.index and ("tracker", "iou_net") in table.index


# ------------------------------------------------------------------------ inference


def test_step_1_is_not_repeated(root: Path, answered: Path) -> None:
    own = step("3_infer", root, answered)
    before = {p: p.stat().st_mtime_ns for p in (own.out / "detections").rglob("*.safetensors")}
    predict.detect(own)
    after = {p: p.stat().st_mtime_ns for p in (own.out / "detections").rglob("*.safetensors")}
    assert before and before == after


def test_a_hand_written_cache_needs_no_detector(root: Path, runs: Path, tmp_path: Path) -> None:
    """Any detector's scores go through step 2 and evaluation; there is no Siamese checkpoint."""
    shutil.copytree(runs / "1_data", tmp_path / "1_data")
    (tmp_path / "2_train").mkdir()
    changes = {"detect": {"cache": str(tmp_path / "cache")}, "localize": {"tracker": "none"}}
    own = step("3_infer", root, tmp_path, changes)
    (tmp_path / "cache").mkdir()
    for split in predict.splits_to_answer(own).values():
        for query in split.queries:
            frames = [{"boxes": [], "scores": []} for _ in range(query.query_frame)]
            for box in query.track:
                frames[box.frame] = {"boxes": [box.xyxy], "scores": [0.9]}
            frames[-1] = (
                frames[-1] if frames[-1]["boxes"] else {"boxes": [[1, 1, 9, 9]], "scores": [0.1]}
            )
            (tmp_path / "cache" / f"{query.key}.json").write_text(json.dumps({"frames": frames}))
    folder, _ = predict.detect(own)
    answers = predict.follow(own, folder)
    assert sum(len(found.skipped) for found in answers.values()) == 0
    later = step("4_evaluate", root, tmp_path, changes)
    truths = scores.read_truths(later)
    replay = scores.open_replay(later, truths)
    found = scores.score_splits(truths, constant(replay, later), later.config.evaluate)
    assert found["val"].success[0] > 0


def constant(replay, own):
    return scores.constant(replay.answers(settings.configured(own.config)))


def test_a_damaged_cache_costs_its_query_only(root: Path, answered: Path, tmp_path: Path) -> None:
    shutil.copytree(answered / "1_data", tmp_path / "1_data")
    shutil.copytree(answered / "2_train", tmp_path / "2_train")
    shutil.copytree(answered / "3_infer", tmp_path / "3_infer")
    own = step("3_infer", root, tmp_path)
    folder = next((own.out / "detections").iterdir())
    victim = sorted(folder.glob("*.safetensors"))[0]
    victim.write_bytes(b"damaged")
    answers = predict.follow(own, folder)
    skipped = {key for found in answers.values() for key in found.skipped.reasons}
    assert skipped == {victim.stem}
    predict.detect(own)  # makes it again
    assert caches.is_complete(
        victim, len(Detections.from_frames([], [])) or _frames(own, victim.stem)
    )


def _frames(own, key: str) -> int:
    queries = [q for split in predict.splits_to_answer(own).values() for q in split.queries]
    return next(query.query_frame for query in queries if query.key == key)


# ---------------------------------------------------------------- replay and scores


def test_a_replay_equals_step_2(root: Path, answered: Path) -> None:
    later = step("4_evaluate", root, answered)
    truths = scores.read_truths(later)
    assert set(truths) == {"val", "test", "val_test"}
    assert len(scores.validate_files(later)) == 2
    replay = scores.open_replay(later, truths)
    replay._make_tracker = None  # every track was followed by 3_infer
    answers = replay.answers(settings.configured(later.config))
    own = step("3_infer", root, answered)
    for split, content in predict.splits_to_answer(own).items():
        known = {query.key for query in content.queries}
        tracks = {k: a.track for k, a in answers.found.items() if k in known}
        rebuilt = build_submission(content, tracks)
        assert rebuilt == json.loads((own.out / f"{split}.json").read_text())


def test_comparisons(root: Path, answered: Path) -> None:
    later = step("4_evaluate", root, answered)
    truths = scores.read_truths(later)
    main = scores.main_split(truths)
    replay = scores.open_replay(later, truths)
    answers = replay.answers(settings.configured(later.config))
    compared = scores.compare(later, replay, truths[main], answers)
    ranked = scores.rankings(truths[main], answers)
    swept = scores.sweep(later, replay, truths[main])
    scores.require_sane([*ranked.values(), *compared.values()])
    assert {"configured", "single best detection", "reflect", "checked"} <= set(compared)
    found = scores.effects(ranked, compared)
    assert found["rank_height"]["recovery%"] == 0 and "tracking" in found
    assert list(swept["threshold"]) == [0.0, 0.9]
    assert set(scores.sweep_metrics(swept)["threshold"]) == {"0", "0.9"}
    assert len(figures.sweep(swept, scores.used(later)).axes) == 1
    assert figures.precision_bars(ranked).axes
    starts = scores.curve_examples(truths[main], answers, 2)
    assert len(figures.score_curves(*starts).axes) == 2
    pair = scores.strip_examples(truths[main], answers)[0]
    assert figures.response_strip(prepare.clips_folder(later), *pair).axes
    assert figures.queries(truths).axes
    assert len(scores.table(compared)) == len(compared)


def test_a_new_start_is_followed_into_its_own_folder(root: Path, answered: Path) -> None:
    """A grid over the peaks loads the tracker for starts that nobody followed, no detector."""
    changes = {"evaluate": {"peaks": {"threshold": 0.0, "distance": 1, "width": 0}}}
    later = step("4_evaluate", root, answered, changes)
    truths = scores.read_truths(later)
    replay = scores.open_replay(later, truths)
    before = {p: p.read_bytes() for p in (answered / "3_infer" / "tracks").glob("*.json")}
    found = replay.answers(settings.configured(later.config))
    assert len(found.found) == len(replay.jobs)
    assert before == {p: p.read_bytes() for p in (answered / "3_infer" / "tracks").glob("*.json")}
