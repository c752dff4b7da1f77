"""Every script in benchmarks/ can be imported, and the paper's UNet is the paper's."""

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import regeneration
import selection_report

SCRIPTS = sorted(path.stem for path in Path(regeneration.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("name", SCRIPTS)
def test_import(name):
    """What a script takes from another one is there."""
    assert import_module(name).__doc__


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
