"""The command line. Every command has ``--help``; exit codes: 0 done, 1 failed, 2 wrong use.

Commands that train or evaluate execute the very notebooks of the book.
"""

from __future__ import annotations

import sys

from egolib.cli import files, looking, running
from egolib.cli.app import app, schema
from egolib.errors import EgolibError, UsageError

__all__ = ["app", "files", "looking", "main", "running", "schema"]


def main() -> None:
    """The ``egolib`` command."""
    try:
        app()
    except EgolibError as error:
        print(error, file=sys.stderr)
        sys.exit(2 if isinstance(error, UsageError) else 1)


if __name__ == "__main__":
    main()
