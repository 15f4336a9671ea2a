from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from egolib import vlp
from egolib.errors import EgolibError
from egolib.video import VideoReader
from egolib.vlp.api import VideoLanguage, save, window_frames
from egolib.vlp.formats import checkpoint
from egolib.vlp.losses.similarity import cosine_similarity
from tests.vlp.small import numbered_video, save_small, small_model, tokenizer

TEXTS = ["#C C takes the mug", "#C C puts a pan", "the mug"]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds at ten frames a second."""
    return numbered_video(tmp_path_factory.mktemp("video") / "v.mp4", 30)


@pytest.fixture(scope="module")
def model() -> VideoLanguage:
    return VideoLanguage(small_model(), tokenizer(), batch_size=2)


def test_embeddings_of_texts_do_not_depend_on_their_batch(model: VideoLanguage) -> None:
    together = model.embed_text(TEXTS)
    assert together.shape == (3, 16) and together.dtype == np.float32
    np.testing.assert_allclose(together[2:], model.embed_text(TEXTS[2:]), atol=1e-5)
    assert model.embed_text([]).shape == (0, 16)


def test_embeddings_of_stretches(model: VideoLanguage, video: Path) -> None:
    stretches = [(0.0, 1.0), (1.0, 2.0), (2.95, 2.96), (5.0, 9.0)]
    found = model.embed_video(video, stretches)
    assert found.shape == (4, 16)
    alone = model.embed_video(VideoReader(video), stretches[1:2])
    np.testing.assert_allclose(found[1:2], alone, atol=1e-5)
    assert model.embed_video(video).shape == (1, 16)
    assert model.embed_video(video, []).shape == (0, 16)


def test_similarity(model: VideoLanguage, video: Path) -> None:
    found = model.similarity(video, TEXTS, window_sec=1.0, stride_sec=0.5)
    assert found.texts == tuple(TEXTS) and found.scores.shape == (3,)
    assert found.curve.shape == (5, 3) and found.times_sec.tolist() == [0.5, 1, 1.5, 2, 2.5]
    expected = cosine_similarity(
        torch.from_numpy(model.embed_video(video)), torch.from_numpy(model.embed_text(TEXTS))
    )[0]
    np.testing.assert_allclose(found.scores, expected, atol=1e-5)


def test_each_kind_of_score(model: VideoLanguage, video: Path) -> None:
    dual, fusion, ensemble = (
        model.similarity(video, TEXTS, scores=kind).scores
        for kind in ("dual", "fusion", "ensemble")  # type: ignore[arg-type]
    )
    np.testing.assert_allclose(ensemble, dual + fusion, atol=1e-5)
    assert ((fusion > 0) & (fusion < 1)).all()


def test_a_short_video_has_one_window(model: VideoLanguage, video: Path) -> None:
    assert model.similarity(video, TEXTS, window_sec=60).curve.shape == (1, 3)


def test_features_are_windows_at_their_rate(model: VideoLanguage, video: Path) -> None:
    found = model.features(video)
    assert found.shape == (int(3 * 1.87 * 2 + 1) // 2, 16)
    assert model.tokens("takes the mug").shape == (3, 40)


def test_windows_leave_the_incomplete_rest_out() -> None:
    assert window_frames(range(7), 3).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert window_frames([], 3).shape == (0, 3)


def test_loading_ours(tmp_path: Path, video: Path, model: VideoLanguage) -> None:
    save_small(tmp_path)
    for path in (tmp_path, tmp_path / "model.safetensors"):
        loaded = vlp.load(path, device="cpu")
        np.testing.assert_allclose(loaded.embed_text(TEXTS), model.embed_text(TEXTS), atol=1e-5)
    more = vlp.load(tmp_path, frames=5, device="cpu")
    assert more.view.frames == 5 and more.embed_video(video).shape == (1, 16)


def test_loading_an_official_file(tmp_path: Path) -> None:
    network = small_model()
    torch.save({"state_dict": checkpoint.to_official(network)}, tmp_path / "official.pth")
    loaded = vlp.load(tmp_path / "official.pth", device="cpu", like=network.config)
    assert replace(loaded.model.config, text_dropout=0.0) == network.config
    with pytest.raises(EgolibError, match="no vocabulary"):
        loaded.embed_text(TEXTS)
    for name, value in network.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[name], value)


def test_another_vocabulary_is_refused(tmp_path: Path) -> None:
    save_small(tmp_path, tokenizer_hash="another")
    with pytest.raises(EgolibError, match="another vocabulary"):
        vlp.load(tmp_path)
    words = {token: i for i, token in enumerate(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])}
    save_small(tmp_path, tokenizer_hash=None)
    (tmp_path / "vocabulary.json").write_text(json.dumps(words))
    with pytest.raises(EgolibError, match="whole words"):
        vlp.load(tmp_path)
    with pytest.raises(EgolibError, match="vocabulary of 13"):
        VideoLanguage(small_model(vocabulary_size=12), tokenizer())


def test_names_that_lead_nowhere(tmp_path: Path) -> None:
    with pytest.raises(EgolibError):
        vlp.load(tmp_path / "none.safetensors")
    with pytest.raises(EgolibError, match="no file of weights"):
        vlp.load(tmp_path)


def test_no_text_no_similarity(model: VideoLanguage, video: Path) -> None:
    with pytest.raises(EgolibError, match="no text"):
        model.similarity(video, [])
    with pytest.raises(EgolibError, match="no scores 'duel'"):
        model.similarity(video, TEXTS, scores="duel")  # type: ignore[arg-type]
    with pytest.raises(EgolibError, match="windows of 0 s"):
        model.similarity(video, TEXTS, window_sec=0)


def test_a_string_is_one_text(model: VideoLanguage, video: Path) -> None:
    found = model.similarity(video, "#C C takes the mug")
    assert found.texts == ("#C C takes the mug",) and found.scores.shape == (1,)
    assert model.embed_text("the mug").shape == (1, 16)


def test_unknown_words_are_told(model: VideoLanguage, caplog: pytest.LogCaptureFixture) -> None:
    model.embed_text(["#C C takes the mug", "#C C juggles the mug"])
    assert "juggles" in caplog.text and "takes" not in caplog.text


def test_a_device_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    save_small(tmp_path)
    with pytest.raises(EgolibError, match="0 GPUs"):
        vlp.load(tmp_path, device="cuda")


def test_saving_and_loading(tmp_path: Path, model: VideoLanguage) -> None:
    loaded = vlp.load(save(model.model, tmp_path / "x"), device="cpu")
    assert loaded.model.config == model.model.config
    state = model.model.state_dict()
    assert all(torch.equal(v, state[k]) for k, v in loaded.model.state_dict().items())
