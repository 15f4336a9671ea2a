"""Official configuration paths and the variants that they stand for."""

from __future__ import annotations

import pytest

from egolib import config as configs
from egolib.errors import EgolibError
from egolib.vod.config import Config
from egolib.vod.formats.official_config import PATHS, variant_of


@pytest.mark.parametrize(
    ("path", "variant"),
    [
        ("mamba_r101_dc5", "mamba_r101_dc5"),
        ("configs/vid/mamba/mamba_r101_dc5_6x.py", "mamba_r101_dc5"),
        ("configs/vid/stpn/stpn_swint_adam_9x.py", "stpn_swint"),
        ("configs/vid/dff/dff_faster_rcnn_r101_dc5_1x_imagenetvid.py", "dff_r101_dc5"),
        (
            "configs/vid/temporal_roi_align/dff_faster_rcnn_r101_dc5_1x_imagenetvid.py",
            "dff_r101_dc5",
        ),
        ("configs/vid/tdvit/frcnn_swint_fpn_3x.py", "frcnn_swint_crops"),
        ("configs/MEGA/vid_R_101_C4_MEGA_1x.yaml", "mega_r101"),
        ("configs/vid_R_101_C4_1x.yaml", "frcnn_r101_c4"),
        ("configs/BASE_RCNN_4gpu.yaml", "frcnn_r101_c4"),
    ],
)
def test_paths_resolve(path: str, variant: str):
    assert variant_of(path) == variant


def test_every_pattern_names_a_variant_that_exists():
    assert {variant for _, variant in PATHS} <= set(configs.variants("vod"))


def test_an_announced_configuration_explains_itself():
    with pytest.raises(EgolibError, match="tdvit_t"):
        variant_of("configs/vid/time_swin_lite/time_swin_lite_3x.py")


def test_an_unknown_configuration_names_the_nearest():
    with pytest.raises(EgolibError, match="mamba_r101_dc5"):
        variant_of("configs/vid/mamba/mamba_r101_dc5.py.txt")


@pytest.mark.parametrize("variant", configs.variants("vod"))
def test_variants_build(variant: str):
    tree = configs.resolve(Config, "vod", variant, "paper")
    config = configs.build(Config, tree)
    assert config.model.classes == 30
    needs = {"selsa", "mamba", "stpn", "eovod", "fgfa", "dff", "tdvit"}
    assert (config.model.method in needs) == (config.data.train_references.method != "none")
    assert configs.read_variant("vod", variant).about["source"]
