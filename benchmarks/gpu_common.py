"""What every part of ``benchmarks.gpu`` measures with: time, memory, launches, precision.

A part is a function from a ``Setting`` to a record (``Measured.record``). The modules
``benchmarks.gpu_<task>`` name theirs in ``PARTS``; each is run in a process of its own.
On a CPU with tiny sizes the same code runs: there operators stand for launches, and every
point at which the host would wait for a device is counted.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.bars import Bar

PRECISIONS = ("fp32", "tf32", "bf16")
GIGA = 1e9


@dataclass(frozen=True)
class Setting:
    """Where a part runs and how large it is.

    Args:
        device: ``cuda`` or ``cpu``.
        tiny: sizes with which everything takes seconds on a CPU.
    """

    device: str = "cuda"
    tiny: bool = False

    @property
    def cuda(self) -> bool:
        """Whether a GPU is measured."""
        return self.device.startswith("cuda")

    @property
    def judged(self) -> bool:
        """Whether bars mean anything: full sizes on a GPU."""
        return self.cuda and not self.tiny


# ------------------------------------------------------------------------- precision


@contextlib.contextmanager
def precision(name: str, device: str = "cuda") -> Iterator[None]:
    """Everything inside computes in ``fp32``, ``tf32`` or ``bf16``; restored afterwards.

    Args:
        name: ``fp32`` switches TensorFloat-32 off in products and in convolutions, ``tf32``
            switches it on in both, ``bf16`` is autocast, with TensorFloat-32 in what stays
            float32.
        device: the device type that autocast acts on.

    Raises:
        ValueError: another name.
    """
    if name not in PRECISIONS:
        raise ValueError(f"precision {name!r} is not one of {', '.join(PRECISIONS)}")
    products, convolutions = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest" if name == "fp32" else "high")
    torch.backends.cudnn.allow_tf32 = name != "fp32"
    kind = torch.device(device).type
    try:
        with torch.autocast(kind, torch.bfloat16, enabled=name == "bf16"):
            yield
    finally:
        torch.set_float32_matmul_precision(products)
        torch.backends.cudnn.allow_tf32 = convolutions


# -------------------------------------------------------------------- time and memory


def wait(setting: Setting) -> None:
    """Returns when the device has finished everything."""
    if setting.cuda:
        torch.cuda.synchronize()


def seconds(
    work: Callable[[], object], setting: Setting, *, repeats: int = 5, warm_up: int = 2
) -> float:
    """Median wall time of one call, which begins and ends with an idle device.

    Args:
        work: what is timed.
        setting: with ``tiny``, one repeat after one warm-up.
        repeats: timed calls.
        warm_up: calls before them, which allocate, choose kernels and compile.
    """
    repeats, warm_up = (1, 1) if setting.tiny else (repeats, warm_up)
    for _ in range(warm_up):
        work()
    times = []
    for _ in range(repeats):
        wait(setting)
        begin = time.perf_counter()
        work()
        wait(setting)
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def device_seconds(
    work: Callable[[], object], setting: Setting, *, repeats: int = 5, warm_up: int = 2
) -> float:
    """Median time of one call between two CUDA events on its stream; wall time on a CPU.

    Args:
        work: what is timed.
        setting: with ``tiny``, one repeat after one warm-up.
        repeats: timed calls.
        warm_up: calls before them.
    """
    if not setting.cuda:
        return seconds(work, setting, repeats=repeats, warm_up=warm_up)
    repeats, warm_up = (1, 1) if setting.tiny else (repeats, warm_up)
    for _ in range(warm_up):
        work()
    times = []
    for _ in range(repeats):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        work()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end) / 1000)
    return statistics.median(times)


def peak_memory_gb(work: Callable[[], object], setting: Setting) -> float | None:
    """Largest memory that one call has allocated on the GPU, in 1e9 bytes; None on a CPU.

    Args:
        work: what is measured; what lived before (weights, inputs) counts too.
        setting: where it runs.
    """
    if not setting.cuda:
        return None
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    work()
    wait(setting)
    return torch.cuda.max_memory_allocated() / GIGA


# --------------------------------------------------------- launches and synchronisations

LAUNCHES = ("cudaLaunchKernel", "cuLaunchKernel", "cudaGraphLaunch")  # and ...Ex, ...ExC
WAITS = ("cudaStreamSynchronize", "cudaEventSynchronize", "cuStreamSynchronize")
TO_HOST = "Memcpy DtoH"

# Operators whose result's size or value the host needs before it can go on.
READ_BY_HOST = frozenset(
    [
        "_local_scalar_dense",
        "nonzero",
        "masked_select",
        "equal",
        "unique_dim",
        "_unique2",
        "unique_consecutive",
        "unique_dim_consecutive",
        "repeat_interleave",
        "bincount",
        "nms",
    ]
)
MOVED_TO_HOST = frozenset(("cpu", "tolist"))
NO_KERNEL = frozenset(
    [
        "empty",
        "empty_like",
        "empty_strided",
        "new_empty",
        "detach",
        "alias",
        "_unsafe_view",
        "_local_scalar_dense",
        "lift_fresh",
    ]
)


@dataclass
class Counts:
    """What a device is asked for in one call.

    Args:
        launches: kernels and graphs launched; on a CPU, operators that would launch one.
        synchronisations: times that the host waits for the device.
        busy: fraction of the wall time in which a kernel runs; None on a CPU.
        kinds: the synchronisations by their name.
    """

    launches: int = 0
    synchronisations: int = 0
    busy: float | None = None
    kinds: dict[str, int] = field(default_factory=dict)


def launches_and_synchronisations(work: Callable[[], object], setting: Setting) -> Counts:
    """Counts of one call, which is made once before as warm-up.

    Args:
        work: what is counted.
        setting: on ``cuda`` the profiler counts runtime calls, on ``cpu`` operators are seen.
    """
    work()
    return _profiled(work, setting) if setting.cuda else _dispatched(work)


def _profiled(work: Callable[[], object], setting: Setting) -> Counts:
    """Counts of runtime calls, by torch's profiler."""
    from torch.profiler import ProfilerActivity, profile

    wait(setting)
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
        begin = time.perf_counter()
        work()
        wait(setting)
        wall = time.perf_counter() - begin
    averages = profiler.key_averages()
    names = Counter({entry.key: entry.count for entry in averages})
    kinds = {key: n for key, n in names.items() if key in WAITS or key.startswith(TO_HOST)}
    kernels = sum(entry.self_device_time_total for entry in averages) / 1e6
    return Counts(
        launches=sum(n for key, n in names.items() if key.startswith(LAUNCHES)),
        synchronisations=sum(n for key, n in kinds.items() if key in WAITS),
        busy=min(1.0, kernels / wall),
        kinds=kinds,
    )


