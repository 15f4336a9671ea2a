"""The bridge to mmdet 3.x (``make bridge-mmdet``): our detectors there, its detectors here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.ops import roi_align

from egolib.errors import EgolibError
from egolib.interop import mmcv_kernels, mmdet_detect
from egolib.interop.mmdet import load_frames, model_settings, register, test_pipeline
from egolib.report.results import read_result
from egolib.vod import api
from egolib.vod.api import Detector
from egolib.vod.config import DataConfig, InferConfig, ModelConfig
from egolib.vod.config.data import BY_METHOD
from egolib.vod.data.batches import make_frames
from egolib.vod.data.dataset import make_source, test_videos
from egolib.vod.data.pipeline import Prepared, prepare
from egolib.vod.evaluation import evaluate, evaluate_files, motion_table
from egolib.vod.formats.submission import validate
from tests.vod.made import make_data
from tests.vod.small import CLASSES, clip, make, settings

pytest.importorskip("mmdet", reason="mmdet is not installed: make bridge-mmdet")
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("mmdet")]
NAMES = tuple((f"class{i}", "") for i in range(CLASSES))


@pytest.fixture(scope="module", autouse=True)
def registered() -> None:
    register()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> DataConfig:
    return make_data(tmp_path_factory.mktemp("vod"))


def small_data(method: str) -> DataConfig:
    """Published preparation, on small images."""
    data = BY_METHOD[method]()
    pipeline = replace(data.pipeline, long_side=96, short_side=64, divisor=32)
    return replace(data, pipeline=pipeline, classes=NAMES)


def few(config: ModelConfig) -> InferConfig:
    """Settings of testing with small memories and few references."""
    made = settings(config)
    if made.references.method == "none":
        return made
    return replace(made, references=replace(made.references, window=(-1, 2)))


def ours_in_mmdet(name: str, folder: Path, clips: bool = False):
    """A reduced detector with random weights in mmdet, and the same detector on its own."""
    from egolib.interop.mmdet_models import build_mmdet

    model, config = make(name)
    data = small_data(config.method)
    weights = api.save(folder / f"{name}.safetensors", model, config, data)
    settings = model_settings(config, data, infer=few(config), weights=weights, clips=clips)
    return build_mmdet(settings).eval(), Detector(model, config, data, few(config))


def picture(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)
    return coarse.repeat(16, 0).repeat(16, 1)  # (96, 128, 3)


# ------------------------------------------------------------------------- operators


@pytest.mark.parametrize("sampling_ratio", [0, 2])
@pytest.mark.parametrize("aligned", [True, False])
def test_roi_align_and_its_gradient(sampling_ratio: int, aligned: bool):
    from mmcv.ops import RoIAlign

    features = torch.randn(2, 3, 16, 20, requires_grad=True)
    corners = torch.rand(5, 2) * 40
    boxes = torch.cat([corners, corners + 5 + torch.rand(5, 2) * 30], 1)
    rois = torch.cat([torch.tensor([[0.0], [0], [1], [1], [1]]), boxes], 1)
    layer = RoIAlign((4, 5), 0.25, sampling_ratio, aligned=aligned)
    found = layer(features, rois)
    weight = torch.randn_like(found)
    gradient = torch.autograd.grad((found * weight).sum(), features)[0]
    wanted = roi_align(features, rois, (4, 5), 0.25, sampling_ratio, aligned)
    torch.testing.assert_close(found, wanted)
    expected = torch.autograd.grad((wanted * weight).sum(), features)[0]
    torch.testing.assert_close(gradient, expected)


def test_nms_with_and_without_the_last_pixel():
    from mmcv.ops import nms

    boxes = torch.tensor([[0.0, 0, 9, 9], [0, 5, 9, 14], [50, 50, 60, 60]])
    scores = torch.tensor([0.9, 0.8, 0.7])
    # rows 5 to 9 are common: IoU 4/14 of plain boxes, 5/15 where the last pixel counts
    assert nms(boxes, scores, 0.3, offset=0)[1].tolist() == [0, 1, 2]
    assert nms(boxes, scores, 0.3, offset=1)[1].tolist() == [0, 2]
    assert nms(torch.zeros(0, 4), torch.zeros(0), 0.3)[1].tolist() == []


def test_other_operators_say_what_is_missing():
    if not mmcv_kernels.install():
        pytest.skip("mmcv has its compiled operators here")
    from mmcv.ops import soft_nms

    with pytest.raises(EgolibError, match="softnms"):
        soft_nms(torch.rand(3, 4), torch.rand(3))


# ------------------------------------------------------------------------ ours there


@pytest.mark.parametrize("name", ["single", "pyramid", "fcos"])
def test_our_frame_detector_predicts_through_mmdet(name: str, tmp_path: Path):
    from mmdet.apis import inference_detector
    from mmengine.config import Config

    theirs, ours = ours_in_mmdet(name, tmp_path)
    steps = test_pipeline(ours.data.pipeline)
    theirs.cfg = Config({"test_dataloader": {"dataset": {"pipeline": steps}}})
    image = picture()
    found = inference_detector(theirs, image).pred_instances
    frames = make_frames([prepare(image, ours.data.pipeline)], [0])
    wanted = ours.model.step(frames, ours.model.start_video(ours.settings))
    assert len(wanted.scores) > 0
    order = wanted.scores.argsort(descending=True, stable=True)
    torch.testing.assert_close(found.bboxes, wanted.boxes[order], rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(found.scores, wanted.scores[order], rtol=1e-4, atol=1e-5)
    assert found.labels.tolist() == wanted.labels[order].tolist()


def track_sample(images: np.ndarray, key: int | None = None):
    """A clip or video of mmdet: uint8 images (T, 3, H, W) with two objects in the key frame."""
    from mmdet.structures import DetDataSample, TrackDataSample
    from mmengine.structures import InstanceData

    truth, samples = clip(0).truth, []
    for place in range(len(images)):
        shape = images.shape[-2:]
        about = {"img_shape": shape, "ori_shape": shape, "scale_factor": (1.0, 1.0)}
        sample = DetDataSample(metainfo={**about, "frame_id": place})
        sample.gt_instances = InstanceData(bboxes=truth.boxes, labels=truth.labels)
        samples.append(sample)
    whole = TrackDataSample()
    whole.video_data_samples = samples
    if key is not None:
        others = [i for i in range(len(images)) if i != key]
        whole.set_metainfo({"key_frames_inds": [key], "ref_frames_inds": others})
    return whole


def video_of(count: int) -> np.ndarray:
    """(T, 3, 64, 96) uint8, BGR as mmdet reads images."""
    base = picture()[:64, :96].transpose(2, 0, 1)
    return np.stack([np.roll(base, 4 * i, axis=2) for i in range(count)])


METHODS = ("single", "selsa", "mamba", "mega", "stpn", "tdvit", "eovod", "dff", "fgfa")


@pytest.mark.parametrize("name", METHODS)
def test_every_method_detects_in_a_video_of_mmdet(name: str, tmp_path: Path):
    theirs, ours = ours_in_mmdet(name, tmp_path, clips=True)
    images = video_of(5)
    batch = {"inputs": [torch.from_numpy(images)], "data_samples": [track_sample(images)]}
    with torch.no_grad():
        [found] = theirs.test_step(batch)
    pixels = theirs.data_preprocessor(batch)["inputs"][0].numpy()
    wanted = dict(ours.stream(FromArrays(pixels)))
    assert sum(len(w.scores) for w in wanted.values()) > 0
    for place, expected in wanted.items():
        instances = found[place].pred_instances
        torch.testing.assert_close(instances.bboxes, expected.boxes)
        torch.testing.assert_close(instances.scores, expected.scores)
        assert instances.labels.tolist() == expected.labels.tolist()


class FromArrays:
    """Normalised frames (T, 3, H, W) as a video of ours."""

    number = 0

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels, self.order = pixels, range(len(pixels))

    def __len__(self) -> int:
        return len(self.pixels)

    def input(self, place: int) -> Prepared:
        pixels = self.pixels[place]
        nothing, labels = np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
        return Prepared(pixels, pixels.shape[-2:], nothing, labels, np.ones(4, np.float32))


@pytest.mark.parametrize("name", [m for m in METHODS if m != "mega"])
def test_every_method_trains_a_step_through_mmdet(name: str, tmp_path: Path):
    from mmengine.optim import OptimWrapper

    theirs, _ = ours_in_mmdet(name, tmp_path, clips=True)
    images = video_of(5 if name == "tdvit" else 3)
    batch = {"inputs": [torch.from_numpy(images)], "data_samples": [track_sample(images, key=1)]}
    theirs.train()
    before = {n: p.detach().clone() for n, p in theirs.named_parameters() if p.requires_grad}
    optimizer = OptimWrapper(torch.optim.SGD(theirs.parameters(), lr=1e-3))
    log = theirs.train_step(batch, optimizer)
    assert all(torch.isfinite(value).all() for value in log.values())
    parts = [v for n, v in log.items() if n.startswith("loss_")]
    torch.testing.assert_close(log["loss"], torch.stack(parts).sum())
    moved = [n for n, p in theirs.named_parameters() if n in before and not p.equal(before[n])]
    assert len(moved) > len(before) / 2


def test_a_method_with_references_refuses_single_images(tmp_path: Path):
    theirs, _ = ours_in_mmdet("selsa", tmp_path)
    sample = track_sample(video_of(1))[0]
    with pytest.raises(EgolibError, match="trains on clips"):
        theirs.loss(torch.zeros(1, 3, 64, 96), [sample])


def test_a_published_network_is_named():
    settings = model_settings("selsa_r101_dc5", clips=True)
    assert settings["data_preprocessor"]["type"] == "TrackDataPreprocessor"
    assert settings["network"]["method"] == "selsa"
    with pytest.raises(EgolibError, match="selsa"):
        model_settings("selsa_r101_dc")
    with pytest.raises(EgolibError, match="counterpart"):
        test_pipeline(BY_METHOD["mega"]().pipeline)


# ----------------------------------------------------------------------- theirs here


def faster_rcnn(classes: int = 2) -> dict:
    """The configuration of a small Faster R-CNN on ResNet-18 with a pyramid."""
    coder = {"type": "DeltaXYWHBBoxCoder", "target_means": [0.0] * 4}
    anchors = {"type": "AnchorGenerator", "scales": [4], "ratios": [1.0]}
    assigner = {"type": "MaxIoUAssigner", "pos_iou_thr": 0.5, "neg_iou_thr": 0.5}
    sampler = {"type": "RandomSampler", "num": 32, "pos_fraction": 0.5}
    examples = {"assigner": assigner, "sampler": sampler, "pos_weight": -1}
    suppression = {"type": "nms", "iou_threshold": 0.7}
    proposals = {"nms_pre": 100, "max_per_img": 50, "nms": suppression, "min_bbox_size": 0}
    cross_entropy = {"type": "CrossEntropyLoss"}
    return {
        "type": "FasterRCNN",
        "data_preprocessor": {
            "type": "DetDataPreprocessor",
            "mean": [123.675, 116.28, 103.53],
            "std": [58.395, 57.12, 57.375],
            "bgr_to_rgb": True,
            "pad_size_divisor": 32,
        },
        "backbone": {
            "type": "ResNet",
            "depth": 18,
            "base_channels": 8,
            "norm_cfg": {"type": "BN"},
            "init_cfg": {"type": "Pretrained", "checkpoint": "must not be fetched"},
        },
        "neck": {
            "type": "FPN",
            "in_channels": [8, 16, 32, 64],
            "out_channels": 16,
            "num_outs": 5,
        },
        "rpn_head": {
            "type": "RPNHead",
            "in_channels": 16,
            "feat_channels": 16,
            "anchor_generator": {**anchors, "strides": [4, 8, 16, 32, 64]},
            "bbox_coder": {**coder, "target_stds": [1.0] * 4},
            "loss_cls": {**cross_entropy, "use_sigmoid": True},
            "loss_bbox": {"type": "L1Loss"},
        },
        "roi_head": {
            "type": "StandardRoIHead",
            "bbox_roi_extractor": {
                "type": "SingleRoIExtractor",
                "roi_layer": {"type": "RoIAlign", "output_size": 7, "sampling_ratio": 0},
                "out_channels": 16,
                "featmap_strides": [4, 8, 16, 32],
            },
            "bbox_head": {
                "type": "Shared2FCBBoxHead",
                "in_channels": 16,
                "fc_out_channels": 32,
                "roi_feat_size": 7,
                "num_classes": classes,
                "bbox_coder": {**coder, "target_stds": [0.1, 0.1, 0.2, 0.2]},
                "loss_cls": cross_entropy,
                "loss_bbox": {"type": "L1Loss"},
            },
        },
        "train_cfg": {
            "rpn": {**examples, "allowed_border": -1},
            "rpn_proposal": proposals,
            "rcnn": examples,
        },
        "test_cfg": {
            "rpn": proposals,
            "rcnn": {"score_thr": 0.0, "nms": {**suppression, "iou_threshold": 0.5}},
        },
    }


def whole(classes: tuple[str, ...] = ("mug", "jar")) -> dict:
    """A configuration with a small test pipeline and class names."""
    steps = [{"type": "Resize", "scale": (96, 64), "keep_ratio": True}]
    dataset = {"metainfo": {"classes": classes}, "pipeline": steps}
    model = faster_rcnn(len(classes))
    model["test_cfg"]["rcnn"]["max_per_img"] = 20
    return {"model": model, "test_dataloader": {"dataset": dataset}}


def test_an_mmdet_detector_goes_through_the_evaluation(made: DataConfig):
    torch.manual_seed(0)
    detector = load_frames(whole(), wanted=made.classes)
    assert detector.data.pipeline.short_side == 64 and detector.data.pipeline.channels == "rgb"
    data = replace(detector.data, evaluation=made.evaluation)
    source = make_source(made.evaluation, made.images_vid, data, train=False)
    detections = detector.predict(test_videos(source, data, detector.settings))
    validate(detections, source.index.image_id, ("mug", "jar"))
    assert len(detections.boxes.score) > 0
    scores = evaluate(source, detections, motion_table(source))
    assert 0 <= scores["AP50"] <= 1
    assert 0 <= scores["coco"]["bbox_mAP_50"] <= 1


def test_a_data_set_from_the_command_line(made: DataConfig, tmp_path: Path, capsys):
    from mmengine.config import Config

    Config(whole(("cup", "jar"))).dump(tmp_path / "small.py")
    arguments = ["--annotations", made.evaluation, "--images", made.images_vid]
    command = [str(tmp_path / "small.py"), *arguments, "--out", str(tmp_path)]
    torch.manual_seed(0)
    mmdet_detect.main([*command, "--rename", "cup=mug"])
    file = capsys.readouterr().out.strip()
    result = read_result(tmp_path)
    assert (result["variant"], result["step"], result["data"]["frames"]) == ("small", "3_infer", 8)
    scores = evaluate_files(made.evaluation, file)
    assert 0 <= scores["AP50"] <= 1 and set(scores["classes"]) == {"mug", "jar"}
    for wrong, code in ((["--rename", "cup"], 2), (["--checkpoint", "none.pth"], 1)):
        with pytest.raises(SystemExit) as end:
            mmdet_detect.main([*command, *wrong])
        assert end.value.code == code


def test_its_detections_equal_those_of_mmdets_own_api():
    from mmdet.apis import inference_detector
    from mmengine.config import Config

    torch.manual_seed(0)
    detector = load_frames(whole())
    model, image = detector.model.model, picture()
    model.cfg = Config({"test_dataloader": {"dataset": {"pipeline": test_pipeline(
        detector.data.pipeline)}}})  # fmt: skip
    wanted = inference_detector(model, image).pred_instances
    frames = make_frames([prepare(image, detector.data.pipeline)], [0])
    found = detector.model.step(frames)
    assert len(found.scores) > 0
    torch.testing.assert_close(found.boxes, wanted.bboxes, rtol=1e-4, atol=1e-2)
    torch.testing.assert_close(found.scores, wanted.scores, rtol=1e-4, atol=1e-5)


def test_classes_are_chosen_and_renamed():
    torch.manual_seed(0)
    kept = load_frames(
        whole(("cow", "cup", "jar")), wanted=[("jar", ""), ("mug", "")], rename={"cup": "mug"}
    )
    assert kept.class_names == ("jar", "mug")
    assert kept.model.labels.tolist() == [-1, 1, 0]
    frames = make_frames([prepare(picture(), kept.data.pipeline)], [0])
    assert set(kept.model.step(frames).labels.tolist()) <= {0, 1}
    with pytest.raises(EgolibError, match="none of the wanted"):
        load_frames(whole(), wanted=[("zebra", "")])
    settings = whole()
    del settings["test_dataloader"]["dataset"]["metainfo"]
    with pytest.raises(EgolibError, match="names no classes"):
        load_frames(settings)


def test_an_mmdet_detector_trains_in_our_loop():
    torch.manual_seed(0)
    frames = load_frames(whole()).model.train()
    sample = clip(0)
    losses = frames.losses(
        replace(sample, truth=replace(sample.truth, labels=torch.tensor([0, 1])))
    )
    assert {"loss_rpn_cls", "loss_rpn_bbox", "loss_cls", "loss_bbox"} <= set(losses)
    torch.stack(list(losses.values())).sum().backward()
    assert frames.model.backbone.layer1[0].conv1.weight.grad is not None


def test_weights_are_loaded_strictly(tmp_path: Path):
    torch.manual_seed(0)
    state = load_frames(whole()).model.model.state_dict()
    torch.save({"meta": {"epoch": 1}, "state_dict": state}, tmp_path / "a.pth")
    loaded = load_frames(whole(), tmp_path / "a.pth").model.model.state_dict()
    assert all(torch.equal(value, loaded[name]) for name, value in state.items())
    state.popitem()
    torch.save({"state_dict": state}, tmp_path / "b.pth")
    with pytest.raises(EgolibError, match="missing"):
        load_frames(whole(), tmp_path / "b.pth")
