from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from egolib.errors import EgolibError
from egolib.vlp.config import InitialConfig
from egolib.vlp.formats import checkpoint
from egolib.vlp.models.build import build, build_empty
from tests.vlp.small import CONFIG, batch, small_model


def test_initial_weights_are_those_of_the_paper() -> None:
    model, report = build(CONFIG, generator=torch.Generator().manual_seed(0))
    assert report.vit is report.roberta is None
    state = model.state_dict()
    assert all(value.isfinite().all() for value in state.values())
    zero = [k for k in state if k.endswith("cross_gate")] + ["fusion_class_token", "video.times"]
    assert not any(state[k].any() for k in zero)
    for block in model.video.blocks:
        assert not block.time_attention.qkv.weight.any()
        assert (block.time_attention.out.weight == 1).all()
    assert state["masked_language.decode.weight"].std().item() == pytest.approx(0.02, rel=0.2)
    assert (state["fusion_norm.weight"] == 1).all()
    bound = CONFIG.width**-0.5
    projector = state["video_projector.0.weight"].abs()
    assert 0.9 * bound < projector.max().item() <= bound


def test_positions_may_start_wider() -> None:
    wide = InitialConfig(time_init="random", position_std=0.5)
    model, _ = build(CONFIG, wide, generator=torch.Generator().manual_seed(0))
    for values, std in (
        (model.video.times, 0.5),
        (model.video.positions[:, 1:], 0.5),
        (model.video.positions[:, :1], 0.02),
        (model.video.blocks[0].mlp.expand.weight, 0.02),
    ):
        assert values.std().item() == pytest.approx(std, rel=0.25)


def test_frames_in_another_order_look_different_from_the_start() -> None:
    """What ``position_std`` is for: otherwise order is nearly invisible before training."""
    video = batch(8).video

    def effect(position_std: float) -> float:
        initial = InitialConfig(time_init="random", weight_std=0.1, position_std=position_std)
        model, _ = build(CONFIG, initial, generator=torch.Generator().manual_seed(0))
        with torch.inference_mode():
            ways = [model.eval().video_class(v) for v in (video, video.flip(1))]
        return float((ways[0] - ways[1]).norm() / ways[0].std(0).norm())

    assert effect(0.7) > 2 * effect(0.0)


def test_the_same_seed_gives_the_same_weights() -> None:
    first, second, third = (
        build(CONFIG, generator=torch.Generator().manual_seed(seed))[0].state_dict()
        for seed in (0, 0, 1)
    )
    assert all(torch.equal(first[k], second[k]) for k in first)
    assert not torch.equal(first["video.positions"], third["video.positions"])


def test_official_time_attention_never_learns_to_attend_and_ours_does() -> None:
    """With zero queries and keys, neither gets a gradient: the quirk of ``time_init``."""
    from egolib.vlp.config import LossConfig
    from egolib.vlp.losses.pretraining import PretrainingLoss
    from tests.vlp.small import batch

    for kind, learns in (("official", False), ("zero_output", True)):
        initial = InitialConfig(time_init=kind)
        model, _ = build(CONFIG, initial, generator=torch.Generator().manual_seed(0))
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        for _ in range(3):
            optimizer.zero_grad()
            PretrainingLoss(LossConfig())(model, batch(4))["loss"].backward()
            optimizer.step()
        width = CONFIG.width
        grads = [b.time_attention.qkv.weight.grad[: 2 * width] for b in model.video.blocks]
        assert any(bool(grad.any()) for grad in grads) == learns


def test_an_empty_model_takes_a_state_dict() -> None:
    source = small_model()
    model = build_empty(source.config)
    model.load_state_dict(source.state_dict())
    assert all(torch.equal(v, source.state_dict()[k]) for k, v in model.state_dict().items())


def save_vit(path: Path) -> Path:
    """A file with the names of ``jx_vit_base_p16_224``, made of a small model's weights."""
    names = checkpoint.VIT_KEYS.to_official(
        {
            k: v
            for k, v in small_model(seed=3).video.state_dict().items()
            if not any(part in k for part in ("time", "cross"))
        }
    )
    torch.save({**names, "head.weight": torch.zeros(10, 48), "head.bias": torch.zeros(10)}, path)
    return path


def save_roberta(path: Path) -> Path:
    """A file with the names of roberta-base, made of a small model's weights."""
    state = {k: v for k, v in small_model(seed=4).text.state_dict().items() if "cross" not in k}
    names = {f"roberta.{k}": v for k, v in checkpoint.ROBERTA_KEYS.to_official(state).items()}
    names["roberta.embeddings.position_ids"] = torch.arange(20)[None]
    torch.save({**names, "lm_head.bias": torch.zeros(13)}, path)
    return path


def test_initial_weights_from_files(tmp_path: Path) -> None:
    vit, roberta = save_vit(tmp_path / "vit.pth"), save_roberta(tmp_path / "roberta.bin")
    model, report = build(CONFIG, vit=vit, roberta=roberta)
    assert report.vit is not None and report.roberta is not None
    assert set(report.vit.unexpected) == {"head.weight", "head.bias"}
    assert all(any(p in name for p in ("time", "cross")) for name in report.vit.missing)
    assert all("cross" in name for name in report.roberta.missing)
    assert report.roberta.unexpected == ["lm_head.bias"]
    assert torch.equal(model.video.positions, small_model(seed=3).video.positions)
    expected = small_model(seed=4).text.layers[0].attention.key.weight
    assert torch.equal(model.text.layers[0].attention.key.weight, expected)
    assert "entries loaded" in str(report)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    wider = replace(CONFIG, width=96)
    with pytest.raises(EgolibError, match="another network"):
        build(wider, vit=save_vit(tmp_path / "vit.pth"))
    torch.save({"something": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(EgolibError, match="another network"):
        build(CONFIG, roberta=tmp_path / "other.pth")
