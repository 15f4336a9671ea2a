from __future__ import annotations

from collections.abc import Callable

import numpy as np

from egolib.text.tokens import WordTokenizer, words
from egolib.world.exports import nlq
from egolib.world.language import (
    MASK,
    Mention,
    charades_classes,
    encode,
    unique_mentions,
    vocabulary,
    vocabulary_hash,
)
from egolib.world.library import World
from egolib.world.narrations import narrations
from egolib.world.room import Instance


def test_vocabulary_layout() -> None:
    table = vocabulary()
    assert [table[t] for t in ("<s>", "<pad>", "</s>", "<unk>")] == [0, 1, 2, 3]
    assert table[MASK] == len(table) - 1
    assert sorted(table.values()) == list(range(len(table)))
    assert 120 <= len(table) <= 170
    assert WordTokenizer(table).hash == vocabulary_hash()


def test_everything_that_is_said_has_a_token(logs: Callable[..., World]) -> None:
    world = logs(val_videos=5, nlq_queries=(1, 100, 1))
    known = vocabulary()
    texts = [line.text for v in world.videos for line in narrations(v)]
    texts += [q.query for _, questions in nlq.choose(world, "val") for q in questions]
    texts += [text for _, _, text in charades_classes()]
    assert {w for t in texts for w in words(t)} - known.keys() == set()
    assert words("#C C takes the mug")[:2] == ["#c", "c"]


def test_word_vectors_are_fixed() -> None:
    first = encode("Where is the mug?")
    assert first.shape == (4, 64) and first.dtype == np.float32
    assert (encode("mug", 64)[0] == first[3]).all()
    assert (encode("zebra")[0] == encode("quark")[0]).all()  # both unknown
    assert encode("?").shape == (0, 64)


def test_unique_mentions() -> None:
    things = tuple(
        Instance(i, c, hue, 0, 1.0)
        for i, (c, hue) in enumerate([(0, "red"), (0, "blue"), (2, "red")])
    )
    assert Mention("mug", "striped", "red") in unique_mentions(things, 0)
    assert Mention("mug", "striped") not in unique_mentions(things, 0)
    assert Mention("jar") in unique_mentions(things, 2)
