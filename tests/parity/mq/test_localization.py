"""Anchors, coder, matching, boundary adjustment, suppression and results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from egolib.errors import EgolibError
from egolib.mq.config import InferConfig, LossConfig
from egolib.mq.data.annotations import clips_of
from egolib.mq.data.classes import class_names
from egolib.mq.evaluation import evaluate
from egolib.mq.formats.submission import CHALLENGE, merge_submission, result_file
from egolib.mq.localization.anchors import decode, encode, make_anchors
from egolib.mq.localization.assignment import assign_batch, box_iou, match
from egolib.mq.localization.proposals import ClipOutputs, Proposals, propose
from egolib.mq.localization.ranking import detect, retrieve
from egolib.mq.localization.suppression import nms_by_class, soft_nms
from egolib.mq.losses.vsgn import box_loss
from egolib.mq.models.boundary import BoundaryAdjustment
from egolib.mq.models.heads import flatten_levels
from tests.parity.mq.levels import named_levels
from tests.parity.mq.networks import config_of, meta, official_state, part, targets_of
from tests.parity.recordings import normal, read, recipe

# --------------------------------------------------------------------------- anchors


@pytest.mark.recordings("anchors")
def test_anchors(recording: Path) -> None:
    recorded = read(recording)
    for case, about in meta(recorded).items():
        config = config_of(about["options"])
        anchors = make_anchors(config.level_lengths, config.anchor_scales)
        scales = len(config.anchor_scales)
        assert [n * scales for n in config.level_lengths] == about["per_level"]
        expected = part(recorded, case)
        np.testing.assert_array_equal(anchors[:: about["stride"]], expected["anchors"])
        if "sum" in expected:
            np.testing.assert_allclose(anchors.double().sum(0), expected["sum"], rtol=1e-12)


@pytest.mark.recordings("box_coder")
def test_box_coder(recording: Path) -> None:
    recorded = read(recording)
    anchor, truth, offsets = (torch.from_numpy(recorded[n]) for n in ("anchor", "gt", "pred"))
    tolerance = meta(recorded)["tolerance"]
    near(encode(anchor, truth), recorded["encode"], tolerance)
    near(decode(anchor, offsets), recorded["decode"], tolerance)
    near(decode(anchor, encode(anchor, truth)), recorded["decode_encode"], tolerance)
    count = recorded["iou"].shape[1]
    near(box_iou(anchor, truth[:count]).T, recorded["iou"], tolerance)


def near(found: torch.Tensor, expected: np.ndarray, tolerance: float) -> None:
    """Equal relative to max(1, absolute value)."""
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


# ------------------------------------------------------------------------ assignment


@pytest.mark.recordings("matcher")
def test_matcher(recording: Path) -> None:
    recorded = read(recording)
    for case, about in meta(recorded).items():
        if isinstance(about, str):  # the official matcher refuses empty input
            continue
        values = part(recorded, case)
        quality = torch.from_numpy(values["quality"])
        found = match(quality, about["threshold"], low_quality=about["low_quality"])
        np.testing.assert_array_equal(found, values["match"])


@pytest.mark.recordings("assignment")
def test_assignment(recording: Path) -> None:
    recorded = read(recording)
    for case, about in meta(recorded).items():
        config = config_of(about["options"])
        boxes = boxes_to_assign(recording, about, config)
        moments = [scaled(clip, config.length) for clip in about["gt"]]
        labels = [torch.tensor([int(s[2]) for s in clip], dtype=torch.long) for clip in about["gt"]]
        threshold = about["options"]["iou_thr"][about["stage"]]
        found = assign_batch(boxes, moments, labels, threshold, LossConfig())
        if about["error"]:  # a clip without moments: ours is all background
            assert not found.positive[[len(m) == 0 for m in moments]].any()
            continue
        each = boxes.expand(len(moments), -1, 2)
        for row in range(len(moments)):
            check_assigned(
                found.classes[row], encode(each[row], found.moments[row]), recorded, f"{case}|{row}"
            )


def boxes_to_assign(recording: Path, about: dict[str, Any], config: Any) -> torch.Tensor:
    """Anchors (A, 2), or boxes (B, A, 2) decoded from named offsets."""
    anchors = make_anchors(config.level_lengths, config.anchor_scales)
    if about["decode"] is None:
        return anchors
    scales = len(config.anchor_scales)
    offsets = [
        normal(about["stream"].replace("<level>", str(level)), (len(about["gt"]), n * scales, 2))
        for level, n in enumerate(config.level_lengths)
    ]
    amplitude = np.float32(about["decode"])
    return decode(anchors, torch.from_numpy(np.concatenate(offsets, 1) * amplitude))


def scaled(segments: list, length: int) -> torch.Tensor:
    """Moments as the losses get them: float32 fractions of the scale, times the scale."""
    table = np.array(segments, np.float64).reshape(-1, 3)[:, :2] / length
    return torch.from_numpy(table.astype(np.float32) * np.float32(length))


def check_assigned(classes: torch.Tensor, offsets: torch.Tensor, recorded: dict, name: str) -> None:
    positive = torch.nonzero(classes > 0).squeeze(1)
    np.testing.assert_array_equal(positive, recorded[f"{name}/positive"])
    np.testing.assert_array_equal(classes[positive], recorded[f"{name}/label"])
    if f"{name}/negatives" in recorded:
        assert (classes == 0).sum() == recorded[f"{name}/negatives"].item()
    near(offsets[positive], recorded[f"{name}/target"], 1e-4)
    if f"{name}/target_all_stat" not in recorded:
        return
    statistics = [offsets.double().mean(), offsets.double().std(correction=0)]
    np.testing.assert_allclose(statistics, recorded[f"{name}/target_all_stat"], rtol=1e-4)


# -------------------------------------------------------------------------- boundary


@pytest.mark.recordings("boundary")
def test_boundary_adjustment(recording: Path, device: str) -> None:
    recorded = read(recording)
    for case, about in meta(recorded).items():
        if "keys" in about:
            check_boundary(recording, case, about, part(recorded, case), device)
        else:
            check_decoding(recording, about, part(recorded, case))


def check_boundary(
    recording: Path, case: str, about: dict[str, Any], values: dict, device: str
) -> None:
    config = config_of(about["options"])
    module = BoundaryAdjustment(config)
    state = official_state(about["keys"], about["seed"])
    renamed = {
        f"{end}.{ours}.{kind}": state[f"{end}_conv.{number}.{kind}"]
        for end in ("start", "end")
        for ours, number in (("hidden", 0), ("output", 2))
        for kind in ("weight", "bias")
    }
    module.load_state_dict(renamed)
    module.to(device)
    stream = recipe(recording)["boundary_feature_stream"].replace("<case>", case)
    shape = tuple(about["features"])
    finest = torch.from_numpy(normal(stream, shape)).to(device).requires_grad_()
    boxes = torch.from_numpy(values["boxes"]).to(device).requires_grad_()
    offsets = module(boxes, finest)
    adjusted = boxes + offsets
    for found, name in (
        (offsets[..., 0], "start_offset"),
        (offsets[..., 1], "end_offset"),
        (adjusted, "adjusted"),
    ):
        if name in values:
            near(found.detach().cpu(), values[name], 1e-5)
    clips = len(about["segments"])
    targets = targets_of(about["segments"], [about["num_frms"]] * clips, config.length, device)
    rules = LossConfig()
    assignment = assign_batch(boxes, targets.moments, targets.labels, rules.boundary_iou, rules)
    loss = box_loss(adjusted, boxes, assignment, rules)
    loss.backward()
    assert boxes.grad is not None and finest.grad is not None
    np.testing.assert_allclose(loss.item(), values["loss"], rtol=1e-5)
    if "box_grad" in values:
        np.testing.assert_allclose(boxes.grad.cpu(), values["box_grad"], rtol=1e-5, atol=1e-6)
    if "feat_grad_norm" in values:
        norm = finest.grad.norm().cpu()
        np.testing.assert_allclose(norm, values["feat_grad_norm"][0], rtol=1e-5)
    gradient = module.start.output.weight.grad
    assert gradient is not None
    if "start_conv_grad" in values:
        near(gradient.cpu(), values["start_conv_grad"], 1e-5)


def check_decoding(recording: Path, about: dict[str, Any], values: dict) -> None:
    config = config_of(about["options"])
    clips = len(values["score"])
    outputs = {
        kind: named_levels(about["stream"], "{cls,reg}", kind, clips, count, config)
        for kind, count in (("cls", config.classes), ("reg", 2))
    }
    logits = flatten_levels([x * about["cls_amplitude"] for x in outputs["cls"]], config.classes)
    offsets = flatten_levels([x * about["reg_amplitude"] for x in outputs["reg"]], 2)
    anchors = make_anchors(config.level_lengths, config.anchor_scales)
    near(logits.softmax(-1), values["score"], 1e-5)
    if "loc" in values:
        near(decode(anchors, offsets), values["loc"], 1e-5)


# ----------------------------------------------------------------------- suppression


@pytest.mark.recordings("nms")
def test_suppression(recording: Path) -> None:
    recorded = read(recording)
    for case in meta(recorded)["cases"]:
        values = part(recorded, case)
        start, end, score, label = values["input"].T
        segments = np.stack([start, end], 1)
        for name, expected in values.items():
            kind, *settings = name.split("/")
            if kind == "keep":
                everything = np.ones((1, len(score)), bool)
                (kept,) = nms_by_class(segments, score[None], everything, float(settings[0]))
                assert kept.tolist() == expected.tolist(), (case, name)
            elif kind == "soft":
                sigma, limit = float(settings[0]), int(settings[1])
                picks, decayed = soft_nms(
                    segments, score, label.astype(int), sigma=sigma, limit=limit
                )
                found = np.column_stack([decayed, segments[picks], label[picks]])
                assert found.shape == expected.shape, (case, name)
                np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


@pytest.mark.recordings("proposals")
def test_proposals(recording: Path) -> None:
    for clip, (found, expected) in proposals_of(recording).items():
        rows = np.column_stack([found.segments_sec, found.scores, found.labels])
        assert rows.shape == expected.shape, clip
        np.testing.assert_allclose(rows, expected, rtol=1e-6, atol=1e-6)


def proposals_of(recording: Path) -> dict[str, tuple[Proposals, np.ndarray]]:
    """By clip uid: our candidates, and the recorded rows."""
    recorded = read(recording)
    found = {}
    for case, about in meta(recorded).items():
        values = part(recorded, case)
        outputs = ClipOutputs(values["score"], values["loc"], values["start"], values["end"])
        config = InferConfig(nms_iou=about["nms_thr"])
        proposals = propose(outputs, about["num_frms"], about["fps"], config)
        found[about["clip"]] = (proposals, values["rows"])
    return found


# --------------------------------------------------------------------------- results


@pytest.mark.recordings("results")
def test_results(recording: Path) -> None:
    expected = read(recording)
    clips = {c.clip_uid: c for c in clips_of(read(recording.parent / "clips.json"))}
    classes = read(recording.parent / "classes.json")
    names = class_names(classes)
    proposals = {
        clip: found
        for file in recording.parent.glob("proposals*.npz")
        for clip, (found, _) in proposals_of(file).items()
    }
    files: dict[str, dict[str, Any]] = {}
    for split in ("val", "test"):
        answers: dict[str, dict] = {"detection": {}, "retrieval": {}}
        for uid in expected["files"][split]["detection"]["results"]:
            clip, found = clips[uid], proposals.get(uid, NOTHING)
            asked = None if split == "test" else [classes[label] for label in clip.labels]
            seconds, config = clip.duration_sec, InferConfig()
            answers["detection"][uid] = detect(found, seconds, config).records(names)
            answers["retrieval"][uid] = retrieve(found, seconds, asked, config).records(names)
        files[split] = {kind: result_file(values) for kind, values in answers.items()}
        for kind in answers:
            check_results(files[split][kind], expected["files"][split][kind])
    check_merged(files["val"], expected["files"]["submission_keys"])
    truth = [clip for clip in clips.values() if clip.subset == "val"]
    check_evaluation(truth, files["val"], expected["evaluation"])


NOTHING = Proposals(np.zeros((0, 2)), np.zeros(0), np.zeros(0, np.int64))


def check_results(found: dict[str, Any], expected: dict[str, Any]) -> None:
    ours, theirs = found["results"], expected["results"]
    assert list(ours) == list(theirs)
    assert {**found, "results": 0} == {**expected, "results": 0}
    for uid, records in theirs.items():
        assert [r["label"] for r in ours[uid]] == [r["label"] for r in records]
        for name, tolerance in (("score", 1e-6), ("segment", 1e-9)):
            values = [[r[name] for r in side] for side in (ours[uid], records)]
            np.testing.assert_allclose(*values, rtol=0, atol=tolerance * 1.001)


def check_merged(files: dict[str, Any], expected: dict[str, Any]) -> None:
    merged = merge_submission(files["detection"]["results"], files["retrieval"]["results"])
    assert merged["challenge"] == CHALLENGE
    assert list(merged) == list(expected)
    for name, value in expected.items():
        found = merged[name]
        assert (sorted(found) if isinstance(found, dict) else found) == value


def check_evaluation(truth: list, files: dict[str, Any], expected: dict[str, Any]) -> None:
    results = [files[kind]["results"] for kind in ("detection", "retrieval")]
    found = evaluate(truth, *results)
    assert found.detection is not None and found.retrieval is not None
    by_class = dict(zip(found.classes, found.detection.values, strict=False))
    assert by_class.keys() == expected["ap"].keys()
    for name, values in expected["ap"].items():
        np.testing.assert_allclose(by_class[name], values, rtol=0, atol=1e-9)
    np.testing.assert_allclose(found.detection.by_threshold, expected["mAP"], atol=1e-9)
    assert found.detection.mean == pytest.approx(expected["average"], abs=1e-9)
    np.testing.assert_allclose(found.retrieval.values, expected["recall"], atol=1e-9)


@pytest.mark.recordings("results")
def test_ego4d_retrieval_of_the_test_split_is_refused(recording: Path) -> None:
    """Ego4D's own code asks the absent truth for the classes, and fails."""
    assert read(recording)["files"]["test"].get("retrieval_ego4d", "ValueError") == "ValueError"
    clips = clips_of(read(recording.parent / "clips.json"))
    unanswered = [c for c in clips if c.subset == "test"]
    assert not any(c.labels for c in unanswered)
    with pytest.raises(EgolibError, match="no moment"):
        evaluate(unanswered, {}, {})
