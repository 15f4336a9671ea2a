"""What can change in testing while the weights stay the same (no torch).

These settings are passed when a video is started; no network keeps them. ``builders`` holds
what each method was published with.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

from egolib.nn.config import DetectionConfig, ProposalConfig
from egolib.vod.config.data import ReferenceConfig
from egolib.vod.config.model import ModelConfig


@dataclass(frozen=True)
class BankConfig:
    """MAMBA's memory banks in testing (arXiv 2401.09923).

    Args:
        size: rows that a bank holds.
        keys: rows that a frame attends to.
        top: proposals of a frame that are written; None for as many as in training.
        bank: ``official`` may exceed ``size`` by one update and is emptied by an update
            without rows; ``strict`` does neither.
        pixels_per_frame: most cells that a frame writes.
        pixels_per_box: most cells that a box writes.
        pixel_score: detections above it say which cells are written.
        pixel_fallback: cells of largest norm that are written without a detection.
    """

    size: int = 20000
    keys: int = 2000
    top: int | None = None
    bank: Literal["official", "strict"] = "official"
    pixels_per_frame: int = 1000
    pixels_per_box: int = 100
    pixel_score: float = 0.3
    pixel_fallback: int = 50


@dataclass(frozen=True)
class WindowsConfig:
    """MEGA's windows and memories in testing (Chen et al., CVPR 2020).

    Args:
        window: frames of the local window.
        position: place of the current frame in it.
        global_size: frames of the global memory.
        memory: most frames that the long-range memory keeps by ``memory_limit=size``;
            the ``official`` code reads this setting nowhere and keeps ``window`` frames.
        memory_limit: see ``memory``.
        proposals: of a reference frame; None for as many as in training.
        advanced: the best of those, which later stages use; None as above.
    """

    window: int = 25
    position: int = 12
    global_size: int = 10
    memory: int = 20
    memory_limit: Literal["official", "size"] = "official"
    proposals: int | None = None
    advanced: int | None = None


@dataclass(frozen=True)
class QueueConfig:
    """TDViT's queues of earlier maps.

    Args:
        dilations: frames that a stage's queue holds and that a reference serves.
        policy: which queued map becomes the reference: ``earliest``, the one of largest
            norm (``norm``), or a random one with shuffled patches or channels.
    """

    dilations: tuple[int, ...] = (4, 8, 16, 32)
    policy: Literal["earliest", "norm", "patch_shuffle", "channel_shuffle"] = "earliest"


@dataclass(frozen=True)
class LocationBankConfig:
    """EOVOD's banks of locations in testing.

    Args:
        size: rows that a bank holds.
        keys: rows that a frame attends to.
        score: detections above it are written.
        cells_per_box: most cells that a box writes.
        cells_per_frame: most cells that a frame writes.
        fallback: cells of largest norm that are written without a detection.
        bank_reset: ``official``: only for videos whose number ends in 000, so that
            snippets of one source share a bank; ``every_video``.
        bank: as in ``BankConfig``.
        queries: ``all`` cells of a frame attend (the released model), or those in the
            previous frame's ``boxes`` (the paper).
        query_score: detections above it are those boxes.
        query_scale: factor on their width and height.
        size_prior: frames that reuse the levels on which boxes were last confirmed; 0
            for none (the paper has 7).
        border: ``official`` lets a box that touches the right edge mean cells of the next
            row; ``inside`` clips it to the map.
    """

    size: int = 20000
    keys: int = 2000
    score: float = 0.3
    cells_per_box: int = 300
    cells_per_frame: int = 1000
    fallback: int = 50
    bank_reset: Literal["official", "every_video"] = "official"
    bank: Literal["official", "strict"] = "official"
    queries: Literal["all", "boxes"] = "all"
    query_score: float = 0.5
    query_scale: float = 0.8
    size_prior: int = 0
    border: Literal["official", "inside"] = "official"


@dataclass(frozen=True)
class InferConfig:
    """Detection in videos.

    Args:
        detections: score threshold, suppression and number of the detections of a frame.
        level_limit: (location, class) pairs that FCOS keeps of a pyramid level.
        proposals: regions of a frame; None for the network's own ``model.rpn.test``.
        references: frames that come with a frame. ``fixed_stride`` makes SELSA's and FGFA's
            sliding window, in which the current frame has place ``-window[0]``.
        centre: ``official``: the current frame stays in SELSA's sliding window for good;
            ``restored``: it stands there only for its own step.
        memory: banks of MAMBA.
        mega: windows and memories of MEGA.
        temporal: queues of TDViT.
        location: banks of EOVOD.
        key_interval: DFF computes features of every so manieth frame.
        shuffle_frames: whether a test video's frames are seen in random order, as MAMBA
            was evaluated.
        shuffle_seed: of that order.
        causal: use no frame that comes later than the current one (online); methods with
            references then take earlier frames instead.
        frames_ahead: frames that are computed at once before what depends on their order, for
            throughput; 1 gives every frame as soon as it can be had; 0 takes 8 on a GPU and 1
            on a CPU. Results differ by rounding at most.
        device: where to compute; ``auto`` takes a GPU where there is one.
        devices: what a data set's videos are spread over, a process each: ``all`` GPUs, a number
            of them, or one device; empty for ``device`` alone.
        precision: of products and convolutions: ``float32``, or autocast to ``bfloat16`` or
            ``float16``.
        matmul_precision: of float32 products on a GPU: ``highest`` is float32 itself, ``high``
            TensorFloat-32.
        max_videos: only so many videos; 0 for all.
        pickle: write the official pickle beside our file.
        format_only: write COCO's JSON beside our file.
    """

    detections: DetectionConfig = field(default_factory=DetectionConfig)
    level_limit: int = 1000
    proposals: ProposalConfig | None = None
    references: ReferenceConfig = field(default_factory=ReferenceConfig)
    centre: Literal["official", "restored"] = "official"
    memory: BankConfig = field(default_factory=BankConfig)
    mega: WindowsConfig = field(default_factory=WindowsConfig)
    temporal: QueueConfig = field(default_factory=QueueConfig)
    location: LocationBankConfig = field(default_factory=LocationBankConfig)
    key_interval: int = 10
    shuffle_frames: bool = False
    shuffle_seed: int = 10
    causal: bool = False
    frames_ahead: int = 0
    device: str = "auto"
    devices: str = ""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    matmul_precision: Literal["highest", "high"] = "highest"
    max_videos: int = 0
    pickle: bool = False
    format_only: bool = False

    builders: ClassVar[dict[str, Callable[[], InferConfig]]] = {}

    @property
    def slides(self) -> bool:
        """Whether references come from a window that slides over the video."""
        return self.references.method == "fixed_stride"

    @property
    def frames_before(self) -> int:
        """Frames of a sliding window before the current one."""
        return -self.references.window[0]


# --------------------------------------------------------------- as it was published

_ADAPTIVE = ReferenceConfig("adaptive_stride", 14, (-7, 7))


def alone() -> InferConfig:
    """No references: single frames, TDViT and DFF."""
    return InferConfig()


def adaptive() -> InferConfig:
    """14 references spread over the video: SELSA, STPN and EOVOD."""
    return InferConfig(references=_ADAPTIVE)


def mamba() -> InferConfig:
    """14 references, and frames in random order."""
    return InferConfig(references=_ADAPTIVE, shuffle_frames=True)


def fgfa() -> InferConfig:
    """A sliding window of 31 frames."""
    return InferConfig(references=ReferenceConfig("fixed_stride", 30, (-15, 15)))


def c4() -> InferConfig:
    """mega.pytorch: up to 300 detections of more than 0.001, all that tie with the last."""
    detections = DetectionConfig(0.001, 0.5, 300, limit_ties="keep", rescale="after")
    return InferConfig(detections=detections)


InferConfig.builders.update(
    single=alone,
    selsa=adaptive,
    mamba=mamba,
    stpn=adaptive,
    tdvit=alone,
    eovod=adaptive,
    dff=alone,
    fgfa=fgfa,
    mega=c4,
    c4=c4,
    fcos=alone,
)


def published_infer(model: ModelConfig) -> InferConfig:
    """Settings of testing that a published network was measured with."""
    return InferConfig.builders["c4" if model.detector == "c4" else model.method]()


def causal_settings(method: str, settings: InferConfig) -> InferConfig:
    """Settings under which no frame needs a later one.

    Sliding windows end at the current frame. Where references were spread over the
    video: SELSA slides a window of as many earlier frames, STPN and EOVOD start from the
    first frame alone, MAMBA from nothing.

    Args:
        method: of the network.
        settings: as they were.
    """
    references = settings.references
    length = references.window[1] - references.window[0]
    if method == "mega":
        return replace(settings, mega=replace(settings.mega, position=settings.mega.window - 1))
    if method in ("selsa", "fgfa"):
        references = replace(references, method="fixed_stride", window=(-length, 0), stride=1)
    elif method in ("stpn", "eovod"):
        references = replace(references, method="adaptive_stride", window=(0, 1))
    else:
        references = replace(references, method="none")
    return replace(settings, references=references)
