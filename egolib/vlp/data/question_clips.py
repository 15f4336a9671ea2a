"""Clips of intervals with a question each, for training and for evaluation.

Legend: B questions, F frames, L tokens, S side of the input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from egolib.text.tokens import Tokenizer, encode
from egolib.vlp.data.clips import View, load_clip
from egolib.vlp.data.egotaskqa import Question, ShortVideos, interval_frames, video_file
from egolib.vlp.data.readers import OpenVideos
from egolib.vlp.data.sampling import Draw, drawer
from egolib.vlp.data.videos import Source
from egolib.vlp.losses.question_answering import QuestionBatch


class IntervalVideos:
    """Reads the videos of intervals, one file each.

    Args:
        folder: where the files lie.
        short: what becomes of videos with few frames, see ``egotaskqa.interval_frames``.
        source: where decoded frames come from; the files themselves if None.
    """

    def __init__(
        self,
        folder: str | Path,
        short: ShortVideos = "official",
        source: Source | None = None,
    ):
        self.folder, self.short, self.videos = Path(folder), short, source or OpenVideos()

    def images(self, interval: str, frames: int, draw: Draw | None = None) -> np.ndarray:
        """Pictures (frames, H, W, 3) uint8 of an interval; ``draw`` takes random ones.

        Args:
            interval: its name.
            frames: how many are wanted.
            draw: draws random frames; None takes middle ones.

        Raises:
            EgolibError: the video is missing, damaged or too short.
        """
        video = self.videos.get(video_file(self.folder, interval))
        return video.batch(interval_frames(len(video), frames, draw, self.short))

    def view(
        self,
        interval: str,
        view: View,
        *,
        draw: Draw | None = None,
        crop: np.random.Generator | None = None,
    ) -> Tensor:
        """(F, 3, S, S) of an interval.

        Args:
            interval: its name.
            view: size of the input, and number of frames.
            draw: draws random frames; None takes middle ones.
            crop: crops at random; None takes the evaluation view.

        Raises:
            UnreadableClip: the video is missing, damaged or too short.
        """
        read = partial(self.images, interval, view.frames, draw)
        return load_clip(read, view, rng=crop, unreadable="error", record=interval).video


def question_tokens(
    tokenizer: Tokenizer, texts: Sequence[str], length: int
) -> tuple[np.ndarray, np.ndarray]:
    """Ids and mask (B, length) int64 of questions: stripped, lower-cased, padded and cut.

    Args:
        tokenizer: gives the ids of a text.
        texts: B questions.
        length: L, start and end tokens included.
    """
    return encode(tokenizer, [text.strip().lower() for text in texts], length, pad=True)


@dataclass(frozen=True)
class Asked:
    """A clip with a question, as a row of a batch."""

    video: Tensor
    ids: np.ndarray
    mask: np.ndarray
    answer: int


class QuestionTraining:
    """Training questions; frames are drawn at random.

    Args:
        questions: what is asked.
        videos: the intervals' frames.
        tokenizer: texts to ids.
        view: size of the input, and number of frames.
        text_length: tokens of a question, padding included.
        augment: ``official`` trains on the evaluation view, ``train`` on random crops.
    """

    def __init__(
        self,
        questions: Sequence[Question],
        videos: IntervalVideos,
        tokenizer: Tokenizer,
        view: View,
        text_length: int = 30,
        augment: Literal["official", "train"] = "official",
    ):
        self.questions, self.videos, self.view = questions, videos, view
        self.augmented = augment == "train"
        texts = [question.text for question in questions]
        self.ids, self.mask = question_tokens(tokenizer, texts, text_length)

    def __len__(self) -> int:
        return len(self.questions)

    def sample(self, index: int, rng: np.random.Generator) -> Asked:
        """One question with its clip.

        Raises:
            UnreadableClip: the interval's video is missing, damaged or too short.
        """
        question = self.questions[index]
        crop = rng if self.augmented else None
        video = self.videos.view(question.interval, self.view, draw=drawer(rng), crop=crop)
        return Asked(video, self.ids[index], self.mask[index], question.answer_index)

    def collate(self, items: list[Asked]) -> QuestionBatch:
        """A batch of items."""
        return QuestionBatch(
            video=torch.stack([item.video for item in items]),
            ids=torch.from_numpy(np.stack([item.ids for item in items])),
            mask=torch.from_numpy(np.stack([item.mask for item in items])),
            answer=torch.tensor([item.answer for item in items]),
        )


def by_interval(questions: Sequence[Question]) -> dict[str, list[int]]:
    """Every interval with the places of its questions, by first appearance."""
    places: dict[str, list[int]] = {}
    for place, question in enumerate(questions):
        places.setdefault(question.interval, []).append(place)
    return places
