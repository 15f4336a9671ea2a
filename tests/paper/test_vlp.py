"""Every published variant of vlp resolves to its published values."""

from __future__ import annotations

import pytest

from egolib import config as configs
from egolib.vlp.config import Config
from tests.paper.compare import compare, read_table

TABLE = read_table("vlp")


def test_no_variant_is_left_out():
    assert sorted([*TABLE["variants"], *TABLE["others"]]) == sorted(configs.variants("vlp"))


@pytest.mark.parametrize("variant", TABLE["variants"])
def test_published_values(variant: str, record_property):
    found = compare(Config, "vlp", variant, TABLE)
    record_property("values compared", found.compared)
    print(f"vlp/{variant}: {found.compared} values compared")
    assert not found.wrong and not found.stale
    assert found.compared > 8


@pytest.mark.parametrize("variant", [*TABLE["variants"], *TABLE["others"]])
def test_published_numbers(variant: str):
    about = configs.read_variant("vlp", variant).about
    assert about.get("published", {}) == TABLE["published"].get(variant, {})
