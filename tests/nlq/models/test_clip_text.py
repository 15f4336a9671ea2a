"""CLIP's text tower from either publisher's files, against plain matrix arithmetic."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest
import torch

from egolib.errors import EgolibError
from egolib.nlq.models.clip_text import ClipTextEncoder, read_clip_text, read_vocabulary
from egolib.text.tokens import CLIP_END, CLIP_MERGES, CLIP_START, byte_symbols
from tests.security import attacks

WIDTH, LAYERS, CONTEXT, HEADS = 128, 2, 16, 2
PAIRS = [("i", "t</w>"), ("w", "h"), ("e", "r"), ("wh", "er"), ("wher", "e</w>"), ("i", "s</w>")]
VOCABULARY = 2 * 256 + len(PAIRS) + 2


def publishers_state():
    """Random weights under the publisher's names, with other parts of the model beside them."""
    rng = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(*shape, generator=rng) / shape[-1] ** 0.5

    state = {
        "token_embedding.weight": draw(VOCABULARY, WIDTH),
        "positional_embedding": draw(CONTEXT, WIDTH),
        "ln_final.weight": 1 + draw(WIDTH),
        "ln_final.bias": draw(WIDTH),
        "text_projection": draw(WIDTH, WIDTH),
        "logit_scale": torch.tensor(1.0),
        "visual.conv1.weight": draw(4, 3, 2, 2),
    }
    for i in range(LAYERS):
        part = f"transformer.resblocks.{i}."
        for name, rows, columns in (
            ("attn.in_proj_", 3 * WIDTH, WIDTH),
            ("attn.out_proj.", WIDTH, WIDTH),
            ("mlp.c_fc.", 4 * WIDTH, WIDTH),
            ("mlp.c_proj.", WIDTH, 4 * WIDTH),
        ):
            state[f"{part}{name}weight"], state[f"{part}{name}bias"] = (
                draw(rows, columns),
                draw(rows),
            )
        for name in ("ln_1", "ln_2"):
            state[f"{part}{name}.weight"], state[f"{part}{name}.bias"] = (
                1 + draw(WIDTH),
                draw(WIDTH),
            )
    return state


def hugging_face_state(state):
    """The same weights under Hugging Face's names."""
    names = {
        "token_embedding.weight": "embeddings.token_embedding.weight",
        "positional_embedding": "embeddings.position_embedding.weight",
        "ln_final.weight": "final_layer_norm.weight",
        "ln_final.bias": "final_layer_norm.bias",
    }
    parts = {"ln_1": "layer_norm1", "ln_2": "layer_norm2", "mlp.c_fc": "mlp.fc1"}
    parts |= {"mlp.c_proj": "mlp.fc2", "attn.out_proj": "self_attn.out_proj"}
    found = {f"text_model.{names[k]}": v for k, v in state.items() if k in names}
    for key, value in state.items():
        if not key.startswith("transformer"):
            continue
        _, _, i, rest = key.split(".", 3)
        prefix = f"text_model.encoder.layers.{i}."
        if "in_proj_" in rest:
            kind = rest.rpartition("_")[2]
            for letter, chunk in zip("qkv", value.chunk(3), strict=False):
                found[f"{prefix}self_attn.{letter}_proj.{kind}"] = chunk
        else:
            part, _, kind = rest.rpartition(".")
            found[f"{prefix}{parts[part]}.{kind}"] = value
    found["vision_model.embeddings.position_ids"] = torch.zeros(1)
    return found


def by_hand(state, ids):
    """(L, W) of one text, step by step in double precision."""
    state = {name: value.double().numpy() for name, value in state.items()}

    def norm(x, name):
        x = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5)
        return x * state[f"{name}.weight"] + state[f"{name}.bias"]

    def linear(x, name, separator="."):
        return x @ state[f"{name}{separator}weight"].T + state[f"{name}{separator}bias"]

    x = state["token_embedding.weight"][ids] + state["positional_embedding"][: len(ids)]
    for i in range(LAYERS):
        part = f"transformer.resblocks.{i}."
        q, k, v = np.split(linear(norm(x, part + "ln_1"), part + "attn.in_proj", "_"), 3, 1)
        heads = []
        for h in np.split(np.arange(WIDTH), HEADS):
            logits = q[:, h] @ k[:, h].T / np.sqrt(WIDTH / HEADS)
            logits[np.triu_indices(len(ids), 1)] = -np.inf
            weights = np.exp(logits - logits.max(1, keepdims=True))
            heads.append(weights / weights.sum(1, keepdims=True) @ v[:, h])
        x = x + linear(np.concatenate(heads, 1), part + "attn.out_proj")
        hidden = linear(norm(x, part + "ln_2"), part + "mlp.c_fc")
        x = x + linear(hidden / (1 + np.exp(-1.702 * hidden)), part + "mlp.c_proj")
    return norm(x, "ln_final")


def write_vocabulary(folder):
    lines = ["#version", *(" ".join(pair) for pair in PAIRS)]
    path = folder / "bpe.txt.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    return path


