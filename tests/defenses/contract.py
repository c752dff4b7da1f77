"""What a regenerator must do behind a classifier, as functions that a broken one fails."""

import numpy as np

from skdiffence.metrics import logit_signal
from tests.defenses.cases import bare_proba, defend, digits, half, quiet
from tests.nets import make_net


def _defended(regenerator, selection):
    X, y = digits()
    net = make_net(max_epochs=30)
    return quiet(defend(net, regenerator, selection=selection).fit, X, y, is_member=half(y)), X, y


def answers_differ_from_the_undefended(regenerator, selection):
    """No row is answered with the bare classifier's vector."""
    defended, X, _ = _defended(regenerator, selection)
    assert not np.any(np.all(np.isclose(defended.predict_proba(X), bare_proba(defended, X), atol=1e-6), axis=1))


def labels_are_kept_by_most_candidates(regenerator, selection):
    """A regenerator that knows its inputs keeps most labels."""
    defended, _, _ = _defended(regenerator, selection)
    assert all(rates.overall > 0.5 for rates in defended.retention_.values())


def answers_depend_on_the_input(regenerator, selection):
    """Rows of one label are not all answered alike."""
    defended, X, _ = _defended(regenerator, selection)
    proba, labels = defended.predict_proba(X), defended.predict(X)
    counts = [len(np.unique(proba[labels == label].round(6), axis=0)) for label in np.unique(labels)]
    assert np.mean(counts) > 3


def confidence_follows_the_undefended_one(regenerator, selection):
    """What the classifier is sure of stays, in the main, surer than what it is not."""
    defended, X, _ = _defended(regenerator, selection)
    labels = defended.predict(X)
    signals = [logit_signal(labels, proba) for proba in (defended.predict_proba(X), bare_proba(defended, X))]
    with np.errstate(invalid="ignore"):  # A constant signal has no correlation, and NaN is not above 0.3.
        assert np.corrcoef(*signals)[0, 1] > 0.3


CONTRACT = [
    answers_differ_from_the_undefended,
    labels_are_kept_by_most_candidates,
    answers_depend_on_the_input,
    confidence_follows_the_undefended_one,
]
