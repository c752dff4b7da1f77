"""A defended classifier whose rule and timestep are chosen together, under a budget of calls."""

import warnings
from numbers import Integral, Real

import numpy as np
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils import Bunch
from sklearn.utils.validation import check_is_fitted, column_or_1d

from skdiffence._fitted import is_frozen
from skdiffence.defenses._base import ClassifierWrapper
from skdiffence.defenses._defended import DefendedClassifier
from skdiffence.defenses._diagnosis import check_candidate_numbers
from skdiffence.defenses._timesteps import (
    AUTO,
    EFFECTIVE,
    effective,
    moved_to,
    thawed,
    timestep_to_fit,
    timesteps_to_measure,
)
from skdiffence.defenses._tuning import CandidateTable
from skdiffence.defenses.rules._divergence import standard_error
from skdiffence.defenses.rules._mean import MeanRule
from skdiffence.defenses.rules._registry import make_rule
from skdiffence.defenses.rules._swap import SwapRule
from skdiffence.diffusion import DiffusionRegenerator
from skdiffence.exceptions import DefenseWarning
from skdiffence.metrics import label_columns
from skdiffence.utils._frames import as_numbers
from skdiffence.utils._sklearn import Interval, StrOptions, fit_context, safe_indexing

# What each objective looks at.
OBJECTIVES = {"log_loss": "recalibrated_nll", "failure_detection_auc": "failure_detection_auc", "calls": "calls"}
# The numbers of candidates that "mean" stands for.
AVERAGED = (2, 4, 8, 16)


class RuleToBeChosen(SwapRule):
    """Placeholder for the rule to be chosen, which needs calibration rows of both sides and one candidate."""

    needs_members = True
    needs_non_members = True

    def __repr__(self, N_CHAR_MAX=700):
        return "<to be chosen>"  # in messages to users, who never gave it


