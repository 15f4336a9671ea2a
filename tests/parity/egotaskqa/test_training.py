"""The head alone: gradients, updates; rates of whole trainings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from egolib.vlp.benchmarks.answering import make_optimizer
from egolib.vlp.config import OptimConfig
from egolib.vlp.config.published import egotaskqa_direct
from egolib.vlp.formats.egotaskqa import HEAD
from egolib.vlp.losses.question_answering import answer_loss
from egolib.vlp.models.question_answering import AnswerHead
from egolib.vlp.optim import schedule
from tests.parity.recordings import normal, read, stream
from tests.parity.vlp.networks import assert_close
from tests.parity.weights import make_state_dict

OURS = {
    official.format(leaf=leaf): ours.format(leaf=leaf).removeprefix("answer.")
    for ours, official in HEAD
    for leaf in ("weight", "bias")
}


def head(meta: dict[str, Any]) -> AnswerHead:
    width, answers = meta["width"], meta["answers"]
    shapes = [[answers, width], [answers], [answers, answers], [answers]]
    keys = {name: ["float32", shape] for name, shape in zip(OURS, shapes, strict=False)}
    model = AnswerHead(width, answers).eval()
    state = make_state_dict(keys, meta["seed"])
    model.load_state_dict({OURS[k]: torch.from_numpy(v) for k, v in state.items()})
    return model


def optim_config(rate: float) -> OptimConfig:
    return OptimConfig(**vars(egotaskqa_direct()[2]) | {"learning_rate": rate})


@pytest.mark.recordings("head")
def test_head(recording: Path) -> None:
    recorded = read(recording)
    meta = json.loads(str(recorded["meta"]))
    model = head(meta)
    shape = (meta["count"], meta["width"])
    x = torch.from_numpy(normal(f"{meta['tag']}/head/class", shape)).requires_grad_()
    labels = stream(f"{meta['tag']}/head/labels").integers(0, meta["answers"], meta["count"])
    np.testing.assert_array_equal(labels, recorded["labels"])
    logits = model(x)
    loss = answer_loss(logits, torch.from_numpy(labels))
    loss.backward()
    assert_close(logits, recorded["logits"], atol=1e-6, what="logits")
    assert_close(loss, meta["loss"], atol=1e-6, what="loss")
    assert x.grad is not None
    if "x_grad" in recorded:
        assert_close(x.grad, recorded["x_grad"], atol=1e-6, what="input's gradient")
    parameters = dict(model.named_parameters())
    for official, ours in OURS.items():
        if f"grad|{official}" in recorded:
            grad = parameters[ours].grad
            assert_close(grad, recorded[f"grad|{official}"], atol=1e-6, what=official)


@pytest.mark.recordings("head")
def test_updates(recording: Path) -> None:
    recorded = read(recording)
    meta = json.loads(str(recorded["meta"]))
    model, config = head(meta), optim_config(meta["rate"])
    optimizer = make_optimizer(model, config)
    factor = schedule(config, meta["epochs"] * meta["updates_per_epoch"])
    for i, expected in enumerate(meta["losses"]):
        (group,) = optimizer.param_groups
        group["lr"] = config.learning_rate * factor(i)
        assert group["lr"] == pytest.approx(meta["rates"][i], abs=1e-12)
        shape = (meta["count"], meta["width"])
        x = torch.from_numpy(normal(f"{meta['tag']}/head/step{i}", shape))
        labels = stream(f"{meta['tag']}/head/step{i}/labels")
        loss = answer_loss(
            model(x), torch.from_numpy(labels.integers(0, meta["answers"], meta["count"]))
        )
        assert_close(loss, expected, atol=1e-5, what=f"loss {i}")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for official, ours in OURS.items():
        if f"final|{official}" in recorded:
            final = model.state_dict()[ours]
            assert_close(final, recorded[f"final|{official}"], atol=1e-5, what=official)


@pytest.mark.recordings("schedule")
def test_schedule(recording: Path) -> None:
    cases = read(recording)
    assert cases
    for case in cases:
        config = optim_config(case["lr"])
        factor = schedule(config, int(case["epochs"] * case["updates_per_epoch"]))
        rates = [config.learning_rate * factor(i) for i in range(len(case["rates"]))]
        np.testing.assert_allclose(rates, case["rates"], rtol=0, atol=1e-12)
