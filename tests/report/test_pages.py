"""Pages of executed notebooks: what is added, what is folded, what must not be seen."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from egolib import config
from egolib.cli import schema
from egolib.report import outputs, pages
from egolib.report.banner import read_executed

PNG = "iVBORw0KGgo="


def executed(folder: Path, task: str = "nlq", variant: str = "scratch") -> Path:
    """A finished evaluation: its notebook, ``node.json`` and ``result.json``."""
    out = folder / "runs" / "tiny" / task / variant / "4_evaluate"
    (out / "figures").mkdir(parents=True)
    (out / "figures" / "groups.png").touch()
    parameters = {"variant": variant, "preset": "tiny", "infer": {}, "evaluate": {}}
    parameters |= {"data_root": str(folder / "data" / "world" / "tiny"), "out": str(out)}
    node = {"key": f"{task}/{variant}/4_evaluate", "out": str(out), "parameters": parameters}
    (out / "node.json").write_text(json.dumps(node))
    metrics = {"val_test": {"r1_at_0.3": 12.5, "miou": 3.0}}
    about = {"seed": 0, "world_seed": 0, "wall_sec": 3.2, "commit": "abcdef", "metrics": metrics}
    about["hardware"] = {"machine": "x86_64", "cores": 2, "gpu": None}
    about["config"] = config.resolve(schema(task), task, variant, "tiny")
    (out / "result.json").write_text(json.dumps(about))
    table = "<table><tr><td>NaN</td><td>1</td></tr></table>"
    cells = [
        new_markdown_cell(f"# {task}: evaluation\n\n## Question\n\nHow often?"),
        new_code_cell('variant = "other"  # configuration', metadata={"tags": ["parameters"]}),
        new_code_cell(f'out = "{out}"', metadata={"tags": ["injected-parameters"]}),
        new_code_cell("step.table()", outputs=[html("<table></table>")]),
        new_code_cell("scored", outputs=[html(table)]),
        new_code_cell("print(x)", outputs=[new_output("stream", text=f"{{'a': 1}}\nin {out}/b\n")]),
        new_code_cell(
            'step.figure(f(), "groups")',
            outputs=[new_output("execute_result", {"image/png": PNG, "text/plain": "<Drawing>"})],
        ),
    ]
    nbformat.write(new_notebook(cells=cells), out / "4_evaluate.ipynb")
    return out / "4_evaluate.ipynb"


def html(text: str):
    return new_output("execute_result", {"text/html": text, "text/plain": ""})


@pytest.fixture
def page(tmp_path: Path):
    source = executed(tmp_path)
    text = pages.page_text(source, "nlq/scratch_4_evaluate", "egolib run nlq", schema)
    assert str(tmp_path) not in text
    return nbformat.reads(text, as_version=4)


def test_title_banner_and_results_come_first(page):
    title, banner, results, rest = (cell.source for cell in page.cells[:4])
    assert title == "# GroundNLQ from scratch: evaluation"
    for part in (
        "not Ego4D NLQ",
        "x86_64",
        "abcdef",
        "egolib run nlq/4_evaluate --variant scratch",
    ):
        assert part in banner
    assert "R@1 at IoU 0.3, %" in results and "12.5" in results
    assert rest.startswith("## Question")


def test_code_is_folded_and_injected_parameters_are_gone(page):
    code = [cell for cell in page.cells if cell.cell_type == "code"]
    assert all({"hide-input", "remove-input"} & set(c.metadata.tags) for c in code)
    assert 'variant = "scratch"' in code[0].source
    assert not [c for c in code if c.source.startswith("out =")]


def test_settings_say_what_differs(page):
    shown = page.cells[5].outputs[0]["data"]["text/html"]
    assert "differ from the published configuration" in shown
    assert "infer.compare" in shown and "<details" in shown
    assert "model.width" not in shown  # no section of this step


def test_tables_have_no_nan_and_dictionaries_become_tables(page):
    shown = [o for c in page.cells if c.cell_type == "code" for o in c.outputs]
    tables = [o["data"]["text/html"] for o in shown if "text/html" in o.get("data", {})]
    assert not [t for t in tables if "NaN" in t] and any("<td>–</td>" in t for t in tables)
    assert any('<th scope="row">a</th><td>1</td>' in t for t in tables)
    assert [o.text for o in shown if o.output_type == "stream"] == [
        "in runs/tiny/nlq/scratch/4_evaluate/b\n"
    ]


def test_a_figure_has_caption_and_alternative_text(page):
    figure = page.cells[-1]
    known = pages.captions()["nlq/4_evaluate/groups"]
    assert figure.metadata.mystnb["image"]["alt"] == known["alt"]
    assert figure.metadata.mystnb["figure"]["caption"] == known["caption"]


def test_every_figure_of_the_notebooks_is_described(tmp_path):
    """Whatever a notebook draws has a caption and an alternative text that says something."""
    known = pages.captions()
    root = config.project_root() / "notebooks"
    for file in [*root.glob("*/*.ipynb"), *root.glob("*.ipynb")]:
        for name in drawn(file):
            assert known[name]["caption"].endswith("."), name
            assert len(known[name]["alt"].split()) > 5, name


def drawn(file: Path) -> list[str]:
    own = f"{file.parent.name}/{file.stem}" if file.parent.name in config.TASKS else file.stem
    found = []
    for cell in nbformat.read(file, as_version=4).cells:
        for match in pages.FIGURE.finditer(cell.source if cell.cell_type == "code" else ""):
            if match["figure"]:
                found.append(f"{match['task']}/{match['figure']}")
            elif match["made"] == "stages_figure":
                found.append("stages_figure")
            elif not match["example"]:
                name = next(match[kind] for kind in pages.NAMED if match[kind])
                found.append(f"{own}/{name}")
    return found


def test_a_page_that_was_not_run_says_how(tmp_path):
    text = pages.page_text(
        tmp_path / "no.ipynb", "vod/selsa_staged_4_evaluate", "egolib run", schema
    )
    assert "SELSA: evaluation" in text and "has not been run yet" in text


def test_numbers_of_a_network_are_counted(tmp_path):
    import numpy as np
    from safetensors.numpy import save_file

    from egolib.report.banner import network, weights

    source = executed(tmp_path)
    training = source.parents[1] / "2_train"
    (training / "train").mkdir(parents=True)
    save_file({"a": np.zeros((3, 4)), "b": np.zeros(5)}, training / "train" / "model.safetensors")
    assert weights(training) == {"train": 17}
    page = read_executed(source)
    assert page is not None and network(page) == ""  # nothing leads to the training yet


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "none"),
        (True, "yes"),
        (12345, "12,345"),
        (0.123456, "0.1235"),
        ([], "none"),
        ([1, 2], "1, 2"),
    ],
)
def test_values_for_reading(value, text):
    assert outputs.as_text(value) == text


def test_paths_that_a_table_shortened_name_no_folder():
    paths = [("/home/somebody/project", ".")]
    text = (
        "clips  /home/somebody/pro...\nfile  /home/somebody/project/runs/a.pt\nother  /usr/lib/x..."
    )
    assert outputs.without_paths(text, paths) == "clips  ...\nfile  runs/a.pt\nother  /usr/lib/x..."
