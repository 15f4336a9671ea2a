"""Which notebooks a request means, with their parameters, in an order in which they can run."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from egolib import config as configs
from egolib.config import Tree
from egolib.errors import EgolibError, nearest
from egolib.runs import stamps
from egolib.runs.inputs import locate
from egolib.runs.node import Node
from egolib.runs.places import Places, default_data_root, task_variant_step
from egolib.runs.shards import DIVIDED

WORLD = "0_world"
AFTER_ALL = ("your_video", "9_scoreboard")
RESULTS = "results"  # the notebook of all tasks' results pages
PAGES = "pages"  # notebooks of pages that look at a finished run

Schema = Callable[[str], type]  # from a task's name to its Config dataclass


@dataclass(frozen=True)
class Request:
    """What somebody asked to run.

    Args:
        task: a task, or ``all``.
        step: one step (with what it needs), or None for the whole variant or chain.
        variant: one variant, or None for the task's chain.
        preset: data and sizes.
        name: of the run; None for the preset.
        overrides: texts ``a.b=value``.
        params_file: a YAML file laid over variant and preset.
        data_root: folder of real data; None for the preset's own.
        runs_dir: where runs lie; None for ``runs`` in the checkout.
        checkpoint: weights for ``3_infer`` in place of the trained ones: an egolib or official
            file, an official folder, a training step, a Hub id. No training is run.
        inputs: what the step that is asked for takes in, in place of the usual steps: paths,
            Hub ids, runs.
        force: run the steps that are asked for again, from the start, even if current.
        shards: jobs that a batch system divides inference among.
    """

    task: str
    step: str | None = None
    variant: str | None = None
    preset: str = "mini"
    name: str | None = None
    overrides: tuple[str, ...] = ()
    params_file: Path | None = None
    data_root: Path | None = None
    runs_dir: Path | None = None
    checkpoint: str | Path | None = None
    inputs: Mapping[str, str | Path] = field(default_factory=dict)
    force: bool = False
    shards: int = 1

    @property
    def places(self) -> Places:
        """The folders of this run."""
        name = self.name or self.preset
        return Places(name) if self.runs_dir is None else Places(name, self.runs_dir.absolute())

    @property
    def makes_world(self) -> bool:
        """True when the run's data is the built-in world and this run draws it."""
        own = self.data_root is None and not os.environ.get("EGOLIB_DATA")
        return own and "world" in configs.read_preset(self.preset)


def tasks_with_chains() -> list[str]:
    """The tasks that have notebooks to run."""
    params = configs.project_root() / "params"
    return [t for t in configs.TASKS if (params / t / "chain.yaml").is_file()]


def plan(request: Request, schema: Schema) -> list[Node]:
    """The nodes of a request in an order in which they can run.

    Raises:
        EgolibError: unknown task, step, variant, preset or parameter, or a decoder that is not
            installed.
    """
    planner = _Planner(request, schema)
    if request.makes_world:
        planner.add_world()
    for task in tasks_with_chains() if request.task == "all" else [request.task]:
        for variant, step in planner.wanted(task):
            planner.asked.add(planner.add(task, variant, step).key)
    planner.require_all_overrides_used()
    if request.task == "all":
        planner.add_pages()
    if request.force:
        return [replace(node, force=node.key in planner.asked) for node in planner.nodes.values()]
    return list(planner.nodes.values())


