"""Detectors on one map, on pyramids, with support, memory, prompts and flow: forward passes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from egolib.vod.config.infer import published_infer
from egolib.vod.config.model import TemporalConfig
from egolib.vod.formats.checkpoint import layout
from egolib.vod.models.bank import MemoryBank
from egolib.vod.models.build import build_empty
from egolib.vod.models.flow import warp
from tests.parity.recordings import read
from tests.parity.vod.networks import (
    BUILDERS,
    HEAD,
    Case,
    check,
    check_detections,
    check_proposals,
    check_statistics,
    check_subset,
    holds,
    published,
    read_case,
    settings,
)

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("vod")]


@pytest.fixture(autouse=True)
def no_gradient():
    with torch.no_grad():
        yield


@pytest.mark.recordings("keys")
def test_key_files_load_strictly_and_convert_back(recording: Path):
    system = recording.name.removesuffix(".keys.json")
    config = BUILDERS[system]()
    entries = read(recording)
    state = {
        name: torch.rand(shape) if kind == "float32" else torch.zeros(shape, dtype=torch.int64)
        for name, (kind, shape) in entries.items()
    }
    official = layout(config)
    has_prefix = any(name.startswith(official.prefix) for name in state)
    state |= {k: v for k, v in official.constants.items() if k in state}
    model = build_empty(config).to_empty(device="cpu")
    assert official.load(model, state).complete
    back = official.to_official(model.state_dict(), prefix=has_prefix)
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name].to(value), value) for name, value in state.items())
    kinds = {name: str(v.dtype).removeprefix("torch.") for name, v in back.items()}
    assert kinds == {name: kind for name, (kind, _) in entries.items()}
    del state[max(state)]
    with pytest.raises(Exception, match="does not fit"):
        official.load(model, state)


def check_region_detector(case: Case, model, name: str, ids: list[int], other: list[int]) -> None:
    """Backbone, neck, region proposals of a frame; arrays with more rows belong to the
    pass over ``other``."""
    detector, passes = model.detector, {1: ids, len(other): other}
    maps = detector.backbone(case.images[ids])
    neck = detector.neck(maps)
    output = detector.rpn(neck)
    for part, found in (("backbone", maps[-1:]), ("neck", neck)):
        shape = case.arrays.get(f"{name}/{part}0/shape", [1])
        if shape[0] != 1:
            found = detector.backbone(case.images[passes[int(shape[0])]])[-1:]
            found = detector.neck(found) if part == "neck" else found
        check(case, f"{name}/{part}0", found[0])
    check(case, f"{name}/rpn0_0", output.logits[0])
    if f"{name}/rpn1_0/shape" in case.arrays and case.arrays[f"{name}/rpn1_0/shape"][0] == 1:
        check(case, f"{name}/rpn1_0", output.offsets[0])


@pytest.mark.recordings("frcnn")
def test_faster_rcnn(recording: Path, device: str):
    case = read_case(recording, device)
    model = published(recording, "frcnn", case.info["weight_seed"], device)
    check_region_detector(case, model, "frame0", [0], [0])
    frame = case.frames([0])
    detector = model.detector
    maps = detector.maps(frame.images)
    found = detector.propose(maps, frame.sizes)[0]
    check_proposals(case, "frame0/proposals0", *found)
    if holds(case, "frame0/proposals0"):
        boxes = case.tensor("frame0/proposals0")[:, :4]
        hidden = detector.head.hidden(detector.head.pool(maps, [boxes]))
        output = detector.head.predict(hidden)
        check(case, "frame0/boxhead0", output.logits, HEAD)
        check(case, "frame0/boxhead1", output.offsets.flatten(1), HEAD)
    check_detections(case, "frame0", model.step(frame, model.start_video(settings(model))))
    check_fixed_regions(case, detector, maps)


def check_fixed_regions(case: Case, detector, maps, hidden=None) -> None:
    """Head and detections on recorded regions of frame 0."""
    if not holds(case, "fixed/rois"):
        return
    boxes = case.tensor("fixed/rois")[:, 1:]
    pooled = detector.head.pool(maps, [boxes])
    size = detector.config.head.roi.size
    check(case, "fixed/roi_feats", pooled.unflatten(1, (-1, size, size)))
    x = detector.head.hidden(pooled) if hidden is None else hidden(pooled)
    output = detector.head.predict(x)
    check(case, "fixed/cls_score", output.logits, HEAD)
    check(case, "fixed/bbox_pred", output.offsets.flatten(1), HEAD)
    frame = case.frames([0])
    limits = published_infer(detector.config).detections
    found = detector.head.detect(x, boxes, frame.sizes[0], frame.scales[0], limits)
    check_detections(case, "fixed", found)


def fixed_support(case: Case, model) -> torch.Tensor:
    """Pooled features of the recorded support regions on the reference frames."""
    rows = case.tensor("fixed/ref_rois")
    references = case.references()
    regions = [rows[rows[:, 0] == i, 1:] for i in range(len(references))]
    maps = model.detector.maps(references.images)
    return model.head.pool(maps, regions)


@pytest.mark.recordings("selsa")
def test_selsa(recording: Path, device: str):
    case = read_case(recording, device)
    model = published(recording, "selsa", case.info["weight_seed"], device)
    references = case.references()
    state = model.start_video(settings(model), references)
    last = case.video - 1
    for t in range(case.video):
        frame = case.frames([t])
        if t in (0, last):
            check_region_detector(case, model, f"frame{t}", [t], [*references.numbers, t])
        support = model.support_of(frame, state)[0]
        if holds(case, f"frame{t}/proposals0"):
            scores = case.tensor(f"frame{t}/proposals0")[:, 4]
            check_proposals(case, f"frame{t}/proposals0", support.boxes, scores)
        if holds(case, f"frame{t}/proposals1_last"):
            top = case.arrays[f"frame{t}/proposals1_last"]
            np.testing.assert_allclose(support.boxes[: len(top)].cpu(), top[:, :4], 1e-3, 1e-3)
        check_detections(case, f"frame{t}", model.step(frame, state))
    if not holds(case, "fixed/ref_rois"):
        return
    maps = model.detector.maps(case.frames([0]).images)
    support = model.head.support(fixed_support(case, model))
    check_fixed_regions(case, model.detector, maps, lambda x: model.head.attend(x, support))


@pytest.mark.recordings("selsa_fixed")
def test_selsa_with_a_sliding_window(recording: Path, device: str):
    """Statistics of the window were taken after each frame, but its recorded values are a
    view of the official tensor: where the next frame only overwrites the centre in place,
    they show that too."""
    case = read_case(recording, device)
    left, stride = case.info["num_left_ref_imgs"], case.info["frame_stride"]

    model = published(recording, "selsa", case.info["weight_seed"], device)
    last = case.video - 1
    ahead = int(case.arrays["frame0/memo/shape"][0]) - left - 1
    window = {"method": "fixed_stride", "window": [-left, ahead], "stride": stride}
    first = [0] * (left + 1) + [min(i * stride, last) for i in range(1, ahead + 1)]
    state = model.start_video(settings(model, references=window), case.frames(first))
    recorded = sorted(int(n[5:-5]) for n in case.arrays if n.endswith("/dets"))
    for t in recorded:
        enters = t > 0 and t % stride == 0
        new = case.frames([min(t + ahead * stride, last)]) if enters else None
        check_detections(case, f"frame{t}", model.step(case.frames([t]), state, new))
        window = torch.cat([f.maps[0] for f in state.window])
        check_statistics(case, f"frame{t}/memo", window)
        if (t + 1) % stride == 0 or t == recorded[-1]:
            for same in range(t - t % stride, t + 1):
                check_subset(case, f"frame{same}/memo", window)


@pytest.mark.recordings("mamba")
def test_mamba(recording: Path, device: str):
    case = read_case(recording, device)
    model = published(recording, "mamba", case.info["weight_seed"], device)
    references = case.references()
    state = model.start_video(settings(model), references)
    for t in range(case.video):
        frame = case.frames([t])
        if t in (0, case.video - 1):
            check_region_detector(case, model, f"frame{t}", [t], references.numbers)
        maps = model.detector.maps(frame.images)
        check_proposals(case, f"frame{t}/proposals0", *model.detector.propose(maps, frame.sizes)[0])
        check_detections(case, f"frame{t}", model.step(frame, state))
        for layer, bank in enumerate(state.banks):
            rows, keys, values = bank.all()
            assert len(bank) == case.arrays.get(f"frame{t}/memory{layer}/len", len(bank))
            check(case, f"frame{t}/memory{layer}", rows, HEAD)
            projected = model.head.aggregators[layer].project(rows)
            torch.testing.assert_close(keys, projected.keys, rtol=1e-3, atol=1e-3)
            torch.testing.assert_close(values, projected.values, rtol=1e-3, atol=1e-3)


@pytest.mark.recordings("mamba")
def test_mamba_on_recorded_regions(recording: Path, device: str):
    case = read_case(recording, device)
    model = published(recording, "mamba", case.info["weight_seed"], device)
    head, banks = model.head, []
    for aggregator, rows in zip(
        head.aggregators, head.support_rows(fixed_support(case, model)), strict=False
    ):
        banks.append(MemoryBank(20000, 2000, torch.Generator()))
        banks[-1].update(rows, *aggregator.project(rows))
    support = [
        aggregator.project(bank.all()[0])
        for aggregator, bank in zip(head.aggregators, banks, strict=False)
    ]
    maps = model.detector.maps(case.frames([0]).images)
    check_fixed_regions(case, model.detector, maps, lambda x: head.attend(x, support))
    following = model.detector.maps(case.frames([1]).images)
    pooled = head.pool(following, [case.tensor("fixed/rois")[:, 1:]])
    output = head.predict(model.attend_and_write(pooled, banks, model.memory.top))
    check(case, "fixed/next/cls_score", output.logits, HEAD)
    check(case, "fixed/next/bbox_pred", output.offsets.flatten(1), HEAD)


@pytest.mark.recordings("stpn")
def test_stpn(recording: Path, device: str):
    case = read_case(recording, device)
    model = published(recording, "stpn", case.info["weight_seed"], device)
    state = model.start_video(settings(model), case.references())
    check(case, "frame0/prompt0", state.prompts)
    check(case, "fixed/prompt", state.prompts)
    for t in range(case.video):
        frame = case.frames([t])
        maps = model.maps(frame.images, state.prompts)
        proposals = model.detector.propose(maps, frame.sizes)[0]
        check_proposals(case, f"frame{t}/proposals0", *proposals)
        check_detections(case, f"frame{t}", model.step(frame, state))
        if f"frame{t}/neck4" not in case.arrays:
            continue
        for i, x in enumerate(model.backbone(frame.images, state.prompts)):
            check(case, f"frame{t}/backbone{i}", x)
        output = model.detector.rpn(maps)
        for i, x in enumerate(maps):
            check(case, f"frame{t}/neck{i}", x)
            check(case, f"frame{t}/rpn0_{i}", output.logits[i])
            check(case, f"frame{t}/rpn1_{i}", output.offsets[i])
    first = case.frames([0]).images
    for i, x in enumerate(model.maps(first, None)):
        check(case, f"noprompt/neck{i}", x)
    check_fixed_regions(case, model.detector, model.maps(first, state.prompts))


@pytest.mark.recordings("eovod")
def test_eovod(recording: Path, device: str):
    case = read_case(recording, device)
    seed = case.info["weight_seed"]
    model = published(recording, "eovod", seed, device)
    state = model.start_video(settings(model), case.references(), number=0)
    for t in range(case.video):
        state.generator.manual_seed(seed)
        state.random.seed(seed)
        frame = case.frames([t])
        if f"frame{t}/neck0/shape" in case.arrays:
            captured = []
            hook = model.detector.neck.register_forward_hook(
                lambda _m, given, made, kept=captured: kept.append((given[0], made))
            )
            found = model.step(frame, state)
            hook.remove()
            for i, x in enumerate(captured[-1][1]):
                name = f"frame{t}/neck{i}"
                recorded = case.arrays.get(f"{name}/shape")
                if recorded is None or recorded[0] == 1:
                    check(case, name, x)
            for i, x in enumerate(model.detector.backbone(frame.images)):
                check(case, f"frame{t}/backbone{i}", x)
        else:
            found = model.step(frame, state)
        check_detections(case, f"frame{t}", found)
        for level, bank in state.banks.items():
            assert len(bank) == case.arrays.get(f"frame{t}/memory{level}/len", len(bank))
            check(case, f"frame{t}/memory{level}", bank.all()[0])


# Attention of the blocks, and the queues of testing.
TEMPORAL: dict[str, tuple[str, dict]] = {
    "cross": ("cross", {}),
    "joint": ("joint", {}),
    "joint_1248": ("joint", {"dilations": [1, 2, 4, 8]}),
    "cross_nms_1234": ("cross", {"policy": "norm", "dilations": [1, 2, 3, 4]}),
}


@pytest.mark.recordings("tdvit")
def test_tdvit(recording: Path, device: str):
    case = read_case(recording, device)
    present = {name.split("/")[0] for name in case.arrays}
    assert present <= TEMPORAL.keys()
    for setting in sorted(present):
        model = published(
            recording,
            "tdvit",
            case.info["weight_seed"],
            device,
            lambda config, kind=TEMPORAL[setting][0]: replace(
                config, temporal=TemporalConfig(attention=kind)
            ),
        )
        check_tdvit(case, model, setting)


def check_tdvit(case: Case, model, setting: str) -> None:
    backbone, detector = model.backbone, model.detector
    state = model.start_video(settings(model, temporal=TEMPORAL[setting][1]))
    for t in range(case.video):
        frame, name = case.frames([t]), f"{setting}/online{t}"
        backbone_maps = backbone.online(frame.images, state.memory)
        if f"{name}/backbone0/shape" in case.arrays:
            for i, x in enumerate(backbone_maps):
                check(case, f"{name}/backbone{i}", x)
        if f"{name}/dets" in case.arrays:
            maps = detector.neck(backbone_maps)
            proposals = detector.propose(maps, frame.sizes)[0]
            check_proposals(case, f"{name}/proposals", *proposals)
            check_detections(case, name, detector.detect(maps, frame, state.settings)[0])
    last = case.video - 1
    for i, x in enumerate(backbone(case.frames([last]).images)):
        check(case, f"{setting}/spatial{last}/backbone{i}", x)
    references = case.references().images
    for i, x in enumerate(backbone.with_references(case.frames([0]).images, references)):
        check(case, f"{setting}/training_refs/backbone{i}", x)


@pytest.mark.recordings("flow")
def test_dff(recording: Path, device: str):
    case = read_case(recording, device)
    model = published(recording, "dff", case.info["weight_seed"], device)
    assert model.config.flow.means == tuple(case.info["img_norm"]["mean"])
    assert model.config.flow.stds == tuple(case.info["img_norm"]["std"])
    first, second = (
        model.motion.prepare(frame.images, frame.sizes)
        for frame in (case.frames([0]), case.frames([1]))
    )
    flow = model.motion(second, first)
    check(case, "flow", flow)
    check(case, "warp", warp(case.tensor("warp_input"), flow))
    state = model.start_video(settings(model))
    for t in range(3):
        frame = case.frames([t])
        features = model.features(frame, state)
        check(case, f"dff/frame{t}/feat", features)
        found = model.detector.detect([features], frame, state.settings)[0]
        check_detections(case, f"dff/frame{t}", found)


@pytest.mark.recordings("flow")
def test_fgfa(recording: Path, device: str):
    case = read_case(recording, device)
    model = published(recording, "fgfa", case.info["weight_seed"], device)
    window = settings(model, references={"window": [-1, 1]})
    state = model.start_video(window, case.frames([0, 0, 1]))
    for t in range(2):
        frame = case.frames([t])
        features = model.features(frame, state, None if t == 0 else case.frames([2]))
        check(case, f"fgfa/frame{t}/feat", features)
        if f"fgfa/frame{t}/dets" in case.arrays:
            found = model.detector.detect([features], frame, state.settings)[0]
            check_detections(case, f"fgfa/frame{t}", found)
