"""Targets, losses, gradients, schedules, parameter groups and a short training, as recorded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from egolib.engine.job import MovingAverage
from egolib.nlq.config import LossConfig, OptimConfig, groundnlq
from egolib.nlq.formats.checkpoint import KEYS
from egolib.nlq.models.network import GroundNLQ
from egolib.nlq.optim import make_optimizer, parameter_groups, schedule
from egolib.nn.point_losses import PointLoss, focal_loss, overlap_loss
from egolib.nn.points import Predictions, assign, assign_batch, make_points, pyramid_lengths
from egolib.nn.temporal_blocks import StochasticDepth
from tests.parity.nlq.networks import inputs, meta, named_config, network, published, to
from tests.parity.recordings import read, recipe, stream

LENGTHS = pyramid_lengths(2560, 7)
LOSS_OPTIONS = {
    "train_label_smoothing": "label_smoothing",
    "train_loss_weight": "regression_weight",
}
SCHEDULES = {
    # base rate, warm-up and further epochs of each recorded schedule
    "scratch": (OptimConfig(learning_rate=1e-4, warmup_epochs=5), 8),
    "finetune": (OptimConfig(learning_rate=2.5e-5, warmup_epochs=4), 6),
    "multistep": (
        OptimConfig(
            learning_rate=1e-3,
            warmup_epochs=2,
            schedule="multistep",
            milestones=(2, 4),
            milestone_unit="epochs",
            gamma=0.1,
        ),
        6,
    ),
    "constant": (OptimConfig(learning_rate=1e-3, warmup_epochs=2, schedule="constant"), 3),
    "nowarm": (OptimConfig(learning_rate=1e-3, warmup_epochs=0), 4),
}


# ------------------------------------------------------------------------- targets


@pytest.mark.recordings("labels")
def test_points(recording: Path) -> None:
    recorded = read(recording)
    points = make_points(LENGTHS)
    if "points_level_lengths" not in recorded:
        return
    assert list(points.lengths) == recorded["points_level_lengths"].tolist()
    ranges = torch.tensor(LossConfig().regression_ranges)[points.levels]
    table = torch.cat([points.positions[:, None], ranges, points.strides[:, None]], 1)
    for level, rows in enumerate(table.split(LENGTHS)):
        np.testing.assert_array_equal(rows[:3], recorded["points_first_rows"][level])
        np.testing.assert_array_equal(rows[-1], recorded["points_last_row"][level])


@pytest.mark.recordings("labels")
def test_targets(recording: Path) -> None:
    recorded = read(recording)
    cases = {name.rsplit("/", 1)[0] for name in recorded if name.endswith("/segments")}
    assert cases
    for case in cases:
        kind, _, name = case.partition("/")
        config = LossConfig(center_sampling="none" if kind == "none" else "radius")
        if kind == "multi":
            config = LossConfig(center_radius=float(name.removeprefix("radius")))
        windows = torch.from_numpy(recorded[f"{case}/segments"])
        labels = torch.from_numpy(recorded.get(f"{case}/classes", np.zeros(len(windows), int)))
        classes = recorded[f"{case}/pos_cls"].shape[1] if kind == "multi" else 1
        found, offsets = assign(make_points(LENGTHS), windows, labels, config, classes)
        positive = torch.nonzero(found.sum(1) > 0)[:, 0]
        np.testing.assert_array_equal(positive, recorded[f"{case}/pos_index"])
        expected = recorded[f"{case}/pos_cls"].reshape(len(positive), classes)
        np.testing.assert_allclose(found[positive], expected, atol=1e-9)
        np.testing.assert_allclose(
            offsets[positive], recorded[f"{case}/pos_offsets"], rtol=0, atol=1e-9
        )
        if f"{case}/all_offsets_stat" in recorded and len(windows):
            found = [offsets.sum(), offsets.abs().sum(), offsets.min(), offsets.max()]
            np.testing.assert_allclose(found, recorded[f"{case}/all_offsets_stat"], rtol=1e-9)


# -------------------------------------------------------------------------- losses


@pytest.mark.recordings("loss_functions")
def test_loss_functions(recording: Path) -> None:
    recorded = read(recording)
    logits, targets, found, truth = (
        torch.from_numpy(recorded[name]) for name in ("logits", "targets", "pred", "gt")
    )
    values = {
        "focal": focal_loss(logits, targets),
        "focal_noalpha": focal_loss(logits, targets, alpha=-1),
        "focal_gamma0": focal_loss(logits, targets, gamma=0),
        "diou": overlap_loss(found, truth),
        "giou": overlap_loss(found, truth, "giou"),
    }
    for name, value in values.items():
        np.testing.assert_allclose(value, recorded[name], rtol=0, atol=1e-6)


@pytest.mark.recordings("losses")
def test_losses(recording: Path) -> None:
    recorded = read(recording)
    name_of_stream = recipe(recording)["loss_stream"]
    for case, about in meta(recorded)["cases"].items():
        options = {LOSS_OPTIONS[name]: value for name, value in about["attrs"].items()}
        config = LossConfig(**options)
        loss = PointLoss(config)
        windows = [torch.tensor(w, dtype=torch.float64) for w in about["segments"]]
        labels = [torch.zeros(len(w), dtype=torch.long) for w in windows]
        targets = assign_batch(make_points(LENGTHS), windows, labels, about["valid"], config)
        for call in range(about["calls"]):
            predictions = drawn_predictions(f"{name_of_stream}/{case}/{call}", about["valid"])
            values = loss(predictions, targets)
            found = [values[k].item() for k in ("classification", "regression", "loss")]
            found.append(loss.normalizer)
            np.testing.assert_allclose(found, recorded[f"{case}/losses"][call], rtol=1e-5)
            if call == 0:
                check_gradients(predictions, values["loss"], recorded, case)


def drawn_predictions(name: str, valid: list[int]) -> Predictions:
    """Random logits and offsets of a named stream, with gradients."""
    rng, batch = stream(name), len(valid)
    logits = rng.standard_normal((batch, sum(LENGTHS), 1)).astype(np.float32) * 1.5 - 2
    offsets = np.abs(rng.standard_normal((batch, sum(LENGTHS), 2))).astype(np.float32) * 2
    masks = [pyramid_mask(n) for n in valid]
    return Predictions(
        torch.from_numpy(logits).requires_grad_(),
        torch.from_numpy(offsets).requires_grad_(),
        torch.stack(masks),
        LENGTHS,
    )


def pyramid_mask(valid: int) -> torch.Tensor:
    return torch.cat(
        [
            torch.arange(n) < count
            for n, count in zip(LENGTHS, pyramid_lengths(valid, 7), strict=False)
        ]
    )


def check_gradients(
    predictions: Predictions, loss: torch.Tensor, recorded: dict, case: str
) -> None:
    """Compares those of the gradients' samples and sums that were recorded."""
    loss.backward()
    logits, offsets = predictions.logits.grad, predictions.offsets.grad
    assert logits is not None and offsets is not None
    own = {n.partition("/")[2]: v for n, v in recorded.items() if n.startswith(f"{case}/")}
    if "grad_off_index" in own:
        index = own["grad_off_index"]
        np.testing.assert_array_equal(torch.nonzero(offsets.abs().sum(-1)), index)
        found = offsets[index[:, 0], index[:, 1]]
        np.testing.assert_allclose(found, own["grad_off"], rtol=1e-5, atol=1e-9)
    if "grad_logits_sub" in own:
        sample = own["grad_logits_sub"]
        step = -(-logits.shape[1] // sample.shape[1])
        np.testing.assert_allclose(logits[:, ::step, 0], sample, rtol=1e-5, atol=1e-9)
    if "grad_logits_stat" in own:
        sums = [logits.double().sum(), logits.double().abs().sum()]
        np.testing.assert_allclose(sums, own["grad_logits_stat"], rtol=1e-5)


@pytest.mark.xdist_group("nlq_network")
@pytest.mark.recordings("net_grads")
def test_gradients(recording: Path, device: str) -> None:
    recorded = read(recording)
    about = meta(recorded)
    model = published(recording, about).to(device).train()
    depths = switch_off_depth(model)
    loss = PointLoss(LossConfig())
    values = loss(*forward(model, about["items"], about["segments"], device))
    values["loss"].backward()
    found = [values[k].item() for k in ("classification", "regression", "loss")]
    norms = {KEYS.official_name(n): p.grad.norm().item() for n, p in model.named_parameters()}
    model.zero_grad(set_to_none=True)
    for depth, probability in depths.items():  # the network is shared with other tests
        depth.probability = probability
    model.eval()
    np.testing.assert_allclose(found, recorded["losses"], rtol=1e-3)
    if "loss_normalizer_after" in recorded:
        assert loss.normalizer == pytest.approx(float(recorded["loss_normalizer_after"]))
    total = np.linalg.norm(list(norms.values()))
    if "total_grad_norm" in recorded:
        np.testing.assert_allclose(total, recorded["total_grad_norm"], rtol=1e-3)
    if "grad_norms" in about:
        assert norms.keys() == about["grad_norms"].keys()
        check_norms(norms, about["grad_norms"], total)


def check_norms(norms: dict, expected: dict, total: float) -> None:
    """1e-3 relative; gradients that are zero but for rounding are compared with the total."""
    for name, value in expected.items():
        assert norms[name] == pytest.approx(value, rel=1e-3, abs=1e-7 * total), name


def switch_off_depth(model: GroundNLQ) -> dict[StochasticDepth, float]:
    """No sample is left out; returns the former probabilities."""
    depths = {m: m.probability for m in model.modules() if isinstance(m, StochasticDepth)}
    for depth in depths:
        depth.probability = 0.0
    return depths


def forward(model: GroundNLQ, items: list[dict], windows: list, device: str) -> tuple:
    """Predictions and targets of named items with windows in features."""
    predictions = model(*to(device, inputs(items, model.config, model.config.max_length)))
    points = make_points(predictions.lengths, device)
    segments = [torch.tensor(w, dtype=torch.float64, device=device) for w in windows]
    labels = [torch.zeros(len(w), dtype=torch.long, device=device) for w in segments]
    targets = assign_batch(points, segments, labels, [i["T"] for i in items], LossConfig())
    return predictions, targets


# -------------------------------------------------------------------- optimisation


@pytest.mark.recordings("schedules")
def test_schedules(recording: Path) -> None:
    recorded = read(recording)
    steps = meta(recorded)["steps_per_epoch"]
    names = [name.removeprefix("lr/") for name in recorded if name.startswith("lr/")]
    assert names
    for name in names:
        config, epochs = SCHEDULES[name]
        factor = schedule(config, config.warmup_epochs + epochs, steps)
        expected = recorded[f"lr/{name}"]
        found = [config.learning_rate * factor(t) for t in range(len(expected))]
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-15)


