"""Formulas as MathML, which browsers draw themselves: no script, no font, no network."""

from __future__ import annotations

import re
from html import escape
from typing import Any

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging

LOG = logging.getLogger(__name__)


def mathml(tex: str, block: bool = False) -> str:
    """A formula as MathML with its source as the text that is copied.

    Args:
        tex: in LaTeX.
        block: on lines of its own.

    Raises:
        MathError: something that the converter does not know.
    """
    drawn = tex2mathml(re.sub(r"\\dots\b", r"\\ldots", tex.strip()), as_block=block)
    source = f'<annotation encoding="application/x-tex">{escape(tex.strip())}</annotation>'
    opening, _, rest = drawn.partition(">")
    inside, _, _ = rest.rpartition("</math>")
    return f"{opening}><semantics><mrow>{inside}</mrow>{source}</semantics></math>"


def _write(translator: Any, node: Any, block: bool) -> None:
    try:
        drawn = mathml(node.astext(), block)
    except MathError as error:
        LOG.warning("formula %r: %s", node.astext(), error, location=node)
        drawn = f"<code>{escape(node.astext())}</code>"
    kind = "div" if block else "span"
    translator.body.append(f'<{kind} class="math">{drawn}</{kind}>')
    raise nodes.SkipNode


def _inline(translator: Any, node: Any) -> None:
    _write(translator, node, block=False)


def _block(translator: Any, node: Any) -> None:
    _write(translator, node, block=True)


def setup(app: Sphinx) -> dict[str, bool]:
    """Adds the renderer, which ``html_math_renderer`` then names."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