def _dispatched(work: Callable[[], object]) -> Counts:
    """Counts of operators on a CPU."""
    operators, methods = _Operators(), _Methods()
    with operators, methods:
        work()
    kinds = operators.read + methods.moved
    return Counts(operators.kernels, sum(kinds.values()), None, dict(kinds))


class _Operators(TorchDispatchMode):
    """Counts operators that would launch a kernel, and those that the host waits for."""

    def __init__(self) -> None:
        super().__init__()
        self.kernels = 0
        self.read: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        name = func._schema.name.split("::")[-1]
        views = any(r.alias_info is not None for r in func._schema.returns) and not (
            func._schema.is_mutable
        )
        self.kernels += not views and name not in NO_KERNEL
        if name in READ_BY_HOST or (name in ("index", "index_put_", "index_put") and _mask(args)):
            self.read[name] += 1
        return func(*args, **(kwargs or {}))


def _mask(args: Sequence[Any]) -> bool:
    """Whether an indexing operator is given a Boolean mask, whose entries are counted first."""
    indices = [index for index in args[1] if isinstance(index, torch.Tensor)]
    return any(index.dtype in (torch.bool, torch.uint8) for index in indices)


class _Methods(TorchFunctionMode):
    """Counts methods that bring a tensor to the host, which no operator shows on a CPU."""

    def __init__(self) -> None:
        super().__init__()
        self.moved: Counter[str] = Counter()

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        name = getattr(func, "__name__", "")
        if name in MOVED_TO_HOST:
            self.moved[name] += 1
        return func(*args, **(kwargs or {}))


