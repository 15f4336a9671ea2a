"""Masked language modelling on fused texts.

Legend: B texts, L tokens, D width, V vocabulary, K tokens that are to be predicted.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from egolib.engine.distributed import Backward, sum_over_processes
from egolib.vlp.models.model import VideoLanguageModel

#: The label of a token that is not to be predicted.
IGNORED = -100


def corrupt(
    ids: np.ndarray,
    rng: np.random.Generator,
    *,
    special_ids: Sequence[int],
    mask_id: int,
    vocabulary_size: int,
    probability: float = 0.15,
) -> tuple[np.ndarray, np.ndarray]:
    """Token ids with some replaced, and what stood there.

    Of the chosen tokens 80 % become the mask, 10 % a random token (of the whole
    vocabulary), 10 % stay (Devlin et al., arXiv 1810.04805).

    Args:
        ids: int64, any shape.
        rng: draws.
        special_ids: ids that are never chosen (start, end, padding).
        mask_id: the id of the mask.
        vocabulary_size: V.
        probability: that a token is chosen.

    Returns:
        Two int64 arrays of the same shape: ids, and labels (``IGNORED`` elsewhere).
    """
    special = (ids[..., None] == np.asarray(special_ids)).any(-1)  # isin is slow for few ids
    chosen = (rng.random(ids.shape) < probability) & ~special
    fate = rng.random(ids.shape)
    random_ids = rng.integers(0, vocabulary_size, ids.shape)
    replaced = np.where(fate < 0.8, mask_id, np.where(fate < 0.9, random_ids, ids))
    return np.where(chosen, replaced, ids), np.where(chosen, ids, IGNORED)


def masked_places(labels: Tensor) -> Tensor:
    """(K,) int64, where in flattened labels (B, L) something is to be predicted."""
    return (labels.flatten() != IGNORED).nonzero()[:, 0]


def masked_language(
    model: VideoLanguageModel,
    text: Tensor,
    labels: Tensor,
    backward: Backward = "exact",
    places: Tensor | None = None,
) -> Tensor:
    """Mean cross-entropy over the tokens to be predicted, of all processes.

    Words are decoded at those tokens only, and sums are exchanged instead of logits:
    the same loss as over all gathered logits. Without any such token it is 0.

    Args:
        model: its head decodes words.
        text: (B, L, D) fused text states.
        labels: (B, L) word ids, ``IGNORED`` where nothing is to be predicted.
        backward: see ``egolib.engine.distributed.gather_rows``.
        places: (K,) ``masked_places`` of the labels, where they are known already: a GPU
            is waited for until they are counted.
    """
    places = masked_places(labels) if places is None else places
    logits = model.mlm_logits(text.flatten(0, 1)[places])  # K V
    total = F.cross_entropy(logits.float(), labels.flatten()[places], reduction="sum")
    count = sum_over_processes(labels.new_full((), len(places)), "local")
    return sum_over_processes(total, backward) / count.clamp_min(1)
