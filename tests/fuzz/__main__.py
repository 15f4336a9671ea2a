"""``python -m tests.fuzz [COUNT] [READER ...]``: mutations of every reader, and their outcomes."""

from __future__ import annotations

import sys
import time
from collections import Counter

from tests.fuzz.judging import GOOD, judged
from tests.fuzz.readers import READERS


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    names = sys.argv[2:] or list(READERS)
    total: Counter[str] = Counter()
    meanings: Counter[tuple[str, str]] = Counter()
    for name in names:
        begin = time.monotonic()
        found = judged(READERS[name], count)
        outcomes = Counter(trial["outcome"] for trial in found)
        total += outcomes
        meanings += Counter((name, t["kind"]) for t in found if t["outcome"] == "known")
        line = " ".join(f"{n} {outcome}" for outcome, n in sorted(outcomes.items()))
        print(f"{name:28} {time.monotonic() - begin:5.1f} s  {line}", flush=True)
        shown = Counter(
            (t["outcome"], t["kind"], t["where"], t["said"].split("\n")[0][:150])
            for t in found if t["outcome"] not in GOOD
        )  # fmt: skip
        for (outcome, kind, where, said), n in sorted(shown.items()):
            print(f"    {n:4} {outcome:9} {kind:16} {where:40} {said}", flush=True)
    print("accepted with another meaning (reasons: tests/fuzz/known.yaml):")
    for (name, kind), number in sorted(meanings.items()):
        print(f"    {number:5} {name:28} {kind}")
    print(f"{len(names)} readers, {sum(total.values())} mutations: {dict(total)}")
    sys.exit(any(total[outcome] for outcome in total if outcome not in GOOD))


if __name__ == "__main__":
    main()
