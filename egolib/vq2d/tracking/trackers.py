"""The trackers of step 2 behind one door."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from egolib.errors import EgolibError
from egolib.vq2d.config import LocalizeConfig, ParticleConfig, TrackConfig
from egolib.vq2d.localization.localize import Frames, Tracker
from egolib.vq2d.localization.together import Following
from egolib.vq2d.localization.tracks import Followed
from egolib.vq2d.models.model import SiameseRcnn
from egolib.vq2d.tracking import particle_filter
from egolib.vq2d.tracking.deep_features import FrameFeatures, WindowFeatures
from egolib.vq2d.tracking.kys import bidirectional
from egolib.vq2d.tracking.kys.network import KysNetwork
from egolib.vq2d.tracking.kys.tracker import KysTracker
from egolib.vq2d.tracking.particle_filter import Windows


class KysFollower:
    """KYS both ways."""

    def __init__(self, network: KysNetwork, config: TrackConfig):
        self.tracker = KysTracker(network, config)

    def follow(
        self, frames: Frames, start_frame: int, end_frame: int, box_xyxy: Sequence[int], seed: int
    ) -> Followed:
        """See ``localize.Tracker``.

        Args:
            frames: gives the RGB frame (H, W, 3) uint8 of a clip frame, annotated size.
            start_frame: clip frame where the box is known.
            end_frame: first clip frame after the search window.
            box_xyxy: corners x1, y1, x2, y2 of the start box, integer pixels.
            seed: of crops' shifts, dropout and jittered boxes.
        """
        return bidirectional.track_both_ways(
            self.tracker, frames, start_frame, end_frame, box_xyxy, seed
        )

    def follow_many(self, todo: Sequence[Following]) -> list[Followed | EgolibError]:
        """Several tracks in lock step; see ``together.FollowsMany``."""
        return bidirectional.track_many(self.tracker, todo)


class ParticleFollower:
    """The particle filter both ways."""

    def __init__(self, config: ParticleConfig, observer: particle_filter.Observer):
        self.config, self.observer = config, observer

    def follow(
        self, frames: Frames, start_frame: int, end_frame: int, box_xyxy: Sequence[int], seed: int
    ) -> Followed:
        """See ``localize.Tracker``.

        Args:
            frames: gives the RGB frame (H, W, 3) uint8 of a clip frame, annotated size.
            start_frame: clip frame where the box is known.
            end_frame: first clip frame after the search window.
            box_xyxy: corners x1, y1, x2, y2 of the start box, integer pixels.
            seed: of the particles' draws in both directions.
        """
        rng = np.random.RandomState(seed)
        return particle_filter.track_both_ways(
            frames, start_frame, end_frame, box_xyxy, self.config, self.observer, rng
        )


def make_tracker(
    config: LocalizeConfig, kys: KysNetwork | None = None, detector: SiameseRcnn | None = None
) -> Tracker | None:
    """The tracker that a configuration names; None for ``none``.

    Args:
        config: of step 2.
        kys: the network of ``tracker: kys``.
        detector: whose features the particle filter's ``deep`` similarities compare.

    Raises:
        EgolibError: the network that it needs is not there.
    """
    if config.tracker == "none":
        return None
    if config.tracker == "kys":
        if kys is None:
            raise EgolibError(
                "tracker: kys needs its network", remedy="give its checkpoint, or tracker: particle"
            )
        return KysFollower(kys, config.kys)
    return ParticleFollower(config.particle, _observer(config.particle, detector))


def needs_detector(config: LocalizeConfig) -> bool:
    """Whether the tracker reads features of the detector."""
    return config.tracker == "particle" and config.particle.similarity != "pixel"


def _observer(config: ParticleConfig, detector: SiameseRcnn | None) -> particle_filter.Observer:
    if config.similarity == "pixel":
        sigma = config.metric_sigma
        return Windows(lambda w, t: particle_filter.pixel_similarity(w, t, sigma))
    if detector is None:
        raise EgolibError(
            f"particle.similarity: {config.similarity} needs a detector's features",
            remedy="give a detector, or particle.similarity: pixel",
        )
    if config.similarity == "deep":
        return Windows(WindowFeatures(detector, config.window_side))
    return FrameFeatures(detector, config.frame_side)
