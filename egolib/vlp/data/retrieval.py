"""Training and evaluation data of EPIC-KITCHENS-100 retrieval and Charades-Ego.

Legend: B pairs of a batch, F frames, L tokens, S side of the input.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from egolib.io.records import Skipped
from egolib.text.tokens import Tokenizer, encode
from egolib.vlp.config import DataConfig, ModelConfig
from egolib.vlp.data.charades import Action
from egolib.vlp.data.clips import UnreadableClip, View, load_clip, stream_views
from egolib.vlp.data.epic import EpicClips, EpicSplit
from egolib.vlp.data.sampling import drawer
from egolib.vlp.data.videos import CharadesVideos, EpicVideos
from egolib.vlp.losses.retrieval import RetrievalBatch

TRIES = 20


# -------------------------------------------------------------------------- training


@dataclass(frozen=True)
class Captioned:
    """A clip with a caption, as a row of a batch."""

    video: Tensor
    ids: np.ndarray
    mask: np.ndarray
    weight: float = 1.0
    clip_row: int = -1
    caption_column: int = -1
    read_error: str | None = None


class CaptionedData:
    """What both training sets share: texts to ids, clips to views, items to batches.

    Attributes:
        epoch_samples: an epoch ends after so many samples; None for all.
    """

    epoch_samples: int | None = None

    def __init__(self, tokenizer: Tokenizer, data: DataConfig, view: View):
        self.tokenizer, self.data, self.view = tokenizer, data, view

    def __len__(self) -> int:
        raise NotImplementedError

    def order(self, epoch: int, rng: np.random.Generator) -> np.ndarray:
        """The samples of one epoch in random order, at most ``epoch_samples``."""
        return rng.permutation(len(self))[: self.epoch_samples]

    def item(self, index: int, rng: np.random.Generator) -> Captioned:
        """One clip with a caption; ``UnreadableClip`` where its video cannot be read."""
        raise NotImplementedError

    def sample(self, index: int, rng: np.random.Generator) -> Captioned:
        """The item, or with ``unreadable: skip`` the next one that can be read."""
        for step in range(TRIES):
            try:
                return self.item((index + step) % len(self), rng)
            except UnreadableClip as error:
                if self.data.unreadable == "error":
                    raise
                last = error
        raise last

    def collate(self, items: list[Captioned]) -> RetrievalBatch:
        """A batch of items."""
        return RetrievalBatch(
            video=torch.stack([i.video for i in items]),
            ids=torch.from_numpy(np.stack([i.ids for i in items])),
            mask=torch.from_numpy(np.stack([i.mask for i in items])),
            weight=torch.tensor([i.weight for i in items]),
            clip_row=torch.tensor([i.clip_row for i in items]),
            caption_column=torch.tensor([i.caption_column for i in items]),
            black=torch.tensor([i.read_error is not None for i in items]),
        )

    def _tokens(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        ids, mask = encode(self.tokenizer, [text], self.data.text_length, pad=True)
        return ids[0], mask[0]


class EpicTraining(CaptionedData):
    """EPIC-KITCHENS clips, each with one of the sentences that are relevant for it.

    Args:
        split: clips, sentences and relevancy.
        videos: the clips' frames.
        rows: the clips that are used; all if None.
    """

    def __init__(
        self,
        split: EpicSplit,
        videos: EpicVideos,
        tokenizer: Tokenizer,
        model: ModelConfig,
        data: DataConfig,
        rows: np.ndarray | None = None,
    ):
        view = View(model.frames, model.image_size, "epic", data.crop_scale, flip=0.0)
        super().__init__(tokenizer, data, view)
        self.split, self.videos = split, videos
        self.rows = np.arange(len(split.clips)) if rows is None else rows

    def __len__(self) -> int:
        return len(self.rows)

    def item(self, index: int, rng: np.random.Generator) -> Captioned:
        """A clip with a sentence and its relevancy."""
        row = int(self.rows[index])
        text, weight, column = self.caption(row, rng)
        clip = load_clip(
            lambda: self.videos.images(self.split.clips, row, self.view.frames, drawer(rng)),
            self.view,
            rng=rng,
            unreadable=self.data.unreadable,
            record=self.split.clips.narration_ids[row],
        )
        return Captioned(clip.video, *self._tokens(text), weight, row, column, clip.read_error)

    def caption(self, row: int, rng: np.random.Generator) -> tuple[str, float, int]:
        """A random sentence above the relevancy threshold, its relevancy and column.

        Without such a sentence it is the clip's own narration, at relevancy 1 and
        column -1.
        """
        relevancies = self.split.relevancy[row]
        columns = np.flatnonzero(relevancies > self.data.relevancy_threshold)
        if len(columns) == 0:
            return self.split.clips.narrations[row], 1.0, -1
        column = int(rng.choice(columns))
        return self.split.sentences.narrations[column], float(relevancies[column]), column


class CharadesTraining(CaptionedData):
    """Charades-Ego actions, each with the text of its class.

    Args:
        actions: the labelled stretches.
        videos: the frames.
    """

    def __init__(
        self,
        actions: Sequence[Action],
        videos: CharadesVideos,
        tokenizer: Tokenizer,
        model: ModelConfig,
        data: DataConfig,
    ):
        view = View(model.frames, model.image_size, scale=data.crop_scale)
        super().__init__(tokenizer, data, view)
        self.actions, self.videos = actions, videos

    def __len__(self) -> int:
        return len(self.actions)

    def item(self, index: int, rng: np.random.Generator) -> Captioned:
        """An action's stretch with its class text."""
        action = self.actions[index]
        clip = load_clip(
            lambda: self.videos.images(
                action.video, self.view.frames, action.start_sec, action.end_sec, drawer(rng)
            ),
            self.view,
            rng=rng,
            unreadable=self.data.unreadable,
            record=f"{action.video}, {action.start_sec} s",
        )
        return Captioned(clip.video, *self._tokens(action.text), read_error=clip.read_error)


# ------------------------------------------------------------------------ evaluation


def epic_clips(
    clips: EpicClips,
    videos: EpicVideos,
    view: View,
    rows: Sequence[int] | None = None,
    *,
    skipped: Skipped | None = None,
    workers: int = 0,
) -> Iterator[Tensor]:
    """Evaluation views of clips, in order; see ``clips.stream_views``.

    Args:
        clips: the table.
        videos: the clips' frames.
        view: size of the input, and number of frames.
        rows: the clips that are used, in this order; all if None.
        skipped: gets the narration ids of clips that cannot be read.
        workers: processes that read ahead; 0 reads in this one.
    """
    wanted = range(len(clips)) if rows is None else rows
    reads = [partial(videos.images, clips, row, view.frames) for row in wanted]
    names = [clips.narration_ids[row] for row in wanted]
    return stream_views(reads, names, view, skipped=skipped, workers=workers)


def charades_clips(
    names: Sequence[str],
    videos: CharadesVideos,
    view: View,
    *,
    skipped: Skipped | None = None,
    workers: int = 0,
) -> Iterator[Tensor]:
    """Evaluation views of whole videos, in order; see ``clips.stream_views``.

    Args:
        names: the videos.
        videos: their frames.
        view: size of the input, and number of frames.
        skipped: gets the names of videos that cannot be read.
        workers: processes that read ahead; 0 reads in this one.
    """
    reads = [partial(videos.images, name, view.frames) for name in names]
    return stream_views(reads, names, view, skipped=skipped, workers=workers)
