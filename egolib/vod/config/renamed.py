"""Names that fields of the configuration once had; a parameter file that uses one is told."""

from __future__ import annotations

_BANK = ("size", "keys", "bank", "pixels_per_frame", "pixels_per_box", "pixel_score")
_WINDOWS = ("window", "position", "global_size", "memory", "memory_limit")
_LOCATION = (
    "size",
    "keys",
    "score",
    "cells_per_box",
    "cells_per_frame",
    "fallback",
    "bank_reset",
    "bank",
    "queries",
    "query_score",
    "query_scale",
    "size_prior",
    "border",
)


def _moved(old: str, new: str, names: tuple[str, ...]) -> dict[str, str]:
    return {f"{old}.{name}": f"{new}.{name}" for name in names}


RENAMED: dict[str, str] = {
    "data.pipeline.long": "data.pipeline.long_side",
    "data.pipeline.short": "data.pipeline.short_side",
    "data.pipeline.shorts": "data.pipeline.short_sides",
    "data.pipeline.crop_shorts": "data.pipeline.crop_short_sides",
    "data.pipeline.augmented_long": "data.pipeline.augmented_long_side",
    "data.test_references": "infer.references",
    "data.shuffle_frames": "infer.shuffle_frames",
    "data.shuffle_seed": "infer.shuffle_seed",
    "data.motion": "evaluate.motion",
    "data.mega.seed": "seed",
    "model.detections": "infer.detections",
    "model.fcos.before": "infer.level_limit",
    "model.rpn.sample.positive_share": "model.rpn.sample.positive_fraction",
    "model.head.sample.positive_share": "model.head.sample.positive_fraction",
    "model.support.window": "infer.references.method",
    "model.support.left": "infer.references.window",
    "model.support.stride": "infer.references.stride",
    "model.support.centre": "infer.centre",
    **_moved("model.memory", "infer.memory", (*_BANK, "pixel_fallback")),
    **_moved("model.mega", "infer.mega", _WINDOWS),
    **_moved("model.temporal", "infer.temporal", ("dilations", "policy")),
    **_moved("model.location", "infer.location", _LOCATION),
    "model.flow.key_interval": "infer.key_interval",
    "model.flow.left": "infer.references.window",
    "model.flow.stride": "infer.references.stride",
    "train.drops": "optim.milestones",
    "train.drop_unit": "optim.milestone_unit",
    "train.bias_rate": "optim.bias_lr_factor",
    "train.warmup_start": "optim.warmup_start_factor",
    "train.initial_weights": "initial.weights",
    "train.initial_format": "initial.format",
    "train.objects.batch": "initial.objects.batch_size",
    "train.objects": "initial.objects",
    "train": "optim",
}
