"""Published configurations, resolved."""

from __future__ import annotations

import pytest

from egolib import config as configs
from egolib.config import build, to_tree
from egolib.errors import EgolibError
from egolib.mq.config import Config, DataConfig, ModelConfig, OptimConfig

POINTS = {"model": {"actionformer": {}}, "infer": {"builder": "actionformer"}}


def test_published_networks():
    names = ("vsgn_egovlpv2", "vsgn_ego4d", "vsgn_plain")
    found = {name: ModelConfig.builders[name]() for name in names}
    assert [c.feature_width for c in found.values()] == [4096, 2304, 2304]
    assert [c.graph for c in found.values()] == [True, True, False]
    assert found["vsgn_ego4d"].boxes == 3596
    assert found["vsgn_ego4d"].level_lengths == (928, 464, 232, 116, 58)


def test_defaults_are_the_published_values():
    config = Config()
    assert (config.fit.epochs, config.fit.batch_size) == (50, 32)
    assert config.optim == OptimConfig(
        learning_rate=1e-4, weight_decay=1e-4, step_epochs=15, gamma=0.1
    )
    assert (config.fit.monitor, config.infer.weights, config.seed) == ("loss:min", "best", 21)
    assert (config.infer.nms_iou, config.infer.soft_nms_sigma, config.infer.limit) == (
        0.4,
        0.46,
        200,
    )
    assert DataConfig.builders["ego4d"]().layout == "ego4d"


def test_round_trip_through_plain_values():
    tree = to_tree(Config())
    assert build(Config, tree) == Config()
    with pytest.raises(EgolibError, match="neighbors"):
        build(Config, {"model": {"neighbours": 3}})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fit": {"monitor": "map:max"}}, "fit.monitor"),
        ({"model": {"graph": False, "stitched_neighbors": True}}, "stitched_neighbors"),
        ({"loss": {"replicas": 64}}, "replicas"),
        ({"optim": {"optimizer": "sgd"}}, "optim.optimizer"),
        ({"infer": {"builder": "actionformer"}}, "without model.actionformer"),
        ({"model": {"actionformer": {}}}, "infer.suppression None with model.actionformer"),
        (POINTS | {"data": {"stitching": "vsgn"}}, "data.stitching"),
        (POINTS | {"loss": {"points": {"regression_ranges": [[0, 4]]}}}, "1 entries for 9"),
        (
            {
                "model": {"actionformer": {}},
                "infer": {"builder": "actionformer", "compare": ["rounding"]},
            },
            "infer.compare",
        ),
    ],
)
def test_values_that_cannot_work_together(changes, message):
    with pytest.raises(EgolibError, match=message):
        build(Config, changes)


@pytest.mark.parametrize("preset", configs.presets())
@pytest.mark.parametrize("variant", configs.variants("mq"))
def test_every_variant_resolves(variant, preset):
    config = build(Config, configs.resolve(Config, "mq", variant, preset))
    vsgn = config.model.actionformer is None
    assert config.loss.replicas == (4 if preset == "paper" and vsgn else 1)
    assert {"title", "source", "checkpoint"} <= configs.read_variant("mq", variant).about.keys()


def test_the_published_trainings():
    found = {
        name: build(Config, configs.resolve(Config, "mq", name, "paper"))
        for name in ("vsgn_egovlpv2", "vsgn_ego4d")
    }
    assert [c.model.feature_width for c in found.values()] == [4096, 2304]
    assert [c.data.layout for c in found.values()] == ["egovlpv2", "ego4d"]
    assert [c.fit.epochs for c in found.values()] == [50, 30]
    assert all(c.seed == 21 and c.fit.batch_size == 32 for c in found.values())
    assert all(c.loss.zero_iou_truths == c.infer.soft_nms == "official" for c in found.values())
