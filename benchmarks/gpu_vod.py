"""Detection in videos on a GPU: frames a second of every method, at the published sizes.

Networks have random weights that give them something to detect. A call goes through a part of
a video whose references are known already and whose memories are full; frames lie on the
device. The reference for deviations is our own work in float32, frame by frame and eagerly,
with as many results as there are.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

import numpy as np
import torch

from benchmarks.bars import Bar
from benchmarks.gpu_common import Measured, Setting, compare, precision
from egolib.nn.fold import for_inference
from egolib.nn.roi import Found
from egolib.nn.rpn import RpnHead
from egolib.ops import boxes as bx
from egolib.vod.config import InferConfig, networks
from egolib.vod.config.infer import published_infer
from egolib.vod.config.model import ModelConfig
from egolib.vod.models import detector as detector_module
from egolib.vod.models import eovod as eovod_module
from egolib.vod.models import fcos as fcos_module
from egolib.vod.models.ahead import Batch, pipelined
from egolib.vod.models.build import build_model
from egolib.vod.models.frames import Frames, single_frames
from egolib.vod.models.heads import Predictor
from tests.oracles.vod import OfficialSelsa
from tests.vod import small

SIZE, REFERENCES = (600, 1000), 14
FRAMES, BATCH = 32, 8  # of a timed call; computed at once
BEST = 30  # detections of a frame that deviations are stated of


@dataclass
class Video:
    """A network with a state, and frames that it has not seen.

    Args:
        model: on the device.
        settings: of testing.
        images: (N, 3, H, W) on the device, met again and again under new numbers.
        size: of a frame without padding.
        plain: the network as it is trained and loaded, norms of their own.
        state: after the references.
    """

    model: Any
    settings: InferConfig
    images: torch.Tensor
    size: tuple[int, int]
    plain: Any = None
    state: Any = None
    first: int = 1000

    def frames(self, start: int, count: int) -> Frames:
        """Frames by number, from one on."""
        places = [(start + i) % len(self.images) for i in range(count)]
        return self._frames(places, list(range(start, start + count)))

    def _frames(self, places: list[int], numbers: list[int]) -> Frames:
        index = slice(places[0], places[0] + len(places))
        whole = places == list(range(index.start, index.stop))
        images = self.images[index] if whole else self.images[places]
        scales = images.new_ones(len(places), 4)
        return Frames(images, [self.size] * len(places), scales, numbers)

    def batches(self, count: int, size: int) -> Iterator[Batch]:
        """Frames that follow, in batches."""
        start = self.first
        self.first += count
        for i in range(start, start + count, size):
            numbers = list(range(i, min(i + size, start + count)))
            if self.model.config.method == "mega":
                yield self._mega(numbers)
            else:
                yield Batch(self.frames(i, len(numbers)), numbers, (), numbers)

    def _mega(self, numbers: list[int]) -> Batch:
        """Every frame comes with one ahead, and with a distant one that was a neighbour."""
        ahead = self.settings.mega.window - self.settings.mega.position - 1
        near, far = ([n + by for n in numbers] for by in (ahead, -8 * len(numbers)))
        others = [{"references": [a], "distant": [b]} for a, b in zip(near, far, strict=True)]
        parts = [self.frames(x[0], len(x)) for x in (numbers, near, far)]
        images, scales = (torch.cat([getattr(p, n) for p in parts]) for n in ("images", "scales"))
        pool = Frames(images, [self.size] * len(images), scales, numbers + near + far)
        return Batch(pool, numbers, others, near + far)

    def run(self, count: int, size: int) -> list[Found]:
        """Detections in the frames that follow."""
        batches = self.batches(count, size)
        return [found for _, found in pipelined(self.model, self.state, batches)]


def randomised(model: torch.nn.Module) -> None:
    """Weights with which every layer keeps the scale of what it gets."""
    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            module.weight.normal_(0, module.in_features**-0.5)
        if isinstance(module, torch.nn.Conv2d) and module.kernel_size[0] == 1:
            module.weight.normal_(0, module.in_channels**-0.5)


@torch.no_grad()
def video(builder: Callable[[], ModelConfig], setting: Setting) -> Video:
    """A network of the published settings on the device, after its references."""
    torch.manual_seed(0)
    if setting.tiny:
        config = small.reduced(builder())
        settings, size = replace(small.settings(config), frames_ahead=2), small.SIZE
        padded, count = size, 4
    else:
        config = builder()
        settings, size = replace(published_infer(config), frames_ahead=BATCH), SIZE
        padded, count = tuple(-(-side // 32) * 32 for side in SIZE), FRAMES
    with torch.device(setting.device):
        model = build_model(config).eval()
        randomised(model)
        images = torch.zeros(count, 3, *padded)
        shared = torch.randn(1, 3, *size)
        images[:, :, : size[0], : size[1]] = 0.8 * shared + 0.6 * torch.randn(count, 3, *size)
    made = Video(model, settings, images, size)
    begin(made)
    spread(made)
    made = replace(made, model=for_inference(model), plain=model) if setting.cuda else made
    begin(made)
    return made


def spread(made: Video) -> None:
    """Lets proposals and predictions tell regions apart, as trained ones do.

    With random weights one anchor wins everywhere, so that few proposals survive, and all
    regions get nearly one score, often exactly one, so that the best hundred are arbitrary.
    Here every channel of logits and offsets gets mean 0 and a fixed spread over one frame.

    Args:
        made: a network after its references.
    """
    widths: dict[torch.nn.Module, float] = {}
    for module in made.model.modules():
        if isinstance(module, Predictor):
            widths |= {module.classify: 2.0, module.locate: 0.5}
        if isinstance(module, RpnHead):
            widths |= {module.logits: 2.0, module.offsets: 0.3}
    seen: dict[torch.nn.Module, list[torch.Tensor]] = {layer: [] for layer in widths}

    def keep(layer: torch.nn.Module, _: Any, values: torch.Tensor) -> None:
        seen[layer].append(values.movedim(1, -1).flatten(0, -2).float())

    hooks = [layer.register_forward_hook(keep) for layer in widths]
    with precision("fp32", made.images.device.type), eagerly():
        made.run(1, 1)
    for hook in hooks:
        hook.remove()
    for layer, width in widths.items():
        values = torch.cat(seen[layer])
        scale = width / values.std(0).clamp(min=1e-6)
        layer.weight *= scale.view(-1, *[1] * (layer.weight.ndim - 1))
        layer.bias.copy_((layer.bias - values.mean(0)) * scale)


@torch.no_grad()
def begin(made: Video) -> None:
    """Starts the video, with references where the method has some."""
    first = None if made.settings.references.method == "none" else references(made)
    made.state = made.model.start_video(made.settings, first, number=0)


def references(made: Video) -> Frames:
    """The frames that the video's references are."""
    return made.frames(0, min(REFERENCES, len(made.images)))


