"""JupyterLab starts, as ``make lab`` starts it, and its kernel computes."""

from __future__ import annotations

import json
import urllib.request
import uuid

import pytest

from egolib.config import project_root
from tests.helpers.lab import TOKEN, lab


@pytest.fixture
def server(tmp_path):
    """The address of a server on the notebooks' folder."""
    with lab(project_root() / "notebooks", tmp_path) as address:
        yield address


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
    assert {"your_video.ipynb", "0_world.ipynb", "nlq"} <= names
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


@pytest.mark.slow
@pytest.mark.xdist_group("tiny")
def test_a_slider_of_your_video_moves_its_picture(tiny, browser, tmp_path):
    """In a real browser: the page runs on tiny, a slider is moved, the picture changes."""
    root, _ = tiny
    places = {"EGOLIB_ROOT": str(root), "OMP_NUM_THREADS": "1"}
    with lab(root, tmp_path, **places) as address:
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.goto(f"{address}lab/tree/notebooks/your_video.ipynb?token={TOKEN}&reset")
        page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=120_000)
        page.wait_for_selector("#jp-main-statusbar >> text=| Idle", timeout=120_000)
        page.click("text=Run >> nth=0")
        page.click("text=Run All Cells")
        box = page.locator(".widget-vbox:has(img.widget-image):has-text('frame')").first
        box.wait_for(state="attached", timeout=400_000)
        box.scroll_into_view_if_needed()
        picture = box.locator("img.widget-image")
        before, seen = picture.get_attribute("src"), picture.screenshot()
        handle = box.locator(".noUi-handle").first
        handle.focus()
        for _ in range(40):
            handle.press("ArrowRight")
        page.wait_for_function(
            "([image, old]) => image.src !== old && image.complete",
            arg=[picture.element_handle(), before],
            timeout=60_000,
        )
        assert picture.screenshot() != seen
