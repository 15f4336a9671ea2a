"""Step 1: the same as query by query, resumable, failures listed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from egolib.errors import EgolibError
from egolib.vq2d.config import DetectConfig
from egolib.vq2d.data.annotations import from_content
from egolib.vq2d.formats import detections as caches
from egolib.vq2d.localization.detect import Detector, detect_clip, extract, frames_needed
from egolib.vq2d.models.model import SiameseRcnn
from tests.vq2d import made


@pytest.fixture(scope="module")
def detector() -> Detector:
    torch.manual_seed(0)
    return Detector(SiameseRcnn(made.tiny_detector()))


def queries():
    return from_content(made.two_queries()).queries


def test_queries_together_as_one_by_one(detector: Detector) -> None:
    clip = made.Clip(made.moving_square(30))
    together = detect_clip(clip, queries(), detector, batch_size=4)
    frames_asked = clip.asked
    for query in queries():
        alone = detect_clip(clip, [query], detector, batch_size=7)[query.key]
        found = together[query.key]
        assert len(found) == query.query_frame == len(alone)
        np.testing.assert_array_equal(found.boxes_xyxy, alone.boxes_xyxy)
        np.testing.assert_allclose(found.scores, alone.scores, atol=1e-5)
    assert frames_asked == 20 + 2  # each frame once, and the two crops


def test_boxes_are_whole_and_sorted(detector: Detector) -> None:
    found = detect_clip(made.Clip(made.moving_square(30)), queries()[:1], detector)["a_1"]
    assert (found.boxes_xyxy == found.boxes_xyxy.astype(int)).all()
    for number in range(len(found)):
        assert (np.diff(found.frame(number)[1]) <= 0).all()
    assert found.counts.max() <= detector.config.detections


def test_exact_boxes_by_option() -> None:
    torch.manual_seed(0)
    model = SiameseRcnn(replace(made.tiny_detector(), box_rounding="exact"))
    found = detect_clip(made.Clip(made.moving_square(30)), queries()[:1], Detector(model))["a_1"]
    assert (found.boxes_xyxy != found.boxes_xyxy.astype(int)).any()


def test_annotated_size_decides(detector: Detector) -> None:
    """Frames are resized to the size that boxes refer to."""
    large = [np.kron(frame, np.ones((2, 2, 1), np.uint8)) for frame in made.moving_square(30)]
    found = detect_clip(made.Clip(large), queries()[:1], detector)["a_1"]
    assert found.boxes_xyxy[:, 2].max() <= made.SIZE[0]


def test_half_precision_is_near(detector: Detector) -> None:
    clip = made.Clip(made.moving_square(30))
    half = Detector(detector.model, "bfloat16")
    exact, rough = (detect_clip(clip, queries()[:1], d)["a_1"] for d in (detector, half))
    assert np.abs(exact.best - rough.best).max() < 0.1
    with pytest.raises(EgolibError, match="float32, bfloat16"):
        Detector(detector.model, "float8")


def run(folder: Path, detector: Detector, open_clip) -> dict:
    clips = from_content(made.two_queries()).by_clip()
    return extract(clips, open_clip, detector, folder, DetectConfig(batch_size=8), {}).reasons


def test_what_is_there_is_kept(tmp_path: Path, detector: Detector) -> None:
    clip = made.Clip(made.moving_square(30))
    assert run(tmp_path, detector, lambda uid: clip) == {}
    before, asked = (tmp_path / "a_1.safetensors").read_bytes(), clip.asked
    assert run(tmp_path, detector, lambda uid: clip) == {} and clip.asked == asked
    (tmp_path / "a_1.safetensors").write_bytes(before[:100])  # killed in the middle
    assert run(tmp_path, detector, lambda uid: clip) == {}
    assert (tmp_path / "a_1.safetensors").read_bytes() == before
    assert len(caches.read(tmp_path, "a_3", 12)) == 12


def test_failures_are_listed(tmp_path: Path, detector: Detector) -> None:
    def missing(uid: str):
        raise EgolibError("the file does not exist", file=f"{uid}.mp4")

    assert set(run(tmp_path, detector, missing)) == {"a_1", "a_3"}
    short = made.Clip(made.moving_square(22))  # a_3's crop is frame 25
    assert set(run(tmp_path, detector, lambda uid: short)) == {"a_3"}
    assert caches.find(tmp_path, "a_1") and not caches.find(tmp_path, "a_3")


def test_frames_needed() -> None:
    assert [frames_needed(query) for query in queries()] == [22, 26]


def test_caches_of_two_models_do_not_mix(tmp_path: Path, detector: Detector) -> None:
    clip = made.Clip(made.moving_square(30))
    clips = from_content(made.two_queries()).by_clip()

    def make(name: str):
        provenance = {"model_hash": name}
        return extract(clips, lambda uid: clip, detector, tmp_path, DetectConfig(), provenance)

    assert not make("one").reasons and not make("one").reasons
    with pytest.raises(EgolibError, match="made by another model"):
        make("two")