@pytest.mark.recordings("groups")
def test_parameter_groups(recording: Path) -> None:
    recorded = read(recording)
    model = GroundNLQ(groundnlq())
    assert recorded
    for groups in recorded.values():
        rates = {group["lr"] for group in groups if "lr" in group} or {1.0}
        factor = min(rates) / max(rates)
        config = OptimConfig(learning_rate=max(rates), backbone_lr_factor=factor)
        check_groups(model, config, groups)


def check_groups(model: GroundNLQ, config: OptimConfig, recorded: list[dict]) -> None:
    found = parameter_groups(model, config)
    assert len(found) == len(recorded)
    for expected in recorded:
        match = [g for g in found if official_names(g) == sorted(expected["names"])]
        assert len(match) == 1
        assert match[0]["weight_decay"] == expected["weight_decay"]
        if "lr" in expected:
            assert match[0]["lr"] == pytest.approx(expected["lr"])


def official_names(group: dict) -> list[str]:
    return sorted(str(KEYS.official_name(name)) for name in group["names"])


@pytest.mark.slow
@pytest.mark.recordings("trace")
def test_training_trace(recording: Path, device: str) -> None:
    recorded = read(recording)
    about = meta(recorded)
    options = about["opt"]
    add_one = about.get("add_one", True)
    config = named_config(recording, about)
    model = network(config, about["keys"], about["weight_seed"], add_one)
    model.to(device).train()
    switch_off_depth(model)
    config = OptimConfig(
        learning_rate=options["learning_rate"],
        weight_decay=options["weight_decay"],
        warmup_epochs=options["warmup_epochs"],
    )
    epochs, steps = options["warmup_epochs"] + options["epochs"], options["steps_per_epoch"]
    factor, optimizer = schedule(config, epochs, steps), make_optimizer(model, config)
    average = MovingAverage(model, options["ema_decay"])
    loss, rows = PointLoss(LossConfig()), []
    for update in range(epochs * steps):
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * factor(update)
        optimizer.zero_grad()
        values = loss(*forward(model, *drawn_items(recording, update), device))
        values["loss"].backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), options["clip"])
        optimizer.step()
        average.update(model)
        losses = [values[k].item() for k in ("classification", "regression", "loss")]
        rows.append([*losses, norm.item(), optimizer.param_groups[0]["lr"], loss.normalizer])
    np.testing.assert_allclose(rows[:8], recorded["trace"][:8], rtol=1e-3)
    np.testing.assert_allclose(rows[8:], recorded["trace"][8:], rtol=1e-2)
    finals = ((model.state_dict(), "final_param_norms"), (average.state, "final_ema_norms"))
    for state, name in finals:
        expected = about.get(name)
        if expected is None:
            continue
        norms = {KEYS.official_name(n): v.norm().item() for n, v in state.items()}
        assert norms == pytest.approx(expected, rel=1e-2, abs=1e-6)


