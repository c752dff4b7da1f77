"""The documentation: what the README must show, completeness of the reference, docstrings against signatures."""

import ast
import importlib
import inspect
import pkgutil
import pydoc
import re
import runpy
from pathlib import Path
from xml.etree import ElementTree

import pytest
from numpydoc.docscrape import NumpyDocString
from numpydoc.validate import validate

import skdiffence

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
SECTIONS = runpy.run_path(str(DOCS / "api_reference.py"))["SECTIONS"]
# Codes of numpydoc's validation that are matters of taste; the house style holds all others.
TASTE = {
    "ES01",  # no extended summary
    "EX01",  # no example: classes have one, by a test below
    "PR08",  # a description that begins with a lower-case letter, as that of an array by its shape may
    "RT02",  # a name before the type of what is returned
    "RT03",  # what is returned without a description, where its name says it
    "SA01",  # no "See Also"
}


def public_modules():
    """Return every importable module of the package that declares what it offers."""
    names = ["skdiffence." + module.name for module in pkgutil.iter_modules(skdiffence.__path__)]
    modules = [importlib.import_module(name) for name in names if not name.split(".")[1].startswith("_")]
    return [module for module in modules if hasattr(module, "__all__")]


OFFERED = sorted((module.__name__, name) for module in public_modules() for name in module.__all__)
OBJECTS = {f"{module}.{name}": getattr(importlib.import_module(module), name) for module, name in OFFERED}
MODULES = sorted({module for module, _ in OFFERED})
CLASSES = sorted(name for name, item in OBJECTS.items() if inspect.isclass(item))


def own_methods(cls):
    """Yield the names of the public methods and properties that our code, not scikit-learn's, gives a class."""
    for name, member in inspect.getmembers(cls):
        function = member.fget if isinstance(member, property) else inspect.unwrap(getattr(member, "fn", member))
        if not name.startswith("_") and getattr(function, "__module__", "").startswith("skdiffence"):
            yield name


def documented(module):
    """Return the dotted paths of what a module offers, and of the methods of its classes."""
    names = [f"{owner}.{name}" for owner, name in OFFERED if owner == module]
    return names + [f"{name}.{method}" for name in names if name in CLASSES for method in own_methods(OBJECTS[name])]


def resolve(path):
    """Return the object of a dotted path below one of OBJECTS."""
    if path in OBJECTS:
        return OBJECTS[path]
    owner, _, method = path.rpartition(".")
    return getattr(OBJECTS[owner], method)


# --- the README, and pages that show the Pipeline -------------------------------------------------


