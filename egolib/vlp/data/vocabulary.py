"""The vocabulary of a run, and the network that fits it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from egolib.errors import EgolibError
from egolib.text.tokens import Tokenizer, load_tokenizer
from egolib.vlp.config import DataConfig, ModelConfig

#: Files of a vocabulary, which are kept beside weights.
FILES = ("vocabulary.json", "tokenizer.json", "vocab.json", "merges.txt")


def read_vocabulary(data: DataConfig, data_root: str | Path) -> Tokenizer:
    """The tokeniser that a configuration names.

    Raises:
        EgolibError: there is none.
    """
    path = Path(data_root) / data.vocabulary
    if not path.exists():
        raise EgolibError(
            "the vocabulary is missing",
            file=path,
            remedy="put roberta-base's vocab.json and merges.txt there, or set data.vocabulary",
        )
    return load_tokenizer(path)


def keep_vocabulary(data: DataConfig, data_root: str | Path, folder: str | Path) -> None:
    """Copies the vocabulary to where weights will lie, so that they can be used alone.

    Args:
        data: names the vocabulary, a file or a folder.
        data_root: folder that the name is relative to.
        folder: of the weights; made where it is missing.
    """
    path = Path(data_root) / data.vocabulary
    source = path if path.is_dir() else path.parent
    names = FILES if path.is_dir() or path.name == "vocab.json" else (path.name,)
    Path(folder).mkdir(parents=True, exist_ok=True)
    for name in names:
        if (source / name).is_file():
            shutil.copyfile(source / name, Path(folder) / name)


def fitting(model: ModelConfig, tokenizer: Tokenizer) -> ModelConfig:
    """The network's configuration with the vocabulary's size where it says 0.

    Raises:
        EgolibError: the network is for another vocabulary, as the published ones are
            where only the world's words are there.
    """
    if model.vocabulary_size == 0:
        return replace(model, vocabulary_size=tokenizer.size)
    if model.vocabulary_size != tokenizer.size:
        raise EgolibError(
            f"a vocabulary of {tokenizer.size} tokens for a network of {model.vocabulary_size}",
            remedy="published variants need roberta-base's vocab.json and merges.txt",
        )
    return model
