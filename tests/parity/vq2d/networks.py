"""Networks filled with the recorded weights: once per seed."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

import numpy as np
import torch

from egolib.vq2d.config import DetectorConfig, KysConfig
from egolib.vq2d.formats.key_tables import KYS, siamese_table
from egolib.vq2d.models.model import SiameseRcnn
from egolib.vq2d.tracking.kys.network import KysNetwork
from tests.parity.recordings import auxiliary, read
from tests.parity.weights import make_state_dict


def recorded_state(keys: Path, rules: Path | None, seed: int) -> dict[str, torch.Tensor]:
    """Tensors for a key file; the first matching rule of the scale file multiplies an entry."""
    state = make_state_dict(json.loads(keys.read_text()), seed)
    content = json.loads(rules.read_text()) if rules else []
    scales = content["scales"] if isinstance(content, dict) else content
    for name, value in state.items():
        factor = next((f for pattern, f in scales if re.search(pattern, name)), None)
        if factor is not None:
            state[name] = value * np.float32(factor)
    return {name: torch.from_numpy(np.asarray(value)) for name, value in state.items()}


def kys_state(recording: Path, seed: int) -> dict[str, torch.Tensor]:
    """The KYS weights: seeded, scaled, five entries at their initial values.

    Those values stand in the folder's unit recording, or in our copy's.
    """
    state = recorded_state(
        auxiliary(recording, "kys.keys.json"), auxiliary(recording, "kys.scales.json"), seed
    )
    names = json.loads(auxiliary(recording, "kys.scales.json").read_text())
    units = read(auxiliary(recording, "kys_units.npz"))
    for name in names["overwritten_with_initial_values"]:
        state[name] = torch.from_numpy(units[f"init_{name.split('filter_optimizer.')[1]}"])
    return state


@cache
def kys_network(recording: Path, seed: int, device: str) -> KysNetwork:
    """The published KYS network with recorded weights."""
    network = KysNetwork(KysConfig()).eval()
    KYS.load(network, kys_state(recording, seed))
    return network.to(device)


def relative(found: torch.Tensor | np.ndarray, expected: np.ndarray) -> float:
    """Largest difference over the largest expected magnitude."""
    found = found.detach().cpu().numpy() if isinstance(found, torch.Tensor) else np.asarray(found)
    assert found.shape == expected.shape, (found.shape, expected.shape)
    return float(np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-30))


def statistics(values: torch.Tensor) -> np.ndarray:
    """Mean, unbiased deviation, norm and largest magnitude in float64."""
    values = values.detach().cpu().double()
    return np.array([values.mean(), values.std(), values.norm(), values.abs().max()])


def check_map(found: torch.Tensor, case: dict, name: str, steps: tuple[int, ...]) -> None:
    """A map against its recorded subset (strides over the last axes) and statistics."""
    subset = found[(..., *(slice(None, None, step) for step in steps))]
    assert relative(subset, case[f"{name}_sub"]) < 1e-4
    recorded = case[f"{name}_stats"]
    difference = np.abs(statistics(found) - recorded)
    assert (difference <= 1e-4 * np.abs(recorded[1:]).max() + 1e-4 * np.abs(recorded)).all()


def detector_state(recording: Path, seed: int) -> dict[str, torch.Tensor]:
    """The Siamese R-CNN's weights: seeded and scaled."""
    return recorded_state(
        auxiliary(recording, "siamrcnn.keys.json"),
        auxiliary(recording, "siamrcnn.scales.json"),
        seed,
    )


@cache
def siamese_rcnn(recording: Path, seed: int, config: DetectorConfig, device: str) -> SiameseRcnn:
    """A Siamese R-CNN of the published widths with recorded weights."""
    model = SiameseRcnn(config, weights="empty").eval()
    siamese_table(config).load(model, detector_state(recording, seed))
    return model.to(device)
