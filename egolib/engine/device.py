"""Which device computes: one rule for all tasks."""

from __future__ import annotations

import torch

from egolib.errors import EgolibError


def resolve_device(wanted: str = "auto") -> torch.device:
    """The device that a setting names.

    Args:
        wanted: ``auto`` (a GPU where there is one), ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        EgolibError: a GPU was asked for that this machine does not have.
    """
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise EgolibError(f"unknown device {wanted!r}", remedy="auto, cpu, cuda, cuda:0") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise EgolibError(
            f"device {wanted} was asked for, this machine has {torch.cuda.device_count()} GPUs",
            remedy="use device=auto or cpu; `egolib doctor` shows what is there",
        )
    return device


def resolve_devices(wanted: str = "auto") -> list[torch.device]:
    """The devices that work is spread over.

    Args:
        wanted: ``all`` GPUs (the CPU where there is none), a number of GPUs, or one device as
            ``resolve_device`` takes it.

    Raises:
        EgolibError: more GPUs were asked for than there are.
    """
    count = torch.cuda.device_count()
    if wanted == "all":
        return [torch.device("cuda", n) for n in range(count)] or [torch.device("cpu")]
    if wanted.isdigit() and int(wanted) > 0:
        if int(wanted) > count:
            raise EgolibError(
                f"{wanted} GPUs were asked for, this machine has {count}",
                remedy="use devices=all or cpu; `egolib doctor` shows what is there",
            )
        return [torch.device("cuda", n) for n in range(int(wanted))]
    return [resolve_device(wanted)]
