"""The trackers of step 2 behind one door."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from egolib.errors import EgolibError
from egolib.vq2d.config import LocalizeConfig, ParticleConfig, TrackConfig
from egolib.vq2d.localization.localize import Frames, Tracker
from egolib.vq2d.localization.tracks import Followed
from egolib.vq2d.tracking import particle_filter
from egolib.vq2d.tracking.kys import bidirectional
from egolib.vq2d.tracking.kys.network import KysNetwork
from egolib.vq2d.tracking.kys.tracker import KysTracker


class KysFollower:
    """KYS both ways."""

    def __init__(self, network: KysNetwork, config: TrackConfig):
        self.tracker = KysTracker(network, config)

    def follow(
        self, frames: Frames, start_frame: int, end_frame: int, box_xyxy: Sequence[int], seed: int
    ) -> Followed:
        """See ``localize.Tracker``."""
        return bidirectional.track_both_ways(
            self.tracker, frames, start_frame, end_frame, box_xyxy, seed
        )


class ParticleFollower:
    """The particle filter both ways."""

    def __init__(self, config: ParticleConfig, similarity: particle_filter.Similarity):
        self.config, self.similarity = config, similarity

    def follow(
        self, frames: Frames, start_frame: int, end_frame: int, box_xyxy: Sequence[int], seed: int
    ) -> Followed:
        """See ``localize.Tracker``."""
        rng = np.random.RandomState(seed)
        return particle_filter.track_both_ways(
            frames, start_frame, end_frame, box_xyxy, self.config, self.similarity, rng
        )


class DeepSimilarity:
    """Cosine of pooled network features.

    Args:
        features: a network from normalised RGB images (B, 3, h, w) to maps (B, C, h', w') or
            a list of maps, of which the last one counts.
        side: length of the longer side of images in the network.
    """

    mean = torch.tensor([0.485, 0.456, 0.406]).reshape(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).reshape(3, 1, 1)

    def __init__(self, features: nn.Module, side: int = 256, batch_size: int = 64):
        self.features, self.side, self.batch_size = features.eval(), side, batch_size
        self.device = next(features.parameters()).device

    @torch.no_grad()
    def __call__(self, windows: np.ndarray, template: np.ndarray) -> np.ndarray:
        """(P,) likeness of windows (P, h, w, 3) and a template (h, w, 3), 0 to 255."""
        both = self._images(np.concatenate([windows, template[None]]))
        vectors = torch.cat([self._pooled(part) for part in both.split(self.batch_size)])
        unit = functional.normalize(vectors, dim=1)
        return (unit[:-1] @ unit[-1]).double().cpu().numpy()

    def _images(self, images: np.ndarray) -> Tensor:
        height, width = images.shape[1:3]
        scale = self.side / max(height, width)
        size = (max(1, int(height * scale)), max(1, int(width * scale)))
        x = torch.from_numpy(images).float().permute(0, 3, 1, 2) / 255.0
        x = ((x - self.mean) / self.std).to(self.device)
        return functional.interpolate(x, size, mode="bilinear")

    def _pooled(self, images: Tensor) -> Tensor:
        maps = self.features(images)
        return (maps[-1] if isinstance(maps, list) else maps).mean(dim=(2, 3))


def make_tracker(
    config: LocalizeConfig, kys: KysNetwork | None = None, features: nn.Module | None = None
) -> Tracker | None:
    """The tracker that a configuration names; None for ``none``.

    Args:
        kys: the network of ``tracker: kys``.
        features: the network behind the particle filter's deep similarity.

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
    if config.particle.similarity == "pixel":
        sigma = config.particle.metric_sigma
        return ParticleFollower(
            config.particle, lambda w, t: particle_filter.pixel_similarity(w, t, sigma)
        )
    if features is None:
        raise EgolibError(
            "particle.similarity: deep needs a feature network",
            remedy="give one, or particle.similarity: pixel",
        )
    return ParticleFollower(config.particle, DeepSimilarity(features))
