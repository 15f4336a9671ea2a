"""Intervals, questions and a reduced question answering network that tests share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from egolib.vlp.data.egotaskqa import Question
from egolib.vlp.losses.question_answering import QuestionBatch
from egolib.vlp.models.question_answering import (
    AnsweringConfig,
    QuestionAnsweringModel,
    build_answering,
)
from tests.vlp.small import CONFIG, batch, numbered_video, small_model

ANSWERS = 5


def raw(interval: str = "a", answer: str = "yes", **changes: Any) -> dict[str, Any]:
    """A raw question."""
    return {
        "interval": interval,
        "question": "Is the box open?",
        "answer": answer,
        "type": ["descriptive"],
        "category": ["world"],
        "semantic": "state",
        "structural": "verify",
        "reference": "direct",
        "program": "",
        **changes,
    }


def answering_model(seed: int = 0, dropout: float = 0.0) -> QuestionAnsweringModel:
    """A reduced network in evaluation mode whose layers all act."""
    config = AnsweringConfig(CONFIG, ANSWERS, dropout)
    model = build_answering(config, torch.Generator().manual_seed(seed))
    model.load_state_dict(small_model(seed).state_dict(), strict=False)
    return model.eval()


def question_batch(size: int = 6, seed: int = 0) -> QuestionBatch:
    """Random clips with a question each."""
    source = batch(size, seed)
    answer = torch.randint(ANSWERS, (size,), generator=torch.Generator().manual_seed(seed))
    return QuestionBatch(source.video, source.ids, source.mask, answer)


def questions() -> list[Question]:
    """Five questions about two intervals."""
    texts = ["takes the mug", "puts a pan", " Takes THE pan", "puts the mug", "a mug"]
    return [
        Question("ab"[i % 2], text, "mug", i % ANSWERS, ("world", "query"), str(i))
        for i, text in enumerate(texts)
    ]


def interval_videos(folder: Path, frames: int = 20) -> Path:
    """The videos of both intervals."""
    for name in "ab":
        numbered_video(folder / f"{name}.mp4", frames)
    return folder
