from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from egolib.io.records import Skipped
from egolib.vlp.api import VideoLanguage
from egolib.vlp.benchmarks import scores
from egolib.vlp.config import DataConfig
from egolib.vlp.data.egoclip import Choice, Question
from egolib.vlp.data.epic import EpicSplit, make_sentences, read_epic_clips, relevancy_matrix
from egolib.vlp.data.pretraining import EgoClipVideos
from egolib.vlp.data.retrieval import CharadesVideos, EpicVideos, epic_clips
from egolib.vlp.losses.similarity import cosine_similarity
from tests.vlp.made import write_clips
from tests.vlp.small import numbered_video, small_model, tokenizer

DATA = DataConfig(chunk_sec=2, assumed_fps=10.0, frame_seek="exact")


@pytest.fixture(scope="module")
def model() -> VideoLanguage:
    return VideoLanguage(small_model(), tokenizer(), batch_size=2)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("root")
    numbered_video(root / "ego4d/Ego4D_Chunked/v/0.mp4", 20)
    numbered_video(root / "CharadesEgo/CharadesEgo_v1_480/A.mp4", 20)
    numbered_video(root / "EK100/video_ht256px/P01/P01_01.MP4", 40)
    return root


def questions() -> list[Question]:
    choices = tuple(Choice("v", 0.3 * i, 0.3 * i + 0.5, "x") for i in range(4))
    choices += (Choice("missing", 0.0, 1.0, "x"),)
    return [Question("0", "takes the mug", choices, 1, 1), Question("1", "a pan", choices, 2, 2)]


def test_egomcq_scores_are_those_of_each_pair_alone(model: VideoLanguage, root: Path) -> None:
    skipped = Skipped()
    dual, fusion = scores.egomcq_scores(
        model, questions(), EgoClipVideos(root, DATA), skipped=skipped
    )
    assert fusion is not None and dual.shape == fusion.shape == (2, 5)
    assert len(skipped) == 1 and "missing" in next(iter(skipped.reasons))
    videos = EgoClipVideos(root, DATA)
    view = model.view.test(videos.images("v", 0.3, 0.8, 2))[None]
    ids, mask = next(model.token_batches(["a pan"]))
    with torch.no_grad():
        network = model.model
        cosine = cosine_similarity(network.encode_text(ids, mask), network.encode_video(view))
        logits = network.itm_logits(network.fuse_pairs(view, ids, mask))
    assert dual[1, 1] == pytest.approx(cosine.item(), abs=1e-5)
    assert fusion[1, 1] == pytest.approx(logits.softmax(-1)[0, 1].item(), abs=1e-5)


