"""The published lines of VQ2D as the documentation has them: from a data root in the official
layout and files in the official layout, through the command, to ``result.json``.

The files are those of reduced networks; everything else is what a person with the real ones does.
"""

from __future__ import annotations

import json
import pickle
import sys
import types
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pytest
import torch

from egolib import config as configs
from egolib.vq2d.config import Config
from egolib.vq2d.data.annotations import find_annotations, read_annotations
from egolib.vq2d.formats.checkpoint import read_detector, read_kys, save
from egolib.vq2d.formats.key_tables import KYS, siamese_table
from egolib.vq2d.models.model import SiameseRcnn
from egolib.vq2d.tracking.kys.network import KysNetwork
from tests.helpers.tiny import copy_project, egolib
from tests.vq2d.project import make_small_world

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("walk_vq2d")]

QUICK = ("-p", "sweep.thresholds=[]", "-p", "sweep.widths=[]", "-p", "sweep.compare=[]")


class NetConstructor:
    """Stands for the object that the official tracker file pickles beside its weights."""

    def __reduce__(self):
        return exec, ("raise SystemExit('code of the file was run')",)


@dataclass
class Place:
    """A project, and beside it a data root as a person has it."""

    project: Path
    data: Path

    def run(self, *arguments: str, fails: bool = False) -> CompletedProcess[str]:
        """``egolib run ...`` on the tiny sizes and that data."""
        target, *others = arguments
        sizes = ("--preset", "tiny", "--data-root", str(self.data), "--jobs", "1")
        done = egolib(self.project, "run", target, *others, *sizes, *QUICK)
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done

    def result(self, step: str, variant: str = "improved") -> dict[str, Any]:
        """What a step wrote."""
        file = self.project / "runs/tiny/vq2d" / variant / step / "result.json"
        return json.loads(file.read_text())


def tiny_config() -> Config:
    return configs.build(Config, configs.resolve(Config, "vq2d", "improved", "tiny"))


def write_model(folder: Path, model: SiameseRcnn) -> Path:
    """``model.pth`` as detectron2 writes it, with the constants that its modules hold."""
    state = siamese_table(model.config).to_official(model.state_dict())
    constants = {"pixel_mean": torch.zeros(3, 1, 1), "pixel_std": torch.ones(3, 1, 1)}
    folder.mkdir(parents=True, exist_ok=True)
    torch.save({"model": state | constants, "iteration": 9}, folder / "model.pth")
    return folder / "model.pth"


def write_kys(path: Path, network: KysNetwork) -> Path:
    """``kys.pth`` as PyTracking writes it."""
    state = KYS.to_official(network.state_dict())
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"net": state, "constructor": NetConstructor()}, path)
    return path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    data = make_small_world(tmp_path_factory.mktemp("walk") / "data")
    config = tiny_config()
    torch.manual_seed(0)
    model, network = SiameseRcnn(config.model), KysNetwork(config.tracker)
    folder = data / "vq2d" / "improved"
    write_model(folder, model)
    write_kys(folder / "kys.pth", network)
    save(data / "egolib" / "model.safetensors", model, config.detect)
    trunk = siamese_table(config.model).to_official(model.state_dict())
    arrays = {k: v.numpy() for k, v in trunk.items() if not k.startswith("roi_heads.")}
    (data / "weights").mkdir()
    coco = data / "weights" / "coco_mask_rcnn_r50_fpn_3x.pkl"
    coco.write_bytes(pickle.dumps({"model": arrays, "__author__": "zoo"}, protocol=2))
    return Place(copy_project(tmp_path_factory.mktemp("project")), data)


def test_an_official_folder(place: Place) -> None:
    """Steps 1 and 2 and the evaluation from ``model.pth`` and ``kys.pth``; nothing is trained."""
    done = place.run("vq2d", "--variant", "improved", "--checkpoint", f"{place.data}/vq2d/improved")
    assert "2_train" not in done.stdout
    queries = read_annotations(find_annotations(place.data, "val")).queries
    assert place.result("3_infer")["metrics"]["val"]["answered"] == len(queries) > 0
    assert 0 <= place.result("4_evaluate")["metrics"]["val"]["success%"] <= 100


def test_submissions_are_validated_and_scored(place: Place) -> None:
    """The file that ``3_infer`` wrote, through the commands."""
    file = place.project / "runs/tiny/vq2d/improved/3_infer/val.json"
    truth = str(find_annotations(place.data, "val"))
    done = egolib(place.project, "validate", "vq2d", str(file), "--truth", truth)
    assert done.returncode == 0 and done.stdout.startswith("valid:"), done.stderr
    done = egolib(place.project, "validate", "vq2d", str(file))
    assert done.returncode == 0 and "form valid" in done.stdout
    done = egolib(
        place.project, "evaluate", "vq2d", "--truth", truth, "--predictions", str(file),
        "-o", "ap_ties=expected",
    )  # fmt: skip
    assert json.loads(done.stdout)["ap_ties"] == "expected"
    content = json.loads(file.read_text())
    content["results"]["videos"][0]["clips"][0]["predictions"].pop()
    wrong = file.with_name("wrong.json")
    wrong.write_text(json.dumps(content))
    done = egolib(place.project, "validate", "vq2d", str(wrong), "--truth", truth)
    assert done.returncode == 1 and "predictions" in done.stderr


