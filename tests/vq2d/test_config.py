"""Settings and variants."""

from __future__ import annotations

from dataclasses import fields, is_dataclass

import pytest

from egolib import config as configs
from egolib.vq2d import config as settings
from egolib.vq2d.config import Config

VARIANTS = configs.variants("vq2d")


@pytest.mark.parametrize("preset", configs.presets())
@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_resolves(name: str, preset: str) -> None:
    tree = configs.resolve(Config, "vq2d", name, preset)
    assert configs.to_tree(configs.build(Config, tree)) == tree


@pytest.mark.parametrize(
    ("name", "peak", "lost"),
    [
        ("baseline_2gpu", 0.5, 0.1),
        ("baseline_8gpu", 0.5, 0.1),
        ("improved", 0.5, 0.1),
        ("cocoformer", 0.5, 0.1),
        ("baseline_table", 0.5, 0.2),
        ("improved_table", 0.5, 0.2),
        ("cocoformer_table", 0.25, 0.2),
    ],
)
def test_published_thresholds(name: str, peak: float, lost: float) -> None:
    """The published command, and the thresholds behind the published table."""
    config = configs.build(Config, configs.resolve(Config, "vq2d", name, "paper"))
    assert (config.localize.peaks.threshold, config.localize.kys.lost_threshold) == (peak, lost)


@pytest.mark.parametrize(
    ("name", "images", "updates"),
    [("baseline_2gpu", 16, 10**6), ("baseline_8gpu", 64, 10**6), ("improved", 64, 125_000)],
)
def test_published_batches(name: str, images: int, updates: int) -> None:
    fit = configs.build(Config, configs.resolve(Config, "vq2d", name, "paper")).fit
    assert fit.batch_size == images
    assert fit.max_updates == updates


def test_every_variant_says_where_it_comes_from() -> None:
    for name in VARIANTS:
        assert configs.read_variant("vq2d", name).about["source"]


def test_every_field_is_documented() -> None:
    for name in settings.__all__:
        item = getattr(settings, name)
        if is_dataclass(item):
            text = "".join(base.__doc__ or "" for base in item.__mro__[:-1])
            for field in fields(item):
                assert field.name in text, f"{name}.{field.name}"


def test_the_chain_names_variants() -> None:
    chain = configs.read_chain("vq2d")
    assert {chain.default, *chain.variants} <= set(VARIANTS)