def graph_breaks(work: Callable[..., object], *inputs: object) -> int | None:
    """Places at which ``torch.compile`` would leave the graph; None where it fails.

    Args:
        work: a function or module.
        inputs: its arguments.
    """
    torch._dynamo.reset()
    try:
        return int(torch._dynamo.explain(work)(*inputs).graph_break_count)
    except Exception:
        return None
    finally:
        torch._dynamo.reset()


# -------------------------------------------------------------------------- deviations


def flat(outputs: object) -> list[np.ndarray]:
    """Every tensor, array and number inside outputs, as float64 arrays in order.

    Args:
        outputs: tensors, arrays, numbers, and mappings, sequences and dataclasses of them.
    """
    if isinstance(outputs, torch.Tensor):
        return [outputs.detach().to("cpu", torch.float64).numpy()]
    if isinstance(outputs, np.ndarray | int | float):
        return [np.asarray(outputs, np.float64)]
    if dataclasses.is_dataclass(outputs):
        outputs = [getattr(outputs, f.name) for f in dataclasses.fields(outputs)]
    if isinstance(outputs, Mapping):
        outputs = list(outputs.values())
    if isinstance(outputs, Sequence) and not isinstance(outputs, str | bytes):
        return [array for part in outputs for array in flat(part)]
    return []


def deviation(found: object, expected: object) -> dict[str, float | int]:
    """How far outputs are from others: the largest distance, alone and over the largest value.

    Args:
        found: outputs of any structure that ``flat`` takes.
        expected: what they are compared with.

    Returns:
        ``absolute``, ``relative`` (over the largest expected value of the same array), the
        ``arrays`` compared, and ``differing``: arrays of another shape, which are not.
    """
    pairs = list(zip(flat(found), flat(expected)))
    same = [(f, e) for f, e in pairs if f.shape == e.shape and f.size]
    apart = [float(np.abs(f - e).max()) for f, e in same]
    over = [d / max(float(np.abs(e).max()), 1e-12) for d, (_, e) in zip(apart, same)]
    largest = {"absolute": max(apart, default=0.0), "relative": max(over, default=0.0)}
    missing = abs(len(flat(found)) - len(flat(expected)))
    differing = missing + sum(f.shape != e.shape for f, e in pairs)
    return {**largest, "arrays": len(same), "differing": differing}


# ------------------------------------------------------------------------------ record


@dataclass
class Measured:
    """One row of the table.

    Args:
        unit: of ``official`` and ``ours``, such as ``frames/s`` or ``ms/step``.
        official: the official order of work, in this run, in float32 or its published precision.
        ours: by precision.
        deviation: by precision, of final outputs from our float32 ones (``deviation``);
            ``official`` compares our float32 outputs with those of the official order.
        peak_memory_gb: by precision, and ``official``.
        launches: per unit, ours in float32 (on a CPU: operators).
        synchronisations: per unit, ours in float32.
        official_launches: per unit, of the official order.
        official_synchronisations: per unit, of the official order.
        graph_breaks: of the part that is compiled or captured.
        busy: fraction of the time in which the device computes, ours in float32.
        bars: what has to be reached.
        note: one sentence on what else a reader must know (sizes, batch, published precision).
        more: further numbers of this part, by name.
        errors: by precision, why it was not measured.
    """

    unit: str
    official: float | None = None
    ours: dict[str, float] = field(default_factory=dict)
    deviation: dict[str, dict[str, float | int]] = field(default_factory=dict)
    peak_memory_gb: dict[str, float] = field(default_factory=dict)
    launches: float | None = None
    synchronisations: float | None = None
    official_launches: float | None = None
    official_synchronisations: float | None = None
    graph_breaks: int | None = None
    busy: float | None = None
    bars: list[Bar] = field(default_factory=list)
    note: str = ""
    more: dict[str, Any] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    def record(self, setting: Setting) -> dict[str, Any]:
        """The row as JSON values; bars are judged at full size on a GPU only.

        Args:
            setting: what it was measured with.
        """
        row = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        row["bars"] = [
            {**dataclasses.asdict(bar), "met": bar.met if setting.judged else None}
            for bar in self.bars
        ]
        judged = setting.judged and bool(self.bars)
        row["met"] = all(bar.met for bar in self.bars) if judged else None
        return row


