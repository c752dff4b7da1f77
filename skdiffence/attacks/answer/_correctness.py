"""The attack on the predicted label, which a defense that keeps labels has no effect on."""

from skdiffence.attacks._base import SingleQueryAttack
from skdiffence.attacks._known_rows import learn_direction
from skdiffence.attacks._labels import check_labels, query_labels


class CorrectnessAttack(SingleQueryAttack):
    """Call a row a member if it is labeled correctly.

    This is the gap attack. Its balanced accuracy is one half plus half the gap between the target's accuracy on members
    and on non-members. A defense that keeps the labels has no effect on it, so it is a floor for all other attacks.

    Attributes
    ----------
    target_ : classifier
        The target, after ``fit``.
    direction_ : {-1, 1}
        -1 if members are labeled correctly less often than non-members among the known rows, otherwise 1.
    threshold_ : float
        The midpoint of the two scores. With direction 1, exactly the correctly labeled rows are called members.

    See Also
    --------
    ThresholdAttack : With the signal "correctness" it gives the same scores, but calls no row a member where that is as
        accurate.

    Notes
    -----
    Cost: one query of ``predict`` for each row. ``predict_proba`` is not needed.

    References
    ----------
    Yeom et al., "Privacy risk in machine learning: analyzing the connection to overfitting", CSF 2018,
    section 3.1.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.svm import LinearSVC
    >>> from skdiffence.attacks import CorrectnessAttack
    >>> X, y = load_digits(return_X_y=True)
    >>> is_member = y[:400] >= 0
    >>> is_member[::2] = False
    >>> target = LinearSVC(random_state=0).fit(X[:400][is_member], y[:400][is_member])
    >>> attack = CorrectnessAttack().fit(target, X[:200], y[:200], is_member[:200])
    >>> called = attack.predict(X[200:400], y[200:400])
    >>> bool((called == (target.predict(X[200:400]) == y[200:400])).all())
    True
    """

    uses = "labels"

    def _query(self, target, X, y):
        return query_labels(target, X, check_labels(target, X, y))

    def _learn(self, answers, is_member):
        self.direction_ = learn_direction(is_member, answers.correct)
        self.threshold_ = self.direction_ / 2

    def _score(self, answers):
        return self.direction_ * answers.signal("correctness")
