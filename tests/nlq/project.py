"""A miniature data root in the official layout, and the steps of a run on it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from egolib import config as configs
from egolib.io.features import FeatureWriter, Provenance, write_packed
from egolib.io.records import write_json, write_text
from egolib.nlq.config import Config
from egolib.nlq.data.annotations import Query, to_official
from egolib.runs.step import Step
from egolib.world.language import encode

VIDEO, TEXT = "nlq/features/symbolic_video", "nlq/features/symbolic_text"
CLIPS = {"train": (30.0, 40.0, 50.0), "val": (30.0, 40.0), "test": (35.0,)}
TEXTS = ("where did i put the mug?", "what pan did i wash?", "how many jars did i see?")
TREE = {
    "seed": 0,
    "data": {"counts": "any", "video_stores": [VIDEO], "text_stores": [TEXT]},
    "model": {
        "video_streams": [["video", 8]],
        "text_streams": [["query", 16]],
        "max_length": 128,
        "width": 8,
        "head_width": 8,
        "heads": 2,
        "text_blocks": 1,
        "stem_blocks": 1,
        "plain_branch_blocks": 2,
    },
    "optim": {"learning_rate": 1e-3, "warmup_epochs": 1},
    "fit": {
        "epochs": 2,
        "batch_size": 4,
        "clip_norm": 1.0,
        "ema_decay": 0.9,
        "log_every": 1,
        "keep_epochs": False,
    },
    "infer": {"score_threshold": 0.0},
}


def make_root(root: Path) -> Path:
    """Annotations, narrations, cues and stores of a few clips."""
    rng = np.random.default_rng(0)
    annotations = root / "ego4d" / "v2" / "annotations"
    texts: dict[str, str] = {}
    lengths: dict[str, float] = {}
    rows = [
        "video_uid\tnarration_source\tnarration_ind\tnarration_time\tclip_start\tclip_end\tclip_text"
    ]
    for split, durations in CLIPS.items():
        queries = []
        for number, duration in enumerate(durations):
            uid = f"{split}{number}"
            lengths[uid] = duration
            for index, text in enumerate(TEXTS):
                start = float(rng.uniform(1, duration - 8))
                window = (start, start + float(rng.uniform(1, 6)))
                queries.append(Query(text, f"{uid}a_{index}", duration, uid, (window,)))
                texts[f"{uid}a_{index}"] = text
                rows.append(
                    f"{uid}\tnarration_pass_1\t{index}\t{start}\t{start}\t{start + 2}\t#C C cuts"
                )
                texts[f"{uid}_narrator-1_{index}"] = "#C C cuts"
        content = to_official(queries, split)
        if split == "test":
            write_json(root / "truth" / "nlq_test.json", content)
            write_json(annotations / "nlq_test_unannotated.json", _blank(content))
        else:
            write_json(annotations / f"nlq_{split}.json", content)
        write_json(annotations / _name("vq", split), _visual(content))
        write_json(annotations / _name("moments", split), _moments(content, split))
    write_text(root / "egoclip" / "egoclip.csv", "\n".join(rows))
    frames = {"fps": 30.0, "stride_frames": 16.043, "window_frames": 16.043}
    writer = FeatureWriter(root / VIDEO, Provenance("video", 8, **frames))
    for uid, duration in lengths.items():
        shape = (int(duration * 30 / 16.043), 8)
        writer.write(uid, rng.standard_normal(shape).astype(np.float32))
    words = Provenance("text", 16, model="world/words")
    write_packed(root / TEXT, words, {uid: encode(text, 16) for uid, text in texts.items()})
    return root


def step(name: str, root: Path, runs: Path, changes: dict[str, Any] | None = None) -> Step[Config]:
    """One step of a run in a folder; its inputs are the earlier steps there.

    Args:
        changes: configuration values over ``TREE``.
    """
    config = configs.build(Config, configs.merge(TREE, changes or {}))
    sections = ("seed", "data", "model", "loss", "optim", "initial", "fit", "infer", "evaluate")
    needed = configs.DEFAULT_INPUTS[name]
    made = Step(
        task="nlq",
        name=name,
        variant="scratch",
        preset="tiny",
        config=config,
        sections=sections,
        data_root=root,
        out=runs / name,
        inputs={key: runs / folder for key, folder in needed.items()},
    )
    made.out.mkdir(parents=True, exist_ok=True)
    return made


def changed(old: Step[Config], **changes: Any) -> Step[Config]:
    """A step with other places."""
    return replace(old, **changes)


def _name(kind: str, split: str) -> str:
    return f"{kind}_{split}{'_unannotated' if split == 'test' else ''}.json"


def _blank(content: dict[str, Any]) -> dict[str, Any]:
    """The official content without answers."""
    videos = []
    for video in content["videos"]:
        clips = []
        for clip in video["clips"]:
            annotations = [
                {**a, "language_queries": [{"query": q["query"]} for q in a["language_queries"]]}
                for a in clip["annotations"]
            ]
            clips.append({**clip, "annotations": annotations})
        videos.append({**video, "clips": clips})
    return {**content, "videos": videos}


def _visual(content: dict[str, Any]) -> dict[str, Any]:
    """Visual queries: each clip asks for a red mug, the last query is of nothing."""
    sets = {"1": {"object_title": "red mug"}, "2": {"object_title": "red mug"}, "3": {}}
    return _with_annotations(content, [{"query_sets": sets}])


def _moments(content: dict[str, Any], split: str) -> dict[str, Any]:
    labels = [
        {"video_start_time": 9.0, "label": "turn_on"},
        {"video_start_time": 2.0, "label": "wash"},
    ]
    return _with_annotations(content, [] if split == "test" else [{"labels": labels}])


def _with_annotations(content: dict[str, Any], annotations: list[Any]) -> dict[str, Any]:
    videos = [
        {**v, "clips": [{**c, "annotations": annotations} for c in v["clips"]]}
        for v in content["videos"]
    ]
    return {**content, "videos": videos}
