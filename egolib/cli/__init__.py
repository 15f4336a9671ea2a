"""The command line. Every command has ``--help``; exit codes: 0 done, 1 failed, 2 wrong use.

Commands that train or evaluate execute the very notebooks of the book.
"""

from __future__ import annotations

import os
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
    except BrokenPipeError:  # somebody looks at the first lines: `egolib status | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if not error.filename:
            raise
        remedy = "choose files and folders that you may use: --runs-dir, --data-root, -o"
        what = (error.strerror or str(error)).lower()
        print(f"{error.filename}: {what}\n  remedy: {remedy}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
