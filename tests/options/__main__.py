"""Tries all alternatives of a task's options on its smallest preset and prints what became of them.

    python -m tests.options vod [--part 3/10] [--only infer.]

Every alternative runs in a process of its own that is forked, so that libraries are loaded once:
the configuration is built, one update is trained, one video is inferred on. It ran, was refused
with a clear error, or is broken; ends with 1 where one is.
"""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["EGOLIB_PROGRESS"] = "off"

from tests.options.alternatives import Alternative
from tests.options.running import try_all


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("task")
    parser.add_argument("--part", default="1/1", help="I/N: every Nth alternative, from the Ith")
    parser.add_argument("--only", default="", help="alternatives whose text holds this")
    given = parser.parse_args()
    module = import_module(f"tests.options.{given.task}")
    first, _, step = given.part.partition("/")
    chosen: list[Alternative] = module.alternatives()[int(first) - 1 :: int(step)]
    outcomes = try_all([a for a in chosen if given.only in str(a)], module.attempt)
    counts = {kind: sum(o.kind == kind for o in outcomes) for kind in ("ran", "refused", "broken")}
    print(f"{given.task}: {len(outcomes)} alternatives, {counts}")
    return int(counts["broken"] > 0)


if __name__ == "__main__":
    sys.exit(main())
