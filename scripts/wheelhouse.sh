#!/usr/bin/env bash
# Collects the wheels that egolib and its tests need and that a machine without network lacks.
#
#   scripts/wheelhouse.sh FOLDER [--have FILE] [--python 3.12] [--skip debugpy,jedi]
#
# FILE lists what that machine has (its `pip list` or `pip freeze`, or names); without it, torch,
# torchvision, numpy and pandas with what these need. Versions are those of requirements.lock for
# Linux on x86_64. Names after --skip are left out with all that only they need: kernels run
# without debugpy and jedi, 10 MB that a notebook uses when somebody types in it. There:
#
#   python3 -m pip install --no-index --no-deps --no-compile --target SITE FOLDER/*.whl
#   PYTHONPATH=SITE:SOURCE EGOLIB_ROOT=SOURCE python3 -m egolib --help
set -euo pipefail

usage() { sed -n '2,14s/^# \{0,1\}//p' "$0"; exit 2; }
folder=${1:-}; [[ $folder && $folder != -* ]] || usage; shift
have=; version=3.12; skip=
while (($#)); do
  case $1 in
    --have) have=${2:?} ;;
    --python) version=${2:?} ;;
    --skip) skip=${2:?} ;;
    *) usage ;;
  esac
  shift 2
done
root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-$root/.venv/bin/python}

mkdir -p "$folder"
"$python" - "$root" "$version" "$have" "$skip" > "$folder/wanted.txt" <<'PYTHON'
"""Prints name==version of every package of the closure that the machine lacks."""
import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

root, version, have, skip = Path(sys.argv[1]), *sys.argv[2:5]
skipped = {canonicalize_name(name) for name in skip.split(",") if name}
target = {
    "python_version": version, "python_full_version": f"{version}.0", "implementation_name": "cpython",
    "platform_python_implementation": "CPython", "sys_platform": "linux", "os_name": "posix",
    "platform_system": "Linux", "platform_machine": "x86_64", "extra": "",
}
TESTS = ["pytest", "pytest-xdist", "hypothesis"]
USUAL = ["torch", "torchvision", "numpy", "pandas", "pip", "setuptools"]


def closure(names: list[str]) -> set[str]:
    """The packages and everything that they need on the target."""
    found: set[str] = set()
    left = [Requirement(name) for name in names]
    while left:
        wanted = left.pop()
        name = canonicalize_name(wanted.name)
        if name in found | skipped:
            continue
        found.add(name)
        try:
            needs = metadata.requires(name) or []
        except metadata.PackageNotFoundError:  # not for this machine; the lock names what it needs
            continue
        extras = [{**target, "extra": extra} for extra in ("", *wanted.extras)]
        for need in map(Requirement, needs):
            if need.marker is None or any(need.marker.evaluate(e) for e in extras):
                left.append(need)
    return found


def locked() -> dict[str, str]:
    """The lock's versions for the target."""
    lines = re.sub(r"\\\n", " ", (root / "requirements.lock").read_text()).splitlines()
    pins = [Requirement(line.split("--hash")[0].strip()) for line in lines if "==" in line]
    return {
        canonicalize_name(pin.name): str(pin.specifier)
        for pin in pins
        if pin.marker is None or pin.marker.evaluate(target)
    }


there = closure(USUAL)
if have:
    words = re.split(r"[,\n]", Path(have).read_text())
    there = {canonicalize_name(re.split(r"[\s=@;]", w.strip())[0]) for w in words if w.strip()}
project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
pins = locked()
lacking = closure(project["dependencies"] + TESTS) - there
for name in sorted(lacking & pins.keys()):
    print(f"{name}{pins[name]}")
if unpinned := sorted(lacking - pins.keys()):
    sys.exit(f"requirements.lock has no version of {', '.join(unpinned)}")
PYTHON

platforms=(manylinux_2_28_x86_64 manylinux_2_27_x86_64 manylinux_2_17_x86_64 manylinux2014_x86_64)
"$python" -m pip download -qq --disable-pip-version-check --no-deps --only-binary=:all: \
  --implementation cp --python-version "$version" "${platforms[@]/#/--platform=}" \
  --dest "$folder" --requirement "$folder/wanted.txt"
du -sh "$folder" | cut -f1 | xargs echo "$(wc -l < "$folder/wanted.txt") wheels,"
