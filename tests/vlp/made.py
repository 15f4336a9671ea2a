"""Annotation files that tests of vlp make."""

from __future__ import annotations

from pathlib import Path

HEADER = (
    "narration_id,participant_id,video_id,narration_timestamp,start_timestamp,stop_timestamp,"
    "start_frame,stop_frame,narration,verb,verb_class,noun,noun_class,all_nouns,all_noun_classes"
)
ROWS = [
    ("P01_01_0", "cut pan", 5, 3, "[3]"),
    ("P01_01_1", "cut pan", 5, 3, "[3, 4]"),  # the same narration, other nouns
    ("P01_01_2", "take it", 0, 4, "[4]"),
    ("P01_01_3", "take it", 1, 4, "[4]"),  # an action class that no sentence carries
    ("P01_01_4", "wash", 2, 6, "[6, 3, 6]"),
]


def question(**changes: object) -> dict:
    choice = {"video_uid": "v", "clip_start": 1, "clip_end": 2, "clip_text": "x"}
    content = {
        "answer": 1,
        "types": 2,
        "query": {"clip_text": "q"},
        "choices": {"0": choice, "1": choice},
    }
    return content | changes


def write_clips(folder: Path, split: str = "test") -> Path:
    lines = [HEADER]
    for name, text, verb, noun, nouns in ROWS:
        lines.append(
            f'{name},P01,P01_01,0,00:00:01.50,00:01:02.25,1,2,{text},v,{verb},n,{noun},[],"{nouns}"'
        )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"EPIC_100_retrieval_{split}.csv"
    path.write_text("\n".join([*lines, ""]))
    return path
