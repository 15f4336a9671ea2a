"""The summariser: scores, losses, gradients, rates, and a whole training."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from egolib.engine.config import FitConfig
from egolib.engine.fit import fit
from egolib.errors import EgolibError
from egolib.io import checkpoint
from egolib.vlp.config import LossConfig, OptimConfig, SummarizerConfig
from egolib.vlp.config.published import qfvs
from egolib.vlp.data.qfvs import Query
from egolib.vlp.formats import qfvs as formats
from egolib.vlp.summarization import training
from egolib.vlp.summarization.losses import (
    SummaryBatch,
    SummaryLoss,
    SummarySequence,
    shot_scores,
    summary_losses,
)
from egolib.vlp.summarization.network import Summarizer, build_summarizer, padding_bias
from egolib.vlp.summarization.optim import parameter_groups, schedule
from tests.parity.qfvs.networks import summarizer, summary_state
from tests.parity.recordings import normal, read
from tests.parity.vlp.networks import assert_close

TARGETS = ("concept1", "concept2", "oracle")


def meta_of(recorded: dict[str, Any]) -> dict[str, Any]:
    return json.loads(str(recorded["meta"]))


@pytest.mark.recordings("summary")
@torch.no_grad()
def test_scores(recording: Path) -> None:
    recorded = read(recording)
    meta = meta_of(recorded)
    assert meta["cases"]
    for case in meta["cases"]:
        name, width = case["case"], case["width"]
        state = summary_state(recording, width, case["layers"], meta["seed"])
        model = summarizer(state, case["heads"])
        shape = (case["batch"], case["segments"], model.config.longest, width)
        x = torch.from_numpy(normal(f"{meta['tag']}/summary/{name}", shape))
        lengths = torch.from_numpy(recorded[f"{name}|lengths"])
        scores = model(x.flatten(0, 1), lengths.flatten()).unflatten(0, shape[:2])
        assert_close(scores, recorded[f"{name}|scores"], atol=1e-5, what=name)
        if f"{name}|pe" in recorded:
            positions = model.positions[0, ::23, ::5]
            assert_close(positions, recorded[f"{name}|pe"], atol=1e-6, what="positions")
        for i in range(shape[0]):  # without the empty segments
            real = torch.arange(shape[2]) < lengths[i][:, None]
            expected = torch.from_numpy(recorded[f"{name}|scores"][i])[real]
            assert_close(model.score_shots(x[i], lengths[i]), expected, atol=1e-5, what=name)


@pytest.mark.recordings("summary_keys")
def test_summary_keys(recording: Path) -> None:
    """Every name in the official code has one of ours, and back; weights survive."""
    keys = json.loads(recording.read_text())
    state = {k: torch.randn(shape) for k, (_, shape) in keys.items()}
    model = Summarizer(formats.recognise_summary(state))
    assert formats.load_summary(model, state).complete
    back = formats.summary_to_official(model)
    assert {k: [str(v.dtype)[6:], list(v.shape)] for k, v in back.items()} == keys
    assert all(torch.equal(back[k], state[k]) for k in state)


# -------------------------------------------------------------------------------- loss


def loss_batch(recorded: dict[str, Any], meta: dict[str, Any]) -> SummaryBatch:
    sequences = []
    for item, lengths in enumerate(meta["lengths"]):
        for target in TARGETS:
            shape = (1, meta["segments"], 200, meta["width"])
            features = normal(f"{meta['tag']}/loss/{item}/{target}", shape)[0]
            labels = recorded[f"{item}|{target}|labels"][None]
            sequences.append(
                SummarySequence(
                    torch.from_numpy(features), torch.tensor(lengths), torch.from_numpy(labels)
                )
            )
    return SummaryBatch(sequences, len(meta["lengths"]))


@pytest.mark.recordings("loss")
def test_loss_and_gradients(recording: Path) -> None:
    recorded = read(recording)
    meta = meta_of(recorded)
    layers = len({k.split(".")[2] for k in meta["gradient_norms"] if k.startswith("transf")})
    state = summary_state(recording, meta["width"], layers, meta["seed"])
    model = summarizer(state, 2)
    batch = loss_batch(recorded, meta)
    names = [(item, target) for item in range(len(meta["lengths"])) for target in TARGETS]
    scores = shot_scores(model, batch.sequences)
    for (item, target), found in zip(names, scores, strict=True):
        assert_close(found, recorded[f"{item}|{target}|scores"], atol=1e-5, what=target)
    losses = summary_losses(model, batch)
    assert [list(name) for name in names] == [entry[:2] for entry in meta["losses"]]
    assert_close(losses, [entry[2] for entry in meta["losses"]], atol=1e-5, what="losses")
    loss = SummaryLoss()(model, batch)["loss"]
    assert loss.item() == pytest.approx(meta["total"], abs=1e-5)
    loss.backward()
    compare_gradients(model, recorded, meta)
    for item, lengths in enumerate(meta["lengths"]):
        bias = padding_bias(torch.tensor(lengths), 200)[:, 0, 0]
        if f"{item}|mask_values" in recorded:
            assert_close(bias[:, ::9], recorded[f"{item}|mask_values"], atol=0, what="mask")
    if "pe" in recorded:
        assert_close(model.positions[0], recorded["pe"], atol=1e-6, what="positions")


def compare_gradients(model: Summarizer, recorded: dict[str, Any], meta: dict) -> None:
    grads = {
        str(formats.SUMMARY_KEYS.official_name(name)): parameter.grad
        for name, parameter in model.named_parameters()
    }
    assert grads.keys() == meta["gradient_norms"].keys()
    for name, norm in meta["gradient_norms"].items():
        grad = grads[name]
        assert (grad is None) == (norm is None), name
        if grad is not None:
            assert grad.norm().item() == pytest.approx(norm, rel=1e-3, abs=1e-5), name
    for key in (k for k in recorded if k.startswith("grad|")):
        expected = recorded[key]
        tolerance = 1e-4 * np.abs(expected).max()
        assert_close(grads[key.partition("|")[2]], expected, atol=tolerance, what=key)


@pytest.mark.recordings("loss")
@torch.no_grad()
def test_intermediate_states(recording: Path) -> None:
    recorded = read(recording)
    meta = meta_of(recorded)
    taps = {k.partition("|")[2]: v for k, v in recorded.items() if k.startswith("tap|")}
    if not taps:
        pytest.skip("no intermediate state was recorded")
    layers = len({k.split(".")[2] for k in meta["gradient_norms"] if k.startswith("transf")})
    model = summarizer(summary_state(recording, meta["width"], layers, meta["seed"]), 2)
    found: dict[str, Tensor] = {}
    places: dict[str, nn.Module] = {"projector_1": model.project}
    places |= {f"transformer_encoder.layers.{i}": m for i, m in enumerate(model.layers)}
    for name, module in places.items():
        module.register_forward_hook(lambda _m, _i, x, name=name: found.update({name: x}))
    sequence = loss_batch(recorded, meta).sequences[TARGETS.index("oracle")]
    model(sequence.features, sequence.lengths)
    assert taps.keys() <= found.keys()
    for name, value in taps.items():
        assert_close(found[name][None][:, :, ::19], value, atol=1e-5, what=name)


# ---------------------------------------------------------------------------- schedule


@pytest.mark.recordings("schedule")
def test_rates(recording: Path) -> None:
    recorded = read(recording)
    assert recorded["rates"]
    for case in recorded["rates"]:
        config = replace(qfvs()[2], head_lr_factor=case["weights"], bias_lr_factor=case["biases"])
        factor = schedule(config, case["epochs"], case["batches"])
        for step, *rates in case["step_weights_biases"]:
            if rates == ["ZeroDivisionError"]:
                with pytest.raises(EgolibError, match="ends with its rise"):
                    factor(step)
                continue
            factors = (config.head_lr_factor, config.bias_lr_factor)
            found = [config.learning_rate * f * factor(step) for f in factors]
            np.testing.assert_allclose(found, rates, rtol=1e-12, atol=0)


@pytest.mark.recordings("schedule")
def test_groups_and_initial_state(recording: Path) -> None:
    recorded = read(recording)
    config = SummarizerConfig(width=recorded["width"])
    model = build_summarizer(config, torch.Generator().manual_seed(0))
    assert sum(p.numel() for p in model.parameters()) == recorded["parameters"]
    groups = parameter_groups(model, qfvs()[2])
    optimizer = training.make_optimizer(model, qfvs()[2])
    for ours, made, theirs in zip(groups, optimizer.param_groups, recorded["groups"], strict=True):
        names = [formats.SUMMARY_KEYS.official_name(name) for name in ours["names"]]
        assert names == theirs["names"]
        assert made["weight_decay"] == theirs["weight_decay"]
        assert list(made["betas"]) == theirs["betas"] and made["eps"] == theirs["eps"]
    compare_initial_state(model, recorded["initial"])


def compare_initial_state(model: Summarizer, facts: dict[str, Any]) -> None:
    states = [layer.state_dict() for layer in (model.template, *model.layers)]
    equal = all(torch.equal(s[k], states[0][k]) for s in states for k in s)
    assert equal == facts["layers_equal"]
    assert (states[0]["qkv.bias"] == 0).all().item() == facts["in_proj_bias_zero"]
    assert (states[0]["out.bias"] == 0).all().item() == facts["out_proj_bias_zero"]
    bound = (6 / (4 * model.config.width)) ** 0.5
    largest = states[0]["qkv.weight"].abs().max().item()
    assert 0.999 * bound < largest <= bound and facts["in_proj_weight_bound"] <= bound


# ---------------------------------------------------------------------- a whole training


class RecordedFeatures:
    """The drawn features of one query: another array for each of its prompts."""

    def __init__(self, prefix: str, prompts: tuple[str, str, str], lengths: list[int], width: int):
        self.names = dict(zip(prompts, TARGETS, strict=True))
        self.prefix, self.width = prefix, width
        self.lengths = np.array(lengths)

    def key(self, prompt: str) -> str:
        return prompt

    def packed(self, prompt: str, places: int, padding: str = "official") -> np.ndarray:
        shape = (len(self.lengths), places, self.width)
        return normal(f"{self.prefix}/{self.names[prompt]}", shape)


class RecordedOrder(training.SummaryData):
    """The items in the recorded order, epoch after epoch."""

    def __init__(self, items: list, places: int, recorded: list[int]):
        super().__init__(items, places)
        self.recorded = np.array(recorded).reshape(-1, len(items))

    def order(self, epoch: int, rng: np.random.Generator) -> np.ndarray:
        return self.recorded[epoch]


class WatchedLoss(SummaryLoss):
    """Notes the losses one by one."""

    def __init__(self) -> None:
        super().__init__()
        self.each: list[float] = []

    def __call__(self, model: nn.Module, batch: SummaryBatch) -> dict[str, Tensor]:
        assert isinstance(model, Summarizer)
        self.each += summary_losses(model, batch).tolist()
        return super().__call__(model, batch)


def trace_items(recorded: dict[str, Any], meta: dict, video: int) -> list[training.SummaryItem]:
    """The queries of a video with their drawn features and recorded targets."""
    filled = meta["shots"][str(video)]
    lengths = filled + [0] * (meta["config"]["max_segment_num"] - len(filled))
    shots = sum(filled)
    items = []
    for number in range(meta["queries"]):
        names = ("concept1_GT", "concept2_GT", "oracle_summary")
        targets = np.stack([recorded[f"{video}|{number}|{name}"] for name in names])
        oracle = tuple(np.flatnonzero(targets[2]).tolist())
        query = Query(video, (f"A{number}", f"B{number}"), oracle, Path())
        prefix = f"{meta['tag']}/train/{video}/{number}"
        features = RecordedFeatures(prefix, query.prompts, lengths, meta["config"]["model_dim"])
        items.append(training.SummaryItem(query, features, targets[:, :shots]))
    return items


class TraceVideo(training.EvaluatedVideo):
    """Every query of the recorded training has features of its own."""

    def __init__(self, items: list[training.SummaryItem], tags: np.ndarray):
        super().__init__(items[0].features, [item.query for item in items], tags)
        object.__setattr__(self, "items", items)

    def evaluate(self, model: Summarizer, rules: training.SummaryRules) -> training.Match:
        found = []
        for item in self.items:  # type: ignore[attr-defined]
            (summary,) = training.summaries(model, item.features, [item.query], rules)
            found += training.evaluate_summaries([summary], [item.query], self.tags)
        return training.mean_match(found)


def trace_config(
    meta: dict[str, Any],
) -> tuple[OptimConfig, training.SummaryRules, FitConfig]:
    recorded = meta["config"]
    optim = replace(
        qfvs()[2],
        head_lr_factor=recorded["learning_rate_weights"],
        bias_lr_factor=recorded["learning_rate_biases"],
    )
    settings = FitConfig(
        epochs=recorded["epoch"],
        batch_size=recorded["batch_size"],
        log_every=1,
        drop_last=False,
        evaluate_first=True,
        evaluate_every=1,
        monitor="f1:max",
    )
    return optim, training.SummaryRules(recorded["top_percent"]), settings


def start_state(recording: Path, meta: dict[str, Any]) -> dict[str, Tensor]:
    config = meta["config"]
    state = summary_state(recording, config["model_dim"], config["num_layers"], meta["seed"])
    shape = tuple(state["summ_head.weight"].shape)
    weight = 0.1 * normal(f"{meta['tag']}/train/summ_head", shape)
    state["summ_head.weight"] = torch.from_numpy(weight).float()
    state["summ_head.bias"] = torch.full((1,), meta["last_bias"])
    return state


@pytest.mark.recordings("train_trace")
def test_whole_training(recording: Path, tmp_path: Path) -> None:
    recorded = read(recording)
    meta = meta_of(recorded)
    optim, rules, settings = trace_config(meta)
    items = [i for video in meta["train_videos"] for i in trace_items(recorded, meta, video)]
    tested = trace_items(recorded, meta, meta["test_video"])
    test = TraceVideo(tested, recorded[f"tags|{meta['test_video']}"])
    loss = WatchedLoss()
    state = start_state(recording, meta)
    rates: list[list[float]] = []

    def build() -> Any:
        network = formats.recognise_summary(state, meta["config"]["nhead"])
        model = Summarizer(training.training_network(network, LossConfig()))
        formats.load_summary(model, state | {"pos.pe": model.positions})
        data = RecordedOrder(items, meta["config"]["max_frame_num"], meta["order"])
        job = training.make_job(model, data, optim, settings, test=test, rules=rules, loss=loss)
        job.optimizer.register_step_pre_hook(
            lambda optimizer, _a, _k: rates.append([g["lr"] for g in optimizer.param_groups])
        )
        return job

    result = fit(build, settings, tmp_path, seed=0, fingerprint="trace")
    np.testing.assert_allclose(loss.each, meta["losses"], rtol=1e-4)
    np.testing.assert_allclose(rates, meta["rates"], rtol=1e-12)
    compare_evaluations(result, meta)
    weights, _ = checkpoint.load(result.weights)
    final = formats.SUMMARY_KEYS.to_official(weights)
    for key in (k for k in recorded if k.startswith("final|")):
        assert_close(final[key.partition("|")[2]], recorded[key], atol=5e-6, what=key)


def compare_evaluations(result: Any, meta: dict[str, Any]) -> None:
    names = ("precision", "recall", "f1")
    found = [[record[name] for name in names] for record in result.evaluations()]
    expected = [[entry[name] for name in names] for entry in meta["epochs"]]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)
    matches = training.trained_matches(result)
    selected = [getattr(matches["selected"], name) for name in names]
    np.testing.assert_allclose(selected, [meta["best"][name] for name in names], atol=1e-9)
    _, about = checkpoint.load(result.best)
    assert about["metrics"]["f1"] == pytest.approx(meta["best"]["f1"], abs=1e-9)
