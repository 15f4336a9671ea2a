"""Summaries of any video: shots of a few seconds, scored for a query.

Legend: n shots, F frames of a shot, S side of the input.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from egolib.config import build
from egolib.errors import EgolibError
from egolib.io import checkpoint
from egolib.text.tokens import Tokenizer
from egolib.video import VideoReader
from egolib.vlp.config.benchmarks import SummaryConfig
from egolib.vlp.data.clips import View
from egolib.vlp.data.qfvs import prompts
from egolib.vlp.data.readers import frames_on_screen
from egolib.vlp.formats.qfvs import read_encoder, summarizer_config
from egolib.vlp.summarization.encoder import ShotEncoder
from egolib.vlp.summarization.features import VideoFeatures, extract, segment_video
from egolib.vlp.summarization.network import Summarizer
from egolib.vlp.summarization.training import prompt_scores

Shot = tuple[float, float]


@dataclass
class VideoSummarizer:
    """A trained summariser with the network that gives its features.

    Args:
        model: the summariser, in evaluation mode.
        encoder: the network, in evaluation mode.
        data: length of shots, number of segments.
        text_length: tokens of a prompt, padding included.
    """

    model: Summarizer
    encoder: ShotEncoder
    data: SummaryConfig
    text_length: int = 15

    def shots(self, video: VideoReader) -> list[Shot]:
        """(start, end) in seconds of all whole shots of a video.

        Raises:
            EgolibError: it is shorter than one.
        """
        length = self.data.shot_sec
        count = int(video.duration_sec / length + 1e-6)
        if count < 1:
            raise EgolibError(f"a video of {video.duration_sec:.1f} s has no shot of {length} s")
        return [(i * length, (i + 1) * length) for i in range(count)]

    def scores(
        self,
        video: VideoReader,
        shots: Sequence[Shot],
        query: str,
        tokenizer: Tokenizer,
        batch: int = 8,
    ) -> np.ndarray:
        """(n,) float32 logits of shots for a query.

        Args:
            video: the video.
            shots: stretches of it.
            query: one thing, or two joined by ``and``.
            tokenizer: of prompts.
            batch: shots that are computed at once.
        """
        prompt = query_prompt(query)
        views = self._views(video, shots, batch)
        found = extract(self.encoder, views, [prompt], tokenizer, self.text_length)
        places = self.model.config.longest
        how = replace(self.data, segments=min(self.data.segments, len(shots)))
        features = VideoFeatures(segment_video(found[0], how, places), *found)
        padding = self.model.config.padding_features
        return prompt_scores(self.model, features, [prompt], padding)[0]

    def _views(self, video: VideoReader, shots: Sequence[Shot], batch: int) -> Iterator[Tensor]:
        """Batches (up to ``batch``, F, 3, S, S)."""
        config = self.encoder.config
        view = View(config.frames, config.image_size)
        for start in range(0, len(shots), batch):
            part = shots[start : start + batch]
            frames = [frames_on_screen(video, *shot, config.frames) for shot in part]
            yield torch.stack([view.test(video.batch(numbers)) for numbers in frames])


def query_prompt(query: str) -> str:
    """What the network is asked.

    >>> query_prompt("keyboard and hands")
    'There is a keyboard and a hands'
    """
    first, _, second = query.partition(" and ")
    single, _, both = prompts(first.strip(), second.strip())
    return both if second else single


def read_summarizer(path: Path, backbone: Path, device: torch.device) -> VideoSummarizer:
    """A trained summariser, and the network beside it.

    Args:
        path: the summariser's weights.
        backbone: those of the network that gives features.
        device: where both compute.

    Raises:
        EgolibError: a file is missing or of another network.
    """
    state, about = checkpoint.load(path)
    model = Summarizer(summarizer_config(about["config"]))
    checkpoint.load_into(model, state, file=path)
    encoder = read_encoder(backbone, model.config, str(device))
    data = build(SummaryConfig, about.get("shots", {}))
    length = about.get("text_length", 15)
    return VideoSummarizer(model.to(device).eval(), encoder, data, length)
