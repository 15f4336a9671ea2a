"""Curves and segments tell their values under a pointer and by keyboard, without a network."""

from __future__ import annotations

import base64
import re

import numpy as np
import pytest

from egolib.config import project_root
from egolib.report.pages import _curves, _without_curves
from egolib.report.results import Moments
from egolib.viz.moments import moment_figure
from egolib.viz.readout import curves
from egolib.viz.style import Drawing, look
from tests.helpers.book import pages

TASKS = ("vq2d", "vod", "vlp", "nlq", "mq")


def drawing() -> Drawing:
    with look():
        figure = Drawing(2.0)
        left, right = figure.subplots(1, 2)
        left.plot(np.arange(1, 1001), np.linspace(1, 0, 1000), label="loss")
        left.set(xlabel="updates", ylabel="loss", ylim=(0, 2))
        right.plot([0.1, 0.3, 0.5], [30, 20, 10], "o-", color="#D55E00")
        right.axvline(0.3)
        right.set(xscale="log", ylabel="recall, %")
    return figure


def test_numbers_of_curves():
    data, about = drawing()._repr_mimebundle_()
    assert data["image/png"].startswith(b"\x89PNG")
    left, right = about["image/png"]["curves"]
    (loss,) = left["lines"]
    assert (left["x"], left["y"], left["log"], loss["name"]) == ("updates", "loss", False, "loss")
    assert len(loss["x"]) == 300 and loss["x"][0] == 1 and loss["x"][-1] == 1000
    assert loss["at"][0] == pytest.approx(0.5) and loss["at"][-1] == pytest.approx(1)
    (recall,) = right["lines"]  # the dashed line at 0.3 is no curve
    assert (recall["colour"], recall["y"], right["log"]) == ("#d55e00", [30, 20, 10], True)
    assert 0 < left["box"][0] < left["box"][0] + left["box"][2] < right["box"][0] < 1


def test_pictures_and_marks_have_no_curves():
    figure = Drawing(1.0)
    shown, marked = figure.subplots(1, 2)
    shown.imshow(np.zeros((2, 2)))
    shown.plot([0, 1, 2], [0, 1, 0])
    marked.plot([1, 2], [1, 2])
    assert curves(figure) == []


def answer() -> Drawing:
    """A question's two windows and its true one."""
    segments = np.array([[10.0, 20.0], [0.0, 4.5]])
    truth = np.array([[12.0, 19.0]])
    return moment_figure(Moments("where?", segments, np.array([0.8, 0.3]), 40.0, truth))


def test_numbers_of_segments():
    (axes,) = curves(answer())
    assert axes["lines"] == [] and (axes["x"], axes["range"]) == ("seconds", [0, 40])
    named = {span["name"]: span["x"] for span in axes["spans"]}
    assert named == {
        "where? true": [12, 19],
        "where? answer 1, score 0.80": [10, 20],
        "where? answer 2, score 0.30": [0, 4.5],
    }
    edges = [edge for span in axes["spans"] for edge in span["at"]]
    assert edges == sorted(edges) and 0 < edges[0] < edges[-1] < 1  # from above, without overlap


def test_value_bars_are_no_segments():
    figure = Drawing(1.0)
    figure.subplots().barh([0, 1], [3, 4], label="R@1")
    assert curves(figure) == []


def test_segments_tell_their_ends(browser):
    """The windows of an answer, in a page that has the script alone."""
    (numbers,) = _curves({"metadata": answer()._repr_mimebundle_()[1]})
    picture = base64.b64encode(answer()._repr_png_()).decode()
    static = project_root() / "book" / "_static"
    page = browser.new_page(viewport={"width": 900, "height": 600})
    page.set_content(
        f"<style>{(static / 'book.css').read_text()}</style>"
        f'<div class="cell"><img src="data:image/png;base64,{picture}"></div>'
        f'<div class="cell">{numbers["data"]["text/html"]}</div>'
        f"<script>{(static / 'readout.js').read_text()}</script>"
    )
    area, said = page.locator(".readout-axes"), page.locator(".readout-said")
    assert "segments" in said.inner_text()
    box, (axes,) = area.bounding_box(), curves(answer())
    for span in axes["spans"]:
        middle = sum(span["x"]) / 2 / 40
        page.mouse.move(
            box["x"] + middle * box["width"],
            box["y"] + sum(span["at"]) / 2 * box["height"],
        )
        begin, end = (f"{x:g}" for x in span["x"])
        assert said.inner_text() == f"{span['name']}: {begin} to {end} seconds"
    area.press("Home")
    assert said.inner_text().startswith("where? true")
    area.press("ArrowRight")
    assert said.inner_text().startswith("where? answer 1")
    assert page.locator(".readout-span").is_visible()
    page.close()


def test_a_page_keeps_the_picture_and_adds_the_numbers():
    about = drawing()._repr_mimebundle_()[1]
    output = {"output_type": "display_data", "data": {"image/png": "x"}, "metadata": about}
    (numbers,) = _curves(output)
    assert "data-curves" in numbers["data"]["text/html"]
    picture = _without_curves(output)
    assert picture["data"] == output["data"] and picture["metadata"] == {"image/png": {}}
    assert _curves(picture) == []


# ------------------------------------------------------------------------ in the browser


def readouts(html) -> list[str]:
    """Pages with curves that tell their values."""
    return [name for name in pages(html) if 'class="readout"' in (html / name).read_text()]


@pytest.mark.slow
@pytest.mark.xdist_group("tiny")
def test_every_task_has_curves(html):
    found = readouts(html)
    assert {task for task in TASKS if any(f"/{task}/" in name for name in found)} == set(TASKS)
    evaluations = [name for name in found if "4_evaluate" in name]
    assert {name.split("/")[2] for name in evaluations} >= {"vod", "nlq", "mq"}
    for name in ("vq2d/improved", "nlq/scratch"):  # score curves, answers' windows
        assert any(f"{name}_3_infer" in page for page in found)
    scripts = {s for name in found for s in re.findall(r"readout\.js", (html / name).read_text())}
    assert scripts == {"readout.js"}  # once for all pages


@pytest.mark.slow
@pytest.mark.xdist_group("tiny")
def test_pointer_and_keys_tell_values(html, browser):
    errors: list[str] = []
    for name in [n for n in readouts(html) if "4_evaluate" in n or "2_train" in n][:6]:
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.route(lambda url: not url.startswith("file:"), lambda route: route.abort())
        page.goto((html / name).as_uri())
        area = page.locator(".readout-axes").first
        area.scroll_into_view_if_needed()
        said = page.locator(".readout-said").first
        before = said.inner_text()
        box = area.bounding_box()
        page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.5 * box["height"])
        pointed = said.inner_text()
        page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + 0.5 * box["height"])
        assert len({before, pointed, said.inner_text()}) == 3, name
        assert re.search(r"\d", pointed)
        area.press("Home")
        first = said.inner_text()
        area.press("ArrowRight")
        assert said.inner_text() != first == area_text(area, page, "Home")
        page.emulate_media(media="print")
        assert not said.is_visible() and page.locator(".readout-picture img").first.is_visible()
        page.close()
    assert not errors


def area_text(area, page, key: str) -> str:
    """What is said after a key."""
    area.press(key)
    return page.locator(".readout-said").first.inner_text()
