"""Annotations, features, targets. No torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from egolib.mq.config.actionformer import GridConfig

Layout = Literal["egovlpv2", "ego4d"]


@dataclass(frozen=True)
class DataConfig:
    """Annotations and features; paths are below the data root unless absolute.

    Args:
        layout: ``egovlpv2`` has one feature file per clip, ``ego4d`` one per video,
            from which a clip's rows are cut by time.
        annotations: folder of ``moments_{train,val}.json`` and
            ``moments_test_unannotated.json``.
        videos: the table of videos with their durations.
        features: the feature stores; the first one that is there is read. The input
            ``features`` of ``1_data`` comes before them.
        test_truth: answers of the test split, which only the built-in world has.
        class_table: an official ``moment_classes_idx.json``; empty makes the table.
        classes: the class table's source: ``official`` is the labels of train (a class
            that only val has is then an error), ``all_splits`` takes val's too.
        missing_features: ``official`` drops every clip of a video whose first feature
            file (``ego4d``: whose file) is missing, from the truth as well, so that
            scores rise; ``error`` refuses.
        duplicate_clips: a clip that stands in two video objects: ``official`` keeps the
            labels of both, ``merge_unique`` each label once.
        max_boxes: moments of a clip that become boxes; later ones still shape the curves.
        stitching: ``none``, or ``vsgn``: short windows are cut and stitched to a
            stretched copy of themselves (the THUMOS release; no published EgoMQ run).
        window_fraction: length of a cut window, as a fraction of ``model.length``.
        last_validation_batch: ``official`` leaves out the last incomplete batch of the
            validation loss (with fewer clips than a batch the loss is 0 and the first
            epoch is the best one for ever); ``keep`` takes it.
        noise_width: features are replaced by noise of this width; 0 reads them. A control:
            what the annotations alone give.
        grid: where moments lie on ActionFormer's features (``model.actionformer``).
    """

    layout: Layout = "egovlpv2"
    annotations: str = "ego4d/v2/annotations"
    videos: str = "ego4d/ego4d.json"
    features: tuple[str, ...] = ("mq/features",)
    test_truth: str = "truth/moments_test.json"
    class_table: str = ""
    classes: Literal["official", "all_splits"] = "official"
    missing_features: Literal["official", "error"] = "official"
    duplicate_clips: Literal["official", "merge_unique"] = "official"
    max_boxes: int = 50
    stitching: Literal["none", "vsgn"] = "none"
    window_fraction: float = 0.38
    last_validation_batch: Literal["official", "keep"] = "official"
    noise_width: int = 0
    grid: GridConfig = field(default_factory=GridConfig)

    builders: ClassVar[dict[str, Callable[[], DataConfig]]] = {}


def egovlpv2_data() -> DataConfig:
    """Features of each clip by EgoVLPv2, 1.87 a second."""
    return DataConfig()


def ego4d_data() -> DataConfig:
    """SlowFast features of whole videos, 1.875 a second."""
    return DataConfig(layout="ego4d")


DataConfig.builders.update(egovlpv2=egovlpv2_data, ego4d=ego4d_data)
