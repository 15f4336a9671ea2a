"""The two models of the bridge: our detectors for mmdet, mmdet's detectors for us.

Import ``egolib.interop.mmdet`` first: it sees to mmcv's operators. N samples; T frames of a
clip or video; H, W rows and columns of pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from mmdet.models.detectors.base import BaseDetector
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample, TrackDataSample
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from torch import Tensor, nn

from egolib.config import build
from egolib.errors import EgolibError
from egolib.io import checkpoint
from egolib.nn.roi import Found
from egolib.vod.api import Detector
from egolib.vod.config import DataConfig, InferConfig, ModelConfig
from egolib.vod.data.pipeline import Prepared, make_sample
from egolib.vod.losses.clips import NOT_A_LOSS
from egolib.vod.models.ahead import Ready
from egolib.vod.models.build import build_model
from egolib.vod.models.frames import Clip, Frames, Losses, Truth, single_frames

Samples = Sequence[Any]


def build_mmdet(settings: Mapping[str, Any]) -> nn.Module:
    """An mmdet detector from its ``model=`` section, with initial weights.

    No weights are fetched: ``init_cfg`` of the backbone is left out.
    """
    init_default_scope("mmdet")
    section = ConfigDict(settings)
    if "backbone" in section:
        section.backbone = ConfigDict({**section.backbone, "init_cfg": None})
    result: nn.Module = MODELS.build(section)
    return result


# ------------------------------------------------------------------- ours, for mmdet


class EgolibDetector(BaseDetector):  # type: ignore[misc, unused-ignore]
    """A video detector of ``egolib.vod`` as mmdet's trainers and inference want it.

    Images (N, 3, H, W) with ``DetDataSample``: every image on its own, for training only
    with a single-frame detector. Clips (N, T, 3, H, W) with ``TrackDataSample``: in
    training ``key_frames_inds`` names the frame with the losses and the others are its
    references; in testing the frames are a whole video in order, and the references are
    chosen among them as published.

    Args:
        network: plain values of ``ModelConfig``.
        data: plain values of ``DataConfig``.
        infer: plain values of ``InferConfig``.
        weights: an egolib checkpoint; empty keeps initial weights.
        seed: of shuffles and memories in testing.
    """

    def __init__(
        self,
        network: Mapping[str, Any],
        data: Mapping[str, Any],
        infer: Mapping[str, Any],
        weights: str = "",
        seed: int = 0,
        data_preprocessor: Any = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(data_preprocessor, init_cfg)
        self.config, self.data = build(ModelConfig, network), build(DataConfig, data)
        self.infer = build(InferConfig, infer)
        self.seed = seed
        self.network: Any = build_model(self.config)
        if weights:
            state, _ = checkpoint.load(weights)
            checkpoint.compare(state, self.network.state_dict()).require_complete(file=weights)
            self.network.load_state_dict(state)

    def loss(self, batch_inputs: Tensor, batch_data_samples: Samples) -> Losses:
        """Named losses, means over the samples; names start with ``loss_`` as mmdet's do."""
        parts = [
            self.network.losses(self._clip(images, sample))
            for images, sample in zip(batch_inputs, batch_data_samples, strict=True)
        ]
        means = {name: torch.stack([p[name] for p in parts]).mean() for name in parts[0]}
        return {n if n in NOT_A_LOSS else f"loss_{n}": v for n, v in means.items()}

    def predict(self, batch_inputs: Tensor, batch_data_samples: Samples) -> Samples:
        """The samples with ``pred_instances``, boxes in pixels of the original images."""
        for images, sample in zip(batch_inputs, batch_data_samples, strict=True):
            frames = list(sample) if isinstance(sample, TrackDataSample) else [sample]
            images = images.reshape(len(frames), *images.shape[-3:])  # (T, 3, H, W)
            for place, found in self._detector(images).stream(_SampleVideo(images, frames)):
                frames[place].pred_instances = _instances(found)
        return batch_data_samples

    def extract_feat(self, batch_inputs: Tensor) -> list[Tensor]:
        """Maps of the neck for images (N, 3, H, W), finest first."""
        result: list[Tensor] = self.network.detector.maps(batch_inputs)
        return result

    def _forward(self, batch_inputs: Tensor, batch_data_samples: Any = None) -> list[Tensor]:
        return self.extract_feat(batch_inputs)

    def _detector(self, images: Tensor) -> Detector:
        settings = replace(self.infer, device=str(images.device))
        return Detector(self.network, self.config, self.data, settings, seed=self.seed)

    def _clip(self, images: Tensor, sample: Any) -> Clip:
        """A training clip from an image (3, H, W) or a clip (T, 3, H, W)."""
        if not isinstance(sample, TrackDataSample):
            if self.config.method != "single":
                raise EgolibError(
                    f"{self.config.method} trains on clips, not on single images",
                    remedy="give TrackDataSample with key_frames_inds (clips=True)",
                )
            return Clip(_frames(images[None], [sample]), _truth(sample))
        key = int(sample.key_frames_inds[0])
        others = [i for i in range(len(sample)) if i != key]
        references = _frames(images[others], [sample[i] for i in others]) if others else None
        return Clip(_frames(images[[key]], [sample[key]]), _truth(sample[key]), references)


