"""Membership attacks as a scorer for cross-validation and parameter search."""

import threading
import warnings
from dataclasses import replace
from numbers import Real

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils.metadata_routing import UNCHANGED, MetadataRequest

from skdiffence._evaluation._cross_fit import balanced_rows
from skdiffence._evaluation._measure import (
    LEVELS,
    describe_reversal,
    leak_beyond_labels,
    lowest_reliable_level,
    measure_attack,
    measure_utility,
)
from skdiffence._evaluation._membership import find_membership
from skdiffence._evaluation._named_attacks import check_row_types, named_attacks, row_types
from skdiffence._evaluation._pool import Pool
from skdiffence._evaluation._results import NOT_MEASURED, Estimate
from skdiffence._evaluation._run_attack import describe_unknown_labels, query_target, run_attack
from skdiffence._fitted import denoiser_saw_members
from skdiffence.attacks import get_attack
from skdiffence.attacks._targets import check_target
from skdiffence.exceptions import MembershipWarning
from skdiffence.metrics._operating_point import FEWEST_AT_RATE
from skdiffence.utils._random import draw_seed
from skdiffence.utils._sklearn import Interval, StrOptions, routing_enabled

_METRICS = ("roc_auc", "attack_accuracy", "tpr_at_fpr", "correct_roc_auc", "tnr_at_fnr")
_AUTO_METRICS = _METRICS[:-1]
# The level must be the same in all folds, so it is that of one of ten folds of the pool.
_N_FOLDS = 10
_FEWEST_NON_MEMBERS = 200
# Threads that share a scorer must draw one seed. The lock is not the scorer's own, as a lock can't be pickled.
_DRAWING = threading.Lock()
_STANDARD = (
    "confidence",
    "correctness",
    "entropy",
    "label_only_reference",
    "logit",
    "modified_entropy",
    "non_monotone",
    "reference",
)


