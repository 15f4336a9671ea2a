"""Features of a whole video: one pass over its shots, for all prompts at once.

Legend: n shots, S segments, M places, D width.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from egolib.errors import EgolibError
from egolib.io import checkpoint
from egolib.ops.segmentation import kernel_temporal_segmentation
from egolib.text.tokens import Tokenizer, encode
from egolib.vlp.config import SummaryConfig
from egolib.vlp.summarization.encoder import ShotEncoder
from egolib.vlp.summarization.packing import pack, segment_lengths

#: ``official`` fills empty places with the features of an empty shot.
PaddingFeatures = Literal["official", "zeros"]

COMMON = ""  #: the name under which features stand that no prompt changes


@dataclass(frozen=True)
class VideoFeatures:
    """What the summariser reads of one video.

    Args:
        lengths: (S,) int32 shots of every segment.
        descriptors: (n, D) float32 class tokens before fusion, which segments come from.
        rows: prompt -> (n, D) float32; one entry named ``COMMON`` where the query has no
            effect.
        empty: prompt -> (D,) float32, the features of a shot without content.
    """

    lengths: np.ndarray
    descriptors: np.ndarray
    rows: Mapping[str, np.ndarray]
    empty: Mapping[str, np.ndarray]

    @property
    def shots(self) -> int:
        """n."""
        return len(self.descriptors)

    def packed(self, prompt: str, places: int, padding: PaddingFeatures = "official") -> np.ndarray:
        """(S, M, D) float32 features for a prompt.

        Args:
            prompt: one of those that features were computed for.
            places: M.
            padding: what stands at empty places.

        Raises:
            EgolibError: no features for this prompt.
        """
        name = self.key(prompt)
        filling = self.empty[name] if padding == "official" else np.zeros_like(self.empty[name])
        return pack(self.rows[name], self.lengths, places, filling)

    def key(self, prompt: str) -> str:
        """The name of a prompt's features; equal for all prompts where they do not matter."""
        name = COMMON if COMMON in self.rows else prompt
        if name not in self.rows:
            raise EgolibError(f"no features for the prompt {prompt!r}")
        return name


@torch.inference_mode()
def extract(
    encoder: ShotEncoder,
    shots: Iterable[Tensor],
    prompts: Sequence[str],
    tokenizer: Tokenizer,
    text_length: int = 15,
) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Descriptors (n, D), rows and empty rows of a video, see ``VideoFeatures``.

    Every shot passes the unfused blocks once; texts do so once in all.

    Args:
        encoder: the network, in evaluation mode.
        shots: batches (B, F, 3, height, width) of views, in order.
        prompts: different prompts.
        tokenizer: texts to ids.
        text_length: tokens of a prompt, padding included.
    """
    names = list(prompts) if encoder.fused else [COMMON]
    device = next(encoder.parameters()).device
    ids, mask = (
        torch.from_numpy(a).to(device) for a in encode(tokenizer, names, text_length, pad=True)
    )
    text = encoder.text_prefix(ids, mask)
    descriptors, rows = [], []
    for views in shots:
        tokens = encoder.video_prefix(views.to(device))
        descriptors.append(tokens[:, 0].float().cpu())
        rows.append(encoder.shot_features(tokens, text, mask).float().cpu())
    if not descriptors:
        raise EgolibError("the video has no shot")
    features = torch.cat(rows, 1).numpy()
    empty = encoder.empty_features(text, mask).float().cpu().numpy()
    return (
        torch.cat(descriptors).numpy(),
        dict(zip(names, features, strict=True)),
        dict(zip(names, empty, strict=True)),
    )


def segment_video(descriptors: np.ndarray, config: SummaryConfig, places: int) -> np.ndarray:
    """(S,) int32 shots of every segment of a video.

    Args:
        descriptors: (n, D) float32.
        config: number of segments, and how they are found.
        places: M; a segment has at most one shot less.
    """
    found = kernel_temporal_segmentation(
        descriptors,
        config.segments - 1,
        longest=places - 1,
        penalty=config.penalty,
        sums=config.kernel_sums,
        first_segment=config.first_segment,
    )
    return segment_lengths(found.points, len(descriptors), config.segments, places)


# ------------------------------------------------------------------------------- files


def save_features(path: str | Path, features: VideoFeatures, fingerprint: str) -> Path:
    """Writes the features of a video with what they were computed from.

    Args:
        path: ``x.safetensors``; ``x.json`` is written beside it.
        features: of the video.
        fingerprint: of weights, frames, prompts and settings.
    """
    names = list(features.rows)
    state = {
        "lengths": torch.from_numpy(features.lengths),
        "descriptors": torch.from_numpy(features.descriptors),
        "rows": torch.from_numpy(np.stack([features.rows[name] for name in names])),
        "empty": torch.from_numpy(np.stack([features.empty[name] for name in names])),
    }
    about: dict[str, Any] = {"prompts": names, "fingerprint": fingerprint}
    return checkpoint.save(path, state, about)


def load_features(path: str | Path, fingerprint: str) -> VideoFeatures:
    """Reads the features of a video.

    Raises:
        EgolibError: missing, damaged, or computed from something else.
    """
    state, about = checkpoint.load(path)
    if about.get("fingerprint") != fingerprint:
        raise EgolibError(
            "these features were computed from other weights, frames, prompts or settings",
            file=path,
            remedy="remove the file, and they are computed again",
        )
    arrays = {name: value.numpy() for name, value in state.items()}
    names = about["prompts"]
    return VideoFeatures(
        arrays["lengths"],
        arrays["descriptors"],
        dict(zip(names, arrays["rows"], strict=True)),
        dict(zip(names, arrays["empty"], strict=True)),
    )
