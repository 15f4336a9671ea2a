"""The parts of ``benchmarks.gpu`` that are commands: recordings on the device, chains in bf16."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.gpu_common import Setting
from egolib import config
from egolib.io.records import read_json, write_json
from egolib.runs.plan import tasks_with_chains

WORKERS = 12  # of pytest; each has a context and one network on the device
FEW_RECORDINGS = "tests/parity/nlq_vslnet/test_data.py::test_pairs"  # with --tiny


@dataclass
class Ended:
    """A command's end.

    Args:
        code: its exit code; None when its time was over.
        text: what it printed.
    """

    code: int | None
    text: str

    def tail(self, characters: int) -> str:
        """The end of what it printed."""
        return self.text[-characters:].strip()


class Running:
    """A command in a group of processes of its own, its output in a file.

    Args:
        command: what is run, from the project's root.
        folder: where the output is kept.
        environment: variables besides this process's.
    """

    def __init__(self, command: list[str], folder: Path, environment: dict[str, str]):
        self.output = folder / f"{time.monotonic_ns()}.txt"
        with self.output.open("wb") as file:
            self.process = subprocess.Popen(
                command,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment},
                cwd=config.project_root(),
                start_new_session=True,
            )

    def end(self, limit: float) -> Ended:
        """Waits; when the limit is over, interrupts the group, and kills it 10 seconds later.

        Args:
            limit: seconds from now.
        """
        code: int | None = None
        try:
            code = self.process.wait(max(limit, 0.1))
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(10)
        finally:
            self._signal(signal.SIGKILL)
            self.process.wait()
        return Ended(code, self.output.read_text(errors="replace"))

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)


def finish(command: list[str], limit: float, **environment: str) -> Ended:
    """Runs a command to its end or its limit.

    Args:
        command: what is run.
        limit: seconds.
        environment: variables besides this process's.
    """
    with tempfile.TemporaryDirectory() as folder:
        return Running(command, Path(folder), environment).end(limit)


def forked(work: Callable[[], dict[str, Any]], limit: float) -> dict[str, Any]:
    """What a function returns, called in a forked process: ``status`` and ``result`` or ``error``.

    The child finds every module loaded; a device must not have been opened before.

    Args:
        work: what is called; it returns JSON values.
        limit: seconds after which the process and its children are killed.
    """
    with tempfile.TemporaryDirectory() as folder:
        result, output = Path(folder) / "result.json", Path(folder) / "output.txt"
        child = multiprocessing.get_context("fork").Process(
            target=_call, args=(work, result, output)
        )
        child.start()
        assert child.pid
        child.join(limit)
        code = child.exitcode
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)  # what it started, too
        child.join()
        if code == 0 and result.is_file():
            return {"status": "measured", "result": read_json(result)}
        text = output.read_text(errors="replace") if output.is_file() else ""
        status = "out of time" if code is None else "failed"
        return {"status": status, "error": text[-2000:].strip() or f"exit code {code}"}


def _call(work: Callable[[], dict[str, Any]], result: Path, output: Path) -> None:
    """In the child: a group of its own, its output in a file, its result as JSON."""
    os.setsid()
    with output.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    try:
        write_json(result, work())
    except Exception:
        os.write(2, traceback.format_exc().encode())
        raise SystemExit(1) from None


# ------------------------------------------------------------------------- recordings


def run_recordings(setting: Setting, limit: float) -> dict[str, Any]:
    """Every recorded case that reaches the device, in float32 without TensorFloat-32.

    Args:
        setting: with ``tiny``, the cases of one file.
        limit: seconds; what was tested until then counts.
    """
    where = FEW_RECORDINGS if setting.tiny else "tests/parity"
    command = [sys.executable, "-m", "pytest", "-v", "--tb=short", "-rfE", where]
    command += ["--device", setting.device]
    if find_spec("xdist") and not setting.tiny:
        command += ["-n", str(WORKERS), "--dist", "worksteal"]
    ended = finish(command, limit, NVIDIA_TF32_OVERRIDE="0", COLUMNS="400")
    found = counts(ended.text)
    if ended.code in (0, 1) and found["passed"]:
        return {"status": "measured", "result": found}
    status = "out of time" if ended.code is None else "failed"
    return {"status": status, "result": found, "error": ended.tail(2000)}


def counts(text: str) -> dict[str, Any]:
    """Cases by outcome, and the failures with their messages, from what pytest printed.

    Args:
        text: the output of ``pytest -v -rfE``.
    """
    done = re.findall(r"^\[gw\d+\].*?(PASSED|FAILED|ERROR|SKIPPED) tests/", text, re.M)
    done += re.findall(r"^tests/\S+ (PASSED|FAILED|ERROR|SKIPPED)", text, re.M)
    messages = sorted(set(re.findall(r"^(?:FAILED|ERROR) (tests/\S+.*)$", text, re.M)))
    names = ("passed", "failed", "error", "skipped")
    return {**{name: done.count(name.upper()) for name in names}, "failures": messages}


# ----------------------------------------------------------------------------- chains


def run_chains(setting: Setting, limit: float) -> dict[str, Any]:
    """The tiny chain of every task, all at once, trained in bf16-mixed on the device.

    Args:
        setting: where.
        limit: seconds for all of them.
    """
    if missing := [m for m in ("papermill", "ipykernel") if not find_spec(m)]:
        return {"status": "failed", "error": f"not installed: {', '.join(missing)}"}
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder) / "runs"
        started = {
            task: Running(_chain(task, setting, runs), Path(folder), {})
            for task in tasks_with_chains()
        }
        found = {}
        for task, running in started.items():
            ended = running.end(limit - (time.monotonic() - begin))
            found[task] = {
                "passed": ended.code == 0,
                "seconds": round(time.monotonic() - begin, 1),
                "steps": _steps(runs / "gpu" / task),
                "error": "" if ended.code == 0 else ended.tail(1500),
            }
    passed = sum(entry["passed"] for entry in found.values())
    about = {"passed": passed, "failed": len(found) - passed, "chains": found}
    if passed == len(found):
        return {"status": "measured", "result": about}
    return {"status": "failed", "result": about, "error": f"{len(found) - passed} chains failed"}


def _chain(task: str, setting: Setting, runs: Path) -> list[str]:
    """The command that runs a task's chain."""
    command = [sys.executable, "-m", "egolib", "run", task, "--preset", "tiny", "--name", "gpu"]
    command += ["--runs-dir", str(runs), "-p", "fit.precision=bf16-mixed"]
    return [*command, "-p", f"fit.device={setting.device}"]


def _steps(folder: Path) -> dict[str, Any]:
    """The metrics of every finished step of a chain, as its ``result.json`` states them."""
    files = sorted(folder.rglob("result.json"))
    return {str(file.parent.relative_to(folder)): read_json(file)["metrics"] for file in files}
