"""Finds the recorded cases: every file of a kind becomes one run of the test that reads that kind.

Each system folder holds a ``kinds.py`` with

- ``KINDS``: kind name -> list of file patterns (a leading ``!`` excludes), and
- ``KNOWN``: patterns of files that are no cases (keys, scales, groups, README ...).

A test says ``@pytest.mark.recordings("net_full")`` and takes the argument
``recording``, a path. A recorded file that no kind claims is an error; a kind
without a file in the given folder yields no test.
"""

from __future__ import annotations

import ast
import ctypes
import gc
import importlib.util
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).parent
ALWAYS_KNOWN = ["README.md", "recipe.json", "*.py", "*.keys.json", "*.scales.json"]


@pytest.fixture(scope="session")
def device(request: pytest.FixtureRequest) -> str:
    """Where the tests compute that ask for it: ``--device``. On another device than the CPU
    only they run; what reads, samples and writes is the same there."""
    return request.config.getoption("--device")


@pytest.fixture(autouse=True, scope="module")
def give_memory_back() -> Iterator[None]:
    """Published networks are large: those of one file of tests go before the next file begins."""
    yield
    for name in [n for n in sys.modules if n.startswith("tests.parity.") and "networks" in n]:
        for value in list(vars(sys.modules[name]).values()):
            getattr(value, "cache_clear", lambda: None)()
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    mark = metafunc.definition.get_closest_marker("recordings")
    if mark is None:
        return
    system = Path(metafunc.module.__file__).parent.name
    folder = metafunc.config.getoption("--parity-dir") / system
    _check_every_file_has_a_reader(system, folder)
    files = _claimed(_kinds(system).KINDS[mark.args[0]], folder)
    metafunc.parametrize("recording", files, ids=[str(f.relative_to(folder)) for f in files])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Takes out the placeholders that an empty list of files leaves behind as skips, and on
    another device than the CPU the tests that do not ask for it."""
    everywhere = config.getoption("--device") == "cpu"
    kept = [i for i in items if _recording(i) is not None and (everywhere or _asks_device(i))]
    config.hook.pytest_deselected(items=[i for i in items if i not in kept])
    items[:] = kept


def _asks_device(item: pytest.Item) -> bool:
    """Whether a test, or a fixture of it, takes the device."""
    return "device" in getattr(item, "fixturenames", ())


def _recording(item: pytest.Item) -> object:
    """The file of a case, ``None`` for a kind without any; other tests have their own name."""
    if item.get_closest_marker("recordings") is None:
        return item.name
    found = item.callspec.params["recording"]  # type: ignore[attr-defined]
    return found if isinstance(found, Path) else None


def _check_every_file_has_a_reader(system: str, folder: Path) -> None:
    kinds = _kinds(system)
    unread = set(kinds.KINDS) - _kinds_read_by_tests(HERE / system)
    if unread:
        raise pytest.UsageError(f"no test in tests/parity/{system} reads the kinds {unread}")
    claimed = {file for patterns in kinds.KINDS.values() for file in _claimed(patterns, folder)}
    for file in folder.rglob("*"):
        name = str(file.relative_to(folder))
        known = any(fnmatch(name, p) or fnmatch(file.name, p) for p in ALWAYS_KNOWN + kinds.KNOWN)
        if file.is_file() and file not in claimed and not known:
            raise pytest.UsageError(f"{file}: no test reads recordings of this kind")


@cache
def _kinds(system: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"{system}_kinds", HERE / system / "kinds.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def _kinds_read_by_tests(folder: Path) -> frozenset[str]:
    """Kind names that stand in ``recordings("...")`` marks of a folder's test files."""
    found = set()
    for file in folder.glob("test_*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "recordings":
                found.add(node.args[0].value)  # type: ignore[attr-defined]
    return frozenset(found)


def _claimed(patterns: list[str], folder: Path) -> list[Path]:
    wanted = [p for p in patterns if not p.startswith("!")]
    refused = [p[1:] for p in patterns if p.startswith("!")]
    files = {file for pattern in wanted for file in folder.glob(pattern)}
    return sorted(f for f in files if not any(fnmatch(f.name, p) for p in refused))
