"""Networks with recorded weights, their frames, and the comparisons of this folder's README."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from egolib.config import build, merge
from egolib.nn.roi import Found
from egolib.vod.config import InferConfig, networks
from egolib.vod.config.infer import published_infer
from egolib.vod.config.model import ModelConfig
from egolib.vod.formats.checkpoint import layout
from egolib.vod.models.build import build_empty
from egolib.vod.models.frames import Frames
from tests.parity import inputs, weights
from tests.parity.recordings import auxiliary, read

FEATURES, HEAD = 1e-4, 1e-3  # accepted difference, relative to an array's largest value

BUILDERS: dict[str, Callable[[], ModelConfig]] = {
    "frcnn": networks.frcnn_r101_dc5,
    "selsa": networks.selsa_r101_dc5,
    "mamba": networks.mamba_r101_dc5,
    "mega": networks.mega_r101,
    "mega_base": networks.frcnn_r101_c4,
    "stpn": networks.stpn_swint,
    "tdvit": networks.tdvit_t,
    "eovod": networks.eovod_r101,
    "dff": networks.dff_r101_dc5,
    "fgfa": networks.fgfa_r101_dc5,
}


@dataclass(frozen=True)
class Case:
    """A recording of a network.

    Args:
        arrays: what was recorded. info: how it was made.
        images: (n, 3, H, W) the video's frames, then the reference frames.
    """

    arrays: dict[str, np.ndarray]
    info: dict[str, Any]
    images: Tensor

    @property
    def video(self) -> int:
        """Number of frames of the video."""
        return self.info["n_frames"]

    def frames(self, ids: Sequence[int], scale: float | None = None) -> Frames:
        """Frames by number, with the size and scale that the recording states."""
        images = self.images[list(ids)]
        valid = self.info.get("valid") or images.shape[-2:]
        factor = self.info.get("scale_factor", 1.0) if scale is None else scale
        scales = images.new_full((len(images), 4), float(factor))
        return Frames(images, [tuple(valid)] * len(images), scales, list(ids))

    def references(self) -> Frames:
        """All reference frames."""
        return self.frames(range(self.video, len(self.images)))

    def tensor(self, name: str) -> Tensor:
        """A recorded array on the frames' device."""
        return torch.from_numpy(self.arrays[name]).to(self.images.device)


def read_case(recording: Path, device: str = "cpu") -> Case:
    """A recording with its frames."""
    arrays = read(recording)
    info = json.loads(str(arrays.pop("info")))
    count = info["n_frames"] + info.get("n_refs", 0)
    size = (info["height"], info["width"])
    images = inputs.frames(info["frames"], count, *size, info.get("valid"))
    return Case(arrays, info, torch.from_numpy(images).to(device))


def system_of(name: str, info: dict[str, Any] | None = None) -> str:
    """The system that a file belongs to: what it says itself, else by the start of its name."""
    said = (info or {}).get("network") or (info or {}).get("system")
    return said or max((s for s in BUILDERS if name.startswith(s)), key=len)


def official_state(recording: Path, system: str, seed: int) -> dict[str, Tensor]:
    """The recorded network's official state dict; what follows from the settings is official."""
    path = auxiliary(recording, f"{system}.keys.json")
    return dict(_official_state(path, system, seed))


@lru_cache(maxsize=1)
def _official_state(path: Path, system: str, seed: int) -> dict[str, Tensor]:
    arrays = weights.make_state_dict(read(path), seed)
    state = {name: torch.from_numpy(np.asarray(value)) for name, value in arrays.items()}
    constants = layout(BUILDERS[system]()).constants
    return state | {name: value for name, value in constants.items() if name in state}


def published(
    recording: Path,
    system: str,
    seed: int,
    device: str = "cpu",
    change: Callable[[ModelConfig], ModelConfig] = lambda config: config,
) -> nn.Module:
    """The published network with the recorded weights, in evaluation mode.

    Args:
        change: settings of this case.
    """
    config = change(BUILDERS[system]())
    model = build_empty(config).to_empty(device="cpu")
    layout(config).load(model, official_state(recording, system, seed), file=recording)
    return model.to(device).eval()


def settings(model: nn.Module, **changes: Any) -> InferConfig:
    """Settings of testing that a network was published with.

    Args:
        changes: fields of ``InferConfig``; mappings change a section.
    """
    tree = asdict(published_infer(model.config))  # type: ignore[arg-type]
    return build(InferConfig, merge(tree, changes))


# ------------------------------------------------------------------------ comparisons


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference, in parts of the expected array's largest value."""
    assert found.shape == expected.shape, (found.shape, expected.shape)
    largest = max(float(np.abs(expected).max(initial=0)), 1e-12)
    return float(np.abs(found - expected).max(initial=0)) / largest


