"""The book at a local address."""

from __future__ import annotations

import re
import threading
import urllib.request

import pytest

from egolib.cli.book import local_server, serve_book
from egolib.errors import EgolibError


def test_a_built_book_is_served_on_this_machine_alone(tmp_path, capsys, monkeypatch):
    (tmp_path / "index.html").write_text("<h1>egolib</h1>")
    made = local_server(tmp_path, 0)
    monkeypatch.setattr("egolib.cli.book.local_server", lambda html, port: made)
    thread = threading.Thread(target=serve_book, args=(tmp_path, 0))
    thread.start()
    try:
        address = f"http://127.0.0.1:{made.server_port}/"
        with urllib.request.urlopen(address) as answer:
            assert answer.read() == b"<h1>egolib</h1>"
        assert made.server_address[0] == "127.0.0.1"
    finally:
        made.shutdown()
        thread.join()
        made.server_close()
    assert re.search(rf"{address} \(Ctrl-C", capsys.readouterr().out)


def test_a_taken_port_is_told(tmp_path):
    with (
        local_server(tmp_path, 0) as taken,
        pytest.raises(EgolibError, match="cannot be used") as e,
    ):
        serve_book(tmp_path, taken.server_port)
    assert f"--port {taken.server_port + 1}" in str(e.value.remedy)
