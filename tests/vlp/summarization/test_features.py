from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from egolib.errors import EgolibError
from egolib.vlp.config import SummaryConfig
from egolib.vlp.summarization.features import (
    COMMON,
    VideoFeatures,
    extract,
    load_features,
    save_features,
    segment_video,
)
from tests.vlp.small import tokenizer
from tests.vlp.summaries import PLACES, SEGMENTS, features, shot_encoder

PROMPTS = ["takes the mug", "puts a pan", "a pan and the mug"]
SHOTS = torch.randn(5, 5, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_one_pass_for_all_prompts() -> None:
    for layers, names in ((None, PROMPTS), (1, [COMMON])):
        encoder = shot_encoder(layers)
        descriptors, rows, empty = extract(encoder, SHOTS.split(2), PROMPTS, tokenizer(), 7)
        assert descriptors.shape == (5, 48)
        assert list(rows) == list(empty) == names
        assert all(r.shape == (5, 48) and r.dtype == np.float32 for r in rows.values())
        whole = extract(encoder, [SHOTS], PROMPTS, tokenizer(), 7)
        for name in names:
            np.testing.assert_allclose(rows[name], whole[1][name], atol=1e-5)
            np.testing.assert_allclose(empty[name], whole[2][name], atol=1e-5)


def test_a_video_without_shots() -> None:
    with pytest.raises(EgolibError, match="no shot"):
        extract(shot_encoder(), [], PROMPTS, tokenizer(), 7)


def test_segments_of_a_video() -> None:
    config = SummaryConfig(segments=4, kernel_sums="double")
    x = np.repeat(np.eye(3, 6, dtype=np.float32), [4, 5, 3], 0) * 9
    assert segment_video(x, replace(config, penalty=50.0), 7).tolist() == [4, 5, 3, 0]
    assert (segment_video(x, config, 7) > 0).sum() >= 3


def test_places_of_padding() -> None:
    found = features(PROMPTS)
    official = found.packed(PROMPTS[1], PLACES)
    zeros = found.packed(PROMPTS[1], PLACES, "zeros")
    assert official.shape == (SEGMENTS, PLACES, 12)
    assert np.array_equal(official[0, 5], found.empty[PROMPTS[1]]) and not zeros[0, 5].any()
    assert np.array_equal(official[0, :5], zeros[0, :5])
    with pytest.raises(EgolibError, match="no features for the prompt 'other'"):
        found.packed("other", PLACES)


def test_features_that_no_prompt_changes_serve_all() -> None:
    one = features([COMMON])
    assert np.array_equal(one.packed("anything", PLACES), one.packed("else", PLACES))


def test_files_belong_to_what_they_were_computed_from(tmp_path: Path) -> None:
    found = features(PROMPTS)
    path = save_features(tmp_path / "video_1", found, "abc")
    back = load_features(path, "abc")
    assert isinstance(back, VideoFeatures) and list(back.rows) == PROMPTS
    assert np.array_equal(back.lengths, found.lengths)
    assert all(np.array_equal(back.rows[p], found.rows[p]) for p in PROMPTS)
    assert all(np.array_equal(back.empty[p], found.empty[p]) for p in PROMPTS)
    with pytest.raises(EgolibError, match=r"video_1.safetensors: these features were computed"):
        load_features(path, "abd")
