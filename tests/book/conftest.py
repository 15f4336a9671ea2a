"""The tiny run as a book, served on loopback: once for all tests of the book."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from egolib.cli.book import local_server
from tests.helpers.tiny import egolib


@pytest.fixture(scope="session")
def html(request) -> Path:
    """The HTML of the tiny run, built with warnings as errors.

    ``EGOLIB_BOOK_HTML`` names one that is built already, whatever run it shows.
    """
    if built := os.environ.get("EGOLIB_BOOK_HTML"):
        return Path(built)
    tiny = request.getfixturevalue("tiny")
    root, ran = tiny
    assert ran.returncode == 0, ran.stdout + ran.stderr
    done = egolib(root, "book", "--name", "tiny")
    assert done.returncode == 0, done.stdout + done.stderr
    return root / "_out" / "_build" / "html"


@pytest.fixture(scope="session")
def address(html):
    """The book served on loopback; search does not work on plain files."""

    server = local_server(html, 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
