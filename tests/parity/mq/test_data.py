"""Conversion, data set items, targets and self-stitching."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from egolib.errors import EgolibError
from egolib.io.features import Provenance
from egolib.mq.config import DataConfig, ModelConfig
from egolib.mq.data.annotations import FILES, Clip, clips_of, select
from egolib.mq.data.classes import make_classes
from egolib.mq.data.conversion import Conversion, convert, read_durations
from egolib.mq.data.dataset import MomentsData
from egolib.mq.data.labels import ClipTargets, clip_targets
from egolib.mq.data.stitching import inference_windows, stitch, training_windows
from tests.parity.mq.networks import meta, one_target, part, true
from tests.parity.recordings import normal, read

# ------------------------------------------------------------------------- conversion


@pytest.mark.recordings("conversion")
def test_conversion(recording: Path) -> None:
    layout = recording.stem.removeprefix("clip_annotations_")
    found = converted(recording.parent, layout)
    expected = read(recording)
    assert found.clips == expected
    assert list(found.clips) == list(expected)
    assert all(list(found.clips[uid]) == list(clip) for uid, clip in expected.items())
    skipped = read(recording.parent / f"skipped_{layout}.json")
    assert list(found.skipped.reasons) == skipped["videos_without_features"]
    assert found.unlabelled == skipped["clips_removed"]
    counts = found.counts()
    for subset in ("train", "val"):
        assert counts[f"{subset}_clips"] == skipped[f"{subset}_clips"]


def converted(folder: Path, layout: Any) -> Conversion:
    lengths = read(folder / "feature_lengths.json")

    def rows(uid: str) -> int:
        if uid not in lengths:
            raise EgolibError("no features for this uid", record=uid)
        return lengths[uid]

    files = [folder / name for name in FILES.values()]
    durations = read_durations(folder / "ego4d.json")
    return convert(files, durations, rows, DataConfig(layout=layout))


# ---------------------------------------------------------------------------- dataset


class NamedFeatures:
    """A store of named streams."""

    def __init__(self, stream: str, lengths: dict[str, int], width: int):
        self.stream, self.lengths = stream, lengths
        self.provenance = Provenance("video", width)

    def get(self, uid: str) -> np.ndarray:
        return normal(self.stream.replace("<uid>", uid), (self.lengths[uid], self.provenance.width))

    def uids(self) -> list[str]:
        return sorted(self.lengths)

    def length(self, uid: str) -> int:
        return self.lengths[uid]

    def __contains__(self, uid: object) -> bool:
        return uid in self.lengths


@pytest.mark.recordings("dataset")
def test_items(recording: Path) -> None:
    recorded = read(recording)
    about = meta(recorded)
    folder = annotations_of(recording)
    lengths = read(folder / "feature_lengths.json")
    store = NamedFeatures(about["feature_stream"], lengths, about["input_feat_dim"])
    model = replace(ModelConfig(), feature_width=about["input_feat_dim"])
    for layout in dict.fromkeys(name.split("/")[0] for name in about["items"]):
        data = DataConfig(layout=layout)  # type: ignore[arg-type]
        clips = clips_of(converted(folder, layout).clips)
        classes = make_classes(clips, data)
        assert classes == about["items"][f"{layout}/classes"]
        for name, expected in about["items"].items():
            if name.startswith(f"{layout}/") and not name.endswith("/classes"):
                _, subset, mode = name.split("/")
                chosen = select(clips, subset)
                assert [clip.clip_uid for clip in chosen] == [item["clip"] for item in expected]
                for number, (clip, item) in enumerate(zip(chosen, expected, strict=False)):
                    arguments = (store, classes, model, data)
                    values = part(recorded, f"{name}/{number}")
                    check_item(clip, arguments, mode == "train", item, values)


def annotations_of(recording: Path) -> Path:
    """The folder of annotations that a folder of items was made from."""
    own = recording.parent.parent / recording.parent.name.replace("dataset", "convert")
    return own if own.is_dir() else recording.parent.parent / "convert"


def check_item(
    clip: Clip, arguments: tuple, training: bool, expected: dict[str, Any], values: dict
) -> None:
    if "error" in expected:
        assert expected["error"] == "KeyError"
        with pytest.raises(EgolibError, match="not in the class table"):
            MomentsData([clip], *arguments, training=training)
        return
    item = MomentsData([clip], *arguments, training=training)[0]
    assert item.valid == expected["num_frms"]
    assert item.fps == pytest.approx(expected["fps"], rel=1e-12)
    assert np.any(item.features != 0, axis=0).sum() == expected["nonzero"]
    assert item.features.sum(dtype=np.float64) == pytest.approx(expected["sum"], rel=1e-6, abs=1e-6)
    np.testing.assert_allclose(item.features[3, :3], expected["row3"], rtol=1e-6)
    if training:
        assert item.targets is not None
        assert len(item.targets.labels) == expected["num_gt"]
        check_targets(item.targets, values, item.features.shape[1])


def check_targets(found: ClipTargets, expected: dict[str, np.ndarray], length: int) -> None:
    np.testing.assert_allclose(found.moments / length, expected["bbox"][:, :2], atol=1e-6)
    np.testing.assert_array_equal(found.labels, expected["bbox"][:, 2])
    for name in ("action", "start", "end"):
        if name in expected:
            np.testing.assert_allclose(getattr(found, name), expected[name], atol=1e-5)


@pytest.mark.recordings("labels")
def test_targets(recording: Path) -> None:
    recorded = read(recording)
    for case, about in meta(recorded).items():
        arguments = (about["segments"], about["num_frms"], about["temporal_scale"])
        if about["error"]:
            with pytest.raises(EgolibError, match="without moments"):
                one_target(*arguments)
            continue
        found = one_target(*arguments, max_boxes=about["rows"][0])
        assert len(found.labels) == about["num_gt"]
        check_targets(found, part(recorded, case), about["temporal_scale"])


# -------------------------------------------------------------------------- stitching


@pytest.mark.recordings("stitching")
def test_stitched_items(recording: Path) -> None:
    recorded = read(recording)
    about = meta(recorded)
    for case, item in about["cases"].items():
        values = part(recorded, case)
        model = replace(
            ModelConfig(),
            length=item["T"],
            stitch_gap=item["gap"],
            short_fraction=item["short_ratio"],
        )
        rows = normal(about["stream"].replace("<case>", case), (item["n"], 2 * item["D"]))
        segments = np.array(item["segments"], np.float64)
        found = stitch(rows, segments[:, :2] * item["fps"], tuple(item["window"]), model)
        np.testing.assert_allclose(found.features[::3], values["data"], atol=1e-6)
        assert found.valid == item["num_frms"]
        assert len(found.chosen) == item["num_gt"]
        labels = segments[found.chosen, 2].astype(np.int64)
        targets = clip_targets(found.moments_feat, labels, model.length, model.length)
        check_targets(targets, values, model.length)


@pytest.mark.recordings("windows")
def test_windows(recording: Path) -> None:
    recorded = read(recording)
    options = recorded["options"]
    model = replace(
        ModelConfig(), length=options["temporal_scale"], short_fraction=options["short_ratio"]
    )
    data = replace(
        DataConfig(),
        stitching="vsgn" if true(options["use_VSS"]) else "none",
        window_fraction=options["clip_win_size"],
    )
    rng = random.Random(recorded["seed"])
    for name, subset in (("val", "train"), ("test", "test"), ("infer", "test")):
        found = []
        for video in recorded["videos"]:
            entry = recorded["database"][video["name"]]
            if entry["subset"] != subset:
                continue
            fps = video["num_frms"] / video["duration"]
            moments = np.array([a["segment"] for a in entry["annotations"]]) * fps
            windows = (
                inference_windows(video["num_frms"], model.length)
                if name == "infer"
                else training_windows(moments, video["num_frms"], model, data, rng)
            )
            found += [(video["name"], *window) for window in windows]
        keys = ("v_name", "w_start", "w_end")
        assert found == [tuple(w[k] for k in keys) for w in recorded["windows"][name]]
