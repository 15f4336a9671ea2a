"""What this machine has: versions, devices, decoders, bridges, and what to do about gaps."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from importlib import metadata, util
from pathlib import Path
from typing import Any

from egolib import config as configs
from egolib.io.sources import data_sets

LIBRARIES = [
    "torch",
    "torchvision",
    "lightning-fabric",
    "numpy",
    "pandas",
    "av",
    "decord",
    "opencv-python-headless",
    "papermill",
    "jupyterlab",
    "jupyter-book",
    "submitit",
]
BRIDGES = {"mmdet": "make bridge-mmdet", "detectron2": "make bridge-detectron2"}
# Smallest Linux driver for each CUDA major version that torch wheels are built with.
SMALLEST_DRIVER = {"13": 580, "12": 525, "11": 450}


def examine() -> dict[str, Any]:
    """The whole report: sections of plain values, and ``problems`` with remedies."""
    report: dict[str, Any] = {
        "machine": _machine(),
        "libraries": {name: _version(name) for name in LIBRARIES},
        "gpu": _gpu(),
        "decoders": _decoders(),
        "bridges": {name: _version(name) for name in BRIDGES},
        "tools": {name: shutil.which(name) for name in ("git", "make", "sbatch", "chromium")},
        "data": _data(),
    }
    report["problems"] = _problems(report)
    return report


def as_text(report: dict[str, Any]) -> str:
    """The report for reading."""
    lines = []
    for section, values in report.items():
        if section == "problems":
            continue
        lines.append(section)
        lines += [f"  {k:<24} {'-' if v is None else v}" for k, v in values.items()]
    lines.append("problems" if report["problems"] else "no problems")
    lines += [f"  {p['what']}\n    remedy: {p['remedy']}" for p in report["problems"]]
    return "\n".join(lines)


def driver_problem(driver: str | None, cuda: str | None) -> dict[str, str] | None:
    """Whether a GPU driver is too old for the CUDA build of torch.

    Args:
        driver: the driver's version, for instance ``"535.104.05"``; None without a GPU.
        cuda: torch's CUDA version, for instance ``"13.0"``; None for a CPU build.
    """
    if driver is None:
        return None
    if cuda is None:
        return _problem("torch is a CPU build, but there is a GPU", "make setup")
    needed = SMALLEST_DRIVER.get(cuda.split(".")[0], 0)
    if int(driver.split(".")[0]) >= needed:
        return None
    return _problem(
        f"driver {driver} is too old for torch's CUDA {cuda} (needs {needed} or newer)",
        "update the driver, or install torch's CUDA 12 build: see 'Older GPU drivers' in the book",
    )


def _machine() -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "free disk": f"{shutil.disk_usage(configs.project_root()).free / 2**30:.0f} GiB",
        "checkout": str(configs.project_root()),
    }


def _gpu() -> dict[str, Any]:
    driver = driver_version()
    found: dict[str, Any] = {"driver": driver, "cuda build": None, "devices": None}
    if util.find_spec("torch"):
        import torch

        found["cuda build"] = torch.version.cuda
        if torch.cuda.is_available():
            count = torch.cuda.device_count()
            found["devices"] = ", ".join(torch.cuda.get_device_name(i) for i in range(count))
    return found


def driver_version() -> str | None:
    """The NVIDIA driver's version; None without one."""
    file = Path("/proc/driver/nvidia/version")
    if file.is_file():
        match = re.search(r"Kernel Module\D+([\d.]+)", file.read_text())
        return match.group(1) if match else None
    if shutil.which("nvidia-smi"):
        query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        shown = subprocess.run(query, capture_output=True, text=True)
        return shown.stdout.split("\n")[0].strip() or None
    return None


def _decoders() -> dict[str, Any]:
    return {
        "av (default)": _version("av"),
        "decord": _version("decord"),
        "torchcodec": _version("torchcodec"),
    }


def _data() -> dict[str, Any]:
    root = Path(os.environ.get("EGOLIB_DATA", configs.project_root() / "data"))
    worlds = sorted(p.parent.name for p in (root / "world").glob("*/manifest.csv"))
    patterns = [
        pattern for source in data_sets() for found in source.files.values() for pattern in found
    ]
    real = sorted({pattern.split("/")[0] for pattern in patterns if "/" in pattern})
    return {
        "root": str(root),
        "worlds": ", ".join(worlds) or None,
        "real": ", ".join(name for name in real if (root / name).is_dir()) or None,
    }


def _problems(report: dict[str, Any]) -> list[dict[str, str]]:
    found = [driver_problem(report["gpu"]["driver"], report["gpu"]["cuda build"])]
    for name, version in report["libraries"].items():
        if version is None and not (name == "decord" and platform.machine() != "x86_64"):
            found.append(_problem(f"{name} is not installed", "make setup"))
    if report["tools"]["chromium"] is None:
        remedy = "Debian: apt-get install chromium (only the book's browser test needs it)"
        found.append(_problem("no chromium", remedy))
    for name, remedy in BRIDGES.items():
        if report["bridges"][name] is None:
            found.append(_problem(f"the optional bridge to {name} is not installed", remedy))
    return [problem for problem in found if problem]


def _problem(what: str, remedy: str) -> dict[str, str]:
    return {"what": what, "remedy": remedy}


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
