"""What can be set for VSLNet; the defaults are the published values of EgoNLQ.

``vslnet()`` and ``vslnet_small()`` are the published networks, ``published_fit()`` their
training loop. Numbers only; no torch.

Where published numbers rest on a quirk, the field is a choice whose first value,
``official``, reproduces it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

from egolib.engine.config import FitConfig

# what the official evaluation prints
THRESHOLDS = (0.3, 0.5, 0.01)
TOP_K = (1, 3, 5)

#: The networks by the name that ``egolib convert`` knows.
NAMES = {"attention": "nlq/vslnet", "concatenation": "nlq/vslnet_small"}


@dataclass(frozen=True)
class VslnetConfig:
    """VSLNet in place of GroundNLQ.

    Args:
        video_width: channels of the video features; 0 takes those of the store.
        text_width: channels of the token states; 0 takes those of the store.
        width: channels C of the whole network.
        heads: of every self attention.
        max_length: cells of a clip; longer features are merged, see ``SpanDataConfig``.
        kernel: width of the depthwise convolutions, in cells; odd.
        conv_layers: depthwise separable convolutions of each encoder.
        dropout: everywhere.
        fusion: how the question reaches the video: ``attention`` (context-query
            attention, then concatenation) or ``concatenation`` alone (the small network).
        small_predictor: what the small network's predictor reads: ``official`` the
            encoded video, so that starts and ends know nothing of the question (quirk),
            ``highlighted`` the highlighted fusion.
        padding: ``official`` lets the convolutions read the padding, so that a result
            depends on the batch's longest clip; ``per_clip`` computes every clip and
            every question as if alone.
    """

    video_width: int = 768
    text_width: int = 768
    width: int = 128
    heads: int = 8
    max_length: int = 256
    kernel: int = 7
    conv_layers: int = 4
    dropout: float = 0.2
    fusion: Literal["attention", "concatenation"] = "attention"
    small_predictor: Literal["official", "highlighted"] = "official"
    padding: Literal["official", "per_clip"] = "official"

    builders: ClassVar[dict[str, Callable[[], VslnetConfig]]] = {}


def vslnet() -> VslnetConfig:
    """VSLNet (arXiv 2004.13931) as EgoVLPv2 tunes it: 702,595 parameters."""
    return VslnetConfig()


def vslnet_small() -> VslnetConfig:
    """The row "QGH + Span" of EgoVLPv2: no context-query attention; 636,547 parameters."""
    return VslnetConfig(fusion="concatenation")


VslnetConfig.builders.update(vslnet=vslnet, vslnet_small=vslnet_small)


@dataclass(frozen=True)
class SpanDataConfig:
    """From questions in seconds to cells of a clip.

    Args:
        rate: grid steps a second that all times are first laid on.
        rounding: ``official`` rounds starts, ends and lengths down (quirk); ``outward``
            starts down, ends and lengths up.
        empty_windows: the cells of a window that overlaps none: ``official`` the first
            of the clip (quirk), ``nearest`` the nearest ones.
        label_length: cells that a clip is cut into: ``official`` takes the table of
            lengths where there is one, which may differ from the features (quirk),
            ``features`` theirs.
        merging: above ``max_length`` features are averaged in groups: ``official``
            leaves out the last of them where the clip is at least half as long again
            (quirk), ``complete`` counts every one.
        tokens: positions of a question; longer ones are cut, shorter ones padded.
        extension: share of a window's length that its highlight reaches beyond either
            end.
        shapes: JSON file with the length of each clip's features
            (``feature_shapes.json``), below the data root; empty for none. Clips that it
            lacks are left out.
        masks: store of the questions' token masks beside ``data.text_stores``, below the
            data root; empty where every row of a question is a token.
        published: folder with ``train``, ``val`` and ``test`` of the published
            ``feat_<i>.pt``, below the data root, in place of stores; empty for none.
    """

    rate: float = 1.875
    rounding: Literal["official", "outward"] = "official"
    empty_windows: Literal["official", "nearest"] = "official"
    label_length: Literal["official", "features"] = "official"
    merging: Literal["official", "complete"] = "official"
    tokens: int = 30
    extension: float = 0.1
    shapes: str = ""
    masks: str = ""
    published: str = ""


@dataclass(frozen=True)
class SpanLossConfig:
    """The training loss.

    Args:
        highlight_weight: of the highlight loss, beside that of starts and ends.
        foreground_weight: of a highlighted cell, beside 1 of any other.
        highlight_loss: ``official`` is computed from probabilities in float32, which
            are 1 from a logit of about 17 on; an unhighlighted cell then costs 100
            and gives no gradient. ``logits`` has no such step.
    """

    highlight_weight: float = 5.0
    foreground_weight: float = 2.0
    highlight_loss: Literal["official", "logits"] = "official"


@dataclass(frozen=True)
class SpanTrainConfig:
    """Optimisation; length, batches and clipping are those of ``FitConfig``.

    Args:
        learning_rate: at the start, or after the warm-up.
        betas: decay of AdamW's two moments.
        epsilon: added to the root of the second moment before its bias is corrected.
        weight_decay: on all parameters but biases and layer norms.
        warmup: share of all updates over which the rate rises.
        select_on: which weights are the result: ``official`` the best of about two
            evaluations an epoch on the validation set, whose scores then flatter;
            ``last`` the last.
    """

    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-6
    weight_decay: float = 0.01
    warmup: float = 0.0
    select_on: Literal["official", "last"] = "official"


@dataclass(frozen=True)
class SpanInferConfig:
    """From starts and ends to windows in seconds.

    Args:
        windows: how many each question gets, at most.
        longest_sec: the longest of them; 0 allows any, as the ``official`` code does, where a
            likely start and a likely end of different moments make one long window.
        few_pairs: a clip with fewer pairs of cells than ``windows``: ``official`` fills
            up with impossible ones (quirk), ``only_valid`` gives fewer windows.
        suppression: ``official`` has none, so that neighbours of one peak fill the
            list; ``hard`` drops windows that overlap a better one.
        iou_threshold: for ``hard``: the overlap from which a window is dropped.
        candidates: for ``hard``: pairs that are looked at.
        batch_size: questions that are padded together.
        batch_order: ``official`` takes questions in their order, ``by_length`` pads
            clips of like length together, which changes outputs where the network's
            ``padding`` is ``official``.
    """

    windows: int = 5
    longest_sec: float = 0.0
    few_pairs: Literal["official", "only_valid"] = "official"
    suppression: Literal["official", "hard"] = "official"
    iou_threshold: float = 0.5
    candidates: int = 100
    batch_size: int = 32
    batch_order: Literal["official", "by_length"] = "official"


def published_fit() -> FitConfig:
    """50 epochs in batches of 32, the last one of an epoch incomplete; best R@1 at 0.3.

    The published numbers are of version 1 of the annotations: 11,291 questions about 998
    clips, evaluated on 3,874 about 328.
    """
    return FitConfig(
        epochs=50, batch_size=32, drop_last=False, clip_norm=1.0, monitor="r1_at_0.3:max"
    )
