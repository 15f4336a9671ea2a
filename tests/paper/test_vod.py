"""Every published variant of vod resolves to its published values."""

from __future__ import annotations

import pytest

from egolib import config as configs
from egolib.vod.config import Config
from tests.paper.compare import compare, read_table

TABLE = read_table("vod")
PUBLISHED = [v for v in configs.variants("vod") if not v.endswith("_staged")]


def test_no_variant_is_left_out():
    assert sorted(TABLE["variants"]) == sorted(PUBLISHED)


@pytest.mark.parametrize("variant", PUBLISHED)
def test_published_values(variant: str, record_property):
    found = compare(Config, "vod", variant, TABLE)
    record_property("values compared", found.compared)
    print(f"vod/{variant}: {found.compared} values compared")
    assert not found.wrong and not found.stale
    assert found.compared > 60


@pytest.mark.parametrize("variant", [v for v in configs.variants("vod") if v.endswith("_staged")])
def test_staged_variants_differ_in_their_start_alone(variant: str):
    """They are ours; their network, data and recipe are those of the published one."""
    about = configs.read_variant("vod", variant).about
    source = about["source"].partition(",")[0]
    if source == "a control of ours":
        return
    ours, theirs = (
        configs.flatten(configs.resolve(Config, "vod", name, "paper")) for name in (variant, source)
    )
    assert {k for k in ours if ours[k] != theirs[k]} <= {
        "initial.weights",
        "initial.format",
        "initial.flow",
    }
