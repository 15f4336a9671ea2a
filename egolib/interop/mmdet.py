"""The bridge to mmdet 3.x, in both directions (``make bridge-mmdet``).

Ours there: ``register`` makes every video detector of ``egolib.vod`` a model of mmdet's
registry; ``model_settings`` writes its ``model=`` section::

    register()
    model = mmdet.registry.MODELS.build(model_settings("frcnn_r101_dc5"))

``model.train_step(batch, optimizer)`` and ``model.test_step(batch)`` then do what mmdet's own do.

Theirs here: ``load_frames`` makes any mmdet detector a frame detector with the verbs of
``egolib.vod``, so that it goes through its videos, files, notebooks and metrics::

    detector = load_frames("faster-rcnn_r50_fpn_1x_coco.py", "faster_rcnn.pth")
    for frame in detector.detect("kitchen.mp4", fps=5): ...
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from egolib.config import to_tree
from egolib.errors import EgolibError, nearest
from egolib.interop import mmcv_kernels, require
from egolib.vod.config import (
    DataConfig,
    InferConfig,
    ModelConfig,
    PipelineConfig,
    networks,  # noqa: F401  (fills ModelConfig.builders)
)
from egolib.vod.config.infer import published_infer

if TYPE_CHECKING:
    from torch import nn

    from egolib.vod.api import Detector

NAME = "EgolibDetector"  # of our detectors in mmdet's registry


def register() -> type:
    """Registers our detectors with mmdet as ``EgolibDetector``; returns that class.

    Raises:
        EgolibError: mmdet is not installed.
    """
    _prepare()
    from mmdet.registry import MODELS

    from egolib.interop.mmdet_models import EgolibDetector

    MODELS.register_module(name=NAME, module=EgolibDetector, force=True)
    return EgolibDetector


def _prepare() -> None:
    require("mmdet")
    mmcv_kernels.install()


# ------------------------------------------------------------------------ ours there


def model_settings(
    network: str | ModelConfig,
    data: DataConfig | None = None,
    *,
    infer: InferConfig | None = None,
    weights: str | Path = "",
    clips: bool = False,
    seed: int = 0,
) -> dict[str, Any]:
    """The ``model=`` section of an mmdet configuration, for one of our detectors.

    Args:
        network: a published one by name, or its settings.
        data: preparation of images; as published for that network by default.
        infer: settings of testing; as published for that network by default.
        weights: an egolib checkpoint to load.
        clips: samples are ``TrackDataSample`` clips and videos (T, 3, H, W), as the
            methods that look at other frames need; else single images.
        seed: of shuffles and memories in testing.
    """
    from egolib.vod.api import published_data

    config = _published(network) if isinstance(network, str) else network
    data = data or published_data(config)
    pipeline = data.pipeline
    return {
        "type": NAME,
        "network": to_tree(config),
        "data": to_tree(data),
        "infer": to_tree(infer or published_infer(config)),
        "weights": str(weights),
        "seed": seed,
        "data_preprocessor": {
            "type": "TrackDataPreprocessor" if clips else "DetDataPreprocessor",
            "mean": list(pipeline.mean),
            "std": list(pipeline.std),
            "bgr_to_rgb": pipeline.channels == "rgb",
            "pad_size_divisor": pipeline.divisor,
        },
    }


def test_pipeline(pipeline: PipelineConfig) -> list[dict[str, Any]]:
    """mmdet's steps that prepare a test image as ``pipeline`` does.

    Raises:
        EgolibError: with Pillow's resize, whose sizes mmdet cannot be made to take.
    """
    if pipeline.interpolation != "opencv":
        raise EgolibError(
            "mega.pytorch's resize has no counterpart in mmdet",
            remedy="prepare images with egolib.vod, or set interpolation to opencv",
        )
    return [
        {"type": "LoadImageFromFile"},
        {"type": "Resize", "scale": (pipeline.long_side, pipeline.short_side), "keep_ratio": True},
        {
            "type": "PackDetInputs",
            "meta_keys": ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor"),
        },
    ]


test_pipeline.__test__ = False  # type: ignore[attr-defined]


def _published(name: str) -> ModelConfig:
    if name not in ModelConfig.builders:
        raise EgolibError(f"unknown network {name!r}", remedy=nearest(name, ModelConfig.builders))
    return ModelConfig.builders[name]()


# ---------------------------------------------------------------------- theirs here


def load_frames(
    config: str | Path | Mapping[str, Any],
    checkpoint: str | Path | None = None,
    *,
    classes: Sequence[str] = (),
    wanted: Sequence[tuple[str, str]] = (),
    rename: Mapping[str, str] | None = None,
    device: str = "cpu",
) -> Detector:
    """An mmdet detector as a frame detector of ``egolib.vod``.

    Images are prepared as the configuration's test pipeline and data preprocessor say
    (size, mean, deviation, channel order, padding).

    Args:
        config: mmdet's configuration, a file (which mmengine executes) or its content.
        checkpoint: its weights, read without executing what is pickled; None keeps the
            initial ones.
        classes: the detector's class names in label order; by default those that the
            configuration's test data set names.
        wanted: (name, wnid) of the classes of the data set that it is used on; others
            are left out, and labels are numbered by this list. All by default.
        rename: the detector's name of a class -> the data set's (``{"cow": "cattle"}``).
        device: where it runs.

    Raises:
        EgolibError: no class names, none of the wanted ones, a checkpoint that does not
            fit, or a preparation that cannot be expressed.
    """
    _prepare()
    import torch

    from egolib.interop.mmdet_models import MmdetFrames, build_mmdet
    from egolib.vod.api import Detector

    settings = _settings(config)
    model = build_mmdet(settings["model"])
    if checkpoint is not None:
        _load_weights(model, checkpoint)
    names = [(rename or {}).get(name, name) for name in classes or _class_names(settings)]
    kept = tuple(wanted) or tuple((name, "") for name in names)
    places = {name: label for label, (name, _) in enumerate(kept)}
    labels = torch.tensor([places.get(name, -1) for name in names])
    if (labels < 0).all():
        raise EgolibError(
            f"none of the wanted classes is among the detector's: {', '.join(names)}",
            remedy="map its names with rename={...}",
        )
    data = DataConfig(classes=kept, pipeline=_pipeline(settings))
    frames = MmdetFrames(model, labels)
    settings_of_testing = InferConfig(device=device)
    return Detector(frames, ModelConfig(classes=len(kept)), data, settings_of_testing)


def _settings(config: str | Path | Mapping[str, Any]) -> Mapping[str, Any]:
    if isinstance(config, Mapping):
        return config
    from mmengine.config import Config

    if not Path(config).is_file():
        raise EgolibError("the configuration does not exist", file=config)
    result: Mapping[str, Any] = Config.fromfile(str(config))
    return result


def _load_weights(model: nn.Module, path: str | Path) -> None:
    from egolib.io.checkpoint import compare, find_state, read_foreign

    state = find_state(read_foreign(path))
    compare(state, model.state_dict()).require_complete(file=path)
    model.load_state_dict(state)


def _test_data(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    return (settings.get("test_dataloader") or {}).get("dataset") or {}


def _class_names(settings: Mapping[str, Any]) -> Sequence[str]:
    data = _test_data(settings)
    names = (data.get("metainfo") or {}).get("classes")
    if names is None and "type" in data:
        from mmdet.registry import DATASETS

        kind = DATASETS.get(data["type"])
        names = getattr(kind, "METAINFO", {}).get("classes")
    if not names:
        raise EgolibError("the configuration names no classes", remedy="give classes=[...]")
    result: Sequence[str] = names
    return result


def _pipeline(settings: Mapping[str, Any]) -> PipelineConfig:
    """The preparation of a configuration's test images in our terms."""
    steps = _test_data(settings).get("pipeline") or settings.get("test_pipeline") or ()
    resize: Mapping[str, Any] = next((s for s in steps if s.get("type") == "Resize"), {})
    if resize and not resize.get("keep_ratio"):
        raise EgolibError("the test pipeline changes the ratio of sides: Resize without keep_ratio")
    scale = resize.get("scale", (1333, 800))
    before = settings["model"].get("data_preprocessor") or {}
    return PipelineConfig(
        long_side=max(scale),
        short_side=min(scale),
        channels="rgb" if before.get("bgr_to_rgb") else "bgr",
        mean=tuple(before.get("mean") or (0.0, 0.0, 0.0)),
        std=tuple(before.get("std") or (1.0, 1.0, 1.0)),
        divisor=before.get("pad_size_divisor", 1),
    )
