"""How whole the graphs of our networks are: places at which a compiler would leave them.

Counted by tracing reduced networks, which have the published ones' code. 0 means that a CUDA
graph or a compiled function can hold all of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from benchmarks import gpu_nlq, gpu_vlp, gpu_vod, gpu_vq2d
from benchmarks.gpu_common import Measured, Setting, graph_breaks
from egolib.vod.config.networks import mega_r101, selsa_r101_dc5, stpn_swint
from egolib.vq2d.models.model import SiameseRcnn

Traced = tuple[Callable[..., object], tuple[object, ...]]


def breaks(setting: Setting) -> dict[str, Any]:
    """Graph breaks of the part of every network that is captured or compiled.

    Args:
        setting: has no part in it: they are counted on a CPU, with small sizes.
    """
    small = Setting("cpu", tiny=True)
    found = {}
    with torch.no_grad():
        for name, make in NETWORKS.items():
            work, inputs = make(small)
            found[name] = graph_breaks(work, *inputs)
    counted = [count for count in found.values() if count is not None]
    failed = {name: "it cannot be traced" for name, count in found.items() if count is None}
    return Measured(
        "graph breaks",
        graph_breaks=sum(counted) if counted else None,
        note=", ".join(f"{name} {count}" for name, count in found.items()),
        more={"breaks": found},
        errors=failed,
    ).record(setting)


def _video(setting: Setting) -> Traced:
    """EgoVLPv2's video encoder."""
    model = gpu_vlp.network(setting).eval()
    size = model.config.image_size
    return model.encode_video, (torch.zeros(2, 4, 3, size, size, device=setting.device),)


def _text(setting: Setting) -> Traced:
    """EgoVLPv2's text encoder."""
    ids = torch.ones(2, 8, dtype=torch.long, device=setting.device)
    return gpu_vlp.network(setting).eval().encode_text, (ids, torch.ones_like(ids))


def _trunk(builder: Callable[[], Any]) -> Callable[[Setting], Traced]:
    """Backbone and neck of a detector in videos."""

    def make(setting: Setting) -> Traced:
        made = gpu_vod.video(builder, setting)
        return made.model.detector.maps, (made.images[:1],)

    return make


def _siamese(setting: Setting) -> Traced:
    """Backbone and pyramid of the Siamese R-CNN."""
    model = SiameseRcnn(gpu_vq2d._network(setting)).to(setting.device).eval()
    return model.maps, (torch.zeros(1, 3, 128, 160, device=setting.device),)


def _grounding(setting: Setting) -> Traced:
    """GroundNLQ's video encoder."""
    config = gpu_nlq.TINY
    model = gpu_nlq.network(config, setting.device).eval()
    width = sum(width for _, width in config.video_streams)
    video = torch.zeros(1, config.max_length, width, device=setting.device)
    mask = torch.ones(1, config.max_length, dtype=torch.bool, device=setting.device)
    return model.encode_video, (video, mask)


NETWORKS: dict[str, Callable[[Setting], Traced]] = {
    "EgoVLPv2 video": _video,
    "EgoVLPv2 text": _text,
    "SELSA trunk": _trunk(selsa_r101_dc5),
    "MEGA trunk": _trunk(mega_r101),
    "STPN trunk": _trunk(stpn_swint),
    "Siamese R-CNN trunk": _siamese,
    "GroundNLQ video": _grounding,
}

PARTS = {"breaks": breaks}
