"""The source, read and not run: who may import whom, and what the library never does."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "skdiffence"
# A room imports from rooms of a lower rank, and from itself.
RANKS = {
    "exceptions": 0,
    "utils": 1,
    "base": 2,
    "datasets": 3,
    "diffusion": 3,
    "metrics": 3,
    "attacks": 4,
    "defenses": 4,
    "_evaluation": 5,
    "model_selection": 6,
    "inspection": 6,
    "_demo": 7,
    "__main__": 8,
}
SPEAKERS = {"__main__", "_demo"}
EXTRAS = {"art", "matplotlib", "opacus", "pandas", "skops"}
SOURCES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")
TEXTS = sorted(
    path
    for pattern in ("skdiffence/**/*.py", "tests/**/*.py", "docs/*.rst", "docs/*.py", "examples/**/*.py")
    for path in ROOT.glob(pattern)
) + [ROOT / name for name in ("README.md", "setup.py", "tox.ini", "pyproject.toml", "constraints.txt", ".ci/run")]


def source_id(path):
    return str(path.relative_to(ROOT))


def room_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def package_of(path):
    """Return the dotted parts of the package that a file's relative imports start from."""
    return list(path.relative_to(ROOT).parent.parts)


def imports_of(path, tree=None):
    """Yield (module, name or None) for each import statement of a file, relative ones made absolute."""
    for node in ast.walk(tree or tree_of(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package_of(path)
            base = parents[: len(parents) - node.level + 1] if node.level else []
            module = ".".join(base + ([node.module] if node.module else []))
            yield from ((module, alias.name) for alias in node.names)


def front_door_names(tree):
    """Return what a file that says ``import skdiffence`` takes from it."""
    dots = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)]
    return {node.attr for node in dots if node.value.id == "skdiffence"}


def imported_rooms(path):
    """Return the rooms that a file imports from; "" stands for the package itself, whose version alone is free."""
    for module, name in imports_of(path):
        parts = module.split(".") + ([name] if name else [])
        if parts == ["skdiffence"]:
            parts *= 2 * bool(front_door_names(tree_of(path)) - {"__version__"})
        if parts and parts[0] == "skdiffence" and parts != ["skdiffence", "__version__"]:
            yield parts[1] if len(parts) > 1 and parts[1] in RANKS else ""


def statements_at_import(tree):
    """Yield the nodes that run when a module is imported: all but the bodies of functions."""
    pending = [tree]
    while pending:
        node = pending.pop()
        yield node
        pending.extend(
            child
            for child in ast.iter_child_nodes(node)
            if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        )


def test_every_room_has_a_rank():
    """A new room must be given its place in the order before anything is put there."""
    assert {room_of(path) for path in SOURCES} <= set(RANKS)


@pytest.mark.parametrize("path", SOURCES, ids=source_id)
def test_imports_run_one_way(path):
    """A file imports its own room and lower ones, never its equals or the package's front door."""
    room = room_of(path)
    for other in imported_rooms(path):
        assert other, f"{source_id(path)} imports from skdiffence itself; import from the room"
        assert other == room or RANKS[other] < RANKS[room], f"{room} imports {other}"


@pytest.mark.parametrize("path", SOURCES, ids=source_id)
def test_private_sklearn_names_are_imported_in_utils_only(path):
    """One file to mend when scikit-learn moves a private name."""
    if room_of(path) == "utils":
        return
    private = [
        f"{module}:{name}"
        for module, name in imports_of(path)
        if module.split(".")[0] == "sklearn" and re.search(r"(^|[.:])_(?!_)", f"{module}:{name}")
    ]
    assert not private


@pytest.mark.parametrize("path", SOURCES, ids=source_id)
def test_library_does_not_print(path):
    """Only what the command line runs speaks to the standard output."""
    if room_of(path) in SPEAKERS:
        return
    calls = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.Call)]
    assert not [call.lineno for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"]


@pytest.mark.parametrize("path", SOURCES, ids=source_id)
def test_extras_are_imported_where_they_are_used(path):
    """The package imports without any of its optional dependencies."""
    found = set()
    for node in statements_at_import(tree_of(path)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            found |= {module.split(".")[0] for module, _ in imports_of(path, node)}
    assert not found & EXTRAS


@pytest.mark.parametrize("path", SOURCES, ids=source_id)
def test_global_generators_are_not_used(path):
    """Randomness comes from ``random_state`` and keys: nothing seeds or draws from a global generator."""
    text = path.read_text(encoding="utf-8")
    banned = r"np\.random\.(seed|rand|randn|randint|random|normal|uniform|permutation|shuffle|choice)\("
    assert not re.findall(banned + r"|(?<!\w)random\.(seed|random|shuffle|choice)\(", text)


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*/__init__.py")), ids=source_id)
def test_rooms_export_a_sorted_list_and_nothing_else(path):
    """A room's front door is one sentence, imports and a sorted ``__all__``."""
    tree = tree_of(path)
    assert ast.get_docstring(tree).count("\n") == 0
    body = [node for node in tree.body[1:] if not isinstance(node, (ast.Import, ast.ImportFrom))]
    assert all(isinstance(node, ast.Assign) and node.targets[0].id == "__all__" for node in body)
    for node in body:
        names = ast.literal_eval(node.value)
        assert names == sorted(set(names))


@pytest.mark.parametrize("path", SOURCES, ids=source_id)
def test_modules_in_rooms_are_private(path):
    """What a room offers is what its ``__init__`` exports."""
    if len(path.relative_to(PACKAGE).parts) > 1:
        assert path.name.startswith("_")


@pytest.mark.parametrize("path", [path for path in TEXTS if path != Path(__file__)], ids=source_id)
def test_no_file_names_a_place_of_one_machine(path):
    """The project must mean the same on every machine."""
    places = r"(?<![\w.}$])/(home|root|tmp|work|opt|Users)/"
    assert not re.findall(places, path.read_text(encoding="utf-8"))