class _Planner:
    """Builds the graph of one request."""

    def __init__(self, request: Request, schema: Schema):
        self.request, self.schema = request, schema
        self.nodes: dict[str, Node] = {}
        self.used: set[str] = set()
        self.asked: set[str] = set()
        root = request.data_root or default_data_root(request.preset)
        self.data_root = root.absolute()

    def wanted(self, task: str) -> list[tuple[str, str]]:
        """The (variant, step) pairs that the request names, without what they need."""
        if task not in configs.TASKS:
            known = [*configs.TASKS, "all"]
            raise EgolibError(f"unknown task {task!r}", remedy=nearest(task, known))
        chain, step = configs.read_chain(task), self.request.step
        chosen: Sequence[str] = [chain.default] if step else chain.variants
        pairs = []
        for variant in [self.request.variant] if self.request.variant else chosen:
            steps = configs.read_variant(task, variant).steps
            if step and step not in steps:
                remedy = nearest(step, steps)
                raise EgolibError(f"{task}/{variant} has no step {step!r}", remedy=remedy)
            pairs += [(variant, s) for s in steps if s == step or (not step and self._runs(s))]
            if step:
                self._require_inputs(steps[step])
        return pairs

    def _require_inputs(self, known: Mapping[str, str]) -> None:
        for name in self.request.inputs:
            if name not in known:
                what = f"step {self.request.step} has no input {name!r}"
                raise EgolibError(what, remedy=nearest(name, known))

    def _runs(self, step: str) -> bool:
        """Whether a whole variant runs this step: with a checkpoint nothing is trained."""
        return not (self.request.checkpoint and step == "2_train")

    def add(self, task: str, variant: str, step: str) -> Node:
        """Adds a step after everything that it needs; returns its node."""
        key = f"{task}/{variant}/{step}"
        if key in self.nodes:
            return self.nodes[key]
        inputs: dict[str, Path] = {}
        upstream: dict[str, Path] = {}
        for name, reference in configs.read_variant(task, variant).steps[step].items():
            given = self._given(task, step, name)
            if given is not None:
                inputs[name] = given
                continue
            node = self.add(*task_variant_step(reference, task, variant))
            inputs[name] = upstream[node.key] = node.out
        if WORLD in self.nodes and not upstream:
            upstream[WORLD] = self.nodes[WORLD].out
        self.nodes[key] = self._step(task, variant, step, inputs, upstream)
        return self.nodes[key]

    def _is_foreign(self, task: str) -> bool:
        """Whether a step is there only because a step of another task needs it."""
        return self.request.task not in (task, "all")

    def _given(self, task: str, step: str, name: str) -> Path | None:
        """What the request puts in the place of a step's usual input."""
        if self._is_foreign(task):
            return None
        if self.request.checkpoint and (step, name) == ("3_infer", "model"):
            return locate(self.request.checkpoint, task, self.request.runs_dir).absolute()
        given = self.request.inputs.get(name) if step == self.request.step else None
        if given is None or isinstance(given, Path):
            return given
        return locate(given, task, self.request.runs_dir).absolute()

    def _step(
        self,
        task: str,
        variant: str,
        step: str,
        inputs: dict[str, Path],
        upstream: dict[str, Path],
    ) -> Node:
        notebook = configs.project_root() / "notebooks" / task / f"{step}.ipynb"
        names = stamps.parameter_names(notebook)
        used = {k: v for k, v in self._tree(task, variant).items() if k in names}
        out = self.request.places.step(task, variant, step)
        place = {
            "variant": variant,
            "preset": self.request.preset,
            "data_root": str(self.data_root),
            "out": str(out),
            "inputs": {k: str(v) for k, v in inputs.items()},
        }
        foreign = [v for v in inputs.values() if v not in upstream.values()]
        real_data = not upstream and "data_root" in names
        return Node(
            key=f"{task}/{variant}/{step}",
            notebook=notebook,
            out=out,
            parameters={k: v for k, v in place.items() if k in names} | used,
            upstream=upstream,
            parts={
                "notebook": stamps.notebook_hash(notebook),
                "parameters": configs.flatten(used),
                "code": stamps.code_hash(task),
                "data": stamps.data_identity(self.data_root) if real_data else "",
                "files": [stamps.file_identity(path) for path in foreign],
            },
            resources=self._resources(task, variant, step),
        )

    def _resources(self, task: str, variant: str, step: str) -> Tree:
        """What a batch system should give to a step."""
        own = configs.read_variant(task, variant).resources.get(step) or {}
        divided = self.request.shards > 1 and step in DIVIDED
        return own | ({"shards": self.request.shards} if divided else {})

    def _tree(self, task: str, variant: str) -> Tree:
        """The resolved configuration; under ``all``, with the overrides that the task knows.

        A step of another task that the asked one needs is as its preset has it.
        """
        schema, preset = self.schema(task), self.request.preset
        if self._is_foreign(task):
            return configs.resolve(schema, task, variant, preset)
        file = self.request.params_file
        tree = configs.resolve(schema, task, variant, preset, (), file)
        accepted = []
        for text in self.request.overrides:
            try:
                configs.refuse_old_names(schema, {text.partition("=")[0].strip(): None})
                configs.parse_override(text, tree)
                accepted.append(text)
            except EgolibError:
                if self.request.task != "all":
                    raise
        self.used.update(accepted)
        tree = configs.resolve(schema, task, variant, preset, accepted, file)
        if (decoder := tree.get("data", {}).get("backend", "av")) != "av":
            from egolib.video import check_backend  # loads PyAV

            check_backend(decoder)
        return tree

    def require_all_overrides_used(self) -> None:
        """Raises EgolibError when no task of an ``all`` run knew an override."""
        for text in self.request.overrides:
            if text not in self.used:
                raise EgolibError(f"no step of this run has the parameter {text!r}")

    def add_world(self) -> None:
        """Adds the notebook that draws the built-in world."""
        content = configs.read_preset(self.request.preset)
        seed = content.get("world_seed", 0)
        places = {"data_root": str(self.data_root)}
        parameters = {"preset": self.request.preset, "world_seed": seed} | places
        used = {"world": content["world"], "world_seed": seed}
        self._add_page(WORLD, parameters, {}, "world", {"parameters": configs.flatten(used)})

    def add_pages(self) -> None:
        """Adds the notebooks that look at everything the run has made.

        The page on one's own video, the scoreboard, and in ``notebooks/pages`` the front page
        and for each task its idea (a notebook of its own) and its results (one for all).
        """
        seen = dict(self.nodes)
        for page in AFTER_ALL:
            self._add_looking(page, page, seen)
        folder = configs.project_root() / "notebooks" / PAGES
        for notebook in sorted(folder.glob("*.ipynb")):
            if notebook.stem == RESULTS:
                continue
            self._add_looking(f"{PAGES}/{notebook.stem}", f"{PAGES}/{notebook.stem}", seen)
        if (folder / f"{RESULTS}.ipynb").is_file():
            for task in tasks_with_chains():
                page = f"{PAGES}/{task}_{RESULTS}"
                self._add_looking(page, f"{PAGES}/{RESULTS}", seen, {"task": task})

    def _add_looking(
        self, page: str, notebook: str, seen: Mapping[str, Node], more: Tree | None = None
    ) -> None:
        runs = self.request.places.runs_dir / self.request.places.name
        upstream = {key: node.out for key, node in seen.items()}
        evidence = stamps.texts_hash(configs.project_root() / "book" / "evidence", "*.json")
        parameters = {"preset": self.request.preset, "runs": str(runs), **(more or {})}
        self._add_page(page, parameters, upstream, "", {"evidence": evidence}, notebook)

    def _add_page(
        self,
        page: str,
        parameters: Tree,
        upstream: dict[str, Path],
        package: str,
        parts: Tree,
        source: str = "",
    ) -> None:
        notebook = configs.project_root() / "notebooks" / f"{source or page}.ipynb"
        out = self.request.places.page(page)
        own = {
            "notebook": stamps.notebook_hash(notebook),
            "code": stamps.code_hash(package),
        }
        self.nodes[page] = Node(
            key=page,
            notebook=notebook,
            out=out,
            parameters=parameters | {"out": str(out)},
            upstream=upstream,
            parts=own | parts,
        )


