"""A small network, invented clips and features, shared by the tests of mq."""

from __future__ import annotations

import numpy as np

from egolib.io.features import Provenance
from egolib.mq.config import ActionFormerConfig, DataConfig, ModelConfig
from egolib.mq.data.annotations import Clip, Moment
from egolib.mq.data.classes import make_classes
from egolib.mq.data.dataset import MomentsData

SMALL = ModelConfig(
    feature_width=6,
    length=64,
    width=16,
    classes=4,
    levels=3,
    head_layers=2,
    norm_groups=4,
    anchor_scales=(1, 4),
    neighbors=5,
)
POINTS = ModelConfig(
    feature_width=6,
    length=64,
    classes=4,
    actionformer=ActionFormerConfig(
        width=16, head_width=16, heads=2, stem_blocks=1, branch_blocks=2, windows=(5, 5, -1)
    ),
)
LABELS = ("close", "open", "wash")


class Memory:
    """A store in memory."""

    def __init__(self, arrays: dict[str, np.ndarray], width: int = SMALL.feature_width):
        self.arrays, self.provenance = arrays, Provenance("video", width)

    def get(self, uid: str) -> np.ndarray:
        return self.arrays[uid].astype(np.float32)

    def uids(self) -> list[str]:
        return sorted(self.arrays)

    def length(self, uid: str) -> int:
        return len(self.arrays[uid])

    def __contains__(self, uid: object) -> bool:
        return uid in self.arrays


def clip(number: int, *moments: tuple[str, float, float], subset: str = "train") -> Clip:
    """Clip ``c<number>`` of 30 s with these moments (label, start, end)."""
    found = tuple(Moment(*moment) for moment in moments)
    return Clip(f"c{number}", f"v{number}", subset, 0.0, 30.0, found, record=f"c{number}")


CLIPS = [
    clip(0, ("open", 2, 6), ("wash", 10, 25)),
    clip(1, ("close", 1, 3), ("open", 4, 9), ("close", 20, 24)),
    clip(2, ("wash", 0, 30)),
]


CLASSES = make_classes(CLIPS, DataConfig())


def store(clips=CLIPS, rows: int = 60, seed: int = 0) -> Memory:
    """Two features a second for every clip."""
    shape = (rows, SMALL.feature_width)
    rngs = {c.clip_uid: np.random.default_rng([seed, *c.clip_uid.encode()]) for c in clips}
    return Memory({uid: rng.standard_normal(shape) for uid, rng in rngs.items()})


def data(clips=CLIPS, *, training: bool = True, model: ModelConfig = SMALL, **settings):
    """Items of invented clips."""
    config = DataConfig(**settings)
    return MomentsData(
        clips, store(clips), make_classes(CLIPS, config), model, config, training=training
    )
