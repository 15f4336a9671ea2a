"""Tokenisers on small vocabularies that are written out here."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from egolib.errors import EgolibError
from egolib.text.tokens import (
    ClipTokenizer,
    RobertaTokenizer,
    WordTokenizer,
    byte_symbols,
    clip_text,
    encode,
    load_tokenizer,
    words,
)

WORDS = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "the": 4, "mug": 5, "#c": 6, "<mask>": 7}
ROBERTA = {
    t: i
    for i, t in enumerate(
        ["<s>", "<pad>", "</s>", "<unk>", *"#CmugĠÃ©", "ĠC", "mu", "mug", "Ġmug", "<mask>"]
    )
}
ROBERTA_MERGES = [("Ġ", "C"), ("m", "u"), ("mu", "g"), ("Ġ", "mug")]
CLIP_MERGES = [("m", "u"), ("mu", "g</w>"), ("a", "n</w>"), ("p", "an</w>")]


def clip_vocabulary() -> dict[str, int]:
    tokens = [*"!?mugpan", *(f"{c}</w>" for c in "!?mugpan"), *map("".join, CLIP_MERGES)]
    tokens = [*dict.fromkeys(tokens), "<|startoftext|>", "<|endoftext|>"]
    return {t: i for i, t in enumerate(tokens)}


@pytest.mark.parametrize(
    "text, expected",
    [
        ("", []),
        ("#C C takes the mug.", ["#c", "c", "takes", "the", "mug"]),
        ("turn-on, 2 lamps?", ["turn", "on", "2", "lamps"]),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_the_world_splits_words_in_the_same_way() -> None:
    from egolib.world import language

    for text in ("#C C puts the pan on the stove", "where's it? #O A walks-by", ""):
        assert words(text) == language.words(text)


def test_word_ids() -> None:
    tokenizer = WordTokenizer(WORDS)
    assert tokenizer.ids("#C takes the MUG") == [6, 3, 4, 5]
    assert tokenizer.special.unmaskable == (0, 2, 1)


def test_the_worlds_vocabulary_loads(tmp_path: Path) -> None:
    from egolib.world import language

    language.write_vocabulary(tmp_path / "vocabulary.json")
    tokenizer = load_tokenizer(tmp_path)
    assert isinstance(tokenizer, WordTokenizer)
    assert tokenizer.hash == language.vocabulary_hash()
    assert 3 not in tokenizer.ids("#C C takes the striped mug")


@pytest.mark.parametrize(
    "texts, length, pad, ids, mask",
    [
        ([], 5, False, np.zeros((0, 0)), np.zeros((0, 0))),
        ([], 3, True, np.zeros((0, 3)), np.zeros((0, 3))),
        (["the mug", ""], 9, False, [[0, 4, 5, 2], [0, 2, 1, 1]], [[1] * 4, [1, 1, 0, 0]]),
        (["the mug"], 6, True, [[0, 4, 5, 2, 1, 1]], [[1, 1, 1, 1, 0, 0]]),
        (["the the the"], 3, True, [[0, 4, 2]], [[1, 1, 1]]),
    ],
)
def test_encode(texts, length, pad, ids, mask) -> None:
    found = encode(WordTokenizer(WORDS), texts, length, pad=pad)
    np.testing.assert_array_equal(found[0], ids)
    np.testing.assert_array_equal(found[1], mask)
    assert found[0].dtype == found[1].dtype == np.int64


def names(vocabulary: dict[str, int], ids: list[int]) -> list[str]:
    back = {i: t for t, i in vocabulary.items()}
    return [back[i] for i in ids]


@pytest.mark.parametrize(
    "text, expected",
    [
        ("", []),
        ("#C C mug", ["#", "C", "ĠC", "Ġmug"]),  # the prefix and the case are kept
        ("mug  mug", ["mug", "Ġ", "Ġmug"]),
        ("<mask> mug", ["<mask>", "Ġmug"]),
        ("é", ["Ã", "©"]),  # bytes, not characters
    ],
)
def test_roberta(text: str, expected: list[str]) -> None:
    tokenizer = RobertaTokenizer(ROBERTA, ROBERTA_MERGES)
    assert names(ROBERTA, tokenizer.ids(text)) == expected
    assert tokenizer.special.mask == ROBERTA["<mask>"]


@pytest.mark.parametrize(
    "text, expected",
    [
        ("", []),
        ("Mug PAN", ["mug</w>", "pan</w>"]),
        ("  mug\n\tpan?", ["mug</w>", "pan</w>", "?</w>"]),
        ("mugmug", ["mu", "g", "mug</w>"]),
        ("&amp;lt;", []),  # a character without token
    ],
)
def test_clip(text: str, expected: list[str]) -> None:
    vocabulary = clip_vocabulary()
    tokenizer = ClipTokenizer(vocabulary, CLIP_MERGES)
    assert names(vocabulary, tokenizer.ids(text)) == expected
    assert (tokenizer.special.pad, tokenizer.special.mask) == (0, None)


def whole_clip() -> ClipTokenizer:
    """All bytes, so that every text has tokens."""
    symbols = [*byte_symbols(), *(f"{symbol}</w>" for symbol in byte_symbols())]
    tokens = [*symbols, *map("".join, CLIP_MERGES), "<|startoftext|>", "<|endoftext|>"]
    return ClipTokenizer({token: number for number, token in enumerate(tokens)}, CLIP_MERGES)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("a “cup”", 'a "cup"'),
        ("the cup’s ‘lid’", "the cup's 'lid'"),
        ("ﬁne ﬂour, oﬃce", "fine flour, office"),
        ("salt &amp; pepper", "salt & pepper"),
        ("salt &amp;amp; pepper", "salt & pepper"),
        ("ＣＡＴ\u3000dog", "cat dog"),
        ("e\u0301", "é"),
    ],
)
def test_clip_mends_texts_as_the_reference_does(text: str, plain: str) -> None:
    tokenizer = whole_clip()
    assert clip_text(text) == plain
    assert tokenizer.ids(text) == tokenizer.ids(plain)


def test_clip_tells_where_texts_are_cut() -> None:
    tokenizer = whole_clip()
    with pytest.warns(UserWarning, match=r"1 texts .* after 'a é a'"):
        encode(tokenizer, ["a é a a a", "a"], 6)


def test_byte_symbols_are_all_different() -> None:
    symbols = byte_symbols()
    assert len(set(symbols)) == 256
    assert symbols[:3] == ["!", '"', "#"] and symbols[188:190] == ["Ā", "ā"]


def test_files_of_each_kind(tmp_path: Path) -> None:
    roberta = tmp_path / "roberta"
    roberta.mkdir()
    (roberta / "vocab.json").write_text(json.dumps(ROBERTA))
    lines = ["#version: 0.2", *(" ".join(m) for m in ROBERTA_MERGES), ""]
    (roberta / "merges.txt").write_text("\n".join(lines))
    assert load_tokenizer(roberta).ids("#C mug") == RobertaTokenizer(ROBERTA, ROBERTA_MERGES).ids(
        "#C mug"
    )
    whole = {"model": {"vocab": ROBERTA, "merges": [" ".join(m) for m in ROBERTA_MERGES]}}
    (tmp_path / "tokenizer.json").write_text(json.dumps(whole))
    assert load_tokenizer(tmp_path).hash == load_tokenizer(roberta).hash


def test_clips_own_file(tmp_path: Path) -> None:
    path = tmp_path / "bpe_simple_vocab_16e6.txt.gz"
    text = "\n".join(["version", *(" ".join(m) for m in CLIP_MERGES), ""])
    path.write_bytes(gzip.compress(text.encode()))
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer.name == "clip"
    assert tokenizer.size == 2 * 256 + len(CLIP_MERGES) + 2
    assert tokenizer.ids("mug pan") == [512 + 1, 512 + 3]
    assert tokenizer.ids("!") == [256]  # "!" alone ends a word; id 0 is "!" inside one


def test_errors(tmp_path: Path) -> None:
    with pytest.raises(EgolibError, match="no vocabulary here"):
        load_tokenizer(tmp_path)
    (tmp_path / "vocabulary.json").write_text(json.dumps({"<s>": 0}))
    with pytest.raises(EgolibError, match="has no <pad>"):
        load_tokenizer(tmp_path)
    with pytest.raises(EgolibError, match="without gaps"):
        WordTokenizer(WORDS | {"pan": 12})


def test_a_vocabulary_without_its_merges_is_refused(tmp_path: Path) -> None:
    """It would be read as whole words, and most texts as unknown."""
    words = {token: i for i, token in enumerate(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])}
    (tmp_path / "vocab.json").write_text(json.dumps(words))
    with pytest.raises(EgolibError, match="without its merges"):
        load_tokenizer(tmp_path)
