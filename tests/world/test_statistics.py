from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from egolib.viz.style import Drawing
from egolib.world import figures, statistics
from egolib.world.library import World


def test_summary_stands_beside_every_published_fact(tiny: World) -> None:
    table = statistics.summary(tiny)
    rows = set(zip(table["data set"], table["statistic"], strict=True))
    assert statistics.REAL.keys() - rows == set()
    assert (table["world"] != "").all()


def test_numbers_are_those_of_the_preset(tiny: World) -> None:
    numbers = statistics.metrics(tiny)
    assert numbers["videos"] == 7
    assert numbers["nlq questions"] == sum(tiny.settings.nlq_queries)
    assert numbers["slow boxes"] + numbers["medium boxes"] + numbers["fast boxes"] == pytest.approx(
        1
    )


def test_boxes_carry_the_degraded_flag(tiny: World) -> None:
    table = statistics.boxes(tiny.path(), "train")
    assert 0.1 < table["degraded"].mean() < 0.7
    assert table["motion IoU"].between(0, 1).all() and (table["area"] >= 64).all()


def test_verbs_by_nouns(tiny: World) -> None:
    table = statistics.verb_noun(tiny)
    assert table.to_numpy().sum() == sum(len(v.episode.events) for v in tiny.videos)
    assert (table.loc[["take", "put", "cut"], [c for c in table if c in ("tap", "lamp")]] == 0).all(
        axis=None
    )


@pytest.mark.parametrize("name", ["frames", "metamers", "actions", "distributions", "timeline"])
def test_figures_are_drawn(tiny: World, name: str, tmp_path: Path) -> None:
    figure = getattr(figures, name)(tiny)
    assert isinstance(figure, Drawing)
    figure.savefig(tmp_path / "figure.png", dpi=40)
    assert (tmp_path / "figure.png").stat().st_size > 2000


def test_metamers_differ_only_when_sharp(tiny: World) -> None:
    images = [axis.images[0].get_array() for axis in figures.metamers(tiny).axes]
    sharp, soft = images[:12], images[12:]
    for i in range(0, 12, 2):
        near = np.abs(sharp[i].astype(float) - sharp[i + 1]).mean()
        far = np.abs(soft[i].astype(float) - soft[i + 1]).mean()
        assert near > 4 * far


def test_the_world_imports_neither_torch_nor_a_task() -> None:
    code = (
        "import pkgutil, importlib, sys, egolib.world as w\n"
        "names = [m.name for m in pkgutil.walk_packages(w.__path__, 'egolib.world.')]\n"
        "[importlib.import_module(n) for n in names]\n"
        "tasks = {f'egolib.{task}' for task in ('vq2d', 'vod', 'vlp', 'nlq')}\n"
        "bad = ({'torch'} | tasks) & sys.modules.keys()\n"
        "assert len(names) > 30 and not bad, (len(names), bad)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
