"""The architectures that ``egolib convert`` knows, and what it refuses without loading torch."""

from __future__ import annotations

from pathlib import Path

from egolib.errors import EgolibError, UsageError, nearest
from egolib.io.records import check_target

#: First bytes of archives and pickles, the older ones without a protocol included.
STARTS = (b"PK", b"\x80", b"(", b"c", b"]", b"}")
WEIGHTS = ("official", "averaged")
DTYPES = ("float32", "float64", "float16", "bfloat16")
#: By task, the names of ``MODELS`` in its ``formats``; ``conversion.official_models`` has the rest.
NAMES = {
    "vq2d": ("siamese_rcnn", "kys"),
    "vod": (
        "frcnn_r101_dc5", "frcnn_r50_dc5", "frcnn_r101_fpn", "frcnn_r50_fpn", "frcnn_swint",
        "frcnn_r101_c4", "frcnn_r50_c4", "fcos_r101", "selsa_r101_dc5", "selsa_r50_dc5",
        "mega_r101", "mega_r50", "mamba_r101_dc5", "mamba_pixel_r101_dc5", "mamba_both_r101_dc5",
        "stpn_swint", "stpn_swins", "tdvit_t", "tdvit_t_joint", "tdvit_t_plus", "tdvit_s",
        "tdvit_b", "eovod_r101", "eovod_r50", "dff_r101_dc5", "fgfa_r101_dc5",
    ),
    "vlp": ("egovlpv2", "egovlpv2_smallproj", "egotaskqa", "qfvs"),
    "nlq": ("groundnlq", "groundnlq_star", "vslnet", "vslnet_small"),
    "mq": ("actionformer", "vsgn", "vsgn_plain"),
}  # fmt: skip


def names() -> list[str]:
    """``<task>/<model>`` of every architecture."""
    return [f"{task}/{name}" for task, own in NAMES.items() for name in own]


def check_request(source: Path, target: Path, model: str | None, weights: str, dtype: str) -> None:
    """Refuses a conversion that cannot be meant.

    Args:
        source: the checkpoint to read.
        target: the file to write.
        model: name of an architecture; None where entries tell it.
        weights: ``official`` or ``averaged``.
        dtype: name of a floating-point type.

    Raises:
        UsageError: an unknown name.
        EgolibError: no such file, one that cannot hold weights, or a target that cannot be
            written.
    """
    for what, value, known in (
        ("model", model, names()), ("weights", weights, WEIGHTS), ("type", dtype, DTYPES),
    ):  # fmt: skip
        if value is not None and value not in known:
            raise UsageError(f"unknown {what} {value!r}", remedy=nearest(value, known))
    if not source.is_file():
        raise EgolibError("the checkpoint does not exist", file=source)
    check_target(target)
    if not _may_hold_weights(source):
        raise EgolibError(
            "this is no file of weights: neither torch's, nor safetensors, nor a pickle",
            file=source,
            remedy="look into it: a download may have brought a page about the file instead",
        )


def _may_hold_weights(source: Path) -> bool:
    with source.open("rb") as stream:
        start = stream.read(9)
    if source.suffix == ".safetensors":
        return start[8:] == b"{" and int.from_bytes(start[:8], "little") < source.stat().st_size
    return start.startswith(STARTS)
