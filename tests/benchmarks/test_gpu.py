"""The whole GPU benchmark with tiny sizes on a CPU: every part ends, and waits are counted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.gpu import chosen_parts
from egolib import config
from egolib.io.records import read_json
from egolib.report.gpu import page

NOT_COUNTED = ("limits", "graphs", "recordings")  # these count other things, or nothing


@pytest.mark.slow
@pytest.mark.xdist_group("gpu_benchmark")
def test_every_part_ends_and_counts_what_the_host_would_wait_for(tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    command = [sys.executable, "-m", "benchmarks.gpu", "--tiny", "--out", str(out)]
    done = subprocess.run(command, cwd=config.project_root(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    parts = read_json(out)["parts"]
    assert {"recordings", "limits.products"} < parts.keys()
    tasks = {name.split(".")[0] for name in parts} - set(NOT_COUNTED)
    assert tasks >= {"vod", "vq2d", "vlp", "nlq"}
    for task in tasks:
        rows = [p["result"] for name, p in parts.items() if name.startswith(f"{task}.")]
        counted = [row for row in rows if row["synchronisations"] is not None]
        assert counted, f"no part of {task} counts synchronisations"
        for row in counted:
            assert row["synchronisations"] >= 0
            assert row["launches"] > 0
        assert not any(row["errors"] for row in rows)
    assert parts["graphs.breaks"]["result"]["graph_breaks"] == 0
    assert "a trial of the code" in page(out)


def test_parts_are_chosen_by_their_name_and_their_module() -> None:
    everything = chosen_parts("", tiny=False)
    assert everything[0] == "recordings"
    assert everything[-1] == "chains"
    assert chosen_parts("limits", tiny=True) == ["limits.products", "limits.copies"]
    assert chosen_parts("limits.copies,recordings", tiny=True) == ["recordings", "limits.copies"]
    with pytest.raises(SystemExit, match="no part mars"):
        chosen_parts("mars", tiny=True)
    assert not any("," in name for name in everything), "a comma separates names"
