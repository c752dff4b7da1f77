"""Formulas as MathML, which docutils writes from LaTeX: they are read without a script and without a network."""

from xml.etree import ElementTree

from docutils.nodes import SkipNode
from docutils.utils.math.latex2mathml import tex2mathml

ACCENTS = frozenset("ˉˆ˜~^¯")


def as_accent(element):
    """Put the index of an accented letter beside it; docutils writes it below, as that of a sum."""
    if element.tag != "munderover" or element[2].text not in ACCENTS:
        return
    letter, index, accent = element
    over = ElementTree.Element("mover", accent="true")
    over.extend((letter, accent))
    element.tag = "msub"
    element[:] = [over, index]


def mathml(formula, **options):
    """Return a formula of LaTeX as MathML."""
    root = ElementTree.fromstring(tex2mathml(formula, **options).replace("&ApplyFunction;", "\N{FUNCTION APPLICATION}"))
    for element in root.iter():
        element.tag = element.tag.partition("}")[2] or element.tag
        as_accent(element)
    return ElementTree.tostring(root, encoding="unicode")


def visit_inline(translator, node):
    """Write a formula within a line."""
    translator.body.append(mathml(node.astext()))
    raise SkipNode


def visit_block(translator, node):
    """Write a formula on a line of its own, in a box that scrolls where the screen is narrow."""
    translator.body.append(f'<div class="math">{mathml(node.astext(), as_block=True)}</div>\n')
    raise SkipNode


def add_mathml_renderer(app):
    """Register the renderer ``"mathml"`` with Sphinx."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
