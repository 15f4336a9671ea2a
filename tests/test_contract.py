"""One plan for every task: the same files, the same function names, the same imports."""

from __future__ import annotations

import ast
import dataclasses
import inspect
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

import egolib
from egolib.config import TASKS
from egolib.io.records import read_json

ROOT = Path(egolib.__file__).parent
NOTEBOOKS = ROOT.parent / "notebooks"
STEP_OF_NOTEBOOK = {
    "1_data": "data",
    "2_train": "train",
    "3_infer": "infer",
    "4_evaluate": "evaluate",
}
MODULES = (
    "api",
    "config",
    "data",
    "evaluation",
    "formats.checkpoint",
    "formats.submission",
    "losses",
    "models",
    "optim",
    *(f"steps.{name}" for name in (*STEP_OF_NOTEBOOK.values(), "figures")),
)
# What every task's modules offer, with the names of the first parameters.
FUNCTIONS = {
    "steps.data": {
        "prepare": ["step"],
        "table": ["prepared"],
        "check": ["step", "prepared"],
        "counts": ["prepared"],
    },
    "steps.train": {
        "training_data": ["step"],
        "build_job": ["step"],
        "train": ["step"],
        "make_schedule": ["config", "samples"],
        "parameter_table": ["step"],
        "check": ["result"],
        "metrics": ["result"],
    },
    "steps.infer": {
        "weights_file": ["step"],
        "predict": ["step"],
        "table": ["predictions"],
        "check": ["step", "predictions"],
        "metrics": ["predictions"],
    },
    "steps.evaluate": {
        "read_truth": ["step"],
        "read_predictions": ["step", "truth"],
        "score": [],
        "table": ["scored"],
        "effects": [],
        "check": ["scored"],
        "metrics": [],
        "counts": ["truth"],
    },
    "steps.figures": {"training": ["records", "schedule"]},
    "evaluation": {"evaluate_files": ["truth", "predictions"]},
    "formats.submission": {
        "write": [],
        "read": [],
        "validate_file": ["submission", "truth"],
    },
    "api": {"load": [], "save": []},
}
VERBS = {
    "vq2d": {"locate"},
    "vod": {"detect"},
    "vlp": {"similarity"},
    "nlq": {"ground"},
    "mq": {"find"},
}


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("task", TASKS)
def test_same_modules(task, module):
    assert find_spec(f"egolib.{task}.{module}")


@pytest.mark.parametrize("module", FUNCTIONS)
@pytest.mark.parametrize("task", TASKS)
def test_same_functions(task, module):
    found = import_module(f"egolib.{task}.{module}")
    missing = [name for name in FUNCTIONS[module] if not callable(getattr(found, name, None))]
    assert not missing


@pytest.mark.parametrize("module", FUNCTIONS)
@pytest.mark.parametrize("task", TASKS)
def test_same_first_parameters(task, module):
    found = import_module(f"egolib.{task}.{module}")
    for name, first in FUNCTIONS[module].items():
        names = list(inspect.signature(getattr(found, name)).parameters)
        assert names[: len(first)] == first, name


@pytest.mark.parametrize("task", TASKS)
def test_public_functions_show_their_parameters(task):
    """``load`` and ``start`` take no ``**options``; they take what ``api.load`` and the
    configuration's sections are."""
    package = import_module(f"egolib.{task}")
    for name in ("load", "start"):
        kinds = {p.kind for p in inspect.signature(getattr(package, name)).parameters.values()}
        assert inspect.Parameter.VAR_KEYWORD not in kinds, name
    api = import_module(f"egolib.{task}.api")
    assert _plain(package.load) == _plain(api.load)
    fields = dataclasses.fields(import_module(f"egolib.{task}.config").Config)
    assert {field.name for field in fields} <= set(inspect.signature(package.start).parameters)


def _plain(function) -> list[tuple[str, object]]:
    return [(p.name, p.default) for p in inspect.signature(function).parameters.values()]


@pytest.mark.parametrize("task", VERBS)
def test_verbs(task):
    api = import_module(f"egolib.{task}.api")
    classes = [c for c in vars(api).values() if inspect.isclass(c) and c.__module__ == api.__name__]
    assert any(VERBS[task] <= set(dir(c)) for c in classes)


