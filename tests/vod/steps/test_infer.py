"""``3_infer``: files of detections from trained weights and from official ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from egolib.config import merge
from egolib.errors import EgolibError
from egolib.io.records import read_json
from egolib.vod.api import Detector
from egolib.vod.formats.checkpoint import layout
from egolib.vod.formats.submission import read
from egolib.vod.models.build import build_model
from egolib.vod.steps import infer, train
from tests.vod.project import SELSA, changed, make_root, step


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    made = make_root(tmp_path_factory.mktemp("root"))
    train.train(step("2_train", made, made.parent))
    return made


def test_all_files_that_are_asked_for(root):
    made = step("3_infer", root, root.parent, {"infer": {"pickle": True, "format_only": True}})
    found = infer.predict(made)
    assert len(found.image_id) == 8 and found.class_names == ("mug", "jar")
    ours = read(made.out / infer.DETECTIONS)
    theirs = read(made.out / infer.PICKLE, found.image_id, found.class_names)
    np.testing.assert_array_equal(ours.boxes.box, found.boxes.box)
    assert len(theirs.boxes) == len(found.boxes)
    entries = read_json(made.out / "detections.bbox.json", list)
    assert len(entries) == len(found.boxes) and {e["category_id"] for e in entries} <= {1, 2}


def test_fewer_videos(root, tmp_path):
    made = step("3_infer", root, root.parent, {"infer": {"max_videos": 1}})
    assert len(infer.predict(changed(made, out=tmp_path)).image_id) == 5


def test_a_stopped_step_resumes(root, tmp_path, monkeypatch):
    made = changed(step("3_infer", root, root.parent), out=tmp_path / "whole")
    whole = infer.predict(made)
    assert sorted(p.name for p in made.out.iterdir()) == [infer.DETECTIONS]
    stopped, seen, compute = changed(made, out=tmp_path / "stopped"), [], Detector._predict_chain

    def stops(self, chain):
        if seen:
            raise KeyboardInterrupt
        seen.append(chain[0].name)
        return compute(self, chain)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Detector, "_predict_chain", stops)
        infer.predict(stopped)
    assert len(list(stopped.out.rglob("*.npz"))) == 1
    again = []
    monkeypatch.setattr(
        Detector, "_predict_chain", lambda s, c: again.append(c[0].name) or compute(s, c)
    )
    found = infer.predict(stopped)
    assert len(again) == 1 and again != seen
    np.testing.assert_array_equal(found.boxes.box, whole.boxes.box)
    np.testing.assert_array_equal(found.boxes.frame, whole.boxes.frame)
    np.testing.assert_array_equal(found.image_id, whole.image_id)


def test_the_steps_settings_of_inference_hold(root, tmp_path):
    """References and causality come from the step, not from the weights' file."""
    changes = merge(SELSA, {"infer": {"causal": True}})
    trained = changed(step("2_train", root, root.parent, SELSA), out=tmp_path)
    train.train(trained)
    made = step("3_infer", root, root.parent, changes, "selsa_staged")
    made = changed(made, inputs={**made.inputs, "model": tmp_path})
    detector = infer.load_detector(made)
    assert detector.settings.references.method == "fixed_stride"


def test_an_official_file_is_read_as_the_variants_network(root, tmp_path):
    made = step("3_infer", root, root.parent)
    torch.manual_seed(1)
    model = build_model(made.config.model)
    path = tmp_path / "official.pth"
    torch.save({"state_dict": layout(made.config.model).to_official(model.state_dict())}, path)
    made = changed(made, out=tmp_path, inputs={**made.inputs, "model": path})
    loaded = infer.load_detector(made).model.state_dict()
    assert all(torch.equal(loaded[k], v) for k, v in model.state_dict().items())


def test_no_weights(root, tmp_path):
    made = step("3_infer", root, tmp_path)
    (made.input("model") / "result.json").write_text("{}")
    with pytest.raises(EgolibError, match="wrote no weights"):
        infer.weights_file(made)


@pytest.mark.parametrize(
    "change",
    [
        {"detections": {"nms_threshold": 0.1}},
        {"detections": {"limit": 1}},
        {"proposals": {"before": 50, "after": 2}},
    ],
)
def test_a_setting_of_inference_changes_key_and_result(root, tmp_path, change):
    made = changed(step("3_infer", root, root.parent), out=tmp_path)
    other = changed(step("3_infer", root, root.parent, {"infer": change}), out=tmp_path)
    keys = [infer.cache(s, infer.load_detector(s)).folder for s in (made, other)]
    assert keys[0] != keys[1]
    assert len(infer.predict(made).boxes) > len(infer.predict(other).boxes) > 0


def test_the_score_threshold_holds(root, tmp_path):
    made = changed(step("3_infer", root, root.parent), out=tmp_path)
    scores = np.sort(infer.predict(made).boxes.score)
    middle = {"score_threshold": float(scores[len(scores) // 2])}
    other = step("3_infer", root, root.parent, {"infer": {"detections": middle}})
    found = infer.predict(changed(other, out=tmp_path)).boxes.score
    assert 0 < len(found) < len(scores) and found.min() > middle["score_threshold"]


def test_no_setting_of_inference_belongs_to_training(root, tmp_path):
    made = step("2_train", root, root.parent)
    other = step("2_train", root, root.parent, {"infer": {"detections": {"limit": 1}}})
    assert made.fingerprint == other.fingerprint


def test_weights_of_another_method_or_other_classes_are_refused(root, tmp_path):
    made = step("3_infer", root, root.parent, SELSA, "selsa_staged")
    with pytest.raises(EgolibError, match=r"weights of single[\s\S]*--variant"):
        infer.load_detector(made)
    classes = [["mug", "n1"], ["jar", "n2"], ["pan", "n3"]]
    changes = {"data": {"classes": classes}, "model": {"classes": 3}}
    with pytest.raises(EgolibError, match="weights for 2 classes"):
        infer.load_detector(step("3_infer", root, root.parent, changes))


def test_a_device_that_is_not_there(root):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    made = step("3_infer", root, root.parent, {"infer": {"device": "cuda"}})
    with pytest.raises(EgolibError, match="has 0 GPUs"):
        infer.predict(made)


def test_impossible_detections_are_refused(root, tmp_path):
    made = changed(step("3_infer", root, root.parent), out=tmp_path)
    found = infer.predict(made)
    infer.check(made, found)
    assert infer.metrics(found)["detections"] == len(found.boxes)
    assert infer.counts(made, found) == {"videos": 2, "frames": 8}
    found.boxes.score[0] = 2
    with pytest.raises(EgolibError, match="impossible"):
        infer.check(made, found)


def test_an_image_that_breaks_costs_its_video_alone(root, tmp_path, monkeypatch):
    """The others are finished and kept, the error names the image, and mending it is enough."""
    made = changed(step("3_infer", root, root.parent), out=tmp_path)
    source = infer.evaluation_source(made)
    file = source.images / source.index.path(int(source.index.frames(0)[1]))
    whole = file.read_bytes()
    try:
        file.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(EgolibError, match="1 of 2 videos failed, the others are") as found:
            infer.predict(made)
    finally:
        file.write_bytes(whole)
    assert file.name in str(found.value) and "goes on from here" in str(found.value)
    computed, compute = [], Detector._predict_chain
    monkeypatch.setattr(
        Detector, "_predict_chain", lambda s, c: computed.append(c[0].name) or compute(s, c)
    )
    assert len(infer.predict(made).image_id) == 8
    assert computed == [source.index.video_name[0].decode()]
