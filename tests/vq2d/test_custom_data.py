"""The example of the page on own data is complete: it is cut, checked, answered and scored."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from egolib.config import project_root
from egolib.video import write_video
from egolib.video.extract import extract
from egolib.vq2d.config import Config, DataConfig, LocalizeConfig, ParticleConfig, PeakConfig
from egolib.vq2d.data.annotations import Annotations, find_annotations, processed, read_annotations
from egolib.vq2d.data.dataset import stored_sizes
from egolib.vq2d.data.prepare import check_clips, find_videos, plans
from egolib.vq2d.data.samples import VARIANTS, build_samples
from egolib.vq2d.evaluation import evaluate_files
from egolib.vq2d.formats.submission import write
from egolib.vq2d.localization.answers import Work, answer_all, query_jobs
from egolib.vq2d.tracking.trackers import make_tracker
from tests.vq2d import made

PAGE = (project_root() / "book" / "vq2d_custom_data.md").read_text()
CFG = LocalizeConfig(
    peaks=PeakConfig(distance=3, width=1, prominence=0.05),
    tracker="particle",
    particle=ParticleConfig(particles=60, similarity="pixel", metric_sigma=0.1, lost_threshold=0.2),
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The example with a video of it: the object moves one pixel a clip frame."""
    (example,) = re.findall(r"```json\n(.*?)```", PAGE, re.S)
    (tmp_path / "vq_val.json").write_text(example)
    frames = (picture for picture in made.moving_square(30) for _ in range(6))
    write_video(tmp_path / "kitchen.mp4", frames, 30)
    return tmp_path


def cut(root: Path) -> Annotations:
    annotations = read_annotations(find_annotations(root, "val"))
    places = (root / "clips", root / "images")
    todo, skipped = plans(annotations, find_videos(root), *places, DataConfig())
    assert not skipped.reasons and not extract(todo).skipped.reasons
    return annotations


def test_the_example_is_a_whole_data_set(root: Path):
    annotations = cut(root)
    assert len(annotations.queries) == 1 and not annotations.skipped.reasons
    assert not check_clips(annotations, root / "clips").reasons
    sizes = stored_sizes(root / "images")
    samples = build_samples(processed(annotations), VARIANTS["visual_query"], sizes, seed=0)
    assert len(samples) == 3


def test_scores_by_hand_are_answered_and_evaluated(root: Path):
    """The page's form of a cache; the true boxes score high."""
    annotations = cut(root)
    (query,) = annotations.queries
    assert f"scores/{query.key}.json" in PAGE
    truth = {box.frame: list(box.xyxy) for box in query.track}
    frames = [
        {"boxes": [truth.get(n, [40, 30, 50, 40])], "scores": [0.9 if n in truth else 0.1]}
        for n in range(query.query_frame)
    ]
    (root / "scores").mkdir()
    (root / "scores" / f"{query.key}.json").write_text(json.dumps({"frames": frames}))
    todo = query_jobs(annotations.by_clip(), root / "clips")
    answers = answer_all(todo, Work(CFG, root / "scores", None), partial(_tracker, CFG))
    assert not answers.skipped.reasons
    path = write(root / "val.json", annotations, answers.tracks)
    found = evaluate_files(root / "vq_val.json", path)["metrics"]
    assert found["success%"] == 100 and found["tAP@0.25"] == found["stAP@0.25"] == 1


def _tracker(config: LocalizeConfig, device: str):
    return make_tracker(config)


def test_faster_videos_are_refused_or_rounded_as_the_page_says(root: Path):
    write_video(root / "kitchen.mp4", made.moving_square(30) * 6, 30000 / 1001)
    annotations = read_annotations(root / "vq_val.json")
    places = (find_videos(root), root / "clips", None)
    assert "kitchen" in plans(annotations, *places, DataConfig())[1].reasons
    nearest = replace(DataConfig(), rate_rounding="nearest")
    assert not plans(annotations, *places, nearest)[1].reasons


def test_options_exist():
    config = Config()
    for section, option in re.findall(
        r"\b(data|initial|localize|detect)\.([a-z]\w+)(?==|`| )", PAGE
    ):
        assert hasattr(getattr(config, section), option), (section, option)