@pytest.mark.parametrize("task", TASKS)
def test_checkpoints_are_named_by_task(task):
    models = import_module(f"egolib.{task}.formats.checkpoint").MODELS
    assert models and all(model.name.startswith(f"{task}/") for model in models)


# ----------------------------------------------------------------------- notebooks

STEPS = [path for task in TASKS for path in sorted((NOTEBOOKS / task).glob("*.ipynb"))]


def imported(path: Path) -> set[str]:
    """What a notebook imports of egolib, as ``module`` or ``module as alias``."""
    found = set()
    for cell in read_json(path)["cells"]:
        if cell["cell_type"] != "code":
            continue
        for node in ast.walk(ast.parse("".join(cell["source"]))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                before = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
                found |= {
                    before + alias.name + (f" as {alias.asname}" if alias.asname else "")
                    for alias in node.names
                }
    return {name for name in found if name.split(".")[0] == "egolib"}


@pytest.mark.parametrize("path", STEPS, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_notebook_imports_its_steps(path):
    task, step = path.parent.name, STEP_OF_NOTEBOOK[path.stem]
    steps = f"egolib.{task}.steps.{step} as steps"
    allowed = {f"egolib.{task}", "egolib.viz", steps, f"egolib.{task}.steps.figures"}
    assert imported(path) <= allowed
    assert steps in imported(path)


# --------------------------------------------------------------------- written once

BOXES = [file for file in sorted(ROOT.rglob("*.py")) if file.parent != ROOT / "ops"]


def overlaps_boxes(function: ast.FunctionDef) -> bool:
    """Whether a function takes minima of far corners and maxima of near ones: an intersection."""
    calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
    return _on_corners(calls, "minimum", near=False) and _on_corners(calls, "maximum", near=True)


def _on_corners(calls: list[ast.Call], name: str, *, near: bool) -> bool:
    return any(
        isinstance(call.func, ast.Attribute)
        and call.func.attr == name
        and call.args
        and all(_is_corner(argument, near) for argument in call.args)
        for call in calls
    )


def _is_corner(argument: ast.expr, near: bool) -> bool:
    if not isinstance(argument, ast.Subscript):
        return False
    last = argument.slice.elts[-1] if isinstance(argument.slice, ast.Tuple) else argument.slice
    if not isinstance(last, ast.Slice):
        return False
    bounds = [b.value if isinstance(b, ast.Constant) else None for b in (last.lower, last.upper)]
    return bounds == ([None, 2] if near else [2, None])


def test_overlaps_are_told():
    code = "def f(a, b):\n    return np.minimum(a[:, 2:], b[2:]) - np.maximum(a[:, :2], b[:2])"
    assert overlaps_boxes(ast.parse(code).body[0])
    assert not overlaps_boxes(ast.parse("def f(a, b):\n    return np.minimum(a, b[:2])").body[0])


@pytest.mark.parametrize("file", BOXES, ids=[str(f.relative_to(ROOT)) for f in BOXES])
def test_boxes_are_overlapped_in_one_place(file):
    functions = [n for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, ast.FunctionDef)]
    assert not [f.name for f in functions if overlaps_boxes(f)], "use egolib.ops"


TESTS = [file for file in sorted((ROOT.parent / "tests").rglob("*.py")) if "data" not in file.parts]


@pytest.mark.parametrize("file", TESTS, ids=[file.stem for file in TESTS])
def test_what_tests_share_is_no_test(file):
    """It lies in ``tests/helpers``, ``tests/oracles`` or a module of its own. Benchmarks are
    imported by their own tests, and for what counts a device's waits."""
    nodes = [n for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, ast.ImportFrom)]
    modules = [node.module or "" for node in nodes]
    shared = {m for m in modules if m.split(".")[0] == "benchmarks"} - {"benchmarks.gpu_common"}
    assert not shared or file.parent.name == "benchmarks"
    assert not [m for m in modules if m.startswith("tests.") and ".test_" in m]
