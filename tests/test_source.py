"""The source, read and not run, where neither ruff nor import-linter can hold a rule of the house."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "skdiffence"
TEXTS = ("skdiffence/**/*.py", "tests/**/*.py", "docs/*.rst", "docs/*.py", "examples/**/*.py", "benchmarks/**/*.py")
OTHERS = ("README.md", "setup.py", "tox.ini", "pyproject.toml", "constraints.txt", ".ci/run")


def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def private_imports(path, library):
    """Yield the dotted names that a file imports from a library and that are private to it."""
    for node in ast.walk(tree_of(path)):
        prefix = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [f"{prefix}{alias.name}" for alias in node.names]
            yield from (name for name in names if re.match(rf"{library}\b.*\._(?!_)", name))


def test_private_sklearn_names_are_imported_in_utils_only():
    """One file to mend when scikit-learn moves a private name."""
    paths = [path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE / "utils"]
    assert {str(path): names for path in paths if (names := list(private_imports(path, "sklearn")))} == {}
    assert list(private_imports(PACKAGE / "utils" / "_sklearn.py", "sklearn"))


def test_benchmarks_import_no_private_name_but_the_demo_s():
    """Benchmarks show what users can do; what else they need, they share with the demo."""
    found = {
        str(path): names
        for path in (ROOT / "benchmarks").rglob("*.py")
        if (names := [n for n in private_imports(path, "skdiffence") if not n.startswith("skdiffence._demo.")])
    }
    assert found == {}


def test_rooms_export_a_sorted_list_and_nothing_else():
    """A package's ``__init__`` is one sentence, imports and a sorted ``__all__``."""
    for path in PACKAGE.glob("*/**/__init__.py"):
        tree = tree_of(path)
        assert ast.get_docstring(tree).count("\n") == 0, path
        for node in tree.body[1:]:
            if not isinstance(node, (ast.Import, ast.ImportFrom)):
                assert isinstance(node, ast.Assign), path
                assert node.targets[0].id == "__all__", path
                names = ast.literal_eval(node.value)
                assert names == sorted(set(names)), path


def test_modules_in_rooms_are_private():
    """What a room offers is what its ``__init__`` exports."""
    assert [path for path in PACKAGE.glob("*/**/*.py") if not path.name.startswith("_")] == []


def test_no_file_names_a_place_of_one_machine():
    """The project must mean the same on every machine."""
    places = re.compile(r"(?<![\w.}$])/(home|root|tmp|work|opt|Users)/")
    paths = [path for pattern in TEXTS for path in ROOT.glob(pattern)] + [ROOT / name for name in OTHERS]
    found = [path for path in paths if path != Path(__file__) and places.search(path.read_text(encoding="utf-8"))]
    assert found == []
