"""Outputs, intermediate values and decoded windows of recorded networks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from egolib.nlq.config import DataConfig, InferConfig
from egolib.nlq.localization.decode import decode
from egolib.nlq.models.network import GroundNLQ, padded_length
from egolib.nn.points import Predictions
from egolib.nn.temporal_blocks import Block
from egolib.ops.segments import Suppression
from tests.parity.nlq.networks import inputs, meta, network, published, small_config, to
from tests.parity.recordings import read

TOLERANCE = 1e-4
PLAIN_TOLERANCE = 1e-5


@pytest.mark.xdist_group("nlq_network")
@pytest.mark.recordings("net")
def test_published_network(recording: Path, device: str) -> None:
    recorded = read(recording)
    about = meta(recorded)
    tolerance = TOLERANCE if about["add_one"] else PLAIN_TOLERANCE
    model = published(recording, about).to(device)
    batch = to(device, inputs(about["items"], model.config, model.config.max_length))
    with torch.no_grad(), outputs_of(model) as outputs:
        found = model(*batch)
    check_predictions(found, recorded, tolerance)
    check_decoded(found, about["items"], recorded, about.get("max_seg_num", 5))
    check_taps(outputs, recorded, tolerance)


@pytest.mark.xdist_group("nlq_network")
@pytest.mark.recordings("net")
def test_cropped_padding_gives_equal_outputs(recording: Path, device: str) -> None:
    recorded = read(recording)
    about = meta(recorded)
    tolerance = TOLERANCE if about["add_one"] else PLAIN_TOLERANCE
    model = published(recording, about).to(device)
    length = padded_length(max(i["T"] for i in about["items"]), model.config)
    with torch.no_grad():
        found = model(*to(device, inputs(about["items"], model.config, length)))
    check_predictions(found, recorded, tolerance)


@pytest.mark.recordings("net_small")
def test_variants(recording: Path, device: str) -> None:
    recorded = read(recording)
    for name, about in meta(recorded).items():
        part = {
            key.split("|")[1]: value
            for key, value in recorded.items()
            if key.startswith(f"{name}|")
        }
        config = small_config(about["model"])
        model = network(config, about["keys"], about["weight_seed"], about["add_one"]).to(device)
        batch = to(device, inputs(about["items"], config, config.max_length))
        with torch.no_grad():
            found = model(*batch)
        check_predictions(found, part, TOLERANCE)
        check_decoded(found, about["items"], part, about.get("max_seg_num", 5))


def check_predictions(found: Predictions, recorded: dict, tolerance: float) -> None:
    """Compares valid positions; a shorter padding than the recorded one is allowed."""
    assert any(name.startswith(("cls_logits/", "offsets/")) for name in recorded)
    for level, length in enumerate(found.lengths):
        mask = found.level(found.mask, level).cpu()
        if f"mask/{level}" in recorded:
            expected = np.unpackbits(recorded[f"mask/{level}"], axis=1).astype(bool)
            np.testing.assert_array_equal(mask, expected[:, :length])
        if f"mask_count/{level}" in recorded:
            assert mask.sum(1).tolist() == recorded[f"mask_count/{level}"].tolist()
        logits = found.level(found.logits, level)[..., 0]
        if f"cls_logits/{level}" in recorded:
            close(logits, recorded[f"cls_logits/{level}"][:, :length], tolerance)
        if f"offsets/{level}" in recorded:
            offsets = found.level(found.offsets, level)
            close(offsets, recorded[f"offsets/{level}"][:, :length], tolerance)


def check_decoded(found: Predictions, items: list[dict], recorded: dict, count: int) -> None:
    """Compares final windows, in their order."""
    infer = InferConfig(suppression=Suppression(max_segments=count))
    scores = (found.logits.sigmoid() * found.mask[..., None]).cpu().numpy()
    offsets = found.offsets.cpu().numpy()
    for row, item in enumerate(items):
        data = DataConfig(stride_frames=item["stride"], window_frames=item["stride"])
        segments, kept, labels = decode(
            scores[row], offsets[row], found.lengths, item["duration"], infer, data
        )
        # an offset counts up to 64 features, about half a second each
        if f"pred/{row}/segments" in recorded:
            close(segments, recorded[f"pred/{row}/segments"], TOLERANCE * 64)
        if f"pred/{row}/scores" in recorded:
            close(kept, recorded[f"pred/{row}/scores"], TOLERANCE)
        if f"pred/{row}/labels" in recorded:
            np.testing.assert_array_equal(labels, recorded[f"pred/{row}/labels"])


def check_taps(outputs: dict[str, Tensor], recorded: dict, tolerance: float) -> None:
    """Compares samples of intermediate values, and the mean, spread and norm of the whole."""
    names = {name.split("/")[1] for name in recorded if name.startswith("tap/")}
    assert names <= outputs.keys()
    for name in names:
        value = outputs[name].transpose(1, 2).cpu().double()  # B C T
        step = 13 if value.shape[2] >= 100 else 1
        close(value[:, ::16, ::step], recorded[f"tap/{name}"], tolerance)
        if f"stat/{name}" not in recorded:
            continue
        statistics = torch.stack([value.mean(), value.std(), value.norm()])
        np.testing.assert_allclose(statistics, recorded[f"stat/{name}"], rtol=1e-4, atol=1e-5)


def close(found: Tensor | np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    found = found.cpu().numpy() if isinstance(found, Tensor) else found
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


@contextmanager
def outputs_of(model: GroundNLQ) -> Iterator[dict[str, Tensor]]:
    """Collects what modules return, under their official names."""
    outputs: dict[str, Tensor] = {}
    encoder = model.text_encoders["query"]
    modules = {
        "vid_embd.0": model.video_embedding.convs[0],
        "vid_embd_norm.1": model.video_embedding,
        "txt_embd_norm.1": encoder.embedding,
    }
    blocks: dict[Block, str] = {}
    groups = (("txt_stem", encoder.blocks), ("vid_stem", model.stem), ("branch", model.branch))
    for name, group in groups:
        for i, block in enumerate(group):
            blocks[block] = f"{name}.{i}"
            modules[f"{name}.{i}.attn"] = block.attention
            if "query" in block.cross:
                modules[f"{name}.{i}.cross_attn"] = block.cross["query"]
    handles = [m.register_forward_hook(_keep(outputs, name)) for name, m in modules.items()]
    transform = Block.transform

    def recording_transform(block: Block, x: Tensor, mask: Tensor) -> Tensor:
        outputs[blocks[block]] = transform(block, x, mask)
        return outputs[blocks[block]]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Block, "transform", recording_transform)
        yield outputs
    for handle in handles:
        handle.remove()


def _keep(outputs: dict[str, Tensor], name: str):
    def hook(module, arguments, output) -> None:
        outputs[name] = output

    return hook
