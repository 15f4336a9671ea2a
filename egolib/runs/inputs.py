"""What a step takes in: a finished step, a checkpoint file, an official file or folder, a Hub id.

One rule for all tasks, for the command line (``--checkpoint``), notebooks that are opened by
hand (``inputs``) and ``<task>.load``.
"""

from __future__ import annotations

from pathlib import Path

from egolib import config as configs
from egolib.errors import EgolibError, UsageError, nearest

HUB_FILES = ["*.safetensors", "*.json", "*.yaml"]
#: How the files of official checkpoints end.
OFFICIAL_SUFFIXES = (".pth", ".pt", ".tar", ".ckpt", ".bin", ".pkl")


def locate(name: str | Path | None, task: str, runs_dir: str | Path | None = None) -> Path:
    """The file or folder that a name stands for.

    Args:
        name: an existing path; ``<task>/<variant>``, whose newest finished training is
            taken; ``owner/repository`` on the Hub, optionally with ``@revision``; or
            None for the newest training of the task.
        task: whose model is wanted.
        runs_dir: where runs lie; None for ``runs`` in the checkout.

    Raises:
        UsageError: nothing of that name; the remedy says how to get one.
    """
    if name is not None and Path(name).expanduser().exists():
        return Path(name).expanduser()
    text = "" if name is None else str(name)
    head, _, variant = text.partition("/")
    if name is None or head in configs.TASKS:
        folder = Path(runs_dir) if runs_dir else configs.project_root() / "runs"
        return _newest(folder, head or task, variant, task)
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
    if is_step(path) or trained != path or (name != "model" and ours):
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


def _newest(runs: Path, head: str, variant: str, task: str) -> Path:
    pattern = f"*/{head}/{variant or '*'}/2_train/**/model.safetensors"
    finished = sorted(runs.glob(pattern), key=lambda file: file.stat().st_mtime)
    if not finished:
        wanted = f"{head}/{variant}" if variant else head
        raise UsageError(f"no finished training of {wanted} in {runs}", remedy=_remedy(task))
    return finished[-1]


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


def _remedy(task: str) -> str:
    return (
        f"train one: `make book` or `egolib run {task}`; or name a file that `egolib convert` wrote"
    )
