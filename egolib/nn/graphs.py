"""Functions of tensors captured as CUDA graphs: one launch in place of hundreds.

A graph repeats the kernels of one call on the same addresses. So a function can be captured
when its kernels depend on the shapes of its inputs alone: no branch on values, no
host synchronisation, no randomness.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

log = logging.getLogger(__name__)

WARM_UP = 2  # calls before capturing: libraries choose their algorithms and workspaces


@dataclass
class _Graph:
    """A captured call: its kernels, and the tensors that it reads and writes."""

    graph: torch.cuda.CUDAGraph
    inputs: list[Tensor]
    outputs: Any

    def replay(self, inputs: tuple[Tensor, ...]) -> Any:
        for own, given in zip(self.inputs, inputs, strict=True):
            own.copy_(given, non_blocking=True)
        self.graph.replay()
        return self.outputs


class Captured:
    """A function of tensors that runs as a CUDA graph where it can, eagerly elsewhere.

    The first call with inputs of new shapes, dtypes and precision captures; later ones copy
    their inputs and replay. It is eager on the CPU, where gradients are recorded, and for good
    once capturing failed, which is logged once. Outputs are equal to those of an eager call.

    Args:
        function: a module, a method or a function; takes tensors, gives tensors in tuples,
            lists or dictionaries. Its weights may change in place; replacing some is not seen.
        shapes: how many captured calls are kept; the one unused for longest goes first.
        copies: whether every call gives tensors of its own. Without, outputs are overwritten
            by the next call, and must be used up before, on the same stream.
    """

    def __init__(
        self, function: Callable[..., Any], *, shapes: int = 4, copies: bool = True
    ) -> None:
        self.function, self.shapes, self.copies = function, shapes, copies
        self._reset()

    def _reset(self) -> None:
        self._graphs: OrderedDict[Any, _Graph] = OrderedDict()
        self._pool: Any = None
        self._failed = False

    def __call__(self, *inputs: Tensor) -> Any:
        if not self._capturable(inputs):
            return self.function(*inputs)
        tensors = ((x.shape, x.dtype, x.device) for x in inputs)
        key = (_precision(inputs[0].device), _weights(self.function), *tensors)
        graph = self._graphs.get(key) or self._capture(key, inputs)
        if graph is None:
            return self.function(*inputs)
        self._graphs.move_to_end(key)
        outputs = graph.replay(inputs)
        return pytree.tree_map_only(Tensor, Tensor.clone, outputs) if self.copies else outputs

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles without its graphs, which belong to this process and its weights."""
        return {"function": self.function, "shapes": self.shapes, "copies": self.copies}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._reset()

    def __len__(self) -> int:
        """Captured calls that are kept."""
        return len(self._graphs)

    def _capturable(self, inputs: tuple[Tensor, ...]) -> bool:
        if self._failed or torch.is_grad_enabled() or not inputs:
            return False
        return all(x.is_cuda for x in inputs) and not torch.cuda.is_current_stream_capturing()

    def _capture(self, key: Any, inputs: tuple[Tensor, ...]) -> _Graph | None:
        try:
            graph = self._captured(inputs)
        except Exception as error:  # whatever a library raises when its call cannot be captured
            log.warning("%s runs without a CUDA graph: %s", _name(self.function), error)
            self._failed = True
            self._graphs.clear()
            torch.cuda.synchronize(inputs[0].device)
            return None
        while len(self._graphs) >= self.shapes:
            self._graphs.popitem(last=False)
        self._graphs[key] = graph
        return graph

    def _captured(self, inputs: tuple[Tensor, ...]) -> _Graph:
        device = inputs[0].device
        with torch.cuda.device(device), _weights_cast_inside(device):
            own = [x.clone() for x in inputs]
            side = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
            side.wait_stream(torch.cuda.current_stream(device))
            with torch.cuda.stream(side):
                for _ in range(WARM_UP):
                    self.function(*own)
            torch.cuda.current_stream(device).wait_stream(side)
            self._pool = self._pool or torch.cuda.graph_pool_handle()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, self._pool, capture_error_mode="thread_local"):
                outputs = self.function(*own)
        return _Graph(graph, own, outputs)


def _precision(device: torch.device) -> tuple[Any, ...]:
    """What decides which kernels a call launches, besides its inputs."""
    kind = device.type
    mixed = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None
    single = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    return mixed, single, torch.is_inference_mode_enabled()


def _weights(function: Callable[..., Any]) -> int:
    """Where the first weight of a module, or of a method's module, lies: it may have moved."""
    function = getattr(function, "func", function)  # of a partial
    module = function if isinstance(function, nn.Module) else getattr(function, "__self__", None)
    first = next(module.parameters(), None) if isinstance(module, nn.Module) else None
    return 0 if first is None else first.data_ptr()


@contextmanager
def _weights_cast_inside(device: torch.device) -> Iterator[None]:
    """Autocast as it is, but without its cache: a graph must not read weights in lower
    precision that are freed when the caller leaves autocast."""
    kind = device.type
    if not torch.is_autocast_enabled(kind):
        yield
        return
    with torch.autocast(kind, torch.get_autocast_dtype(kind), cache_enabled=False):
        yield


def _name(function: Callable[..., Any]) -> str:
    if isinstance(function, nn.Module):
        return type(function).__name__
    return str(getattr(getattr(function, "func", function), "__qualname__", function))
