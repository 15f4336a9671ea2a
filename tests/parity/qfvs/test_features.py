"""The backbone as QFVS runs it, the segments of a video, and the random crops."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from egolib.vlp.config import SummaryConfig
from egolib.vlp.data import qfvs, shot_views
from egolib.vlp.formats import qfvs as formats
from egolib.vlp.summarization.encoder import build_empty_encoder
from egolib.vlp.summarization.features import segment_video
from egolib.vlp.summarization.packing import pack, shot_places
from tests.parity.qfvs.networks import encoder
from tests.parity.recordings import normal, read
from tests.parity.vlp.networks import assert_close, official_state

on_network = pytest.mark.xdist_group("qfvs_network")


@on_network
@pytest.mark.slow
@pytest.mark.recordings("fused")
@torch.no_grad()
def test_features(recording: Path, device: str) -> None:
    recorded = read(recording)
    meta = json.loads(str(recorded["meta"]))
    video = normal(f"{meta['tag']}/{meta['video']}", tuple(meta["video_shape"]))
    shots = torch.from_numpy(video).to(device)
    ids, mask = (torch.from_numpy(recorded[k]).to(device) for k in ("input_ids", "attention_mask"))
    assert meta["modes"]
    for mode, layers in meta["modes"].items():
        model = encoder(recording, meta["seed"], layers, device)
        assert list(model.prefix_blocks) == meta[f"{mode}_video_blocks"]
        assert list(model.prefix_blocks) == meta[f"{mode}_text_layers"]
        assert list(model.fused) == meta[f"{mode}_fused_blocks"]
        found = {
            name.partition("|")[2]: value
            for name, value in recorded.items()
            if name.startswith(f"{mode}|")
        }
        compare_features(model, shots, ids, mask, found, 2e-5 if mode == "official" else 1e-4)
        rows = model.shot_features(model.video_prefix(shots), model.text_prefix(ids, mask), mask)
        assert torch.equal(rows[0], rows[1]) == meta[f"{mode}_text_independent"]


def compare_features(model, shots, ids, mask, recorded: dict, atol: float) -> None:
    tokens, text = model.video_prefix(shots), model.text_prefix(ids, mask)
    found = {
        "video_class_token": tokens[:, 0],
        "video_tokens": tokens[:, ::163, ::16],
        "text_tokens": text[..., ::16],
        "fused_of_empty_slot": model.empty_features(text, mask),
    }
    for name in found.keys() & recorded.keys():
        assert_close(found[name], recorded[name], atol=atol, what=name)
    rows = model.shot_features(tokens, text, mask)[:, 0]
    assert_close(rows, recorded["fused"], atol=atol, what="features")


@pytest.mark.recordings("fused")
def test_mask(recording: Path) -> None:
    from egolib.nn.text_encoder import attention_bias

    recorded = read(recording)
    if "extended_mask" not in recorded:
        pytest.skip("the mask was not recorded")
    bias = attention_bias(torch.from_numpy(recorded["attention_mask"]))
    assert_close(bias, recorded["extended_mask"], atol=0, what="mask")


@pytest.mark.recordings("backbone_keys")
def test_backbone_keys(recording: Path) -> None:
    """Every published name has one of ours, and back; shapes fit; weights survive."""
    keys = json.loads(recording.read_text())
    state = official_state(keys, seed=3)
    model = build_empty_encoder(formats.backbone(state["video_model.temporal_embed"].shape[1]))
    assert formats.load_backbone(model, state).complete
    back = formats.backbone_to_official(model)
    assert {k: [str(v.dtype)[6:], list(v.shape)] for k, v in back.items()} == keys
    assert all(torch.equal(back[k], state[k]) for k in state)


@pytest.mark.recordings("extract")
def test_frames_and_segments(recording: Path, tmp_path: Path) -> None:
    recorded = read(recording)
    meta = json.loads(str(recorded["meta"]))
    for name in meta["files"]:
        (tmp_path / name).touch()
    files = qfvs.frame_files(tmp_path, "official")
    assert [file.name for file in files] == meta["order"]
    shots = qfvs.shots_of(files)
    assert len(shots) == meta["shots"]
    descriptors = np.zeros((len(shots), meta["features_shape"][-1]), np.float32)
    for i in range(len(shots)):
        means = normal(f"{meta['tag']}/extract/{i // 7}", (8,))
        descriptors[i, :8] = np.rint(4 * means + normal(f"{meta['tag']}/extract/n/{i}", (8,)))
    np.testing.assert_array_equal(descriptors[:, :8], recorded["class_tokens"])
    segments, places = meta["features_shape"][:2]
    lengths = segment_video(descriptors, SummaryConfig(segments=segments), places)
    np.testing.assert_array_equal(lengths, recorded["seg_len"])
    filled = pack(descriptors, lengths, places, np.zeros(descriptors.shape[1], np.float32))
    assert list(filled.shape) == [segments, places, meta["features_shape"][-1]]
    last = divmod(int(shot_places(lengths, places)[-1]), places)
    assert list(last) == meta["last_slot"]


@pytest.mark.recordings("extract")
def test_crops(recording: Path) -> None:
    recorded = read(recording)
    meta = json.loads(str(recorded["meta"]))
    noise = normal(f"{meta['tag']}/extract/picture", (60, 80, 3))
    picture = np.clip(128 + 40 * noise, 0, 255).astype(np.uint8)
    generator = torch.Generator().manual_seed(meta["crop_seed"])
    for box, crop in zip(meta["crop_boxes_top_left_height_width"], recorded["crops"], strict=True):
        drawn = shot_views.random_box(picture.shape[1], picture.shape[0], generator)
        assert list(drawn) == box
        view = shot_views.cut_view(picture, drawn)
        assert_close(view[:, ::29, ::29], crop, atol=1e-5, what=str(box))