def drawn_items(recording: Path, update: int) -> tuple[list[dict], list]:
    """The two items of an update of the recorded training, and their windows."""
    names = recipe(recording)
    rng = stream(f"{names['trace_stream']}/{update}")
    length = int(rng.integers(80, 512))
    start, duration = rng.uniform(0, length - 30), rng.uniform(4, 30)
    items = [
        {"name": f"{names['trace_item']}-{update}-{b}", "T": length - 10 * b, "L": 4 + b}
        for b in (0, 1)
    ]
    return items, [[[start / (b + 1), start / (b + 1) + duration]] for b in (0, 1)]


# --------------------------------------------------------------------------- names


@pytest.mark.recordings("keys")
def test_keys_both_ways(recording: Path) -> None:
    from egolib.nlq.formats.checkpoint import recognise, to_official
    from tests.parity.nlq.networks import official_state

    official = official_state(read(recording), 0, False)
    model = GroundNLQ(recognise(official))
    assert KEYS.load(model, official).complete
    back = to_official(model)
    assert back.keys() == official.keys()
    assert all(torch.equal(back[name], value) for name, value in official.items())


@pytest.mark.recordings("inputs")
def test_named_inputs(recording: Path) -> None:
    from tests.parity.recordings import normal

    for name, expected in read(recording).items():
        values = normal(name, tuple(expected["shape"]))
        np.testing.assert_allclose(values.ravel()[:3], expected["first"], rtol=0, atol=1e-7)
        assert values.sum(dtype=np.float64) == pytest.approx(expected["sum"], rel=1e-6, abs=1e-3)
