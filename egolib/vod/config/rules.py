"""Which settings cannot work together: refused when a configuration is built, with a remedy.

Every rule names the fields that contradict each other and says what would fit (no torch).
"""

from __future__ import annotations

from egolib.engine.config import FitConfig
from egolib.engine.rules import require
from egolib.vod.config.data import DataConfig, PipelineConfig, ReferenceConfig
from egolib.vod.config.infer import InferConfig
from egolib.vod.config.model import ModelConfig
from egolib.vod.config.optim import NO_START, InitialConfig

# The frame detectors that each method is defined on.
DETECTORS = {
    "single": ("rcnn", "c4", "fcos"),
    "selsa": ("rcnn",),
    "mamba": ("rcnn",),
    "mega": ("c4",),
    "stpn": ("rcnn",),
    "tdvit": ("rcnn",),
    "eovod": ("fcos",),
    "dff": ("rcnn",),
    "fgfa": ("rcnn",),
}
# Methods that train on references of any number, chosen by these methods.
ON_REFERENCES = ("selsa", "mamba", "stpn", "eovod", "dff", "fgfa")
DRAWN = ("uniform", "bilateral_uniform")
# Methods whose state moves on from frame to frame.
ORDERED = ("mega", "tdvit", "dff", "fgfa")


# ---------------------------------------------------------------------------- network


def check_model(model: ModelConfig) -> None:
    """A network can be built and its parts fit each other.

    Args:
        model: its settings.

    Raises:
        EgolibError: naming the fields that contradict each other.
    """
    _check_method(model)
    _check_backbone(model)
    _check_neck(model)
    if model.detector == "fcos":
        _check_dense(model)
    _check_heads(model)


def _check_method(model: ModelConfig) -> None:
    known = DETECTORS[model.method]
    require(
        model.detector in known,
        f"model.method {model.method} is not defined on model.detector {model.detector}",
        f"model.detector: {' or '.join(known)}",
    )
    require(
        model.method not in ("stpn", "tdvit") or model.backbone == "swin",
        f"model.method {model.method} is a Swin transformer, model.backbone is {model.backbone}",
        "model.backbone: swin, with model.neck: pyramid",
    )
    require(
        model.method not in ("dff", "fgfa") or model.neck == "reduce",
        f"model.method {model.method} moves one map, model.neck {model.neck} gives others",
        "model.neck: reduce",
    )
    levels = model.memory.instance or model.memory.pixel
    require(
        model.method != "mamba" or levels,
        "model.memory.instance and model.memory.pixel are both off: MAMBA would remember nothing",
        "leave one of them on, or model.method: single",
    )


def _check_backbone(model: ModelConfig) -> None:
    resnet, swin = model.resnet, model.swin
    if model.backbone == "resnet":
        lengths = {len(resnet.blocks), len(resnet.strides), len(resnet.dilations)}
        stages = [f"stage{i + 1}" for i in range(len(resnet.blocks))]
        require(
            len(lengths) == 1,
            "model.resnet.blocks, .strides and .dilations have different lengths",
            "give one number a stage in each",
        )
        require(
            resnet.freeze in ("none", "stem", *stages),
            f"model.resnet.freeze is {resnet.freeze!r}, the network has {len(stages)} stages",
            f"none, stem, {', '.join(stages)}",
        )
        return
    require(
        len(swin.depths) == len(swin.heads),
        "model.swin.depths and model.swin.heads have different lengths",
        "give one number a stage in each",
    )
    widths = [swin.width * 2**i for i in range(len(swin.depths))]
    require(
        all(width % heads == 0 for width, heads in zip(widths, swin.heads, strict=True)),
        f"model.swin.heads {swin.heads} do not divide the widths {tuple(widths)} of the stages",
        "choose heads that divide model.swin.width * 2**stage",
    )
    if model.method == "tdvit":
        layout = model.temporal.layout
        require(
            tuple(map(len, layout)) == tuple(swin.depths),
            f"model.temporal.layout {layout} does not fit model.swin.depths {swin.depths}",
            "give every block of every stage a letter, s or t",
        )


