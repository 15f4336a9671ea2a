"""``python -m tests.fuzz [COUNT] [READER ...]``: mutations of every reader, and their outcomes.

What a run found is written to the file that ``EGOLIB_FUZZ_SUMMARY`` names, if it names one.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from tests.fuzz.judging import GOOD, judged, reason
from tests.fuzz.readers import READERS


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    names = sys.argv[2:] or list(READERS)
    outcomes: dict[str, Counter[str]] = {}
    reasons: Counter[str] = Counter()
    slowest = 0.0
    for name in names:
        begin = time.monotonic()
        found = judged(READERS[name], count)
        outcomes[name] = Counter(trial["outcome"] for trial in found)
        reasons += Counter(reason(name, t) or "" for t in found if t["outcome"] == "known")
        slowest = max(slowest, *(trial.get("seconds", 0.0) for trial in found))
        line = " ".join(f"{n} {outcome}" for outcome, n in sorted(outcomes[name].items()))
        print(f"{name:28} {time.monotonic() - begin:5.1f} s  {line}", flush=True)
        _show(found)
    about = summary(outcomes, reasons, slowest)
    print(yaml.safe_dump({k: v for k, v in about.items() if k != "readers"}, sort_keys=False))
    if target := os.environ.get("EGOLIB_FUZZ_SUMMARY"):
        Path(target).write_text(yaml.safe_dump(about, sort_keys=False, width=100))
    sys.exit(any(n for o in outcomes.values() for outcome, n in o.items() if outcome not in GOOD))


def _show(found: list[dict[str, Any]]) -> None:
    """The outcomes that are not good, alike ones together."""
    shown = Counter(
        (t["outcome"], t["kind"], t["where"], t["said"].split("\n")[0][:150])
        for t in found
        if t["outcome"] not in GOOD
    )
    for (outcome, kind, where, said), n in sorted(shown.items()):
        print(f"    {n:4} {outcome:9} {kind:16} {where:40} {said}", flush=True)


def summary(
    outcomes: dict[str, Counter[str]], reasons: Counter[str], slowest_sec: float
) -> dict[str, Any]:
    """What a run found, for people and for ``summary.yaml``.

    Args:
        outcomes: of each reader.
        reasons: how often each reason stood for a change of meaning.
        slowest_sec: the slowest answer.
    """
    total: Counter[str] = sum(outcomes.values(), Counter())
    commit = ["git", "rev-parse", "--short", "HEAD"]
    return {
        "commit": subprocess.run(commit, capture_output=True, text=True).stdout.strip(),
        "readers_tried": len(outcomes),
        "mutations": sum(total.values()),
        "outcomes": dict(sorted(total.items())),
        "slowest_answer_sec": round(slowest_sec, 2),
        "other_meaning_by_reason": dict(sorted(reasons.items())),
        "readers": {name: dict(sorted(found.items())) for name, found in outcomes.items()},
    }


if __name__ == "__main__":
    main()
