"""The text tower of CLIP ViT-B/32, from weights and a vocabulary that the user supplies.

Published NLQ checkpoints want its token features: outputs of the final norm, not
projected, without start and end (see ``egolib.nlq.data.text``).

Shapes: L tokens (context 77), W width (512).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from egolib.errors import EgolibError
from egolib.io import checkpoint
from egolib.io.checkpoint import KeyTable, Rule
from egolib.io.features import Provenance
from egolib.io.torch_files import is_program, read_program_tensors
from egolib.nlq.data.text import keep_tokens, normalise
from egolib.text.tokens import ClipTokenizer, read_clip_tokenizer

HEAD_WIDTH = 64
NAME = "CLIP ViT-B/32"  # as a store of its token features calls itself
WEIGHTS = ("*.safetensors", "*.pt", "*.pth", "*.bin")
VOCABULARIES = ("bpe_simple_vocab_16e6.txt.gz", "vocab.json")


# -------------------------------------------------------------------------- network


class ClipText(nn.Module):
    """Causal pre-norm transformer over token ids.

    Args:
        vocabulary: number of token ids.
        context: number of positions.
        width: W; heads are 64 wide.
        layers: number of blocks.
    """

    def __init__(self, vocabulary: int, context: int, width: int, layers: int):
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Parameter(torch.zeros(context, width))
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width,
                width // HEAD_WIDTH,
                4 * width,
                dropout=0.0,
                activation=quick_gelu,
                batch_first=True,
                norm_first=True,
            )
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, ids: Tensor) -> Tensor:
        """(B, L) ids -> (B, L, W), after the final norm."""
        length = ids.shape[1]
        x = self.tokens(ids) + self.positions[:length]
        later = torch.ones(length, length, dtype=torch.bool, device=ids.device).triu(1)
        for block in self.blocks:
            x = block(x, src_mask=later)
        normed: Tensor = self.norm(x)
        return normed


def quick_gelu(x: Tensor) -> Tensor:
    """The activation that CLIP was trained with."""
    return x * torch.sigmoid(1.702 * x)


_BLOCK = "blocks.{i}"
OPENAI = KeyTable(
    [
        Rule("tokens.weight", "token_embedding.weight"),
        Rule("positions", "positional_embedding"),
        Rule("norm.{kind}", "ln_final.{kind}"),
        Rule(
            f"{_BLOCK}.self_attn.in_proj_{{kind}}", "transformer.resblocks.{i}.attn.in_proj_{kind}"
        ),
        Rule(
            f"{_BLOCK}.self_attn.out_proj.{{kind}}",
            "transformer.resblocks.{i}.attn.out_proj.{kind}",
        ),
        Rule(f"{_BLOCK}.linear1.{{kind}}", "transformer.resblocks.{i}.mlp.c_fc.{kind}"),
        Rule(f"{_BLOCK}.linear2.{{kind}}", "transformer.resblocks.{i}.mlp.c_proj.{kind}"),
        Rule(f"{_BLOCK}.norm1.{{kind}}", "transformer.resblocks.{i}.ln_1.{kind}"),
        Rule(f"{_BLOCK}.norm2.{{kind}}", "transformer.resblocks.{i}.ln_2.{kind}"),
    ],
    drop_official=[
        "visual.{rest}",
        "text_projection",
        "logit_scale",
        "input_resolution",
        "context_length",
        "vocab_size",
    ],
)
HUGGING_FACE = KeyTable(
    [
        Rule("tokens.weight", "embeddings.token_embedding.weight"),
        Rule("positions", "embeddings.position_embedding.weight"),
        Rule("norm.{kind}", "final_layer_norm.{kind}"),
        Rule(f"{_BLOCK}.self_attn.in_proj_{{kind}}", "encoder.layers.{i}.self_attn.in_proj_{kind}"),
        Rule(
            f"{_BLOCK}.self_attn.out_proj.{{kind}}",
            "encoder.layers.{i}.self_attn.out_proj.{kind}",
        ),
        Rule(f"{_BLOCK}.linear1.{{kind}}", "encoder.layers.{i}.mlp.fc1.{kind}"),
        Rule(f"{_BLOCK}.linear2.{{kind}}", "encoder.layers.{i}.mlp.fc2.{kind}"),
        Rule(f"{_BLOCK}.norm1.{{kind}}", "encoder.layers.{i}.layer_norm1.{kind}"),
        Rule(f"{_BLOCK}.norm2.{{kind}}", "encoder.layers.{i}.layer_norm2.{kind}"),
    ],
    drop_official=["embeddings.position_ids"],
)


def read_clip_text(path: str | Path) -> ClipText:
    """The text tower of a CLIP file: the publisher's archive or state dict, or Hugging Face's.

    Raises:
        EgolibError: the file holds no CLIP text tower.
    """
    path = Path(path)
    state = {name: value.float() for name, value in _read_state(path).items()}
    prefix = "text_model."
    if any(name.startswith(prefix) for name in state):
        state = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        ours = HUGGING_FACE.to_ours(_join_projections(state))
    elif "token_embedding.weight" in state:
        ours = OPENAI.to_ours(state)
    else:
        raise EgolibError(
            "no CLIP text tower in this file",
            file=path,
            remedy="CLIP ViT-B/32, as its owners publish it, is needed",
        )
    (vocabulary, width), context = ours["tokens.weight"].shape, len(ours["positions"])
    layers = len({name.split(".")[1] for name in ours if name.startswith("blocks.")})
    model = ClipText(vocabulary, context, width, layers)
    checkpoint.load_into(model, ours, file=path)
    return model.eval()


def _read_state(path: Path) -> Mapping[str, Tensor]:
    """The publisher's file is a TorchScript archive, read as data; others are state dicts."""
    if is_program(path):
        return read_program_tensors(path)
    return checkpoint.find_state(checkpoint.read_foreign(path))


