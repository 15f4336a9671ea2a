"""``egolib demo mq``: a video through vlp, its features through mq, drawn on a time axis."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from egolib import config as configs
from egolib import vlp
from egolib.cli import answers, demos
from egolib.config import to_tree
from egolib.errors import EgolibError
from egolib.mq import api
from egolib.mq.config import ModelConfig
from egolib.mq.models.vsgn import build
from egolib.nlq import api as nlq_api
from egolib.nlq.config import DataConfig
from egolib.report.results import LabelledMoments
from egolib.video import write_video
from tests.nlq.small import SMALL, network
from tests.vlp.small import save_small

NAMES = ["Background", "open", "wash"]


@pytest.fixture
def finder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small network for the features of a small vlp model, which ``vlp.load()`` gives."""
    (tmp_path / "vlp").mkdir()
    save_small(tmp_path / "vlp")
    seeing = vlp.load(tmp_path / "vlp", device="cpu")
    monkeypatch.setattr(vlp, "load", lambda name=None: seeing)
    config = ModelConfig(
        feature_width=seeing.model.config.projection_width, length=16, width=8, classes=3,
        levels=2, head_layers=1, norm_groups=2, anchor_scales=(1, 4), neighbors=3,
    )  # fmt: skip
    return api.save(
        tmp_path / "mq.safetensors", build(config, 0), NAMES, rows_per_sec=1.87,
        made_by=seeing.made_by,
    )  # fmt: skip


@pytest.fixture
def video(tmp_path: Path) -> Path:
    frames = np.random.default_rng(0).integers(0, 255, (60, 48, 64, 3), np.uint8)
    return write_video(tmp_path / "a.mp4", frames, fps=10)


def test_classes_that_are_asked_for(video: Path, finder: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.png"
    lines = demos.run("mq", video, ["wash"], str(finder), None, None, None, out)
    assert out.is_file() and lines[-1] == f"drawn: {out}"
    assert lines[0].startswith("model: mq/") and lines[1].startswith("features: vlp/")
    segments = [line for line in lines if " s to " in line]
    assert all(line.endswith("  wash") for line in segments)
    assert 0 < len(segments) <= answers.MOST_SEGMENTS


def test_segments_that_end_before_they_begin_are_left_out() -> None:
    segments = np.array([[0.4, 0.2], [-0.001, 2.0], [3.0, 3.0]])
    found = LabelledMoments(("a", "b", "c"), segments, np.array([0.9, 0.8, 0.7]), 4.0)
    (line,) = answers.describe(answers.with_length(found))
    assert line == "   0.00 s to    2.00 s, score 0.800  b"


def test_all_classes(video: Path, finder: Path, tmp_path: Path) -> None:
    lines = demos.run("mq", video, [], str(finder), None, None, None, tmp_path / "a.svg")
    segments = [line for line in lines if " s to " in line]
    assert {line.rsplit("  ", 1)[1] for line in segments} <= set(NAMES[1:])


def test_unknown_class(video: Path, finder: Path) -> None:
    with pytest.raises(EgolibError, match="did you mean wash"):
        demos.run("mq", video, ["wahs"], str(finder), None, None, None, None)


def test_features_of_another_model_are_refused(video: Path, finder: Path) -> None:
    """Both where the newest vlp model is another one, and where features come from elsewhere."""
    model = api.load(finder, device="cpu")
    other = replace(model.made_by, model_hash="of other weights")
    rows = np.zeros((12, model.model.config.feature_width), np.float32)
    with pytest.raises(EgolibError, match="the model was trained on"):
        model.find(rows, duration_sec=6.0, made_by=other)
    assert len(model.find(rows, duration_sec=6.0, made_by=model.made_by).scores)
    description = finder.with_suffix(".json")
    text = description.read_text()
    description.write_text(text.replace(model.made_by.model_hash, "of other weights"))
    with pytest.raises(EgolibError, match="the model was trained on"):
        demos.run("mq", video, ["wash"], str(finder), None, None, None, None)


def test_the_default_model_is_a_variant() -> None:
    for name in (demos.FOUND, demos.ASKED):
        task, variant = name.split("/")
        assert variant in configs.variants(task)


# ------------------------------------------------------------------------ questions (nlq)


@pytest.fixture
def grounder(finder: Path, tmp_path: Path) -> Path:
    """A small GroundNLQ for features and text states of that vlp model."""
    seeing = vlp.load()
    model = replace(
        SMALL,
        video_streams=(("vlp", seeing.model.config.projection_width),),
        text_streams=(("query", seeing.model.config.text_width),),
    )
    text = to_tree(seeing.text_encoder.provenance)
    data = DataConfig(fps=10.0, stride_frames=2.0, window_frames=2.0)
    return nlq_api.save(tmp_path / "nlq.safetensors", network(model), data, text=text)


def test_a_question_is_asked_on_features_and_text_of_vlp(video, grounder, tmp_path) -> None:
    out = tmp_path / "a.png"
    lines = demos.run("nlq", video, ["where is the mug ?"], str(grounder), None, None, None, out)
    assert out.is_file() and lines[0].startswith("model: nlq/")
    assert lines[1].startswith("features: vlp/")
    assert any(" s to " in line for line in lines)


def test_text_of_another_model_is_refused(grounder) -> None:
    model = nlq_api.load(grounder, device="cpu")
    own = vlp.load().text_encoder
    other = replace(own, provenance=replace(own.provenance, model_hash="of other weights"))
    features = np.zeros((12, model.model.config.video_streams[0][1]), np.float32)
    with pytest.raises(EgolibError, match="the model was trained on those of"):
        model.ground(features, "where?", text_encoder=other)
    assert len(model.ground(features, "where is the mug ?", text_encoder=own).scores)
    with pytest.raises(EgolibError, match=r"vlp.load\(\).text_encoder"):
        model.ground(features, "where?")
