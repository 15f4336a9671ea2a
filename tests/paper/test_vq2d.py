"""Every published variant of vq2d resolves to its published values."""

from __future__ import annotations

import pytest

from egolib import config as configs
from egolib.config import merge
from egolib.engine.config import batch_plan
from egolib.errors import EgolibError
from egolib.vq2d.config import Config
from tests.paper.compare import compare, read_table

TABLE = read_table("vq2d")
VARIANTS = configs.variants("vq2d")


def resolved(variant: str, *texts: str, preset: str = "paper") -> Config:
    return configs.build(Config, configs.resolve(Config, "vq2d", variant, preset, texts))


def test_no_variant_is_left_out():
    assert sorted(TABLE["variants"]) == sorted(VARIANTS)


@pytest.mark.parametrize("variant", VARIANTS)
def test_published_values(variant: str, record_property):
    found = compare(Config, "vq2d", variant, TABLE)
    record_property("values compared", found.compared)
    print(f"vq2d/{variant}: {found.compared} values compared")
    assert not found.wrong and not found.stale
    assert found.compared > 110


@pytest.mark.parametrize("preset", configs.presets())
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_section_given_in_part_keeps_the_rest(variant: str, preset: str):
    """Once a variant's ``fit`` threw away length and monitor that it did not name: the published
    training lasted one epoch and kept no best weights."""
    default = configs.flatten(configs.to_tree(Config()))
    layers = [configs.read_variant("vq2d", variant).tree, configs.read_preset(preset)["vq2d"]]
    layers.append((layers[1].pop("variants", None) or {}).get(variant) or {})
    given = configs.flatten(merge({}, *layers))
    built = {name.rpartition(".")[0] for name in given if name.endswith("builder")}
    tree = configs.flatten(configs.resolve(Config, "vq2d", variant, preset))
    for name, value in tree.items():
        named = any(name == own or name.startswith(f"{own}.") for own in given)
        if not named and not any(name.startswith(f"{section}.") for section in built):
            assert name in ("seed", "world_seed") or value == default[name], name


@pytest.mark.parametrize("variant", ["baseline_2gpu", "baseline_8gpu", "improved", "cocoformer"])
def test_the_whole_training_runs_and_keeps_its_best_weights(variant: str):
    fit = resolved(variant).fit
    assert fit.epochs * 1 >= (fit.max_updates or 0) and fit.monitor == "AP:max"
    plan = batch_plan(fit, fit.processes * fit.nodes)
    assert plan.global_size == fit.batch_size  # whatever the number of processes
    assert resolved(variant, "infer.weights=best").infer.weights == "best"


def test_a_published_training_refuses_to_start_from_nothing():
    with pytest.raises(EgolibError, match="initial.weights names no start"):
        resolved("improved", "initial.weights=''")
    with pytest.raises(EgolibError, match="would keep a random trunk"):
        resolved("baseline_8gpu", "initial.weights=none")
    assert resolved("improved", "initial.weights=none").initial.random