def _join_projections(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Separate query, key and value projections as one."""
    joined = {
        k: v
        for k, v in state.items()
        if not k.rpartition(".")[0].endswith(("q_proj", "k_proj", "v_proj"))
    }
    for name in state:
        if ".q_proj." in name:
            parts = [state[name.replace(".q_proj.", f".{p}_proj.")] for p in "qkv"]
            joined[name.replace(".q_proj.", ".in_proj_")] = torch.cat(parts)
    return joined


# ------------------------------------------------------------------------ vocabulary


class ClipVocabulary:
    """Byte-pair encoding of lower-case text, padded to CLIP's number of positions.

    Args:
        tokenizer: of the vocabulary.
        context: number of positions.
    """

    def __init__(self, tokenizer: ClipTokenizer, context: int = 77):
        self.tokenizer, self.context = tokenizer, context
        self.start, self.end = tokenizer.special.start, tokenizer.special.end

    def encode(self, text: str) -> np.ndarray:
        """(context,) int64 ids: start, tokens, end, then zeros.

        Raises:
            EgolibError: the text is too long; where it would have to end is said.
        """
        ids = [self.start, *self.tokenizer.ids(text), self.end]
        if len(ids) > self.context:
            kept = self.tokenizer.text(ids[1 : self.context - 1])
            raise EgolibError(
                f"a text of {len(ids)} tokens, {self.context} fit",
                record=text,
                remedy=f"shorten it; what fits ends with {kept[-40:]!r}",
            )
        padded = np.zeros(self.context, np.int64)
        padded[: len(ids)] = ids
        return padded


def read_vocabulary(path: str | Path, merges: str | Path | None = None) -> ClipVocabulary:
    """A vocabulary from the publisher's ``bpe_simple_vocab_16e6.txt.gz``, or from Hugging
    Face's ``vocab.json`` with ``merges.txt`` (by default the one beside it)."""
    return ClipVocabulary(read_clip_tokenizer(path, merges))


# --------------------------------------------------------------------------- encoder


class ClipTextEncoder:
    """Questions as the token features that published checkpoints were trained on.

    Args:
        weights: a CLIP ViT-B/32 file.
        vocabulary: see ``read_vocabulary``.
        merges: of a ``vocab.json`` that lies apart from its ``merges.txt``.
        device: where to compute.
    """

    def __init__(
        self,
        weights: str | Path,
        vocabulary: str | Path,
        merges: str | Path | None = None,
        device: str | torch.device = "cpu",
    ):
        self.model = read_clip_text(weights).to(device)
        self.vocabulary = read_vocabulary(vocabulary, merges)
        self.device = device
        width = self.model.positions.shape[1]
        self.provenance = Provenance(kind="text", width=width, model=NAME)

    @classmethod
    def from_folder(cls, folder: str | Path, device: str | torch.device = "cpu") -> ClipTextEncoder:
        """The encoder of a folder that holds one file of weights and a vocabulary.

        Raises:
            EgolibError: one of the two is not there.
        """
        folder = Path(folder)
        vocabularies = [f for name in VOCABULARIES for f in folder.glob(name)]
        weights = [f for name in WEIGHTS for f in sorted(folder.glob(name))]
        if not vocabularies or not weights:
            raise EgolibError(
                "no CLIP text encoder there",
                file=folder,
                remedy=f"a folder with one of {WEIGHTS} and one of {VOCABULARIES}",
            )
        return cls(weights[0], vocabularies[0], device=device)

    def __call__(self, text: str) -> np.ndarray:
        """(L, 512) float32 token features of one question."""
        return self.encode([text])[0]

    @torch.inference_mode()
    def encode(self, texts: Iterable[str], batch: int = 256) -> list[np.ndarray]:
        """(L, 512) float32 token features of each question."""
        ids = np.stack([self.vocabulary.encode(normalise(text)) for text in texts])
        features = []
        for part in np.array_split(ids, -(-len(ids) // batch)):
            hidden = self.model(torch.from_numpy(part).to(self.device)).cpu().numpy()
            features += [keep_tokens(h, i) for h, i in zip(hidden, part, strict=True)]
        return features