@pytest.mark.parametrize("name", ["vq2d/improved/model.pth", "egolib/model.safetensors", "egolib"])
def test_files_and_folders_of_weights(place: Place, name: str) -> None:
    """The tracker lies where the page on data puts it; another detector is found by itself."""
    published = place.data / "vq2d" / "kys" / "kys.pth"
    write_kys(published, KysNetwork(tiny_config().tracker))
    done = place.run("vq2d/3_infer", "--checkpoint", str(place.data / name))
    assert "2_train" not in done.stdout
    record = place.project / "runs/tiny/vq2d/improved/3_infer/inference.json"
    beside = name.startswith("vq2d")
    wanted = place.data / "vq2d" / ("improved" if beside else "kys") / "kys.pth"
    assert json.loads(record.read_text())["tracker"] == str(wanted)
    published.unlink()


def test_a_missing_tracker_is_said_before_step_1(place: Place) -> None:
    done = place.run("vq2d/3_infer", "--checkpoint", str(place.data / "egolib"), fails=True)
    assert "kys.pth" in done.stdout + done.stderr
    assert "FileNotFoundError" not in done.stdout + done.stderr


def test_official_caches(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Step 2 from published ``.pt`` caches, some frames without boxes; no detector is read."""
    folder = place.data / "vq2d" / "detections"
    folder.mkdir()

    class BBox:
        def __init__(self, fno, x1, y1, x2, y2):
            self.fno, self.x1, self.y1, self.x2, self.y2 = fno, x1, y1, x2, y2

    module = types.ModuleType("vq2d.structures")
    module.BBox = BBox  # type: ignore[attr-defined]
    BBox.__module__, BBox.__qualname__ = "vq2d.structures", "BBox"
    monkeypatch.setitem(sys.modules, "vq2d", types.ModuleType("vq2d"))
    monkeypatch.setitem(sys.modules, "vq2d.structures", module)
    for query in read_annotations(find_annotations(place.data, "val")).queries:
        boxes: list[list[BBox]] = [[] for _ in range(query.query_frame)]
        scores: list[Any] = [np.zeros(0, np.float32) for _ in range(query.query_frame)]
        for box in query.track:
            boxes[box.frame] = [BBox(box.frame, *(int(v) for v in box.xyxy))]
            scores[box.frame] = [0.9]
        boxes[-1], scores[-1] = [BBox(query.query_frame - 1, 1, 1, 9, 9)], [0.1]
        content = {"ret_bboxes": boxes, "ret_scores": scores}
        torch.save(content, folder / f"{query.key}.pt")
    tracker = place.data / "only_kys"
    write_kys(tracker / "kys.pth", KysNetwork(tiny_config().tracker))
    arguments = ("-p", "detect.cache=vq2d/detections", "-p", "localize.tracker=kys")
    place.run("vq2d", "--variant", "improved", *arguments, "--checkpoint", str(tracker))
    found = place.result("3_infer")["metrics"]["val"]
    assert found["skipped"] == 0 and found["answered"] > 0
    assert place.result("4_evaluate")["metrics"]["val"]["success%"] > 0


def test_training_from_the_published_start(place: Place) -> None:
    """The baseline: COCO weights under their published names, a frozen trunk, heads alone."""
    start = "initial.weights=weights/coco_mask_rcnn_r50_fpn_3x.pkl"
    arguments = ("-p", start, "-p", "optim.trunk=frozen", "-p", "fit.max_updates=2")
    more = ("-p", "fit.monitor=AP:max", "-p", "fit.evaluate_every_updates=1")
    updates = ("-p", "tracker_optim.updates=1")
    place.run("vq2d/2_train", "--variant", "baseline_8gpu", *arguments, *more, *updates)
    out = place.project / "runs/tiny/vq2d/baseline_8gpu/2_train"
    trained = read_detector(out / "detector" / "model.safetensors").model.state_dict()
    published = read_detector(place.data / "egolib" / "model.safetensors").model.state_dict()
    assert torch.equal(trained["backbone.stem.conv.weight"], published["backbone.stem.conv.weight"])
    assert (out / "detector" / "best.safetensors").is_file()
    arguments = ("-p", "initial.weights=weights/no.pkl")
    done = place.run("vq2d/2_train", "--variant", "baseline_2gpu", *arguments, fails=True)
    assert "model_final_f10217.pkl" in done.stdout + done.stderr


def test_both_trained_networks_are_exported_and_read_back(place: Place, tmp_path: Path) -> None:
    """What ``2_train`` wrote, to the official layout and back, with equal outputs."""
    out = place.project / "runs/tiny/vq2d/baseline_8gpu/2_train"
    for name, file in (("detector", "model"), ("tracker", "kys")):
        source = out / name / "model.safetensors"
        official, back = tmp_path / f"{file}.pth", tmp_path / f"{name}.safetensors"
        for a, b in ((source, official), (official, back)):
            done = egolib(place.project, "convert", str(a), str(b))
            assert done.returncode == 0, done.stderr
        official.with_suffix(".json").unlink()  # the publishers' files have none
    start = tiny_config()
    image = torch.randint(0, 255, (3, 72, 96), generator=torch.Generator().manual_seed(0))
    detectors = [
        read_detector(file, start.model).model.eval()
        for file in (out / "detector/model.safetensors", tmp_path / "model.pth")
    ]
    regions = [m.regions(m.batch([image]), start.detect.proposals)[0] for m in detectors]
    torch.testing.assert_close(regions[0].vectors, regions[1].vectors, rtol=0, atol=0)
    trackers = [
        read_kys(file, start.tracker).state_dict()
        for file in (out / "tracker/model.safetensors", tmp_path / "kys.pth")
    ]
    assert all(torch.equal(value, trackers[1][name]) for name, value in trackers[0].items())
