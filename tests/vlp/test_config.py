from __future__ import annotations

import subprocess
import sys

import pytest

from egolib.config import build, to_tree
from egolib.errors import EgolibError
from egolib.vlp.config import (
    LossConfig,
    ModelConfig,
    OptimConfig,
    charades_finetune,
    egoclip_pretrain,
    egovlpv2,
    egovlpv2_small_projection,
    epic_finetune,
)


def test_published_networks() -> None:
    assert egovlpv2().patches == 196
    assert build(ModelConfig, {"builder": "egovlpv2"}) == egovlpv2()
    small = build(ModelConfig, {"builder": "egovlpv2_small_projection", "frames": 32})
    assert small.frames == 32 and small.projection_width == 256
    assert egovlpv2_small_projection().projection == "small"


def test_published_trainings() -> None:
    assert egoclip_pretrain() == (*egoclip_pretrain()[:2], OptimConfig())
    assert epic_finetune()[1].objectives == ("adaptive_margin",)
    assert charades_finetune()[2].learning_rate == 1.5e-5


@pytest.mark.parametrize("config", [*egoclip_pretrain(), *charades_finetune(), egovlpv2()])
def test_configurations_go_through_plain_values(config) -> None:
    assert build(type(config), to_tree(config)) == config


def test_unknown_objectives_are_refused() -> None:
    with pytest.raises(EgolibError, match="objectives"):
        build(LossConfig, {"objectives": ["egonse"]})


def test_no_torch_for_configuration_evaluation_and_annotations() -> None:
    modules = "config evaluation formats.submission data.egoclip data.epic data.charades"
    modules += " data.moments data.sampling"
    code = "import sys\n" + "\n".join(f"import egolib.vlp.{m}" for m in modules.split())
    code += "\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