class _SampleVideo:
    """The frames of a sample as a video for ``Detector.stream``."""

    number, parallel = 0, True

    def __init__(self, images: Tensor, samples: Samples) -> None:
        self.frames, self.order = _frames(images, samples), range(len(samples))

    def __len__(self) -> int:
        return len(self.frames)

    def input(self, place: int) -> Prepared:
        """A frame as a prepared input."""
        pixels, frames = self.frames.images[place].cpu().numpy(), self.frames
        empty = make_sample(pixels)
        scale = frames.scales[place].cpu().numpy()
        return Prepared(pixels, frames.sizes[place], empty.boxes, empty.labels, scale)


def _instances(found: Found) -> Any:
    return InstanceData(bboxes=found.boxes, labels=found.labels, scores=found.scores)


def _frames(images: Tensor, samples: Samples) -> Frames:
    sizes = [tuple(sample.img_shape[:2]) for sample in samples]
    scales = [sample.get("scale_factor", (1.0, 1.0))[:2] for sample in samples]
    rows = images.new_tensor([[x, y, x, y] for x, y in scales])
    return Frames(images, sizes, rows, list(range(len(samples))))


def _truth(sample: Any) -> Truth:
    objects = sample.gt_instances
    boxes = getattr(objects.bboxes, "tensor", objects.bboxes)
    return Truth(boxes, objects.labels)


# ------------------------------------------------------------------- mmdet's, for us


class MmdetFrames(nn.Module):
    """An mmdet detector as a ``VideoDetector`` that looks at no other frame.

    Args:
        labels: (K,) our label of each of its classes; -1 leaves a class out.
    """

    labels: Tensor

    def __init__(self, model: nn.Module, labels: Tensor) -> None:
        super().__init__()
        self.model: Any = model
        self.register_buffer("labels", labels, persistent=False)

    def start_video(
        self, settings: InferConfig, references: Frames | None = None, **_: Any
    ) -> None:
        """Nothing to remember."""

    @torch.no_grad()
    def step(self, frame: Frames, state: None = None, references: Frames | None = None) -> Found:
        """Detections in one frame, in pixels of the original image, best first.

        Args:
            frame: one frame.
            state: unused, frames are detected one by one.
            references: unused.
        """
        found = self.model.predict(frame.images, _samples(frame))[0].pred_instances
        labels = self.labels[found.labels]
        kept = labels >= 0
        return Found(found.bboxes[kept], labels[kept], found.scores[kept])

    def look_ahead(self, frames: Frames, state: None) -> None:
        """Nothing: frames are detected when it is their turn."""

    def steps(self, frames: Frames, state: None, others: Sequence[Any] = ()) -> Ready:
        """Detections in several frames, one after the other.

        Args:
            frames: of one video.
            state: unused.
            others: unused.
        """
        return Ready([self.step(frame) for frame in single_frames(frames)])

    def losses(self, clip: Clip, generator: torch.Generator | None = None) -> Losses:
        """mmdet's losses of the key frame; examples are drawn by torch's global generator."""
        samples = _samples(clip.key)
        theirs = {int(ours): label for label, ours in enumerate(self.labels)}
        labels = torch.tensor([theirs[int(label)] for label in clip.truth.labels]).long()
        samples[0].gt_instances = InstanceData(
            bboxes=clip.truth.boxes, labels=labels.to(clip.truth.labels.device)
        )
        found = self.model.loss(clip.key.images, samples)
        return {name: _scalar(value) for name, value in found.items() if "loss" in name}


def _samples(frames: Frames) -> list[Any]:
    """mmdet's description of frames: sizes and scales, no objects."""
    padded = tuple(frames.images.shape[-2:])
    samples = []
    for size, scale in zip(frames.sizes, frames.scales.tolist(), strict=True):
        original = (round(size[0] / scale[1]), round(size[1] / scale[0]))
        about = {
            "img_shape": size,
            "ori_shape": original,
            "scale_factor": (scale[0], scale[1]),
            "pad_shape": padded,
            "batch_input_shape": padded,
        }
        samples.append(DetDataSample(metainfo=about))
    return samples


def _scalar(value: Tensor | Sequence[Tensor]) -> Tensor:
    parts = [value] if isinstance(value, Tensor) else value
    return torch.stack([part.mean() for part in parts]).sum()
