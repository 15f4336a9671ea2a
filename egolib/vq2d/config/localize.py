"""Step 2: settings of peaks, trackers and answers, given when a query is answered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from egolib.errors import EgolibError


@dataclass(frozen=True)
class PeakConfig:
    """Where tracking starts (step 2).

    Args:
        smoothing_sigma: frames of the running median (made odd by adding one).
        distance: least number of frames between peaks.
        width: least width of a peak in frames, at half its prominence.
        prominence: least height above the valleys beside it.
        threshold: least smoothed score of the peak that is taken (the latest one).
        threshold_kind: ``official`` (a score) or ``relative`` (a fraction of the highest one).
        recency_factor: fraction of the frames before the query that is searched, the last ones.
        subsampling_factor: fraction of those frames that is looked at, evenly.
        curve_ends: ``official`` assumes zeros beyond the curve and no peak at its ends;
            ``reflect`` mirrors it and lets a peak touch an end.
    """

    smoothing_sigma: int = 5
    distance: int = 25
    width: int = 3
    prominence: float = 0.2
    threshold: float = 0.5
    threshold_kind: Literal["official", "relative"] = "official"
    recency_factor: float = 1.0
    subsampling_factor: float = 1.0
    curve_ends: Literal["official", "reflect"] = "official"


@dataclass(frozen=True)
class TrackConfig:
    """How KYS tracks.

    Args:
        lost_threshold: fused response below which the target counts as lost.
        search_area: side of the crop, as a multiple of the target's geometric mean side.
        dropout: fraction of channels dropped in copies of the first sample.
        dropout_copies: how many such copies the filter is fitted to.
        first_iterations: of the filter optimiser on the first frame.
        update_every: frames from one later fit of the filter to the next.
        update_iterations: of the filter optimiser in each later fit.
        memory_size: samples kept.
        learning_rate: weight of a new sample.
        first_frame_fraction: least weight of the first frame's samples together.
        jittered_boxes: random starts of the box refinement, beside the box itself.
        jitter: spread of their position and size, in units of the geometric mean side.
        ascent_steps: gradient steps on the predicted IoU.
        boxes_averaged: best boxes that the result is the mean of.
        largest_aspect: boxes longer than this are dropped.
        outside: how far the centre may leave the frame, in target sizes.
        directions: ``official`` (one stream of random numbers, a second start on the same
            frame) or ``same_seed`` (both directions start from one and the same target).
        path: ``fast`` folds norms, multiplies matrices and looks near the target only;
            ``official`` keeps the official order of work. Equal up to rounding.
    """

    lost_threshold: float = 0.10
    search_area: float = 5.0
    dropout: float = 0.2
    dropout_copies: int = 2
    first_iterations: int = 10
    update_every: int = 20
    update_iterations: int = 2
    memory_size: int = 50
    learning_rate: float = 0.01
    first_frame_fraction: float = 0.25
    jittered_boxes: int = 9
    jitter: tuple[float, float] = (0.1, 0.5)
    ascent_steps: int = 5
    boxes_averaged: int = 3
    largest_aspect: float = 6.0
    outside: float = 0.3
    directions: Literal["official", "same_seed"] = "official"
    path: Literal["fast", "official"] = "fast"


@dataclass(frozen=True)
class ParticleConfig:
    """The particle filter.

    Args:
        particles: how many.
        similarity: ``deep`` (cosine of pooled features of every window), ``deep_shared``
            (the same from one map of the frame: a hundred times less work) or ``pixel``.
        window_side: longer side of a window in the network (``deep``), in pixels.
        frame_side: longer side of a frame in the network (``deep_shared``).
        metric_sigma: width of the pixel similarity.
        lost_threshold: similarity below which the object counts as lost.
        position_sd: spread of positions, as a fraction of the image's height and width.
        first_scale_sd: spread of scales at the start, as a fraction of the template's sides.
        scale_sd: the same afterwards.
        resample_proportion: fraction of particles redrawn around the likeliest one.
        template_rate: how fast the template follows the object.
        resampling: ``official`` (a comb), ``systematic``, ``stratified`` or ``residual``.
    """

    particles: int = 150
    similarity: Literal["deep", "deep_shared", "pixel"] = "deep"
    window_side: int = 256
    frame_side: int = 1024
    metric_sigma: float = 1.0
    lost_threshold: float = 0.85
    position_sd: float = 0.07
    first_scale_sd: float = 0.1
    scale_sd: float = 0.05
    resample_proportion: float = 1.0
    template_rate: float = 0.001
    resampling: Literal["official", "systematic", "stratified", "residual"] = "official"


@dataclass(frozen=True)
class LocalizeConfig:
    """Step 2.

    Args:
        peaks: where tracking starts.
        tracker: ``kys``, ``particle`` or ``none`` (the single best box).
        kys: settings of the KYS tracker.
        particle: settings of the particle filter.
        confidence: ``official`` (1.0), ``height``, ``prominence``, ``margin``, ``response``,
            ``length``, ``similarity`` or ``calibrated``.
        calibration: file of a fitted one below the data root (``4_evaluate`` writes it), for
            ``calibrated``.
        tracker_weights: a KYS network below the data root; empty takes the one beside the
            detector, else ``vq2d/kys/kys.pth`` below the data root.
        track_check: ``official`` (none) or ``similarity``: a track whose mean similarity is
            low gives way to that of the peak before it.
        least_similarity: mean detection score that a checked track needs.
        peaks_tried: how many peaks a check may go through; then the latest one is taken.
        lost_queries: what a clip that cannot be read to its end loses: ``official`` all of
            its answers, ``kept`` only those that need the missing frames.
        processes_per_gpu: queries answered side by side on each GPU: in as many processes, or
            by KYS in one, whose targets are followed in lock step. On a CPU, one.
        seed: of the tracker's random numbers, the same for every query.

    Raises:
        EgolibError: ``calibrated`` without a calibration.
    """

    peaks: PeakConfig = field(default_factory=PeakConfig)
    tracker: Literal["kys", "particle", "none"] = "kys"
    kys: TrackConfig = field(default_factory=TrackConfig)
    particle: ParticleConfig = field(default_factory=ParticleConfig)
    confidence: Literal[
        "official",
        "height",
        "prominence",
        "margin",
        "response",
        "length",
        "similarity",
        "calibrated",
    ] = "official"
    calibration: str = ""
    tracker_weights: str = ""
    track_check: Literal["official", "similarity"] = "official"
    least_similarity: float = 0.3
    peaks_tried: int = 5
    lost_queries: Literal["official", "kept"] = "official"
    processes_per_gpu: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        if self.confidence == "calibrated" and not self.calibration:
            raise EgolibError(
                "localize.confidence: calibrated needs localize.calibration",
                remedy="name a calibration.json that 4_evaluate wrote, or rank by "
                "localize.confidence: height",
            )