def fresh(made: Video) -> Video:
    """The same network at the start of the same video."""
    again = replace(made, state=None, first=1000)
    begin(again)
    return again


# -------------------------------------------------------------------------- deviations


@contextlib.contextmanager
def eagerly() -> Iterator[None]:
    """Frame by frame, without graphs and without results of fixed size."""
    modules = (detector_module, fcos_module, eovod_module)
    with contextlib.ExitStack() as stack:
        for module in modules:
            stack.enter_context(mock.patch.object(module, "static", lambda frames: False))
        yield


def apart(found: Sequence[Found], expected: Sequence[Found]) -> dict[str, float]:
    """How far the best detections of frames are from expected ones of the same class.

    Returns:
        Median and 95th percentile of the largest distance of box sides in pixels and of the
        score, and the fraction of expected ones without a partner of IoU 0.5 (widths of one pixel
        more, so that boxes without area have partners).
    """
    pixels, scores, missed, count = [], [], 0, 0
    for ours, theirs in zip(found, expected, strict=True):
        a, b = (Found(*(x.detach().cpu() for x in f)) for f in (ours, theirs))
        b = Found(*(x[:BEST] for x in b))
        overlap = bx.iou(b.boxes, a.boxes, 1.0) * (b.labels[:, None] == a.labels[None])
        count += len(b.scores)
        if not len(a.scores) or not len(b.scores):
            missed += len(b.scores)
            continue
        best, partner = overlap.max(dim=1)
        good = best >= 0.5
        missed += int((~good).sum())
        pixels.append((a.boxes[partner] - b.boxes)[good].abs().amax(dim=1))
        scores.append((a.scores[partner] - b.scores)[good].abs())
    row: dict[str, float] = {"unmatched": missed / max(count, 1), "detections": count}
    for name, parts in (("pixels", pixels), ("score", scores)):
        values = torch.cat(parts).double().numpy() if parts else np.zeros(0)
        for label, q in (("median", 50), ("p95", 95)):
            row[f"{name}_{label}"] = float(np.percentile(values, q)) if len(values) else 0.0
    return row


