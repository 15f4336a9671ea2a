"""The network's outputs, losses and gradients, its keys and its short trainings, as recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from egolib.nlq.config.span import SpanLossConfig, SpanTrainConfig
from egolib.nlq.models.vslnet.convert import KEYS, recognise, to_official
from egolib.nlq.models.vslnet.decode import best_pairs
from egolib.nlq.models.vslnet.losses import SpanLoss
from egolib.nlq.models.vslnet.network import Vslnet
from egolib.nlq.models.vslnet.training import make_optimizer, parameter_groups, schedule
from tests.parity.nlq_vslnet.networks import batch, configuration, gradient_norms, network
from tests.parity.recordings import normal, read, recipe, stream
from tests.parity.weights import make_state_dict

# of the recorded trainings, stated in the README
VIDEOS, VIDEO_LENGTHS, WORDS, TOKENS = 4, (6, 49), (2, 11), 10


def meta(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    return json.loads(str(arrays["meta"]))


@pytest.mark.recordings("net")
def test_outputs(recording: Path, device: str) -> None:
    recorded = read(recording)
    about = meta(recorded)
    assert about["cases"]
    for case in about["cases"]:
        config = configuration(case["config"], case["small"])
        model = network(config, about["seed"], device)
        inputs = case_batch(about, case, config).to(device)
        with torch.inference_mode():
            spans = model(inputs.video, inputs.video_mask, inputs.tokens, inputs.token_mask)
        mask, name = inputs.video_mask.cpu().numpy(), case["case"]
        if f"{name}|highlight" in recorded:
            close(spans.highlight_scores, recorded[f"{name}|highlight"], 1e-5, mask)
        close(spans.start, recorded[f"{name}|start"], 1e-4, mask)
        close(spans.end, recorded[f"{name}|end"], 1e-4, mask)
        for row, pairs in enumerate(best_pairs(spans.start, spans.end)):
            for found, index in ((pairs.start, "start_index"), (pairs.end, "end_index")):
                if f"{name}|{index}" in recorded:
                    np.testing.assert_array_equal(found, recorded[f"{name}|{index}"][row])


def case_batch(about: dict, case: dict, config: Any):
    """The batch of a case; its labels are checked against the recorded ones."""
    name = f"{about['tag']}/net/{case['case']}"
    inputs = batch(name, config, case["lengths"], case["words"], case["tokens"])
    assert inputs.targets.start.tolist() == case["start"]
    assert inputs.targets.end.tolist() == case["end"]
    return inputs


def close(found: torch.Tensor, expected: np.ndarray, atol: float, mask: np.ndarray) -> None:
    values = found.cpu().numpy()
    np.testing.assert_allclose(values[mask], expected[mask], rtol=0, atol=atol)
    padding, theirs = values[~mask], expected[~mask]
    np.testing.assert_allclose(padding, theirs, rtol=1e-6, atol=1e-5)


@pytest.mark.recordings("net")
def test_losses_and_gradients(recording: Path, device: str) -> None:
    recorded = read(recording)
    about = meta(recorded)
    for case in about["cases"]:
        config = configuration(case["config"], case["small"])
        weight = case["config"]["highlight_lambda"]
        model = network(config, about["seed"], device)
        inputs = case_batch(about, case, config).to(device)
        labels = recorded.get(f"{case['case']}|highlight_labels")
        if labels is not None:
            np.testing.assert_array_equal(inputs.targets.highlight.cpu(), labels)
        values = SpanLoss(SpanLossConfig(highlight_weight=weight))(model, inputs)
        model.zero_grad(set_to_none=True)
        values["loss"].backward()
        norms = gradient_norms(model)
        assert values["location"].item() == pytest.approx(case["location_loss"], abs=1e-5)
        assert values["highlight"].item() == pytest.approx(case["highlight_loss"], abs=1e-5)
        without = {str(KEYS.official_name(n)) for n, _ in model.named_parameters()} - norms.keys()
        assert without == set(case["without_gradient"])
        assert norms.keys() == case["gradient_norms"].keys()
        for name, expected in case["gradient_norms"].items():
            assert norms[name] == pytest.approx(expected, rel=1e-3, abs=1e-5), name


@pytest.mark.recordings("trace")
def test_training_trace(recording: Path, device: str) -> None:
    recorded = read(recording)
    about = meta(recorded)
    options = about["config"]
    config = configuration(options, about["small"])
    model = Vslnet(config).to(device).train()
    model.load_state_dict(network(config, about["seed"], device).state_dict())
    train = train_config(about)
    check_groups(model, train, about)
    optimizer, factor = make_optimizer(model, train), schedule(train, options["num_train_steps"])
    loss = SpanLoss(SpanLossConfig(highlight_weight=options["highlight_lambda"]))
    rows = []
    for update in range(len(about["losses"])):
        rate = train.learning_rate * factor(update)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
        value = loss(model, drawn_batch(about["tag"], update, config).to(device))["loss"]
        value.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), about["clip_norm"])
        optimizer.step()
        rows.append((value.item(), norm.item(), rate))
    losses, norms, rates = zip(*rows, strict=True)
    np.testing.assert_allclose(losses, about["losses"], rtol=1e-4)
    np.testing.assert_allclose(norms, about["norms"], rtol=1e-3)
    np.testing.assert_allclose(rates, about["rates"], rtol=0, atol=1e-12)
    check_weights(model, recorded, about["final_norms"])


def train_config(about: dict[str, Any]) -> SpanTrainConfig:
    assert about["correct_bias"]  # the other form is not ours
    return SpanTrainConfig(
        learning_rate=about["config"]["init_lr"],
        betas=tuple(about["betas"]),
        epsilon=about["eps"],
        weight_decay=about["weight_decay"],
        warmup=about["config"]["warmup_proportion"],
    )


def check_groups(model: Vslnet, train: SpanTrainConfig, about: dict[str, Any]) -> None:
    decayed, others = parameter_groups(model, train)
    assert [decayed["weight_decay"], others["weight_decay"]] == [about["weight_decay"], 0]
    for group, name in ((decayed, "decayed"), (others, "not_decayed")):
        assert sorted(map(KEYS.official_name, group["names"])) == sorted(about[name])


def drawn_batch(tag: str, update: int, config: Any):
    """The batch of one update of the recorded trainings."""
    name = f"{tag}/train/{update}"
    rng = stream(f"{name}/lengths")
    lengths = [int(rng.integers(*VIDEO_LENGTHS)) for _ in range(VIDEOS)]
    words = [int(rng.integers(*WORDS)) for _ in range(VIDEOS)]
    return batch(name, config, lengths, words, TOKENS)


def check_weights(model: Vslnet, recorded: dict, norms: dict[str, float]) -> None:
    state = {name: value.cpu() for name, value in to_official(model).items()}
    for name in (name for name in recorded if name.startswith("final|")):
        np.testing.assert_allclose(
            state[name.removeprefix("final|")], recorded[name], rtol=0, atol=1e-4
        )
    found = {name: value.norm().item() for name, value in state.items()}
    assert found == pytest.approx(norms, abs=1e-4)


@pytest.mark.recordings("keys")
def test_keys_both_ways(recording: Path) -> None:
    keys = read(recording)
    official = {k: torch.from_numpy(v) for k, v in make_state_dict(keys, 0).items()}
    config = recognise(official)
    model = Vslnet(config)
    assert KEYS.load(model, official).complete
    back = to_official(model)
    assert back.keys() == official.keys()
    assert all(torch.equal(back[name], value) for name, value in official.items())
    assert {name: ["float32", list(value.shape)] for name, value in back.items()} == keys


@pytest.mark.recordings("inputs")
def test_named_inputs(recording: Path) -> None:
    tag = recipe(recording)["streams"]
    for name, expected in read(recording).items():
        values = normal(f"{tag}/{name}", tuple(expected["shape"]))
        first = expected["first"]
        np.testing.assert_allclose(values.ravel()[: len(first)], first, rtol=0, atol=1e-7)
        assert values.sum(dtype=np.float64) == pytest.approx(expected["sum"], rel=1e-6, abs=1e-3)
