"""Every published variant of mq resolves to its published values."""

from __future__ import annotations

import pytest

from egolib import config as configs
from egolib.mq.config import Config
from tests.paper.compare import compare, read_table

TABLE = read_table("mq")
OURS = {"vsgn_plain", "features_random", "features_vlp", "actionformer"}
PUBLISHED = [v for v in configs.variants("mq") if v not in OURS]


def test_no_variant_is_left_out():
    assert sorted(TABLE["variants"]) == sorted(PUBLISHED)


@pytest.mark.parametrize("variant", PUBLISHED)
def test_published_values(variant: str, record_property):
    found = compare(Config, "mq", variant, TABLE)
    record_property("values compared", found.compared)
    print(f"mq/{variant}: {found.compared} values compared")
    assert not found.wrong and not found.stale
    assert found.compared > 50


@pytest.mark.parametrize(
    ("variant", "changed"),
    [
        ("vsgn_plain", {"model.graph"}),
        ("features_random", {"model.feature_width", "data.noise_width"}),
        ("features_vlp", {"model.feature_width"}),
    ],
)
def test_controls_differ_in_what_they_name_alone(variant: str, changed: set[str]):
    ours, theirs = (
        configs.flatten(configs.resolve(Config, "mq", name, "paper"))
        for name in (variant, "vsgn_egovlpv2")
    )
    assert {k for k in ours if ours[k] != theirs[k]} == changed