# --------------------------------------------------------------------------- grid


@dataclass(frozen=True)
class GridPoint:
    """One combination of a grid: its values and the nodes that compute it."""

    values: dict[str, Any]
    nodes: list[Node]


def plan_grid(
    request: Request, grid: Mapping[str, Sequence[Any]], schema: Schema
) -> list[GridPoint]:
    """The product of a grid; steps that a value does not reach are shared by its points.

    Args:
        request: what is run at every point.
        grid: values by name of a parameter.
        schema: from a task's name to its configuration.
    """
    combinations = itertools.product(*grid.values())
    points = [dict(zip(grid, values, strict=True)) for values in combinations]
    return [GridPoint(values, plan_point(request, values, schema)) for values in points]


def plan_point(request: Request, values: Mapping[str, Any], schema: Schema) -> list[Node]:
    """The nodes of a request with some values changed.

    A node lies in the folder of the run, or, where values change it or something that
    it depends on, in ``<name>@<those values>``. So two points that differ in a value
    share every node which that value does not reach, and a value equal to the
    configured one changes nothing.

    Args:
        request: what is run.
        values: by name of a parameter.
        schema: from a task's name to its configuration.
    """
    texts = {k: f"{k}={json.dumps(v)}" for k, v in values.items()}  # JSON is YAML
    whole = plan(_with(request, texts.values()), schema)
    lacking = {k: _parts(request, [t for o, t in texts.items() if o != k], schema) for k in texts}
    reached: dict[str, list[str]] = {}
    moved: dict[Path, Path] = {}
    nodes = []
    for node in whole:
        upstream = {k for key in node.upstream for k in reached[key]}
        own = {k for k in texts if lacking[k][node.key] != node.parts}
        reached[node.key] = [k for k in texts if k in own | upstream]
        label = ",".join(f"{k}={values[k]}" for k in reached[node.key]).replace("/", "_")
        moved[node.out] = _in_folder(node.out, request.places, label)
        nodes.append(_move(node, moved))
    return nodes


def _with(request: Request, texts: Iterable[str]) -> Request:
    return replace(request, overrides=(*request.overrides, *texts))


def _parts(request: Request, texts: Iterable[str], schema: Schema) -> dict[str, Tree]:
    return {node.key: node.parts for node in plan(_with(request, texts), schema)}


def _in_folder(out: Path, places: Places, label: str) -> Path:
    if not label:
        return out
    inside = out.relative_to(places.runs_dir / places.name)
    return places.runs_dir / f"{places.name}@{label}" / inside


def _move(node: Node, moved: Mapping[Path, Path]) -> Node:
    """The node with its folder, and those of its inputs, at their new places."""
    parameters = dict(node.parameters)
    if "out" in parameters:
        parameters["out"] = str(moved[node.out])
    if "inputs" in parameters:
        inputs = parameters["inputs"].items()
        parameters["inputs"] = {k: str(moved.get(Path(v), v)) for k, v in inputs}
    upstream = {k: moved[v] for k, v in node.upstream.items()}
    return replace(node, out=moved[node.out], parameters=parameters, upstream=upstream)
