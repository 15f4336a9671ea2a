"""A miniature project: two variants of a task, notebooks that only do arithmetic."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import nbformat

# A step adds one number of its own to what its inputs found.
CODE = """
import json, os, pathlib
number = {number}
results = [json.load(open(f"{{folder}}/result.json")) for folder in inputs.values()]
found = sum(result["metrics"]["sum"] for result in results)
if number > 1000:
    raise ValueError("a large number")
pathlib.Path(out, "result.json").write_text(json.dumps({{"metrics": {{"sum": found + number}}}}))
"""


@dataclass(frozen=True)
class Data:
    size: int = 1


@dataclass(frozen=True)
class Train:
    epochs: int = 10


@dataclass(frozen=True)
class Evaluate:
    threshold: float = 100.0


@dataclass(frozen=True)
class Config:
    seed: int = 0
    world_seed: int = 0
    data: Data = field(default_factory=Data)
    train: Train = field(default_factory=Train)
    evaluate: Evaluate = field(default_factory=Evaluate)


def schema(task: str) -> type:
    return Config


def notebook(path: Path, parameters: str, code: str) -> None:
    cells = [nbformat.v4.new_code_cell(parameters), nbformat.v4.new_code_cell(code)]
    cells[0].metadata["tags"] = ["parameters"]
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = nbformat.v4.new_notebook(cells=cells)
    content.metadata["kernelspec"] = {"name": "python3", "display_name": "", "language": "python"}
    path.write_text(json.dumps(content))


def make_project(root: Path) -> Path:
    steps = {
        "1_data": ("data = {}", "data['size']"),
        "2_train": ("seed = 0\ntrain = {}", "train['epochs'] + seed"),
        "3_infer": ("", "0"),
        "4_evaluate": ("evaluate = {}", "evaluate['threshold']"),
    }
    for step, (sections, number) in steps.items():
        common = "variant = ''\npreset = ''\nout = ''\ninputs = {}\n"
        path = root / "notebooks" / "nlq" / f"{step}.ipynb"
        notebook(path, common + sections, CODE.format(number=number))
    files = {
        "nlq/chain.yaml": "default: scratch\nchain: [scratch, finetune]",
        "nlq/scratch.yaml": "about: {title: from scratch}",
        "nlq/finetune.yaml": "steps: {2_train: {data: scratch/1_data, init: scratch/2_train}}",
        "presets/tiny.yaml": "nlq: {train: {epochs: 2}}",
    }
    for name, text in files.items():
        file = root / "params" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (root / "data").mkdir()
    return root
