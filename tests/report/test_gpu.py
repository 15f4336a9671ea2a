"""The page of GPU measurements: every number from the file, and what is not there said so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from egolib.io.records import write_json
from egolib.report.gpu import NOT_YET, page

ROW: dict[str, Any] = {
    "unit": "frames/s",
    "official": 10.0,
    "ours": {"fp32": 40.0, "tf32": 80.0},
    "deviation": {"tf32": {"absolute": 0.1, "relative": 0.0123, "arrays": 2, "differing": 1}},
    "peak_memory_gb": {"official": 7.5, "fp32": 3.25},
    "launches": 501.5,
    "synchronisations": 0.25,
    "official_launches": 1234.0,
    "official_synchronisations": 8.0,
    "graph_breaks": 0,
    "busy": 0.9,
    "bars": [
        {"name": "rate", "value": 80.0, "unit": "fps", "limit": 150, "at_least": True, "met": False}
    ],
    "note": "of one video",
    "errors": {"bf16": "RuntimeError: query float, key bfloat16"},
}


def evidence(folder: Path, parts: dict[str, Any]) -> Path:
    """A file of measurements."""
    about = {"hardware": {"gpu": "H100", "driver": "580", "cores": 16}, "tiny": False}
    about |= {"versions": {"torch": "2.11"}, "commit": "abc", "date": "2026-11-28"}
    return write_json(folder / "gpu.json", {**about, "parts": parts})


def test_without_a_file_everything_is_not_measured_yet(tmp_path: Path):
    text = page(tmp_path / "gpu.json")
    assert text.count(NOT_YET) >= 7
    assert "| ---" not in text


def test_numbers_come_from_the_file(tmp_path: Path):
    text = page(evidence(tmp_path, {"vod.selsa": {"status": "measured", "result": ROW}}))
    assert "| vod.selsa | frames/s | 10 | 40 | 80 |  | 8 x |" in text
    assert "| vod.selsa: rate | 80 fps | ≥ 150 | **missed** |" in text
    assert "0.0123, 1 of other shape" in text
    assert "| 7.5 | 3.25 |  |  | 1234 | 502 | 8 | 0.25 | 0 | 90 % |" in text
    assert "- vod.selsa in bf16: `RuntimeError: query float, key bfloat16`" in text
    assert "H100, driver 580, 16 CPU cores" in text


def test_times_are_faster_when_they_are_smaller(tmp_path: Path):
    ours = {"bf16": 200.0, "bf16 compiled": 100.0}
    row = {**ROW, "unit": "ms/step", "official": 800.0, "ours": ours}
    text = page(evidence(tmp_path, {"vlp.step": {"status": "measured", "result": row}}))
    assert "| 800 |  |  | 200, compiled 100 | 8 x |" in text


def test_parts_that_failed_are_named(tmp_path: Path):
    parts = {
        "nlq.ground": {"status": "out of time", "error": ""},
        "recordings": {
            "status": "measured",
            "result": {
                "passed": 60,
                "failed": 1,
                "error": 0,
                "skipped": 2,
                "failures": ["tests/parity/a.py::t - AssertionError"],
            },
        },
        "chains": {"status": "failed", "error": "not installed: papermill"},
    }
    text = page(evidence(tmp_path, parts))
    assert "- nlq.ground: out of time: `no message`" in text
    assert "60 passed, 1 failed, 0 error, 2 skipped" in text
    assert "- `tests/parity/a.py::t - AssertionError`" in text
    assert "- chains: failed: `not installed: papermill`" in text
