"""The contract holds for regenerators that work, and each broken one fails at least one part of it."""

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from skdiffence.diffusion import DiffusionRegenerator
from skdiffence.exceptions import DefenseWarning
from tests.defenses.cases import RULES, bare_proba, defend, digits, quiet
from tests.defenses.contract import CONTRACT
from tests.defenses.regenerators import (
    ConstantRegenerator,
    IdentityRegenerator,
    NoiseRegenerator,
    ZeroRegenerator,
)
from tests.nets import make_net

# They refuse where no candidate keeps a label.
LEARN_FROM_KEPT = ("matched", "members", "nearest", "within")


@pytest.mark.parametrize("selection", ["first", "swap"])
@pytest.mark.parametrize("clause", CONTRACT, ids=lambda clause: clause.__name__)
def test_light_noise_keeps_the_contract(clause, selection):
    """The contract asks for nothing that a harmless regenerator can't do."""
    clause(NoiseRegenerator(0.15), selection)


@pytest.mark.parametrize("clause", CONTRACT, ids=lambda clause: clause.__name__)
def test_diffusion_keeps_the_contract(clause):
    """The real regenerator, small and briefly trained."""
    clause(DiffusionRegenerator({"width": 64}, timestep=100, max_epochs=60), "first")


@pytest.mark.parametrize("selection", RULES)
@pytest.mark.parametrize("broken", [ConstantRegenerator, IdentityRegenerator, ZeroRegenerator])
def test_broken_regenerators_fail_the_contract(broken, selection):
    """A contract that a broken regenerator passes is itself broken."""
    failed = []
    for clause in CONTRACT:
        try:
            clause(broken(), selection)
        except (AssertionError, ValueError) as error:
            failed.append((clause.__name__, error))
    assert failed
    assert any(isinstance(error, AssertionError) for _, error in failed) or selection in LEARN_FROM_KEPT


@pytest.mark.parametrize("selection", RULES)
def test_identity_is_warned_about(selection):
    """A regenerator that changes nothing defends nothing, and fit says so, whatever the classifier's dtype."""
    X, y = digits()
    with pytest.warns(DefenseWarning, match="inputs unchanged, so that their answers are undefended"):
        defend(make_net(), IdentityRegenerator(), selection=selection).fit(X + 0.1, y)


def test_integers_too_coarse_are_warned_about():
    """Candidates rounded to integers can be the inputs again."""
    X, y = digits()
    with pytest.warns(DefenseWarning, match="inputs of integers can be too coarse"):
        defend(RandomForestClassifier(5, random_state=0), NoiseRegenerator(0.05)).fit((16 * X).astype(int), y)


@pytest.mark.parametrize(
    ("kind", "selection"), [*(("rows", rule) for rule in RULES), ("images", "first"), ("images", "lowest")]
)
def test_diffusion_behind_every_rule(kind, selection):
    """Labels kept, answers defended, with the real regenerator on rows and on images."""
    X, y = digits(kind)
    denoiser = {"width": 16} if kind == "rows" else {"block_out_channels": (8, 8), "norm_num_groups": 4}
    regenerator = DiffusionRegenerator(denoiser, timestep=60, max_epochs=1)
    defended = quiet(defend(make_net(), regenerator, selection=selection).fit, X, y)
    np.testing.assert_array_equal(defended.predict_proba(X).argmax(axis=1), defended.predict(X))
    assert not np.any(np.all(defended.predict_proba(X) == bare_proba(defended, X), axis=1))
    assert defended.denoiser_saw_members_ is True
    assert defended.regenerator_.key_is_secret_ is False
