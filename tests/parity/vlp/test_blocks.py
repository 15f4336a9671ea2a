"""Single blocks, layers and embeddings at small sizes, and the resizing of time embeddings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from egolib.errors import EgolibError
from egolib.nn.text_encoder import TextEmbeddings, TextLayer, attention_bias
from egolib.vlp.formats.checkpoint import BLOCK_KEYS, EMBEDDING_KEYS, LAYER_KEYS, resize_times
from egolib.vlp.models.video import VideoBlock
from tests.parity.recordings import read
from tests.parity.vlp.networks import assert_close, part_state

BLOCK = {"atol": 1e-5}


@pytest.mark.recordings("blocks")
@torch.no_grad()
def test_video_blocks(recording: Path) -> None:
    recorded = read(recording)
    cases = sorted({name.split("/")[0] for name in recorded if name.startswith("video_")})
    assert cases
    for case in cases:
        tensors = {k.split("/")[1]: v for k, v in recorded.items() if k.startswith(f"{case}/")}
        _, _, patches, width, heads, text_width = tensors.pop("dims").tolist()
        x, text, mask = (torch.from_numpy(tensors.pop(k)) for k in ("x", "text", "text_mask"))
        block = VideoBlock(width, heads, 4 * width, patches, text_width).eval()
        BLOCK_KEYS.load(block, part_state(recording, case.replace("video", "block")))
        ours = {
            "unfused": block(x),
            "fused": block(x, text, attention_bias(mask)),
            "time_attention": block.time_attention(x),
            "space_attention": block.space_attention(x),
        }
        assert ours.keys() == tensors.keys()
        for name, value in ours.items():
            assert_close(value, tensors[name], what=f"{case}/{name}", **BLOCK)


@pytest.mark.recordings("blocks")
@torch.no_grad()
def test_text_layer(recording: Path) -> None:
    recorded = read(recording)
    state = part_state(recording, "block_text")
    hidden, width = state["intermediate.dense.weight"].shape
    context = state["crossattention_t2i.self.key.weight"].shape[1]
    layer = TextLayer(width, 4, hidden, context).eval()
    LAYER_KEYS.load(layer, state)
    x, image = (torch.from_numpy(recorded[f"text/{k}"]) for k in ("x", "image"))
    bias = attention_bias(torch.from_numpy(recorded["text/mask"]))
    assert_close(layer(x, bias), recorded["text/unfused"], what="unfused", **BLOCK)
    assert_close(layer(x, bias, image), recorded["text/fused"], what="fused", **BLOCK)


@pytest.mark.recordings("blocks")
@torch.no_grad()
def test_embeddings(recording: Path) -> None:
    recorded = read(recording)
    state = part_state(recording, "block_embeddings")
    vocabulary, width = state["word_embeddings.weight"].shape
    embeddings = TextEmbeddings(
        vocabulary, width, len(state["position_embeddings.weight"]), pad_id=1
    )
    EMBEDDING_KEYS.load(embeddings, state)
    ids = torch.from_numpy(recorded["embeddings/ids"])
    assert_close(
        embeddings.position_ids(ids), recorded["embeddings/position_ids"], atol=0, what="positions"
    )
    assert_close(embeddings(ids), recorded["embeddings/out"], what="embeddings", **BLOCK)


@pytest.mark.recordings("temporal_inflation")
def test_temporal_inflation(recording: Path) -> None:
    recorded = read(recording)
    inputs = {k: torch.from_numpy(v) for k, v in recorded.items() if k.startswith("in")}
    results = {k: v for k, v in recorded.items() if not k.startswith("in")}
    assert results
    for name, expected in results.items():
        (length, frames), mode = name.split("/")[0].split("to"), name.split("/")[1]
        times = inputs[f"in{length}"]
        if expected.dtype.kind in "US":
            assert str(expected).startswith("error")
            with pytest.raises(EgolibError, match=mode):
                resize_times(times, int(frames), mode)
        else:
            resized = resize_times(times, int(frames), mode)
            np.testing.assert_allclose(resized.numpy(), expected, atol=1e-6, err_msg=name)
