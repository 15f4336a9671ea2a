"""Training data of the pre-training: EgoClip clips with scene-aware negatives.

Legend: B pairs of a batch, F frames, L tokens, S side of the input.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from egolib.text.tokens import Tokenizer, encode
from egolib.vlp.config import DataConfig, LossConfig, ModelConfig
from egolib.vlp.data.clips import UnreadableClip, View, load_clip
from egolib.vlp.data.egoclip import EgoClip, SegmentIndex
from egolib.vlp.data.reversal import OPPOSITE_VERB, opposite_texts
from egolib.vlp.data.sampling import drawer
from egolib.vlp.data.videos import EgoClipVideos
from egolib.vlp.losses.masked_language import corrupt
from egolib.vlp.losses.pretraining import PretrainingBatch

#: Further clips that are tried in place of one that is to be skipped.
TRIES = 20


@dataclass(frozen=True)
class Pair:
    """A clip with its narration, as a row of a batch."""

    video: Tensor
    ids: np.ndarray
    mask: np.ndarray
    corrupted: np.ndarray
    labels: np.ndarray
    nouns: np.ndarray
    verbs: np.ndarray
    read_error: str | None
    backwards: bool = False


class PretrainingData:
    """EgoClip for training: each sample is a clip and, if asked for, another of its minute.

    Args:
        clips: the table.
        videos: the clips' frames.
        tokenizer: texts to ids; it must have a mask token.
        model: sizes.
        data: sampling.
        loss: the fraction of masked tokens.
        rows: the clips that are used; all if None.

    Attributes:
        epoch_samples: an epoch ends after so many samples; None for all.
    """

    epoch_samples: int | None = None

    def __init__(
        self,
        clips: EgoClip,
        videos: EgoClipVideos,
        tokenizer: Tokenizer,
        model: ModelConfig,
        data: DataConfig,
        loss: LossConfig,
        rows: np.ndarray | None = None,
    ):
        self.clips, self.videos, self.tokenizer = clips, videos, tokenizer
        self.data, self.masking = data, loss.masking_probability
        self.view = View(model.frames, model.image_size, scale=data.crop_scale)
        self.rows = np.arange(len(clips)) if rows is None else rows
        self.segments = SegmentIndex(
            clips.video_uids[self.rows], clips.narration_time[self.rows], data.segment_sec
        )

    def __len__(self) -> int:
        return len(self.rows)

    def order(self, epoch: int, rng: np.random.Generator) -> np.ndarray:
        """The samples of one epoch in random order, at most ``epoch_samples``."""
        return rng.permutation(len(self))[: self.epoch_samples]

    def sample(self, index: int, rng: np.random.Generator) -> list[Pair]:
        """The clip and, with scene-aware negatives, a further clip of the same minute."""
        wanted, kind = self.data.scene_negatives, self.data.scene_partner
        if wanted and kind == "reversed" and index in self.opposites:
            place, own = self._readable(index, rng)
            return [own, self.backwards(place, own, rng)]
        places = [index]
        if wanted:
            places.append(self.segments.partner(index, rng, kind))
        return [self._readable(place, rng)[1] for place in places]

    def collate(self, items: list[list[Pair]]) -> PretrainingBatch:
        """All clips, then all further clips."""
        pairs = [pair for column in zip(*items, strict=True) for pair in column]
        arrays = ("ids", "mask", "corrupted", "labels", "nouns", "verbs")
        stacked = {
            name: torch.from_numpy(np.stack([getattr(p, name) for p in pairs])) for name in arrays
        }
        black = torch.tensor([pair.read_error is not None for pair in pairs])
        turned = [[row % len(items), row] for row, pair in enumerate(pairs) if pair.backwards]
        return PretrainingBatch(
            video=torch.stack([p.video for p in pairs]),
            black=black,
            opposites=torch.tensor(turned, dtype=torch.int64).reshape(-1, 2),
            **stacked,
        )

    def backwards(self, index: int, pair: Pair, rng: np.random.Generator) -> Pair:
        """The same view with its frames in reverse order, and what that shows.

        An action without an opposite keeps its text.

        Args:
            index: place of the clip among the samples, from 0.
            pair: the clip with its narration; its video (F, 3, S, S) is reversed along F.
            rng: draws the tokens that are masked in the text.
        """
        row = int(self.rows[index])
        text, verbs = self.opposites.get(index, (str(self.clips.texts[row]), self.clips.verbs(row)))
        return replace(
            pair, video=pair.video.flip(0), verbs=verbs, backwards=True, **self._words(text, rng)
        )

    def pair(self, index: int, rng: np.random.Generator) -> Pair:
        """One clip with its narration.

        Raises:
            UnreadableClip: the video cannot be read, unless black clips are wanted.
        """
        row, clips = int(self.rows[index]), self.clips
        clip = load_clip(
            lambda: self.videos.images(
                clips.video(row),
                clips.start_sec[row],
                clips.end_sec[row],
                self.view.frames,
                drawer(rng),
            ),
            self.view,
            rng=rng,
            unreadable=self.data.unreadable,
            record=f"clip {row}",
        )
        return Pair(
            video=clip.video,
            nouns=clips.nouns(row),
            verbs=clips.verbs(row),
            read_error=clip.read_error,
            **self._words(str(clips.texts[row]), rng),
        )

    @cached_property
    def opposites(self) -> dict[int, tuple[str, np.ndarray]]:
        """Text and verb vector of the opposite of each sample that has one."""
        texts = {i: opposite_texts(str(self.clips.texts[row])) for i, row in enumerate(self.rows)}
        verbs = {t[2]: self.clips.verbs(int(self.rows[i])) for i, t in texts.items() if t}
        return {
            i: (found[1], verbs[opposite])
            for i, found in texts.items()
            if found and (opposite := OPPOSITE_VERB[found[2]]) in verbs
        }

    def _words(self, text: str, rng: np.random.Generator) -> dict[str, Any]:
        """A text's fields of a pair."""
        ids, mask = encode(self.tokenizer, [text], self.data.text_length, pad=True)
        corrupted, labels = self._corrupt(ids[0], rng)
        return {"ids": ids[0], "mask": mask[0], "corrupted": corrupted, "labels": labels}

    def _readable(self, index: int, rng: np.random.Generator) -> tuple[int, Pair]:
        """The pair, or with ``unreadable: skip`` the next one that can be read; and which."""
        for step in range(TRIES):
            try:
                place = (index + step) % len(self)
                return place, self.pair(place, rng)
            except UnreadableClip as error:
                if self.data.unreadable == "error":
                    raise
                last = error
        raise last

    def _corrupt(self, ids: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        special = self.tokenizer.special
        assert special.mask is not None, "this vocabulary has no mask"
        return corrupt(
            ids,
            rng,
            special_ids=special.unmaskable,
            mask_id=special.mask,
            vocabulary_size=self.tokenizer.size,
            probability=self.masking,
        )
