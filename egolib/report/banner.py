"""What a page says about itself: its title, and a banner of what stands behind its numbers."""

from __future__ import annotations

import html
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from egolib import config as configs
from egolib.io.records import read_json

STEP_TITLES = {
    "1_data": "data",
    "2_train": "training",
    "3_infer": "inference",
    "4_evaluate": "evaluation",
}
ANY_REAL = "Ego4D, ImageNet VID, EPIC-KITCHENS-100 or Charades-Ego"
TOWARDS_WEIGHTS = ("model", "predictions")  # inputs that lead from a step to its training


@dataclass(frozen=True)
class Executed:
    """A finished step as its page needs it.

    Args:
        notebook: the executed notebook.
        node: what its ``node.json`` holds: key, parameters, folder.
        result: its ``result.json``.
    """

    notebook: Path
    node: Mapping[str, Any]
    result: Mapping[str, Any]

    @property
    def task(self) -> str:
        """The task, or empty for a page that belongs to none."""
        key = str(self.node["key"]).split("/")
        return key[0] if len(key) == 3 else ""

    @property
    def subject(self) -> str:
        """The task that a page is about: its own, or that of its idea or its results."""
        named = self.step.partition("_")[0]
        return self.task or (named if named in configs.TASKS else "")

    @property
    def title(self) -> str:
        """The title of the page; empty where its notebook's own is right."""
        if self.task:
            return page_title(self.task, self.variant, self.step)
        if self.subject and self.step.endswith("_results"):
            name = str(about_task(self.subject).get("title", self.subject))
            return f"{name[:1].upper()}{name[1:]}: results"
        return ""

    @property
    def is_chapter(self) -> bool:
        """Whether the page tells about a finished run, so that code is of no interest."""
        return str(self.node["key"]).startswith("pages/")

    @property
    def variant(self) -> str:
        """The variant, or empty for a page that belongs to none."""
        return str(self.node["parameters"].get("variant", ""))

    @property
    def step(self) -> str:
        """The step or page, for instance ``4_evaluate``."""
        return str(self.node["key"]).rpartition("/")[2]

    @property
    def preset(self) -> str:
        """The preset that it ran on."""
        return str(self.node["parameters"]["preset"])


def read_executed(notebook: Path) -> Executed | None:
    """The step that an executed notebook belongs to; None where it did not finish."""
    node, result = notebook.parent / "node.json", notebook.parent / "result.json"
    if not (notebook.is_file() and node.is_file() and result.is_file()):
        return None
    return Executed(notebook, read_json(node, dict), read_json(result, dict))


def about_task(task: str) -> dict[str, Any]:
    """What the pages say of a task: the section ``book`` of its ``chain.yaml``."""
    file = configs.project_root() / "params" / task / "chain.yaml"
    return dict(configs.read_yaml(file).get("book") or {}) if file.is_file() else {}


def variant_name(task: str, variant: str) -> str:
    """The name of a variant on pages: ``about.name`` of its file, else its title."""
    about = configs.read_variant(task, variant).about
    return str(about.get("name") or about.get("title") or variant)


def page_title(task: str, variant: str, step: str) -> str:
    """The title of a step's page, for instance ``SELSA: evaluation``.

    Args:
        task: its name.
        variant: its name.
        step: for instance ``4_evaluate``.
    """
    return f"{variant_name(task, variant)}: {STEP_TITLES.get(step, step)}"


def world_of(preset: str) -> str:
    """The built-in world of a preset in words; empty where the preset reads real data."""
    return f"built-in world `{preset}`" if "world" in configs.read_preset(preset) else ""


def is_drawn(page: Executed) -> bool:
    """Whether a step read the built-in world: its data folder holds the world's settings."""
    root = Path(str(page.node["parameters"].get("data_root") or ""))
    if str(root) == ".":
        return bool(world_of(page.preset))
    return (root / "world.json").is_file() or "world" in root.parts


def banner(page: Executed) -> str:
    """The banner as HTML for a Markdown cell: what stands behind the numbers of a page."""
    drawn = is_drawn(page)
    real = about_task(page.subject).get("real", ANY_REAL)
    head = f"Built-in world <em>{html.escape(page.preset)}</em>, not {html.escape(real)}"
    rows = "".join(
        f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts(page).items()
    )
    title = head if drawn else f"Real data: {html.escape(real)}"
    return f'<div class="banner" role="note"><p><strong>{title}</strong></p><dl>{rows}</dl></div>'


def facts(page: Executed) -> dict[str, str]:
    """The rows of the banner, as HTML by name."""
    drawn, result = is_drawn(page), page.result
    seeds = [f"{result.get('seed')}"] if result.get("seed") is not None else []
    if drawn:
        world_seed = result.get("world_seed")
        seeds += [f"world {world_seed}"] if world_seed is not None else []
    command = f"<code>{html.escape(command_of(page))}</code>"
    found = {
        "Data": "drawn by a generator in the official file formats" if drawn else "real files",
        "Network": network(page),
        "Seed": ", ".join(seeds),
        "Ran on": f"{hardware(result)}, in {result['wall_sec']:.0f} s",
        "Commit": f"<code>{html.escape(str(result['commit']))}</code>",
        "Repeat": command,
    }
    return {name: value for name, value in found.items() if value}


def hardware(result: Mapping[str, Any]) -> str:
    """What a step ran on, in words."""
    known = result["hardware"]
    return str(known.get("gpu") or f"{known['cores']} CPU cores ({known['machine']})")


def command_of(page: Executed) -> str:
    """The command that repeats a page."""
    if not page.task:
        return f"egolib run all --preset {page.preset}"
    command = f"egolib run {page.task}/{page.step} --variant {page.variant} --preset {page.preset}"
    name = Path(str(page.node["out"])).parents[2].name
    return command if name == page.preset else f"{command} --name {shlex.quote(name)}"


def network(page: Executed) -> str:
    """The size of the network behind a page, counted in its weights; empty without one."""
    folder = training_folder(page.node)
    if folder is None:
        return ""
    sizes = {part: count for part, count in weights(folder).items() if count}
    named = [
        f"{count:,} numbers" + (f" ({part})" if len(sizes) > 1 else "")
        for part, count in sizes.items()
    ]
    if not named:
        return ""
    builder = configs.read_variant(page.task, page.variant).tree.get("model", {}).get("builder")
    smaller = f", <code>{builder}</code> made smaller" if builder and is_drawn(page) else ""
    return " and ".join(named) + smaller


def training_folder(node: Mapping[str, Any]) -> Path | None:
    """The folder of the training that a step's numbers come from; None where there is none."""
    if str(node["key"]).endswith("2_train"):
        return Path(node["out"])
    for name in TOWARDS_WEIGHTS:
        folder = Path(str((node["parameters"].get("inputs") or {}).get(name, "")))
        if (folder / "node.json").is_file():
            return training_folder(read_json(folder / "node.json", dict))
    return None


def weights(training: Path) -> dict[str, int]:
    """How many numbers each trained network of a step holds, by its folder's name."""
    from safetensors import safe_open

    found = {}
    for folder in sorted(p for p in training.iterdir() if p.is_dir()):
        files = [folder / "model.safetensors", *sorted(folder.glob("*.safetensors"))]
        file = next((f for f in files if f.is_file()), None)
        if file is not None:
            with safe_open(file, "np") as stored:
                found[folder.name] = sum(_size(stored, name) for name in stored.keys())  # noqa: SIM118
    return found


def _size(stored: Any, name: str) -> int:
    size = 1
    for length in stored.get_slice(name).get_shape():
        size *= length
    return size
