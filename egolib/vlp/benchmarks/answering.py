"""Answers of a trained network to the questions of EgoTaskQA, and how it is trained.

Legend: Q questions, A answers, B questions that are computed at once, N video tokens,
L text tokens, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from egolib.progress import track
from egolib.text.tokens import Tokenizer
from egolib.vlp.config import OptimConfig
from egolib.vlp.data.clips import View
from egolib.vlp.data.egotaskqa import Question
from egolib.vlp.data.question_clips import IntervalVideos, by_interval, question_tokens
from egolib.vlp.data.sampling import drawer
from egolib.vlp.models.question_answering import QuestionAnsweringModel

#: ``official`` draws random frames for every question, ``uniform`` takes middle ones.
QuestionFrames = Literal["official", "uniform"]


def make_optimizer(model: nn.Module, config: OptimConfig) -> torch.optim.AdamW:
    """AdamW over all parameters as one group, decay before the step."""
    return torch.optim.AdamW(
        model.parameters(),
        config.learning_rate,
        betas=config.betas,
        eps=config.epsilon,
        weight_decay=config.weight_decay,
    )


class Answerer:
    """A network with what turns questions about intervals into its input.

    Args:
        model: the network; it is put into evaluation mode.
        tokenizer: texts to ids.
        videos: the intervals' frames.
        text_length: tokens of a question, padding included.
        frames: how frames are chosen.
        seed: of frames that are drawn.
        batch: questions that are computed at once.
    """

    def __init__(
        self,
        model: QuestionAnsweringModel,
        tokenizer: Tokenizer,
        videos: IntervalVideos,
        *,
        text_length: int = 30,
        frames: QuestionFrames = "official",
        seed: int = 0,
        batch: int = 8,
    ):
        self.model, self.tokenizer, self.videos = model.eval(), tokenizer, videos
        self.text_length, self.frames, self.seed, self.batch = text_length, frames, seed, batch
        self.view = View(model.config.frames, model.config.image_size)
        self.device = next(model.parameters()).device

    @torch.inference_mode()
    def scores(self, questions: Sequence[Question]) -> np.ndarray:
        """(Q, A) float32 logits of all questions.

        Official behaviour: frames are drawn at random for every question; with
        ``frames: uniform`` what does not depend on a question is computed once for
        each interval.

        Raises:
            UnreadableClip: a video is missing, damaged or too short.
        """
        texts = [question.text for question in questions]
        ids, mask = question_tokens(self.tokenizer, texts, self.text_length)
        logits = np.zeros((len(questions), self.model.answering.answers), np.float32)
        groups = list(by_interval(questions).items())
        for interval, places in track(groups, "answering", unit="interval"):
            shared = self._shared_prefix(interval)
            for start in range(0, len(places), self.batch):
                rows = places[start : start + self.batch]
                video = self._drawn_prefixes(interval, rows) if shared is None else shared
                found = self._answers(video.expand(len(rows), -1, -1), ids[rows], mask[rows])
                logits[rows] = found.float().cpu().numpy()
        return logits

    def _answers(self, video: Tensor, ids: np.ndarray, mask: np.ndarray) -> Tensor:
        tokens, real = (torch.from_numpy(a).to(self.device) for a in (ids, mask))
        return self.model.answer_prefixes(video, self.model.text_prefix(tokens, real), real)

    def _shared_prefix(self, interval: str) -> Tensor | None:
        """(1, N, D) of the middle frames; None where every question draws its own."""
        if self.frames == "official":
            return None
        clip = self.videos.view(interval, self.view)
        return self.model.video_prefix(clip[None].to(self.device))

    def _drawn_prefixes(self, interval: str, rows: Sequence[int]) -> Tensor:
        """(B, N, D) of random frames, drawn by seed and question."""
        draws = [drawer(np.random.default_rng([self.seed, row])) for row in rows]
        clips = [self.videos.view(interval, self.view, draw=draw) for draw in draws]
        return self.model.video_prefix(torch.stack(clips).to(self.device))
