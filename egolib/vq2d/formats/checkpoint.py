"""Checkpoints of both networks: read and written, egolib's and official ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from egolib.config import build, to_tree
from egolib.errors import EgolibError
from egolib.io import checkpoint
from egolib.io.checkpoint import OfficialModel, State
from egolib.io.key_table import KeyTable
from egolib.runs import inputs
from egolib.vq2d.config import DetectConfig, DetectorConfig, KysConfig
from egolib.vq2d.formats.architecture import HEAD, infer_detector, infer_kys
from egolib.vq2d.formats.key_tables import KYS, siamese_table
from egolib.vq2d.formats.official_config import read_official_config
from egolib.vq2d.models.model import SiameseRcnn
from egolib.vq2d.tracking.kys.network import KysNetwork

MODEL_NAME = "vq2d/siamese_rcnn"
KYS_NAME = "vq2d/kys"
DETECTOR, TRACKER = "detector", "tracker"
"""Folders of the two trainings in ``2_train``."""

PUBLISHED_TRACKER = Path("vq2d/kys/kys.pth")
"""Where the data page puts the published tracker, below the data root."""


# -------------------------------------------------------------------------- detector


@dataclass(frozen=True)
class LoadedDetector:
    """A detector from a file.

    Args:
        model: the network.
        detect: settings of step 1 that the file, or the ``config.yaml`` beside it, gives.
        notes: what was not understood.
    """

    model: SiameseRcnn
    detect: DetectConfig
    notes: tuple[str, ...] = ()


def detector_file(place: Path, weights: str = "model") -> Path:
    """The file of a detector's weights.

    Args:
        place: a file, an official folder, a training step, or a file of a training step (of
            its tracker too, whose detector lies beside it).
        weights: which of a training: ``model`` or ``best``.

    Raises:
        EgolibError: there is none, or several.
    """
    if place.is_file() and place.parent.name == TRACKER and (place.parents[1] / DETECTOR).is_dir():
        place = place.parents[1]
    return inputs.weights_file(place, weights, part=DETECTOR)


def read_detector(
    file: Path, start: DetectorConfig | None = None, head: str = ""
) -> LoadedDetector:
    """A Siamese R-CNN from an egolib checkpoint or an official one.

    Args:
        file: ``.safetensors``, or ``.pth``; what ``egolib convert`` wrote beside it, or
            detectron2's ``config.yaml``, is read.
        start: what an official file without ``config.yaml`` does not say; the published
            detector unless given.
        head: ``<compare>/<transformer>``, where the entries fit two heads.

    Raises:
        EgolibError: damaged, or of another model.
    """
    if file.suffix == ".safetensors":
        return _read_egolib(file)
    state = checkpoint.find_state(checkpoint.read_foreign(file))
    beside, exported = file.parent / "config.yaml", checkpoint.exported_sidecar(file)
    notes: tuple[str, ...] = ()
    if exported:
        _require_model(exported, MODEL_NAME, file)
        config = build(DetectorConfig, exported["config"]["model"])
        detect = build(DetectConfig, exported["config"].get("detect") or {})
    elif beside.is_file():
        official = read_official_config(beside)
        config, detect = official.detector, official.detect
        notes = tuple(f"config.yaml: {name} was not understood" for name in official.unknown)
    else:
        config, detect = infer_detector(state, start, head), DetectConfig()
        notes = ("no config.yaml beside the model: sizes are told from its entries",)
    model = SiameseRcnn(config, weights="empty")
    siamese_table(config).load(model, state, file=file)
    return LoadedDetector(model, detect, notes)


def _read_egolib(file: Path) -> LoadedDetector:
    state, sidecar = checkpoint.load(file)
    _require_model(sidecar, MODEL_NAME, file)
    model = SiameseRcnn(build(DetectorConfig, sidecar["config"]["model"]), weights="empty")
    checkpoint.load_into(model, state, file=file)
    return LoadedDetector(model, build(DetectConfig, sidecar["config"].get("detect") or {}))


def _require_model(sidecar: Mapping[str, Any], name: str, file: Path) -> None:
    if sidecar.get("model") != name:
        raise EgolibError(f"a checkpoint of {sidecar.get('model')!r}, not {name!r}", file=file)


# --------------------------------------------------------------------------- tracker


def kys_beside(detector: Path) -> Path | None:
    """The KYS weights in a detector's folder, or beside it in a training step.

    Args:
        detector: the detector's file, or a folder.
    """
    folder = detector.parent if detector.is_file() else detector
    places = [folder / "kys.safetensors", folder / "kys.pth"]
    places += [f / TRACKER / "model.safetensors" for f in (folder, folder.parent)]
    return next((place for place in places if place.is_file()), None)


def read_kys(path: str | Path, start: KysConfig | None = None) -> KysNetwork:
    """A KYS network from an egolib checkpoint or the official ``kys.pth``.

    The official file also pickles an object that builds the network; it is not run.

    Args:
        path: the file.
        start: what an official file does not say; the published network unless given.

    Raises:
        EgolibError: damaged, or of another model.
    """
    path = Path(path)
    if path.suffix == ".safetensors":
        state, sidecar = checkpoint.load(path)
        _require_model(sidecar, KYS_NAME, path)
        network = KysNetwork(build(KysConfig, sidecar["config"]["model"]))
        checkpoint.load_into(network, state, file=path)
        return network
    state = checkpoint.find_state(checkpoint.read_foreign(path))
    exported = checkpoint.exported_sidecar(path)
    if exported:
        _require_model(exported, KYS_NAME, path)
        network = KysNetwork(build(KysConfig, exported["config"]["model"]))
    else:
        network = KysNetwork(infer_kys(state, start))
    KYS.load(network, state, file=path)
    return network


# --------------------------------------------------------------------------- writing


def sidecar(
    config: DetectorConfig | KysConfig, detect: DetectConfig | None = None
) -> dict[str, Any]:
    """What lies beside the weights.

    Args:
        config: the architecture.
        detect: settings of step 1 that go with a detector.
    """
    name = KYS_NAME if isinstance(config, KysConfig) else MODEL_NAME
    content = {"model": to_tree(config)}
    if detect is not None:
        content["detect"] = to_tree(replace(detect, cache=""))
    return {"model": name, "config": content}


def save(
    path: str | Path, model: nn.Module, detect: DetectConfig | None = None, **more: Any
) -> Path:
    """Writes a detector or a KYS network as ``read_detector`` and ``read_kys`` read it.

    Args:
        path: of the ``.safetensors`` file.
        model: a ``SiameseRcnn`` or a ``KysNetwork``.
        detect: settings of step 1 that go with a detector.
        more: further values for the sidecar.
    """
    about = sidecar(model.config, detect)  # type: ignore[arg-type]
    return checkpoint.save(path, model.state_dict(), {**about, **more})


# ----------------------------------------------------------------- for ``egolib convert``


def _siamese_to_ours(official: Mapping[str, Tensor]) -> tuple[State, dict[str, Any]]:
    config = infer_detector(official)
    return siamese_table(config).to_ours(official), {"model": to_tree(config)}


def _siamese_to_official(ours: Mapping[str, Tensor], config: dict[str, Any]) -> State:
    return _table_of(config).to_official(ours)


def _is_siamese(state: Mapping[str, Tensor]) -> bool:
    stem = "backbone.bottom_up.stem.conv1.weight"
    return stem in state and any(key.startswith(HEAD) for key in state)


def _kys_to_ours(official: Mapping[str, Tensor]) -> tuple[State, dict[str, Any]]:
    return KYS.to_ours(official), {"model": to_tree(infer_kys(official))}


def _table_of(config: dict[str, Any]) -> KeyTable:
    return siamese_table(build(DetectorConfig, config["model"]))


def _empty_siamese(config: dict[str, Any]) -> Mapping[str, Tensor]:
    with torch.device("meta"):
        return SiameseRcnn(build(DetectorConfig, config["model"])).state_dict()


def _empty_kys(config: dict[str, Any]) -> Mapping[str, Tensor]:
    with torch.device("meta"):
        return KysNetwork(build(KysConfig, config["model"])).state_dict()


MODELS = [
    OfficialModel(
        MODEL_NAME,
        _is_siamese,
        _siamese_to_ours,
        _siamese_to_official,
        read=lambda state, config: _table_of(config).to_ours(state),
        empty=_empty_siamese,
    ),
    OfficialModel(
        KYS_NAME,
        lambda state: "dimp_classifier.filter_optimizer.log_step_length" in state,
        _kys_to_ours,
        lambda ours, _: KYS.to_official(ours),
        read=lambda official, _: KYS.to_ours(official),
        empty=_empty_kys,
    ),
]
"""The published architectures of this task."""
