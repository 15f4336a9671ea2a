"""From texts to token ids: RoBERTa's and CLIP's byte-pair encodings, and whole words.

Legend: B texts, L tokens.

The vocabularies of RoBERTa and CLIP are files that the user supplies (``vocab.json``
with ``merges.txt``, ``tokenizer.json``, or CLIP's own ``bpe_simple_vocab_16e6.txt.gz``).
The built-in world has a small vocabulary of whole words instead. All of them give
ids and a mask; which is which stands in ``name``, and ``hash`` identifies the vocabulary.
"""

from __future__ import annotations

import hashlib
import html
import json
import os
import re
import unicodedata
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from typing_extensions import TypedDict

from egolib.errors import EgolibError, nearest
from egolib.io.records import read_json, read_text
from egolib.io.schema import OPEN, Count, Text, validated

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Library


@dataclass(frozen=True)
class Special:
    """Ids of the tokens that are no words; ``mask`` is None where there is none."""

    start: int
    pad: int
    end: int
    unknown: int
    mask: int | None = None

    @property
    def unmaskable(self) -> tuple[int, int, int]:
        """Ids that are never to be predicted: start, end and padding."""
        return self.start, self.end, self.pad


class Tokenizer(Protocol):
    """What every tokeniser offers.

    Attributes:
        name: ``roberta``, ``clip`` or ``words``.
        size: number of ids.
        special: ids of special tokens.
        hash: SHA-256 of the vocabulary.
    """

    name: str
    size: int
    special: Special
    hash: str

    def ids(self, text: str) -> list[int]:
        """Ids of a text without start and end."""
        ...


