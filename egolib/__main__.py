"""``python -m egolib`` is the ``egolib`` command."""

from egolib.cli import main

main()
