"""Configurations: typed building, layers, overrides, readable errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import ClassVar, Literal

import pytest

from egolib import config
from egolib.errors import EgolibError


@dataclass(frozen=True)
class Model:
    width: int = 384
    levels: tuple[int, ...] = (1, 2)
    padding: Literal["official", "per_query"] = "official"
    drop: float | None = None
    builders: ClassVar[dict[str, Callable[[], Model]]] = {"star": lambda: Model(width=512)}


@dataclass(frozen=True)
class Train:
    epochs: int = 8
    rate: float = 1e-4


@dataclass(frozen=True)
class Config:
    seed: int = 0
    world_seed: int = 0
    model: Model = field(default_factory=Model)
    train: Train = field(default_factory=Train)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, Config()),
        ({"model": {"levels": [3]}}, Config(model=Model(levels=(3,)))),
        ({"model": {"builder": "star"}}, Config(model=Model(width=512))),
        ({"model": {"builder": "star", "drop": 1}}, Config(model=Model(width=512, drop=1.0))),
        ({"train": {"rate": "1e-3"}}, Config(train=Train(rate=1e-3))),
    ],
)
def test_build(values, expected):
    assert config.build(Config, values) == expected


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"trian": {}}, "did you mean train"),
        ({"train": {"epoch": 1}}, "did you mean epochs"),
        ({"train": {"epochs": "many"}}, "train.epochs must be int"),
        ({"train": {"epochs": True}}, "train.epochs must be int"),
        ({"model": {"padding": "offical"}}, "did you mean official"),
        ({"model": {"builder": "sta"}}, "did you mean star"),
        ({"model": 3}, "model must be Model"),
    ],
)
def test_build_refuses(values, message):
    with pytest.raises(EgolibError, match=message):
        config.build(Config, values)


@pytest.fixture
def project(tmp_path, monkeypatch):
    for name, text in {
        "presets/mini.yaml": "seed: 3\n"
        "nlq: {model: {width: 64}, variants: {b: {train: {epochs: 2}}}}",
        "nlq/a.yaml": "about: {title: A}\nmodel: {builder: star}\ntrain: {rate: 2e-4}",
        "nlq/b.yaml": "steps: {2_train: {init: a/2_train, data: null}}",
        "nlq/chain.yaml": "default: a\nchain: [a, b]",
    }.items():
        file = tmp_path / "params" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    monkeypatch.setenv("EGOLIB_ROOT", str(tmp_path))
    return tmp_path


def test_layers_win_in_order(project):
    tree = config.resolve(Config, "nlq", "a", "mini")
    assert tree["seed"] == 3
    assert tree["model"]["width"] == 64  # the preset over the variant's builder
    assert tree["train"] == {"epochs": 8, "rate": 2e-4}
    assert config.resolve(Config, "nlq", "b", "mini")["train"]["epochs"] == 2


def test_overrides(project):
    tree = config.resolve(Config, "nlq", "a", "mini", ["epochs=1", "model.levels=[5, 6]", "seed=9"])
    assert (tree["train"]["epochs"], tree["model"]["levels"], tree["seed"]) == (1, [5, 6], 9)
    with pytest.raises(EgolibError, match="did you mean epochs"):
        config.resolve(Config, "nlq", "a", "mini", ["epoch=1"])
    with pytest.raises(EgolibError, match="did you mean mini"):
        config.resolve(Config, "nlq", "a", "mimi")
    with pytest.raises(EgolibError, match="no variant"):
        config.resolve(Config, "nlq", "c", "mini")


def test_a_resolved_file_resolves_to_itself(project):
    tree = config.resolve(Config, "nlq", "a", "mini", ["epochs=1"])
    file = project / "resolved.yaml"
    import yaml

    file.write_text(yaml.safe_dump(tree))
    assert config.resolve(Config, "nlq", "b", "mini", params_file=file) == tree


def test_steps_of_a_variant(project):
    assert list(config.read_variant("nlq", "a").steps) == list(config.STEPS)
    assert config.read_variant("nlq", "b").steps == {"2_train": {"init": "a/2_train"}}


@dataclass(frozen=True)
class Inner:
    epochs: int = 7
    monitor: str = "AP:max"


@dataclass(frozen=True)
class Outer:
    seed: int = 0
    fit: Inner = field(default_factory=lambda: Inner(epochs=1_000_000))
    renamed: ClassVar[dict[str, str]] = {"train.base_rate": "optim.learning_rate", "old": "new"}


def test_a_partial_section_changes_only_what_it_names():
    """The default of the section counts, not that of its class."""
    assert config.build(Outer, {"fit": {"monitor": ""}}) == Outer(fit=Inner(1_000_000, ""))


@pytest.mark.parametrize("tree", [{"train": {"base_rate": 1}}, {"old": {"x": 1}}, {"old": 3}])
def test_old_names_are_refused_with_the_new_one(tree):
    with pytest.raises(EgolibError, match="is now called '(optim.learning_rate|new)'"):
        config.refuse_old_names(Outer, tree)


# ------------------------------------------------------------------ refused by the plan


@pytest.mark.parametrize(
    "text",
    ["learning_rate=-1e-3", "weight_decay=-1", "fit.batch_size=0", "fit.epochs=-1"],
)
@pytest.mark.parametrize("task", config.TASKS)
def test_impossible_numbers_are_refused(task, text):
    name = text.partition("=")[0]
    schema = import_module(f"egolib.{task}.config").Config
    variant = config.read_chain(task).default
    full = name if "." in name else f"optim.{name}"
    with pytest.raises(EgolibError, match=full):
        config.resolve(schema, task, variant, "tiny", [f"{full}={text.partition('=')[2]}"])


def test_a_rate_of_no_frames_is_refused():
    schema = import_module("egolib.nlq.config").Config
    with pytest.raises(EgolibError, match="data.fps"):
        config.resolve(schema, "nlq", "scratch", "tiny", ["data.fps=0"])


def test_an_unknown_section_of_a_file_is_refused_with_the_list(tmp_path):
    schema = import_module("egolib.nlq.config").Config
    (tmp_path / "mine.yaml").write_text("variant: scratch\nfti: {epochs: 2}\n")
    with pytest.raises(EgolibError, match="unknown section 'fti'") as refused:
        config.resolve(schema, "nlq", "scratch", "tiny", [], tmp_path / "mine.yaml")
    assert "did you mean fit" in str(refused.value) and "evaluate" in str(refused.value)


def test_every_task_names_the_metrics_of_its_short_table():
    assert all(config.main_metrics(task) for task in config.TASKS)
