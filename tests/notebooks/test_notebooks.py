"""Notebooks: thin, uniform, stored without outputs, and every one runs on the tiny preset."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

from egolib import config
from egolib.io.records import read_json
from tests.helpers.tiny import CHECKOUT

NOTEBOOKS = sorted((CHECKOUT / "notebooks").rglob("*.ipynb"))
STEPS = [n for n in NOTEBOOKS if n.parent.name in config.TASKS]
HEADINGS = ["Question", "Parameters", "Inputs", "Do", "Look", "Check", "Outputs"]
WITHOUT_TORCH = {"0_world", "1_data", "4_evaluate", "9_scoreboard", "start", "results"}


def name(path):
    return str(path.relative_to(CHECKOUT / "notebooks"))


def cells(path, kind):
    return [c for c in read_json(path)["cells"] if c["cell_type"] == kind]


def source(cell):
    return "".join(cell["source"])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
def test_stored_without_outputs(path):
    for cell in cells(path, "code"):
        assert cell["outputs"] == []
        assert cell["execution_count"] is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
def test_thin(path):
    code = cells(path, "code")
    assert len(code) <= 12
    lengths = sorted(len(source(c).splitlines()) for c in code)
    assert lengths[-1] <= 20
    assert lengths[len(lengths) // 2] <= 6
    for cell in code:
        defined = [type(node).__name__ for node in ast.parse(source(cell)).body]
        assert not {"FunctionDef", "ClassDef"} & set(defined)


@pytest.mark.parametrize("path", STEPS, ids=name)
def test_same_headings_everywhere(path):
    text = "\n".join(source(c) for c in cells(path, "markdown"))
    found = [line[3:].strip() for line in text.splitlines() if line.startswith("## ")]
    assert [h for h in found if h in HEADINGS] == HEADINGS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
def test_one_parameters_cell_of_commented_literals(path):
    tagged = [c for c in cells(path, "code") if "parameters" in c["metadata"].get("tags", [])]
    assert len(tagged) == 1
    for statement in ast.parse(source(tagged[0])).body:
        assert isinstance(statement, ast.Assign)
        ast.literal_eval(statement.value)
    lines = [line for line in source(tagged[0]).splitlines() if line.strip()]
    assert all("#" in line for line in lines)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
def test_public_names_only(path):
    text = "\n".join(source(c) for c in cells(path, "code"))
    tree = ast.parse(text)
    private = [
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr.startswith("_")
    ]
    assert not private
    if path.stem in WITHOUT_TORCH:
        assert "import torch" not in text


@pytest.mark.slow
@pytest.mark.xdist_group("tiny")
def test_all_run_on_tiny(tiny):
    root, done = tiny
    assert done.returncode == 0, done.stdout + done.stderr
    executed = {p.name for p in (root / "runs" / "tiny").rglob("*.ipynb")}
    assert executed >= {n.name for n in NOTEBOOKS}


def test_light_notebooks_load_no_torch():
    """What they import does not; in a run libraries may be there already (``runs.server``)."""
    light = [path for path in NOTEBOOKS if path.stem in WITHOUT_TORCH]
    lines = ["import sys"]
    for path in light:
        tree = ast.parse("\n".join(source(c) for c in cells(path, "code")))
        imports = [n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)]
        assert imports, path
        lines += [ast.unparse(node) for node in imports]
        lines.append(f"assert 'torch' not in sys.modules, {name(path)!r}")
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.xdist_group("tiny")
def test_your_video_takes_the_models_of_the_run(tiny):
    """It says who answers, and its pictures stand still in an executed notebook."""
    root, _ = tiny
    folder = root / "runs" / "tiny" / "your_video"
    assert (folder / "objects.mp4").is_file()
    executed = read_json(folder / "your_video.ipynb")["cells"]
    outputs = [out for cell in executed for out in cell.get("outputs", [])]
    said = "".join("".join(out.get("text", "")) for out in outputs)
    assert "vod/selsa_staged, preset tiny, trained on the built-in world and knows only" in said
    shown = [set(out.get("data", {})) for out in outputs]
    assert sum("image/png" in kinds for kinds in shown) >= 6
    assert not any("application/vnd.jupyter.widget-view+json" in kinds for kinds in shown)
