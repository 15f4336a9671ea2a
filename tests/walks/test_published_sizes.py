"""Every network in its published size, once: weights are drawn, exported by ``egolib convert``,
accepted by the official list of keys (where ``--parity-dir`` has it), and the command answers a
handful of frames or clips with the official file alone."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

from egolib import config as configs
from egolib import world
from egolib.io.records import read_json
from tests.helpers.tiny import copy_project, egolib
from tests.walks import handful

ALL = os.environ.get("EGOLIB_WALKS") == "all"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("published_sizes"),
    pytest.mark.skipif(not ALL, reason="large networks: `make walks`"),
]


@dataclass(frozen=True)
class Published:
    """A network of published size.

    Args:
        task: its task.
        variant: that has it.
        keys: the official list of its keys, below ``--parity-dir``; empty where there is none.
        options: of the run, beside those of the task in ``OPTIONS``.
        data: the function of ``handful`` that makes its data; empty for the task's name.
        inputs: of the run, below the data.
        prefix: of the network's names, which the list of a part of it lacks.
    """

    task: str
    variant: str
    keys: str = ""
    options: tuple[str, ...] = ()
    data: str = ""
    inputs: tuple[str, ...] = ()
    prefix: str = ""


OPTIONS = {
    "vod": ("infer.max_videos=1",),
    "vq2d": ("sweep.thresholds=[]", "sweep.widths=[]", "sweep.compare=[]", "data.workers=0"),
    "vlp": ("evaluate.empty_queries=skip", "infer.batch_size=2"),
    "nlq": ("data.counts=any", "infer.compare=[]"),
    "mq": ("data.class_table=classes.json",),
}
SPANS: dict[str, Any] = {"data": "vslnet", "inputs": ("features=questions",)}
NETWORKS = (
    Published("mq", "vsgn_egovlpv2", "mq/vsgn"),
    Published("nlq", "finetune", "nlq/groundnlq"),
    Published("nlq", "star_finetune_trainval", "nlq/groundnlq_star"),
    Published("nlq", "vslnet", "nlq_vslnet/vslnet", **SPANS),
    Published("nlq", "vslnet_small", "nlq_vslnet/vslnet_small", **SPANS),
    Published("vod", "frcnn_r101_dc5", "vod/frcnn", prefix="detector."),
    Published("vod", "frcnn_r101_c4", "vod/mega_base"),
    Published("vod", "selsa_r101_dc5", "vod/selsa"),
    Published("vod", "mamba_r101_dc5", "vod/mamba"),
    Published("vod", "mega_r101", "vod/mega"),
    Published("vod", "stpn_swint", "vod/stpn"),
    Published("vod", "tdvit_t", "vod/tdvit"),
    Published("vod", "eovod_r101", "vod/eovod"),
    Published("vod", "dff_r101_dc5", "vod/dff"),
    Published("vod", "fgfa_r101_dc5", "vod/fgfa"),
    Published("vod", "fcos_r101"),
    Published("vlp", "egomcq_eval", "vlp/egovlpv2_4f"),
    Published("vlp", "charades_zeroshot", "vlp/egovlpv2_smallproj_16f"),
    Published("vq2d", "improved", "vq2d/siamrcnn"),
)


@pytest.mark.parametrize("published", NETWORKS, ids=lambda p: f"{p.task}-{p.variant}")
def test_published_size(published: Published, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    project, data = copy_project(tmp_path / "project"), tmp_path / "data"
    world.make("tiny", data)
    getattr(handful, published.data or published.task)(data)
    official = tmp_path / "official" / "model.pth"
    official.parent.mkdir()
    for ours in DRAWN[published.task](published.variant, tmp_path):
        official = official.with_name(f"{ours.stem}.pth")
        done = egolib(project, "convert", str(ours), str(official))
        assert done.returncode == 0, done.stderr
        ours.unlink()
        official.with_suffix(".json").unlink()  # the publishers' files have none
        keys = pytestconfig.getoption("--parity-dir") / f"{published.keys}.keys.json"
        if ours.stem == "model" and published.keys and keys.is_file():
            wanted = {published.prefix + name: entry for name, entry in read_json(keys).items()}
            assert entries(official) == wanted
    options = (f"-p{o}" for o in (*OPTIONS[published.task], *published.options))
    given = ("--preset", "paper", "--data-root", str(data), "--jobs", "1", *options)
    for name, _, folder in (text.partition("=") for text in published.inputs):
        given += ("--input", f"{name}={data / folder}")
    target = f"{published.task}/3_infer", "--variant", published.variant
    done = egolib(project, "run", *target, *given, "--checkpoint", str(official.parent))
    assert done.returncode == 0, done.stdout + done.stderr
    step = project / "runs/paper" / published.task / published.variant / "3_infer"
    numbers = list(values(read_json(step / "result.json")["metrics"]))
    assert numbers and all(math.isfinite(n) for n in numbers)


def resolved(task: str, variant: str) -> Any:
    """A variant's configuration on ``paper``."""
    schema = import_module(f"egolib.{task}.config").Config
    return configs.build(schema, configs.resolve(schema, task, variant, "paper"))


def draw_vod(variant: str, folder: Path) -> Iterator[Path]:
    from egolib.vod.api import save
    from egolib.vod.models.build import build_model

    config = resolved("vod", variant)
    yield save(folder / "model.safetensors", build_model(config.model), config.model, config.data)


def draw_vq2d(variant: str, folder: Path) -> Iterator[Path]:
    from egolib.vq2d.formats.checkpoint import save
    from egolib.vq2d.models.model import SiameseRcnn
    from egolib.vq2d.tracking.kys.network import KysNetwork

    config = resolved("vq2d", variant)
    yield save(folder / "kys.safetensors", KysNetwork(config.tracker))
    yield save(folder / "model.safetensors", SiameseRcnn(config.model), config.detect)


def draw_vlp(variant: str, folder: Path) -> Iterator[Path]:
    from egolib.vlp.api import save
    from egolib.vlp.models.build import build

    model, _ = build(resolved("vlp", variant).model)
    yield save(model, folder / "model.safetensors")


def draw_nlq(variant: str, folder: Path) -> Iterator[Path]:
    from egolib.nlq.api import save
    from egolib.nlq.models.network import GroundNLQ
    from egolib.nlq.models.vslnet.network import Vslnet

    config = resolved("nlq", variant).model
    model = GroundNLQ(config) if config.span is None else Vslnet(config.span)
    yield save(folder / "model.safetensors", model)


def draw_mq(variant: str, folder: Path) -> Iterator[Path]:
    from egolib.mq.api import save
    from egolib.mq.models.build import build

    names = ["Background", *(f"activity {i}" for i in range(1, handful.CLASSES))]
    yield save(folder / "model.safetensors", build(resolved("mq", variant).model, 0), names)


DRAWN = {"vod": draw_vod, "vq2d": draw_vq2d, "vlp": draw_vlp, "nlq": draw_nlq, "mq": draw_mq}


def entries(file: Path) -> dict[str, list[Any]]:
    """Types and shapes by name, as the official lists of keys have them (without ``module.``)."""
    state = torch.load(file, weights_only=True)["state_dict"]
    return {
        name.removeprefix("module."): [str(value.dtype)[6:], list(value.shape)]
        for name, value in state.items()
    }


def values(tree: Any) -> Iterator[float]:
    """All numbers of a tree."""
    if isinstance(tree, dict):
        for part in tree.values():
            yield from values(part)
    elif isinstance(tree, (int, float)):
        yield tree
