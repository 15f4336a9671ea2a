"""Data roots for networks of their published sizes: the built-in world's official files, cut to a
few frames, with class lists, vocabularies and features as large as the real ones."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from egolib.io.features import FeatureStore
from egolib.io.foreign_features import write_lmdb
from egolib.io.records import read_json
from egolib.mq.data.classes import BACKGROUND_NAME
from egolib.text.tokens import byte_symbols
from egolib.vod.data.classes import IMAGENET_VID
from egolib.vq2d.data.annotations import find_annotations
from tests.vq2d.project import cut_world

FRAMES = 4
CLASSES = 111  #: of mq, the background included
TOKENS = 50265  #: of RoBERTa-base


def _change(file: Path, change: Callable[[Any], None]) -> None:
    content = read_json(file)
    change(content)
    file.write_text(json.dumps(content))


# --------------------------------------------------------------------------- vod


def vod(data: Path) -> None:
    """The identities of ImageNet VID's classes; validation is one video of a few frames."""
    folder = data / "ILSVRC"
    made = read_json(folder / "annotations/imagenet_vid_val.json")["categories"]
    names = {c["encode_name"]: wnid for c, (_, wnid) in zip(made, IMAGENET_VID, strict=False)}
    for file in (folder / "Annotations").rglob("*.xml"):
        text = file.read_text()
        for ours, theirs in names.items():
            text = text.replace(ours, theirs)
        file.write_text(text)
    shutil.rmtree(folder / "annotations")  # 1_data makes them from the XML files
    frames = folder / "ImageSets/VID_val_frames.txt"
    frames.write_text("".join(frames.read_text().splitlines(keepends=True)[:FRAMES]))
    videos = folder / "ImageSets/VID_val_videos.txt"
    name, first, before, _ = videos.read_text().splitlines()[0].split()
    videos.write_text(f"{name} {first} {before} {FRAMES}\n")


# -------------------------------------------------------------------------- vq2d


def vq2d(data: Path) -> None:
    """One query of validation, a few frames after the clip's first one."""
    cut_world(data)
    _change(find_annotations(data, "val"), _early_query)


def _early_query(content: dict[str, Any]) -> None:
    (video,) = content["videos"]
    clip = video["clips"][0]
    clip["annotations"] = clip["annotations"][:1]
    (annotation,) = clip["annotations"]
    for number, query in list(annotation["query_sets"].items()):
        if number != "1":
            del annotation["query_sets"][number]
            continue
        query["query_frame"] = FRAMES
        query["response_track"] = query["response_track"][:2]
        for frame, box in enumerate(query["response_track"], 1):
            box["frame_number"] = frame


# --------------------------------------------------------------------------- vlp


def vlp(data: Path) -> None:
    """A vocabulary of RoBERTa's size, and the first questions and clips of each benchmark."""
    names = ["<s>", "<pad>", "</s>", "<unk>", *byte_symbols()]
    names += [f"token{i}" for i in range(len(names), TOKENS - 1)] + ["<mask>"]
    folder = data / "roberta-base"
    folder.mkdir()
    (folder / "vocab.json").write_text(json.dumps({name: i for i, name in enumerate(names)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    file = data / "egomcq/egomcq.json"
    file.write_text(json.dumps(dict(list(read_json(file).items())[:1])))


# ------------------------------------------------------------------- nlq and mq


def _features(data: Path, width: int, kind: str = "video") -> dict[str, np.ndarray]:
    """Noise of a width, as many rows as the world's features have."""
    store = FeatureStore(data / f"nlq/features/symbolic_{kind}")
    rng = np.random.default_rng(0)
    return {
        uid: rng.standard_normal((store.length(uid), width)).astype(np.float32)
        for uid in store.uids()
    }


def nlq(data: Path) -> None:
    """Features of GroundNLQ's widths in the official LMDB stores."""
    write_lmdb(data / "nlq/video_features", _features(data, 2304).items())
    texts = _features(data, 512, "text").items()
    write_lmdb(data / "nlq/text_features", texts, name="token_features")


def vslnet(data: Path) -> None:
    """Features of EgoVLPv2's width in the folder that vlp writes, every row of text a token."""
    folder = data / "questions"
    texts = _features(data, 768, "text")
    masks = {uid: np.ones((len(rows), 1), np.float32) for uid, rows in texts.items()}
    write_lmdb(folder / "video", _features(data, 768).items())
    write_lmdb(folder / "text", texts.items(), name="token_features")
    write_lmdb(folder / "mask", masks.items(), name="token_features")


def mq(data: Path, width: int = 4096) -> None:
    """A table of all classes, and one feature file a clip.

    Args:
        data: the root.
        width: of the features.
    """
    folder = data / "mq/features"
    folder.mkdir(parents=True)
    for uid, rows in _features(data, width).items():
        torch.save(torch.from_numpy(rows), folder / f"{uid}.pt")
    labels: set[str] = set()
    for split in ("train", "val"):
        content = read_json(data / f"ego4d/v2/annotations/moments_{split}.json")
        clips = (clip for video in content["videos"] for clip in video["clips"])
        labels |= {x["label"] for c in clips for a in c["annotations"] for x in a["labels"]}
    names = [BACKGROUND_NAME, *sorted(labels)]
    names += [f"activity {i}" for i in range(len(names), CLASSES)]
    (data / "classes.json").write_text(json.dumps({name: i for i, name in enumerate(names)}))
