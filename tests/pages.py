"""The pages of the documentation, read and run as a reader would: block by block, from top to bottom."""

import contextlib
import io
import re
import shlex
import textwrap
from dataclasses import dataclass, field
from pathlib import Path

from skdiffence.__main__ import main

ROOT = Path(__file__).parents[1]
# Numbers with a decimal point may differ by this much, and by this share: nets train differently on other machines.
TOLERANCE, SHARE = 0.06, 0.05
_DECIMAL = r"(-?\d+\.\d+)"


@dataclass(frozen=True)
class Block:
    """A code block: what language, what text, and whether it is a file, the output of the last block, or a failure."""

    language: str
    text: str
    options: dict = field(default_factory=dict)

    @property
    def file(self):
        """Name of the file that the block is to be saved as, or None."""
        name = self.options.get("caption", "")
        return name if name.endswith(".py") else None

    def is_a(self, name):
        """Whether the block is of a class."""
        return name in self.options.get("class", "").split()


def fenced_blocks(text):
    """Return the code blocks of a Markdown text; text right below another block is its output."""
    pattern = r"^```(\w+)\n(.*?)^```$\n*(?=(```text$)?)"
    blocks, is_output = [], False
    for language, code, before_text in re.findall(pattern, text, flags=re.MULTILINE | re.DOTALL):
        blocks.append(Block(language, code, {"class": "output"} if is_output else {}))
        is_output = bool(before_text)
    return blocks


def directive_blocks(text):
    """Return the code blocks of a reStructuredText page, dedented."""
    pattern = r"^( *)\.\. code-block:: (\w+)\n((?:\1   :.*\n)*)\n((?:(?:\1   .*)?(?:\n|\Z))+)"
    blocks = []
    for _, language, options, code in re.findall(pattern, text, flags=re.MULTILINE):
        pairs = re.findall(r":(\w+):[ ]*(.*)$", options, flags=re.MULTILINE)
        blocks.append(Block(language, textwrap.dedent(code).strip("\n") + "\n", dict(pairs)))
    return blocks


def read_blocks(page):
    """Return the code blocks of a page, by its path below the root."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return fenced_blocks(text) if page.endswith(".md") else directive_blocks(text)


def page_paths():
    """Return the pages that are written by hand, by their paths below the root."""
    paths = ["README.md", *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.rst"))]
    return [path for path in paths if not path.startswith(("docs/_", "docs/api/", "docs/auto_examples/"))]


def run_page(page, namespace, *, cut=False, skip=lambda block: False):
    """Run the blocks of a page in the working directory, and compare what they print with what the page says.

    Parameters
    ----------
    page : str
        Path below the root.
    namespace : dict
        Globals of the Python blocks.
    cut : bool, default=False
        Whether to train for one epoch only. Outputs are then not compared, and commands not run.
    skip : callable (Block) -> bool, default=never
        Blocks that are not run.
    """
    printed = ""
    for number, block in enumerate(read_blocks(page)):
        if skip(block):
            continue
        if block.is_a("output"):
            assert cut or compare(block.text, printed) is None, f"{page}: {compare(block.text, printed)}"
        elif block.file:
            Path(block.file).write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            code = re.sub(r"max_epochs=[1-9]\d*", "max_epochs=1", block.text) if cut else block.text
            with contextlib.redirect_stdout(io.StringIO()) as stream:
                exec(compile(code, f"{page}, block {number}", "exec"), namespace)
            printed = stream.getvalue()
        elif block.language == "sh" and not cut:
            printed = run_commands(block)


def run_commands(block):
    """Run the audits of a block of shell commands here, and return what they print."""
    with contextlib.redirect_stdout(io.StringIO()) as stream:
        for line in block.text.replace("\\\n", " ").splitlines():
            words = shlex.split(line.removeprefix("python -m "))
            if words[:2] == ["skdiffence", "audit"]:
                assert main(words[1:]) == (1 if block.is_a("fails") else 0), line
    return stream.getvalue()


def compare(expected, printed):
    """Return what is wrong with an output, or None.

    White space does not matter, ``...`` stands for anything, and numbers with a decimal point are compared with a
    tolerance.
    """
    pattern = re.escape(" ".join(expected.split())).replace(r"\.\.\.", ".*?")
    numbers = re.compile(r"(?:\\-)?\d+\\\.\d+")
    found = re.fullmatch(numbers.sub(lambda _: _DECIMAL, pattern), " ".join(printed.split()))
    if found is None:
        return f"the page says\n{expected}\nprinted was\n{printed}"
    pairs = zip(re.findall(r"-?\d+\.\d+", expected), found.groups(), strict=True)
    wrong = [f"{b} for {a}" for a, b in pairs if abs(float(a) - float(b)) > TOLERANCE + SHARE * abs(float(a))]
    return f"the page says\n{expected}\nprinted was {', '.join(wrong)}" if wrong else None