def _check_neck(model: ModelConfig) -> None:
    if model.detector == "c4":
        require(
            model.backbone == "resnet" and model.neck == "none",
            "model.detector c4 ends a ResNet in its head: it has no neck "
            f"(model.backbone {model.backbone}, model.neck {model.neck})",
            "model.backbone: resnet, model.neck: none",
        )
    if model.detector == "fcos":
        require(
            model.neck == "pyramid",
            f"model.detector fcos reads a pyramid, model.neck is {model.neck}",
            "model.neck: pyramid, with one of model.fcos.strides a level",
        )
        return
    anchors, regions = len(model.rpn.anchors.strides), len(model.head.roi.strides)
    sizes = len(model.rpn.anchors.sizes)
    levels = model.pyramid.levels if model.neck == "pyramid" else 1
    require(
        anchors == sizes == levels,
        f"model.rpn.anchors has {anchors} strides and {sizes} lists of sizes, model.neck "
        f"{model.neck} gives {levels} maps",
        f"give {levels} of each, or choose another model.neck",
    )
    require(
        regions <= levels,
        f"model.head.roi.strides reads {regions} maps, model.neck {model.neck} gives {levels}",
        f"give at most {levels} strides",
    )


def _check_dense(model: ModelConfig) -> None:
    levels, strides, ranges = model.pyramid.levels, model.fcos.strides, model.fcos.ranges
    require(
        len(strides) == levels == len(ranges) + 1,
        f"model.fcos has {len(strides)} strides and {len(ranges)} ranges, model.pyramid.levels is "
        f"{levels}",
        "give one stride a level and one range less",
    )
    require(
        model.pyramid.channels % model.fcos.groups == 0,
        f"model.fcos.groups {model.fcos.groups} does not divide model.pyramid.channels "
        f"{model.pyramid.channels}",
        "choose a divisor",
    )
    if model.method == "eovod":
        stages = len(model.resnet.blocks if model.backbone == "resnet" else model.swin.depths)
        known = set(range(stages))
        require(
            bool(model.location.levels) and set(model.location.levels) <= known,
            f"model.location.levels {model.location.levels} are not maps of the backbone",
            f"choose among {sorted(known)}",
        )


def _check_heads(model: ModelConfig) -> None:
    width = model.head.width
    if model.method == "selsa" or (model.method == "mamba" and model.memory.instance):
        require(
            width % model.support.heads == 0,
            f"model.support.heads {model.support.heads} does not divide model.head.width {width}",
            "choose a divisor",
        )
    if model.method == "mega":
        require(
            width % model.mega.groups == 0,
            f"model.mega.groups {model.mega.groups} does not divide model.head.width {width}",
            "choose a divisor",
        )
        require(
            model.mega.embedding % 8 == 0,
            f"model.mega.embedding {model.mega.embedding} is no multiple of 8",
            "four values, a sine and a cosine each",
        )
    if model.method == "stpn" and model.prompt.predictor == "attention":
        require(
            model.swin.width % model.prompt.heads == 0,
            f"model.prompt.heads {model.prompt.heads} does not divide model.swin.width "
            f"{model.swin.width}",
            "choose a divisor",
        )


# ------------------------------------------------------------------------------- data


def _check_pipeline(pipeline: PipelineConfig) -> None:
    low, high = pipeline.crop
    require(
        0 < low <= high,
        f"data.pipeline.crop {pipeline.crop} is no range of sizes",
        "give the smallest size first",
    )
    require(
        bool(pipeline.short_sides) and bool(pipeline.crop_short_sides),
        "data.pipeline.short_sides and .crop_short_sides must name a size",
        "give at least one",
    )
    require(
        0 <= pipeline.flip <= 1,
        f"data.pipeline.flip {pipeline.flip} is no probability",
        "a number from 0 to 1",
    )


def _check_references(name: str, references: ReferenceConfig) -> None:
    first, last = references.window
    require(
        first <= 0 <= last,
        f"{name}.window {references.window} does not hold the frame itself",
        "give (-before, after)",
    )
    require(references.stride >= 1, f"{name}.stride is {references.stride}", "1 or more")
    require(
        references.method != "bilateral_uniform" or references.number % 2 == 0,
        f"{name}.method bilateral_uniform draws half of its references on each side, "
        f"{name}.number is {references.number}",
        "choose an even number, or method: uniform",
    )


# -------------------------------------------------------------------------- whole run


def check_run(
    data: DataConfig, model: ModelConfig, infer: InferConfig, initial: InitialConfig, fit: FitConfig
) -> None:
    """Data, network, testing and training fit each other.

    Args:
        data: what is seen.
        model: the network.
        infer: how it is tested.
        initial: where it starts.
        fit: how long it trains, and when it is evaluated.

    Raises:
        EgolibError: naming the fields that contradict each other.
    """
    check_model(model)
    _check_pipeline(data.pipeline)
    _check_references("data.train_references", data.train_references)
    _check_references("infer.references", infer.references)
    _check_classes(model, data)
    _check_training_references(model, data)
    check_testing(model, infer)
    _check_training_files(data)
    _check_evaluation(fit)
    _check_start(model, initial)


