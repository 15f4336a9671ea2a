"""The process that trains: its device and companions, and whether it was asked to stop."""

from __future__ import annotations

import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy

from egolib.engine import distributed
from egolib.engine.config import FitConfig
from egolib.engine.device import resolve_device


def make_fabric(settings: FitConfig) -> Fabric:
    """Fabric for this process: alone, or one of those that ``distributed.launch`` started."""
    device = resolve_device(settings.device)
    world = distributed.world_size()
    warnings.filterwarnings("ignore", ".*`srun` command is available.*")  # looks like failure
    fabric = Fabric(
        accelerator=device.type,
        devices=distributed.local_world_size(),
        num_nodes=max(1, world // distributed.local_world_size()),
        strategy=DDPStrategy(find_unused_parameters=True) if world > 1 else "auto",
        precision=settings.precision,
    )
    fabric.launch()
    return fabric


@contextmanager
def asked_to_stop() -> Iterator[Callable[[], bool]]:
    """Whether the batch system asked this process to stop (SIGTERM, SIGUSR1 or SIGUSR2)."""
    asked = threading.Event()
    main = threading.current_thread() is threading.main_thread()
    signals = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2) if main else ()
    before = {number: signal.signal(number, lambda *_: asked.set()) for number in signals}
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
