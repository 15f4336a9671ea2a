"""Official configuration paths, resolved to our variants (no torch)."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from egolib.config import variants
from egolib.errors import EgolibError, nearest

# Pattern of a configuration's path (from the end) -> our variant. The first match wins.
PATHS: tuple[tuple[str, str], ...] = (
    (r"mamba_full_r101_dc5_\dx", "mamba_both_r101_dc5"),
    (r"mamba_pix(_neck)?_r101_dc5_3x", "mamba_pixel_r101_dc5"),
    (r"mamba_r101_dc5_3x", "mamba_r101_dc5_3x"),
    (r"mamba_r101_dc5_6x", "mamba_r101_dc5"),
    (r"stpn_swint_adam_9x", "stpn_swint"),
    (r"stpn_swins_adam_9x", "stpn_swins"),
    (r"tdvit_tplus_joint_frcnn_fpn_3x(_v1aug)?", "tdvit_t_plus_joint"),
    (r"tdvit_tplus_frcnn_fpn_3x", "tdvit_t_plus"),
    (r"tdvit_t_joint_frcnn_fpn_3x(_v1aug)?", "tdvit_t_joint"),
    (r"tdvit_t_frcnn_fpn_3x", "tdvit_t"),
    (r"tdvit_s_joint_frcnn_fpn_3x", "tdvit_s_joint"),
    (r"tdvit_b_joint_frcnn_fpn_3x", "tdvit_b_joint"),
    (r"tdvit/frcnn_swint_fpn_3x(_v1aug)?", "frcnn_swint_crops"),
    (r"faster_rcnn_swint_fpn_6x(_vid)?", "frcnn_swint_6x"),
    (r"faster_rcnn_swint_fpn_3x(_vid)?", "frcnn_swint"),
    (r"faster_rcnn_r101_fpn_6x_vid", "frcnn_r101_fpn"),
    (r"faster_rcnn_r50_fpn(_3x_vid)?", "frcnn_r50_fpn"),
    (r"frcnn_r101_dc5_3x", "frcnn_r101_dc5_3x"),
    (r"fcos_att_r101_fpn_9x_vid_caffe_random_level2_imagenet", "eovod_r101"),
    (r"fcos_att_r50_fpn_3x_vid_caffe_random", "eovod_r50"),
    (r"fcos_r101_fpn_vid", "fcos_r101"),
    (r"selsa_faster_rcnn_r101_dc5_\dx_imagenetvid", "selsa_r101_dc5"),
    (r"selsa_faster_rcnn_r50_dc5_\dx_imagenetvid", "selsa_r50_dc5"),
    (r"dff_faster_rcnn_r101_dc5_\dx_imagenetvid", "dff_r101_dc5"),
    (r"fgfa_faster_rcnn_r101_dc5_\dx_imagenetvid", "fgfa_r101_dc5"),
    (r"vid_R_101_C4_MEGA_1x", "mega_r101"),
    (r"vid_R_50_C4_MEGA_1x", "mega_r50"),
    (r"vid_R_101_C4_1x|BASE_RCNN_\dgpu", "frcnn_r101_c4"),
    (r"vid_R_50_C4_1x", "frcnn_r50_c4"),
)
RENAMED = {
    "time_swin_lite": "the READMEs' time_swin_lite was never released; it is TDViT: tdvit_t",
}


def variant_of(path: str) -> str:
    """Our variant for the path of an official configuration file, or for its own name.

    >>> variant_of("configs/vid/mamba/mamba_r101_dc5_6x.py")
    'mamba_r101_dc5'

    Raises:
        EgolibError: an unknown configuration; one that was only announced says what it is.
    """
    known = variants("vod")
    if path in known:
        return path
    for part, explanation in RENAMED.items():
        if part in path:
            raise EgolibError(f"no such configuration: {path}", remedy=explanation)
    stem = str(PurePosixPath(path).with_suffix(""))
    for pattern, variant in PATHS:
        if re.search(rf"(^|/)({pattern})$", stem):
            return variant
    name = PurePosixPath(path).stem
    raise EgolibError(f"unknown configuration {path!r}", remedy=nearest(name, known))
