"""A rule that combines candidates is one small class: the interface asks for no choice."""

from numbers import Integral

import numpy as np
import pytest
from sklearn.utils import Bunch

from skdiffence.defenses import Rule
from skdiffence.utils._sklearn import Interval
from tests.defenses.cases import defend, digits, quiet
from tests.defenses.regenerators import NoiseRegenerator
from tests.nets import make_net


class Mean(Rule):
    """Answer with the mean of the probabilities on the first candidates, those that change the label included."""

    relabels = True
    ends_early = False

    _parameter_constraints: dict = {"n": [Interval(Integral, 1, None, closed="left")]}

    def __init__(self, n=16):
        self.n = n

    @property
    def max_candidates(self):
        """The number of candidates."""
        return self.n

    def start(self, labels, n_classes, dtype):
        n = len(labels)
        return Bunch(labels=labels, total=np.zeros((n, n_classes)), n_seen=np.zeros(n, int), kept=np.zeros(n, bool))

    def add(self, state, rows, candidate, predicted, proba):
        state.total[rows] += proba
        state.n_seen[rows] += 1
        state.kept[rows] |= predicted == state.labels[rows]

    def unfinished(self, state):
        return state.n_seen < self.n

    def finish(self, state):
        n_seen = state.n_seen[:, None]
        return Bunch(proba=state.total / n_seen, candidate=np.full(len(n_seen), -2), kept=state.kept)


@pytest.mark.parametrize("fallback", ["swap", "original"])
@pytest.mark.parametrize("search", ["lazy", "constant"])
def test_mean_against_a_loop(search, fallback):
    """The mean over the candidates made one by one, the label on top, at the same cost for every row."""
    X, y = digits()
    defended = defend(make_net(), NoiseRegenerator(1.0), selection=Mean(3), search=search, fallback=fallback)
    defended = quiet(defended.fit, X, y)
    candidates = [defended.regenerator_.regenerate(X.astype(np.float32), number) for number in range(3)]
    expected = np.mean([defended.estimator_.predict_proba(rows) for rows in candidates], axis=0)
    labels = np.searchsorted(defended.classes_, defended.predict(X))
    for row in np.flatnonzero(expected.argmax(axis=1) != labels):
        pair = [expected[row].argmax(), labels[row]]
        expected[row, pair] = expected[row, pair[::-1]]
    selected = defended.select(X)
    np.testing.assert_allclose(selected.proba, expected, atol=1e-6)
    assert set(selected.n_regenerations) == {3}
    assert set(selected.candidate) == {-2}
    assert not hasattr(defended.selection_, "total")


def test_a_call_leaves_no_trace_on_the_rule():
    """Whatever a call has to remember belongs to the call: rules are the same before and after."""
    X, y = digits()
    for selection in ("first", "lowest", "nearest", Mean(2)):
        defended = quiet(defend(make_net(), selection=selection).fit, X, y, is_member=np.arange(len(y)) % 2 == 0)
        before = dict(vars(defended.selection_))
        defended.predict_proba(X)
        assert vars(defended.selection_) == before
