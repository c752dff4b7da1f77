"""Sphinx configuration. Nothing is fetched while building: the pages come out the same without a network."""

import inspect
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from api_reference import pages  # noqa: E402
from decision_tables import attack_facts  # noqa: E402
from mathml import add_mathml_renderer  # noqa: E402
from rooms import draw  # noqa: E402

import skdiffence  # noqa: E402

project = "skdiffence"
author = "The skdiffence developers"
copyright = "2026, The skdiffence developers"
version = release = skdiffence.__version__

extensions = ["numpydoc", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx_gallery.gen_gallery"]
# Formulas are written as MathML, which browsers draw without a script.
html_math_renderer = "mathml"
templates_path = ["_templates"]
exclude_patterns = ["_build"]
default_role = "literal"

sphinx_gallery_conf = {
    "examples_dirs": "../examples/gallery",
    "gallery_dirs": "auto_examples",
    "ignore_pattern": r"digits\.py",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    # That page takes scripts from the network.
    "write_computation_times": False,
    "remove_config_comments": True,
}

autosummary_generate = True
# The class template lists the members itself, on the class's own page.
numpydoc_show_class_members = False
autodoc_default_options = {"inherited-members": True}
# Signatures as written, not with the values of module constants.
autodoc_preserve_defaults = True
# Methods by their own names in the list beside a page.
toc_object_entries_show_parents = "hide"

html_theme = "pydata_sphinx_theme"
html_title = "skdiffence"
html_show_sourcelink = False
html_static_path = ["_static"]
html_css_files = ["skdiffence.css"]
html_theme_options = {
    "header_links_before_dropdown": 8,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "show_toc_level": 2,
}
# Pages without pages below them have nothing to list beside their text.
html_sidebars = {name: [] for name in ("index", "installation", "quickstart", "search", "genindex")}


def write_if_changed(path, text):
    """Write a page, unless it already reads so: a fresh date would make Sphinx build it again."""
    path.parent.mkdir(exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


for name, text in pages().items():
    write_if_changed(HERE / "api" / f"{name}.rst", text)
write_if_changed(HERE / "api" / "attacks.inc", attack_facts())
write_if_changed(HERE / "api" / "rooms.svg", draw())


def skip_foreign_members(app, what, name, member, skip, options):
    """Leave out what a class inherits from scikit-learn or Python: their own manuals describe it."""
    function = inspect.unwrap(getattr(member, "fget", None) or getattr(member, "fn", None) or member)
    foreign = not (getattr(function, "__module__", None) or "").startswith("skdiffence")
    return True if what == "class" and callable(function) and foreign else skip


def setup(app):
    """Register the hooks."""
    app.connect("autodoc-skip-member", skip_foreign_members)
    add_mathml_renderer(app)
