"""Converters, reference sampling, order of test frames, image pipelines."""

from __future__ import annotations

import copy
import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from egolib.vod.config.data import PipelineConfig, ReferenceConfig
from egolib.vod.data.classes import IMAGENET_VID, make_categories
from egolib.vod.data.cocovid import check_cocovid, convert_det, convert_vid
from egolib.vod.data.index import make_index
from egolib.vod.data.lists import DET_TRAIN, VID_TRAIN, VID_VAL, find_list, read_images, read_videos
from egolib.vod.data.pipeline import make_sample, prepare, prepare_clip
from egolib.vod.data.references import test_order, test_places, training_references
from tests.parity import inputs
from tests.parity.recordings import auxiliary, read

METHODS = {"test_with_adaptive_stride": "adaptive_stride", "test_with_fix_stride": "fixed_stride"}


@pytest.mark.recordings("convert")
@pytest.mark.parametrize("workers", [1, 2])
def test_converters(recording: Path, tmp_path: Path, workers: int):
    case = read(recording)
    for name, text in case["files"].items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    categories = make_categories(IMAGENET_VID)
    train = read_videos(find_list(tmp_path, VID_TRAIN))
    val = read_videos(find_list(tmp_path, VID_VAL))
    listed = read_images(find_list(tmp_path, DET_TRAIN))
    vid, det = tmp_path / "Annotations/VID", tmp_path / "Annotations/DET"
    made = {
        "imagenet_vid_train.json": convert_vid(vid, train, categories, train=True, workers=workers),
        "imagenet_vid_val.json": convert_vid(vid, val, categories, train=False, workers=workers),
        "imagenet_det_30plus1cls.json": convert_det(det, listed, categories, workers=workers),
    }
    assert made.keys() == case["expected"].keys()
    for name, expected in case["expected"].items():
        assert json.dumps(made[name]) == json.dumps(expected), name  # order of fields too
    assert not check_cocovid(made["imagenet_vid_val.json"], "val", videos=val)
    assert not check_cocovid(made["imagenet_vid_train.json"], "train", videos=train)
    assert not check_cocovid(made["imagenet_det_30plus1cls.json"], "det", images=listed)


def sampling_annotations(recording: Path, case: dict) -> dict:
    """The data set that a sampling case is about."""
    source = read(auxiliary(recording, recording.name.replace("sampling", "evaluation")))
    content = copy.deepcopy(source["cases"]["shuffled"]["annotations"])
    if not case["test_mode"]:
        for image in content["images"]:
            image["is_vid_train_frame"] = image["frame_id"] % 3 == 1
    return content


def reference_config(config: dict) -> ReferenceConfig:
    reach = config["frame_range"]
    window = (-reach, reach) if isinstance(reach, int) else tuple(reach)
    method = METHODS.get(config["method"], config["method"])
    without_key = config.get("filter_key_img", True)
    stride = config.get("stride", 1)
    return ReferenceConfig(
        method, config["num_ref_imgs"], window, without_key=without_key, stride=stride
    )


@pytest.mark.recordings("sampling")
def test_reference_sampling(recording: Path):
    for name, case in read(recording).items():
        index = make_index(sampling_annotations(recording, case))
        config = reference_config(case["config"])
        if case["test_mode"]:
            seed = case["seed_before_loading"] if name.endswith("shuffled") else None
            rows = test_order(index, seed)
            chosen = []
            for row in rows:
                frames = index.frames(int(index.video[row]))
                places = test_places(int(index.frame[row]), len(frames), config)
                chosen.append([row, *frames[places].tolist()])
        else:
            rng = random.Random(case["seed_before_sampling"])
            rows = [i for i in range(len(index)) if index.trained[i] and len(index.annotations(i))]
            chosen = [[row, *training_references(index, row, config, rng)] for row in rows]
        found = [index.image_id[row].tolist() for row in chosen]
        assert found == [row["ids"] for row in case["rows"]], name


@pytest.mark.recordings("sampling")
def test_window_of_fixed_strides(recording: Path):
    for case in read(recording).values():
        config = reference_config(case["config"])
        if config.method == "fixed_stride":
            metas = {json.dumps(row["meta"]) for row in case["rows"]}
            meta = {"num_left_ref_imgs": -config.window[0], "frame_stride": config.stride}
            assert metas == {json.dumps(meta)}


def check_input(case: dict, name: str, pixels: np.ndarray) -> None:
    assert list(pixels.shape) == case[f"{name}/shape"].tolist()
    expected = case[f"{name}/subset"]
    np.testing.assert_allclose(inputs.subset(pixels, 3000), expected, rtol=0, atol=1e-4)


@pytest.mark.recordings("pipeline_units")
def test_test_pipeline(recording: Path):
    case, config = read(recording), PipelineConfig()
    prepared = [prepare(image, config) for image in case["images"]]
    check_input(case, "test/img", prepared[0].pixels)
    check_input(case, "test/ref_img", np.stack([p.pixels for p in prepared[1:]]))
    meta = json.loads(str(case["test/meta"]))
    assert prepared[0].size == tuple(meta["img_shape"][:2])
    np.testing.assert_array_equal(prepared[0].scale, np.float32(meta["scale_factor"]))
    assert prepared[0].pixels.shape[1:] == tuple(meta["pad_shape"][:2])


@pytest.mark.recordings("pipeline_units")
@pytest.mark.parametrize(("system", "augmentation"), [("mamba", "plain"), ("stpn", "crops")])
def test_training_pipelines(recording: Path, system: str, augmentation: str):
    case = read(recording)
    config = replace(PipelineConfig(), augmentation=augmentation)
    seeds = {int(name.split("/")[2]) for name in case if name.startswith(f"train/{system}/")}
    assert seeds
    for seed in sorted(seeds):
        truths = [case[f"gt{i}"] for i in range(len(case["images"]))]
        samples = [
            make_sample(image, boxes, np.arange(len(boxes)))
            for image, boxes in zip(case["images"], truths, strict=False)
        ]
        key, *references = prepare_clip(samples, config, np.random.RandomState(seed))
        name = f"train/{system}/{seed}"
        check_input(case, f"{name}/img", key.pixels)
        check_input(case, f"{name}/ref_img", np.stack([r.pixels for r in references]))
        np.testing.assert_allclose(key.boxes, case[f"{name}/gt_bboxes"], rtol=0, atol=1e-4)
        assert key.labels.tolist() == case[f"{name}/gt_labels"].tolist()
        rows = [
            [i, *box, label]
            for i, r in enumerate(references)
            for box, label in zip(r.boxes, r.labels, strict=False)
        ]
        table = np.array(rows, np.float64)
        np.testing.assert_allclose(table[:, :5], case[f"{name}/ref_gt_bboxes"], rtol=0, atol=1e-4)
        np.testing.assert_array_equal(table[:, [0, 5]], case[f"{name}/ref_gt_labels"])
        meta = json.loads(str(case[f"{name}/meta"]))
        assert key.size == tuple(meta["img_shape"][:2])
        np.testing.assert_allclose(key.scale, meta["scale_factor"], rtol=1e-6)
