"""Comparison heads and losses: 1e-4 relative logits, scores and losses."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from egolib.errors import EgolibError
from egolib.io.checkpoint import KeyTable
from egolib.vq2d.config import DetectConfig, DetectorConfig, HeadConfig
from egolib.vq2d.formats.architecture import infer_head
from egolib.vq2d.formats.key_tables import head_rules
from egolib.vq2d.losses.siamese import comparison_loss, cross_batch, frame_loss, margin_loss
from egolib.vq2d.models.heads import Compared, make_head
from egolib.vq2d.models.model import select
from tests.parity.recordings import auxiliary, read
from tests.parity.vq2d.networks import relative, siamese_rcnn
from tests.parity.weights import make_state_dict

CHANNELS, HIDDEN, LAYERS = 16, 32, 2
IMAGE = (100, 120)
TARGETS = ([0, 1, 1, 1, 0, 1, 1], [1, 1, 1, 1, 1, 1, 1])
AMBIGUOUS = {"set_2head_mab", "set_att_mab_global"}


def head_config(name: str) -> HeadConfig:
    """``siam_<projector>_<shared|separate>_<compare>`` or ``set_<compare>_<transformer>``."""
    sizes = {"residual_layers": LAYERS, "hidden": HIDDEN}
    kind, *parts = name.split("_")
    if kind == "siam":
        projector, sharing, compare = parts
        return HeadConfig(
            "siamese", compare, projector=projector, shared=sharing == "shared", **sizes
        )
    return HeadConfig("set", parts[0], "_".join(parts[1:]), **sizes)


def compare(case: dict, config: HeadConfig, state: dict) -> Compared:
    head = make_head(CHANNELS, config).eval()
    KeyTable(head_rules(config)).load(head, state)
    regions, reference = torch.from_numpy(case["var_x"]), torch.from_numpy(case["var_y"])
    vectors = head.projectors.region(regions.flatten(0, 1)).reshape(*regions.shape[:2], HIDDEN)
    return head.compare(vectors, head.projectors.reference(reference[:, 0]))


def variants(recording: Path, case: dict):
    """Name and weights of every recorded head."""
    for name, keys in json.loads(auxiliary(recording, "heads.keys.json").read_text()).items():
        state = make_state_dict(keys, int(case["seed"]))
        yield name, {key: torch.from_numpy(np.asarray(value)) for key, value in state.items()}


@pytest.mark.recordings("heads")
@torch.no_grad()
def test_logits(recording: Path) -> None:
    case = read(recording)
    for name, state in variants(recording, case):
        if name not in case:
            continue
        found = compare(case, head_config(name), state)
        logits = found.regions
        if found.frames is not None:
            logits = torch.cat([found.frames[:, None], logits], dim=1)
        assert relative(logits[..., None], case[name]) < 1e-4, name


@pytest.mark.recordings("heads")
def test_keys_both_ways(recording: Path) -> None:
    """Every head converts back; its configuration is told from its entries."""
    for name, state in variants(recording, read(recording)):
        config = head_config(name)
        head, table = make_head(CHANNELS, config), KeyTable(head_rules(config))
        table.load(head, state)
        back = table.to_official(head.state_dict())
        assert back.keys() == state.keys()
        assert all(torch.equal(back[key], state[key]) for key in state)
        infer = partial(infer_head, state, prefix="")
        if name in AMBIGUOUS:
            with pytest.raises(EgolibError, match="same entries"):
                infer()
        else:
            found = infer()
            assert found.kind == config.kind
            assert (found.compare, found.shared, found.hidden) == (
                config.compare,
                config.shared,
                HIDDEN,
            )
            assert config.kind == "siamese" or found.transformer == config.transformer
            assert found.projector == config.projector


@pytest.mark.recordings("heads")
@torch.no_grad()
def test_set_inference(recording: Path) -> None:
    case = read(recording)
    boxes = torch.from_numpy(case["inf_boxes"]) if "inf_boxes" in case else None
    for name, state in variants(recording, case):
        if f"{name}_inf_scores" not in case:
            continue
        scores = compare(case, head_config(name), state).scores()
        rows = zip(boxes, scores, strict=True)
        found = [select(b, s, IMAGE, IMAGE, DetectConfig()) for b, s in rows]
        assert [len(s) for _, s in found] == case[f"{name}_inf_count"].tolist()
        expected = case[f"{name}_inf_scores"]
        np.testing.assert_allclose(torch.cat([s for _, s in found]), expected, atol=1e-4)
        expected = case[f"{name}_inf_boxes"]
        np.testing.assert_allclose(torch.cat([b for b, _ in found]), expected, atol=1e-2)


@pytest.mark.recordings("heads")
@torch.no_grad()
def test_set_losses(recording: Path) -> None:
    case = read(recording)
    classes = [torch.tensor(target) for target in TARGETS]
    for name, state in variants(recording, case):
        if f"{name}_losses" not in case:
            continue
        found = compare(case, head_config(name), state)
        losses = [comparison_loss(list(found.regions), classes)]
        if found.frames is not None:
            losses.append(frame_loss(found.frames, classes))
        assert relative(torch.stack(losses), case[f"{name}_losses"]) < 1e-4, name


@pytest.mark.recordings("heads")
def test_losses_on_logits(recording: Path) -> None:
    """Every recorded loss, with and without the official choice of hard negatives.

    Which losses a recording holds is its own affair: the margin losses need positives and
    negatives, which a batch of one may lack.
    """
    check_losses(read(recording))


def check_losses(case: dict) -> None:
    count = sum(name.startswith("loss_pred_") for name in case)
    logits = [torch.from_numpy(case[f"loss_pred_{i}"])[:, 0] for i in range(count)]
    classes = [torch.from_numpy(case[f"loss_gt_{i}"]) for i in range(count)]
    for name, (kind, number) in recorded_losses(case).items():
        found = comparison_loss(logits, classes, kind, hard_negatives=number)
        assert found.item() == pytest.approx(float(case[name]), rel=1e-4), name
    if "triplet_loss" in case:
        similarity, target = (torch.from_numpy(case[n]) for n in ("triplet_in", "triplet_gt"))
        found = margin_loss(similarity[:, 0], target)
        assert found.item() == pytest.approx(float(case["triplet_loss"]), rel=1e-4)


def recorded_losses(case: dict) -> dict[str, tuple[str, int]]:
    """Name in the recording -> kind of loss, hard negatives."""
    found = {}
    for name in case:
        match = re.fullmatch(r"loss_(bce|kl_div|metric)_hnm(\d+)", name)
        if match:
            found[name] = (match[1], int(match[2]))
    return found


@pytest.mark.recordings("heads")
def test_losses_of_a_batch_of_one(recording: Path) -> None:
    """A recording with one image and without the margin losses runs as well."""
    case = dict(read(recording))
    for name in [n for n in case if n.startswith(("triplet_", "loss_kl_div", "loss_metric"))]:
        del case[name]
    for name in recorded_losses(case):
        del case[name]
    for name in [n for n in case if re.fullmatch(r"loss_(pred|gt)_[1-9]\d*", n)]:
        del case[name]
    if "loss_pred_0" in case:
        logits, classes = (torch.from_numpy(case[f"loss_{n}_0"]) for n in ("pred", "gt"))
        wanted = (classes == 0).double()
        value = torch.nn.functional.binary_cross_entropy_with_logits(logits[:, 0].double(), wanted)
        check_losses(case | {"loss_bce_hnm0": value.numpy()})
    check_losses(case)


@pytest.mark.recordings("heads")
@pytest.mark.xdist_group("siamese")
@torch.no_grad()
def test_cross_batch_negatives(recording: Path, device: str) -> None:
    """The published head's loss with regions of all images, and of its own image only."""
    case = read(recording)
    if "cb_p3" not in case:
        pytest.skip(f"{recording.name} holds no regions of a batch (cb_*)")
    model = siamese_rcnn(recording, int(case["seed"]), DetectorConfig(), device)
    p3, reference = (torch.from_numpy(case[n]).float().to(device) for n in ("cb_p3", "cb_ref"))
    boxes = [torch.from_numpy(case[f"cb_boxes_{i}"]).to(device) for i in range(len(p3))]
    classes = [torch.from_numpy(case[f"cb_gt_{i}"]).to(device) for i in range(len(p3))]
    vectors = model.vectors([p3, p3], boxes)
    encoded = model.head.projectors.reference(model.pool_reference(reference))
    everything = model.head.compare(torch.cat(vectors)[None], encoded).regions
    pairs = zip(vectors, encoded, strict=True)
    own = [model.head.compare(v[None], e[None]).regions[0] for v, e in pairs]
    losses = {
        "cb_loss_True": comparison_loss(list(everything), cross_batch(classes)),
        "cb_loss_False": comparison_loss(own, classes),
    }
    for name, found in losses.items():
        if name in case:
            assert found.item() == pytest.approx(float(case[name]), rel=1e-4), name
