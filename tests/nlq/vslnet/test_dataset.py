"""Items, batches, and questions that cannot be asked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from egolib.engine.loading import TrainingData
from egolib.errors import EgolibError
from egolib.nlq.data.annotations import Query
from egolib.nlq.data.vslnet.batches import collate
from egolib.nlq.data.vslnet.cells import to_cells
from egolib.nlq.data.vslnet.dataset import SpanData, make_item, usable
from egolib.nlq.data.vslnet.sources import QuestionFeatures
from tests.nlq.vslnet.small import DATA, FULL, RATE, data, queries, source


def test_it_is_training_data():
    assert isinstance(data(), TrainingData)
    item = data().sample(0, np.random.default_rng(0))
    assert item.query == data().queries[0]


def test_an_item():
    item = data()[0]
    assert item.video.shape == (30, 12) and item.units == 30
    assert item.tokens.shape == (8, 6) and item.token_mask.sum() == 5
    assert item.duration_sec == pytest.approx(30 / RATE)
    start, end = item.query.windows_sec[0]
    assert abs(item.cells[0] - start * RATE) <= 1 and abs(item.cells[1] - end * RATE) <= 1.5


def test_long_clips_are_merged():
    item = data(lengths=(50,))[0]
    assert item.video.shape == (32, 12) and item.units == 32
    complete = SpanData(
        queries((50,)), source((50,)), FULL, replace(DATA, merging="complete")
    )[0]  # fmt: skip
    np.testing.assert_array_equal(item.video[:-1], complete.video[:-1])
    assert not np.allclose(item.video[-1], complete.video[-1])


def made(query, length=20, tokens=8, valid=8, **options):
    features = QuestionFeatures(
        np.ones((length, 12), np.float32),
        np.ones((tokens, 6), np.float32),
        np.arange(tokens) < valid,
    )
    data = replace(DATA, **options.pop("data", {}))
    return make_item(query, features, FULL, data, **options)


def asked(start=1.0, end=4.0, duration=20 / RATE):
    return Query("what?", "a_0", duration, "c", ((start, end),))


def test_tokens_are_cut_and_padded():
    assert made(asked(), tokens=3).token_mask.tolist() == [True] * 3 + [False] * 5
    assert made(asked(), tokens=12, valid=12).tokens.shape == (8, 6)


def test_rounding_changes_cells():
    query = asked(5.4, 5.8)
    assert made(query).cells == (0, 0)  # an empty window, by rounding down
    nearest = made(query, data={"empty_windows": "nearest"}).cells
    assert nearest == (10, 10) == made(query, data={"rounding": "outward"}).cells


def test_labels_by_the_table_of_lengths():
    """Officially they follow the table, whatever the features are."""
    query = asked(2.0, 9.0)
    table = made(query, shapes={"c": 10})
    own = made(query, shapes={"c": 10}, data={"label_length": "features"})
    assert (table.units, own.units) == (10, 20)
    assert table.cells == to_cells(3 / RATE, 16 / RATE, 10, 20 / RATE)
    assert own.cells == made(query).cells != table.cells
    assert made(query, shapes={"c": 999}).units == FULL.max_length


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"length": 0}, "no features"),
        ({"valid": 0}, "no tokens"),
        ({"tokens": 0}, "no tokens"),
        ({"shapes": {"d": 3}}, "table of lengths lacks"),
    ],
)
def test_useless_input(options, match):
    with pytest.raises(EgolibError, match=match):
        made(asked(), **options)


def test_features_of_another_width():
    for config, match in (
        (replace(FULL, video_width=11), "video features are 12 wide, the network expects 11"),
        (replace(FULL, text_width=5), "token states are 6 wide, the network expects 5"),
    ):
        with pytest.raises(EgolibError, match=match):
            SpanData(queries(), source(), config, DATA)
        with pytest.raises(EgolibError, match=match):
            make_item(queries()[0], source().get(queries()[0]), config, DATA)


def test_more_tokens_than_positions():
    with pytest.raises(EgolibError, match="33 tokens for a network of 32 positions"):
        SpanData(queries(), source(), FULL, replace(DATA, tokens=33))


def test_a_batch():
    items = [data()[i] for i in (0, 2, 4)]
    batch = collate(items)
    assert batch.video.shape == (3, 30, 12) and batch.video_mask.sum(1).tolist() == [30, 17, 9]
    assert not batch.video[~batch.video_mask].any()
    assert batch.tokens[batch.token_mask == 0].any()  # states of the padding stay
    assert batch.targets.start.tolist() == [item.cells[0] for item in items]
    assert batch.targets.highlight.shape == (3, 30)
    assert not batch.targets.highlight[~batch.video_mask].any()
    assert batch.units == [30, 17, 9] and len(batch) == 3
    assert batch.to("cpu").targets.end.tolist() == [item.cells[1] for item in items]


def test_a_batch_of_questions_without_answers():
    item = replace(data()[0], cells=None)
    assert collate([item], targets=False).targets is None
    with pytest.raises(EgolibError, match="a question without answer"):
        collate([item])


def test_answers_behind_the_features():
    item = made(asked(9.0, 20 / RATE), shapes={"c": 30})
    assert item.cells[1] == 29
    with pytest.raises(
        EgolibError, match=r"ends in cell 29, the clip has 20 features(.|\n)*label_length"
    ):
        collate([item])
    assert collate([item], targets=False).units == [30]


def test_usable_questions():
    everything = queries()
    kept, skipped = usable(everything, source(), FULL, DATA)
    assert kept == everything and not skipped
    kept, skipped = usable(everything, source(), FULL, DATA, {"c0": 30, "c2": 9})
    assert [q.clip_uid for q in kept] == ["c0", "c0", "c2", "c2"]
    assert skipped.reasons == dict.fromkeys(["a1_0", "a1_1"], "the table of lengths lacks its clip")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"query_id": "z_0"}, "no features"),
        ({"duration_sec": 0.3}, "a clip of 0.3 s"),
        ({"windows_sec": ((17.0, 18.0),)}, "the answer begins after the clip"),
    ],
)
def test_questions_that_cannot_be_asked(change, reason):
    kept, skipped = usable([replace(queries()[0], **change)], source(), FULL, DATA)
    assert not kept and list(skipped.reasons.values()) == [reason]


def test_answers_that_the_features_do_not_reach():
    query = replace(queries()[0], windows_sec=((15.0, 16.0),))
    kept, skipped = usable([query], source(), FULL, DATA, {"c0": 32})
    assert not kept
    assert list(skipped.reasons.values()) == [
        "the answer ends in cell 31, the clip has 30 features"
    ]
    own = replace(DATA, label_length="features")
    assert usable([query], source(), FULL, own, {"c0": 32})[0] == [query]