def _check_classes(model: ModelConfig, data: DataConfig) -> None:
    named = len(data.classes) or 30
    require(
        model.classes == named,
        f"model.classes is {model.classes}, data.classes names {named}",
        "both count the same classes; an empty data.classes means the 30 of ImageNet VID",
    )


def _check_training_references(model: ModelConfig, data: DataConfig) -> None:
    references = data.train_references
    if model.method in ON_REFERENCES:
        require(
            references.method in DRAWN and references.number >= 1,
            f"model.method {model.method} trains on references, data.train_references draws none "
            f"(method {references.method}, number {references.number})",
            f"data.train_references.method: {' or '.join(DRAWN)}, with number and window; or the "
            f"published data: {{builder: {model.method}}}",
        )
    if model.method == "tdvit":
        stages = len(model.swin.depths)
        require(
            references.method == "stagewise_uniform" and len(references.reach) == stages,
            f"model.method tdvit trains on one reference for each of {stages} stages, "
            f"data.train_references is {references.method} with reach {references.reach}",
            "data.train_references: {method: stagewise_uniform, reach: [one a stage]}",
        )


def check_testing(model: ModelConfig, infer: InferConfig) -> None:
    """Settings of testing fit a network.

    Args:
        model: its settings.
        infer: those of testing.

    Raises:
        EgolibError: naming the fields that contradict each other.
    """
    method, references = model.method, infer.references
    require(
        references.method not in (*DRAWN, "stagewise_uniform"),
        f"infer.references.method {references.method} draws references by chance, for training",
        "none, adaptive_stride or fixed_stride",
    )
    slides = method in ("selsa", "fgfa")
    require(
        references.method != "fixed_stride" or slides,
        f"model.method {method} has no sliding window, infer.references.method is fixed_stride",
        "adaptive_stride, or none",
    )
    require(
        method != "fgfa" or references.method != "adaptive_stride",
        "model.method fgfa averages a sliding window, infer.references.method is adaptive_stride",
        "fixed_stride, or none for the frame alone",
    )
    require(
        not (infer.shuffle_frames and (infer.slides or method in ORDERED)),
        f"model.method {method} uses frame order, infer.shuffle_frames mixes it up",
        "infer.shuffle_frames: false",
    )
    _check_memories(model, infer)


def _check_memories(model: ModelConfig, infer: InferConfig) -> None:
    mega, queue = infer.mega, infer.temporal
    require(
        model.method != "mega" or 0 <= mega.position < mega.window,
        f"infer.mega.position {mega.position} lies outside a window of {mega.window}",
        "0 to window - 1",
    )
    require(
        model.method != "tdvit" or len(queue.dilations) == len(model.swin.depths),
        f"infer.temporal.dilations {queue.dilations} for {len(model.swin.depths)} stages",
        "give one a stage",
    )
    require(
        model.method != "dff" or infer.key_interval >= 1,
        f"infer.key_interval is {infer.key_interval}",
        "1 computes every frame",
    )
    require(
        infer.detections.limit >= 1,
        f"infer.detections.limit is {infer.detections.limit}",
        "1 or more",
    )


def _check_training_files(data: DataConfig) -> None:
    known = {"videos": data.train_vid, "stills": data.train_det}
    require(
        bool(known.get(data.train_on, data.train_vid or data.train_det)),
        f"data.train_on is {data.train_on}, data.train_vid or data.train_det name no such file",
        "name the file, or choose another data.train_on",
    )


def _check_evaluation(fit: FitConfig) -> None:
    evaluates = fit.evaluate_every or fit.evaluate_every_updates or fit.evaluate_first
    require(
        not fit.monitor or bool(evaluates),
        f"fit.monitor is {fit.monitor!r}, but nothing is evaluated in training",
        "fit.evaluate_every: 1",
    )


def _check_start(model: ModelConfig, initial: InitialConfig) -> None:
    require(
        initial.flow in NO_START or model.method in ("dff", "fgfa"),
        f"initial.flow is for a flow network, model.method {model.method} has none",
        "leave initial.flow empty",
    )
    backbone = {"torchvision": "resnet", "msra": "resnet", "microsoft": "swin"}
    wanted = backbone.get(initial.format, model.backbone)
    require(
        not initial.given or wanted == model.backbone,
        f"initial.format {initial.format} is for {wanted}, model.backbone is {model.backbone}",
        "microsoft for swin; torchvision or msra for resnet",
    )
