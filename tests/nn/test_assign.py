"""Assignment and sampling of training examples."""

from __future__ import annotations

import pytest
import torch

from egolib.nn.assign import BACKGROUND, IGNORED, assign, sample
from egolib.nn.config import AssignConfig, SampleConfig


def test_without_truth_all_is_background():
    assert assign(torch.zeros(0, 3), AssignConfig()).tolist() == [BACKGROUND] * 3
    assert assign(torch.zeros(2, 0), AssignConfig()).tolist() == []


def test_thresholds_leave_a_band_that_is_ignored():
    overlaps = torch.tensor([[0.7, 0.69, 0.3, 0.29]])
    found = assign(overlaps, AssignConfig(0.7, 0.3)).tolist()
    assert found == [0, IGNORED, IGNORED, BACKGROUND]


# box 0 is the best of truth 0 and of truth 1; it overlaps truth 0 most
OVERLAPS = torch.tensor([[0.6, 0.1, 0.0], [0.4, 0.2, 0.0], [0.0, 0.1, 0.05]])


@pytest.mark.parametrize(
    ("rule", "minimum", "expected"),
    [
        ("none", 0.0, [IGNORED, BACKGROUND, BACKGROUND]),
        ("assign", 0.3, [1, BACKGROUND, BACKGROUND]),
        ("restore", 0.3, [0, BACKGROUND, BACKGROUND]),
        ("assign", 0.0, [1, 2, BACKGROUND]),
        ("restore", 0.0, [0, 1, BACKGROUND]),
    ],
)
def test_low_quality_matches(rule, minimum, expected):
    config = AssignConfig(0.7, 0.3, rule, minimum)
    assert assign(OVERLAPS, config).tolist() == expected


def test_unknown_rule_is_refused():
    with pytest.raises(ValueError, match="low_quality"):
        assign(OVERLAPS, AssignConfig(low_quality="some"))


def test_sample_limits_positives_and_fills_with_negatives():
    matches = torch.tensor([0] * 10 + [BACKGROUND] * 50 + [IGNORED] * 10)
    generator = torch.Generator().manual_seed(0)
    positive, negative = sample(matches, SampleConfig(16, 0.25), generator)
    assert len(positive) == 4 and len(negative) == 12
    assert (matches[positive] == 0).all() and (matches[negative] == BACKGROUND).all()
    assert len(set(negative.tolist())) == 12
    again = sample(matches, SampleConfig(16, 0.25), torch.Generator().manual_seed(0))
    assert torch.equal(positive, again[0]) and torch.equal(negative, again[1])


def test_sample_takes_all_where_there_are_few():
    positive, negative = sample(torch.tensor([0, BACKGROUND]), SampleConfig(256, 0.5))
    assert positive.tolist() == [0] and negative.tolist() == [1]
