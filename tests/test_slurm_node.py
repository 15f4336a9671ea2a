from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.helpers.slurm_node import CANNOT, run_script

pytestmark = [pytest.mark.xdist_group("slurm"), pytest.mark.usefixtures("slurm_node")]


def _slurm(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _submit(folder: Path, script: str, *options: str) -> str:
    output = ("--open-mode=append", f"--output={folder}/%x.%a", "--parsable")
    return _slurm("sbatch", *output, *options, f"--wrap={script}")


def _state(job: str) -> str:
    shown = _slurm("scontrol", "show", "job", "--oneliner", job)
    states = {word.partition("=")[2] for word in shown.split() if word.startswith("JobState=")}
    return states.pop() if len(states) == 1 else "SEVERAL"


def _wait(job: str, *states: str, limit_sec: float = 60) -> None:
    deadline = time.monotonic() + limit_sec
    while _state(job) not in states:
        assert time.monotonic() < deadline, f"job {job} is {_state(job)}"
        time.sleep(0.2)


def test_status_and_a_second_start() -> None:
    assert "running: node" in run_script("status").stdout
    again = run_script("start")
    assert (again.returncode, again.stdout.strip()) == (0, "already running")


def test_a_job_with_a_step(tmp_path: Path) -> None:
    job = _submit(tmp_path, "srun hostname -s", "--job-name=step")
    _wait(job, "COMPLETED")
    assert next(tmp_path.glob("step.*")).read_text().split() == [_slurm("hostname", "-s")]


def test_an_array_and_a_job_after_it(tmp_path: Path) -> None:
    array = _submit(tmp_path, "echo $SLURM_ARRAY_TASK_ID", "--array=0-3", "--job-name=array")
    after = _submit(
        tmp_path, f"cat {tmp_path}/array.*", f"--dependency=afterok:{array}", "--job-name=after"
    )
    _wait(after, "COMPLETED")
    assert sorted(next(tmp_path.glob("after.*")).read_text().split()) == ["0", "1", "2", "3"]


def test_a_failed_job_ends_those_that_wait_for_it(tmp_path: Path) -> None:
    failed = _submit(tmp_path, "exit 1", "--job-name=failed")
    waiting = _submit(
        tmp_path, "true", f"--dependency=afterok:{failed}", "--kill-on-invalid-dep=yes",
        "--job-name=waiting",
    )  # fmt: skip
    _wait(waiting, "CANCELLED")
    assert _state(failed) == "FAILED"
    assert not list(tmp_path.glob("waiting.*"))


COUNT = "echo ${SLURM_RESTART_COUNT:-0}; [ ${SLURM_RESTART_COUNT:-0} -gt 0 ] || sleep 120"


def test_a_requeued_job_starts_again(tmp_path: Path) -> None:
    job = _submit(tmp_path, COUNT, "--requeue", "--job-name=requeued")
    _wait(job, "RUNNING")
    _slurm("scontrol", "requeue", job)
    _wait(job, "COMPLETED")
    assert "1" in next(tmp_path.glob("requeued.*")).read_text().split()


def test_an_urgent_job_takes_the_place_of_another_which_runs_later(tmp_path: Path) -> None:
    all_cpus = f"--ntasks={max(os.cpu_count() or 2, 2)}"
    job = _submit(tmp_path, COUNT, "--requeue", all_cpus, "--job-name=ordinary")
    _wait(job, "RUNNING")
    urgent = _submit(tmp_path, "true", "--partition=urgent", "--job-name=urgent")
    _wait(urgent, "COMPLETED")
    assert _state(job) != "COMPLETED"
    _wait(job, "COMPLETED")
    assert "1" in next(tmp_path.glob("ordinary.*")).read_text().split()


def test_ordinary_users_are_told_why_they_cannot_start_it() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can act as another user")
    script = Path(__file__).parent.parent / "scripts" / "slurm_node.sh"
    refused = subprocess.run(
        ["setpriv", "--reuid=nobody", "bash", "-s", "start"],
        stdin=script.open(), capture_output=True, text=True,
    )  # fmt: skip
    assert refused.returncode == CANNOT
    assert "needs root" in refused.stderr
