"""From the built-in world to numbers: every step of vq2d on real files, in seconds."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from egolib import vq2d, world
from egolib.runs.result_cache import ResultCache
from egolib.video import VideoReader
from egolib.video.extract import extract as cut
from egolib.vq2d.api import save
from egolib.vq2d.config import (
    AugmentConfig,
    DataConfig,
    LocalizeConfig,
    LossConfig,
    OptimConfig,
    ParticleConfig,
    PeakConfig,
    TrackerOptimConfig,
    small,
    small_frames,
    small_kys,
)
from egolib.vq2d.data.annotations import find_annotations, processed, read_annotations
from egolib.vq2d.data.dataset import TrainingSet, stored_sizes
from egolib.vq2d.data.prepare import check_clips, find_videos, plans
from egolib.vq2d.data.samples import VARIANTS, build_samples
from egolib.vq2d.evaluation import evaluate_files
from egolib.vq2d.formats.checkpoint import read_detector, read_kys
from egolib.vq2d.formats.submission import write
from egolib.vq2d.localization import answers as answer
from egolib.vq2d.localization.detect import Detector, extract
from egolib.vq2d.localization.tracks import Track
from egolib.vq2d.localization.validation import validation_ap
from egolib.vq2d.losses.training import TrainingLoss
from egolib.vq2d.models.model import SiameseRcnn
from egolib.vq2d.optim import make_optimizer
from egolib.vq2d.tracking.kys.train import SequenceData, find_runs, from_detector, sequence_losses
from egolib.vq2d.tracking.trackers import make_tracker

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("vq2d_chain")]

CFG = LocalizeConfig(
    peaks=PeakConfig(distance=3, width=1, prominence=0.0, threshold=0.0, curve_ends="reflect"),
    particle=ParticleConfig(particles=20, similarity="pixel"),
    confidence="height",
)
DETECT = replace(small_frames(), short_side=72)
DATA = DataConfig(image_annotations="all", negative_frames=True)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny world with its clips and training images."""
    place = tmp_path_factory.mktemp("chain")
    world.make("tiny", place / "world")
    for split in ("train", "val", "test"):
        annotations = read_annotations(find_annotations(place / "world", split))
        images = place / "images" if split == "train" else None
        todo, skipped = plans(
            annotations, find_videos(place / "world"), place / "clips", images, DATA
        )
        assert not skipped.reasons
        assert not cut(todo).skipped.reasons
        assert not check_clips(annotations, place / "clips").reasons
    return place


@pytest.fixture(scope="module")
def models(root: Path) -> Path:
    """A detector and a tracker after a few updates."""
    torch.manual_seed(0)
    items = processed(read_annotations(find_annotations(root / "world", "train")))
    size = stored_sizes(root / "images")
    samples = build_samples(items, VARIANTS["visual_query_clean_aug_neg"], size, seed=0)
    augment = AugmentConfig(short_sides=(72, 84), long_side=160, rotation=(-30, 30))
    data = TrainingSet(samples, root / "images", augment)
    assert any(sample.frame.box_xyxy is None for sample in samples)
    model = SiameseRcnn(small())
    loss = TrainingLoss(LossConfig(regions=32, proposals=DETECT.proposals), "trained")
    optimizer = make_optimizer(model, OptimConfig(trunk="trained"))
    for update in range(3):
        rng = np.random.default_rng(update)
        batch = data.collate([data.sample(i, rng) for i in rng.integers(0, len(data), 2)])
        value = loss(model, batch)["loss"]
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        assert torch.isfinite(value)
    plain = TrainingSet(samples, root / "images", None, test_sides=(72, 160))
    assert set(validation_ap(model, plain, DETECT, limit=4)) == {"AP", "AP50"}
    save(root / "model" / "model.safetensors", model, DETECT)
    recipe = TrackerOptimConfig(sequence=3, boxes=4)
    sequences = SequenceData(find_runs(items, size, 3), root / "images", small_kys(), recipe)
    tracker = from_detector(model.backbone, small_kys())
    batch = sequences.collate([sequences.sample(0, np.random.default_rng(0))])
    assert torch.isfinite(sequence_losses(tracker, batch, recipe)["loss"])
    save(root / "model" / "kys.safetensors", tracker)
    return root / "model"


def tracker_source(folder: Path, config: LocalizeConfig, device: str):
    return make_tracker(config, kys=read_kys(folder / "kys.safetensors"))


@pytest.mark.parametrize("tracker", ["kys", "particle", "none"])
def test_detections_to_numbers(root: Path, models: Path, tracker: str) -> None:
    annotations = read_annotations(find_annotations(root / "world", "val"))
    found = read_detector(models / "model.safetensors")
    cache = ResultCache(root / "cache", {})
    skipped = extract(
        annotations.by_clip(),
        lambda uid: VideoReader(root / "clips" / f"{uid}.mp4"),
        Detector(found.model, found.detect),
        cache,
    )
    assert not skipped.reasons
    config = replace(CFG, tracker=tracker)
    answers = answer.answer_all(
        answer.query_jobs(annotations.by_clip(), root / "clips"),
        answer.Work(config, cache.folder, ResultCache(root / "tracks", {"tracker": tracker})),
        partial(tracker_source, models, config),
    )
    assert not answers.skipped.reasons
    assert len(answers.found) == len(annotations.queries)
    path = write(root / f"{tracker}.json", annotations, answers.tracks)
    scored = evaluate_files(find_annotations(root / "world", "val"), path, ap_ties="file")
    assert scored["counts"]["queries"] == len(annotations.queries)
    assert all(np.isfinite(value) for value in scored["metrics"].values())


def test_the_oracle_through_the_official_files(root: Path) -> None:
    truth = find_annotations(root / "world", "val")
    annotations = read_annotations(truth)
    tracks = {
        query.key: Track.from_rows([[box.frame, *box.xyxy] for box in query.track])
        for query in annotations.queries
    }
    metrics = evaluate_files(truth, write(root / "oracle.json", annotations, tracks))
    for name in ("tAP", "stAP"):
        assert metrics["metrics"][name] == pytest.approx(1, abs=1e-6)
    for name in ("recovery%", "success%"):
        assert metrics["metrics"][name] == pytest.approx(100, abs=1e-6)


def test_the_test_split_gets_a_valid_submission(root: Path) -> None:
    annotations = read_annotations(find_annotations(root / "world", "test"))
    path = write(root / "test.json", annotations, {})
    assert json.loads(path.read_text())["version"] == annotations.version


def test_locate(root: Path, models: Path) -> None:
    annotations = read_annotations(find_annotations(root / "world", "val"))
    query = annotations.queries[0]
    clip = root / "clips" / f"{query.clip_uid}.mp4"
    x1, y1, x2, y2 = (round(value) for value in query.crop.xyxy)
    crop = VideoReader(clip)[query.crop.frame][y1:y2, x1:x2]
    found = vq2d.load(models, localize=CFG).locate(clip, crop, until=query.query_frame)
    assert len(found.curve) == query.query_frame and len(found.frames) >= 1


def test_locate_on_a_real_video(real_dir: Path, models: Path) -> None:
    """The real video goes through the same door."""
    video = real_dir / "video" / "flipping_a_pancake.mkv"
    if not video.is_file():
        pytest.skip(f"no {video.name}")
    crop = VideoReader(video)[60][60:140, 100:200]
    found = vq2d.load(models, tracker="kys", localize=CFG).locate(video, crop, until=60)
    assert found.curve_frames.max() < 60
    width, height = VideoReader(video).size
    assert len(found.boxes_xyxy) and np.abs(found.boxes_xyxy).max() < 3 * max(width, height)
