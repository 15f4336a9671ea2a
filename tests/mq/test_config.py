"""Published configurations, resolved."""

from __future__ import annotations

import pytest

from egolib.config import build, to_tree
from egolib.errors import EgolibError
from egolib.mq.config import Config, DataConfig, ModelConfig, OptimConfig


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
    assert config.train == OptimConfig(1e-4, 1e-4, 15, 0.1)
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
