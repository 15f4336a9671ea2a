"""The terms of the objective, and the graph branch, alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from egolib.errors import EgolibError
from egolib.mq.config import LossConfig
from egolib.mq.localization.anchors import decode, make_anchors
from egolib.mq.localization.assignment import assign_batch
from egolib.mq.losses.terms import classification_loss, curve_loss, giou_loss
from egolib.mq.losses.vsgn import box_loss
from egolib.mq.models.graph import GraphBranch
from egolib.mq.models.heads import flatten_levels
from egolib.mq.models.pyramid import GraphLevel
from egolib.mq.models.vsgn import VSGN
from tests.parity.mq.levels import named_levels
from tests.parity.mq.networks import EDGES, config_of, meta, official_state, part, targets_of
from tests.parity.recordings import normal, read, recipe

TOLERANCE = 1e-5

# ------------------------------------------------------------------------ single terms


@pytest.mark.recordings("losses")
def test_classification_loss(recording: Path) -> None:
    recorded = read(recording)
    for case in cases(recorded, "cls_"):
        values = part(recorded, case)
        logits = torch.from_numpy(values["logits"]).requires_grad_()
        classes = torch.from_numpy(values["labels"]).long()
        loss = classification_loss(logits, classes, "official")
        loss.backward()
        assert logits.grad is not None
        close(loss, values["loss"])
        if "grad" in values:
            close(logits.grad[:: -(-len(logits) // len(values["grad"]))], values["grad"])
        check_finite(classification_loss, values["logits"], classes)


@pytest.mark.recordings("losses")
def test_box_loss(recording: Path) -> None:
    recorded = read(recording)
    assert meta(recorded).get("reg_empty", "AssertionError") == "AssertionError"  # ours gives 0
    for case in cases(recorded, "reg"):
        values = {k: torch.from_numpy(v) for k, v in part(recorded, case).items()}
        truths = decode(values["anchor"], values["target"])
        leaf = values["boxes" if "boxes" in values else "pred"].requires_grad_()
        boxes = leaf if "boxes" in values else decode(values["anchor"], leaf)
        loss = giou_loss(boxes, truths).sum()
        loss.backward()
        assert leaf.grad is not None
        close(loss, values["loss"].numpy())
        if "grad" in values:
            close(leaf.grad, values["grad"].numpy())


@pytest.mark.recordings("losses")
def test_curve_loss(recording: Path) -> None:
    recorded = read(recording)
    for case in cases(recorded, "bi_"):
        values = part(recorded, case)
        curve = torch.from_numpy(values["pred"]).requires_grad_()
        target = torch.from_numpy(values["target"])
        loss = curve_loss(curve, target, "official")
        loss.backward()
        assert curve.grad is not None
        close(loss, values["loss"])
        if "grad" in values:
            close(curve.grad, values["grad"])
        check_finite(curve_loss, values["pred"], target)


def check_finite(loss: Any, values: np.ndarray, target: torch.Tensor) -> None:
    """By default no term is NaN, and where the official one is a number, it is that."""
    leaf = torch.from_numpy(values).requires_grad_()
    found = loss(leaf, target)
    found.backward()
    assert found.isfinite() and leaf.grad.isfinite().all()
    official = loss(torch.from_numpy(values), target, "official")
    assert official.isnan() or found.item() == pytest.approx(official.item(), rel=1e-6)


def cases(recorded: dict, prefix: str) -> list[str]:
    found = dict.fromkeys(name.split("|")[0] for name in recorded if name.startswith(prefix))
    if not found:
        pytest.skip(f"no case of {prefix}* was recorded")
    return list(found)


def close(found: torch.Tensor, expected: np.ndarray) -> None:
    scale = TOLERANCE * np.abs(np.nan_to_num(expected)).max()
    np.testing.assert_allclose(found.detach(), expected, rtol=TOLERANCE, atol=scale)


# ------------------------------------------------------------------------- both heads


@pytest.mark.recordings("losses")
def test_losses_of_both_heads(recording: Path) -> None:
    recorded = read(recording)
    cases(recorded, "whole")
    about, values = meta(recorded)["whole"], part(recorded, "whole")
    config = config_of(about["options"])
    clips = len(about["segments"])
    levels = {}
    for kind, count in (("cls", config.classes), ("reg", 2)):
        named = named_levels(about["stream"], "{cls,reg}", kind, clips, count, config)
        levels[kind] = [(x * about["amplitude"]).requires_grad_() for x in named]
    targets = targets_of(about["segments"], about["num_frms"], config.length)
    anchors = make_anchors(config.level_lengths, config.anchor_scales)
    boxes = decode(anchors, flatten_levels(levels["reg"], 2))
    if "loc" in values:
        close(boxes[:, ::3], values["loc"])
    rules = LossConfig()
    by_box, by_anchor = (
        assign_batch(b, targets.moments, targets.labels, rules.head_iou, rules)
        for b in (boxes, anchors)
    )
    logits = flatten_levels(levels["cls"], config.classes)
    losses = [
        classification_loss(logits.flatten(0, 1), by_box.classes.flatten()),
        box_loss(boxes, anchors.expand_as(boxes), by_anchor, rules),
    ]
    sum(losses).backward()  # type: ignore[union-attr]
    np.testing.assert_allclose([x.item() for x in losses], values["losses"], rtol=TOLERANCE)
    for kind, step in (("cls", 9), ("reg", 3)):
        for level, leaf in enumerate(levels[kind]):
            assert leaf.grad is not None
            if f"{kind}_grad/{level}" in values:
                close(leaf.grad[..., ::step], values[f"{kind}_grad/{level}"])


# ------------------------------------------------------------------------------ graph


@pytest.mark.recordings("graph")
def test_graph_branch(recording: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = read(recording)
    for case, about in meta(recorded).items():
        if about["error"]:
            check_refused(about["options"])
        else:
            check_graph(recording, case, about, part(recorded, case), monkeypatch)


def check_refused(options: dict[str, Any]) -> None:
    """Options that fail in the official code: ours cannot express them, or refuses."""
    if options.get("nfeat_mode") not in EDGES:
        return
    with pytest.raises(EgolibError, match="edge weights"):
        VSGN(config_of(options))


def check_graph(
    recording: Path,
    case: str,
    about: dict[str, Any],
    values: dict[str, np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, width, positions = about["shape"]
    config = config_of({"temporal_scale": positions, **about["options"], "bb_hidden_dim": width})
    level = GraphLevel(config, level=0 if about["stride"] == 1 else 1)
    state = official_state(about["keys"], about["seed"])
    names = {"tconv1": "conv", "nconv1.mlp": "graph.edge"}
    level.load_state_dict(
        {f"{names[k.rpartition('.')[0]]}.{k.rpartition('.')[2]}": v for k, v in state.items()}
    )
    streams = recipe(recording)
    x = graph_input(streams["graph_stream"].replace("<case>", case), about)
    leaf = torch.from_numpy(x).requires_grad_()
    lengths = torch.tensor(about["num_frms"])
    found: list[torch.Tensor] = []
    search = GraphBranch.neighbors

    def kept(branch: GraphBranch, nodes: torch.Tensor, n: torch.Tensor | None) -> torch.Tensor:
        found.append(search(branch, nodes, n))
        return found[-1]

    with monkeypatch.context() as patch:
        patch.setattr(GraphBranch, "neighbors", kept)
        output = level(leaf, lengths)
        # of a graph behind the convolution the recordings hold the input's neighbours
        of_input = level.graph.neighbors(leaf.detach().transpose(1, 2), lengths)
    if "neighbours" in values:
        check_neighbor_sets(x, of_input, values["neighbours"])
    close(output, values["y"])
    weights = normal(streams["graph_output_stream"].replace("<case>", case), tuple(output.shape))
    (output * torch.from_numpy(weights)).sum().backward()
    assert leaf.grad is not None and level.graph.edge.weight.grad is not None
    if "mlp_grad" in values:
        close(level.graph.edge.weight.grad, values["mlp_grad"])
    if "input_grad" in values:
        check_input_gradient(x, leaf.grad.numpy(), values["input_grad"])


def graph_input(stream: str, about: dict[str, Any]) -> np.ndarray:
    x = normal(stream, tuple(about["shape"]))
    x = np.maximum(x, 0) if about["relu"] else x
    for row, valid in enumerate(about["pad"] or []):
        x[row, :, valid:] = 0
    return x


def check_neighbor_sets(x: np.ndarray, found: torch.Tensor, expected: np.ndarray) -> None:
    """Equal as sets; positions of equal features stand for one another."""
    for rows, ours, theirs in zip(x.transpose(0, 2, 1), found.numpy(), expected, strict=False):
        for a, b in zip(ours, theirs, strict=False):
            np.testing.assert_array_equal(np.unique(rows[a], axis=0), np.unique(rows[b], axis=0))


def check_input_gradient(x: np.ndarray, found: np.ndarray, expected: np.ndarray) -> None:
    """Equal, but among positions of equal features only their sum counts."""
    for rows, ours, theirs in zip(x, found, expected, strict=False):
        _, group = np.unique(rows, axis=1, return_inverse=True)
        group = group.ravel()
        sums = [np.zeros((len(rows), group.max() + 1)) for _ in range(2)]
        for total, gradient in zip(sums, (ours, theirs), strict=False):
            np.add.at(total.T, group, gradient.T)
        scale = TOLERANCE * np.abs(sums[1]).max()
        np.testing.assert_allclose(*sums, rtol=TOLERANCE, atol=scale)
