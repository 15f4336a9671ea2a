"""What a step takes in: a finished step, a checkpoint file, an official file or folder, a Hub id.

One rule for all tasks, for the command line (``--checkpoint``), notebooks that are opened by
hand (``inputs``) and ``<task>.load``.
"""

from __future__ import annotations

from pathlib import Path

from egolib import config as configs
from egolib.errors import EgolibError, UsageError, nearest
from egolib.io.records import read_json

HUB_FILES = ["*.safetensors", "*.json", "*.yaml"]
#: How the files of official checkpoints end.
OFFICIAL_SUFFIXES = (".pth", ".pt", ".tar", ".ckpt", ".bin", ".pkl")


class NotTrained(UsageError):
    """No training of the task, or of the variant, has finished yet."""


def locate(name: str | Path | None, task: str, runs_dir: str | Path | None = None) -> Path:
    """The file or folder that a name stands for.

    Args:
        name: an existing path; ``<task>/<variant>``, whose newest finished training is
            taken; ``<run>/<task>/<variant>``, the training of that run;
            ``owner/repository`` on the Hub, optionally with ``@revision``; or None for the
            newest training of the task. The newest is looked for among runs that bear a
            preset's name: runs of other names may know other classes, and are named.
        task: whose model is wanted.
        runs_dir: where runs lie; None for ``runs`` in the checkout.

    Raises:
        NotTrained: no training of that task or variant has finished.
        UsageError: nothing of that name; the remedy says how to get one.
    """
    if name is not None and Path(name).expanduser().exists():
        return Path(name).expanduser()
    text = "" if name is None else str(name)
    head, _, variant = text.partition("/")
    if name is None or head in configs.TASKS:
        folder = Path(runs_dir) if runs_dir else configs.project_root() / "runs"
        return _newest(folder, head or task, variant, task)
    run, _, rest = text.partition("/")
    if rest.partition("/")[0] in configs.TASKS:
        folder = Path(runs_dir) if runs_dir else configs.project_root() / "runs"
        head, _, variant = rest.partition("/")
        return _newest(folder, head, variant, task, run)
    looks_local = text.startswith((".", "/", "~")) or Path(text).suffix in OFFICIAL_SUFFIXES
    if text.count("/") == 1 and not looks_local:
        return _from_hub(text)
    raise UsageError(f"no weights at {text!r}", remedy=_remedy(task))


def is_step(path: Path) -> bool:
    """Whether a folder is that of a finished step."""
    return (path / "result.json").is_file()


def weights_file(path: Path, name: str = "model", part: str = "train") -> Path:
    """The file of weights that an input holds.

    Args:
        path: an egolib checkpoint, an official file, the folder of a training step, or
            any folder that holds one of these.
        name: which weights of a training: ``model`` (the last), ``best``, ``ema``,
            ``epoch_004`` ...
        part: the folder of the training in its step, where a step trains several networks.

    Raises:
        EgolibError: there is no such file; the remedy names those that are there.
    """
    if path.is_file():
        return path
    if not path.is_dir():
        raise EgolibError("no such file or folder", file=path)
    trained = path / part if (path / part).is_dir() else path
    if (trained / f"{name}.safetensors").is_file():
        return trained / f"{name}.safetensors"
    ours = sorted(trained.glob("*.safetensors"))
    if is_step(path) or trained != path or (name != "model" and len(ours) > 1):
        known = [file.stem for file in ours]
        remedy = nearest(name, known) if known else "run 2_train again"
        raise EgolibError(f"the training wrote no weights {name!r}", file=trained, remedy=remedy)
    official = _official_files(path)
    # other networks may lie beside model.pth
    return _only(path, [f for f in official if f.stem == "model"] or ours or official)


def _official_files(folder: Path) -> list[Path]:
    return sorted(f for f in folder.iterdir() if f.suffix in OFFICIAL_SUFFIXES and f.is_file())