class TunedDefendedClassifier(ClassifierWrapper):
    """Choose the rule and the timestep of a defended classifier, under a budget of calls.

    Classifier and denoiser are trained once. Every rule is then measured at every timestep on the calibration rows: the
    divergence between the answers for members and for non-members, the number of calls, and what the answers are worth
    for non-members. Of the settings within the budget whose divergence is within the sampling error of the smallest
    one, the one with the best ``objective`` is chosen; of equally good ones, the one of smallest divergence. Rules that
    are fitted to calibration rows are measured by cross-validation.

    Read more in the :ref:`User Guide <selection_rules>`.

    Parameters
    ----------
    defended : DefendedClassifier
        With all other settings. A denoiser that is trained is trained for the highest timestep.
    timesteps : "auto", sequence of int or None, default="auto"
        Timesteps to choose from. "auto" stands for 120, 160 and 200; where the regenerator resizes images or averages
        channels, for the timesteps of which as much noise is left as these have; and for lower ones if the denoiser
        knows none so high. None keeps the timestep of the regenerator.
    selections : sequence of str or Rule, default=("swap", "mean")
        Rules to choose from. "mean" stands for the means of 2, 4, 8 and 16 candidates, as far as ``max_calls`` and
        ``n_candidates`` of the defended classifier allow.
    objective : {"log_loss", "failure_detection_auc", "calls"}, default="log_loss"
        What is best among the settings that leak least: the lowest log-loss after temperature scaling, the best
        detection of wrong labels, or the fewest calls.
    max_calls : float, default=4.0
        Mean number of denoiser calls for each answer, at most; at least 1.
    tolerance : float, default=1.0
        Number of standard errors by which a divergence may exceed the smallest one. 0 chooses the smallest.
    n_folds : int, default=5
        Number of folds of the calibration rows. A rule that is calibrated is measured on each fold and fitted to the
        others.

    Attributes
    ----------
    best_estimator_ : DefendedClassifier
        The chosen classifier, with its rule fitted to all calibration rows.
    best_params_ : dict
        The chosen ``timestep`` and ``selection``.
    best_index_ : int
        The entry of ``cv_results_`` that was chosen.
    cv_results_ : dict of str to list or ndarray
        One entry for each timestep and rule, in the form of scikit-learn's searches. Settings: ``params``,
        ``param_timestep`` and ``param_selection``; ``effective_timestep`` and ``effective_noise``, the regenerator's
        ``effective_timestep_`` and ``effective_noise_`` at that timestep, NaN if it has none. Measured over all folds
        together: ``test_divergence``, the Cramer-von Mises divergence of phi less what chance gives;
        ``test_divergence_error``, its standard error; ``test_excess_error``, the standard error of its difference from
        the smallest affordable one on the same rows; ``test_calls``, the mean number of candidates; ``test_retention``,
        the share of candidates that keep the label; ``test_nll``, the negative log-likelihood of non-members as the
        answers come; ``test_recalibrated_nll``, the same after temperature scaling by cross-fitting, or by one
        temperature for all rows if few are mislabeled;
        ``test_failure_detection_auc``. These are NaN if the rule could not be fitted. The choice:
        ``affordable``, whether the calls are within the budget; ``eligible``, whether the divergence is within the
        error as well; ``rank_test_score``, the order of preference, 1 for the chosen entry.
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted, in the order of the columns of ``predict_proba``.
    n_features_in_ : int
        Number of features, or of channels of images.
    feature_names_in_ : ndarray of shape (n_features,)
        Column names, where X was a frame with names.

    See Also
    --------
    DefendedClassifier : One rule and one timestep.
    sklearn.model_selection.GridSearchCV : Trains for every setting, and with
        :class:`~skdiffence.model_selection.AttackScorer` scores rows that were held out.

    Notes
    -----
    The figures of ``cv_results_`` come from the rows that the choice was made on and are optimistic for the chosen
    entry. Report figures of other rows. The standard error does not allow for multiple comparisons: of many equally
    good settings, the smallest divergence is low by chance.

    References
    ----------
    Breiman, Friedman, Olshen and Stone: Classification and regression trees, 1984, section 3.4.3, on the one standard
    error rule.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skdiffence.defenses import DefendedClassifier, TunedDefendedClassifier
    >>> from skdiffence.diffusion import DiffusionRegenerator
    >>> X, y = load_wine(return_X_y=True)
    >>> net = make_pipeline(StandardScaler(), LogisticRegression())
    >>> defended = DefendedClassifier(net, DiffusionRegenerator(max_epochs=20), calibration_size=0.2, random_state=0)
    >>> tuned = TunedDefendedClassifier(defended, timesteps=(20, 40), selections=("swap", "lowest")).fit(X, y)
    >>> len(tuned.cv_results_["params"])
    4
    >>> bool((tuned.predict(X) == tuned.best_estimator_.estimator_.predict(X)).all())
    True
    """

    _wrapped = "defended"
    _parameter_constraints: dict = {
        "defended": [DefendedClassifier],
        "timesteps": [StrOptions({"auto"}), "array-like", None],
        "selections": ["array-like"],
        "objective": [StrOptions(set(OBJECTIVES))],
        "max_calls": [Interval(Real, 1, None, closed="left")],
        "tolerance": [Interval(Real, 0, None, closed="left")],
        "n_folds": [Interval(Integral, 2, None, closed="left")],
    }

    def __init__(
        self,
        defended,
        *,
        timesteps="auto",
        selections=("swap", "mean"),
        objective="log_loss",
        max_calls=4.0,
        tolerance=1.0,
        n_folds=5,
    ):
        self.defended = defended
        self.timesteps = timesteps
        self.selections = selections
        self.objective = objective
        self.max_calls = max_calls
        self.tolerance = tolerance
        self.n_folds = n_folds

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y, *, is_member=None, **fit_params):
        """Fit classifier and denoiser once, measure every rule at every timestep, and choose.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features) or (n_samples, channels, height, width)
            Inputs.
        y : array-like of shape (n_samples,)
            Labels.
        is_member : array-like of shape (n_samples,), dtype bool, default=None
            As :meth:`DefendedClassifier.fit` takes it.
        **fit_params : dict
            Passed to the classifier's ``fit`` by metadata routing.

        Returns
        -------
        self : TunedDefendedClassifier

        Raises
        ------
        ValueError
            If there is nothing to choose from, a parameter of a rule is invalid, the regenerator has no timestep, no
            rule can be fitted within the budget, or the classifier is frozen and ``is_member`` is None.
        """
        timesteps, rules = self._check_choices()
        if is_member is None and is_frozen(self.defended.estimator):
            raise ValueError(
                "is_member must say which rows trained the frozen classifier, because only its owner knows. Got None."
            )
        defended = self._fit_once(X, y, is_member, self._routed(fit_params), timesteps)
        X = defended._check_data(X)
        calibration = self._calibration(defended, X, y)
        timesteps = timesteps_to_measure(defended.regenerator_, timesteps)
        measured = self._measure(defended, calibration, timesteps, rules)
        self.cv_results_, self.best_index_ = self._choose(measured)
        self.best_params_ = self.cv_results_["params"][self.best_index_]
        defended = _with_choice(defended, X, calibration, **self.best_params_)
        non_members = np.flatnonzero(~calibration.is_member)
        defended.set_params(calibrate=self.defended.calibrate)
        defended._fit_temperature(safe_indexing(calibration.X, non_members), calibration.y[non_members])
        self.best_estimator_ = defended
        return self

    def _check_choices(self):
        if self.defended.regenerator == "passthrough":
            raise ValueError("defended must have a regenerator to choose a rule for. Got regenerator='passthrough'.")
        rules = _listed(self.selections, "selections")
        if not rules:
            raise ValueError("selections must name at least one rule. Got none.")
        for rule in rules:
            # Names are checked as those of the classifier, and a rule's own parameters, before anything is trained.
            clone(self.defended).set_params(selection=rule)._validate_params()
            make_rule(rule)
        rules = [each for rule in rules for each in (self._means() if rule == "mean" else [rule])]
        if self.timesteps is None:
            return [None], rules
        timesteps = list(AUTO) if isinstance(self.timesteps, str) else _listed(self.timesteps, "timesteps")
        if not timesteps or not all(_is_timestep(step) for step in timesteps):
            raise ValueError(f"timesteps must be whole numbers from 0 on, at least one. Got {self.timesteps!r}.")
        regenerator = self.defended.regenerator
        if regenerator is not None and "timestep" not in thawed(regenerator).get_params(deep=False):
            raise ValueError(
                f"timesteps can't be set on {type(thawed(regenerator)).__name__}, which has no parameter 'timestep'. "
                "Use timesteps=None."
            )
        return "auto" if isinstance(self.timesteps, str) else timesteps, rules

    def _means(self):
        most = min(self.max_calls, self.defended.n_candidates)
        return [MeanRule(n) for n in AVERAGED if n <= most] or [MeanRule(1)]

    def _fit_once(self, X, y, is_member, fit_params, timesteps):
        defended = clone(self.defended).set_params(selection=RuleToBeChosen(), calibrate=None)
        if defended.regenerator is None:
            defended.set_params(regenerator=DiffusionRegenerator())
        if timesteps != [None] and not isinstance(defended.regenerator, FrozenEstimator):
            timestep = timestep_to_fit(defended.regenerator, timesteps, _row_shape(X))
            defended.set_params(regenerator__timestep=timestep)
        with warnings.catch_warnings():
            # At the highest timestep, which may not be chosen; the choice is measured again.
            warnings.filterwarnings("ignore", "Only .* of the candidates", DefenseWarning)
            return defended.fit(X, y, is_member=is_member, **fit_params)

    def _calibration(self, defended, X, y):
        rows = np.flatnonzero(defended.calibrated_on_.contains(X))
        is_member = ~defended.not_trained_on_.contains(safe_indexing(X, rows))
        columns = label_columns(column_or_1d(y)[rows], defended.classes_)
        return Bunch(rows=rows, X=safe_indexing(X, rows), y=columns, is_member=is_member)

    def _measure(self, defended, calibration, timesteps, rules):
        measured = []
        for timestep in timesteps:
            defended.regenerator_ = moved_to(defended.regenerator_, timestep)
            candidates = defended._candidates()
            rules_here = [defended.set_params(selection=rule)._new_rule(0) for rule in rules]
            for rule in rules_here:
                check_candidate_numbers(defended.regenerator_, rule, as_numbers(calibration.X))
            table = CandidateTable(candidates, calibration.X, calibration.y, calibration.is_member, rules_here)
            for name, rule in zip(rules, rules_here, strict=True):
                found = table.measure(rule, self.n_folds)
                left = effective(defended.regenerator_)
                measured.append(Bunch(timestep=timestep, selection=name, retention=table.retention, **left, **found))
        return measured

    def _choose(self, measured):
        compared = [entry.compared for entry in measured]
        divergence = np.array([np.nan if each is None else each.divergence for each in compared])
        calls = np.array([entry.get("calls", np.nan) for entry in measured])
        affordable = calls <= self.max_calls + 1e-9
        if not affordable.any():
            errors = "; ".join(dict.fromkeys(str(entry.error) for entry in measured if "error" in entry))
            raise ValueError(
                f"max_calls={self.max_calls} must allow for one rule at least. The cheapest costs "
                f"{np.min(calls, initial=np.inf, where=~np.isnan(calls)):.3g}. {errors}"
            )
        least = compared[np.argmin(np.where(affordable, divergence, np.inf))]
        excess = np.array([np.nan if each is None else standard_error(each, least) for each in compared])
        eligible = affordable & (divergence - least.divergence <= self.tolerance * excess)
        figures = {
            name: np.array([entry.get(name, np.nan) for entry in measured])
            for name in ("nll", "recalibrated_nll", "failure_detection_auc")
        }
        cost = np.round({**figures, "calls": calls}[OBJECTIVES[self.objective]], 9)
        cost = -cost if self.objective == "failure_detection_auc" else cost
        order = np.lexsort((divergence, cost, ~eligible))
        results = {
            "params": [{"timestep": entry.timestep, "selection": entry.selection} for entry in measured],
            "param_timestep": _objects([entry.timestep for entry in measured]),
            "param_selection": _objects([entry.selection for entry in measured]),
            **{name: np.array([entry[name] for entry in measured]) for name in EFFECTIVE},
            "test_divergence": divergence,
            "test_divergence_error": np.array([np.nan if each is None else standard_error(each) for each in compared]),
            "test_excess_error": excess,
            "test_calls": calls,
            "test_retention": np.array([entry.retention for entry in measured]),
            **{f"test_{name}": values for name, values in figures.items()},
            "affordable": affordable,
            "eligible": eligible,
            "rank_test_score": 1 + np.argsort(order),
        }
        return results, int(order[0])

    def predict(self, X):
        """Return the label that the wrapped classifier predicts for each row.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features) or (n_samples, channels, height, width)
            Inputs.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
        """
        check_is_fitted(self, "best_estimator_")
        return self.best_estimator_.predict(X)

    def predict_proba(self, X):
        """Return class probabilities computed on regenerations of each row, under the chosen rule.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features) or (n_samples, channels, height, width)
            Inputs.

        Returns
        -------
        proba : ndarray of shape (n_samples, n_classes)
            The argmax of each row is the label that ``predict`` returns.
        """
        check_is_fitted(self, "best_estimator_")
        return self.best_estimator_.predict_proba(X)

    def select(self, X):
        """Return class probabilities with the chosen candidate of each row; see :meth:`DefendedClassifier.select`.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features) or (n_samples, channels, height, width)
            Inputs.

        Returns
        -------
        selected : Bunch
        """
        check_is_fitted(self, "best_estimator_")
        return self.best_estimator_.select(X)

    @property
    def classes_(self):
        """The labels."""
        return self.best_estimator_.classes_

    @property
    def n_features_in_(self):
        """Number of features, or of channels of images."""
        return self.best_estimator_.n_features_in_

    @property
    def feature_names_in_(self):
        """Column names, where X was a frame with names."""
        return self.best_estimator_.feature_names_in_

    def __sklearn_is_fitted__(self):
        return hasattr(self, "best_estimator_")


