"""The command line. Every command has ``--help``; exit codes: 0 done, 1 failed, 2 wrong use.

Commands that train or evaluate execute the very notebooks of the book.
"""

from __future__ import annotations

import sys

from egolib.cli import files, looking, running
from egolib.cli.app import app, name_of, schema
from egolib.errors import EgolibError, UsageError

__all__ = ["app", "files", "looking", "main", "running", "schema"]


#: The commands in the order of their use, as ``egolib --help`` lists them.
ORDER = (
    "run", "status", "logs", "open", "compare", "book", "demo", "params", "init", "doctor",
    "convert", "evaluate", "validate", "ensemble",
)  # fmt: skip
app.registered_commands.sort(key=lambda command: ORDER.index(name_of(command)))


def main() -> None:
    """The ``egolib`` command."""
    try:
        app()
    except EgolibError as error:
        print(error, file=sys.stderr)
        sys.exit(2 if isinstance(error, UsageError) else 1)
    except PermissionError as error:
        remedy = "choose folders that you may use: --runs-dir, --data-root, -o"
        print(f"{error.filename}: permission denied\n  remedy: {remedy}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