class AttackScorer(BaseEstimator):
    """Scorer of membership attacks, of what is left of privacy, and of utility.

    Called as ``scorer(estimator, X, y)``, as scikit-learn's tools for model selection do, it returns one flat dict of
    floats. The estimator is queried about each row once for all attacks.

    Read more in the :ref:`User Guide <attack_scorer>`.

    Parameters
    ----------
    attacks : "standard" or list of str, MembershipAttack or (name, MembershipAttack), default="standard"
        Attacks to run. "standard" stands for "confidence", "correctness", "entropy", "logit", "modified_entropy" and
        "non_monotone", and for "label_only_reference" and "reference" where rows are dense and numeric. A list is used
        as it is. Threshold attacks alone find nothing behind a defense that over-corrects.
    pool : tuple of (X, y) or (X, y, is_member), default=None
        All rows that are given to cross-validation.

        - ``(X, y)``: the rows of a call are the non-members. All other rows of the pool are the members, except those
          that the estimator held out or was calibrated on.
        - ``(X, y, is_member)``: membership is looked up and not inferred. This is for an estimator that was trained
          before, and the only form for a frozen one. If the rows of a call are all members or all non-members, the
          other side is taken from the rest of the pool.
        - None: ``is_member`` must be routed.
    metrics : "auto" or list of str, default="auto"
        Figures of each attack, of "roc_auc", "attack_accuracy", "tpr_at_fpr", "tnr_at_fnr" and "correct_roc_auc".
        "auto" is all but "tnr_at_fnr".
    max_fpr : float or "auto", default="auto"
        False positive rate of "tpr_at_fpr", and false negative rate of "tnr_at_fnr", between 0 and 1. "auto" depends on
        the pool alone, because scikit-learn needs the same keys in all folds. It is the smallest of 0.001, 0.01, 0.05
        and 0.1 that stands for at least ten rows of a tenth of the pool, or 0.1 where a tenth is too small for all of
        these. Of a pool with ``is_member`` only the non-members count. Both figures are left out below 200 rows. If
        ``is_member`` is routed, "auto" is the smallest of these rates that stands for at least ten non-members of the
        call, and both figures are left out below 100: give a number where folds are of unequal size.
    score : str, default=None
        Key of the only figure to return, such as "privacy", for :func:`cross_val_score
        <sklearn.model_selection.cross_val_score>` or for a dict of scorers. None returns the dict.
    known : float, default=0.5
        Share of the attacked rows that the attacker knows, at most 0.5.
    random_state : int, RandomState instance or None, default=None
        Seeds the split into known and scored rows, the choice of members where there are more than non-members, and
        attacks. It is used once, so that all calls split rows alike.

    See Also
    --------
    skdiffence.attacks.ThresholdAttack : One of the attacks.
    skdiffence.metrics.tpr_at_fpr_interval : An interval of a true positive rate.

    Notes
    -----
    The dict holds, for an attack named "entropy":

    - "entropy_roc_auc", the area under the ROC curve. It is below 0.5 only by chance, as the direction is learned;
    - "entropy_attack_accuracy", the balanced accuracy of the attack at the threshold learned on known rows;
    - "entropy_tpr_at_fpr_0.05", the true positive rate at a false positive rate of ``max_fpr``, 0.05 here; also
      "entropy_tnr_at_fnr_0.05" if ``metrics`` names it;
    - "entropy_correct_roc_auc", the area among correctly labeled rows;

    each with "_low" and "_high", the ends of a 95 % confidence interval for these rows, which allows for
    cross-fitting. It also holds

    - "privacy", 1 less the area of the strongest attack (0.5 is the best), with "_low" and "_high";
    - "leak_beyond_labels", the area of the strongest attack on answers less that of the strongest attack that reads
      labels only, with "_low" and "_high", the ends of the interval of the paired difference; left out unless attacks
      of both kinds are run;
    - "accuracy", "neg_log_loss", "expected_calibration_error" and "failure_detection_auc" of the classifier on
      non-members; probabilities are at least 2.2e-16 in "neg_log_loss", where scikit-learn takes 1.2e-7 for float32;
    - "n_members" and "n_non_members", the numbers of attacked rows;
    - "denoiser_saw_members", 1 if ``fit`` trained a denoiser on the members. Such a denoiser is itself a leak.

    A figure is NaN, with a warning, where there is nothing to measure it by, such as failures of a classifier that
    labels all non-members correctly, or where fewer than nine attacked rows of a call stand for ``max_fpr``.

    A call with fewer than four members or non-members to attack is an error. scikit-learn turns errors of scorers into
    NaN and a warning: ``error_score="raise"`` shows the cause.

    The spread over folds is not a confidence interval, since folds share members.

    The attacker knows one half of each side and scores the other half, then the halves change roles. Of the members,
    as many as there are non-members are attacked, chosen by a keyed hash of their content. With ``known`` below 0.5
    the attacker learns from a part of each half.

    Rows are compared by content, numbers exactly as given, and must have the labels that they have in the pool. A row
    with the same content on both sides is left out with a warning. Rows of weight 0 train nothing: leave them out, or
    give ``is_member``. Inferred membership is compared with the number of
    rows that the estimator was trained on. A contradiction is an error. A fitted state that does not record the number
    is warned about.

    A pickled scorer holds no row of its pool. Worker processes of the same machine read the rows from a temporary file
    that only the current user can read. The file is removed with the scorer. On Linux it has no name in any folder, so
    that it also ends with a process that is killed; elsewhere the next scorer removes what a killed process left. A
    scorer that is loaded elsewhere needs the rows again: ``scorer.set_params(pool=(X, y))``.

    References
    ----------
    Yeom et al., "Privacy risk in machine learning: analyzing the connection to overfitting", CSF 2018.

    Carlini et al., "Membership inference attacks from first principles", S&P 2022.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from sklearn.model_selection import cross_validate
    >>> from skdiffence.model_selection import AttackScorer
    >>> X, y = load_digits(return_X_y=True)
    >>> scorer = AttackScorer(["confidence", "entropy"], pool=(X, y), random_state=0)
    >>> forest = RandomForestClassifier(10, random_state=0)
    >>> results = cross_validate(forest, X, y, cv=3, scoring=scorer)
    >>> bool(results["test_confidence_roc_auc"].min() > 0.6)
    True
    >>> [key for key in results if "tpr_at_fpr" in key and not key.endswith(("_low", "_high"))]
    ['test_confidence_tpr_at_fpr_0.1', 'test_entropy_tpr_at_fpr_0.1']
    """

    _parameter_constraints: dict = {
        "attacks": [StrOptions({"standard"}), list, tuple],
        "pool": [Pool, None],
        "metrics": [StrOptions({"auto"}), list, tuple],
        "max_fpr": [Interval(Real, 0, 1, closed="neither"), StrOptions({"auto"})],
        "score": [str, None],
        "known": [Interval(Real, 0, 0.5, closed="right")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        attacks="standard",
        *,
        pool=None,
        metrics="auto",
        max_fpr="auto",
        score=None,
        known=0.5,
        random_state=None,
    ):
        self.attacks = attacks
        self.pool = pool
        self.metrics = metrics
        self.max_fpr = max_fpr
        self.score = score
        self.known = known
        self.random_state = random_state

    @property
    def pool(self):
        """All rows, in a wrapper that never pickles or prints them."""
        return self._pool

    @pool.setter
    def pool(self, data):
        self._pool = data if data is None or isinstance(data, Pool) else Pool(data)

    def set_score_request(self, *, sample_index=UNCHANGED, is_member=UNCHANGED):
        """Request metadata from scikit-learn's tools for model selection.

        Parameters
        ----------
        sample_index : bool, None or str, default=UNCHANGED
            True requests ``sample_index``, a string requests it under another name.
        is_member : bool, None or str, default=UNCHANGED
            True requests ``is_member``, a string requests it under another name.

        Returns
        -------
        self : AttackScorer

        Raises
        ------
        RuntimeError
            If metadata routing is off.
        """
        if not routing_enabled():
            raise RuntimeError("set_score_request needs sklearn.set_config(enable_metadata_routing=True).")
        wanted = {"sample_index": sample_index, "is_member": is_member}
        self._requested = self._requests() | {name: alias for name, alias in wanted.items() if alias is not UNCHANGED}
        return self

    def get_metadata_routing(self):
        """Return the metadata that the scorer requests.

        Returns
        -------
        routing : MetadataRequest
        """
        request = MetadataRequest(owner=self)
        for name, alias in self._requests().items():
            request.score.add_request(param=name, alias=alias)
        return request

    def _requests(self):
        return getattr(self, "_requested", {"sample_index": None, "is_member": None})

    def __sklearn_clone__(self):
        copy = type(self)(**self.get_params(deep=False))
        # A copy splits rows as the original does, and requests the same metadata.
        copy._requested, copy._drawn = self._requests(), (self.random_state, self._seed())
        return copy

    def __call__(self, estimator, X, y=None, *, sample_index=None, is_member=None):
        """Attack a fitted classifier.

        Parameters
        ----------
        estimator : classifier
            Fitted classifier with ``predict_proba``.
        X : array-like of shape (n_samples, ...)
            Rows of the pool. With ``pool=(X, y)`` they are the rows held out of training.
        y : array-like of shape (n_samples,), default=None
            Their true labels, without which nothing is scored.
        sample_index : array-like of shape (n_samples,), default=None
            Places of the rows in the pool, for rows that can't be found by content. Routed.
        is_member : array-like of shape (n_samples,), default=None
            Membership of the rows. The pool is then not used. Routed.

        Returns
        -------
        scores : dict of str to float, or float
            All figures, or the one named by ``score``.

        Raises
        ------
        TypeError
            If the estimator has no ``predict_proba``.
        ValueError
            If true labels are missing, membership is not known or contradicts the estimator, or too few rows are left.
        """
        self._validate_params()
        check_target(estimator, name="estimator")
        metrics = self._metric_names()
        attacks = _attacks_on(X, self.attacks)
        found = find_membership(estimator, self.pool, X, y, sample_index=sample_index, is_member=is_member)
        numbers = self._attack(estimator, found, attacks, metrics)
        _warn_of_undefined(numbers)
        if self.score is None:
            return numbers
        if self.score not in numbers:
            raise ValueError(f"score must be one of {sorted(numbers)}. Got {self.score!r}.")
        return numbers[self.score]

    def _attack(self, estimator, found, attacks, metrics):
        every, candidates = found.rows.keyed(self._seed()), np.flatnonzero(found.attacked)
        chosen = np.zeros(len(every), dtype=bool)
        chosen[candidates[balanced_rows(every.keys[candidates], every.is_member[candidates])]] = True
        rows = every.take(chosen)
        # One query serves the attacks and the utility of the classifier.
        needed = chosen | found.measured
        asked = every.take(needed)
        queried = query_target(estimator, asked.X, asked.y, attacks.values())
        of_rows = replace(queried, answers=queried.answers.take(chosen[needed]))
        if (reversal := describe_reversal(of_rows.answers, rows.is_member)) is not None:
            warnings.warn(reversal, MembershipWarning, stacklevel=3)
        if (unknown := describe_unknown_labels(queried.answers)) is not None:
            effect = "They count as wrong, with a probability of 0: to an attacker, as rows that were not trained on."
            warnings.warn(f"{unknown} {effect}", MembershipWarning, stacklevel=3)
        level = _level(self.max_fpr, found)
        seed = self._seed()
        runs = [run_attack(*named, of_rows, rows, known=self.known, seed=seed) for named in attacks.items()]
        results = [_measure(run, of_rows.answers.correct, rows.is_member, level) for run in runs]
        numbers = {}
        for result in results:
            numbers |= _numbers_of(result, metrics, level, rows.is_member)
        numbers |= _privacy(results).to_dict("privacy")
        leak = leak_beyond_labels(results, {run.name: run.said for run in runs}, rows.is_member)
        numbers |= {} if leak is None else leak.difference.to_dict("leak_beyond_labels")
        numbers |= measure_utility(queried.answers.take(found.measured[needed]))
        numbers |= {"n_members": int(rows.is_member.sum()), "n_non_members": int((~rows.is_member).sum())}
        return numbers | {"denoiser_saw_members": int(denoiser_saw_members(estimator))}

    def _seed(self):
        """Return the seed of all calls, drawn at the first call with this ``random_state``."""
        with _DRAWING:
            drawn_from, seed = getattr(self, "_drawn", (None, None))
            if seed is None or drawn_from is not self.random_state:
                seed = draw_seed(self.random_state)
                self._drawn = (self.random_state, seed)
            return seed

    def __getstate__(self):
        self._seed()  # so that copies in all worker processes split rows alike
        return super().__getstate__()

    def _metric_names(self):
        if isinstance(self.metrics, str):
            return _AUTO_METRICS
        unknown = [name for name in self.metrics if name not in _METRICS]
        if unknown or not self.metrics:
            raise ValueError(f"metrics must be 'auto' or a list of {sorted(_METRICS)}. Got {self.metrics!r}.")
        return self.metrics


def _attacks_on(X, attacks):
    """Return the attacks by name; of the standard ones, those that can be run on such rows."""
    if isinstance(attacks, str):
        suited = row_types(X)
        return named_attacks([name for name in _STANDARD if get_attack(name).row_type in suited])
    named = named_attacks(attacks)
    check_row_types(named, X)
    return named


def _level(max_fpr, found):
    """Return the error rate of the figures at low rates, None to leave them out."""
    if not isinstance(max_fpr, str):
        return float(max_fpr)
    n_possible = found.n_possible
    if n_possible is None:
        return lowest_reliable_level(np.count_nonzero(found.measured))
    if n_possible < _FEWEST_NON_MEMBERS:
        return None
    return lowest_reliable_level(n_possible / _N_FOLDS) or LEVELS[-1]


def _warn_of_undefined(numbers):
    """Warn of figures that are NaN, as scikit-learn does of its own."""
    names = [name for name, value in numbers.items() if np.isnan(value) and not name.endswith(("_low", "_high"))]
    if names:
        warnings.warn(
            f"There is nothing to measure {', '.join(names)} by, so they are NaN: all rows of a side are labeled "
            "correctly, or all wrongly, or too few rows stand for max_fpr.",
            UndefinedMetricWarning,
            stacklevel=3,
        )


def _measure(run, correct, is_member, level):
    levels = () if level is None else (level,)
    result = measure_attack(run.name, run.said, is_member, correct=correct, fpr_levels=levels, fnr_levels=levels)
    return replace(result, label_only=run.label_only)


def _numbers_of(result, metrics, level, is_member):
    """Return the figures of an attack and their ends under the keys of the scorer."""
    figures = {
        "roc_auc": ("roc_auc", result.roc_auc),
        "attack_accuracy": ("attack_accuracy", result.accuracy),
        "correct_roc_auc": ("correct_roc_auc", result.correct_roc_auc),
    }
    if level is not None:
        (tpr,), (tnr,) = result.tpr_at_fpr, result.tnr_at_fnr
        figures["tpr_at_fpr"] = f"tpr_at_fpr_{level:g}", _unless_few(tpr, ~is_member)
        figures["tnr_at_fnr"] = f"tnr_at_fnr_{level:g}", _unless_few(tnr, is_member)
    numbers = {}
    for name, estimate in (figures[metric] for metric in metrics if metric in figures):
        numbers |= estimate.to_dict(f"{result.attack}_{name}")
    return numbers


def _unless_few(point, side):
    # A fold may be too small for the level of all folds. One row fewer, such as a left-out copy, does not matter.
    return NOT_MEASURED if point.max_fpr * np.count_nonzero(side) < FEWEST_AT_RATE - 1 else point.tpr


def _privacy(results):
    """Return 1 less the highest area of several attacks; its interval is made of the attacks' own ones."""
    areas = [result.roc_auc for result in results]
    highest = max(max(auc.high, 1 - auc.low) for auc in areas)
    lowest = max(max(auc.low, 1 - auc.high, 0.5) for auc in areas)
    return Estimate(1 - max(auc.folded().value for auc in areas), 1 - highest, 1 - lowest)
