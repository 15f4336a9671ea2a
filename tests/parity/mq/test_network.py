"""Outputs, intermediate values, neighbours, losses and gradients of recorded networks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from egolib.mq.config import LossConfig, OptimConfig
from egolib.mq.formats.checkpoint import keys_of, recognise, to_official
from egolib.mq.losses.vsgn import training_losses
from egolib.mq.models.graph import GraphBranch
from egolib.mq.models.vsgn import VSGN, Predictions
from egolib.mq.optim import make_optimizer, schedule
from tests.parity.mq.networks import (
    TERMS,
    Recorded,
    config_of,
    inputs,
    meta,
    network,
    official_state,
    part,
    published,
    targets_of,
)
from tests.parity.recordings import normal, read

CURVE_TOLERANCE = 1e-5  # of scores and curves
BOX_TOLERANCE = 1e-3  # in features, which reach 900
TAPS = {
    "pyramid.stem": "xGPN.conv0",
    "pyramid.encoder.": "xGPN.levels_enc.",
    "pyramid.smooth.": "xGPN.levels1.",
    "pyramid.lateral.": "xGPN.levels2.",
    "pyramid.upsample.": "xGPN.levels_dec.",
    "detection.class_tower": "head_dec.cls_tower",
    "detection.box_tower": "head_dec.bbox_tower",
}


# --------------------------------------------------------------------------- outputs


@pytest.mark.xdist_group("mq_network")
@pytest.mark.recordings("net")
def test_published_network(recording: Path, device: str) -> None:
    recorded = read(recording)
    about = meta(recorded)
    model = published(recording, about).to(device)
    batch = inputs(recording, about["items"], model.config, device)
    with torch.no_grad(), outputs_of(model) as outputs, graphs_of(recorded, device) as neighbors:
        found = model(*batch)
    check_outputs(found, recorded, about["score_stride"])
    check_taps(outputs, recorded)
    check_neighbors(neighbors, recorded)


@pytest.mark.xdist_group("mq_network")
@pytest.mark.recordings("net")
def test_losses_of_published_network(recording: Path, device: str) -> None:
    recorded = read(recording)
    about = meta(recorded)
    if "losses" not in recorded:
        return  # outputs alone were recorded
    check_training(published(recording, about).to(device), recording, about, recorded, device)


@pytest.mark.xdist_group("mq_network")
@pytest.mark.recordings("net_grads")
def test_gradients_of_published_network(recording: Path, device: str) -> None:
    recorded = read(recording)
    about = meta(recorded)
    check_training(published(recording, about).to(device), recording, about, recorded, device)


@pytest.mark.recordings("net_small")
def test_variants(recording: Path, device: str) -> None:
    recorded = read(recording)
    about = meta(recorded)
    for name, variant in about["variants"].items():
        variant = {**about, **variant}
        config = config_of(variant["options"])
        model = network(config, variant["keys"], about["seed"]).to(device)
        values = part(recorded, name)
        with torch.no_grad(), outputs_of(model) as outputs:
            found = model(*inputs(recording, variant["items"], config, device))
        check_outputs(found, values, variant.get("score_stride", 1))
        check_taps(outputs, values)
        if "losses" in values:
            check_training(model, recording, variant, values, device)


def check_outputs(found: Predictions, recorded: Recorded, score_stride: int) -> None:
    scores = found.scores()
    close(scores[:, ::score_stride], recorded["out/score"], CURVE_TOLERANCE)
    if "out/score_max" in recorded:
        close(scores[..., 1:].amax(-1), recorded["out/score_max"], CURVE_TOLERANCE)
    for name in ("action", "start", "end"):
        if f"out/{name}" in recorded:
            close(getattr(found, f"{name}ness"), recorded[f"out/{name}"], CURVE_TOLERANCE)
    close(found.boxes, recorded["out/loc"], BOX_TOLERANCE)
    if "out/loc_adjusted" in recorded:
        expected = recorded["out/loc_adjusted"]
        stable = recorded.get("out/stable", np.ones(expected.shape, bool))
        close(found.adjusted.cpu().numpy()[stable], expected[stable], BOX_TOLERANCE)


def check_taps(outputs: dict[str, Tensor], recorded: Recorded) -> None:
    """Compares samples of intermediate values, and the mean, spread and norm of the whole."""
    names = {name.split("/", 1)[1] for name in recorded if name.startswith("tap/")}
    assert names <= outputs.keys()
    for name in names:
        value = outputs[name].cpu().double()
        step = 13 if value.shape[2] > 100 else 1
        close(value[:, ::16, ::step], recorded[f"tap/{name}"], 1e-4)
        if f"stat/{name}" not in recorded:
            continue
        statistics = torch.stack([value.mean(), value.std(correction=0), value.norm()])
        np.testing.assert_allclose(statistics, recorded[f"stat/{name}"], rtol=1e-4, atol=1e-5)


def check_neighbors(found: list[tuple[Tensor, Tensor]], recorded: Recorded) -> None:
    """Compares neighbours as sets; positions of equal features stand for one another."""
    levels = sum(name.startswith("neighbours/") for name in recorded)
    for level in range(levels):
        nodes, neighbors = found[level]
        expected = torch.from_numpy(recorded[f"neighbours/{level}"].astype(np.int64))
        assert neighbors.shape == expected.shape
        if torch.equal(neighbors.sort(-1).values.cpu(), expected.sort(-1).values):
            continue
        for ours, theirs, rows in zip(neighbors.cpu(), expected, nodes.cpu(), strict=False):
            for a, b in zip(rows[ours], rows[theirs], strict=False):  # K C
                assert_same_rows(a, b)


def assert_same_rows(a: Tensor, b: Tensor) -> None:
    """Two sets of feature vectors are the same."""
    assert torch.equal(torch.unique(a, dim=0), torch.unique(b, dim=0))


def close(found: Tensor | np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    found = found.detach().cpu().numpy() if isinstance(found, Tensor) else found
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


@contextmanager
def outputs_of(model: VSGN) -> Iterator[dict[str, Tensor]]:
    """Collects what modules return after their ReLU, under their official names.

    The towers are called once for each level, the finest first; the recordings count
    from the coarsest.
    """
    outputs: dict[str, Tensor] = {}
    calls: dict[str, int] = {}

    def keep(name: str):
        def hook(module: Any, arguments: Any, output: Tensor) -> None:
            key = name
            if name.startswith("head_dec."):
                call = calls.get(name, 0)
                calls[name] = call + 1
                key = f"{name}/{model.config.levels - 1 - call}"
            outputs[key] = output.relu()

        return hook

    handles = []
    for ours, module in model.named_modules():
        for prefix, official in TAPS.items():
            number = ours.removeprefix(prefix)
            if ours.startswith(prefix) and (number == "" or number.isdigit()):
                handles.append(module.register_forward_hook(keep(f"{official}{number}")))
    yield outputs
    for handle in handles:
        handle.remove()


@contextmanager
def graphs_of(recorded: Recorded, device: str) -> Iterator[list[tuple[Tensor, Tensor]]]:
    """Collects nodes and neighbours of every graph; other kernels than the CPU's take the
    recorded neighbours where there are any, for they are discrete."""
    found: list[tuple[Tensor, Tensor]] = []
    search = GraphBranch.neighbors

    def recording(branch: GraphBranch, nodes: Tensor, lengths: Tensor | None) -> Tensor:
        neighbors = search(branch, nodes, lengths)
        name = f"neighbours/{len(found)}"
        if device != "cpu" and name in recorded:
            neighbors = torch.from_numpy(recorded[name].astype(np.int64)).to(device)
        found.append((nodes, neighbors))
        return neighbors

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GraphBranch, "neighbors", recording)
        yield found


# -------------------------------------------------------------------------- training


def check_training(
    model: VSGN, recording: Path, about: dict[str, Any], recorded: Recorded, device: str
) -> None:
    """Losses, curves, and gradients of one batch."""
    features, lengths = inputs(recording, about["items"], model.config, device)
    targets = targets_of(about["segments"], lengths.tolist(), model.config.length, device)
    model.zero_grad(set_to_none=True)
    values = training_losses(model, features, lengths, targets, LossConfig())
    values["loss"].backward()
    found = [values[TERMS[name]].item() for name in about["losses"]]
    np.testing.assert_allclose(found, recorded["losses"], rtol=1e-5)
    table = keys_of(model.config)
    gradients = {table.official_name(n): p.grad for n, p in model.named_parameters()}
    model.zero_grad(set_to_none=True)  # the network is shared with other tests
    check_gradients(gradients, about, recorded)


def check_gradients(gradients: dict, about: dict[str, Any], recorded: Recorded) -> None:
    tolerance = about.get("gradient_tolerance", 1e-3)
    norms = {name: gradient.norm().item() for name, gradient in gradients.items()}
    total = np.linalg.norm(list(norms.values()))
    if "grad_norm" in recorded:
        np.testing.assert_allclose(total, recorded["grad_norm"].item(), rtol=tolerance)
    assert about.get("grad_norms", norms).keys() == norms.keys()
    for name, expected in about.get("grad_norms", {}).items():
        assert norms[name] == pytest.approx(expected, rel=tolerance, abs=3e-7 * total), name
    for name, expected in recorded.items():
        if name.startswith("grad/"):
            flat = gradients[name.removeprefix("grad/")].flatten().cpu().numpy()
            sample = flat[:: max(1, flat.size // 64)][:64]
            scale = tolerance * np.abs(expected).max()
            np.testing.assert_allclose(sample, expected, rtol=tolerance, atol=scale, err_msg=name)


@pytest.mark.recordings("trace")
def test_training_trace(recording: Path, device: str) -> None:
    recorded = read(recording)
    about = meta(recorded)
    model = network(config_of(about["opt"]), about["keys"], about["seed"]).to(device)
    config = OptimConfig(
        learning_rate=about["lr"],
        weight_decay=about["weight_decay"],
        step_epochs=about["step_size"],
        gamma=about["gamma"],
    )
    optimizer, factor = make_optimizer(model, config), schedule(config, about["steps_per_epoch"])
    rows, rates = [], []
    for step in range(about["steps"]):
        rates.append(config.learning_rate * factor(step))
        optimizer.param_groups[0]["lr"] = rates[-1]
        optimizer.zero_grad()
        values = trace_losses(model, recording, about, step, device)
        values["loss"].backward()
        optimizer.step()
        rows.append([values[TERMS[name]].item() for name in about["losses"]])
    if "lr" in recorded:
        np.testing.assert_allclose(rates, recorded["lr"], rtol=1e-12)
    stable = about.get("stable_updates", about["steps"])
    tolerance = np.where(np.arange(len(rows)) < stable, 1e-3, 0.1)[:, None]
    assert (np.abs(np.array(rows) / recorded["losses"] - 1) <= tolerance).all()
    check_final_weights(model, about, recorded, 1e-3 if stable == about["steps"] else 0.1)


def trace_losses(
    model: VSGN, recording: Path, about: dict[str, Any], step: int, device: str
) -> dict[str, Tensor]:
    """The losses of one update of the recorded training."""
    lengths = about["lengths"][step % len(about["lengths"])]
    names = [
        about["item"].replace("<step>", str(step)).replace("<b>", str(b))
        for b in range(len(lengths))
    ]
    items = [[name, count] for name, count in zip(names, lengths, strict=False)]
    batch = inputs(recording, items, model.config, device)
    targets = targets_of(about["segments"][step], lengths, model.config.length, device)
    return training_losses(model, *batch, targets, LossConfig())


def check_final_weights(
    model: VSGN, about: dict[str, Any], recorded: Recorded, tolerance: float
) -> None:
    state = {name: value.cpu() for name, value in to_official(model).items()}
    norms = {name: value.norm().item() for name, value in state.items()}
    assert norms == pytest.approx(about.get("final_norms", norms), rel=tolerance)
    for name, expected in recorded.items():
        if name.startswith("param/"):
            value = state[name.removeprefix("param/")].numpy()
            value = value[::8, ::8] if value.shape != expected.shape else value
            scale = tolerance * np.abs(expected).max()
            np.testing.assert_allclose(value, expected, rtol=tolerance, atol=scale)


# ----------------------------------------------------------------------------- names


@pytest.mark.recordings("keys")
def test_keys_both_ways(recording: Path) -> None:
    official = official_state(json.loads(recording.read_text()), 0)
    model = VSGN(recognise(official))
    assert keys_of(model.config).load(model, official).complete
    back = to_official(model)
    assert back.keys() == official.keys()
    assert all(torch.equal(back[name], value) for name, value in official.items())


@pytest.mark.recordings("inputs")
def test_named_inputs(recording: Path) -> None:
    for name, expected in read(recording).items():
        values = normal(name, tuple(expected["shape"]))
        count = len(expected["first"])
        np.testing.assert_allclose(values.ravel()[:count], expected["first"], atol=1e-7)
        assert values.sum(dtype=np.float64) == pytest.approx(expected["sum"], rel=1e-6, abs=1e-3)
