"""Everything that a GPU is needed for, in at most eight minutes; writes ``book/evidence/gpu.json``.

    python -m benchmarks.gpu [--only recordings,vod] [--budget 480] [--out FILE]
    python -m benchmarks.gpu --tiny      # on a CPU, small sizes: tries the same code

Every part runs in a process of its own with a limit of its own; one that fails or takes
too long is recorded as that, and the others go on. The file is written after every part,
and parts that a later call leaves out keep what was measured before. Parts:
``recordings`` (tests/parity on the device, float32), those in ``PARTS`` of the modules
``benchmarks.gpu_*``, and ``chains`` (every task's tiny chain in bf16-mixed).
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

os.environ.setdefault("EGOLIB_PROGRESS", "off")

from benchmarks.gpu_common import Setting
from benchmarks.gpu_processes import forked, run_chains, run_recordings
from egolib import config
from egolib.cli import doctor
from egolib.io.records import read_json, write_json
from egolib.report import results

MODULES = ("limits", "graphs", "vod", "vq2d", "vlp", "nlq", "mq")
PART_SECONDS, RECORDINGS_SECONDS, CHAINS_SECONDS = 90.0, 110.0, 150.0


def task_parts() -> dict[str, Callable[[Setting], dict[str, Any]]]:
    """The parts of those modules that exist, as ``module.part``."""
    modules = [m for m in MODULES if find_spec(f"benchmarks.gpu_{m}")]
    return {
        f"{module}.{name}": part
        for module in modules
        for name, part in import_module(f"benchmarks.gpu_{module}").PARTS.items()
    }


def chosen_parts(only: str, tiny: bool) -> list[str]:
    """Names in the order in which they run; ``only`` names parts or modules.

    Raises:
        SystemExit: a name that is no part and no module.
    """
    names = ["recordings", *task_parts(), *([] if tiny else ["chains"])]
    if not only:
        return names
    wanted = set(only.split(","))
    known = {*names, "chains", *(name.split(".")[0] for name in names)}
    if unknown := sorted(wanted - known):
        raise SystemExit(f"no part {', '.join(unknown)}; there are {', '.join(names)}")
    chosen = [n for n in names if n in wanted or n.split(".")[0] in wanted]
    return chosen + ["chains"] * ("chains" in wanted and "chains" not in chosen)


def run_part(name: str, setting: Setting, limit: float) -> dict[str, Any]:
    """What one part gives, or the error that it ended with.

    Args:
        name: of the part.
        setting: where and how large.
        limit: seconds after which its process is ended.
    """
    if name == "recordings":
        return run_recordings(setting, limit)
    if name == "chains":
        return run_chains(setting, limit)
    return forked(partial(measure, name, setting), limit)


def measure(name: str, setting: Setting) -> dict[str, Any]:
    """One part's record, measured in this process; plain values, without NaN.

    Args:
        name: of the part.
        setting: where and how large.
    """
    import torch

    torch.manual_seed(0)
    if not setting.cuda:
        torch.set_num_threads(1)
    found = finite(results.plain(task_parts()[name](setting)))
    assert isinstance(found, dict)
    return found


def finite(value: Any) -> Any:
    """A value with text in place of NaN and infinity, which JSON does not know."""
    if isinstance(value, Mapping):
        return {key: finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [finite(entry) for entry in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def machine(setting: Setting) -> dict[str, Any]:
    """Hardware, versions, commit and date; ``EGOLIB_COMMIT`` comes before a copy's own git."""
    import torch

    commit = os.environ.get("EGOLIB_COMMIT") or results.commit()
    gpu = torch.cuda.get_device_name() if setting.cuda and torch.cuda.is_available() else None
    hardware = {**results.hardware(), "gpu": gpu, "driver": doctor.driver_version()}
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    versions = {**results.versions(), "cuda": torch.version.cuda}
    return {"date": now, "commit": commit, "hardware": hardware, "versions": versions}


def run(
    names: list[str], setting: Setting, out: Path, budget: float, about: dict[str, Any]
) -> dict[str, Any]:
    """Runs parts one after the other and writes the file after each.

    Args:
        names: of the parts, in order.
        setting: where and how large.
        out: the file; parts in it that do not run now are kept.
        budget: seconds for all of them.
        about: of ``machine``.
    """
    begin = time.monotonic()
    kept = read_json(out).get("parts", {}) if out.is_file() else {}
    found: dict[str, Any] = {**about, "tiny": setting.tiny, "parts": kept}
    limits = {"recordings": RECORDINGS_SECONDS, "chains": CHAINS_SECONDS}
    for name in names:
        left = budget - (time.monotonic() - begin)
        if left < 5:
            found["parts"].setdefault(name, {"status": "not started", "error": "no time was left"})
            continue
        start = time.monotonic()
        entry = run_part(name, setting, min(left, limits.get(name, PART_SECONDS)))
        entry["seconds"] = round(time.monotonic() - start, 1)
        own = {"date": about["date"], "commit": about["commit"], "gpu": about["hardware"]["gpu"]}
        found["parts"][name] = {**entry, **own}
        write_json(out, found, indent=1)
        print(line(name, entry), flush=True)
    write_json(out, found, indent=1)
    return found


def line(name: str, entry: Mapping[str, Any]) -> str:
    """One part in a line, for the terminal."""
    head = f"{name:<24} {entry['status']:<12} {entry['seconds']:>6} s  "
    if entry["status"] != "measured":
        return head + str(entry.get("error", "")).strip()[-300:]
    row = entry["result"]
    ours = row.get("ours")
    if ours is None:
        return head + json.dumps({k: v for k, v in row.items() if not isinstance(v, dict | list)})
    rates = ", ".join(f"{name} {value:.4g}" for name, value in ours.items())
    official = "" if row["official"] is None else f"official {row['official']:.4g}, "
    return head + f"{official}{rates} {row['unit']}" + f"{' ' * 2}{row['errors'] or ''}"


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tiny", action="store_true", help="small sizes, on a CPU unless --device")
    parser.add_argument("--device", help="cuda, or cpu with --tiny")
    parser.add_argument("--only", default="", help="parts or modules, comma-separated")
    parser.add_argument("--budget", type=float, default=480, help="seconds for everything")
    parser.add_argument("--out", type=Path, help="the file (default: book/evidence/gpu.json)")
    return parser.parse_args()


def main() -> int:
    """Exit code 1 when a part failed; 0 without a device, after saying so."""
    given = options()
    setting = Setting(given.device or ("cpu" if given.tiny else "cuda"), given.tiny)
    if not (setting.cuda or setting.tiny):
        raise SystemExit("full sizes need a GPU: add --tiny")
    names = chosen_parts(given.only, setting.tiny)
    about = forked(partial(machine, setting), 60)  # this process never opens the device
    if "result" not in about:
        raise SystemExit(about["error"])
    if setting.cuda and not about["result"]["hardware"]["gpu"]:
        print("no CUDA device: nothing was measured (egolib doctor says what is missing)")
        return 0
    out = given.out or (
        Path(tempfile.mkdtemp()) / "gpu.json"
        if setting.tiny
        else config.project_root() / "book" / "evidence" / "gpu.json"
    )
    parts = run(names, setting, out, given.budget, about["result"])["parts"]
    passed = sum(parts[name]["status"] == "measured" for name in names)
    print(f"{passed} of {len(names)} parts; {out}")
    return 0 if passed == len(names) else 1


if __name__ == "__main__":
    sys.exit(main())