# ------------------------------------------------------------------------------- parts


def measured(setting: Setting, made: Video, bars: dict[str, float], **more: Any) -> Measured:
    """One method in every precision, and its deviation from eager float32."""
    count, size = len(made.images), made.settings.frames_ahead
    row = compare(
        setting, lambda: made.run(count, size), unit="frames/s", units=count, warm_up=2, **more
    )
    row.deviation = {}
    with precision("fp32", setting.device), eagerly():
        reference = fresh(replace(made, model=made.plain or made.model)).run(size, 1)
    for name in row.ours:  # from the same state: memories are random
        with precision(name, setting.device):
            row.deviation[name] = apart(fresh(made).run(size, size), reference)
    best = max(row.ours.values(), default=0.0)
    row.bars = [Bar(name, best, "frames/s", limit) for name, limit in bars.items()]
    row.note = (
        f"{count} frames a call, {size} at once, {REFERENCES} references known before; "
        f"deviations of the best {BEST} detections of {size} frames from eager float32"
    )
    return row


def selsa(setting: Setting) -> dict[str, Any]:
    """SELSA on ResNet-101, 600 x 1000, 14 references, beside the official order of work."""
    made = video(networks.selsa_r101_dc5, setting)
    with torch.no_grad(), precision("fp32", setting.device):
        official = OfficialSelsa(made.plain or made.model, references(made))
    steps = 2 if setting.tiny else 4

    def theirs() -> list[Found]:
        with eagerly():
            return [official.step(frame) for frame in single_frames(made.frames(1000, steps))]

    row = measured(setting, made, {"SELSA": 150.0}, official=theirs, official_units=float(steps))
    with precision("fp32", setting.device):
        row.deviation["official"] = apart(fresh(made).run(steps, steps), theirs())
    best = max(row.ours.values(), default=0.0)
    row.bars.append(Bar("SELSA, times the official order", best / (row.official or 1), "x", 15.0))
    return row.record(setting)


def part(
    builder: Callable[[], ModelConfig], bars: dict[str, float] | None = None
) -> Callable[[Setting], dict[str, Any]]:
    """A part without an official side."""

    def run(setting: Setting) -> dict[str, Any]:
        return measured(setting, video(builder, setting), bars or {}).record(setting)

    return run


PARTS: dict[str, Callable[[Setting], dict[str, Any]]] = {
    "selsa": selsa,
    "mamba": part(networks.mamba_r101_dc5, {"MAMBA": 120.0}),
    "mega": part(networks.mega_r101, {"MEGA": 120.0}),
    "stpn": part(networks.stpn_swint, {"STPN": 80.0}),
    "eovod": part(networks.eovod_r101),
    "tdvit": part(networks.tdvit_t),
    "fcos": part(networks.fcos_r101),
    "single": part(networks.frcnn_r101_dc5),
}
