"""From clips with features to their candidates: batches through the network, windows merged.

B clips, T positions, A boxes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, islice

import torch

from egolib.mq.config import InferConfig
from egolib.mq.data.annotations import Clip
from egolib.mq.data.dataset import Batch, Item, MomentsData
from egolib.mq.localization.proposals import ClipOutputs, Proposals, merge, propose
from egolib.mq.models.vsgn import VSGN, Predictions


def propose_clips(
    network: VSGN, data: MomentsData, config: InferConfig, device: str = "cpu"
) -> Iterator[tuple[Clip, Proposals]]:
    """Every clip of the data with its candidates, in order.

    Args:
        network: with its weights, on ``device``.
        data: clips with features; with stitching several windows of each.
        config: thresholds, and clips that are computed at once.
        device: where the network is.
    """
    found = (
        pair
        for items in _chunks((data[i] for i in range(len(data))), config.batch_size)
        for pair in propose_batch(network, data.collate(items), config, device)
    )
    for _, pairs in groupby(found, key=lambda pair: pair[0].clip.clip_uid):
        windows = list(pairs)
        yield windows[0][0].clip, merge([proposals for _, proposals in windows])


@torch.inference_mode()
def propose_batch(
    network: VSGN, batch: Batch, config: InferConfig, device: str = "cpu"
) -> list[tuple[Item, Proposals]]:
    """The items of a batch with their candidates.

    Args:
        network: with its weights, on ``device``.
        batch: clips or windows.
        config: thresholds.
        device: where the network is.
    """
    predictions = network(batch.features.to(device), batch.lengths.to(device))
    return [
        (
            item,
            propose(
                outputs,
                item.valid,
                item.fps,
                config,
                first_feat=item.first_feat,
                stitched=network.config if item.stitched else None,
            ),
        )
        for item, outputs in zip(batch.items, clip_outputs(predictions), strict=True)
    ]


def clip_outputs(predictions: Predictions) -> list[ClipOutputs]:
    """The outputs for every clip of a batch, as arrays."""
    values = (
        predictions.scores(),
        predictions.adjusted,
        predictions.startness,
        predictions.endness,
    )
    arrays = [value.float().cpu().numpy() for value in values]
    return [ClipOutputs(*row) for row in zip(*arrays, strict=True)]


def _chunks(items: Iterable[Item], size: int) -> Iterator[Sequence[Item]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
