"""``1_data`` on the tiny world, and on broken inputs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from egolib.errors import EgolibError
from egolib.vq2d.steps import data
from tests.vq2d.project import make_world, step

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("vq2d_prepare")]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_world(tmp_path_factory.mktemp("prepare") / "world")


def test_everything_is_cut_once(root: Path, tmp_path: Path) -> None:
    own = step("1_data", root, tmp_path)
    prepared = data.prepare(own)
    annotations, done = prepared.annotations, prepared.extraction
    assert set(annotations) == {"train", "val", "test"}
    data.check(own, prepared)
    assert not done.skipped.reasons
    assert set(prepared.problems) == {"val", "test"}  # clips of train are not wanted
    train = annotations["train"].queries[0]
    assert not (own.out / "clips" / f"{train.clip_uid}.mp4").exists()
    assert list((own.out / "images" / train.clip_uid).glob("*.jpg"))
    again = data.cut(own, annotations)
    assert not again.written and len(again.kept) == len(done.written)
    table = data.table(prepared)
    assert table.loc["queries", "train"] == len(annotations["train"].queries)
    images, titles, boxes = data.example(own, prepared)
    assert len(images) == len(titles) == len(boxes) >= 2
    found = data.counts(prepared)
    assert found["version"] and found["skipped"] == 0
    later = step("2_train", root, tmp_path)
    assert len(data.read_list(later, "train")) == len(annotations["train"].queries)


def test_what_cannot_be_used_is_listed(root: Path, tmp_path: Path) -> None:
    """A missing video, a malformed query set and a clip of the wrong rate; the rest goes on."""
    broken = tmp_path / "broken"
    shutil.copytree(root, broken)
    file = next(broken.rglob("vq_val.json"))
    content = json.loads(file.read_text())
    clips = [clip for video in content["videos"] for clip in video["clips"]]
    sets = clips[-1]["annotations"][0]["query_sets"]
    name = next(k for k, v in sets.items() if v.get("is_valid"))
    del sets[name]["visual_crop"]["width"]
    file.write_text(json.dumps(content))
    missing = content["videos"][0]["video_uid"]
    for path in broken.rglob(f"{missing}.mp4"):
        path.unlink()
    own = step("1_data", broken, tmp_path / "runs")
    prepared = data.prepare(own)
    annotations, done = prepared.annotations, prepared.extraction
    text = data.problems(prepared)
    with pytest.raises(EgolibError, match="do not fit"):
        data.check(own, prepared)
    assert missing in done.skipped.reasons and done.written
    (malformed,) = annotations["val"].skipped.reasons
    assert malformed.endswith(name)
    assert missing in text and malformed in text


def test_a_folder_without_annotations(tmp_path: Path) -> None:
    with pytest.raises(EgolibError, match="no vq_train.json"):
        data.prepare(step("1_data", tmp_path, tmp_path / "runs"))