#: Names that were compared in the running test. Recordings hold what they hold: a test compares
#: the arrays that are there, and `conftest.py` demands that some were.
COMPARED: list[str] = []


def holds(case: Case, name: str) -> bool:
    """Whether something is recorded under a name."""
    return any(f"{name}{end}" in case.arrays for end in ("", "/shape", "/subset", "/dets"))


def check(case: Case, name: str, found: Tensor, accepted: float = FEATURES) -> None:
    """Compares a tensor with what is recorded of it: whole, or subset, shape and statistics."""
    if not holds(case, name):
        return
    COMPARED.append(name)
    values = found.detach().cpu().numpy()
    if name in case.arrays and case.arrays[name].shape == values.shape:
        assert relative(values, case.arrays[name]) < accepted, name
        return
    if f"{name}/shape" in case.arrays:
        assert list(values.shape) == case.arrays[f"{name}/shape"].tolist(), name
    check_subset(case, name, found, accepted)
    check_statistics(case, name, found, accepted)


def check_subset(case: Case, name: str, found: Tensor, accepted: float = FEATURES) -> None:
    """Compares the recorded part of a tensor's values."""
    if f"{name}/subset" not in case.arrays:
        return
    COMPARED.append(name)
    expected = case.arrays[f"{name}/subset"]
    values = recorded_part(found.detach().cpu().numpy(), len(expected))
    assert relative(values, expected) < accepted, name


def recorded_part(values: np.ndarray, length: int) -> np.ndarray:
    """The subset of that length, by one of the limits that the README names."""
    for limit in (2048, 1024, 3000, 4096):
        part = inputs.subset(values, limit)
        if len(part) == length:
            return part
    raise AssertionError(f"no subset of {values.shape} has {length} values")


def check_statistics(case: Case, name: str, found: Tensor, accepted: float = FEATURES) -> None:
    """Compares mean, standard deviation and L2 norm of a whole tensor."""
    if f"{name}/stats" not in case.arrays:
        return
    values = found.detach().cpu().numpy().astype(np.float64)
    statistics = np.array([values.mean(), values.std(), np.linalg.norm(values)])
    scale = np.array([values.std(), values.std(), np.linalg.norm(values)])
    difference = np.abs(statistics - case.arrays[f"{name}/stats"]) / scale
    assert (difference < accepted).all(), name


def check_proposals(
    case: Case, name: str, boxes: Tensor, scores: Tensor, pixels: float = 1e-3
) -> None:
    """Compares proposals, best first, with recorded rows (x1, y1, x2, y2, score).

    Scores agree place by place; every box is found once among those of equal score, up to
    the accepted difference, since the order of equal scores is free.
    """
    if name not in case.arrays:
        return
    COMPARED.append(name)
    expected = case.arrays[name]
    ours, values = boxes.cpu().numpy(), scores.cpu().numpy()
    np.testing.assert_allclose(values, expected[:, 4], rtol=0, atol=FEATURES)
    free = np.ones(len(ours), bool)
    for row in expected:
        fits = free & (np.abs(values - row[4]) <= FEATURES)
        fits &= (np.abs(ours - row[:4]) <= pixels + 1e-3 * np.abs(row[:4])).all(axis=1)
        assert fits.any(), f"{name}: {row}"
        free[fits.argmax()] = False


def unmatched(expected: np.ndarray, labels: np.ndarray, found: Found) -> int:
    """Recorded detections (rows x1, y1, x2, y2, score) without a found one of equal label,
    score and box; each found one serves once."""
    boxes, ours, scores = (x.cpu().numpy() for x in found)
    order = np.argsort(-expected[:, 4], kind="stable")
    free = np.ones(len(boxes), bool)
    missing = 0
    for row in order:
        box, score = expected[row, :4], expected[row, 4]
        fits = free & (ours == labels[row])
        fits &= np.abs(scores - score) <= HEAD * expected[:, 4].max()
        fits &= (np.abs(boxes - box) <= 1e-3 + 1e-3 * np.abs(expected[:, :4]).max()).all(axis=1)
        if fits.any():
            distance = np.where(fits, np.abs(boxes - box).sum(axis=1), np.inf)
            free[distance.argmin()] = False
        else:
            missing += 1
    return missing


def check_detections(case: Case, name: str, found: Found, first_label: int = 0) -> None:
    """Compares detections as a set; 2 % may be unmatched at the score cut."""
    if f"{name}/dets" not in case.arrays:
        return
    COMPARED.append(name)
    expected, labels = case.arrays[f"{name}/dets"], case.arrays[f"{name}/labels"] - first_label
    assert len(found.boxes) == len(expected)
    assert unmatched(expected, labels, found) <= 0.02 * len(expected), name