def _listed(values, name):
    """Return a sequence as a list; an array without a dimension is none."""
    if getattr(values, "shape", None) == ():
        raise ValueError(f"{name} must be a sequence, such as a list. Got {values!r}, which is a single value.")
    return list(values)


def _is_timestep(step):
    return isinstance(step, Integral) and not isinstance(step, bool) and step >= 0


def _row_shape(X):
    try:
        return np.shape(X)[1:]
    except (TypeError, ValueError, RuntimeError):  # rows that are no array, which fit refuses
        return ()


def _with_choice(defended, X, calibration, timestep, selection):
    """Return the defended classifier as if it had been fitted with this rule and timestep."""
    defended.set_params(selection=selection)
    defended.regenerator_ = moved_to(defended.regenerator_, timestep)
    if timestep is not None and not isinstance(defended.regenerator, FrozenEstimator):
        defended.set_params(regenerator__timestep=timestep)
    members, non_members = (calibration.rows[side] for side in (calibration.is_member, ~calibration.is_member))
    # Also rules that are not calibrated were chosen on these rows.
    calibrated_on = defended.calibrated_on_
    rows = Bunch(members=members, non_members=non_members, train=members, temperature=non_members[:0])
    defended._fit_rule(X, defended._new_rule(0), rows, None)
    defended.calibrated_on_ = calibrated_on
    return defended


def _objects(values):
    """Return values, such as rules, as a masked array of objects without a mask."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return np.ma.masked_array(array)