@pytest.mark.parametrize("publisher", ["state", "half", "hugging_face"])
def test_weights_of_either_publisher(tmp_path, publisher):
    state = publishers_state()
    saved = hugging_face_state(state) if publisher == "hugging_face" else state
    if publisher == "half":
        saved = {name: value.half() for name, value in state.items()}
    torch.save(saved, tmp_path / "clip.pt")
    ids = np.array([5, 9, 300, 7])
    with torch.no_grad():
        found = read_clip_text(tmp_path / "clip.pt")(torch.from_numpy(ids)[None])[0]
    tolerance = 2e-2 if publisher == "half" else 1e-4
    np.testing.assert_allclose(found, by_hand(state, ids), atol=tolerance)


def test_the_publishers_archive(tmp_path):
    """The original file is TorchScript."""
    holder = torch.nn.Module()
    for name, value in publishers_state().items():
        target, parts = holder, name.split(".")
        for part in parts[:-1]:
            if not hasattr(target, part):
                target.add_module(part, torch.nn.Module())
            target = getattr(target, part)
        target.register_parameter(parts[-1], torch.nn.Parameter(value))
    torch.jit.script(holder).save(str(tmp_path / "ViT-B-32.pt"))
    model = read_clip_text(tmp_path / "ViT-B-32.pt")
    torch.testing.assert_close(model.positions.data, publishers_state()["positional_embedding"])


def test_a_program_is_read_as_data(tmp_path, monkeypatch):
    """A TorchScript archive whose loading writes a file: nothing of it runs."""
    monkeypatch.chdir(tmp_path)
    attacks.write_script(tmp_path / "ViT-B-32.pt")
    with pytest.raises(EgolibError, match="no tensors"):
        read_clip_text(tmp_path / "ViT-B-32.pt")
    assert [file.name for file in tmp_path.iterdir()] == ["ViT-B-32.pt"]


def test_other_files_are_refused(tmp_path):
    torch.save({"x": torch.ones(1)}, tmp_path / "x.pt")
    with pytest.raises(EgolibError, match="no CLIP text tower"):
        read_clip_text(tmp_path / "x.pt")
    state = publishers_state()
    del state["transformer.resblocks.1.ln_1.bias"]
    torch.save(state, tmp_path / "y.pt")
    with pytest.raises(EgolibError, match=r"blocks.1.norm1.bias"):
        read_clip_text(tmp_path / "y.pt")


def test_byte_pairs(tmp_path):
    vocabulary = read_vocabulary(write_vocabulary(tmp_path))
    ids = vocabulary.encode("Where  is IT?")
    merged = {"".join(pair): 512 + i for i, pair in enumerate(PAIRS)}
    start, end = VOCABULARY - 2, VOCABULARY - 1
    question_mark = 256 + byte_symbols().index("?")
    expected = [start, merged["where</w>"], merged["is</w>"], merged["it</w>"], question_mark, end]
    assert ids[: len(expected)].tolist() == expected
    assert not ids[len(expected) :].any() and len(ids) == 77


def test_the_published_special_ids():
    """With all published merges, start and end get 49406 and 49407."""
    assert 2 * 256 + CLIP_MERGES == 49406
    assert len(set(byte_symbols())) == 256 and byte_symbols()[0] == "!"


def test_contractions_digits_and_accents(tmp_path):
    vocabulary = read_vocabulary(write_vocabulary(tmp_path))
    count = {
        t: int(np.count_nonzero(vocabulary.encode(t))) - 2 for t in ("it's", "42", "é", "it ?!")
    }
    assert count == {"it's": 1 + 2, "42": 2, "é": 2, "it ?!": 1 + 2}


def test_both_vocabulary_files_agree(tmp_path):
    ours = read_vocabulary(write_vocabulary(tmp_path))
    signs = byte_symbols()
    tokens = [*signs, *(f"{s}</w>" for s in signs), *("".join(p) for p in PAIRS)]
    tokens += [CLIP_START, CLIP_END]
    (tmp_path / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(tokens)}))
    lines = ["#version: 0.2", *(" ".join(pair) for pair in PAIRS)]
    (tmp_path / "merges.txt").write_text("\n".join(lines))
    theirs = read_vocabulary(tmp_path / "vocab.json")
    np.testing.assert_array_equal(ours.encode("where is it?"), theirs.encode("where is it?"))


def test_texts_that_are_too_long(tmp_path):
    with pytest.raises(EgolibError, match=r"(?s)77 fit.*ends with ' x x"):
        read_vocabulary(write_vocabulary(tmp_path)).encode("x " * 80)
    with pytest.raises(EgolibError, match="does not exist"):
        read_vocabulary(tmp_path / "none.gz")


def test_the_encoder_gives_what_checkpoints_want(tmp_path):
    state = publishers_state()
    state["positional_embedding"] = torch.randn(77, WIDTH)
    torch.save(state, tmp_path / "clip.pt")
    encoder = ClipTextEncoder(tmp_path / "clip.pt", write_vocabulary(tmp_path))
    found = encoder("Where is it.")
    ids = encoder.vocabulary.encode("where is it?")
    expected = by_hand(state, ids[:6])[1:5]
    assert found.shape == (4, WIDTH) and found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-3)
    both = encoder.encode(["where", "Where is it."])
    np.testing.assert_allclose(both[1], found, atol=1e-5)
