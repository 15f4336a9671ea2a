"""``egolib init``: a folder with notebooks, parameters and pages, from which everything works."""

from __future__ import annotations

import shutil
from pathlib import Path

from egolib.config import is_workspace
from egolib.errors import EgolibError, UsageError

PARTS = ("params", "notebooks", "book", "_config.yml")
PACKAGE = Path(__file__).parents[1]


def source_folder() -> Path:
    """Where the package keeps its notebooks, parameters and pages: in a wheel, or the checkout.

    Raises:
        EgolibError: neither is there.
    """
    for folder in (PACKAGE / "workspace_files", PACKAGE.parent):
        if is_workspace(folder):
            return folder
    raise EgolibError("the package was installed without its notebooks", file=PACKAGE)


def init(folder: Path) -> list[str]:
    """Makes a workspace; files that are there already stay as they are.

    Args:
        folder: where; it is made if it does not exist.

    Returns:
        What to do next, as lines.

    Raises:
        UsageError: the path is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file", remedy="name a new folder")
    kept = 0
    for part in PARTS:
        source = source_folder() / part
        for file in [source] if source.is_file() else sorted(source.rglob("*")):
            target = folder / file.relative_to(source_folder())
            if file.is_dir() or "live" in target.parts or "__pycache__" in target.parts:
                continue
            if target.exists():
                kept += 1
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
    for name in ("data", "runs"):
        (folder / name).mkdir(exist_ok=True)
    lines = [f"{folder} is a workspace"]
    if kept:
        lines.append(f"{kept} files were there already and stay as they were")
    return [
        *lines,
        "",
        f"  cd {folder}",
        "  egolib run nlq --preset tiny",
        "  jupyter lab notebooks/your_video.ipynb   # pip install 'egolib[book]'",
    ]
