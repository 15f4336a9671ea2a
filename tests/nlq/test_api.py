"""Answers: both paths, loading, one question."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import egolib.nlq
from egolib.errors import EgolibError
from egolib.io import checkpoint
from egolib.io.features import Provenance
from egolib.nlq.api import Grounder, load, save
from egolib.nlq.config import DataConfig, InferConfig
from egolib.nlq.data.truth import truth_of
from egolib.nlq.evaluation import evaluate
from egolib.nlq.formats.checkpoint import describe, to_official
from egolib.nlq.formats.submission import validate
from egolib.world.language import encode
from tests.nlq.small import CUES, SMALL, Memory, data, network

CONFIGS = [(SMALL, "official"), (CUES, "official"), (replace(SMALL, windows=(-1,)), "per_query")]


def encoder(text: str) -> np.ndarray:
    """Four tokens that depend on the text."""
    rng = np.random.default_rng(len(text))
    return rng.standard_normal((4, 6)).astype(np.float32)


def same(a, b) -> None:
    np.testing.assert_allclose(a.segments_sec, b.segments_sec, atol=1e-3)
    np.testing.assert_allclose(a.scores, b.scores, atol=1e-5)


@pytest.mark.parametrize(("config", "padding"), CONFIGS)
def test_fast_and_official_answers_are_equal(config, padding):
    model, questions = network(config), data(config)
    order = [0, 3, 1, 8, 4, 2, 5, 6, 7]  # clips are asked about in turns
    questions.queries = [questions.queries[i] for i in order]
    settings = InferConfig(text_batch=4, clip_batch=2, text_padding=padding)
    fast, official = (
        Grounder(model).answers(questions, replace(settings, path=path))
        for path in ("fast", "official")
    )
    assert len(fast) == 9
    for a, b, query in zip(fast, official, questions.queries, strict=True):
        assert a.question == query.text
        assert len(a.scores) == 5
        same(a, b)


def test_per_query_text_makes_answers_independent_of_their_batch():
    found = {}
    for padding in ("official", "per_query"):
        grounder, questions = Grounder(network()), data()
        sizes = [
            grounder.answers(questions, InferConfig(text_batch=size, text_padding=padding))
            for size in (1, 9)
        ]
        found[padding] = max(np.abs(a.scores - b.scores).max() for a, b in zip(*sizes, strict=True))
    assert found["per_query"] < 1e-5
    assert found["official"] > 1e-4


def test_predictions_are_a_valid_submission():
    questions = data()
    results = Grounder(network()).predict(questions)
    truth = truth_of(questions.queries)
    content = {"version": "1.0", "challenge": "ego4d_nlq_challenge", "results": results}
    assert validate(content, truth) == []
    assert evaluate(results, truth).coverage == 1


def test_resampled_clips_are_decoded_with_their_own_stride():
    config = replace(SMALL, max_length=50)
    questions = data(config, lengths=(60,))
    questions.data = DataConfig(too_long="resample")
    infer = InferConfig(text_padding="per_query")
    grounder = Grounder(network(config), data=questions.data, infer=infer)
    stretched = grounder.answers(questions)[0]
    item = replace(questions[0], stride_frames=16.043)
    plain = grounder.answer_items([item])[0]
    inside = (stretched.segments_sec < item.query.duration_sec) & (stretched.segments_sec > 0)
    assert inside.any()
    expected = (plain.segments_sec - 0.26738) * 60 / 50 + 0.26738
    np.testing.assert_allclose(stretched.segments_sec[inside], expected[inside], atol=1e-3)


@pytest.mark.parametrize("kind", ["egolib", "official", "averaged"])
def test_load_and_ground(tmp_path, kind):
    model = network(replace(SMALL, heads=4))
    if kind == "egolib":
        path, options = save(tmp_path / "model.safetensors", model), {}
    else:
        path = tmp_path / "epoch_005.pth.tar"
        state, other = to_official(model), to_official(network(replace(SMALL, heads=4), seed=1))
        live, average = (state, other) if kind == "official" else (other, state)
        torch.save({"epoch": 5, "state_dict": live, "state_dict_ema": average}, path)
        start = replace(SMALL, heads=4)
        options = {"weights": kind, "model": start}
    grounder = egolib.nlq.load(path, **options)
    assert grounder.model.config == model.config
    features = np.random.default_rng(0).standard_normal((40, 12))
    found = grounder.ground(features, "where is it", text_encoder=encoder)
    expected = Grounder(model).ground(features, "where is it", text_encoder=encoder)
    assert found.question == "where is it"
    assert found.duration_sec == pytest.approx(40 * 16.043 / 30)
    assert (found.segments_sec <= found.duration_sec + 1e-4).all()
    np.testing.assert_array_equal(found.segments_sec, expected.segments_sec)


def test_a_checkpoint_keeps_its_settings(tmp_path):
    data_config = DataConfig(stride_frames=16.0)
    infer = InferConfig(decode_offset="consistent")
    path = save(tmp_path / "model.safetensors", network(CUES), data_config, infer, step=7)
    grounder = load(path)
    assert (grounder.data, grounder.infer) == (data_config, infer)
    assert grounder.model.config == CUES
    assert checkpoint.load(path)[1]["step"] == 7


def test_ground_in_a_store_and_with_cues():
    grounder = Grounder(network(CUES))
    store = Memory("video", {"v": np.random.default_rng(0).standard_normal((40, 12))}, 12)
    store.provenance = Provenance("video", 12, fps=30, stride_frames=16.043)
    cues = {"objects": np.ones((2, 5), np.float32)}
    plain = grounder.ground(store, "where", text_encoder=encoder, uid="v", duration_sec=20.0)
    cued = grounder.ground(
        store, "where", text_encoder=encoder, uid="v", duration_sec=20.0, cues=cues
    )
    assert not np.allclose(plain.scores, cued.scores)
    store.provenance = Provenance("video", 12, fps=30, stride_frames=8.0)
    with pytest.raises(EgolibError, match="stride 8"):
        grounder.ground(store, "where", text_encoder=encoder, uid="v")


@pytest.mark.parametrize(
    ("shape", "match"),
    [((40, 11), r"\(rows, 12\)"), ((0, 12), "no rows"), ((300, 12), "1 to 256")],
)
def test_features_that_do_not_fit(shape, match):
    with pytest.raises(EgolibError, match=match):
        Grounder(network()).ground(np.zeros(shape), "where", text_encoder=encoder)


def test_a_tensor_is_as_good_as_an_array_and_nan_is_refused():
    grounder = Grounder(network())
    features = np.random.default_rng(0).standard_normal((40, 12)).astype(np.float32)
    expected = grounder.ground(features, "where", text_encoder=encoder)
    for form in (torch.from_numpy(features).requires_grad_(), list(features), {"feat": features}):
        found = grounder.ground(form, "where", text_encoder=encoder)
        np.testing.assert_array_equal(found.segments_sec, expected.segments_sec)
    features[7, 3] = np.nan
    with pytest.raises(EgolibError, match="NaN or infinity in row 7"):
        grounder.ground(features, "where", text_encoder=encoder)


def test_checkpoints_that_do_not_fit(tmp_path):
    path = checkpoint.save(tmp_path / "a.safetensors", {"x": torch.ones(1)}, {"model": "vod/x"})
    with pytest.raises(EgolibError, match="vod/x"):
        load(path)
    torch.save({"state_dict": {"x": torch.ones(1)}}, tmp_path / "b.pth")
    with pytest.raises(EgolibError, match="not a GroundNLQ"):
        load(tmp_path / "b.pth")
    with pytest.raises(EgolibError, match="no weights"):
        load(tmp_path / "c.pth")


# --------------------------------------------------------------------- text encoders


def test_a_model_of_the_worlds_words_brings_its_encoder_along(tmp_path):
    words = Provenance("text", 6, model="world/words")
    about = describe(SMALL, DataConfig(), InferConfig(), words)
    path = checkpoint.save(tmp_path / "m.safetensors", network().state_dict(), about)
    features = np.random.default_rng(0).standard_normal((40, 12))
    found = load(path).ground(features, "where did i put the mug?")
    expected = Grounder(network()).ground(
        features, "where did i put the mug?", text_encoder=lambda text: encode(text, 6)
    )
    np.testing.assert_array_equal(found.segments_sec, expected.segments_sec)
    again = egolib.nlq.ground(features, "where did i put the mug?", model=path)
    np.testing.assert_array_equal(again.scores, found.scores)
    with pytest.raises(EgolibError, match="no words"):
        load(path).ground(features, "?")


def test_without_a_known_encoder_the_error_says_what_to_pass():
    with pytest.raises(EgolibError, match="text_encoder"):
        Grounder(network()).ground(np.zeros((40, 12)), "where")


def test_an_encoder_of_other_features_is_refused():
    words = Provenance("text", 6, model="world/words")

    class Other:
        provenance = Provenance("text", 6, model="roberta")

        def __call__(self, text: str) -> np.ndarray:
            return encoder(text)

    with pytest.raises(EgolibError, match="roberta"):
        Grounder(network(), text=words).ground(np.zeros((40, 12)), "where", text_encoder=Other())


def test_a_device_that_is_not_there(tmp_path):
    path = save(tmp_path / "model.safetensors", network())
    if torch.cuda.device_count() == 0:
        with pytest.raises(EgolibError, match="device cuda"):
            load(path, device="cuda")
