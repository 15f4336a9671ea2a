"""Which moments a clip holds: scored segments of known classes, from the clip's features.

n features of a clip, D their width, T positions of the network, K segments.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from egolib.config import build as build_config
from egolib.config import to_tree
from egolib.engine.device import resolve_device
from egolib.errors import EgolibError, nearest
from egolib.io import checkpoint
from egolib.io.provenance import Provenance, differs
from egolib.mq.config import GridConfig, InferConfig, ModelConfig
from egolib.mq.data.annotations import Clip
from egolib.mq.data.classes import BACKGROUND_NAME, class_names, read_classes
from egolib.mq.data.dataset import Item, MomentsData, collate
from egolib.mq.data.points import PointData, PointItem, window_starts
from egolib.mq.data.points import collate as collate_points
from egolib.mq.data.stitching import inference_windows
from egolib.mq.formats.checkpoint import model_name, read_any
from egolib.mq.localization.inference import propose_batch, propose_clips
from egolib.mq.localization.points import point_batch, point_clips
from egolib.mq.localization.proposals import Proposals, merge
from egolib.mq.localization.ranking import Ranked, detect, retrieve
from egolib.mq.models.actionformer import ActionFormer
from egolib.mq.models.build import Network
from egolib.mq.models.build import build as build_network
from egolib.mq.models.vsgn import VSGN
from egolib.report.results import LabelledMoments
from egolib.runs.inputs import Told, locate, weights_file, who


class MomentFinder(Told):
    """A network with everything that turns features into scored segments.

    Args:
        model: the network; it is put into evaluation mode.
        class_names: K names by number, the background first.
        infer: thresholds, suppression, batches.
        device: where to compute: ``auto``, ``cpu``, ``cuda`` ...
        rows_per_sec: features in a second of the data that it was trained on; None where
            that is not known.
        grid: of ActionFormer: where moments lie on its features.
        made_by: what computed the features that it was trained on; None where not known.

    Raises:
        EgolibError: another number of names than classes, or a device that is not there.
    """

    def __init__(
        self,
        model: Network,
        class_names: Sequence[str],
        infer: InferConfig | None = None,
        *,
        device: str | torch.device = "cpu",
        rows_per_sec: float | None = None,
        grid: GridConfig | None = None,
        made_by: Provenance | None = None,
    ):
        if len(class_names) != model.config.classes:
            raise EgolibError(
                f"{len(class_names)} class names for a network of {model.config.classes} classes",
                remedy="use the class table that the network was trained with",
            )
        self.device = resolve_device(str(device))
        self.model = model.to(self.device).eval()
        usual = InferConfig.builders["actionformer"] if self._has_points else InferConfig
        self.class_names, self.infer = tuple(class_names), infer or usual()
        self.rows_per_sec, self.grid = rows_per_sec, grid or GridConfig()
        self.made_by = made_by

    @property
    def _has_points(self) -> bool:
        return isinstance(self.model, ActionFormer)

    # ------------------------------------------------------------------------ verbs

    def find(
        self,
        features: np.ndarray,
        classes: str | Sequence[str] | None = None,
        *,
        duration_sec: float | None = None,
        rows_per_sec: float | None = None,
        made_by: Provenance | None = None,
    ) -> LabelledMoments:
        """The moments of a clip, best first.

        Without classes this is detection: soft suppression over all of them. With classes
        it is retrieval: the segments of these alone, by their score. Features longer than
        the network's T are searched in overlapping windows.

        Args:
            features: (n, D) float of one clip.
            classes: names that are asked for; None for all.
            duration_sec: length of the clip; by default what the features cover.
            rows_per_sec: features in a second; by default those of the training, or of
                ``duration_sec``.
            made_by: what computed the features, which is compared with those of the training.

        Raises:
            EgolibError: features of another network or width, NaN among them, an unknown
                class, or no rate.
        """
        self.require_same_features(made_by)
        rows = self._checked(features)
        wanted = self.numbers(classes)
        rate = self._rate(len(rows), duration_sec, rows_per_sec)
        seconds = len(rows) / rate if duration_sec is None else duration_sec
        proposals = self.propose(rows, rate)
        if wanted is None:
            ranked = detect(proposals, seconds, self.infer)
        else:
            ranked = retrieve(proposals, seconds, wanted, self.infer)
        return self.named(ranked, seconds)

    def propose(self, features: np.ndarray, rows_per_sec: float) -> Proposals:
        """Scored candidates of every class.

        Args:
            features: (n, D) float32 of one clip.
            rows_per_sec: features in a second.
        """
        length = self.model.config.length
        if isinstance(self.model, ActionFormer):
            return self._propose_points(self.model, features, rows_per_sec)
        whole = [(0, len(features) - 1)]
        spans = whole if len(features) <= length else inference_windows(len(features), length)
        items = [self._item(features, first, last, rows_per_sec) for first, last in spans]
        found: list[tuple[Item, Proposals]] = []
        for part in _chunks(items, self.infer.batch_size):
            found += propose_batch(self.model, collate(part), self.infer, str(self.device))
        return merge([proposals for _, proposals in found])

    def _propose_points(
        self, model: ActionFormer, features: np.ndarray, rows_per_sec: float
    ) -> Proposals:
        length = model.config.length
        clip = Clip("clip", "clip", "test", 0.0, len(features) / rows_per_sec)
        items = [
            PointItem(clip, features[first : first + length], rows_per_sec, first)
            for first in window_starts(len(features), length)
        ]
        batch = collate_points(items, model.config)
        found = point_batch(model, batch, self.grid, self.infer, str(self.device))
        return merge([proposals for _, proposals in found])

    def stream(self, data: MomentsData | PointData) -> Iterator[tuple[Clip, Proposals]]:
        """Every clip of a data set with its candidates, in order."""
        if isinstance(data, PointData):
            assert isinstance(self.model, ActionFormer)
            yield from point_clips(self.model, data, self.infer, str(self.device))
            return
        assert isinstance(self.model, VSGN)
        yield from propose_clips(self.model, data, self.infer, str(self.device))

    # ---------------------------------------------------------------------- details

    def named(self, ranked: Ranked, duration_sec: float | None = None) -> LabelledMoments:
        """Ranked segments with the names of their classes.

        Args:
            ranked: of a clip.
            duration_sec: of the clip.
        """
        names = tuple(self.class_names[label] for label in ranked.labels.tolist())
        return LabelledMoments(names, ranked.segments_sec, ranked.scores, duration_sec)

    def require_same_features(self, made_by: Provenance | None) -> None:
        """Raises EgolibError where features are of another network than those of the training.

        Args:
            made_by: what computed them; None where that is not known.
        """
        if made_by and self.made_by and differs(made_by, self.made_by):
            raise EgolibError(
                f"features of {made_by.model!r}, {made_by.width} wide; the model was trained on "
                f"those of {self.made_by.model!r}, {self.made_by.width} wide",
                remedy="use features of the network that it was trained on",
            )

    def _checked(self, features: np.ndarray) -> np.ndarray:
        rows, width = np.asarray(features, np.float32), self.model.config.feature_width
        if rows.ndim != 2 or not len(rows) or rows.shape[1] != width:
            raise EgolibError(
                f"features of shape {rows.shape}, (n, {width}) are needed",
                remedy="use features like those that the network was trained on",
            )
        if not np.isfinite(rows).all():
            raise EgolibError("the features hold NaN or infinity")
        return rows

    def numbers(self, classes: str | Sequence[str] | None) -> list[int] | None:
        """Numbers of classes by name; None for all.

        Raises:
            EgolibError: an unknown class.
        """
        if classes is None:
            return None
        asked = [classes] if isinstance(classes, str) else list(classes)
        known = self.class_names[1:]
        for name in asked:
            if name not in known:
                raise EgolibError(f"no class {name!r}", remedy=nearest(name, known))
        return [self.class_names.index(name) for name in asked]

    def _rate(self, rows: int, duration_sec: float | None, given: float | None) -> float:
        if given is not None:
            return given
        if duration_sec is not None:
            return rows / duration_sec
        if self.rows_per_sec is None:
            raise EgolibError(
                "how long the clip is cannot be told from its features",
                remedy="give duration_sec, or rows_per_sec (1.87 for EgoVLPv2's)",
            )
        return self.rows_per_sec

    def _item(self, features: np.ndarray, first: int, last: int, fps: float) -> Item:
        """A window of the clip, padded to T."""
        rows = features[first : last + 1]
        padded = np.zeros((rows.shape[1], self.model.config.length), np.float32)
        padded[:, : len(rows)] = rows.T
        clip = Clip("clip", "clip", "test", 0.0, len(features) / fps)
        return Item(clip, padded, len(rows), fps, first)


def _chunks(items: Sequence[Item], size: int) -> Iterator[list[Item]]:
    iterator = iter(items)
    while part := list(islice(iterator, size)):
        yield part


# -------------------------------------------------------------------------- loading


def load(
    name: str | Path | None = None,
    *,
    classes: str | Path | Sequence[str] | None = None,
    device: str = "auto",
    infer: InferConfig | None = None,
    like: ModelConfig | None = None,
    grid: GridConfig | None = None,
) -> MomentFinder:
    """A finder from an egolib checkpoint or an official file.

    Args:
        name: a path, ``mq/<variant>`` or None for the newest finished training, or a
            repository on the Hugging Face Hub (see ``egolib.runs.inputs.locate``).
        classes: a ``moment_classes_idx.json``, or names by number with the background
            first; by default what the checkpoint says. Official files say nothing; their
            classes are then called by their numbers.
        device: ``auto`` takes a GPU where there is one.
        infer: thresholds, suppression and batches in place of the published ones.
        like: what an official file does not tell (length, neighbours, anchor scales).
        grid: of an official file of ActionFormer: where moments lie on its features.

    Raises:
        UsageError: nothing of that name.
        EgolibError: the file is damaged or of another network, or class names that do not
            fit it.
    """
    path = locate(name, "mq")
    try:
        file = weights_file(path, (infer or InferConfig()).weights)
    except EgolibError:
        file = weights_file(path)  # trained without evaluation
    state, about = read_any(file, like)
    config = build_config(ModelConfig, about["config"]["model"])
    network = build_network(config)
    checkpoint.compare(state, network.state_dict()).require_complete(file=file)
    network.load_state_dict(state)
    names = _names(classes, about.get("classes"), config.classes)
    loaded = MomentFinder(
        network,
        names,
        infer,
        device=device,
        rows_per_sec=about.get("rows_per_sec"),
        grid=build_config(GridConfig, about["grid"]) if about.get("grid") else grid,
        made_by=build_config(Provenance, about["features"]) if about.get("features") else None,
    )
    loaded.about = who(file)
    return loaded


def _names(
    given: str | Path | Sequence[str] | None, known: Sequence[str] | None, count: int
) -> list[str]:
    if isinstance(given, str | Path):
        return class_names(read_classes(given))
    if given is not None:
        return list(given)
    return list(known) if known else [BACKGROUND_NAME, *map(str, range(1, count))]


def save(
    path: str | Path,
    model: Network,
    class_names: Sequence[str],
    *,
    rows_per_sec: float | None = None,
    grid: GridConfig | None = None,
    made_by: Provenance | None = None,
    **sidecar: Any,
) -> Path:
    """Writes a checkpoint that ``load`` reads; returns the path of its tensor file.

    Args:
        path: of the tensor file.
        model: the network.
        class_names: by number, the background first.
        rows_per_sec: features in a second; None where not known.
        grid: of ActionFormer: where moments lie on its features.
        made_by: what computed the features of its training.
        sidecar: further JSON values.
    """
    about = describe(model.config, class_names, rows_per_sec, grid, made_by)
    return checkpoint.save(path, model.state_dict(), {**sidecar, **about})


def describe(
    model: ModelConfig,
    class_names: Sequence[str],
    rows_per_sec: float | None,
    grid: GridConfig | None = None,
    made_by: Provenance | None = None,
) -> dict[str, Any]:
    """What the sidecar of a checkpoint must say for ``load``.

    Args:
        model: the network.
        class_names: by number, the background first.
        rows_per_sec: features in a second.
        grid: of ActionFormer: where moments lie on its features.
        made_by: what computed the features of the training.
    """
    points = model.actionformer is not None and grid is not None
    return {
        **({"grid": to_tree(grid)} if points else {}),
        **({"features": to_tree(made_by)} if made_by else {}),
        "model": model_name(model),
        "config": {"model": to_tree(model)},
        "classes": list(class_names),
        "rows_per_sec": rows_per_sec,
    }
