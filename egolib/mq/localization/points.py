"""From ActionFormer's outputs to scored candidates in seconds.

B clips, P points of all levels, K - 1 classes without the background, N candidates.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, islice

import numpy as np
import torch

from egolib.mq.config import GridConfig, InferConfig
from egolib.mq.data.annotations import Clip
from egolib.mq.data.points import PointBatch, PointData, PointItem, to_seconds
from egolib.mq.localization.proposals import Proposals, merge
from egolib.mq.models.actionformer import ActionFormer
from egolib.ops.point_windows import Candidates, candidates


def point_clips(
    network: ActionFormer, data: PointData, config: InferConfig, device: str = "cpu"
) -> Iterator[tuple[Clip, Proposals]]:
    """Every clip of the data with its candidates, in order.

    Args:
        network: with its weights, on ``device``.
        data: windows of clips, for inference or training.
        config: thresholds, and windows that are computed at once.
        device: where the network is.
    """
    grid = data.data.grid
    found = (
        pair
        for items in _chunks((data[i] for i in range(len(data))), config.batch_size)
        for pair in point_batch(network, data.collate(items), grid, config, device)
    )
    for _, pairs in groupby(found, key=lambda pair: pair[0].clip.clip_uid):
        windows = list(pairs)
        yield windows[0][0].clip, merge([proposals for _, proposals in windows])


@torch.inference_mode()
def point_batch(
    network: ActionFormer,
    batch: PointBatch,
    grid: GridConfig,
    config: InferConfig,
    device: str = "cpu",
) -> list[tuple[PointItem, Proposals]]:
    """The items of a batch with their candidates, cut at the clips' ends.

    Args:
        network: with its weights, on ``device``.
        batch: windows of clips.
        grid: from features to seconds.
        config: thresholds.
        device: where the network is.
    """
    predictions = network(batch.features.to(device), batch.mask.to(device))
    scores = (predictions.logits.float().sigmoid() * predictions.mask[..., None]).cpu().numpy()
    offsets = predictions.offsets.float().cpu().numpy()
    return [
        (item, _proposals(_likeliest(own, reach, predictions.lengths, config), item, grid))
        for item, own, reach in zip(batch.items, scores, offsets, strict=True)
    ]


def _likeliest(
    scores: np.ndarray, offsets: np.ndarray, lengths: tuple[int, ...], config: InferConfig
) -> Candidates:
    """The best ``config.candidates`` over all levels, best first."""
    most = config.candidates
    found = candidates(
        scores,
        offsets,
        lengths,
        score_threshold=config.score_threshold,
        per_level=most,
        shortest=-np.inf,
    )
    best = np.argsort(-found.scores, kind="stable")[:most]
    return Candidates(found.segments[best], found.scores[best], found.labels[best])


def _proposals(found: Candidates, item: PointItem, grid: GridConfig) -> Proposals:
    places = found.segments.astype(np.float64) + item.first_feat
    seconds = to_seconds(places, item.fps, grid).clip(0, item.clip.duration_sec)
    return Proposals(seconds, found.scores.astype(np.float64), found.labels + 1)


def _chunks(items: Iterable[PointItem], size: int) -> Iterator[Sequence[PointItem]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
