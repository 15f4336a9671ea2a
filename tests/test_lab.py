"""JupyterLab starts, as ``make lab`` starts it, and its kernel computes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
import uuid

import pytest

from egolib.config import project_root

TOKEN = "for-this-test"


@pytest.fixture
def server(tmp_path):
    """The address of a server on the notebooks' folder."""
    environment = {**os.environ, "JUPYTER_RUNTIME_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "jupyterlab", str(project_root() / "notebooks")]
    options = ["--no-browser", "--ServerApp.port=0", f"--IdentityProvider.token={TOKEN}"]
    options += ["--allow-root"] if os.geteuid() == 0 else []
    running = subprocess.Popen([*command, *options], env=environment, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (files := list(tmp_path.glob("jpserver-*.json"))):
        assert running.poll() is None and time.monotonic() < deadline, "the server did not start"
        time.sleep(0.1)
    time.sleep(0.5)
    yield json.loads(files[0].read_text())["url"]
    running.terminate()
    running.wait(timeout=60)


def call(address: str, data: dict | None = None):
    request = urllib.request.Request(
        address,
        data=None if data is None else json.dumps(data).encode(),
        headers={"Authorization": f"token {TOKEN}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read().decode()


def test_lab_with_a_kernel(server):
    assert "JupyterLab" in call(f"{server}lab")
    names = {entry["name"] for entry in json.loads(call(f"{server}api/contents"))["content"]}
    assert {"0_world.ipynb", "nlq"} <= names
    kernel = json.loads(call(f"{server}api/kernels", {"name": "python3"}))["id"]
    assert printed(server, kernel, "import egolib; print(egolib.__version__)") == version()


def version() -> str:
    from egolib import __version__

    return f"{__version__}\n"


def printed(server: str, kernel: str, code: str) -> str:
    """What a kernel prints when it executes some code."""
    from websocket import create_connection

    address = server.replace("http", "ws", 1) + f"api/kernels/{kernel}/channels"
    socket = create_connection(address, header=[f"Authorization: token {TOKEN}"], timeout=60)
    header = {"msg_id": uuid.uuid4().hex, "msg_type": "execute_request", "session": "test"}
    header |= {"username": "", "version": "5.3", "date": ""}
    content = {"code": code, "silent": False}
    message = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
    socket.send(json.dumps({**message, "channel": "shell"}))
    while True:
        answer = json.loads(socket.recv())
        assert answer["msg_type"] != "error", answer["content"]
        if answer["msg_type"] == "stream":
            socket.close()
            return str(answer["content"]["text"])
