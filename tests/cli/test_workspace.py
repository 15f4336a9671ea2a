"""The package without a checkout: a wheel, a workspace somewhere, everything works from there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from dataclasses import replace
from pathlib import Path

import pytest

from egolib.cli import workspace
from egolib.errors import UsageError
from egolib.vod import api
from egolib.vod.config.data import BY_METHOD
from tests.vod.small import CLASSES, make

ROOT = Path(__file__).parents[2]
ALL = os.environ.get("EGOLIB_WALKS") == "all"


def test_a_workspace_has_what_runs_need_and_keeps_what_is_there(tmp_path):
    (tmp_path / "params" / "nlq").mkdir(parents=True)
    (tmp_path / "params" / "nlq" / "scratch.yaml").write_text("mine")
    said = workspace.init(tmp_path)
    assert "1 files were there already" in said[1]
    assert (tmp_path / "params" / "nlq" / "scratch.yaml").read_text() == "mine"
    assert (tmp_path / "notebooks" / "nlq" / "1_data.ipynb").is_file()
    assert (tmp_path / "book" / "_toc.yml").is_file() and (tmp_path / "_config.yml").is_file()


def test_a_file_is_no_place_for_a_workspace(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is a file"):
        workspace.init(tmp_path / "file")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel in it; its dependencies are those of this one."""
    folder = tmp_path_factory.mktemp("installed")
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if uv is None:
        pytest.skip("uv is not installed")
    built = subprocess.run(
        [uv, "build", "--wheel", "--out-dir", str(folder), str(ROOT)],
        capture_output=True,
        text=True,
    )
    if built.returncode:
        pytest.skip(f"no wheel could be built: {built.stderr[-200:]}")
    venv.create(folder / "env", with_pip=False)
    python = folder / "env" / "bin" / "python"
    subprocess.run(
        [uv, "pip", "install", "--quiet", "--no-deps", "--python", python, *folder.glob("*.whl")],
        check=True,
    )
    packages = next((folder / "env" / "lib").glob("python3*")) / "site-packages"
    (packages / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    for file in [*packages.glob("egolib/**/*.py")]:
        file.chmod(0o444)
    return folder


def egolib(installed: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    keep = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "EGOLIB_ROOT")}
    command = [str(installed / "env" / "bin" / "egolib"), *arguments]
    return subprocess.run(command, cwd=cwd, env=keep, capture_output=True, text=True)


@pytest.mark.slow
def test_a_wheel_works_without_the_checkout(installed, tmp_path):
    nowhere = egolib(installed, "run", "nlq", "--preset", "tiny", cwd=tmp_path)
    assert nowhere.returncode == 2 and "egolib init" in nowhere.stderr
    assert egolib(installed, "init", "w", cwd=tmp_path).returncode == 0
    target = "nlq" if ALL else "nlq/1_data"
    ran = egolib(installed, "run", target, "--preset", "tiny", cwd=tmp_path / "w")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert list((tmp_path / "w" / "runs" / "tiny" / "nlq").glob("*/1_data/result.json"))
    video = next((tmp_path / "w" / "data" / "world" / "tiny" / "videos").glob("*.mp4"))
    model = [] if ALL else ["--model", str(small_detector(tmp_path))]  # all: it trains its own
    shown = egolib(installed, "demo", "vod", str(video), *model, cwd=tmp_path / "w")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert (tmp_path / "w" / f"{video.stem}_vod.mp4").is_file() and "model: " in shown.stdout
    listed = egolib(installed, "status", cwd=tmp_path / "w")
    assert "finished" in listed.stdout and "nlq/scratch/1_data" in listed.stdout


def small_detector(folder: Path) -> Path:
    """Weights that nothing trained, for what a training would take too long."""
    model, config = make("single")
    data = BY_METHOD["single"]()
    names = tuple((f"thing{i}", "") for i in range(CLASSES))
    pipeline = replace(data.pipeline, long_side=96, short_side=64)
    data = replace(data, pipeline=pipeline, classes=names)
    return api.save(folder / "model.safetensors", model, config, data)
