"""One run of video object detection; defaults are published values (no torch)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from egolib.engine.config import FitConfig
from egolib.errors import EgolibError
from egolib.vod.config import networks
from egolib.vod.config.data import DataConfig
from egolib.vod.config.infer import InferConfig
from egolib.vod.config.model import ModelConfig
from egolib.vod.config.optim import InitialConfig, OptimConfig
from egolib.vod.config.renamed import RENAMED
from egolib.vod.config.rules import check_run


@dataclass(frozen=True)
class EvaluateConfig:
    """Scoring.

    Args:
        motion: motion table of the VID metric below the data root, official ``.mat`` or
            ours; empty computes it from the tracks.
        vid_style: whether the VID metric is computed, over all objects and by speed.
        coco_style: whether COCO's AP is computed.
        extent: of boxes in the VID metric; ``official`` is what published numbers rest on,
            here and below (see ``egolib.metrics.detection``).
        borders: of its ranges of speed.
        sort: of equal scores in it.
    """

    motion: str = ""
    vid_style: bool = True
    coco_style: bool = True
    extent: Literal["official", "plain"] = "official"
    borders: Literal["official", "half_open"] = "official"
    sort: Literal["official", "stable"] = "official"

    def __post_init__(self) -> None:
        if not (self.vid_style or self.coco_style):
            raise EgolibError(
                "evaluate.vid_style and evaluate.coco_style are both off: nothing is scored",
                remedy="leave one of them on",
            )


@dataclass(frozen=True)
class Config:
    """One run: everything that a variant and a preset decide.

    Args:
        seed: of weights, orders, references, sampled regions and memories.
        world_seed: of the built-in world.
        data: what is seen.
        model: the network that sees it.
        optim: how it learns.
        initial: where its weights start.
        fit: how long it learns.
        infer: how it is tested; no training depends on it.
        evaluate: how it is scored; no training depends on it.
    """

    seed: int = 0
    world_seed: int = 0
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=networks.frcnn_r101_dc5)
    optim: OptimConfig = field(default_factory=OptimConfig)
    initial: InitialConfig = field(default_factory=InitialConfig)
    fit: FitConfig = field(
        default_factory=lambda: FitConfig(
            epochs=6, batch_size=8, micro_batch_size=1, clip_norm=35.0
        )
    )
    infer: InferConfig = field(default_factory=InferConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)

    renamed: ClassVar[dict[str, str]] = RENAMED
    #: What other tasks have and this one not: why, and what to do instead.
    absent: ClassVar[dict[str, tuple[str, str]]] = {
        "data.backend": (
            "vod's steps read images and decode no video",
            "for a video of your own: detect(VideoReader(path, backend=...))",
        )
    }

    def __post_init__(self) -> None:
        check_run(self.data, self.model, self.infer, self.initial, self.fit)
