"""Scripts in benchmarks/ can be imported and take the options that pages show, and the paper's UNet is the paper's."""

import argparse
import shlex
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import regeneration
import selection_report

from tests.pages import page_paths, read_blocks

SCRIPTS = sorted(path.stem for path in Path(regeneration.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("name", SCRIPTS)
def test_import(name):
    """What a script takes from another one is there."""
    assert import_module(name).__doc__


def shown_commands():
    """Return the commands with a benchmark that a page shows, as (page, words)."""
    for page in page_paths():
        for block in read_blocks(page):
            lines = block.text.replace("\\\n", " ").splitlines() if block.language == "sh" else []
            commands = (shlex.split(line) for line in lines if line.strip().startswith("python benchmarks/"))
            yield from ((page, words[1:]) for words in commands)


class Parsed(Exception):
    """Raised where a script has read its options and would begin."""


@pytest.mark.parametrize(
    "words", [pytest.param(words, id=f"{page}: {' '.join(words)[:80]}") for page, words in shown_commands()]
)
def test_shown_commands_are_understood(words, monkeypatch):
    """Nothing is run: a script stops where it has read its options."""
    parse = argparse.ArgumentParser.parse_args

    def parsed(parser, arguments=None, namespace=None):
        parse(parser, arguments, namespace)
        raise Parsed

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parsed)
    # N stands for several numbers.
    monkeypatch.setattr("sys.argv", ["1" if word == "N" else word for word in words])
    with pytest.raises(Parsed):
        import_module(Path(words[0]).stem).main()


def test_paper_unet():
    """Ho et al. (2020, appendix B) count 35.7 million parameters."""
    n_parameters = sum(weight.numel() for weight in regeneration.paper_unet().parameters())
    assert round(n_parameters / 1e6, 1) == 35.7


def test_paired_difference_of_two_auc():
    """Against the mean and the spread over many draws of both sides."""
    rng = np.random.default_rng(0)

    def draw():
        members, others = rng.normal(size=(2, 300, 1)) + [[[1.0]], [[0.0]]]
        return [tuple(side + rng.normal(size=(300, 1)) * scale for side in (members, others)) for scale in (0.5, 1.5)]

    measured = []
    for _ in range(200):
        one, other = ([side[:, 0] for side in sides] for sides in draw())
        measured.append(selection_report.paired_auc(one, other))
    differences, margins = np.array(measured).T
    assert margins.mean() / 1.96 == pytest.approx(differences.std(), rel=0.12)
