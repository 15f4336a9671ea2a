"""``make test-gpu``: every parity case on CUDA, a bf16 training step and one run per task.

Without a device it says so and ends 0. Otherwise it writes ``book/evidence/gpu.json``
with the hardware and what was measured, and ends 0 when everything passed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from egolib import config
from egolib.io.records import write_json
from egolib.report import results
from egolib.runs.plan import tasks_with_chains


def parity(task: str, folder: Path) -> dict[str, Any]:
    """The parity tests of one task on the GPU, in float32 without TF32."""
    report = folder / f"{task}.xml"
    command = [sys.executable, "-m", "pytest", "-q", f"tests/parity/{task}", "--device", "cuda"]
    environment = {**os.environ, "NVIDIA_TF32_OVERRIDE": "0"}
    begin = time.monotonic()
    done = subprocess.run([*command, f"--junitxml={report}"], env=environment)
    suite = ElementTree.parse(report).getroot().find("testsuite")
    assert suite is not None
    counts = {k: int(suite.get(k, 0)) for k in ("tests", "failures", "errors", "skipped")}
    seconds = round(time.monotonic() - begin, 1)
    return {**counts, "passed": done.returncode == 0, "seconds": seconds}


def run_in_bf16(task: str, folder: Path) -> dict[str, Any]:
    """The task's default chain on the tiny preset, trained in bf16 on the GPU."""
    command = [sys.executable, "-m", "egolib", "run", task, "--preset", "tiny"]
    command += ["--runs-dir", str(folder), "-p", "fit.precision=bf16-mixed"]
    command += ["-p", "fit.device=cuda", "--name", "gpu"]
    begin = time.monotonic()
    done = subprocess.run(command)
    return {"passed": done.returncode == 0, "seconds": round(time.monotonic() - begin, 1)}


def main() -> int:
    """Exit code 1 when something failed on a device that is there."""
    import torch

    if not torch.cuda.is_available():
        print("no CUDA device: nothing was tested (egolib doctor says what is missing)")
        return 0
    root = config.project_root()
    found: dict[str, Any] = {"hardware": results.hardware(), "commit": results.commit()}
    found["versions"] = results.versions()
    with tempfile.TemporaryDirectory() as folder:
        found["parity"] = {task: parity(task, Path(folder)) for task in config.TASKS}
        found["bf16"] = {task: run_in_bf16(task, Path(folder)) for task in tasks_with_chains()}
    write_json(root / "book" / "evidence" / "gpu.json", found, indent=1)
    passed = [entry["passed"] for part in ("parity", "bf16") for entry in found[part].values()]
    print(f"{sum(passed)} of {len(passed)} parts passed on {found['hardware']['gpu']}")
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
