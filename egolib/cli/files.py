"""Commands on files: worlds, weights, predictions, videos."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
import yaml

from egolib.cli.app import (
    Json,
    Preset,
    app,
    task_module,
    world_app,
)


@world_app.command("make")
def world_make(
    preset: Preset = "mini",
    out: Annotated[Path | None, typer.Option(help="Folder (default: data/world/<preset>).")] = None,
    workers: Annotated[int, typer.Option(help="Processes.")] = 2,
    seed: Annotated[int | None, typer.Option(help="World seed (default: the preset's).")] = None,
) -> None:
    """Draw the built-in world in the official formats of all data sets."""
    from egolib import world
    from egolib.runs.places import default_data_root

    folder = out or default_data_root(preset)
    manifest = world.make(preset, folder, workers=workers, seed=seed)
    print(f"{folder}: {len(manifest)} videos")


@world_app.command("figure")
def world_figure(
    preset: Preset = "mini",
    out: Annotated[Path, typer.Option("-o", help="PNG file.")] = Path("book/figures/world.png"),
) -> None:
    """Draw frames of a finished world with the boxes of its objects: the README's figure."""
    from egolib.cli.pictures import draw_world

    print(draw_world(preset, out))


@app.command()
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
    from egolib.cli.conversion import convert_file

    report = convert_file(source, target, model, weights, dtype)  # type: ignore[arg-type]
    print(json.dumps(report) if as_json else "\n".join(f"{k}: {v}" for k, v in report.items()))


@app.command()
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

    module = task_module(task, "evaluation")
    options = {k: yaml.safe_load(v) for k, _, v in (t.partition("=") for t in option or ())}
    print(json.dumps(plain(module.evaluate_files(truth, predictions, **options)), indent=1))


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


@app.command()
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
        typer.Option("-o", help="Video or figure (default: beside the video's name)."),
    ] = None,
) -> None:
    """Run a trained model on one video and draw what it finds."""
    from egolib.cli import demos

    for line in demos.run(task, video, texts or [], model, query_frame, box, fps, out):
        print(line)
