"""Makes a world: draws every video that is not there yet, then writes all official files."""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import asdict, replace
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from egolib.config import build
from egolib.errors import EgolibError
from egolib.io.records import read_json, write_json
from egolib.progress import track
from egolib.world import settings as world_settings
from egolib.world import symbolic
from egolib.world.checksums import read_manifest, write_manifest
from egolib.world.draw import draw_video
from egolib.world.episode import video_keys
from egolib.world.exports import (
    charades,
    egoclip,
    egotaskqa,
    epic,
    ilsvrc,
    moments,
    nlq,
    qfvs,
    vq2d,
)
from egolib.world.language import write_vocabulary
from egolib.world.library import World
from egolib.world.settings import WorldSettings

log = logging.getLogger(__name__)

if TYPE_CHECKING:
    import pandas as pd

STAMP = "world.json"
FOLDERS = (
    "videos",
    "truth",
    "ego4d",
    "egoclip",
    "egomcq",
    "EK100",
    "CharadesEgo",
    "ILSVRC",
    "nlq",
    "EgoTaskQA",
    "Datasets",
)


def make(
    preset: str | WorldSettings, out: str | Path, workers: int = 1, seed: int | None = None
) -> pd.DataFrame:
    """Makes the world of a preset in a folder, or recognises that it is there.

    An interrupted run continues: finished videos are kept. A folder that holds
    another world (other settings, seed or drawing code) is drawn again, and said so.

    Args:
        preset: ``tiny``, ``mini``, ``small`` or settings.
        out: the folder; its layout is that of a data root.
        workers: processes. The world does not depend on it.
        seed: world seed in place of the preset's.

    Returns:
        The manifest, one row a video.

    Raises:
        EgolibError: an unknown preset, or a folder with other files in it.
    """
    settings = world_settings.read(preset) if isinstance(preset, str) else preset
    if seed is not None:
        settings = replace(settings, world_seed=seed)
    root = Path(out)
    stamp = _stamp(settings)
    if not _prepare(root, settings, stamp):
        return read_manifest(root / "manifest.csv")
    rows = _draw_all(settings, root, workers, stamp)
    _export_all(World(settings, root))
    write_manifest(root / "manifest.csv", rows)
    _write_stamp(root, settings, stamp, complete=True)
    return read_manifest(root / "manifest.csv")


def open_world(path: str | Path) -> World:
    """A finished world in a folder.

    Raises:
        EgolibError: there is none, or it is unfinished.
    """
    about = read_json(Path(path) / STAMP, dict)
    if not about["complete"]:
        raise EgolibError("the world is unfinished", file=path, remedy="egolib world make")
    return World(build(WorldSettings, about["settings"]), Path(path))


def _stamp(settings: WorldSettings) -> str:
    """Settings and drawing code in one hash."""
    digest = hashlib.sha256(world_settings.fingerprint(settings).encode())
    for file in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _prepare(root: Path, settings: WorldSettings, stamp: str) -> bool:
    """Readies the folder; False when the finished world is there already."""
    if not (root / STAMP).is_file():
        if root.is_dir() and any(root.iterdir()):
            raise EgolibError(
                "the folder holds files that are not a built-in world",
                file=root,
                remedy="choose an empty folder",
            )
        _write_stamp(root, settings, stamp, complete=False)
        return True
    about = read_json(root / STAMP, dict)
    if about["stamp"] != stamp:
        log.warning("%s: %s; drawing it again", root, _difference(about["settings"], settings))
        _clear(root)
        _write_stamp(root, settings, stamp, complete=False)
        return True
    return not about["complete"]


def _difference(old: dict[str, Any], settings: WorldSettings) -> str:
    new = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(settings).items()}
    changes = [f"{k} {old.get(k)} -> {v}" for k, v in new.items() if old.get(k) != v]
    if changes:
        return f"holds a world with other settings ({', '.join(changes)})"
    return "holds a world drawn by another version of the code"


def _clear(root: Path) -> None:
    """Removes what a world consists of, and nothing else."""
    for name in FOLDERS:
        shutil.rmtree(root / name, ignore_errors=True)
    for name in ("manifest.csv", "vocabulary.json", "Tags.mat"):
        with suppress(FileNotFoundError):
            (root / name).unlink()


def _write_stamp(root: Path, settings: WorldSettings, stamp: str, complete: bool) -> None:
    about = {"complete": complete, "stamp": stamp, "settings": asdict(settings)}
    write_json(root / STAMP, about, indent=1)


def _draw_all(
    settings: WorldSettings, root: Path, workers: int, stamp: str
) -> list[dict[str, str]]:
    keys = video_keys(settings)
    rows = dict(
        track(_drawn(settings, root, workers, stamp), "drawing", total=len(keys), unit="videos")
    )
    return [rows[key] for key in keys]


def _drawn(
    settings: WorldSettings, root: Path, workers: int, stamp: str
) -> Iterator[tuple[tuple[str, int], dict[str, str]]]:
    """(key, manifest row) of each video as it is finished."""
    keys = video_keys(settings)
    if workers <= 1:
        for key in keys:
            yield key, draw_video(settings, *key, root, stamp)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        jobs = {pool.submit(draw_video, settings, *key, root, stamp): key for key in keys}
        for job in as_completed(jobs):
            yield jobs[job], job.result()


def _export_all(world: World) -> None:
    """Every official file; quick beside the drawing, and the same each time."""
    exports = (vq2d, moments, egoclip, epic, charades, ilsvrc, nlq, symbolic, egotaskqa, qfvs)
    for module in track(exports, "official files", unit="formats"):
        module.export(world)
    write_vocabulary(world.path("vocabulary.json"))
