"""EgoTaskQA and QFVS from the command line: pre-training, head, predictions, evaluation, export."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from egolib import vlp, world
from egolib.vlp.formats import submission
from tests.helpers.tiny import copy_project, egolib

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("walk_vlp_benchmarks")]

PRETRAIN = "egoclip_pretrain_smallproj"
BRIEF = ("-p", "fit.max_updates=4", "-p", "fit.evaluate_every=0")


@pytest.fixture(scope="module")
def tiny_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world")
    world.make("tiny", root)
    return root


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, tiny_world: Path) -> Path:
    """A checkout with a short pre-training on the world."""
    folder = copy_project(tmp_path_factory.mktemp("project"))
    run(folder, tiny_world, "vlp/2_train", "--variant", PRETRAIN, *BRIEF)
    return folder


def run(project: Path, data: Path, target: str, *others: str) -> None:
    sizes = ("--preset", "tiny", "--data-root", str(data), "--jobs", "1")
    done = egolib(project, "run", target, *others, *sizes)
    assert done.returncode == 0, done.stdout + done.stderr


def result(project: Path, variant: str) -> dict[str, object]:
    file = project / "runs/tiny/vlp" / variant / "4_evaluate/result.json"
    found: dict[str, object] = json.loads(file.read_text())["metrics"]
    return found


def test_questions(project: Path, tiny_world: Path) -> None:
    run(project, tiny_world, "vlp", "--variant", "egotaskqa_direct")
    found = result(project, "egotaskqa_direct")
    assert {"open", "binary", "all", "most_frequent"} <= found["egotaskqa"].keys()  # type: ignore[attr-defined]
    folder = project / "runs/tiny/vlp/egotaskqa_direct"
    truth = tiny_world / "EgoTaskQA/Data/qa/direct/formatted_test_qas_encode.json"
    files = ("--truth", str(truth), "--predictions", str(folder / "3_infer/egotaskqa.npz"))
    done = egolib(project, "evaluate", "vlp", *files)
    assert json.loads(done.stdout)["all"] == found["egotaskqa"]["all"]  # type: ignore[index]
    weights = folder / "2_train/train/model.safetensors"
    video = next((tiny_world / "EgoTaskQA/qa_videos").glob("*.mp4"))
    answers = vlp.load(weights, device="cpu").answer(video, "What did I open?")
    assert sum(chance for _, chance in answers) == pytest.approx(1)
    assert "yes" in dict(answers)
    exported = project / "answers.pth"
    assert egolib(project, "convert", str(weights), str(exported)).returncode == 0
    back = project / "answers.safetensors"
    done = egolib(project, "convert", str(exported), str(back))
    assert done.returncode == 0 and "vlp/egotaskqa" in done.stdout, done.stderr


@pytest.mark.skipif(os.environ.get("EGOLIB_WALKS") != "all", reason="minutes: `make walks`")
def test_summaries(project: Path, tiny_world: Path) -> None:
    run(project, tiny_world, "vlp", "--variant", "qfvs")
    found = result(project, "qfvs")["qfvs"]
    assert {"f1", "untrained", "random", "uniform", "best_possible"} <= found.keys()  # type: ignore[attr-defined]
    folder = project / "runs/tiny/vlp/qfvs"
    scores = submission.read(folder / "3_infer/qfvs.npz")["shots"]
    assert scores.shape == (12, 30) and np.isfinite(scores).all()
    weights = folder / "2_train/train/model.safetensors"
    model = vlp.load(weights, device="cpu")
    video = next((tiny_world / "EgoTaskQA/qa_videos").glob("*.mp4"))
    summary = model.summarise(video, "mug and table", count=3)
    assert summary.segments_sec.shape == (3, 2)
    assert np.allclose(np.diff(summary.segments_sec, axis=1), 0.5)
    assert (np.diff(summary.scores) <= 0).all()
    exported = project / "summaries.pth"
    done = egolib(project, "convert", str(weights), str(exported))
    assert done.returncode == 0 and "vlp/qfvs" in done.stdout, done.stderr
