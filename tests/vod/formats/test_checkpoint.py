"""Official checkpoints: layouts, recognition, initial weights. (Whole key files: parity tests.)"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torchvision.models import resnet50

from egolib.errors import EgolibError
from egolib.io.checkpoint import find_state, load_partial, read_foreign
from egolib.nn.swin import PatchMerging
from egolib.vod.config.networks import PUBLISHED, frcnn_r50_fpn
from egolib.vod.formats.backbones import (
    _channel_major,
    from_torchvision,
    swin_from_microsoft,
)
from egolib.vod.formats.checkpoint import MODELS, layout, load_official, official_shapes
from egolib.vod.models.build import build_model
from tests.vod.small import make


def test_every_published_network_is_recognised_by_its_own_layout():
    names = [builder.__name__ for builder in PUBLISHED]
    assert [m.name for m in MODELS] == [f"vod/{name}" for name in names]
    shapes = {name: official_shapes(name) for name in names}
    for name in ("frcnn_r101_dc5", "frcnn_r101_c4", "mega_r50", "stpn_swint", "eovod_r101"):
        state = {key: torch.empty(shape, device="meta") for key, shape in shapes[name].items()}
        assert [m.name for m in MODELS if m.matches(state)] == [f"vod/{name}"]
        if name == "frcnn_r101_dc5":  # built alone, a detector has no prefix
            alone = {key.removeprefix("detector."): value for key, value in state.items()}
            assert [m.name for m in MODELS if m.matches(alone)] == [f"vod/{name}"]


def test_networks_with_equal_keys_are_all_named():
    shapes = official_shapes("mamba_r101_dc5")
    state = {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}
    found = {m.name for m in MODELS if m.matches(state)}
    assert found == {"vod/selsa_r101_dc5", "vod/mamba_r101_dc5"}


@pytest.mark.parametrize("wrapper", ["state_dict", "model", None])
def test_official_files_load_strictly(tmp_path: Path, wrapper: str | None):
    model, config = make("mamba")
    state = layout(config).to_official(model.state_dict())
    state = {f"module.{key}": value for key, value in state.items()}
    path = tmp_path / "official.pth"
    torch.save(state if wrapper is None else {wrapper: state, "meta": {"epoch": 6}}, path)
    other, _ = make("mamba", seed=1)
    assert load_official(other, config, path).complete
    for key, value in model.state_dict().items():
        assert torch.equal(value, other.state_dict()[key])
    del state["module.detector.neck.convs.0.conv.bias"]
    torch.save(state, path)
    with pytest.raises(EgolibError, match=r"neck\.reduce\.conv\.bias"):
        load_official(other, config, path)


def test_constants_are_checked():
    model, config = make("mega")
    official = layout(config)
    state = official.to_official(model.state_dict())
    state["rpn.anchor_generator.cell_anchors.0"] = torch.zeros(12, 4)
    with pytest.raises(EgolibError, match="cell_anchors"):
        official.load(model, state)


def test_reduced_channels_have_their_own_key():
    model, config = make(
        "c4", change=lambda c: replace(c, head=replace(c.head, reduced_channels=12))
    )
    state = layout(config).to_official(model.state_dict())
    assert state["roi_heads.box.feature_extractor.conv.weight"].shape == (12, 256, 1, 1)


def test_official_weights_as_a_start_say_what_is_fresh():
    model, config = make("selsa")
    frame, frame_config = make("single", seed=3)
    state = layout(frame_config).to_official(frame.state_dict(), prefix=False)
    report = load_partial(model, layout(config).to_ours(state, strict=False))
    assert not report.unexpected and not report.reshaped
    assert all("aggregators" in name for name in report.missing) and len(report.missing) == 16
    assert torch.equal(model.detector.rpn.head.conv.weight, frame.detector.rpn.head.conv.weight)


def test_torchvision_weights_fill_the_backbone(tmp_path: Path):
    torch.manual_seed(0)
    theirs = resnet50(weights=None)
    path = tmp_path / "resnet50.pth"
    torch.save(theirs.state_dict(), path)
    state = from_torchvision(find_state(read_foreign(path)), frcnn_r50_fpn())
    model = build_model(frcnn_r50_fpn())
    own = {k for k in model.state_dict() if k.startswith("detector.backbone.")}
    assert state.keys() == own
    torch.testing.assert_close(
        state["detector.backbone.layer2.0.shortcut.conv.weight"],
        theirs.layer2[0].downsample[0].weight,
    )


def microsoft_names(state: dict) -> dict:
    """A Swin state dict of ours under Microsoft's names (the merging kept as it is)."""
    back = [
        ("patches.conv.", "patch_embed.proj."),
        ("patches.norm.", "patch_embed.norm."),
        ("attention.bias_table", "attn.relative_position_bias_table"),
        ("attention.qkv.", "attn.qkv."),
        ("attention.out.", "attn.proj."),
        ("mlp.inner.", "mlp.fc1."),
        ("mlp.outer.", "mlp.fc2."),
        ("merge.", "downsample."),
        ("stages.", "layers."),
    ]
    renamed = {}
    for name, value in state.items():
        if name.startswith("norms."):
            continue
        for ours, theirs in back:
            name = name.replace(ours, theirs)
        renamed[name] = value
    return renamed | {"norm.weight": torch.ones(1), "head.weight": torch.ones(1)}


def test_microsoft_weights_fill_the_transformer():
    model, _ = make("tdvit")
    state = swin_from_microsoft(microsoft_names(model.backbone.state_dict()))
    own = {k for k in model.state_dict() if k.startswith("detector.backbone.")}
    assert state.keys() == {k for k in own if ".norms." not in k}
    merged = "detector.backbone.stages.0.merge.reduction.weight"
    assert not torch.equal(state[merged], model.state_dict()[merged])
    kept = "detector.backbone.stages.0.blocks.0.attention.qkv.weight"
    assert torch.equal(state[kept], model.state_dict()[kept])


def test_converted_merging_equals_microsofts():
    torch.manual_seed(0)
    norm_weight, norm_bias, matrix = torch.rand(12), torch.rand(12), torch.randn(6, 12)
    x = torch.randn(1, 4, 6, 3)
    blocks = [x[:, i::2, j::2] for j in (0, 1) for i in (0, 1)]
    joined = torch.cat(blocks, dim=-1)
    normed = torch.nn.functional.layer_norm(joined, (12,), norm_weight, norm_bias)
    merge = PatchMerging(3)
    merge.norm.weight.data = _channel_major(norm_weight)
    merge.norm.bias.data = _channel_major(norm_bias)
    merge.reduction.weight.data = _channel_major(matrix)
    torch.testing.assert_close(merge(x), normed @ matrix.t())
