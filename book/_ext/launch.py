"""Links that open the tiny preset in Binder or Colab, on every page, where the repository is known.

The address stands in one place, ``repository_url`` of ``_config.yml``; a build by the workflow
takes its own repository's from ``EGOLIB_REPOSITORY``. Without an address there are no links.
"""

from __future__ import annotations

import os
from typing import Any

from sphinx.application import Sphinx

NOTEBOOK = "binder/launch.ipynb"
GITHUB = "https://github.com/"


def links(repository: str, branch: str = "main") -> dict[str, str]:
    """Addresses by service; empty without a repository on GitHub.

    Args:
        repository: its address.
        branch: what is opened.
    """
    name = repository.strip().removesuffix("/").removesuffix(".git").removeprefix(GITHUB)
    if not repository.startswith(GITHUB) or name.count("/") != 1:
        return {}
    colab = f"https://colab.research.google.com/github/{name}/blob/{branch}/{NOTEBOOK}"
    return {
        "Binder": f"https://mybinder.org/v2/gh/{name}/{branch}?labpath={NOTEBOOK}",
        "Colab": f"{colab}#repository={name}",
    }


def _add(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: Any) -> None:
    repository = os.environ.get("EGOLIB_REPOSITORY") or app.config.egolib_repository
    found = links(repository)
    if not found or "header_buttons" not in context:
        return
    buttons = [
        {"type": "link", "url": url, "text": name, "label": f"launch-{name.lower()}",
         "tooltip": f"Open the tiny preset in {name}", "icon": "fas fa-rocket"}
        for name, url in found.items()
    ]  # fmt: skip
    group = {"type": "group", "buttons": buttons, "icon": "fas fa-rocket"}
    tooltip = "Open the tiny preset"
    context["header_buttons"].append({**group, "label": "launch-buttons", "tooltip": tooltip})


def setup(app: Sphinx) -> dict[str, bool]:
    """Runs after the theme has made its buttons."""
    app.add_config_value("egolib_repository", "", "html")
    app.connect("html-page-context", _add, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