def compare(
    setting: Setting,
    ours: Callable[[], object],
    *,
    unit: str,
    units: float,
    official: Callable[[], object] | None = None,
    official_units: float | None = None,
    precisions: Sequence[str] = PRECISIONS,
    repeats: int = 3,
    warm_up: int = 2,
) -> Measured:
    """Measures our work in every precision, and the official order of work in float32.

    A precision that fails is listed in ``errors`` and does not stop the others.

    Args:
        setting: where and how large.
        ours: does ``units`` units of work and returns its final outputs.
        unit: ``.../s`` gives rates, ``ms/...`` and ``s/...`` times of one unit.
        units: units of one call of ``ours``.
        official: the same work in the official order, with comparable outputs.
        official_units: units of one call of it; the outputs of both are compared only where
            this is left out, that is where both do the same.
        precisions: what ``ours`` is measured in; the first is what others are compared with.
        repeats: timed calls.
        warm_up: calls before them.
    """
    row, outputs = Measured(unit), {}
    for name in precisions:
        try:
            outputs[name] = _measure(row, setting, ours, name, units, repeats, warm_up)
        except Exception as error:
            row.errors[name] = f"{type(error).__name__}: {error}"[:500]
    first = outputs.get(precisions[0])
    for name in precisions[1:]:
        if name in outputs and first is not None:
            row.deviation[name] = deviation(outputs[name], first)
    if official is not None:
        amount = official_units or units
        with precision("fp32", setting.device):
            theirs = official()
            row.official = _in_unit(unit, seconds(official, setting, repeats=1, warm_up=0), amount)
            if memory := peak_memory_gb(official, setting):
                row.peak_memory_gb["official"] = memory
            counts = launches_and_synchronisations(official, setting)
        row.official_launches = counts.launches / amount
        row.official_synchronisations = counts.synchronisations / amount
        if first is not None and official_units is None:
            row.deviation["official"] = deviation(first, theirs)
    return row


def _measure(
    row: Measured,
    setting: Setting,
    work: Callable[[], object],
    name: str,
    units: float,
    repeats: int,
    warm_up: int,
) -> object:
    """Fills in what one precision gives, and returns its outputs."""
    with precision(name, setting.device):
        outputs = work()
        time_taken = seconds(work, setting, repeats=repeats, warm_up=max(warm_up - 1, 0))
        row.ours[name] = _in_unit(row.unit, time_taken, units)
        if memory := peak_memory_gb(work, setting):
            row.peak_memory_gb[name] = memory
        if row.launches is None:
            counts = launches_and_synchronisations(work, setting)
            row.launches = counts.launches / units
            row.synchronisations = counts.synchronisations / units
            row.busy = counts.busy
            row.more["synchronisation_kinds"] = counts.kinds
    return outputs


def _in_unit(unit: str, time_taken: float, units: float) -> float:
    """Seconds of some units of work as a rate, or as the time of one."""
    if unit.endswith("/s"):
        return units / time_taken
    if unit.startswith(("ms", "s/")):
        return time_taken / units * (1000 if unit.startswith("ms") else 1)
    raise ValueError(f"unit {unit!r} is neither .../s nor ms/... nor s/...")
