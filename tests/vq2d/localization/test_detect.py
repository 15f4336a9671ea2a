"""Step 1: the same as query by query, resumable, failures listed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.gpu_common import Setting, launches_and_synchronisations
from egolib.config import to_tree
from egolib.errors import EgolibError
from egolib.runs.result_cache import ResultCache, cache_key
from egolib.vq2d.data.annotations import from_content
from egolib.vq2d.formats import detections as caches
from egolib.vq2d.localization import scan
from egolib.vq2d.localization.detect import Detector, detect_clip, extract, frames_needed
from egolib.vq2d.localization.scan import DevicePixels, host_pixels
from egolib.vq2d.models.model import SiameseRcnn
from tests.vq2d import made


@pytest.fixture(scope="module")
def detector() -> Detector:
    torch.manual_seed(0)
    return Detector(SiameseRcnn(made.tiny_detector()), made.tiny_detect())


def with_settings(detector: Detector, **changes) -> Detector:
    return Detector(detector.model, replace(detector.settings, **changes))


def queries():
    return from_content(made.two_queries()).queries


def test_queries_together_as_one_by_one(detector: Detector) -> None:
    clip = made.Clip(made.moving_square(30))
    together = detect_clip(clip, queries(), with_settings(detector, batch_size=4))
    frames_asked = clip.asked
    for query in queries():
        alone = detect_clip(clip, [query], with_settings(detector, batch_size=7))[query.key]
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
    assert found.counts.max() <= detector.settings.limit


def test_settings_are_given_to_the_detector_not_kept_in_its_network(detector: Detector) -> None:
    clip = made.Clip(made.moving_square(30))
    exact = with_settings(detector, box_rounding="exact")
    found = detect_clip(clip, queries()[:1], exact)["a_1"]
    assert (found.boxes_xyxy != found.boxes_xyxy.astype(int)).any()
    for name, changes in {
        "score_threshold": {"score_threshold": 0.9},
        "limit": {"limit": 1},
        "proposals": {"proposals": replace(detector.settings.proposals, after=2)},
    }.items():
        fewer = detect_clip(clip, queries()[:1], with_settings(detector, **changes))["a_1"]
        assert len(fewer.scores) < len(found.scores), name


def test_annotated_size_decides(detector: Detector) -> None:
    """Frames are resized to the size that boxes refer to."""
    large = [np.kron(frame, np.ones((2, 2, 1), np.uint8)) for frame in made.moving_square(30)]
    found = detect_clip(made.Clip(large), queries()[:1], detector)["a_1"]
    assert found.boxes_xyxy[:, 2].max() <= made.SIZE[0]


def test_half_precision_is_near(detector: Detector) -> None:
    clip = made.Clip(made.moving_square(30))
    half = with_settings(detector, precision="bfloat16")
    exact, rough = (detect_clip(clip, queries()[:1], d)["a_1"] for d in (detector, half))
    assert 0 < np.abs(exact.best - rough.best).max() < 0.1


def run(folder: Path, detector: Detector, open_clip) -> tuple[ResultCache, dict]:
    clips = from_content(made.two_queries()).by_clip()
    cache = ResultCache(folder, cache_key("vq2d", settings=to_tree(detector.settings)))
    return cache, extract(clips, open_clip, detector, cache).reasons


def test_what_is_there_is_kept(tmp_path: Path, detector: Detector) -> None:
    clip = made.Clip(made.moving_square(30))
    cache, reasons = run(tmp_path, detector, lambda uid: clip)
    assert reasons == {}
    file = cache.path("a_1")
    before, asked = file.read_bytes(), clip.asked
    assert run(tmp_path, detector, lambda uid: clip)[1] == {} and clip.asked == asked
    file.write_bytes(before[:100])  # killed in the middle
    assert run(tmp_path, detector, lambda uid: clip)[1] == {}
    assert len(caches.read(cache.folder, "a_1", 20)) == 20
    assert len(caches.read(cache.folder, "a_3", 12)) == 12


def test_another_setting_computes_anew(tmp_path: Path, detector: Detector) -> None:
    """The old numbers must not be used again when the precision changes."""
    clip = made.Clip(made.moving_square(30))
    first, _ = run(tmp_path, detector, lambda uid: clip)
    asked = clip.asked
    second, _ = run(tmp_path, with_settings(detector, precision="bfloat16"), lambda uid: clip)
    assert clip.asked == 2 * asked and second.folder != first.folder
    scores = [caches.read(cache.folder, "a_1", 20).scores for cache in (first, second)]
    assert len(scores[0]) != len(scores[1]) or (scores[0] != scores[1]).any()


def test_failures_are_listed(tmp_path: Path, detector: Detector) -> None:
    def missing(uid: str):
        raise EgolibError("the file does not exist", file=f"{uid}.mp4")

    assert set(run(tmp_path, detector, missing)[1]) == {"a_1", "a_3"}
    short = made.Clip(made.moving_square(22))  # a_3's crop is frame 25
    cache, reasons = run(tmp_path, detector, lambda uid: short)
    assert set(reasons) == {"a_3"}
    assert caches.find(cache.folder, "a_1") and not caches.find(cache.folder, "a_3")


def test_frames_needed() -> None:
    assert [frames_needed(query) for query in queries()] == [22, 26]


# ------------------------------------------------------------------ whole batches


@pytest.mark.parametrize("compare", ["bilinear", "dot"])
def test_whole_batches_as_frame_by_frame(compare: str) -> None:
    torch.manual_seed(0)
    model = SiameseRcnn(made.tiny_detector(compare=compare))
    settings = made.tiny_detect(batch_size=4, box_rounding="exact")
    clip = made.Clip(made.moving_square(30))
    expected, found = (
        detect_clip(clip, queries(), Detector(model, settings, work))
        for work in ("frames", "batches")
    )
    for key, theirs in expected.items():
        np.testing.assert_array_equal(found[key].counts, theirs.counts)
        np.testing.assert_allclose(found[key].boxes_xyxy, theirs.boxes_xyxy, atol=1e-3)
        np.testing.assert_allclose(found[key].scores, theirs.scores, atol=1e-5)


def test_whole_batches_take_the_official_pixels() -> None:
    """Whether a frame is scaled down first or not."""
    frames = np.random.default_rng(1).integers(0, 256, (2, 108, 144, 3), dtype=np.uint8)
    for height in (0, 54, 70, 108):
        settings = replace(made.tiny_detect(), short_side=80, intermediate_height=height)
        pixels = DevicePixels((108, 144), settings, torch.device("cpu"))
        assert pixels.exact
        found = pixels(torch.from_numpy(frames))
        assert torch.equal(found, host_pixels(list(frames), settings))


def test_where_the_pixels_would_differ_the_host_makes_them(
    detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(detector.settings, intermediate_height=40)
    clip = made.Clip(made.moving_square(30))
    expected = detect_clip(clip, queries(), Detector(detector.model, settings, "batches"))
    monkeypatch.setattr(scan.resize, "opencv_bilinear", lambda x, *taps: x[:, :, :40, :53])
    found = detect_clip(clip, queries(), Detector(detector.model, settings, "batches"))
    for key, theirs in expected.items():
        np.testing.assert_array_equal(found[key].boxes_xyxy, theirs.boxes_xyxy)


def test_whole_batches_without_enough_rounds(
    detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Suppression that is not final is done again with as many rounds as boxes."""
    clip = made.Clip(made.moving_square(30))
    expected = detect_clip(clip, queries(), Detector(detector.model, detector.settings, "batches"))
    monkeypatch.setattr(scan, "ROUNDS", 1)
    found = detect_clip(clip, queries(), Detector(detector.model, detector.settings, "batches"))
    for key, theirs in expected.items():
        np.testing.assert_array_equal(found[key].boxes_xyxy, theirs.boxes_xyxy)


def test_nothing_is_asked_of_the_host_within_a_batch(detector: Detector) -> None:
    """One copy of detections a batch, however many frames and queries."""
    whole = Detector(detector.model, replace(detector.settings, batch_size=5), "batches")
    clip = made.Clip(made.moving_square(30))
    references = torch.zeros(2, 16)
    batches = [(list(range(5)), whole.prepare([clip[i] for i in range(5)]))]
    list(whole.scan(batches, references, [9, 9]))  # the check of the pixels comes once
    counts = launches_and_synchronisations(
        lambda: list(whole.scan(batches, references, [9, 9])), Setting("cpu", tiny=True)
    )
    assert counts.synchronisations <= 1, counts.kinds
