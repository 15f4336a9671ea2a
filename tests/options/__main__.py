"""Tries all alternatives of a task's options on its smallest preset and lists what became of them.

    python -m tests.options vod [--part 3/10] [--only infer.] [--minutes 8] [--again] [--results F]

Every alternative runs in a process of its own that is forked, so that libraries are loaded once:
the configuration is built, one update is trained, one video is inferred on. It ran, was refused
with a clear error, or is broken; ends with 1 where one is. What was tried before, and ran or was
refused, is not tried again: the list of results is ``tests/options/results/<task>.json``, unless
another is named.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from importlib import import_module
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["EGOLIB_PROGRESS"] = "off"

from tests.options.alternatives import Alternative
from tests.options.running import RESULTS, add_result, read_results, try_one


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("task")
    parser.add_argument("--part", default="1/1", help="I/N: every Nth alternative, from the Ith")
    parser.add_argument("--only", default="", help="alternatives whose text holds this")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="then stop")
    parser.add_argument("--again", action="store_true", help="also what ran or was refused")
    parser.add_argument("--results", type=Path, help="the list of results")
    given = parser.parse_args()
    file = given.results or RESULTS / f"{given.task}.json"
    module = import_module(f"tests.options.{given.task}")
    first, _, step = given.part.partition("/")
    everything: dict[str, Alternative] = {str(a): a for a in module.alternatives()}
    results = read_results(file)
    chosen = [k for k in list(everything)[int(first) - 1 :: int(step)] if given.only in k]
    module.ready()
    end = time.monotonic() + 60 * given.minutes
    for text in chosen:
        tried = not results.get(text, "broken").startswith("broken")
        if (tried and not given.again) or time.monotonic() > end:
            continue
        begin = time.monotonic()
        outcome = try_one(everything[text], module.attempt)
        print(f"{time.monotonic() - begin:5.1f} s  {text}  {outcome}", flush=True)
        add_result(file, text, outcome)
    results = read_results(file)
    counts = Counter(results[text].partition(":")[0] for text in chosen if text in results)
    found = ", ".join(f"{counts[kind]} {kind}" for kind in ("ran", "refused", "broken"))
    untried = len(chosen) - counts.total()
    print(f"{given.task}: {len(chosen)} alternatives, {found}, {untried} untried")
    return int(counts["broken"] + untried > 0)


if __name__ == "__main__":
    sys.exit(main())
