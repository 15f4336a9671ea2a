"""Loading every kind of model folder, and locating on a real file."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from egolib import vq2d
from egolib.errors import EgolibError
from egolib.vq2d.api import Locator, SubsampledVideo, save
from egolib.vq2d.config import LocalizeConfig, ParticleConfig, PeakConfig, siam_rcnn
from egolib.vq2d.formats import key_tables
from egolib.vq2d.formats.checkpoint import read_detector, read_kys
from egolib.vq2d.models.model import SiameseRcnn
from egolib.vq2d.tracking.kys.network import KysNetwork
from tests.vq2d import made

CFG = LocalizeConfig(peaks=PeakConfig(distance=2, width=1, prominence=0.0, threshold=0.0))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with both networks, and a clip."""
    torch.manual_seed(0)
    place = tmp_path_factory.mktemp("model")
    save(place / "model.safetensors", SiameseRcnn(made.tiny_detector()), made.tiny_detect(), step=3)
    save(place / "kys.safetensors", KysNetwork(made.tiny_kys()))
    made.write_clip(place, "clip", count=14)
    return place


def crop() -> np.ndarray:
    return made.moving_square(1)[0][12:24, 10:26]


def test_locate_with_each_tracker(folder: Path) -> None:
    for tracker in (None, "kys", "particle", "none", folder / "kys.safetensors"):
        config = replace(CFG, particle=ParticleConfig(particles=10, similarity="pixel"))
        locator = vq2d.load(folder, tracker=tracker, localize=config)
        found = locator.locate(folder / "clip.mp4", crop(), until=12)
        assert found.curve_frames.tolist() == list(range(12)) and len(found.curve) == 12
        assert len(found.frames) == len(found.boxes_xyxy) >= 1
        assert (np.diff(found.frames) == 1).all() and found.frames.max() < 12
        assert found.fps == 5


def test_load_takes_the_file_too(folder: Path) -> None:
    assert isinstance(vq2d.load(str(folder / "model.safetensors"), tracker="none"), Locator)


def test_frames_of_faster_videos_are_thinned() -> None:
    clip = made.Clip(made.moving_square(10), fps=30.0)
    assert SubsampledVideo(clip, 10, None).numbers.tolist() == [0, 3, 6, 9]
    assert SubsampledVideo(clip, 10, 7).numbers.tolist() == [0, 3, 6]
    assert len(SubsampledVideo(clip, None, None)) == 10
    assert len(SubsampledVideo(clip, 5, 0)) == 0


def test_bad_inputs(folder: Path) -> None:
    locator = vq2d.load(folder, tracker="none")
    with pytest.raises(EgolibError, match="uint8 RGB"):
        locator.locate(folder / "clip.mp4", crop().astype(np.float32))
    with pytest.raises(EgolibError, match="no frame comes before"):
        locator.locate(folder / "clip.mp4", crop(), until=0)
    with pytest.raises(EgolibError, match="does not exist"):
        locator.locate(folder / "no.mp4", crop())


def test_wrong_files(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(EgolibError, match="no file of weights"):
        vq2d.load(tmp_path)
    with pytest.raises(EgolibError, match="a checkpoint of 'vq2d/kys'"):
        vq2d.load(folder / "kys.safetensors", tracker="none")
    with pytest.raises(EgolibError, match="a checkpoint of 'vq2d/siamese_rcnn'"):
        read_kys(folder / "model.safetensors")
    save(tmp_path / "model.safetensors", SiameseRcnn(made.tiny_detector()))
    with pytest.raises(EgolibError, match="no KYS weights beside"):
        vq2d.load(tmp_path, tracker="kys")


@pytest.mark.slow
def test_an_official_folder(tmp_path: Path) -> None:
    """``model.pth`` with detectron2's names and ``config.yaml``; unknown fields are noted."""
    model = SiameseRcnn(siam_rcnn())
    state = key_tables.siamese_table(siam_rcnn()).to_official(model.state_dict())
    torch.save({"model": state, "iteration": 7}, tmp_path / "model.pth")
    config = {"MODEL": {"RESNETS": {"DEPTH": 50}, "RPN": {"SURPRISE": 1}}}
    config["TEST"] = {"DETECTIONS_PER_IMAGE": 7}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    found = read_detector(tmp_path / "model.pth")
    assert found.notes == ("config.yaml: MODEL.RPN.SURPRISE was not understood",)
    assert found.detect.limit == 7
    expected = model.state_dict()
    same = (torch.equal(v, expected[name]) for name, v in found.model.state_dict().items())
    assert all(same)
    (tmp_path / "kys.pth").write_bytes(b"another network lies beside the model")
    (tmp_path / "config.yaml").unlink()
    again = vq2d.load(tmp_path, tracker="none")
    assert again.detector.model.config == siam_rcnn() and "no config.yaml" in again.notes[0]


class Constructor:
    """Stands for the object that the official tracker file pickles beside its weights."""

    def __reduce__(self):
        return exec, ("raise SystemExit('code of the file was run')",)


@pytest.mark.slow
def test_the_official_tracker_file_runs_nothing(tmp_path: Path) -> None:
    state = key_tables.KYS.to_official(KysNetwork(vq2d_kys()).state_dict())
    assert len(state) == 450
    torch.save({"net": state, "constructor": Constructor()}, tmp_path / "kys.pth")
    network = read_kys(tmp_path / "kys.pth")
    back = key_tables.KYS.to_official(network.state_dict())
    assert all(torch.equal(back[name], value) for name, value in state.items())


def vq2d_kys():
    from egolib.vq2d.config import kys

    return kys()


def test_pickle_is_what_would_run() -> None:
    """The guard above can fail: an ordinary unpickler runs the code."""
    with pytest.raises(SystemExit):
        pickle.loads(pickle.dumps(Constructor()))
