"""Features that know the question."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from egolib.errors import EgolibError
from egolib.io.features import Provenance, open_store
from egolib.io.records import write_json
from egolib.text.tokens import encode
from egolib.vlp.api import VideoLanguage
from egolib.vlp.data.moments import MomentClip
from egolib.vlp.features.questions import extract_questions, question_features, read_questions
from tests.vlp.small import CONFIG, numbered_video, small_model, tokenizer

CLIPS = [
    MomentClip("a", "v", 0.0, 3.0),
    MomentClip("quiet", "v", 0.0, 3.0),
    MomentClip("b", "missing", 0.0, 3.0),
    MomentClip("c", "v", 0.0, 0.1),
]
ASKED = {"a": {"x_0": " Takes the mug", "x_2": "the pan"}, "b": {"y_0": "a"}, "c": {"z_0": "a"}}
TOKENS = 12


@pytest.fixture(scope="module")
def model() -> VideoLanguage:
    return VideoLanguage(small_model(), tokenizer(), batch_size=3)


def views() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(5, CONFIG.frames, 3, 32, 32, generator=generator)


def test_sharing_the_clip_changes_nothing(model: VideoLanguage) -> None:
    """Against every window with every question by itself, without padding."""
    questions = list(ASKED["a"].values())
    found = question_features(model, views().split(3), questions, TOKENS)
    assert found.video.shape == (2, 5, CONFIG.width)
    for row, question in enumerate(questions):
        ids, mask = (torch.from_numpy(x) for x in encode(tokenizer(), [question.strip().lower()]))
        with torch.no_grad():
            fused = model.model.fuse_pairs(views(), ids.expand(5, -1), mask.expand(5, -1))
            text = model.model.text(ids, mask)[0]
        np.testing.assert_allclose(found.video[row], fused.video_class, atol=1e-5)
        np.testing.assert_allclose(found.text[row][found.mask[row]], text, atol=1e-5)
        assert found.mask[row].sum() == mask.sum() and found.text.shape[1] == TOKENS


def test_features_know_the_question_and_states_do_not_know_the_video(model: VideoLanguage) -> None:
    found = question_features(model, [views()], list(ASKED["a"].values()), TOKENS)
    other = question_features(model, [2 * views()], list(ASKED["a"].values()), TOKENS)
    assert not np.allclose(found.video[0], found.video[1], atol=1e-3)
    np.testing.assert_array_equal(found.text, other.text)


def test_no_vocabulary() -> None:
    with pytest.raises(EgolibError, match="no vocabulary was loaded"):
        question_features(VideoLanguage(small_model()), [views()], ["a"])


def test_prepared_files(tmp_path: Path) -> None:
    clip = {"sentences": ["a?", "b?"], "annotation_uids": ["x", "x"], "query_idx": [0, 2]}
    file = write_json(tmp_path / "val.json", {"c": clip})
    assert read_questions(file) == {"c": {"x_0": "a?", "x_2": "b?"}}
    write_json(file, {"c": clip | {"query_idx": [0]}})
    with pytest.raises(EgolibError, match="record c: the clip's lists differ in length"):
        read_questions(file)
    write_json(file, {"c": {"sentences": []}})
    with pytest.raises(EgolibError, match="annotation_uids: the field is missing"):
        read_questions(file)


def test_stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = VideoLanguage(small_model(text_positions=40), tokenizer(), batch_size=3)
    numbered_video(tmp_path / "v.mp4", 40)
    about = Provenance("video", 1, fps=10.0, stride_frames=10 / 1.87, model="m", model_hash="h")

    def extract() -> dict[str, str]:
        out = tmp_path / "out"
        return extract_questions(
            model, CLIPS, ASKED, tmp_path, out, about=about, fps=10
        ).reasons  # fmt: skip

    skipped = extract()
    assert set(skipped) == {"b", "c"} and "shorter than a window" in skipped["c"]
    video, text, mask = (open_store(tmp_path / "out" / name) for name in ("video", "text", "mask"))
    assert video.uids() == text.uids() == mask.uids() == ["x_0", "x_2"]
    assert video.get("x_0").shape == (int(3 * 1.87 * 2 + 1) // 2, CONFIG.width)
    assert text.get("x_0").shape == (30, CONFIG.text_width)
    assert mask.get("x_0").sum() == 5 and video.provenance.rows_per_sec == pytest.approx(1.87)
    monkeypatch.setattr("egolib.vlp.features.questions.question_features", None)
    assert set(extract()) == {"b", "c"}  # what is finished is not computed again
