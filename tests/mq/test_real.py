"""The complete real annotations: read, described, answered blindly, scored."""

from __future__ import annotations

from pathlib import Path

import pytest

from egolib.mq.config import EvaluateConfig
from egolib.mq.data.annotations import Clip, read_clips, select
from egolib.mq.evaluation import evaluate
from egolib.mq.localization import blind
from tests.oracles import moment_detection as loops


@pytest.fixture(scope="module")
def clips(real_dir: Path) -> list[Clip]:
    file = real_dir / "mq" / "ego4d_clip_annotations_v2.json"
    if not file.is_file():
        pytest.skip(f"no real annotations at {file}")
    return read_clips(file)


@pytest.mark.slow
def test_blind_baseline_beats_the_public_one(clips: list[Clip]) -> None:
    """A public entry's fixed priors reach 0.10 average mAP and 4.09 Recall@1x at 0.5."""
    train, val = select(clips, "train"), select(clips, "val")
    prior = blind.fit(train)
    detections = blind.detect(prior, val)
    public = evaluate(val, detections, config=EvaluateConfig(convention="actionformer")).summary()
    assert 0.1 < public["average mAP"] < 1
    assert 4.09 < public["Recall@1x IoU=0.5"] < 20
    official = evaluate(val, detections, blind.retrieve(prior, val))
    assert (official.clips, official.moments) == (521, 4296)


@pytest.mark.slow
def test_evaluation_equals_plain_loops(clips: list[Clip]) -> None:
    val = select(clips, "val")
    prior = blind.fit(select(clips, "train"), count=3)
    detections, retrievals = blind.detect(prior, val, limit=20), blind.retrieve(prior, val)
    found = evaluate(val, detections, retrievals)
    truth = {c.clip_uid: [(m.label, m.start_sec, m.end_sec) for m in c.moments] for c in val}
    precision = loops.average_precision(truth, detections, (0.1, 0.5))
    recall = loops.recall_at_kx(truth, retrievals, (0.5,), (1, 5))
    assert found.detection is not None and found.retrieval is not None
    for name, values in zip(found.classes, found.detection.values, strict=False):
        assert values[[0, 4]].tolist() == pytest.approx(precision[name], abs=1e-12)
    assert [found.retrieval.at(k, 0.5) for k in (1, 5)] == pytest.approx(recall[0], abs=1e-12)
