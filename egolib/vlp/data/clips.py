"""Clips as network input, whatever data set they are from.

Legend: F frames, S side of the input. A view is (F, 3, S, S) float32, normalised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from egolib.errors import EgolibError
from egolib.io.records import Skipped
from egolib.vlp.data.transforms import Crop, Test, as_tensor, random_crop, test_view, train_view

Unreadable = Literal["official", "skip", "error"]

#: Gives the pictures (n, H, W, 3) uint8 of a clip.
Read = Callable[[], np.ndarray]


class UnreadableClip(EgolibError):
    """A clip whose video is missing, damaged or too short."""


@dataclass(frozen=True)
class View:
    """How pictures become input.

    Args:
        frames: F.
        side: S.
        kind: the evaluation view, see ``transforms.test_view``.
        scale: fraction of the picture that random crops keep.
        flip: probability of mirroring in training.
    """

    frames: int
    side: int
    kind: Test = "ego4d"
    scale: tuple[float, float] = (0.5, 1.0)
    flip: float = 0.5

    def test(self, images: np.ndarray) -> Tensor:
        """(n, 3, S, S) of pictures (n, H, W, 3) uint8."""
        return test_view(as_tensor(images), self.side, self.kind)

    def train(self, images: np.ndarray, rng: np.random.Generator) -> Tensor:
        """The same with a random crop, one for all frames."""
        height, width = images.shape[1:3]
        crop = random_crop(height, width, rng, self.scale, self.flip)
        rows, columns = crop.slices
        whole = Crop(0, 0, crop.height, crop.width, crop.flip)
        return train_view(as_tensor(images[:, rows, columns]), whole, self.side)


@dataclass(frozen=True)
class Clip:
    """A view of a clip, and why it is black, if it is."""

    video: Tensor
    read_error: str | None = None


def load_clip(
    read: Read,
    view: View,
    *,
    rng: np.random.Generator | None = None,
    unreadable: Unreadable = "official",
    record: object = None,
) -> Clip:
    """A clip's view (F, 3, S, S); frames that are missing are zeros.

    Official behaviour: a clip that cannot be read becomes one black picture, which
    goes through the transform, and zeros. ``read_error`` says why.

    Args:
        read: gives up to F pictures (n, H, W, 3) uint8.
        view: how pictures become input.
        rng: crops at random; None takes the evaluation view.
        unreadable: what a clip that cannot be read becomes.
        record: what the clip is called in errors.

    Raises:
        UnreadableClip: the clip cannot be read, unless ``unreadable`` is ``official``.
    """
    read_error = None
    try:
        images = read()
    except (EgolibError, IndexError) as error:
        read_error = str(error).split("\n")[0]
        if unreadable != "official":
            raise UnreadableClip(read_error, record=record) from error
        images = np.zeros((1, view.side, view.side, 3), np.uint8)
    seen = view.train(images, rng) if rng is not None else view.test(images)
    video = torch.zeros(view.frames, 3, view.side, view.side)
    video[: len(seen)] = seen[: view.frames]
    return Clip(video, read_error)


def stream_views(
    reads: Sequence[Read],
    records: Sequence[object],
    view: View,
    *,
    skipped: Skipped | None = None,
    workers: int = 0,
) -> Iterator[Tensor]:
    """Evaluation views (F, 3, S, S) of clips, in order.

    Clips that cannot be read are black, matching the official code, and listed.

    Args:
        reads: one a clip; with workers they must be picklable.
        records: what the clips are called.
        view: how pictures become input.
        skipped: gets those that cannot be read.
        workers: processes that read ahead; 0 reads in this one.
    """
    loader = DataLoader(_Views(reads, view), batch_size=None, num_workers=workers)
    for record, clip in zip(records, loader, strict=True):
        if clip.read_error is not None and skipped is not None:
            skipped.add(record, clip.read_error)
        yield clip.video


class _Views(Dataset[Clip]):
    """The clips behind ``stream_views``."""

    def __init__(self, reads: Sequence[Read], view: View):
        self.reads, self.view = reads, view

    def __len__(self) -> int:
        return len(self.reads)

    def __getitem__(self, index: int) -> Clip:
        return load_clip(self.reads[index], self.view)
