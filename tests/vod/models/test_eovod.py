"""EOVOD: shared banks, the paper's priors, nothing computed twice."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.vod.small import begin, counted, frames, make, same


def located(**values):
    return lambda c: replace(c, location=replace(c.location, **values))


def run(model, count: int = 3, number: int = 0, previous=None, seed: int = 0, **rules):
    options = {"number": number, "previous": previous, "seed": seed}
    state = begin(model, frames(2, 9, 50), change={"location": rules}, **options)
    found = [model.step(frames(1, first=i), state) for i in range(count)]
    return state, found


@pytest.mark.parametrize(
    ("rule", "number", "shared"),
    [
        ("official", 1, True),
        ("official", 7001, True),
        ("official", 2000, False),
        ("every_video", 1, False),
    ],
)
def test_snippets_of_one_source_share_the_banks(rule: str, number: int, shared: bool):
    model, _ = make("eovod")
    first, _ = run(model, number=0)
    before = {level: len(bank) for level, bank in first.banks.items()}
    change = {"location": {"bank_reset": rule}}
    second = begin(model, None, change=change, number=number, previous=first)
    after = {level: len(bank) for level, bank in second.banks.items()}
    assert after == (before if shared else dict.fromkeys(before, 0))


def test_references_are_not_computed_again():
    model, _ = make("eovod")
    video = frames(4)
    seen, state = counted(model), begin(model, video[1:3])
    for i in range(4):
        model.step(video[i : i + 1], state)
    assert sum(seen) == 4


def test_only_cells_in_the_previous_boxes_attend():
    model, _ = make("eovod")
    plain, _ = make("eovod", change=located(levels=()))
    plain.load_state_dict(model.state_dict(), strict=False)
    _, found = run(
        model, queries="boxes", query_score=2.0
    )  # no box is ever confirmed, so no cell attends
    for i, one in enumerate(found):
        same(one, plain.step(frames(1, first=i), begin(plain)))


def test_confirmed_boxes_are_shrunk():
    model, _ = make("eovod")
    state, found = run(model, 1, query_score=-1.0, query_scale=0.5)
    boxes = found[0].boxes * 1.25
    sides, shrunk = boxes[:, 2:] - boxes[:, :2], state.boxes[:, 2:] - state.boxes[:, :2]
    torch.testing.assert_close(shrunk, 0.5 * sides, rtol=1e-4, atol=1e-3)


def test_size_prior_runs_fewer_levels_for_a_while():
    model, _ = make("eovod")
    levels: list[int] = []
    model.detector.head.register_forward_pre_hook(lambda _m, given: levels.append(len(given[2])))
    state = begin(model, change={"location": {"size_prior": 2, "query_score": 0.02}})
    for i in range(8):
        model.step(frames(1, seed=i), state)
    full = [i for i, count in enumerate(levels) if count == 5]
    assert full[:3] == [0, 3, 6] and max(levels) == 5


def test_enhanced_maps_may_feed_the_classes_only():
    both, _ = make("eovod")
    classes, _ = make("eovod", change=located(enhanced="classes"))
    _, first = run(both)
    _, second = run(classes)
    assert not torch.equal(first[-1].boxes, second[-1].boxes)


def test_border_rule_changes_what_is_written():
    x = torch.randn(1, 8, 4, 6)
    box = [[70.0, 0.0, 96.0, 15.0]]  # level 2 has stride 16: the right edge of six cells
    rows = {}
    for rule in ("official", "inside"):
        model, _ = make("eovod")
        state = begin(model, change={"location": {"border": rule}})
        rows[rule] = model._cells_of_frame(x, 2, box, state)
    assert torch.equal(rows["inside"], x[0, :, 0, 4:].t())
    assert torch.equal(rows["official"], torch.cat([x[0, :, 0, 4:], x[0, :, 1, :1]], 1).t())
