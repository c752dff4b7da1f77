"""Sphinx configuration. Nothing is fetched while building: the pages come out the same without a network."""

import inspect
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from api_reference import SECTIONS  # noqa: E402
from rooms import draw  # noqa: E402

import skdiffence  # noqa: E402

project = "skdiffence"
author = "The skdiffence developers"
copyright = "2026, The skdiffence developers"
version = release = skdiffence.__version__

extensions = ["numpydoc", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.mathjax"]
templates_path = ["_templates"]
exclude_patterns = ["_build"]
default_role = "literal"

autosummary_generate = True
# The class template lists the members itself, on the class's own page.
numpydoc_show_class_members = False
autodoc_default_options = {"inherited-members": True}
# Signatures as written, not with the values of module constants.
autodoc_preserve_defaults = True

html_theme = "pydata_sphinx_theme"
html_title = "skdiffence"
html_show_sourcelink = False
html_theme_options = {"navigation_with_keys": False, "show_toc_level": 2, "secondary_sidebar_items": ["page-toc"]}


def reference_section(module, title, sentence, names):
    """Return the reStructuredText of one section of the API index."""
    lines = [title, "-" * len(title), "", f".. currentmodule:: {module}", "", f"{sentence} (:mod:`{module}`)", ""]
    lines += [".. autosummary::", "   :toctree: generated", "   :nosignatures:", ""]
    return "\n".join([*lines, *(f"   {name}" for name in names), ""])


def reference_page():
    """Return the reStructuredText of the API index."""
    title = "API reference"
    intro = "Everything public, by the room it lives in. Names that begin with an underscore are not part of it."
    sections = [reference_section(*section) for section in SECTIONS]
    return "\n".join([".. _api:", "", title, "=" * len(title), "", intro, "", *sections])


def write_if_changed(path, text):
    """Write a page, unless it already reads so: a fresh date would make Sphinx build it again."""
    path.parent.mkdir(exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


write_if_changed(HERE / "api" / "index.rst", reference_page())
write_if_changed(HERE / "api" / "rooms.svg", draw())


def skip_foreign_members(app, what, name, member, skip, options):
    """Leave out what a class inherits from scikit-learn or Python: their own manuals describe it."""
    function = inspect.unwrap(getattr(member, "fget", None) or getattr(member, "fn", None) or member)
    foreign = not (getattr(function, "__module__", None) or "").startswith("skdiffence")
    return True if what == "class" and callable(function) and foreign else skip


def setup(app):
    """Register the hooks."""
    app.connect("autodoc-skip-member", skip_foreign_members)