def _only(folder: Path, files: list[Path]) -> Path:
    if len(files) == 1:
        return files[0]
    found = ", ".join(file.name for file in files) or "no file of weights"
    raise EgolibError(
        f"a folder of weights must hold one file of them, found {found}",
        file=folder,
        remedy="name the file itself",
    )


def _newest(runs: Path, head: str, variant: str, task: str, run: str = "*") -> Path:
    pattern = f"{run}/{head}/{variant or '*'}/2_train/**/model.safetensors"
    finished = sorted(runs.glob(pattern), key=lambda file: file.stat().st_mtime)
    usual = [f for f in finished if run != "*" or f.relative_to(runs).parts[0] in configs.presets()]
    if usual:
        return usual[-1]
    wanted = f"{head}/{variant}" if variant else head
    what = f"no finished training of {wanted} in {runs}"
    if not finished:
        raise NotTrained(what, remedy=_remedy(task, variant))
    others = sorted({"/".join(f.relative_to(runs).parts[:3]) for f in finished})
    what += " under the name of a preset"
    raise UsageError(what, remedy=f"name one of your own runs: {', '.join(others[:4])}")


def of_hash(sha256: str, task: str, runs_dir: str | Path | None = None) -> Path | None:
    """The weights of a task's training among the runs whose file has this hash; None if none.

    Args:
        sha256: of the file, as sidecars and feature stores state it.
        task: whose training it was.
        runs_dir: where runs lie; None for ``runs`` in the checkout.
    """
    runs = Path(runs_dir) if runs_dir else configs.project_root() / "runs"
    sidecars = sorted(runs.glob(f"*/{task}/*/2_train/**/*.json"))
    for sidecar in sorted(sidecars, key=lambda file: file.stem != "model"):
        file = sidecar.with_suffix(".safetensors")
        if file.is_file() and read_json(sidecar, dict).get("sha256") == sha256:
            return file
    return None


def who(weights: Path) -> str:
    """Which model some weights are, and what they were trained on, in a sentence.

    Args:
        weights: a file of weights.
    """
    step = next((folder for folder in weights.parents if is_step(folder)), None)
    if step is not None:
        about = read_json(step / "result.json", dict)
        name = f"{about.get('task')}/{about.get('variant')}, preset {about.get('preset')}"
        return f"{name}, trained {_trained_on(step, str(about.get('preset')))} ({weights})"
    sidecar = weights.with_suffix(".json")
    if weights.suffix == ".safetensors" and sidecar.is_file():
        model = read_json(sidecar, dict).get("model", "unknown")
        return f"{model}; what it was trained on is not recorded ({weights})"
    return f"an official file; what it was trained on is not recorded ({weights})"


def _trained_on(step: Path, preset: str) -> str:
    """What the training of a step saw, as far as its parameters tell."""
    node = step / "node.json"
    given = read_json(node, dict).get("parameters", {}) if node.is_file() else {}
    root = given.get("data_root", "")
    world = preset in configs.presets() and "world" in configs.read_preset(preset)
    if world and (not root or (Path(root) / "world.json").is_file()):
        return "on the built-in world and knows only that"
    return f"on {root or 'data of its own'}"


class Told:
    """A loaded model that says which one it is."""

    #: Which model answers, and what it was trained on.
    about: str = "given weights; what they were trained on is not recorded"

    def __repr__(self) -> str:
        return f"{type(self).__name__}: {self.about}"


def _from_hub(text: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    repository, _, revision = text.partition("@")
    try:
        folder = snapshot_download(repository, revision=revision or None, allow_patterns=HUB_FILES)
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise EgolibError(
            f"{text} is no local path and was not fetched from the Hub: {error}",
            remedy="check the name and the network; a partial download continues",
        ) from error
    files = sorted(Path(folder).glob("*.safetensors"))
    return files[0] if len(files) == 1 else Path(folder)


def _remedy(task: str, variant: str = "") -> str:
    chosen = f" --variant {variant}" if variant else ""
    return (
        f"train one: `egolib run {task}{chosen}` (minutes with `--preset tiny`); or name a file "
        "that `egolib convert` wrote"
    )
