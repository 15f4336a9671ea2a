"""An mmdet detector in the place of vod's ``3_infer``: it detects in all videos of a data set.

    python -m egolib.interop.mmdet_detect CONFIG --checkpoint FILE --annotations VAL.json \\
        --images FOLDER --out FOLDER [--rename cow=cattle ...]

The folder then holds ``detections.npz`` and ``result.json`` as ``3_infer`` writes them, and is
an input of ``4_evaluate``: ``predictions``, or ``other`` to compare with an egolib run. ``egolib
evaluate vod`` takes the file as ``--predictions``. Its variant is the configuration's name.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from egolib.config import tree_hash
from egolib.errors import EgolibError, UsageError
from egolib.interop.mmdet import load_frames
from egolib.report import results
from egolib.vod.data.dataset import make_source, test_videos
from egolib.vod.data.index import read_index
from egolib.vod.formats.submission import validate, write

FILE = "detections.npz"


def detect(
    config: str | Path,
    checkpoint: str | Path | None,
    annotations: str | Path,
    images: str | Path,
    out: str | Path,
    rename: dict[str, str] | None = None,
    device: str = "cpu",
) -> Path:
    """Detects and writes; returns the file.

    Args:
        config: mmdet's configuration file.
        checkpoint: its weights.
        annotations: a CocoVID file; its categories are the classes that are kept.
        images: the folder that its file names are below.
        out: the file of detections to write.
        rename: see ``load_frames``.
        device: where it runs.
    """
    begin, names = time.time(), read_index(annotations).class_names()
    wanted = [(name, "") for name in names]
    detector = load_frames(config, checkpoint, wanted=wanted, rename=rename, device=device)
    data = replace(detector.data, evaluation=str(annotations), images_vid=str(images))
    source = make_source(annotations, images, data, train=False)
    found = detector.predict(test_videos(source, data, detector.settings))
    validate(found, source.index.image_id, names)
    path = write(Path(out) / FILE, found)
    about = {"config": str(config), "checkpoint": checkpoint and str(checkpoint), "rename": rename}
    scores = found.boxes.score
    results.write_result(
        path.with_name("result.json"),
        metrics={
            "detections": len(scores),
            "mean_score": float(scores.mean()) if len(scores) else None,
        },
        config=about,
        config_hash=tree_hash(about),
        data={"annotations": str(annotations), "frames": len(found.image_id)},
        wall_sec=time.time() - begin,
        extra={"task": "vod", "step": "3_infer", "variant": Path(config).stem},
    )
    return path


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("config", help="configuration file of mmdet 3.x")
    parser.add_argument("--checkpoint", help="its weights; without, initial ones")
    parser.add_argument("--annotations", required=True, help="CocoVID file")
    parser.add_argument("--images", required=True, help="folder of its images")
    parser.add_argument("--out", required=True, help="folder for detections.npz")
    parser.add_argument("--rename", nargs="*", default=[], metavar="THEIRS=OURS")
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args(arguments)
    pairs = [text.partition("=") for text in given.rename]
    try:
        if not all(middle for _, middle, _ in pairs):
            raise UsageError("--rename wants pairs such as cow=cattle")
        rename = {theirs: ours for theirs, _, ours in pairs}
        places = (given.annotations, given.images, given.out)
        print(detect(given.config, given.checkpoint, *places, rename, given.device))
    except EgolibError as error:
        print(error, file=sys.stderr)
        sys.exit(2 if isinstance(error, UsageError) else 1)


if __name__ == "__main__":
    main()
