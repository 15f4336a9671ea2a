"""Weights on disk: an egolib checkpoint is ``x.safetensors`` beside ``x.json``, which says what
the weights are, how they were made, and the SHA-256 of the tensor file.

What belongs to weights is found here: reading official files without running them
(``egolib.io.foreign_weights``), key tables between their names and ours
(``egolib.io.key_table``), and the report of a comparison (``egolib.io.load_report``).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NotRequired

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from typing_extensions import TypedDict

from egolib.errors import EgolibError
from egolib.io.foreign_weights import FoundWeights as FoundWeights
from egolib.io.foreign_weights import find_state as find_state
from egolib.io.foreign_weights import find_weights as find_weights
from egolib.io.foreign_weights import read_foreign as read_foreign
from egolib.io.key_table import KeyTable as KeyTable
from egolib.io.key_table import OfficialModel as OfficialModel
from egolib.io.key_table import Rule as Rule
from egolib.io.key_table import State as State
from egolib.io.load_report import LoadReport as LoadReport
from egolib.io.load_report import compare as compare
from egolib.io.load_report import load_partial as load_partial
from egolib.io.records import atomic_path, file_sha256, read_json, write_json
from egolib.io.schema import OPEN, Text, validated


class _Sidecar(TypedDict):
    """What lies beside weights; further fields depend on who wrote them."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    model: NotRequired[Text]
    config: NotRequired[dict[str, Any]]
    sha256: NotRequired[Text]


def save(path: str | Path, state: Mapping[str, Tensor], sidecar: Mapping[str, Any]) -> Path:
    """Writes ``x.safetensors`` and ``x.json``, both atomically, the tensors first.

    Args:
        path: of the tensor file; its suffix becomes ``.safetensors``.
        state: tensors by our names; written contiguous, on the CPU, sorted by name,
            so that equal weights give equal bytes.
        sidecar: JSON values: at least ``model`` (the builder's name) and ``config``.
    """
    path = Path(path).with_suffix(".safetensors")
    tensors = {key: state[key].detach().cpu().contiguous().clone() for key in sorted(state)}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary)
    write_json(path.with_suffix(".json"), {**sidecar, "sha256": file_sha256(path)}, indent=1)
    return path


def load(path: str | Path, *, verify: bool = True) -> tuple[State, dict[str, Any]]:
    """Reads ``x.safetensors`` and its sidecar.

    Args:
        path: of the tensor file.
        verify: compare its SHA-256 with the one in the sidecar.

    Raises:
        EgolibError: a file is missing or damaged, or the tensor file is not the
            one that the sidecar describes.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise EgolibError(
            "not an egolib checkpoint (.safetensors)",
            file=path,
            remedy=f"convert it first: egolib convert {path} {path.with_suffix('.safetensors')}",
        )
    about = path.with_suffix(".json")
    sidecar: dict[str, Any] = validated(_Sidecar, read_json(about, dict), file=about)
    if not path.is_file():
        raise EgolibError("the tensor file is missing", file=path)
    if verify and sidecar.get("sha256") != file_sha256(path):
        raise EgolibError(
            "the tensor file is not the one its sidecar describes (SHA-256 differs)",
            file=path,
            remedy="copy both files again, or convert the original once more",
        )
    try:
        return load_file(path), sidecar
    except SafetensorError as error:
        raise EgolibError(f"damaged safetensors file: {error}", file=path) from error


def exported_sidecar(official: str | Path) -> dict[str, Any]:
    """What ``egolib convert`` wrote beside a file that it exported to the official layout:
    ``model`` and ``config``; empty for any other file."""
    file = Path(official).with_suffix(".json")
    content = read_json(file) if file.is_file() else {}
    known = isinstance(content, dict) and content.keys() >= {"model", "config", "sha256"}
    return content if known and content["sha256"] == file_sha256(official) else {}


def load_into(
    model: nn.Module, state: Mapping[str, Tensor], *, file: str | Path | None = None
) -> None:
    """Loads our state dict into a model, strictly, with a readable error.

    Args:
        model: receives the weights.
        state: tensors by our names.
        file: for error messages.
    """
    report = compare(state, model.state_dict())
    report.require_complete(file=file)
    model.load_state_dict(dict(state))
