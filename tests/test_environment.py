"""Project files that must keep in step: pyproject, lock, environment, Makefile, README."""

from __future__ import annotations

import re
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from egolib.config import project_root

ROOT = project_root()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = (ROOT / "requirements.lock").read_text()


def locked() -> dict[str, str]:
    lines = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", LOCK, re.M)
    return {canonicalize_name(name): version for name, version in lines}


def named() -> list[str]:
    project = PROJECT["project"]
    return [
        *project["dependencies"],
        *project["optional-dependencies"]["book"],
        *project["optional-dependencies"]["decord"],
        *PROJECT["dependency-groups"]["dev"],
    ]


@pytest.mark.parametrize("text", named())
def test_every_dependency_is_locked_at_an_allowed_version(text):
    requirement = Requirement(text)
    version = locked()[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(version, prereleases=True)


def test_the_lock_has_hashes_and_no_host():
    entries = re.split(r"\n(?=[A-Za-z0-9])", LOCK.strip())
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in LOCK


def test_conda_environment_installs_the_lock():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    python = next(d for d in environment["dependencies"] if str(d).startswith("python="))
    assert python == "python=3.11"
    pip = next(d for d in environment["dependencies"] if isinstance(d, dict))
    assert pip == {"pip": ["-r requirements.lock"]}
    assert PROJECT["project"]["requires-python"] == ">=3.11,<3.15"


def test_make_targets():
    text = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z0-9-]+):", text, re.M))
    wanted = (
        "book test lab setup world claims test-gpu bridge-mmdet bridge-detectron2 lint lock-check"
    )
    assert targets >= set(wanted.split())


def test_readme_is_short_and_starts_with_the_two_commands():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 150
    head = "\n".join(lines[:30])
    assert "make book" in head
    assert "make test" in head


def test_variants_resolve():
    """Every published variant builds on every preset that its task knows."""
    from egolib import config
    from egolib.cli import schema
    from egolib.runs.plan import tasks_with_chains

    for task in tasks_with_chains():
        for variant in config.variants(task):
            for preset in config.presets():
                config.build(schema(task), config.resolve(schema(task), task, variant, preset))
