"""Memory bank: growth, random forgetting, both rules."""

from __future__ import annotations

import torch

from egolib.vod.models.bank import MemoryBank


def bank(rule: str = "official", size: int = 20, keys: int = 8) -> MemoryBank:
    return MemoryBank(size, keys, torch.Generator().manual_seed(0), rule)


def rows(start: int, count: int) -> torch.Tensor:
    return torch.arange(start, start + count).float()[:, None].expand(-1, 3)


def test_empty_bank_has_no_rows():
    assert len(bank()) == 0


def test_rows_stay_in_order_until_the_bank_is_full():
    memory = bank()
    memory.update(rows(0, 5), rows(100, 5))
    assert memory.sample()[0][:, 0].tolist() == [0, 1, 2, 3, 4]  # fewer than keys
    memory.update(rows(5, 5), rows(105, 5))
    assert memory.all()[1][:, 0].tolist() == list(range(100, 110))
    assert len(memory.sample()[0]) == 8


def test_columns_stay_together_over_many_updates():
    memory = bank()
    for i in range(50):
        memory.update(rows(7 * i, 7), rows(7 * i, 7) + 1000)
        first, second = memory.sample()
        assert torch.equal(first + 1000, second)
    kept = memory.all()[0][:, 0].tolist()
    assert len(set(kept)) == len(kept)
    assert {343, 349} <= {int(k) for k in kept}  # the newest rows are all there


def test_official_rule_overshoots_and_empties():
    memory = bank()
    for i in range(3):
        memory.update(rows(9 * i, 9))
    assert len(memory) == 27  # 18 rows were not yet full
    memory.update(rows(50, 9))
    assert len(memory) == 27
    memory.update(rows(0, 0))
    assert len(memory) == 0


def test_strict_rule_does_neither():
    memory = bank("strict")
    for i in range(4):
        memory.update(rows(9 * i, 9))
        assert len(memory) <= 20
    memory.update(rows(0, 0))
    assert len(memory) == 20
    memory.update(rows(500, 50))
    assert len(memory) == 20 and (memory.all()[0][:, 0] >= 530).all()


def test_rows_are_copied():
    memory, given = bank(), rows(0, 4).clone()
    memory.update(given)
    given += 100
    assert memory.all()[0].max() == 3