def test_clips_are_encoded_once_while_memory_lasts(
    model: VideoLanguage, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    images = EgoClipVideos.images
    monkeypatch.setattr(EgoClipVideos, "images", lambda *a: read.append(1) or images(*a))
    videos = EgoClipVideos(root, DATA)
    first, none = scores.egomcq_scores(model, questions(), videos, fusion=False)
    assert len(read) == 5 and none is None
    read.clear()
    second, _ = scores.egomcq_scores(model, questions(), videos, fusion=False, cache_bytes=1)
    assert len(read) == 10
    np.testing.assert_allclose(first, second, atol=1e-6)
    assert scores.egomcq_scores(model, [], videos)[0].shape == (0, 5)


@pytest.mark.parametrize(
    "questions, limit, loads, drops",
    [
        ([], 3, [], []),
        (["ab", "bc", "a"], 3, ["ab", "c", ""], ["", "", ""]),
        (["ab", "bc", "a"], 2, ["ab", "c", "a"], ["", "a", "b"]),  # b was used before c
        (["aa", "a"], 0, ["a", "a"], ["a", "a"]),
    ],
)
def test_plan_loads(questions, limit, loads, drops) -> None:
    keys = [[(letter, 0.0, 1.0) for letter in question] for question in questions]
    steps = scores.plan_loads(keys, limit)
    assert ["".join(k[0] for k in step.load) for step in steps] == loads
    assert ["".join(k[0] for k in step.drop) for step in steps] == drops


def test_reading_ahead_gives_the_same(model: VideoLanguage, root: Path) -> None:
    skipped, videos = Skipped(), EgoClipVideos(root, DATA)
    alone, _ = scores.egomcq_scores(model, questions(), videos, fusion=False)
    ahead, _ = scores.egomcq_scores(
        model, questions(), videos, fusion=False, workers=2, skipped=skipped
    )
    np.testing.assert_array_equal(alone, ahead)
    assert len(skipped) == 1


def epic_split(tmp_path: Path) -> EpicSplit:
    clips = read_epic_clips(write_clips(tmp_path))
    clips.start_sec[:], clips.stop_sec[:] = np.arange(5) * 0.5, np.arange(5) * 0.5 + 1
    sentences = make_sentences(clips)
    return EpicSplit(clips, sentences, relevancy_matrix(clips, sentences), "computed")


def test_epic_similarity(model: VideoLanguage, root: Path, tmp_path: Path) -> None:
    split = epic_split(tmp_path)
    found = scores.epic_similarity(model, split, EpicVideos(root))
    assert found.shape == (5, 4) and ((found >= 0) & (found <= 1)).all()
    np.testing.assert_array_equal(found[:, 1], found[:, 3])  # the same text twice
    views = torch.stack(list(epic_clips(split.clips, EpicVideos(root), model.view)))
    with torch.no_grad():
        clips = model.model.encode_video(views)
    text = torch.from_numpy(model.embed_text(["wash"]))
    expected = (cosine_similarity(clips, text)[:, 0] + 1) / 2
    np.testing.assert_allclose(found[:, 2], expected, atol=1e-5)


def test_charades_scores(model: VideoLanguage, root: Path) -> None:
    skipped = Skipped()
    classes = ["takes a mug", "puts a pan", "a mug"]
    videos = CharadesVideos(root, DATA)
    found = scores.charades_scores(model, ["A", "B"], classes, videos, skipped=skipped)
    assert found.shape == (2, 3) and list(skipped.reasons) == ["B"]


@pytest.mark.parametrize("top", [0, 1, 2, 4])
def test_reranking_reorders_the_candidates_only(
    model: VideoLanguage, root: Path, tmp_path: Path, top: int
) -> None:
    split = epic_split(tmp_path)
    similarity = scores.epic_similarity(model, split, EpicVideos(root))
    views = epic_clips(split.clips, EpicVideos(root), model.view)
    texts = split.sentences.narrations
    by_clip, by_text = scores.rerank(model, similarity, views, texts, top)
    for matrix, before in ((by_clip, similarity), (by_text.T, similarity.T)):
        for new, old in zip(matrix, before, strict=False):
            best = set(np.argsort(-old, kind="stable")[:top].tolist())
            assert set(np.argsort(-new, kind="stable")[:top].tolist()) == best
            others = [i for i in range(len(old)) if i not in best]
            np.testing.assert_array_equal(new[others], old[others])


def test_reranking_adds_the_probability_of_a_match(
    model: VideoLanguage, root: Path, tmp_path: Path
) -> None:
    split = epic_split(tmp_path)
    similarity = scores.epic_similarity(model, split, EpicVideos(root))
    views = list(epic_clips(split.clips, EpicVideos(root), model.view))
    texts = split.sentences.narrations
    by_clip, _ = scores.rerank(model, similarity, iter(views), texts, top=4)
    ids, mask = next(model.token_batches([texts[0]]))
    with torch.no_grad():
        logits = model.model.itm_logits(model.model.fuse_pairs(views[3][None], ids, mask))
    found = by_clip[3, 0] - similarity[3, 0] - 2
    assert found == pytest.approx(logits.softmax(-1)[0, 1].item(), abs=1e-5)