def test_readme_commands_are_those_that_are_tested():
    """The README's test command is the one that continuous integration runs."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    command = "pip install -c constraints.txt tox && tox"
    assert f"\n{command}\n" in readme
    assert f"\n{command}\n" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "\npip install -c constraints.txt '.[plot]' && python -m skdiffence demo\n" in readme


def test_oldest_environment_pins_the_lower_bounds():
    """What ``setup.py`` promises to work with is what ``tox -e oldest`` installs."""
    floors = set(re.findall(r'^ {8}"([\w-]+)>=([\d.]+)",$', (ROOT / "setup.py").read_text(), flags=re.MULTILINE))
    oldest = (ROOT / "tox.ini").read_text().partition("[testenv:oldest]")[2]
    assert floors
    assert floors <= set(re.findall(r"^    ([\w-]+)==([\d.]+)$", oldest, flags=re.MULTILINE))


def test_installation_names_the_torch_of_the_constraints():
    """The build for processors is not replaced by the next command."""
    (pin,) = re.findall(r"^torch==.*$", (ROOT / "constraints.txt").read_text(), flags=re.MULTILINE)
    assert f"whl/cpu {pin}\n" in (DOCS / "installation.rst").read_text(encoding="utf-8")


PIPELINE_PAGES = [
    path.relative_to(ROOT).as_posix()
    for path in [ROOT / "README.md", *sorted(DOCS.rglob("*.rst"))]
    if "Pipeline([" in path.read_text(encoding="utf-8") and "generated" not in path.parts
]


@pytest.mark.parametrize("page", PIPELINE_PAGES)
def test_pages_that_show_the_pipeline_say_that_it_changes_labels(page):
    """The Pipeline form is shown with its price beside it."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for place in re.finditer(r"Pipeline\(\[", text):
        near = text[max(0, place.start() - 900) : place.end() + 900]
        assert re.search(r"changes\s+labels", near)


def test_readme_and_quickstart_show_the_pipeline():
    """The form that people will try first is not left out."""
    assert {"README.md", "docs/quickstart.rst"} <= set(PIPELINE_PAGES)


# --- the API reference ---------------------------------------------------------------------------


def test_reference_lists_each_public_name_once():
    """Every name that a room offers is in the reference, once, and nothing else is; a new room needs a title there."""
    listed = sorted((module, name) for module, _, _, names in SECTIONS for name in names)
    assert listed == OFFERED


def test_front_door_offers_documented_names():
    """What ``skdiffence`` itself offers is the rooms' own objects."""
    assert {name for name in skdiffence.__all__ if not name.startswith("__")} <= {name for _, name in OFFERED}
    for name in skdiffence.__all__:
        if not name.startswith("__"):
            assert any(getattr(skdiffence, name) is item for item in OBJECTS.values())


# --- docstrings ----------------------------------------------------------------------------------


def numpydoc_errors(path):
    """Yield the rules of the house style that a docstring breaks."""
    if not isinstance(resolve(path), property):
        yield from (f"{path}: {code} {text}" for code, text in validate(path)["errors"] if code not in TASTE)
    elif not resolve(path).__doc__:
        yield f"{path}: no docstring"


@pytest.mark.parametrize("module", MODULES)
def test_docstrings_follow_numpydoc(module):
    """Sections in order, every parameter documented with its type, a summary of one sentence."""
    assert [error for path in documented(module) for error in numpydoc_errors(path)] == []


def documented_default(kind):
    """Return the text behind ``default=`` in a parameter's type, or None."""
    found = re.search(r"default=(.+)$", kind)
    return found.group(1).strip() if found else None


def agrees(text, default):
    """Whether a documented default means the value of the signature."""
    if isinstance(default, type):
        return pydoc.locate(text) is default
    try:
        return ast.literal_eval(text) == default
    except (ValueError, SyntaxError):
        # scikit-learn's sentinel for metadata requests is the string "$UNCHANGED$", documented without its signs.
        return text in {repr(default), str(default), str(default).strip("$")}


def wrong_defaults(path):
    """Yield what a docstring says of defaults that its signature does not."""
    item = resolve(path)
    try:
        signature = inspect.signature(item)
    except (TypeError, ValueError):
        return  # a property, or a class without a signature of its own
    kinds = {field.name: field.type for field in NumpyDocString(inspect.getdoc(item) or "")["Parameters"]}
    for name, parameter in signature.parameters.items():
        if kinds.get(name) in {None, "None", "Ignored"}:
            continue  # undocumented is another test's matter; the others are there for the API's sake, and not used
        text = documented_default(kinds[name])
        if parameter.default is inspect.Parameter.empty:
            if text is not None:
                yield f"{path}: {name} has no default, but {text} is documented"
        elif text is None or not agrees(text, parameter.default):
            yield f"{path}: {name} has the default {parameter.default!r}, {text} is documented"


@pytest.mark.parametrize("module", MODULES)
def test_documented_defaults_are_the_signature_s(module):
    """Each default is written, and is the one that holds."""
    assert [error for path in documented(module) for error in wrong_defaults(path)] == []


def test_public_classes_show_an_example():
    """Each class that people construct ends with an example; warnings and base classes do not."""
    bases = {base for name in CLASSES for base in OBJECTS[name].__mro__[1:]}
    constructed = [
        name
        for name in CLASSES
        if not (OBJECTS[name] in bases or issubclass(OBJECTS[name], BaseException) or inspect.isabstract(OBJECTS[name]))
    ]
    assert constructed
    assert [name for name in constructed if not NumpyDocString(inspect.getdoc(OBJECTS[name]))["Examples"]] == []


# --- formulas ------------------------------------------------------------------------------------


def test_index_of_an_accented_letter_stands_beside_it():
    """Formulas are MathML, which docutils writes with the index of an accented letter below it, as that of a sum."""
    mathml = runpy.run_path(str(DOCS / "mathml.py"))["mathml"]
    root = ElementTree.fromstring(mathml(r"\sqrt{\bar\alpha_t} + \sum_{i=1}^n x_i"))
    (accented,) = root.findall(".//msub[mover]")
    assert ["".join(part.itertext()).split() for part in accented] == [["α", "ˉ"], ["t"]]
    assert [each[0].text for each in root.iter("munderover")] == ["∑"]
