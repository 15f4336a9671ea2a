"""The published networks: every recorded output and intermediate state."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from egolib.vlp.formats import checkpoint
from egolib.vlp.losses.similarity import cosine_similarity
from egolib.vlp.models.build import build_empty
from egolib.vlp.models.model import VideoLanguageModel
from tests.parity.recordings import auxiliary, read
from tests.parity.vlp.networks import assert_close, official_state, published, video

pytestmark = [pytest.mark.xdist_group("vlp_network"), pytest.mark.slow]

EMBEDDING = {"rtol": 1e-4, "atol": 2e-4}
LOGIT = {"atol": 1e-3}
TOKENS = [0, 1, 196, 197, 400, 784]


def strided(step: int) -> Callable[[Tensor], Tensor]:
    return lambda x: x[..., ::step]


def tokens(x: Tensor) -> Tensor:
    return x[:, TOKENS, ::8]


def points(model: VideoLanguageModel) -> dict[str, tuple[nn.Module, Callable[[Tensor], Tensor]]]:
    """The recorded places inside the network, and which values of them are stored."""
    blocks, layers = model.video.blocks, model.text.layers
    places: dict[str, tuple[nn.Module, Callable[[Tensor], Tensor]]] = {
        "patch_embed": (model.video.patches, lambda x: x[:, ::16]),
        "block0.time": (blocks[0].time_attention, tokens),
        "block0.space": (blocks[0].space_attention, tokens),
        "norm": (model.fusion_norm, lambda x: x),
        "video_norm": (model.video.norm, lambda x: x),
        "text_pooler": (model.matching.text_pooler, torch.tanh),
        "video_pooler": (model.matching.video_pooler, torch.tanh),
    }
    places |= {f"video_block{i}": (block, tokens) for i, block in enumerate(blocks)}
    places |= {f"text_layer{i}": (layer, strided(8)) for i, layer in enumerate(layers)}
    return places


@contextmanager
def captured(model: VideoLanguageModel) -> Iterator[dict[str, Tensor]]:
    """Outputs of all recorded places while a block runs."""
    found: dict[str, Tensor] = {}
    hooks = [
        module.register_forward_hook(
            lambda _module, _input, output, name=name: found.__setitem__(name, output)
        )
        for name, (module, _) in points(model).items()
    ]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def compare_inside(
    model: VideoLanguageModel, found: dict[str, Tensor], recorded: dict, path: str
) -> None:
    """Compares every recorded intermediate state of one path, and its statistics."""
    places = points(model)
    names = [k.removeprefix(f"{path}.") for k in recorded if k.startswith(f"{path}.")]
    for name in (n for n in names if not n.endswith(".stats")):
        select = places[name][1]
        assert_close(select(found[name]), recorded[f"{path}.{name}"], what=name, **EMBEDDING)
        whole = stats(whole_tensor(model, found, name))
        assert_close(whole, recorded[f"{path}.{name}.stats"], rtol=1e-4, atol=2e-4, what=name)


def whole_tensor(model: VideoLanguageModel, found: dict[str, Tensor], name: str) -> Tensor:
    """What the recorded statistics are of: the norms were taken of all tokens."""
    if name in ("norm", "video_norm"):
        return points(model)[name][0](found[f"video_block{model.config.depth - 1}"])
    return torch.tanh(found[name]) if "pooler" in name else found[name]


def stats(x: Tensor) -> np.ndarray:
    x = x.double()
    return np.array([x.mean().item(), x.std(correction=0).item(), x.norm().item()])


@pytest.mark.recordings("network")
@torch.no_grad()
def test_network(recording: Path, device: str) -> None:
    recorded = read(recording)
    large = "smallproj" not in recording.stem
    model = published(recording, recording.stem, device)
    shape = (len(recorded["video_embeds"]), model.config.frames, 3, 224, 224)
    clip = video(recording, "large/video" if large else "small16/video", shape)
    np.testing.assert_array_equal(clip.ravel()[::50021], recorded["video_check"])
    inputs = {k: torch.from_numpy(v).to(device) for k, v in recorded.items() if v.dtype == np.int64}
    clips = torch.from_numpy(clip).to(device)
    compare_dual(model, clips, inputs, recorded)
    compare_matching(model, clips, inputs, recorded)
    if "text_mlm_ids" in recorded:
        compare_masked_language(model, clips, inputs, recorded)


def compare_dual(
    model: VideoLanguageModel, clips: Tensor, inputs: dict[str, Tensor], recorded: dict
) -> None:
    with captured(model) as found:
        video_class = model.video_class(clips)
        text = model.encode_text(inputs["input_ids"], inputs["attention_mask"])
    hidden = found[f"text_layer{model.config.depth - 1}"]
    embeds = model.video_projector(video_class)
    assert_close(embeds, recorded["video_embeds"], what="video", **EMBEDDING)
    assert_close(text, recorded["text_embeds"], what="text", **EMBEDDING)
    compare_inside(model, found, recorded, "dual")
    if "video_cls" in recorded:
        assert_close(video_class, recorded["video_cls"], what="video class", **EMBEDDING)
    if "text_last_hidden" in recorded:
        assert_close(hidden, recorded["text_last_hidden"], what="text tokens", **EMBEDDING)
        projected = model.text_projector(hidden)[..., ::64]
        assert_close(
            projected, recorded["text_tokens_proj_strided"], what="projected tokens", **EMBEDDING
        )
        similarity = cosine_similarity(text, embeds)
        assert_close(similarity, recorded["sim_text_video"], what="similarity", **EMBEDDING)


def compare_matching(
    model: VideoLanguageModel, clips: Tensor, inputs: dict[str, Tensor], recorded: dict
) -> None:
    """The i-th text with the i-th clip, as many as there are clips."""
    ids, mask = (inputs[k][: len(clips)] for k in ("input_ids", "attention_mask"))
    with captured(model) as found:
        logits = model.itm_logits(model.fuse_pairs(clips, ids, mask))
    assert_close(logits, recorded["itm_logits"], what="matching logits", **LOGIT)
    compare_inside(model, found, recorded, "itm")


def compare_masked_language(
    model: VideoLanguageModel, clips: Tensor, inputs: dict[str, Tensor], recorded: dict
) -> None:
    fused = model.fuse_pairs(clips, inputs["text_mlm_ids"], inputs["attention_mask"])
    logits = model.mlm_logits(fused.text)
    assert_close(logits[..., ::97], recorded["mlm_logits_strided"], what="words", **LOGIT)
    assert_close(logits.argmax(-1), recorded["mlm_argmax"], atol=0, what="most likely word")
    assert_close(logits.logsumexp(-1), recorded["mlm_logsumexp"], what="logsumexp", **LOGIT)
    assert_close(stats(logits), recorded["mlm_stats"], rtol=1e-4, atol=2e-4, what="statistics")


@pytest.mark.recordings("keys")
def test_keys(recording: Path) -> None:
    """Every published name has one of ours, and back; shapes fit."""
    keys = json.loads(recording.read_text())
    state = {k: torch.empty(shape, dtype=getattr(torch, d)) for k, (d, shape) in keys.items()}
    model = build_empty(checkpoint.recognise(state))
    official = checkpoint.to_official(model)
    assert {k: [str(v.dtype)[6:], list(v.shape)] for k, v in official.items()} == keys
    ours = {checkpoint.KEYS.our_name(k) for k in official if not k.endswith("position_ids")}
    assert ours == model.state_dict().keys()


@pytest.mark.recordings("keys")
def test_weights_survive_the_round_trip(recording: Path) -> None:
    state = official_state(json.loads(auxiliary(recording, recording.name).read_text()), seed=3)
    model = build_empty(checkpoint.recognise(state))
    checkpoint.load_official(model, state)
    back = checkpoint.to_official(model)
    assert back.keys() == state.keys()
    assert all(torch.equal(back[k], state[k]) for k in state)


@pytest.mark.recordings("keys")
def test_epsilons(recording: Path) -> None:
    """Outputs of this size carry no trace of a norm's epsilon: look at the attribute."""
    keys = json.loads(recording.read_text())
    state = {k: torch.empty(shape, dtype=getattr(torch, d)) for k, (d, shape) in keys.items()}
    model = build_empty(checkpoint.recognise(state))
    found = {name: m.eps for name, m in model.named_modules() if isinstance(m, nn.LayerNorm)}
    special = {"fusion_norm": 1e-6, "masked_language.norm": 1e-12}
    assert found == {name: special.get(name, 1e-5) for name in found}
    assert found.keys() >= special.keys()
