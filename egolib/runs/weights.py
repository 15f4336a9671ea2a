"""Finding weights by name: a path, a run of ours, or a repository on the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path

from egolib import config as configs
from egolib.errors import EgolibError, UsageError

HUB_FILES = ["*.safetensors", "*.json", "*.yaml"]


def locate(name: str | Path | None, task: str, runs_dir: str | Path | None = None) -> Path:
    """The file or folder that a name stands for.

    Args:
        name: an existing path; ``<task>/<variant>``, whose newest finished training is
            taken; ``owner/repository`` on the Hub, optionally with ``@revision``; or
            None for the newest training of the task.
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
    if text.count("/") == 1 and not text.startswith((".", "/", "~")):
        return _from_hub(text)
    raise UsageError(f"no weights at {text!r}", remedy=_remedy(task))


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