def encode(
    tokenizer: Tokenizer, texts: Sequence[str], length: int = 512, *, pad: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Ids and mask of some texts, each (B, L) int64, with start and end tokens.

    Args:
        tokenizer: gives the ids of a text.
        texts: B strings.
        length: longest text in tokens, start and end included; more is cut off.
        pad: fill up to ``length`` instead of to the longest text.
    """
    special = tokenizer.special
    found = [tokenizer.ids(text) for text in texts]
    if tokenizer.name == "clip":
        _tell_cut(tokenizer, found, length)
    rows = [[special.start, *ids[: length - 2], special.end] for ids in found]
    columns = length if pad else max(map(len, rows), default=0)
    ids = np.full((len(rows), columns), special.pad, np.int64)
    mask = np.zeros((len(rows), columns), np.int64)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = row
        mask[i, : len(row)] = 1
    return ids, mask


def _tell_cut(tokenizer: Any, found: Sequence[list[int]], length: int) -> None:
    """Warns where texts do not fit, and says after which words they are cut."""
    long = [ids for ids in found if len(ids) > length - 2]
    if long:
        kept = tokenizer.text(long[0][: length - 2])
        warnings.warn(
            f"{len(long)} texts are longer than {length} tokens and are cut, the first one after "
            f"{kept[-40:]!r}",
            stacklevel=3,
        )


def load_tokenizer(path: str | Path) -> Tokenizer:
    """The tokeniser of a vocabulary file, or of a folder that holds one.

    Raises:
        EgolibError: no vocabulary there, or one that is not recognised.
    """
    path = Path(path)
    if path.is_dir():
        for name in ("vocabulary.json", "tokenizer.json", "vocab.json", CLIP_FILE):
            if (path / name).is_file():
                return load_tokenizer(path / name)
        raise EgolibError(
            "no vocabulary here",
            file=path,
            remedy=f"expected vocab.json and merges.txt, tokenizer.json or {CLIP_FILE}",
        )
    if path.name.startswith("bpe_simple_vocab"):
        return read_clip_tokenizer(path)
    content = read_json(path, dict)
    if path.name == "tokenizer.json":
        model = validated(_LibraryFile, content, file=path)["model"]
        pairs = [m.split(" ") if isinstance(m, str) else m for m in model["merges"]]
        return _byte_pairs(model["vocab"], [_two(pair, path) for pair in pairs], path)
    content = validated(dict[Text, Count], content, file=path)
    if path.with_name("merges.txt").is_file():
        return _byte_pairs(content, _merges(path.with_name("merges.txt")), path)
    if path.name == "vocab.json":
        raise EgolibError(
            "a vocabulary of byte pairs without its merges",
            file=path,
            remedy="put merges.txt of the same model beside it; whole words are vocabulary.json",
        )
    return WordTokenizer(content, path)


# ------------------------------------------------------------------------ whole words


def words(text: str) -> list[str]:
    """Lower-case words without punctuation; ``#`` stays with its word.

    >>> words("#C C takes the mug.")
    ['#c', 'c', 'takes', 'the', 'mug']
    """
    return re.findall(r"#?[a-z0-9]+", text.lower())


class WordTokenizer:
    """One token a word, for the built-in world. No published checkpoint can use it.

    Args:
        vocabulary: token to id, with ``<s> <pad> </s> <unk> <mask>``.
        file: where it is from, for error messages.
    """

    name = "words"

    def __init__(self, vocabulary: dict[str, int], file: Path | None = None):
        names = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
        _require(vocabulary, names, file)
        if sorted(vocabulary.values()) != list(range(len(vocabulary))):
            raise EgolibError("ids do not count from 0 without gaps", file=file)
        self.vocabulary, self.size = vocabulary, len(vocabulary)
        self.special = Special(*(vocabulary[name] for name in names))
        self.hash = _hash(vocabulary)

    def ids(self, text: str) -> list[int]:
        """Ids of a text's words."""
        return [self.vocabulary.get(word, self.special.unknown) for word in words(text)]


# ------------------------------------------------------------------ byte-pair encodings

Merges = list[tuple[str, str]]

CLIP_FILE = "bpe_simple_vocab_16e6.txt.gz"
CLIP_MERGES = 49152 - 256 - 2  # of the published file, after its title line
CLIP_START, CLIP_END = "<|startoftext|>", "<|endoftext|>"
_CLIP_PIECES = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


class RobertaTokenizer:
    """Byte-level BPE of RoBERTa (and GPT-2): case and spaces are kept."""

    name = "roberta"

    def __init__(self, vocabulary: dict[str, int], merges: Merges, file: Path | None = None):
        from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

        names = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
        _require(vocabulary, names, file)
        library = Tokenizer(models.BPE(vocabulary, merges))
        library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        library.add_special_tokens(
            [AddedToken(name, lstrip=name == "<mask>", normalized=False) for name in names]
        )
        self._library = library
        self.special = Special(*(vocabulary[name] for name in names))
        self.size, self.hash = len(vocabulary), _hash({"vocab": vocabulary, "merges": merges})

    def ids(self, text: str) -> list[int]:
        """Ids of a text."""
        return _library_ids(self._library, text)


class ClipTokenizer:
    """BPE of CLIP: lower-case, words end in ``</w>``, padding is id 0."""

    name = "clip"

    def __init__(self, vocabulary: dict[str, int], merges: Merges, file: Path | None = None):
        from tokenizers import Regex, Tokenizer, models, pre_tokenizers

        _require(vocabulary, (CLIP_START, CLIP_END), file)
        library = Tokenizer(models.BPE(vocabulary, merges, end_of_word_suffix="</w>"))
        library.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(_CLIP_PIECES), "removed", invert=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        self._library = library
        start, end = vocabulary[CLIP_START], vocabulary[CLIP_END]
        self.special = Special(start, 0, end, end)
        self.size, self.hash = len(vocabulary), _hash({"vocab": vocabulary, "merges": merges})

    def ids(self, text: str) -> list[int]:
        """Ids of a text, see ``clip_text``."""
        return _library_ids(self._library, clip_text(text))

    def text(self, ids: Sequence[int]) -> str:
        """The words of ids."""
        names = "".join(self._library.id_to_token(number) or "" for number in ids)
        bytes_of = {symbol: byte for byte, symbol in zip(_BYTES, byte_symbols(), strict=True)}
        found = names.replace("</w>", byte_symbols()[_BYTES.index(32)])
        return bytes(bytes_of[symbol] for symbol in found).decode(errors="replace").strip()


#: What the official code's text mending (ftfy) makes of typographic characters.
_PLAIN = {
    **dict.fromkeys(map(chr, (0x2BC, *range(0x2018, 0x201C))), "'"),
    **dict.fromkeys(map(chr, range(0x201C, 0x2020)), '"'),
    **dict(zip("ﬀﬁﬂﬃﬄﬆĲĳ", ("ff", "fi", "fl", "ffi", "ffl", "st", "IJ", "ij"), strict=True)),
    **{chr(c): unicodedata.normalize("NFKC", chr(c)) for c in (0x3000, *range(0xFF01, 0xFFF0))},
    **dict.fromkeys(map(chr, (*range(9), 11, *range(14, 32), 127, 0xFEFF)), ""),
}
_PLAIN_TABLE = str.maketrans(_PLAIN)


def clip_text(text: str) -> str:
    """A text as CLIP's tokeniser sees it.

    Curly quotes, ligatures and wide letters become plain ones, HTML escapes are resolved (twice,
    as the official code does), blanks become one, letters small.

    >>> clip_text("The “ﬁne”  cat &amp;amp; dog")
    'the "fine" cat & dog'
    """
    plain = unicodedata.normalize("NFC", text.translate(_PLAIN_TABLE))
    plain = html.unescape(html.unescape(plain))
    return re.sub(r"\s+", " ", plain).strip().lower()


def read_clip_tokenizer(path: str | Path, merges: str | Path | None = None) -> ClipTokenizer:
    """CLIP's tokeniser, of its own file (``.gz``) or of ``vocab.json`` with ``merges.txt``.

    Args:
        path: the vocabulary.
        merges: of a ``vocab.json``; None takes the ``merges.txt`` beside it.

    Raises:
        EgolibError: a file is missing or malformed, or the vocabulary is not CLIP's.
    """
    path = Path(path)
    if path.suffix != ".json":
        found = _byte_pairs(*_clip_file(path), path)
    else:
        content = validated(dict[Text, Count], read_json(path, dict), file=path)
        pairs = _merges(Path(merges) if merges else path.with_name("merges.txt"))
        found = _byte_pairs(content, pairs, path)
    if not isinstance(found, ClipTokenizer):
        raise EgolibError("not CLIP's vocabulary", file=path)
    return found


class _Model(TypedDict):
    """The part of a ``tokenizer.json`` that byte pairs need."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    vocab: dict[Text, Count]
    merges: list[str | list[str]]


class _LibraryFile(TypedDict):
    """A ``tokenizer.json``."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    model: _Model


def _byte_pairs(vocabulary: dict[str, int], merges: Merges, file: Path) -> Tokenizer:
    if sorted(vocabulary.values()) != [*range(len(vocabulary))]:
        raise EgolibError("ids do not count from 0 without gaps", file=file)
    if not merges:
        raise EgolibError("no merges", file=file, remedy="copy merges.txt of the model again")
    seen: set[tuple[str, str]] = set()
    for number, (left, right) in enumerate(merges, start=1):
        if (left, right) in seen:
            raise EgolibError(
                f"the merge of {left!r} and {right!r} stands twice",
                file=file,
                record=f"merge {number}",
                remedy="copy the merges of the model again",
            )
        seen.add((left, right))
        for token in (left, right, left + right):
            if token not in vocabulary:
                raise EgolibError(
                    f"the merge of {left!r} and {right!r} needs {token!r}, which is no token",
                    file=file,
                    record=f"merge {number}",
                    remedy="vocabulary and merges must be of one model",
                )
    if absent := [symbol for symbol in byte_symbols() if symbol not in vocabulary]:
        warnings.warn(
            f"{file}: the vocabulary lacks {len(absent)} of the 256 bytes, first {absent[0]!r}: "
            "texts with them lose characters",
            stacklevel=3,
        )
    kind = ClipTokenizer if CLIP_START in vocabulary else RobertaTokenizer
    return kind(vocabulary, merges, file)


def _library_ids(library: Library, text: str) -> list[int]:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # loader processes fork
    return library.encode(text, add_special_tokens=False).ids


def _merges(path: Path) -> Merges:
    """Pairs of a ``merges.txt``, one a line, after an optional version line."""
    lines = [line for line in read_text(path).split("\n") if line.strip()]
    if lines and lines[0].startswith("#version"):
        lines = lines[1:]
    return [_pair(path, line) for line in lines]


def _clip_file(path: Path) -> tuple[dict[str, int], Merges]:
    """Vocabulary and merges of CLIP's own file: bytes, bytes that end words, merges, specials."""
    lines = read_text(path).split("\n")[1 : CLIP_MERGES + 1]
    merges = [_pair(path, line) for line in lines if line.strip()]
    symbols = byte_symbols()
    tokens = [*symbols, *(s + "</w>" for s in symbols), *("".join(m) for m in merges)]
    return {t: i for i, t in enumerate([*tokens, CLIP_START, CLIP_END])}, merges


_PRINTABLE = [*range(33, 127), *range(161, 173), *range(174, 256)]
_BYTES = [*_PRINTABLE, *(byte for byte in range(256) if byte not in set(_PRINTABLE))]


def byte_symbols() -> list[str]:
    """A printable character for each byte, in the order in which vocabularies number them.

    Printable bytes of Latin-1 stand for themselves and come first; the others get the
    characters from 256 on.
    """
    others = 256 - len(_PRINTABLE)
    return [chr(b) for b in _PRINTABLE] + [chr(256 + i) for i in range(others)]


def _pair(path: Path, line: str) -> tuple[str, str]:
    return _two(line.split(), path)


def _two(parts: Sequence[str], path: Path) -> tuple[str, str]:
    if len(parts) != 2:
        raise EgolibError("a merge is two symbols", file=path, record=repr(parts)[:80])
    return parts[0], parts[1]


def _require(vocabulary: dict[str, int], names: Sequence[str], file: Path | None) -> None:
    for name in names:
        if name not in vocabulary:
            raise EgolibError(
                f"the vocabulary has no {name}", file=file, remedy=nearest(name, vocabulary)
            )


def _hash(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
