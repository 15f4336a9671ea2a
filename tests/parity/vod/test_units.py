"""Small parts: memory bank, aggregator, anchors, coder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from egolib.io.checkpoint import KeyTable
from egolib.nn.anchors import AnchorGrid, cell_anchors
from egolib.nn.config import BoxConfig
from egolib.ops.boxes import BoxCoder, clip
from egolib.vod.config.networks import frcnn_r50_fpn, frcnn_r101_dc5
from egolib.vod.formats.checkpoint import _attention
from egolib.vod.models.bank import MemoryBank
from egolib.vod.models.heads import Aggregator
from tests.parity import weights
from tests.parity.recordings import read

BANK_SEED, AGGREGATOR_SEED, HEADS = 3, 0, 16  # this folder's README
SIZE, KEYS = 50, 20


@pytest.mark.recordings("pipeline_units")
def test_memory_bank(recording: Path):
    case = read(recording)
    bank = MemoryBank(SIZE, KEYS, torch.Generator().manual_seed(BANK_SEED))
    for i, rows in enumerate(case["bank/feats"]):
        bank.update(torch.from_numpy(rows), torch.from_numpy(2 * rows))
        sampled, doubled = bank.sample()
        np.testing.assert_array_equal(sampled, case[f"bank/sample{i}"])
        np.testing.assert_array_equal(doubled, 2 * case[f"bank/sample{i}"])
        assert len(bank) == case["bank/lengths"][i]
    np.testing.assert_array_equal(bank.all()[0], case["bank/final"])
    assert len(bank) > SIZE  # the official overshoot


@pytest.mark.recordings("pipeline_units")
def test_aggregator(recording: Path):
    case = read(recording)
    width = case["aggregator/x"].shape[1]
    names = ("fc_embed", "ref_fc_embed", "fc", "ref_fc")
    keys = {
        f"{name}.{part}": ["float32", [width, width] if part == "weight" else [width]]
        for name in names
        for part in ("weight", "bias")
    }
    state = weights.make_state_dict(keys, AGGREGATOR_SEED)
    aggregator = Aggregator(width, HEADS)
    table = KeyTable(_attention("", ""))
    table.load(aggregator, {name: torch.from_numpy(value) for name, value in state.items()})
    x, support = (torch.from_numpy(case[f"aggregator/{name}"]) for name in ("x", "ref"))
    with torch.no_grad():
        found = aggregator(x, aggregator.project(support))
    np.testing.assert_allclose(found, case["aggregator/out"], rtol=0, atol=1e-6)


@pytest.mark.recordings("pipeline_units")
def test_anchors(recording: Path):
    case = read(recording)
    dc5, fpn = frcnn_r101_dc5().rpn.anchors, frcnn_r50_fpn().rpn.anchors
    np.testing.assert_allclose(cell_anchors(dc5), case["anchors/dc5_base"], rtol=1e-6)
    grid = AnchorGrid(dc5).level(0, (2, 3), "cpu")
    np.testing.assert_allclose(grid, case["anchors/dc5_2x3"], rtol=1e-6, atol=1e-5)
    for level in range(5):
        expected = case[f"anchors/fpn_base{level}"]
        np.testing.assert_allclose(cell_anchors(fpn, level), expected, rtol=1e-6)


@pytest.mark.recordings("pipeline_units")
def test_coder(recording: Path):
    case = read(recording)
    coder = BoxCoder(BoxConfig(weights=(5.0, 5.0, 5.0, 5.0)))
    boxes, deltas = (torch.from_numpy(case[f"coder/{n}"]) for n in ("boxes", "deltas"))
    decoded = clip(coder.decode(boxes, deltas), (90, 150))
    np.testing.assert_allclose(decoded, case["coder/decoded"], rtol=1e-5, atol=1e-4)
    half = len(case["coder/encoded"])
    encoded = coder.encode(boxes[:half], boxes[half:])
    np.testing.assert_allclose(encoded, case["coder/encoded"], rtol=1e-5, atol=1e-5)
