"""Questions about several clips at once, in shapes that recur, captured as CUDA graphs.

What a device computes for one batch is queued while the answers of the one before are
fetched, so that neither side waits. A batch takes one launch.

Shapes: Q questions, C clips, T video positions, L tokens, V video width, M windows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from egolib.nlq.config import InferConfig, ModelConfig
from egolib.nlq.data.dataset import Item, pad
from egolib.nlq.localization.on_device import NONE, best_windows
from egolib.nlq.models.network import GroundNLQ, Video, padded_length
from egolib.nn.graphs import Captured
from egolib.nn.points import Points, make_points
from egolib.nn.temporal_blocks import Tokens

QUESTIONS, CLIPS = 48, 6  # of a batch, at most
POSITIONS, TOKENS = 256, 8  # lengths are rounded up to multiples of these
TEXTS = 512  # questions that are encoded at once
SHAPES = 32  # captured graphs that are kept

Streams = Mapping[str, Tokens]


@dataclass(frozen=True)
class Texts:
    """Encoded questions.

    Args:
        streams: for each text stream values (N, L, C) and mask (N, L, 1), on the device.
    """

    streams: dict[str, Tokens]

    def rows(self, index: Tensor, tokens: int) -> list[Tensor]:
        """Values and mask of some questions for each stream, cut to a number of tokens."""
        return [x[index, :tokens] for stream in self.streams.values() for x in stream]


@dataclass
class Pending:
    """Windows that are being computed."""

    windows: Tensor
    ready: torch.cuda.Event | None

    def fetch(self) -> np.ndarray:
        """(Q, M, 3), once they are there."""
        if self.ready is not None:
            self.ready.synchronize()
        found: np.ndarray = self.windows.numpy()
        return found


class BatchedGrounding:
    """A network's best windows for batches of questions.

    Args:
        model: in evaluation mode, of one class.
        infer: decoding.
        device: that the model is on.
    """

    def __init__(self, model: GroundNLQ, infer: InferConfig, device: torch.device):
        self.model, self.infer, self.device = model, infer, device
        self.names = [name for name, _ in model.config.text_streams]
        self._points: dict[tuple[int, ...], Points] = {}
        self._windows = Captured(self._compute, shapes=SHAPES, copies=False)

    def encode_texts(self, tokens: Sequence[Mapping[str, np.ndarray]]) -> Texts:
        """All questions, each padded as far as its group of ``text_batch`` asks for.

        Args:
            tokens: of each question and stream (L, W), in file order.
        """
        groups = _by_padding(tokens, self.names, self.infer.text_batch)
        longest = {name: max(len(each[name]) for each in tokens) for name in self.names}
        streams = {
            name: Tokens(
                torch.zeros(len(tokens), max(1, n), self.model.config.width, device=self.device),
                torch.zeros(len(tokens), max(1, n), 1, dtype=torch.bool, device=self.device),
            )
            for name, n in longest.items()
        }
        for lengths, rows in groups:
            padded = {
                name: pad([tokens[row][name] for row in rows], length)
                for name, length in zip(self.names, lengths, strict=True)
            }
            encoded = self.model.encode_text(
                {name: self._move(values) for name, (values, _) in padded.items()},
                {name: self._move(mask) for name, (_, mask) in padded.items()},
                self.infer.text_padding,
            )
            index = self._move(torch.tensor(rows))
            for name in self.names:
                values, mask = encoded[name]
                streams[name].values[index, : values.shape[1]] = values.float()
                streams[name].mask[index, : mask.shape[1]] = mask
        return Texts(streams)

    def ask(self, parts: Sequence[Sequence[Item]], rows: Sequence[int], texts: Texts) -> Pending:
        """Queues the questions of some clips.

        Args:
            parts: for each clip its questions.
            rows: of the questions in ``texts``, in the same order.
            texts: encoded.
        """
        config = self.model.config
        length = rounded_length(max(len(part[0].video) for part in parts), config)
        video, mask = self._videos([part[0].video for part in parts], length)
        clips = [number for number, part in enumerate(parts) for _ in part]
        free = _rounded(len(clips), 16) - len(clips)  # repeats the first question
        longest = max(len(item.tokens[name]) for part in parts for item in part
                      for name in self.names)  # fmt: skip
        index = self._move(torch.tensor([*rows, *[rows[0]] * free]))
        tokens = texts.rows(index, _rounded(longest, TOKENS))
        which = self._move(torch.tensor([*clips, *[0] * free]))
        return self._fetching(self._windows(video, mask, which, *tokens), len(clips))

    def _compute(self, video: Tensor, mask: Tensor, clips: Tensor, *tokens: Tensor) -> Tensor:
        """(Q, M, 3) windows of questions (Q,) about clips (C, T, V), see ``best_windows``."""
        encoded = self.model.encode_video(video, mask)
        asked = Video(encoded.values[clips], encoded.mask[clips])
        pairs = zip(tokens[::2], tokens[1::2], strict=True)
        streams = {name: Tokens(*pair) for name, pair in zip(self.names, pairs, strict=True)}
        found = self.model.ground(asked, streams)
        lengths = found.lengths
        if lengths not in self._points:  # kept as long as the graphs that read them
            self._points[lengths] = make_points(lengths, self.device)
        return best_windows(found, self.infer, self._points[lengths])

    # ------------------------------------------------------------------- transfers

    def _videos(self, videos: Sequence[np.ndarray], length: int) -> tuple[Tensor, Tensor]:
        """(C, T, V) features, zero behind each clip, and mask (C, T), on the device."""
        count, width = CLIPS, videos[0].shape[1]
        pinned = self.device.type == "cuda"
        padded = torch.empty(count, length, width, pin_memory=pinned)
        mask = torch.zeros(count, length, dtype=torch.bool, pin_memory=pinned)
        mask[:, 0] = True  # of clips that fill up
        for row in range(count):
            used = len(videos[row]) if row < len(videos) else 0
            if used:
                padded[row, :used] = torch.from_numpy(np.ascontiguousarray(videos[row]))
                mask[row, :used] = True
            padded[row, used:] = 0
        return (x.to(self.device, non_blocking=pinned) for x in (padded, mask))  # type: ignore[return-value]

    def _move(self, x: Tensor) -> Tensor:
        if self.device.type != "cuda":
            return x.to(self.device)
        return x.pin_memory().to(self.device, non_blocking=True)

    def _fetching(self, windows: Tensor, count: int) -> Pending:
        if self.device.type != "cuda":
            return Pending(windows[:count].cpu(), None)
        host = torch.empty(windows.shape, dtype=windows.dtype, pin_memory=True)
        host.copy_(windows, non_blocking=True)
        ready = torch.cuda.Event()  # type: ignore[no-untyped-call]
        ready.record()
        return Pending(host[:count], ready)


def in_batches(parts: Sequence[list[int]], lengths: Sequence[int]) -> Iterator[list[list[int]]]:
    """Parts that are computed together: clips of similar length, the shortest first.

    Args:
        parts: indices of questions about one clip each.
        lengths: of each part's clip.
    """
    batch: list[list[int]] = []
    for number in np.argsort(lengths, kind="stable"):
        part = parts[number]
        full = len(batch) == CLIPS or sum(map(len, batch)) + len(part) > QUESTIONS
        if batch and full:
            yield batch
            batch = []
        batch.append(part)
    if batch:
        yield batch


def kept(windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Segments (K, 2) in features and scores (K,) of one question's windows (M, 3)."""
    there = windows[:, 2] > NONE
    return windows[there, :2], windows[there, 2]


def rounded_length(longest: int, config: ModelConfig) -> int:
    """A padded length that few lengths lead to; valid outputs do not depend on it."""
    return min(_rounded(padded_length(longest, config) - 1, POSITIONS) + 1, config.max_length)


def _rounded(value: int, step: int) -> int:
    return max(1, -(-value // step)) * step


def _by_padding(
    tokens: Sequence[Mapping[str, np.ndarray]], names: Sequence[str], size: int
) -> Iterator[tuple[tuple[int, ...], list[int]]]:
    """Padded lengths of each stream, and the questions that are padded so far.

    ``size`` consecutive questions are padded to their longest one, as the official batches
    are; batches of equal lengths are computed together, since rows do not mix.
    """
    alike: dict[tuple[int, ...], list[int]] = {}
    for first in range(0, len(tokens), size):
        rows = list(range(first, min(first + size, len(tokens))))
        lengths = tuple(max(1, *(len(tokens[row][name]) for row in rows)) for name in names)
        alike.setdefault(lengths, []).extend(rows)
    for lengths, every in alike.items():
        for first in range(0, len(every), TEXTS):
            yield lengths, every[first : first + TEXTS]
