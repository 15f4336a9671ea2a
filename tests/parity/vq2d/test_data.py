"""Annotation lists, frame lists, images and training samples: equal to the recorded ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from egolib.video.resize import Resize
from egolib.video.timing import clip_frames, frame_step
from egolib.vq2d.data.annotations import from_content, grouped_by_clip, processed
from egolib.vq2d.data.images import images_of_clip
from egolib.vq2d.data.samples import VARIANTS, Sample, build_samples
from egolib.vq2d.formats.submission import build_submission, validate
from egolib.vq2d.localization.tracks import Track
from tests.parity.recordings import auxiliary, read


@pytest.mark.recordings("data_process")
def test_processed(recording: Path) -> None:
    case = read(recording)
    for split in ("train", "val"):
        assert processed(from_content(case[f"vq_{split}"])) == case[f"{split}_annot"]


@pytest.mark.recordings("data_process")
def test_grouped_by_clip(recording: Path) -> None:
    case = read(recording)
    for name, file in (("clipwise_val", "vq_val"), ("clipwise_test", "vq_test_unannotated")):
        found = grouped_by_clip(from_content(case[file]))
        assert found == case[name]
        assert list(found) == list(case[name])


@pytest.mark.recordings("data_frames")
def test_frame_lists(recording: Path) -> None:
    case = read(recording)
    for item in case["frames_to_select"]:
        skip = frame_step(item["video_fps"], item["clip_fps"])
        assert list(clip_frames(item["start"], item["end"], skip)) == item["frames"]
    for item in case["downscale"]:
        size = Resize(height=item["downscale_height"]).size((item["w"], item["h"]))
        assert size == (item["new_w"], item["downscale_height"])


@pytest.mark.recordings("data_frames")
def test_stored_images(recording: Path) -> None:
    case = read(recording)
    process = auxiliary(recording, recording.name.replace("_frames.", "_process."))
    videos = read(process)["vq_train"]["videos"]
    clips = {clip["clip_uid"]: clip for video in videos for clip in video["clips"]}
    improved = {"annotations": "all", "negatives": True}
    for name, options in (
        ("images_official", {}),
        ("images_all_annotations_plus_negatives", improved),
    ):
        assert case[name]
        for item in case[name]:
            found = images_of_clip(clips[item["clip_uid"]], skip=6, **options)
            expected = [(e["video_fno"], e["save_path"]) for e in item["save"]]
            assert [(i.video_frame, f"ROOT/{i.name}") for i in found] == expected


@pytest.mark.recordings("data_samples")
@pytest.mark.parametrize("name", ["visual_query", "visual_query_clean", "visual_query_clean_plus"])
def test_plain_samples(recording: Path, name: str) -> None:
    case = read(recording)
    if name not in case:
        pytest.skip(f"{recording.name} holds no list {name}")
    samples = build_samples(case["train_annot"], VARIANTS[name], sizes(case), seed=123)
    assert [official_form(sample) for sample in samples] == case[name]


@pytest.mark.recordings("data_samples")
@pytest.mark.parametrize("limit", [10, 2])
def test_pairs(recording: Path, limit: int) -> None:
    case = read(recording)
    name = "visual_query_clean_aug" + ("" if limit == 10 else f"_limit{limit}")
    if name not in case:
        pytest.skip(f"{recording.name} holds no list {name}")
    variant = replace(VARIANTS["visual_query_clean_aug"], pairs_limit=limit)
    samples = build_samples(case["train_annot"], variant, sizes(case), seed=123)
    assert [[s.image_id, s.reference.file] for s in samples] == case[name]


@pytest.mark.recordings("submission")
def test_submission(recording: Path) -> None:
    case = read(recording)
    annotations = from_content(case["annotations"])
    tracks = {f"{uid}_{name}": Track.from_rows(rows) for uid, name, rows in case["tracks"]}
    submission = build_submission(annotations, tracks)
    assert submission == case["submission"]
    validate(submission, annotations)


def sizes(case: dict):
    available = {name: tuple(size) for name, size in case["available_images"].items()}
    return available.get


def official_form(sample: Sample) -> dict:
    frame, reference = sample.frame, sample.reference
    return {
        "image_id": sample.image_id,
        "file_name": frame.file,
        "info": sample.info,
        "width": frame.size[0],
        "height": frame.size[1],
        "arc": frame.resize,
        "annotations": [{"bbox": list(frame.box_xyxy), "category_id": 0}],
        "reference": {
            "file_name": reference.file,
            "width": reference.size[0],
            "height": reference.size[1],
            "arc": reference.resize,
            "bbox": list(reference.box_xyxy),
        },
    }
