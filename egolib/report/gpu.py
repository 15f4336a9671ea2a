"""The page of what was measured on a GPU, computed from ``book/evidence/gpu.json``.

``benchmarks.gpu`` writes that file. What it lacks is shown as "not measured yet".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from egolib import config as configs
from egolib.io.records import read_json

NOT_YET = "not measured yet"
PRECISIONS = {"fp32": "float32", "tf32": "TF32", "bf16": "bfloat16"}
COMMAND = "make test-gpu"
ABOUT = """# On a GPU

What was measured on one GPU: the official order of work beside ours, in the same run, in every
precision. `{command}` measures it again, in at most eight minutes, and writes
`book/evidence/gpu.json`, which every number here comes from; `python -m benchmarks.gpu --tiny`
tries the same code on a CPU.
"""

Row = Mapping[str, Any]


def evidence_file() -> Path:
    """Where the measurements are kept."""
    return configs.project_root() / "book" / "evidence" / "gpu.json"


def page(file: Path | None = None) -> str:
    """The page in Markdown.

    Args:
        file: the measurements; None for the project's own.
    """
    file = file or evidence_file()
    found = read_json(file, dict) if file.is_file() else {}
    parts: Mapping[str, Any] = found.get("parts", {})
    measured = {name: part for name, part in parts.items() if "ours" in part.get("result", {})}
    rows = {name: part["result"] for name, part in measured.items()}
    sections = [
        ABOUT.format(command=COMMAND),
        _machine(found),
        "## Rates\n\n" + _rates(rows),
        "## Bars\n\n" + _bars(rows),
        "## Deviations\n\n" + DEVIATIONS + _deviations(rows),
        "## Memory, launches, synchronisations\n\n" + _demands(rows),
        "## Recordings on the device\n\n" + _recordings(parts.get("recordings")),
        "## Chains in bf16-mixed\n\n" + _chains(parts.get("chains")),
        "## What was not measured\n\n" + _missing(parts, rows),
    ]
    return "\n\n".join(section.strip() for section in sections) + "\n"


# --------------------------------------------------------------------------- sections

DEVIATIONS = """Numbers alone are the largest distance of final outputs over their largest
value. Detections are matched by class and IoU 0.5 with those of float32 frame by frame; the
pixels are the median distance of their box sides. Networks have drawn weights, whose scores lie
closer together than those of trained ones, so that more of them change places.

