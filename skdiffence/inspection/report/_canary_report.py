"""The result of a canary audit."""

from dataclasses import dataclass

import numpy as np
from tabulate import tabulate

from skdiffence.utils._optional import import_optional

_RATE = "tpr_at_fpr_"


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
    attacks : dict of str to dict of str to float
        Figures by attack: ``n_members`` and ``n_non_members``, numbers of pairs of a canary and a model; ``roc_auc``
        and for each rate ``tpr_at_fpr_<rate>``, with ``_low`` and ``_high``; ``tpr_at_fpr_<rate>_reliable``, whether
        the rate stands for at least ten pairs.
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
        reliable = [rate for rate in self._rates() if self._is_reliable(rate)]
        key = f"{_RATE}{reliable[0]}" if reliable else "roc_auc"
        return max(self.attacks, key=lambda name: (self.attacks[name][key], self.attacks[name]["roc_auc"]))

    @property
    def accuracy_sem(self):
        """Standard error of the mean accuracy over models, None without test rows."""
        return None if self.accuracy is None else float(self.accuracy.std(ddof=1) / np.sqrt(len(self.accuracy)))

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
        return pandas.DataFrame.from_dict(self.attacks, orient="index").rename_axis("attack")

    def _rates(self):
        first = next(iter(self.attacks.values()))
        rates = [key.removeprefix(_RATE) for key in first if key.startswith(_RATE) and key.count("_") == 3]
        return sorted(rates, key=float)

    def _is_reliable(self, rate):
        return all(measured[f"{_RATE}{rate}_reliable"] for measured in self.attacks.values())

    def __repr__(self):
        first = next(iter(self.attacks.values()))
        queries = f", {self.n_queries} queries each" if self.n_queries > 1 else ""
        lines = [
            f"{self.n_canaries} {self.kind.replace('_', ' ')} canaries, {self.n_models} models, each once the target: "
            f"{first['n_members']} members, {first['n_non_members']} non-members{queries}",
            "",
            self._table(),
            "",
            f"Intervals of {100 * self.confidence_level:g} %, over canaries and models. The highest of "
            f"{len(self.attacks)} attacks is high by chance as well.",
        ]
        if not all(map(self._is_reliable, self._rates())):
            lines.append("*: fewer than 10 non-members at this rate, which is too few to trust the number.")
        if self.accuracy is not None:
            lines.append(f"Accuracy on test rows {self.accuracy.mean():.4f}, standard error {self.accuracy_sem:.4f}.")
        return "\n".join(lines)

    def _table(self):
        columns = ["roc_auc", *(f"{_RATE}{rate}" for rate in self._rates())]
        heads = ["attack", "AUC", *(f"TPR at FPR {float(rate):.4g}" for rate in self._rates())]
        lines = [
            [name.replace("_", ", "), *(_cell(measured, key) for key in columns)]
            for name, measured in self.attacks.items()
        ]
        return tabulate(lines, heads, disable_numparse=True)


def _cell(measured, key):
    mark = "" if measured.get(f"{key}_reliable", True) else "*"
    return f"{measured[key]:.3f} ({measured[f'{key}_low']:.3f} to {measured[f'{key}_high']:.3f}){mark}"
