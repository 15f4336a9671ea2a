"""Drops the live-code extension: it loads scripts from the network and fails on each page."""

from sphinx.application import Sphinx


def _drop(app: Sphinx, config: object) -> None:
    for listeners in app.events.listeners.values():
        listeners[:] = [
            x
            for x in listeners
            if not getattr(x.handler, "__module__", "").startswith("sphinx_thebe")
        ]
    app.registry.css_files[:] = [
        (name, options) for name, options in app.registry.css_files if "thebe" not in name
    ]


def setup(app: Sphinx) -> dict[str, bool]:
    """Runs after all extensions have connected their listeners."""
    app.connect("config-inited", _drop, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
