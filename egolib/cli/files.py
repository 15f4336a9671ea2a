"""Commands on files: worlds, weights, predictions, videos."""

from __future__ import annotations

import json
from collections.abc import Iterable
from inspect import signature
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from egolib.cli.app import (
    Json,
    Preset,
    app,
    task_module,
    world_app,
    wrong_use,
)
from egolib.errors import EgolibError, nearest


@world_app.command("make")
def world_make(
    preset: Preset = "mini",
    out: Annotated[Path | None, typer.Option(help="Folder (default: data/world/<preset>).")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    seed: Annotated[int | None, typer.Option(help="World seed (default: the preset's).")] = None,
) -> None:
    """Draw the built-in world in the official formats of all data sets."""
    folder = out or _world_folder(preset)
    from egolib import world

    manifest = world.make(preset, folder, workers=workers, seed=seed)
    print(f"{folder}: {len(manifest)} videos")


@world_app.command("figure")
def world_figure(
    preset: Preset = "mini",
    out: Annotated[Path, typer.Option("-o", help="PNG file.")] = Path("book/figures/world.png"),
) -> None:
    """Draw frames of a finished world with the boxes of its objects: the README's figure."""
    _world_folder(preset)  # an unknown preset is refused before anything is loaded
    from egolib.cli.pictures import draw_world

    print(draw_world(preset, out))


def _world_folder(preset: str) -> Path:
    """Where a preset's world lies; exit code 2 where there is no such preset."""
    from egolib.runs.places import default_data_root

    try:
        return default_data_root(preset)
    except EgolibError as error:
        raise wrong_use(error) from error


@app.command(epilog="Example: egolib convert official.pth ours.safetensors")
def convert(
    source: Annotated[Path, typer.Argument(help="Official or egolib checkpoint.")],
    target: Annotated[Path, typer.Argument(help=".safetensors, or .pth for the official layout.")],
    model: Annotated[
        str | None, typer.Option(help="<task>/<model>, where keys and shapes are ambiguous.")
    ] = None,
    weights: Annotated[
        str, typer.Option(help="official, or averaged where the file holds both.")
    ] = "official",
    dtype: Annotated[str, typer.Option(help="Type of the values written.")] = "float32",
    as_json: Json = False,
) -> None:
    """Convert a checkpoint between the official layout and ours, strictly, both ways."""
    from egolib.cli.architectures import check_request

    check_request(source, target, model, weights, dtype)
    from egolib.cli.conversion import convert_file

    report = convert_file(source, target, model, weights, dtype)  # type: ignore[arg-type]
    print(json.dumps(report) if as_json else "\n".join(f"{k}: {v}" for k, v in report.items()))


@app.command(
    epilog="Example: egolib evaluate nlq --truth nlq_val.json --predictions predictions.json"
)
def evaluate(
    task: Annotated[str, typer.Argument(help="vq2d, vod, vlp, nlq or mq.")],
    truth: Annotated[Path, typer.Option(help="Official annotations.")],
    predictions: Annotated[Path, typer.Option(help="Predictions in the submission format.")],
    option: Annotated[
        list[str] | None, typer.Option("-o", help="key=value for the metric; repeatable.")
    ] = None,
) -> None:
    """Score a prediction file; prints JSON."""
    from egolib.report.results import plain

    score = task_module(task, "evaluation").evaluate_files
    options = _options(option or (), list(signature(score).parameters)[2:], task)
    print(json.dumps(plain(score(truth, predictions, **options)), indent=1))


def _options(texts: Iterable[str], known: list[str], task: str) -> dict[str, Any]:
    """``key=value`` texts as the keyword arguments of a metric."""
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise wrong_use(f"-o {text!r} is not of the form key=value")
        if name not in known:
            listed = f"options of {task}: {', '.join(known) or 'none'}"
            raise wrong_use(f"unknown option {name!r}: {nearest(name, known)}; {listed}")
        try:
            found[name] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise wrong_use(f"-o {text!r}: {value!r} is no YAML value") from None
    return found


@app.command()
def validate(
    task: Annotated[str, typer.Argument(help="vq2d, vod, vlp, nlq or mq.")],
    submission: Annotated[Path, typer.Argument(help="The file to be submitted.")],
    truth: Annotated[
        Path | None, typer.Option(help="Annotations that it must answer (may lack truth).")
    ] = None,
) -> None:
    """Check a submission as the challenge server does; names the first wrong record."""
    print(task_module(task, "formats.submission").validate_file(submission, truth))


@app.command()
def ensemble(
    task: Annotated[str, typer.Argument(help="nlq.")],
    predictions: Annotated[list[Path], typer.Argument(help="Prediction files.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Where the result goes.")],
    mode: Annotated[str, typer.Option(help="official, or a named correction.")] = "official",
) -> None:
    """Combine predictions of several models."""
    module = task_module(task, "localization.ensemble")
    print(module.ensemble_files(predictions, out, mode))


@app.command(epilog="Example: egolib demo vod kitchen.mp4 --fps 5")
def demo(
    task: Annotated[str, typer.Argument(help="vq2d, vod, vlp, nlq or mq.")],
    video: Annotated[Path, typer.Argument(help="Any video file.")],
    texts: Annotated[
        list[str] | None, typer.Argument(help="Texts (vlp), a question (nlq) or classes (mq).")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Path, Hub id, or <task>/<variant> of the newest run."),
    ] = None,
    query_frame: Annotated[
        int | None, typer.Option(help="vq2d: frame that shows the object.")
    ] = None,
    box: Annotated[str | None, typer.Option(help="vq2d: x,y,w,h in that frame.")] = None,
    fps: Annotated[float | None, typer.Option(help="Read the video at this rate.")] = None,
    out: Annotated[
        Path | None,
        typer.Option("-o", help="Video or figure (default: <video>_<task>, in this folder)."),
    ] = None,
) -> None:
    """Run a trained model on one video and draw what it finds."""
    from egolib.cli import demos

    for line in demos.run(task, video, texts or [], model, query_frame, box, fps, out):
        print(line)
