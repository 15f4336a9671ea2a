from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from egolib.errors import EgolibError
from egolib.io.features import open_store, require_provenance
from egolib.vlp.formats.submission import read
from egolib.vlp.steps import evaluate, infer
from tests.vlp.project import PRETRAIN, step

INPUTS = {"data": f"{PRETRAIN}/1_data", "model": f"{PRETRAIN}/2_train"}


def test_all_benchmarks(tiny_world: Path, runs: Path) -> None:
    made = step("3_infer", tiny_world, runs, changes={"infer": {"rerank": 3}})
    found = infer.predict(made)
    infer.check(made, found)
    asked = {"egomcq", "reversal", "epic", "epic_reranked", "charades"}
    assert not found.skipped and set(found.files) == asked
    later = step("4_evaluate", tiny_world, runs)
    truth = evaluate.read_truth(later)
    scored = evaluate.score(later, truth, evaluate.read_predictions(later, truth))
    evaluate.check(scored)
    assert set(scored.metrics) == asked
    assert set(scored.metrics["reversal"]) == {"ordered", "shuffled", "one_frame"}
    assert set(evaluate.metrics(scored)["effect"]) == {"rerank", "ensemble"}
    assert evaluate.counts(truth, scored)["questions"] == 20
    assert len(infer.table(found)) == 2 + 3 + 1 + 2 + 1
    shown = infer.example(made, found)
    assert shown is not None
    video, similarity = shown
    assert video.is_file() and len(similarity.texts) > 1


def test_scores_come_from_the_cache_until_what_they_rest_on_changes(
    tiny_world: Path, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[str] = []
    scores_of = infer.scores_of

    def counted(step, model, name, *more):
        computed.append(name)
        return scores_of(step, model, name, *more)

    monkeypatch.setattr(infer, "scores_of", counted)
    for changes, again in (
        ({}, True),
        ({}, False),
        ({"workers": 1}, False),
        ({"fusion": False}, True),
        ({"frames": 2}, True),
        ({"frames": 2, "rerank": 1}, False),
    ):
        wanted = {"infer": {"benchmarks": ["egomcq"], "rerank": 0, **changes}}
        computed.clear()
        infer.predict(step("3_infer", tiny_world, runs, "egomcq_eval", wanted, **INPUTS))
        assert computed == (["egomcq"] if again else []), changes


def test_features_for_nlq(tiny_world: Path, runs: Path) -> None:
    made = step("3_infer", tiny_world, runs, "nlq_features", **INPUTS)
    folder = infer.predict(made).files["clips"]
    store = open_store(folder)
    require_provenance(store, width=32, fps=30.0, stride_frames=16.043, window_frames=60.0)
    symbolic = open_store(tiny_world / "nlq/features/symbolic_video")
    assert store.uids() == symbolic.uids()
    assert all(store.length(uid) == symbolic.length(uid) for uid in store.uids())
    assert store.provenance.model == f"vlp/{PRETRAIN} tiny"


def test_egomq_features(tiny_world: Path, runs: Path) -> None:
    made = step("3_infer", tiny_world, runs, "mq_features", **INPUTS)
    folder = infer.predict(made).files["moments"]
    tensors = [torch.load(file) for file in folder.glob("*.pt")]
    assert len(tensors) == 7 and all(t.shape[1] == 32 and len(t) > 30 for t in tensors)


def test_ways_to_show_frames() -> None:
    views = [torch.arange(4.0)[:, None, None, None] + 10 * i for i in range(8)]
    shown = infer.ways_to_show(views)
    assert all(torch.equal(a, b) for a, b in zip(shown["ordered"], views, strict=True))
    assert all(
        torch.equal(a.sort(0).values, b) for a, b in zip(shown["shuffled"], views, strict=False)
    )
    assert any(not torch.equal(a, b) for a, b in zip(shown["shuffled"], views, strict=False))
    assert all((view == view[0]).all() for view in shown["one_frame"])


def test_missing_weights_are_named(tiny_world: Path, runs: Path) -> None:
    made = step("3_infer", tiny_world, runs, changes={"infer": {"weights": "best"}})
    with pytest.raises(EgolibError, match="no weights 'best'"):
        infer.weights_file(made)


def test_scores_are_finite(tiny_world: Path, runs: Path) -> None:
    made = step("3_infer", tiny_world, runs, changes={"infer": {"benchmarks": ["reversal"]}})
    files = infer.predict(made).score_files().values()
    assert all(np.isfinite(a).all() for f in files for a in read(f).values())
