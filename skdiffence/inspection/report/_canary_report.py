"""The result of a canary audit."""

from dataclasses import dataclass

import numpy as np
from tabulate import tabulate

from skdiffence.utils._optional import import_optional


@dataclass(frozen=True, repr=False, eq=False)
class CanaryAudit:
    """The result of :func:`canary_audit`.

    Parameters
    ----------
    kind : str
        Kind of the canaries.
    canaries : ndarray of shape (n_canaries,)
        Indices of the audited rows.
    membership : ndarray of shape (n_canaries, n_models), dtype bool
        True where the canary trained the model.
    scores : dict of str to ndarray of shape (n_canaries, n_models)
        Scores by attack, higher for likelier members. NaN if it is unknown whether the canary trained the model.
    attacks : dict of str to AttackResult
        Figures by attack, over all pairs of a canary and a model.
    row_auc : dict of str to ndarray of shape (n_canaries,)
        By signal, the AUC with which a canary's answers separate the models that it trained from the others. Rows that
        stand out are at risk, but of many rows some stand out by chance: with 32 models of each side the standard
        deviation is 0.07 without any leak.
    accuracy : ndarray of shape (n_models,) or None
        Accuracy of each model on the test rows.
    confidence_level : float
        Coverage of the intervals.
    n_queries : int
        Number of queries to each model about each canary.

    See Also
    --------
    canary_audit : Run a canary audit.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from skdiffence.inspection import canary_audit
    >>> X, y = load_digits(return_X_y=True)
    >>> result = canary_audit(GaussianNB(), X[:200], y[:200], n_shadows=8, n_resamples=100, random_state=0)
    >>> sorted(result.attacks)
    ['lira_hinge', 'lira_logit', 'threshold_correctness', 'threshold_hinge', 'threshold_logit']
    >>> result.worst in result.attacks
    True
    """

    kind: str
    canaries: np.ndarray
    membership: np.ndarray
    scores: dict
    attacks: dict
    row_auc: dict
    accuracy: np.ndarray
    confidence_level: float
    n_queries: int

    @property
    def n_canaries(self):
        """Number of canaries that were audited."""
        return len(self.canaries)

    @property
    def n_models(self):
        """Number of models, each once the target."""
        return self.membership.shape[1]

    @property
    def worst(self):
        """Name of the attack with the highest true positive rate at the lowest reliable level, or else highest AUC."""
        reliable = [place for place, points in self._rates() if all(point.is_reliable for point in points)]

        def strength(name):
            attack = self.attacks[name]
            figure = attack.tpr_at_fpr[reliable[0]].tpr if reliable else attack.roc_auc
            return figure.value, attack.roc_auc.value

        return max(self.attacks, key=strength)

    @property
    def accuracy_sem(self):
        """Standard error of the mean accuracy over models, None without test rows."""
        return None if self.accuracy is None else float(self.accuracy.std(ddof=1) / np.sqrt(len(self.accuracy)))

    def n_pairs(self, attack):
        """Return the numbers of pairs of a canary and a model that an attack scored.

        Parameters
        ----------
        attack : str
            Its name.

        Returns
        -------
        n_members, n_non_members : int
            Pairs of which the canary trained the model, and others.
        """
        is_member = self.membership[~np.isnan(self.scores[attack])]
        return int(is_member.sum()), int((~is_member).sum())

    def to_dict(self):
        """Return the figures of all attacks as plain values.

        Returns
        -------
        figures : dict of str to dict
            By attack: ``n_members`` and ``n_non_members``, numbers of pairs of a canary and a model; ``roc_auc`` and
            for each rate ``tpr_at_fpr_<rate>``, with ``_low`` and ``_high``; ``tpr_at_fpr_<rate>_reliable``, whether
            the rate stands for at least ten pairs.
        """
        return {name: self._figures(name) for name in self.attacks}

    def to_frame(self):
        """Return the figures of all attacks as a data frame.

        Returns
        -------
        frame : pandas.DataFrame
            One row for each attack, whose name is its index.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        pandas = import_optional("pandas", extra="audit")
        return pandas.DataFrame.from_dict(self.to_dict(), orient="index").rename_axis("attack")

    def _figures(self, name):
        attack = self.attacks[name]
        figures = dict(zip(("n_members", "n_non_members"), self.n_pairs(name), strict=True))
        figures |= attack.roc_auc.to_dict("roc_auc")
        for point in attack.tpr_at_fpr:
            key = f"tpr_at_fpr_{point.max_fpr:g}"
            figures |= {**point.tpr.to_dict(key), f"{key}_reliable": point.is_reliable}
        return figures

    def _rates(self):
        """Return the false positive rates in ascending order: the place of each, and the points of all attacks."""
        points = list(zip(*(attack.tpr_at_fpr for attack in self.attacks.values()), strict=True))
        return sorted(enumerate(points), key=lambda rate: rate[1][0].max_fpr)

    def __repr__(self):
        n_members, n_others = self.n_pairs(next(iter(self.attacks)))
        queries = f", {self.n_queries} queries each" if self.n_queries > 1 else ""
        lines = [
            f"{self.n_canaries} {self.kind.replace('_', ' ')} canaries, {self.n_models} models, each once the target: "
            f"{n_members} members, {n_others} non-members{queries}",
            "",
            self._table(),
            "",
            f"Intervals of {100 * self.confidence_level:g} %, over canaries and models. The highest of "
            f"{len(self.attacks)} attacks is high by chance as well.",
        ]
        if not all(point.is_reliable for _, points in self._rates() for point in points):
            lines.append("*: fewer than 10 non-members at this rate, which is too few to trust the number.")
        if self.accuracy is not None:
            lines.append(f"Accuracy on test rows {self.accuracy.mean():.4f}, standard error {self.accuracy_sem:.4f}.")
        return "\n".join(lines)

    def _table(self):
        places = [place for place, _ in self._rates()]
        heads = ["attack", "AUC", *(f"TPR at FPR {points[0].max_fpr:.4g}" for _, points in self._rates())]
        lines = []
        for name, attack in self.attacks.items():
            points = [attack.tpr_at_fpr[place] for place in places]
            marked = [_interval(point.tpr) + "*" * (not point.is_reliable) for point in points]
            lines.append([name.replace("_", ", "), _interval(attack.roc_auc), *marked])
        return tabulate(lines, heads, disable_numparse=True)


def _interval(estimate):
    return f"{estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"
