"""Configurations: published values, building from plain values, no torch."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields

import pytest

from egolib.config import build, to_tree
from egolib.errors import EgolibError
from egolib.nlq.config import span as module
from egolib.nlq.config.span import VslnetConfig, vslnet, vslnet_small

CLASSES = [
    VslnetConfig,
    module.SpanDataConfig,
    module.SpanLossConfig,
    module.SpanTrainConfig,
    module.SpanInferConfig,
]


def test_builders():
    assert build(VslnetConfig, {"builder": "vslnet"}) == vslnet() == VslnetConfig()
    small = build(VslnetConfig, {"builder": "vslnet_small", "width": 16})
    assert small.fusion == vslnet_small().fusion == "concatenation" and small.width == 16


@pytest.mark.parametrize("cls", CLASSES)
def test_there_and_back(cls):
    assert build(cls, to_tree(cls())) == cls()


@pytest.mark.parametrize("cls", CLASSES)
def test_quirks_are_official_by_default(cls):
    """Every choice that has an official form starts with it."""
    for field in fields(cls):
        if "'official'" in str(field.type) or '"official"' in str(field.type):
            assert getattr(cls(), field.name) == "official"
            with pytest.raises(EgolibError):
                build(cls, {field.name: "other"})


def test_no_torch_behind():
    code = f"import {module.__name__}, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