"""


def _machine(found: Row) -> str:
    """Hardware, versions, commit and date."""
    if not found:
        return f"**{NOT_YET}**: there is no `book/evidence/gpu.json`."
    hardware, versions = found["hardware"], found["versions"]
    names = ("torch", "cuda", "python", "torchvision", "numpy")
    said = ", ".join(f"{name} {versions[name]}" for name in names if versions.get(name))
    tried = "**Tiny sizes: a trial of the code.** " if found.get("tiny") else ""
    return tried + (
        f"{hardware.get('gpu') or 'no GPU'}, driver {hardware.get('driver') or 'unknown'}, "
        f"{hardware['cores']} CPU cores; {said}; commit `{found['commit']}`, {found['date']}."
    )


def _rates(rows: Mapping[str, Row]) -> str:
    """Official and ours by precision, and the best of ours over the official."""
    header = ["work", "unit", "official order", *PRECISIONS.values(), "best of ours / official"]
    lines = []
    for name, row in rows.items():
        if not row["ours"]:
            continue
        ours = [_in_precision(row["ours"], p) for p in PRECISIONS]
        official = _number(row["official"])
        lines.append([name, row["unit"], official, *ours, _speed_up(row)])
    notes = [f"- {name}: {row['note']}" for name, row in rows.items() if row.get("note")]
    return _table(header, lines) + ("\n\n" + "\n".join(notes) if notes else "")


def _in_precision(ours: Mapping[str, float], precision: str) -> str:
    """The number of a precision, and of its kinds (``bf16 compiled``) with their name.

    Args:
        ours: by precision, or precision and kind.
        precision: which column.
    """
    found = [_number(ours.get(precision))]
    for name, value in ours.items():
        own, _, kind = name.partition(" ")
        found += [f"{kind} {_number(value)}"] * bool(own == precision and kind)
    return ", ".join(text for text in found if text)


def _speed_up(row: Row) -> str:
    """How much faster the fastest precision is than the official order."""
    official, ours = row["official"], list(row["ours"].values())
    if not official or not ours:
        return ""
    rate = row["unit"].endswith("/s")
    return _number(max(ours) / official if rate else official / min(ours)) + " x"


def _bars(rows: Mapping[str, Row]) -> str:
    """What had to be reached."""
    lines = [
        [
            f"{name}: {bar['name']}",
            f"{_number(bar['value'])} {bar['unit']}",
            "" if bar["limit"] is None else f"{'≥' if bar['at_least'] else '≤'} {bar['limit']:g}",
            _verdict(bar),
        ]
        for name, row in rows.items()
        for bar in row["bars"]
    ]
    return _table(["what", "measured", "bar", ""], lines)


def _verdict(bar: Row) -> str:
    """Whether a bar is met: in speed, and with equal outputs."""
    if bar["met"] is None:
        return "not judged"
    if bar["met"]:
        return "met"
    return "**missed**" if bar.get("equal", True) else "**not counted: outputs differ**"


def _deviations(rows: Mapping[str, Row]) -> str:
    """By precision, in the measure of each kind of work."""
    kinds = ("official", "fp32", "tf32", "bf16")
    lines = [
        [name, *(_deviation(row["deviation"].get(kind)) for kind in kinds)]
        for name, row in rows.items()
        if row["deviation"]
    ]
    header = ["work", "ours from official", "float32, batches from single", "TF32", "bfloat16"]
    return _table(header, lines)


def _deviation(value: Mapping[str, float] | None) -> str:
    """Relative, of detections (matched ones, and how far their boxes are), or as it was named."""
    if value is None:
        return ""
    if "relative" in value:
        differing = f", {value['differing']} of other shape" if value.get("differing") else ""
        return _number(value["relative"]) + differing
    if "pixels_median" in value:
        if not value["detections"]:
            return "no detections to compare"
        matched = 100 * (1 - value["unmatched"])
        return f"{matched:.0f} % matched, {_number(value['pixels_median'])} px"
    return ", ".join(f"{key.replace('_', ' ')} {_number(x)}" for key, x in value.items())


def _demands(rows: Mapping[str, Row]) -> str:
    """What the device and the host are asked for."""
    header = ["work", "peak GB official", *(f"peak GB {p}" for p in PRECISIONS.values())]
    header += ["launches official", "launches", "synchronisations official", "synchronisations"]
    header += ["graph breaks", "device busy"]
    lines = []
    for name, row in rows.items():
        memory = [_number(row["peak_memory_gb"].get(p)) for p in ("official", *PRECISIONS)]
        asked = ("official_launches", "launches", "official_synchronisations", "synchronisations")
        counts = [_number(row[key]) for key in (*asked, "graph_breaks")]
        busy = "" if row["busy"] is None else f"{100 * row['busy']:.0f} %"
        if any((*memory, *counts, busy)):
            lines.append([name, *memory, *counts, busy])
    return "Launches and synchronisations are those of one unit.\n\n" + _table(header, lines)


def _recordings(part: Row | None) -> str:
    """Outcome of the recorded cases."""
    if part is None or "result" not in part:
        return NOT_YET
    found = part["result"]
    said = ", ".join(f"{found[k]} {k}" for k in ("passed", "failed", "error", "skipped"))
    over = "" if part["status"] == "measured" else f" ({part['status']})"
    failures = "".join(f"\n- `{line[:200]}`" for line in found["failures"])
    return f"Cases in float32, with the tolerances of a CPU: {said}{over}.\n{failures}"


def _chains(part: Row | None) -> str:
    """Outcome of every task's tiny chain."""
    if part is None or "result" not in part:
        return NOT_YET
    chains = part["result"]["chains"]
    lines = [
        [task, "passed" if entry["passed"] else "**failed**", f"{entry['seconds']:.0f}"]
        for task, entry in chains.items()
    ]
    return _table(["task", "preset tiny", "seconds, all at once"], lines)


def _missing(parts: Mapping[str, Any], rows: Mapping[str, Row]) -> str:
    """Parts that failed or did not start, and precisions that failed."""
    lines = [
        f"- {name}: {part['status']}: `{_first_line(part.get('error', ''))}`"
        for name, part in parts.items()
        if part["status"] != "measured"
    ]
    for name, row in rows.items():
        lines += [f"- {name} in {p}: `{_first_line(e)}`" for p, e in row["errors"].items()]
    if not parts:
        return NOT_YET
    return "\n".join(lines) or "Nothing: every part ended."


# ----------------------------------------------------------------------------- layout


def _table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table; empty ones say so."""
    if not lines:
        return NOT_YET
    cells = [header, ["---"] * len(header), *lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def _number(value: Any) -> str:
    """Three significant digits, and nothing for nothing."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _first_line(text: str) -> str:
    """The last line that says something, which in a traceback names the error."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:200].replace("`", "'") if lines else "no message"
