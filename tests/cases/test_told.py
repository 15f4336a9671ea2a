"""What can be known from a foreign file alone is told: an error, a listed skip, or a warning."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from egolib.errors import EgolibError
from tests.fuzz import samples
from tests.fuzz.readers import READERS


def vq(change: Callable[[dict[str, Any]], None]) -> bytes:
    content = json.loads(json.dumps(samples.vq()))
    change(content["videos"][1]["clips"][0]["annotations"][0]["query_sets"]["1"])
    return json.dumps(content).encode()


def changed(sample: Any, *path: Any, value: Any) -> bytes:
    content = inner = json.loads(json.dumps(sample))
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return json.dumps(content).encode()


def renamed_choice() -> bytes:
    content = samples.egomcq()
    content["1"]["choices"]["2_5"] = content["1"]["choices"].pop("2")
    return json.dumps(content).encode()


def without_byte() -> bytes:
    content = samples.letters()
    content["zz"] = content.pop("z")
    return json.dumps(content).encode()


def line(text: str, old: str, new: str) -> bytes:
    assert old in text
    return text.replace(old, new, 1).encode()


TOLD: dict[str, tuple[str, bytes, str]] = {
    "validity left out": ("vq annotations", vq(lambda q: q.pop("is_valid")), "is_valid is missing"),
    "validity in words": ("vq annotations", vq(lambda q: q.update(is_valid="")), "a boolean"),
    "answer out of order": (
        "vq annotations", vq(lambda q: q["response_track"].reverse()), "not in order",
    ),
    "answer after the question": (
        "vq annotations", vq(lambda q: q.update(query_frame=12)), "query_frame is 12",
    ),
    "box without area": (
        "vq annotations", vq(lambda q: q["visual_crop"].update(width=0)), "visual_crop has no area",
    ),
    "box outside": (
        "vq annotations", vq(lambda q: q["visual_crop"].update(x=1500)), "outside its frame",
    ),
    "frame of no size": (
        "vq annotations", vq(lambda q: q["visual_crop"].pop("original_width")), "the size of its",
    ),
    "submission of light-years": (
        "vq submission",
        changed(samples.vq_submission(), "results", "videos", 0, "clips", 0, "predictions", 0,
                "query_sets", "1", "bboxes", 2, "x2", value=1e19), "further than any picture",
    ),
    "negative score": (
        "detection cache (json)",
        changed(samples.cache(), "frames", 2, "scores", 0, value=-0.5), "greater than or equal",
    ),
    "unknown split": (
        "moments", changed(samples.moments(), "videos", 0, "split", value="vall"), "'val'",
    ),
    "moment before its clip": (
        "moments",
        changed(samples.moments(), "videos", 0, "clips", 0, "annotations", 0, "labels", 0,
                "start_time", value=-2.0), "starts before the clip",
    ),
    "no rate": ("clip_annotations.json",
                changed(samples.moment_clips(), "a1", "fps", value=0), "greater than 0"),
    "one class twice": (
        "CocoVID", changed(samples.cocovid(), "categories", 1, "name", value="mug"),
        "name mug stands twice",
    ),
    "choice without a number": ("EgoMCQ", renamed_choice(), "choices named 0 to 4"),
    "another answer": (
        "EgoTaskQA", changed(samples.questions(), 1, "answer_encode", value=1), "another text",
    ),
    "a missing byte": ("vocab.json", without_byte(), "lacks 1 of the 256 bytes"),
    "a merge twice": ("merges.txt", (samples.MERGES + "t h\n").encode(), "stands twice"),
    "narration before its start": (
        "EgoClip", line(samples.EGOCLIP, "\t9.0\t11.0\t", "\t99.0\t11.0\t"), "impossible times",
    ),
    "another participant": (
        "EPIC clips", line(samples.EPIC, "P02_01_0,P02,", "P02_01_0,P01,"), "does not begin with",
    ),
    "action that ends first": (
        "Charades-Ego actions", line(samples.CHARADES_ACTIONS, "1.0\t12.3", "13.0\t12.3"),
        "end before they start",
    ),
    "question without its text": (
        "nlq annotations",
        changed(samples.nlq(), "videos", 0, "clips", 0, "annotations", 0, "language_queries", 0,
                "query", value=None), "no text, passed over",
    ),
    "window before its clip": (
        "nlq annotations",
        changed(samples.nlq(), "videos", 0, "clips", 0, "annotations", 0, "language_queries", 0,
                "clip_start_sec", value=-3.0), "starts before it",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", TOLD)
def test_it_is_told(kind: str, tmp_path: Path) -> None:
    name, data, wanted = TOLD[kind]
    reader = READERS[name]
    for other, make in reader.beside.items():
        (tmp_path / other).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / other).write_bytes(make())
    path = tmp_path / reader.file
    path.write_bytes(data)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        try:
            value = reader.read(path)
        except EgolibError as error:
            assert error.file is not None
            said = [str(error)]
        else:
            listed = value[1] if isinstance(value, tuple) and isinstance(value[1], list) else []
            said = [*map(str, listed)]
    said += [str(warning.message) for warning in found]
    assert any(wanted in text for text in said), said


@pytest.mark.parametrize("name", sorted({name for name, _, _ in TOLD.values()}))
def test_good_files_are_quiet(name: str, tmp_path: Path) -> None:
    reader = READERS[name]
    for other, make in reader.beside.items():
        (tmp_path / other).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / other).write_bytes(make())
    path = tmp_path / reader.file
    path.write_bytes(reader.sample())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reader.read(path)
