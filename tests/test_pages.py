"""Code blocks of the documentation run, and print what the pages say."""

import shutil
import sys
import textwrap
from contextlib import contextmanager
from types import ModuleType

import pytest
import torch

from tests.pages import ROOT, Block, compare, directive_blocks, fenced_blocks, page_paths, read_blocks, run_page

QUICK_START = "docs/quickstart.rst"
GOES_ON = "goes on where the :doc:`quick start"
# Fragments take names from the reader's own program; here, those of the quick start and of ``reader_s_names``.
FRAGMENTS = {"docs/cascade.rst", "docs/index.rst", "docs/selection_rules.rst"}
# Run by tests/test_cluster.py, with a cluster.
NOT_RUN = {"docs/scaling.rst"}


def pages():
    """Return the pages with Python code, by their paths below the root."""
    return [path for path in page_paths() if any(block.language == "python" for block in read_blocks(path))]


def has_outputs(page):
    """Whether a page shows what its blocks print."""
    return any(block.is_a("output") for block in read_blocks(page))


def needs_what_is_missing(block):
    """Whether a block needs a download."""
    return '"google/' in block.text


@contextmanager
def reader(folder):
    """Yield the globals of an empty module, with a folder to work in; torch's generator is restored after."""
    # A real module, so that classes which a page defines can be pickled.
    module = ModuleType("page")
    before = set(sys.modules)
    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng():
        patch.chdir(folder)
        patch.syspath_prepend(str(folder))
        patch.setitem(sys.modules, "page", module)
        yield vars(module)
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(folder)):
            del sys.modules[name]


@pytest.fixture
def namespace(tmp_path):
    """Return the globals of an empty module, in an empty folder."""
    with reader(tmp_path) as names:
        yield names


@pytest.fixture(scope="module")
def after_quick_start(tmp_path_factory):
    """Return the globals that the quick start leaves, in the folder that it leaves."""
    with reader(tmp_path_factory.mktemp("reader")) as names:
        run_page(QUICK_START, names, skip=needs_what_is_missing)
        yield names


def reader_s_names(names):
    """Return what fragments take from the reader's program: a net, few rows and a denoiser's folder."""
    shutil.copytree("denoiser", "denoiser-folder", dirs_exist_ok=True)
    rows = {"X": names["X"][:150], "y": names["y"][:150], "X_new": names["X"][150:200]}
    return {**names, **rows, "relaxed_net": names["net"]}


def text_of(page):
    """Return the source of a page."""
    return (ROOT / page).read_text(encoding="utf-8")


LATER = [page for page in pages() if GOES_ON in text_of(page)]
ALONE = [page for page in pages() if page not in {*LATER, *FRAGMENTS, *NOT_RUN, QUICK_START}]


@pytest.mark.parametrize("page", ALONE)
@pytest.mark.filterwarnings("ignore::skdiffence.exceptions.DefenseWarning")
def test_code_blocks_run(page, namespace):
    """Blocks run one after the other. Training is cut short on pages that show no output."""
    run_page(page, namespace, cut=not has_outputs(page), skip=needs_what_is_missing)


@pytest.mark.parametrize("page", LATER)
def test_code_blocks_run_after_the_quick_start(page, after_quick_start):
    """The quick start runs, and so do pages that go on where it ends."""
    run_page(page, dict(after_quick_start), skip=needs_what_is_missing)


@pytest.mark.parametrize("page", sorted(FRAGMENTS))
def test_fragments_run(page, after_quick_start):
    """Fragments run with a net, rows and a denoiser's folder of the reader's own."""
    run_page(page, reader_s_names(after_quick_start))


CODE = "if True:\n\n    x = 1\n"


def test_blocks_of_markdown():
    """Blank lines and indentation are kept, and text right below a block is its output."""
    page = f"a\n\n```python\n{CODE}```\n\n```text\n1\n```\n\nb\n\n```sh\nls\n```\n\nc\n\n```text\n2\n```\n"
    blocks = fenced_blocks(page)
    assert [(block.language, block.text, block.is_a("output")) for block in blocks] == [
        ("python", CODE, False),
        ("text", "1\n", True),
        ("sh", "ls\n", False),
        ("text", "2\n", False),
    ]


def test_blocks_of_restructured_text():
    """Options are read, and blocks are dedented, also at the end of the page."""
    page = "a\n\n.. code-block:: python\n   :caption: b.py\n\n" + textwrap.indent(CODE, "   ") + "\nc\n\n"
    page += "* d\n\n  .. code-block:: text\n     :class: output\n\n     1"
    assert directive_blocks(page) == [
        Block("python", CODE, {"caption": "b.py"}),
        Block("text", "1\n", {"class": "output"}),
    ]
    assert [block.file for block in directive_blocks(page)] == ["b.py", None]


@pytest.mark.parametrize(
    ("expected", "printed", "agrees"),
    [
        ("area 0.70, 5 rows", "area   0.73, 5 rows\n", True),
        ("area 0.70, 5 rows", "area 0.83, 5 rows", False),
        ("area 0.70, 5 rows", "area 0.70, 6 rows", False),
        ("area -0.70", "area 0.70", False),
        ("area -0.70", "area -0.71", True),
        ("area ... rows\nend", "area 0.2 of 7 rows end", True),
        ("area ... rows 0.5", "area 0.2 of 7 rows 0.9", False),
        ("100.0 ms", "104.9 ms", True),
        ("one line", "one line\nanother line", False),
    ],
)
def test_outputs_are_compared(expected, printed, agrees):
    """Words and integers are the same, decimals nearly so."""
    assert (compare(expected, printed) is None) == agrees
