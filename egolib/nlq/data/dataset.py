"""What the network sees of a question: features, tokens, windows; single items and batches.

Shapes: B batch, T padded video length, n features of one video, V video width,
L tokens, W token width, N windows of a question.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from egolib.errors import EgolibError
from egolib.io.features import Store
from egolib.nlq.config import Config, DataConfig, ModelConfig, VideoPadding
from egolib.nlq.data.annotations import Query
from egolib.nlq.data.stores import Roots, open_stores
from egolib.nlq.models.network import padded_length

Rng = np.random.Generator | random.Random
MOST_STRETCH = 10  # of temporal jittering
CACHE_BYTES = 2**29  # of video features that a run keeps in memory


@dataclass
class Item:
    """One question.

    Args:
        query: its record.
        video: (n, V) float32.
        tokens: for each text stream (L, W) float32.
        windows_feat: (N, 2) float64, in features; None without answers.
        labels: (N,) int64.
        stride_frames: distance between the rows of ``video``.
    """

    query: Query
    video: np.ndarray
    tokens: dict[str, np.ndarray]
    windows_feat: np.ndarray | None
    labels: np.ndarray
    stride_frames: float


class Batch:
    """Padded items.

    No dataclass, on purpose: mixed precision casts every tensor that it finds in
    collections and dataclasses, and targets must be computed from float64 windows.

    Args:
        video: (B, T, V) float32, zero in the padding.
        video_mask: (B, T) bool.
        tokens: for each text stream (B, L, W) float32.
        token_masks: for each text stream (B, L) bool.
        windows: for each item (N, 2) float64, in features.
        labels: for each item (N,) int64.
        valid: features of each item's video.
    """

    def __init__(
        self,
        *,
        video: Tensor,
        video_mask: Tensor,
        tokens: dict[str, Tensor],
        token_masks: dict[str, Tensor],
        windows: list[Tensor],
        labels: list[Tensor],
        valid: list[int],
    ):
        self.video, self.video_mask = video, video_mask
        self.tokens, self.token_masks = tokens, token_masks
        self.windows, self.labels, self.valid = windows, labels, valid

    def __len__(self) -> int:
        return len(self.valid)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """The batch on a device."""
        return self._map(lambda x: x.to(device, non_blocking=non_blocking))

    def pin_memory(self, device: Any = None) -> Batch:
        """The batch in page-locked memory."""
        return self._map(lambda x: x.pin_memory())

    def _map(self, change: Callable[[Tensor], Tensor]) -> Batch:
        return Batch(
            video=change(self.video),
            video_mask=change(self.video_mask),
            tokens={name: change(x) for name, x in self.tokens.items()},
            token_masks={name: change(x) for name, x in self.token_masks.items()},
            windows=[change(x) for x in self.windows],
            labels=[change(x) for x in self.labels],
            valid=self.valid,
        )


class NlqData:
    """Questions with their features: the training data of the engine.

    Args:
        queries: the records.
        video: the store of the video streams, side by side, by clip uid.
        texts: a store for each text stream, by query id, else by clip uid. Streams
            after the first may lack a question, which then has no such tokens.
        model: the network's configuration.
        data: strides and what happens to long clips.
        jitter: ``official`` stretches and shifts the windows of training samples.
        video_padding: ``cropped`` or ``official``.
        cached_videos: how many videos stay in memory; questions about one clip are
            often asked one after the other.
    """

    def __init__(
        self,
        queries: Sequence[Query],
        video: Store,
        texts: Mapping[str, Store],
        model: ModelConfig,
        data: DataConfig,
        *,
        jitter: str = "none",
        video_padding: VideoPadding = "cropped",
        cached_videos: int = 4,
    ):
        self.queries, self.video, self.texts = list(queries), video, dict(texts)
        self.model, self.data = model, data
        self.jitter, self.video_padding = jitter, video_padding
        self.cached_videos = cached_videos
        self._videos: OrderedDict[str, np.ndarray] = OrderedDict()
        _check_widths(video, self.texts, model)

    def __len__(self) -> int:
        return len(self.queries)

    def __getitem__(self, index: int) -> Item:
        """One question, without jittering.

        Raises:
            EgolibError: features or tokens are missing, or the clip is too long.
        """
        query = self.queries[index]
        video, stride_frames = self._fit(query, self._video(query.clip_uid))
        windows = None
        if query.windows_sec is not None:
            windows = np.array(query.windows_sec, float) * self.data.fps / stride_frames
        return Item(
            query=query,
            video=video,
            tokens=self.tokens(query),
            windows_feat=windows,
            labels=np.zeros(0 if windows is None else len(windows), np.int64),
            stride_frames=stride_frames,
        )

    def sample(self, index: int, rng: Rng) -> Item:
        """One training sample; every random choice comes from ``rng``."""
        item = self[index]
        if self.jitter == "official" and item.windows_feat is not None:
            item.windows_feat = jitter_windows(item.windows_feat, rng)
        return item

    def collate(self, items: Sequence[Item]) -> Batch:
        """Pads items into a batch."""
        return collate(items, self.model, self.video_padding)

    def tokens(self, query: Query) -> dict[str, np.ndarray]:
        """For each text stream the token features (L, W) of a question."""
        return {
            name: _tokens(self.texts[name], query, required=i == 0)
            for i, (name, _) in enumerate(self.model.text_streams)
        }

    def _video(self, uid: str) -> np.ndarray:
        if uid not in self._videos:
            self._videos[uid] = self.video.get(uid)
            if len(self._videos) > max(self.cached_videos, 1):
                self._videos.popitem(last=False)
        self._videos.move_to_end(uid)
        return self._videos[uid]

    def _fit(self, query: Query, video: np.ndarray) -> tuple[np.ndarray, float]:
        """The video with at most ``max_length`` features, and their stride.

        Official behaviour: a longer clip is reported and then fails in batching.
        """
        most, stride = self.model.max_length, self.data.stride_frames
        if len(video) <= most:
            return video, stride
        if self.data.too_long == "error":
            raise EgolibError(
                f"the clip has {len(video)} features, the network takes {most}",
                record=query.clip_uid,
                remedy="set data.too_long to resample, or raise model.max_length",
            )
        return resample(video, most), stride * len(video) / most


# ---------------------------------------------------------------------------- pieces


def jitter_windows(windows: np.ndarray, rng: Rng) -> np.ndarray:
    """Windows (N, 2), each stretched 1 to 10 times and shifted so that it still holds the old one.

    The result may leave the clip.

    Args:
        windows: (N, 2) in features.
        rng: a NumPy generator, or Python's (with which the official code draws: for
            each window first the integer, then the shift).
    """
    draws = [_draw(rng) for _ in windows]
    stretch, shift = np.array(draws, float).reshape(-1, 2).T
    length = windows[:, 1] - windows[:, 0]
    center = windows.mean(1) - shift * (stretch - 1) * length / 2
    half = stretch * length / 2
    return np.stack([center - half, center + half], 1)


def _draw(rng: Rng) -> tuple[int, float]:
    """A stretch in 1 ... 10 and a shift in [-1, 1]."""
    if isinstance(rng, random.Random):
        return rng.randint(1, MOST_STRETCH), rng.uniform(-1, 1)
    return int(rng.integers(1, MOST_STRETCH + 1)), float(rng.uniform(-1, 1))


def official_order(queries: Sequence[Query], rng: random.Random) -> list[Query]:
    """The training list as the official data set shuffles it once, when it is read."""
    shuffled = list(queries)
    rng.shuffle(shuffled)
    return shuffled


def resample(video: np.ndarray, length: int) -> np.ndarray:
    """(n, V) features interpolated linearly to ``length`` rows."""
    rows = torch.from_numpy(np.ascontiguousarray(video)).t()[None]  # 1 V n
    resized = torch.nn.functional.interpolate(rows, length, mode="linear", align_corners=False)
    return resized[0].t().contiguous().numpy()


def collate(
    items: Sequence[Item], model: ModelConfig, video_padding: VideoPadding = "cropped"
) -> Batch:
    """Pads items into a batch.

    Args:
        items: the samples.
        model: the network that will read them.
        video_padding: ``official`` pads every video to ``max_length``; ``cropped`` as
            far as valid outputs depend on it. Tokens are padded to the longest.
    """
    longest = max(len(item.video) for item in items)
    length = model.max_length if video_padding == "official" else padded_length(longest, model)
    video, video_mask = pad([item.video for item in items], length)
    padded = {name: pad([item.tokens[name] for item in items]) for name, _ in model.text_streams}
    empty = np.zeros((0, 2))
    return Batch(
        video=video,
        video_mask=video_mask,
        tokens={name: values for name, (values, _) in padded.items()},
        token_masks={name: mask for name, (_, mask) in padded.items()},
        windows=[
            torch.from_numpy(empty if item.windows_feat is None else item.windows_feat)
            for item in items
        ],
        labels=[torch.from_numpy(item.labels) for item in items],
        valid=[len(item.video) for item in items],
    )


def pad(arrays: Sequence[np.ndarray], length: int | None = None) -> tuple[Tensor, Tensor]:
    """(B, length, width) with zeros behind each array, and the mask (B, length).

    Args:
        arrays: (n, width) each.
        length: by default that of the longest, at least 1.
    """
    length = length or max(1, *(len(array) for array in arrays))
    padded = torch.zeros(len(arrays), length, arrays[0].shape[1])
    mask = torch.zeros(len(arrays), length, dtype=torch.bool)
    for row, array in enumerate(arrays):
        padded[row, : len(array)] = torch.from_numpy(np.ascontiguousarray(array))
        mask[row, : len(array)] = True
    return padded, mask


def _tokens(store: Store, query: Query, required: bool) -> np.ndarray:
    for uid in (query.query_id, query.clip_uid):
        if uid in store:
            tokens = store.get(uid)
            if required and len(tokens) == 0:
                raise EgolibError("the question has no tokens", record=query.query_id)
            return tokens
    if required:
        return store.get(query.query_id)  # raises, naming the nearest id
    return np.zeros((0, store.provenance.width), np.float32)


def _check_widths(video: Store, texts: Mapping[str, Store], model: ModelConfig) -> None:
    expected = {"video": sum(width for _, width in model.video_streams), **dict(model.text_streams)}
    if missing := expected.keys() - texts.keys() - {"video"}:
        raise EgolibError(f"no token store for the stream {min(missing)!r}")
    for name, store in {"video": video, **texts}.items():
        if name in expected and store.provenance.width != expected[name]:
            raise EgolibError(
                f"the {name} store is {store.provenance.width} wide, the network expects "
                f"{expected[name]}",
                file=getattr(store, "path", None),
                remedy="published checkpoints need the features that they were trained on",
            )


# -------------------------------------------------------------------- by configuration


def open_data(
    config: Config,
    queries: Sequence[Query],
    roots: Roots,
    *,
    training: bool = False,
    model: ModelConfig | None = None,
) -> NlqData:
    """Questions with the features that a configuration names.

    Args:
        config: of the run.
        queries: the questions.
        roots: folders that the stores are looked for in.
        training: whether they are trained on, or answered.
        model: the network that will read them, where it is not the configuration's own.
    """
    model, data = model or config.model, config.data
    video, texts = open_stores(roots, model, data, training=training)
    row_bytes = 4 * video.provenance.width
    return NlqData(
        queries,
        video,
        texts,
        model,
        data,
        jitter=data.jitter if training else "none",
        video_padding=data.video_padding,
        cached_videos=max(4, CACHE_BYTES // (model.max_length * row_bytes)),
    )
