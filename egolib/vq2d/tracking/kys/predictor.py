"""The response predictor of KYS: what is known about the surroundings corrects the scores.

Legend: B videos, H, W feature map (18 x 18), P = H W positions, D state channels (8).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from egolib.vq2d.config import KysConfig
from egolib.vq2d.tracking.kys.correlation import absolute_positions, correlation, cost_volume
from egolib.vq2d.tracking.kys.norms import make_norm


@dataclass(frozen=True)
class Prediction:
    """What the predictor says about one frame.

    Attributes:
        response: (B, 1, H, W) fused score of every position.
        state: (B, D, H, W) memory for the next frame.
        confidence: (B, 1, H, W) entropy of where each position came from.
        carried: (B, D, H, W) state moved along to the current frame.
        fused: (B, 1, H, W) response before the low scores and the window are taken away.
    """

    response: Tensor
    state: Tensor
    fused: Tensor
    confidence: Tensor
    carried: Tensor


class ConvPair(nn.Sequential):
    """Two convolutions on single-channel maps: 1 -> D with norm and ReLU, D -> 1 with norm."""

    def __init__(self, channels: int, norm: str):
        super().__init__(
            nn.Conv2d(1, channels, 3, padding=1),
            make_norm(channels, norm),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, 1, 3, padding=1),
            make_norm(1, norm),
        )


class StateUnit(nn.Module):
    """A convolutional gated recurrent unit (Cho et al., 2014)."""

    def __init__(self, inputs: int, channels: int):
        super().__init__()
        self.reset = nn.Conv2d(inputs + channels, channels, 3, padding=1)
        self.update = nn.Conv2d(inputs + channels, channels, 3, padding=1)
        self.new = nn.Conv2d(inputs + channels, channels, 3, padding=1)

    def forward(self, x: Tensor, state: Tensor) -> Tensor:
        both = torch.cat([x, state], dim=1)
        reset, update = torch.sigmoid(self.reset(both)), torch.sigmoid(self.update(both))
        new = torch.tanh(self.new(torch.cat([x, reset * state], dim=1)))
        return (1 - update) * state + update * new


class ResponsePredictor(nn.Module):
    """Carries a state along the optical correspondence and fuses it with the classifier's score."""

    def __init__(self, config: KysConfig):
        super().__init__()
        width, state = config.representation_channels, config.state_channels
        self.kernel, self.reach = config.correlation_kernel, config.correlation_reach
        self.score_floor, self.shift = config.score_floor, 0.5 / config.feature_side
        self.to_current = ConvPair(8, config.norm)
        self.to_previous = ConvPair(8, config.norm)
        self.representation = nn.Conv2d(state + 2, width, 3, padding=1)
        self.response = nn.Conv2d(width, 1, 3, padding=1)
        self.state_unit = StateUnit(4, state)
        self.first_state = nn.Conv2d(1, state, 3, padding=1, bias=False)
        self.is_target = nn.Sequential(  # auxiliary, used in training only
            nn.Conv2d(state, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 1, 3, padding=1)
        )

    def start(self, label: Tensor) -> Tensor:
        """(B, D, H, W) state from the label (B, 1, H, W) of the first frame."""
        return torch.tanh(self.first_state(translate(label, -self.shift)))

    def target_logits(self, state: Tensor) -> Tensor:
        """(B, 1, H, W) whether a position is the target, from the state alone (auxiliary)."""
        return translate(self.is_target(state), self.shift)

    def forward(
        self,
        current: Tensor,
        previous: Tensor,
        score: Tensor,
        state: Tensor,
        window: Tensor | None = None,
        official_order: bool = False,
    ) -> Prediction:
        """One frame.

        Args:
            current: (1, C, h, h) map of this frame.
            previous: (1, C, h, h) map of the last frame.
            score: (B, 1, H, W) classifier score.
            state: (B, D, H, W) of the last frame.
            window: (B or 1, H, W) factor on the response.
            official_order: compute the cost volume displacement by displacement.
        """
        if official_order:
            by_displacement = correlation(current, previous, self.kernel, 2 * self.reach + 1)
            volume = absolute_positions(by_displacement).flatten(1, 2)
        else:
            volume = cost_volume(current, previous, self.kernel, self.reach)
        weights = self.correspondence(volume)  # (B, P, P), previous by current
        return self.fuse(weights, translate(score, -self.shift), state, window)

    def correspondence(self, volume: Tensor) -> Tensor:
        """(B, P, P) where each current position came from; sums to 1 over previous ones.

        Args:
            volume: (B, P, H, W), one map per previous position.
        """
        batch, positions, height, width = volume.shape
        maps = volume.reshape(batch * positions, 1, height, width)
        maps = self.to_current(maps).reshape(batch * positions, -1).softmax(dim=1)
        maps = self.to_previous(maps.reshape(-1, 1, height, width))
        result: Tensor = maps.reshape(batch, positions, positions).softmax(dim=1)
        return result

    def fuse(
        self, weights: Tensor, score: Tensor, state: Tensor, window: Tensor | None
    ) -> Prediction:
        """Response and new state from the correspondence and a translated score.

        Args:
            weights: from previous to current positions.
            score: (1, 1, h, h) of the classifier.
            state: (1, D, h, h) carried from the last frame.
            window: on the output; None for none.
        """
        batch, _, height, width = score.shape
        carried = (state.flatten(2) @ weights).reshape_as(state)
        entropy = -(weights * (weights + 1e-4).log()).sum(dim=1)
        confidence = entropy.reshape(batch, 1, height, width)
        hidden = functional.relu(self.representation(torch.cat([carried, score, confidence], 1)))
        fused = torch.sigmoid(self.response(hidden))
        kept = fused * (score > self.score_floor)
        if window is not None:
            kept = kept * window.reshape(-1, 1, height, width)
        peaks = [map_.amax(dim=(2, 3), keepdim=True).expand_as(score) for map_ in (score, kept)]
        new_state = self.state_unit(torch.cat([score, kept, *peaks], dim=1), carried)
        response = functional.relu(translate(kept, self.shift))
        return Prediction(response, new_state, fused, confidence, carried)


def translate(maps: Tensor, shift: Tensor | float) -> Tensor:
    """Maps (B, C, H, W) sampled at positions moved by a shift, bilinear, zeros outside.

    Args:
        maps: (B, C, h, h).
        shift: one number or (B, 2) (x, y), in units in which the map is 2 wide.
    """
    batch = len(maps)
    if not isinstance(shift, Tensor):
        shift = maps.new_full((batch, 2), shift)
    identity = torch.eye(2, dtype=maps.dtype, device=maps.device).expand(batch, 2, 2)
    theta = torch.cat([identity, shift.to(maps)[:, :, None]], dim=2)  # (B, 2, 3)
    grid = functional.affine_grid(theta, list(maps.shape), align_corners=False)
    return functional.grid_sample(maps, grid, mode="bilinear", align_corners=False)
