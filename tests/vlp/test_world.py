"""The built-in world through the code for real data: nothing is black, truth scores 100 %."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from egolib import world
from egolib.io.records import Skipped
from egolib.text.tokens import load_tokenizer
from egolib.vlp import evaluation
from egolib.vlp.api import VideoLanguage
from egolib.vlp.benchmarks import scores
from egolib.vlp.config import DataConfig, LossConfig, ModelConfig
from egolib.vlp.data import charades, egoclip, epic
from egolib.vlp.data.moments import ANNOTATIONS, FILES, VIDEOS, read_moment_clips
from egolib.vlp.data.pretraining import EgoClipVideos, PretrainingData
from egolib.vlp.data.retrieval import CharadesVideos, EpicVideos
from egolib.vlp.losses.pretraining import PretrainingLoss
from tests.vlp.small import CONFIG, small_model

DATA = DataConfig(assumed_fps=10.0, frame_jitter="inclusive", frame_seek="exact")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny world."""
    root = tmp_path_factory.mktemp("world")
    world.make("tiny", root)
    return root


@pytest.fixture(scope="module")
def config(root: Path) -> ModelConfig:
    return replace(CONFIG, vocabulary_size=load_tokenizer(root).size, text_positions=40)


@pytest.fixture(scope="module")
def model(root: Path, config: ModelConfig) -> VideoLanguage:
    changes = {"vocabulary_size": config.vocabulary_size, "text_positions": 40}
    return VideoLanguage(small_model(**changes), load_tokenizer(root))


def test_pretraining(root: Path, config: ModelConfig, model: VideoLanguage) -> None:
    clips = egoclip.read_egoclip(egoclip.data_file(root, egoclip.TABLE))
    assert len(clips) and not clips.lost_lines
    words = load_tokenizer(root)
    data = PretrainingData(clips, EgoClipVideos(root, DATA), words, config, DATA, LossConfig())
    batch = data.collate([data.sample(i, np.random.default_rng(i)) for i in range(4)])
    assert not batch.black.any()
    assert words.special.unknown not in batch.ids
    losses = PretrainingLoss(LossConfig())(model.model, batch)
    assert all(value.isfinite() for value in losses.values())


def test_every_question_can_be_read_and_answered(root: Path, model: VideoLanguage) -> None:
    questions = egoclip.read_egomcq(egoclip.data_file(root, egoclip.QUESTIONS))
    skipped, videos = Skipped(), EgoClipVideos(root, DATA)
    dual, fusion = scores.egomcq_scores(model, questions, videos, skipped=skipped)
    assert not skipped.reasons and fusion is not None
    assert dual.shape == fusion.shape == (len(questions), 5)
    truth = np.eye(5)[[q.answer for q in questions]]
    accuracy = evaluation.evaluate_egomcq(questions, {"dual": truth})["dual"]
    assert accuracy == {"Inter-video": 100.0, "Intra-video": 100.0}


def test_retrieval(root: Path, model: VideoLanguage) -> None:
    split, skipped = epic.read_epic_split(root, "test"), Skipped()
    computed = epic.relevancy_matrix(split.clips, split.sentences)
    np.testing.assert_array_equal(split.relevancy, computed)
    similarity = scores.epic_similarity(model, split, EpicVideos(root), skipped=skipped)
    assert similarity.shape == split.relevancy.shape and not skipped.reasons
    perfect = evaluation.evaluate_epic(split, {"similarity": split.relevancy})
    assert all(value == pytest.approx(100, abs=1e-6) for value in perfect.values())


def test_actions(root: Path, model: VideoLanguage) -> None:
    folder, skipped = root / charades.FOLDER, Skipped()
    classes = charades.read_classes(folder / "Charades_v1_classes.txt")
    for split in ("train", "test"):
        table = folder / f"CharadesEgo_v1_{split}_only1st.csv"
        text = charades.action_table(table, folder / "Charades_v1_classes.txt")
        assert text == (folder / f"metadata_{split}.csv").read_text()
    videos = charades.read_videos(folder / "CharadesEgo_v1_test_only1st.csv")
    names = [video.video for video in videos]
    found = scores.charades_scores(
        model, names, classes, CharadesVideos(root, DATA), skipped=skipped
    )
    assert found.shape == (len(videos), len(classes)) and not skipped.reasons
    truth = charades.targets(videos, len(classes)).astype(float)
    assert evaluation.evaluate_charades(videos, {"scores": truth})["mAP"] == 1.0


def test_moments(root: Path) -> None:
    clips = read_moment_clips([root / ANNOTATIONS / name for name in FILES])
    assert clips
    assert all((root / VIDEOS / f"{clip.video_uid}.mp4").is_file() for clip in clips)
