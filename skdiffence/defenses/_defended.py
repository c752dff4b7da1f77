"""A classifier whose probabilities are those of regenerated inputs, and whose labels are its own."""

from functools import partial
from numbers import Integral, Real

import numpy as np
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils import Bunch
from sklearn.utils.validation import check_is_fitted
from tqdm.auto import tqdm

from skdiffence._fitted import is_frozen
from skdiffence.defenses._answering import Answering
from skdiffence.defenses._base import ClassifierWrapper, check_training_rows
from skdiffence.defenses._calibration import split_rows
from skdiffence.defenses._diagnosis import warn_if_argmax_differs, warn_if_poor
from skdiffence.defenses._fit_classifier import frozen_classes, rows_outside, train
from skdiffence.defenses._responses import Responses
from skdiffence.defenses.rules._base import Rule
from skdiffence.defenses.rules._budgeted import BudgetedRule
from skdiffence.defenses.rules._first import FirstRule
from skdiffence.defenses.rules._lowest import LowestRule
from skdiffence.defenses.rules._matched import MatchedRule
from skdiffence.defenses.rules._members import MembersRule
from skdiffence.defenses.rules._nearest import NearestRule
from skdiffence.defenses.rules._swap import SwapRule
from skdiffence.defenses.rules._within import WithinRule
from skdiffence.diffusion import DiffusionRegenerator
from skdiffence.utils import _skorch as nets
from skdiffence.utils._frames import as_numbers
from skdiffence.utils._random import draw_seed, mix_seed, seed_nested
from skdiffence.utils._rows import RowSet, data_digest
from skdiffence.utils._sklearn import (
    HasMethods,
    Interval,
    StrOptions,
    fit_context,
    num_samples,
    safe_indexing,
)
from skdiffence.utils._validation import index_fit_params

_RULES = {
    "budgeted": BudgetedRule,
    "first": FirstRule,
    "lowest": LowestRule,
    "matched": MatchedRule,
    "members": MembersRule,
    "nearest": NearestRule,
    "swap": SwapRule,
    "within": WithinRule,
}
_EXACT_BATCH = 64
_BLOCK_BYTES = 2**28
_SMALLEST_BLOCK = 2 * _EXACT_BATCH
_MEASURED_ROWS = 256


class DefendedClassifier(ClassifierWrapper):
    """Defend a classifier against membership inference by answering on regenerated inputs.

    The label of a row is the wrapped classifier's, always. Its probabilities are those of a regenerated input: the row
    is noised and denoised into up to ``n_candidates`` candidates, and of those that keep the label a selection rule
    takes one, so that the answers given to members and to non-members of the training set become alike.

    Read more in the :ref:`User Guide <how_it_works>`.

    Parameters
    ----------
    estimator : classifier
        With ``predict`` and ``predict_proba``: a skorch net, a pipeline or any scikit-learn classifier. Nets get
        float32 inputs and encoded labels, all others get X as it comes. ``FrozenEstimator(net)`` is not trained again.
    regenerator : DiffusionRegenerator, "passthrough" or None, default=None
        Makes the candidates; anything with ``fit(X)`` and ``regenerate(X, candidate)``. None is
        ``DiffusionRegenerator()``. "passthrough" answers undefended, with the same rows held out: the baseline.
    n_candidates : int, default=30
        Candidates per row at most.
    selection : str or Rule, default="first"
        Which candidate answers. "first", "lowest" and "swap" need no known rows, "members" known members, "budgeted",
        "matched", "nearest" and "within" known members and non-members. "swap" takes one regeneration for every row,
        "lowest", "nearest" and "within" take four, "budgeted" at most three on average.
    fallback : {"swap", "original"}, default="swap"
        The answer where no candidate keeps the label: the last candidate's with the top entry and the label's
        exchanged, or the undefended one, as in the paper.
    search : {"lazy", "constant"}, default="lazy"
        "lazy" stops at the first candidate that the rule accepts; the number of candidates made, and so the time taken,
        then tells about membership. "constant" makes all of them for every row. The answers are the same.
    calibration_size : float or "auto", default="auto"
        Share of the rows that ``fit`` keeps from training as known non-members, in [0, 1). "auto" is 0.1 where the
        rule needs them and 0 where it does not.
    random_state : int, RandomState instance or None, default=None
        Seeds training, and the regenerator where that has no ``random_state`` of its own. With an integer the
        regenerator's key can be computed by anybody who knows it.
    verbose : int, default=0
        Whether long searches show a progress bar.

    Attributes
    ----------
    estimator_ : classifier
        The fitted classifier; undefended.
    regenerator_ : regenerator or "passthrough"
        The fitted regenerator.
    selection_ : Rule
        The fitted rule.
    interval_ : tuple of two floats
        Values of phi that the rule accepts.
    classes_ : ndarray of shape (n_classes,)
        The labels.
    n_features_in_ : int
        Number of features, or of channels of images.
    feature_names_in_ : ndarray of shape (n_features,)
        Column names, where X was a frame with names.
    n_samples_fit_ : int or None
        Number of rows that trained ``estimator_``; None where it, or a classifier inside it, is frozen.
    retention_ : dict of str to Bunch
        Share of candidates that keep the label, by side ("members", "non_members", or "rows" where the side is
        unknown): ``overall``, ``by_class`` and ``n_rows``.
    fallback_rate_ : dict of str to Bunch
        Share of rows without any candidate that keeps the label, in the same form.
    not_trained_on_ : RowSet
        Keyed digests of rows given to ``fit`` that did not train ``estimator_``.
    calibrated_on_ : RowSet
        Keyed digests of rows that the rule was calibrated on.
    denoiser_saw_members_ : bool or None
        Whether the denoiser was trained on rows of the estimator; None where the regenerator can't tell.

    See Also
    --------
    skdiffence.diffusion.DiffusionRegenerator : Makes the candidates.
    skdiffence.model_selection.AttackScorer : Measures what the answers tell about membership.

    Notes
    -----
    ``predict`` costs what the wrapped classifier's costs. ``predict_proba`` costs one call more for each candidate,
    and as many calls of the denoiser: on average one divided by the label retention under "first", exactly one under
    "swap". Attacks that use labels only are not affected. Probabilities of a classifier with few distinct values, such
    as a small forest, can coincide with the undefended ones by chance.

    References
    ----------
    Peng, Naseh, Houmansadr: Diffence: Fencing Membership Privacy With Diffusion Models, NDSS 2025.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skdiffence import DefendedClassifier, DiffusionRegenerator
    >>> X, y = load_wine(return_X_y=True)
    >>> net = make_pipeline(StandardScaler(), LogisticRegression())
    >>> defended = DefendedClassifier(net, DiffusionRegenerator(max_epochs=20), random_state=0).fit(X, y)
    >>> bool((defended.predict(X) == defended.estimator_.predict(X)).all())
    True
    """

    _parameter_constraints: dict = {
        "estimator": [HasMethods(["fit", "predict", "predict_proba"])],
        "regenerator": [HasMethods(["fit", "regenerate"]), StrOptions({"passthrough"}), None],
        "n_candidates": [Interval(Integral, 1, None, closed="left")],
        "selection": [StrOptions(set(_RULES)), Rule],
        "fallback": [StrOptions({"swap", "original"})],
        "search": [StrOptions({"lazy", "constant"})],
        "calibration_size": [Interval(Real, 0, 1, closed="left"), StrOptions({"auto"})],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        estimator,
        regenerator=None,
        *,
        n_candidates=30,
        selection="first",
        fallback="swap",
        search="lazy",
        calibration_size="auto",
        random_state=None,
        verbose=0,
    ):
        self.estimator = estimator
        self.regenerator = regenerator
        self.n_candidates = n_candidates
        self.selection = selection
        self.fallback = fallback
        self.search = search
        self.calibration_size = calibration_size
        self.random_state = random_state
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y, *, is_member=None, **fit_params):
        """Fit the classifier, the regenerator and the selection rule.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features) or (n_samples, channels, height, width)
            Inputs.
        y : array-like of shape (n_samples,)
            Labels.
        is_member : array-like of shape (n_samples,), dtype bool, default=None
            Which rows train, or trained, the classifier; the others are known non-members that the rule is calibrated
            on. None trains on all rows but a stratified share of ``calibration_size``.
        **fit_params : dict
            Passed to the classifier's ``fit`` by metadata routing, cut to the rows that train it.

        Returns
        -------
        self : DefendedClassifier

        Raises
        ------
        ValueError
            If X or y can't be used, a net holds an instantiated module, a frozen classifier is to be calibrated without
            ``is_member``, or the classifier does not answer probabilities.
        """
        params = self._routed(fit_params)
        X, y = self._check_fit_data(X, y)
        is_member = check_training_rows(is_member, len(y))
        seed = draw_seed(self.random_state)
        rule = self._new_rule(seed)
        rows = self._split(X, y, is_member, rule, mix_seed(seed, "calibration").to_bytes(8, "little"))
        self._fit_estimator(X, y, rows, seed, params)
        self._fit_regenerator(X, rows, seed)
        self._fit_selection(X, rule, rows, is_member)
        return self

    def predict(self, X):
        """Predict the label of each row: the wrapped classifier's, at its own cost.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features) or (n_samples, channels, height, width)
            Inputs.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
        """
        check_is_fitted(self, "selection_")
        return self.classes_[self._responses().labels(self._check_data(X))]

    def predict_proba(self, X):
        """Answer the probabilities of a regenerated input for each row.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features) or (n_samples, channels, height, width)
            Inputs.

        Returns
        -------
        proba : ndarray of shape (n_samples, n_classes)
            The largest entry of each row is that of the label that ``predict`` answers.
        """
        return self.select(X).proba

    def select(self, X):
        """Answer the probabilities and say where they come from.

        This is for the owner of the classifier. Served or logged per row, it tells about membership.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features) or (n_samples, channels, height, width)
            Inputs.

        Returns
        -------
        selected : Bunch
            ``proba`` of shape (n_samples, n_classes), what ``predict_proba`` answers; ``candidate`` of shape
            (n_samples,), the number of the candidate that answers, -1 for the original; ``n_regenerations`` of shape
            (n_samples,), how many were looked at, which leaves out those that a lazy search made ahead of their turn to
            fill a batch; ``kept`` of shape (n_samples,), whether the candidate keeps the label.
        """
        check_is_fitted(self, "selection_")
        X = self._check_data(X)
        if self._is_passthrough():
            return self._select_undefended(X)
        answering = self._answering()
        labels = answering.responses.labels(X)
        parts = []
        with tqdm(total=len(labels), desc="regenerating", unit="row", disable=not self.verbose) as bar:
            for block in self._blocks(len(labels)):
                rows = safe_indexing(X, block)
                advance = partial(_advance, bar, block.start)
                parts.append(answering.select(rows, labels[block], self.selection_, advance))
                advance(num_samples(rows))
        return Bunch(**{name: np.concatenate([part[name] for part in parts]) for name in parts[0]})

    @property
    def interval_(self):
        """Values of phi that the fitted rule accepts."""
        return self.selection_.interval_

    @property
    def denoiser_saw_members_(self):
        """Whether the denoiser was trained on rows of the estimator."""
        if self._is_passthrough():
            return False
        # A frozen regenerator was trained before, on rows that only its owner knows.
        frozen = isinstance(self.regenerator_, FrozenEstimator)
        return None if frozen else getattr(self.regenerator_, "denoiser_saw_members_", None)

    def __sklearn_is_fitted__(self):
        return hasattr(self, "selection_")

    # Fitting

    def _is_passthrough(self):
        return isinstance(self.regenerator, str)

    def _is_frozen(self):
        return is_frozen(self.estimator)

    def _new_rule(self, seed):
        rule = _RULES[self.selection]() if isinstance(self.selection, str) else clone(self.selection)
        return self._seeded(rule, seed, "selection")

    def _seeded(self, estimator, *parts):
        """Seed what has no seed of its own, if this estimator has one."""
        return estimator if self.random_state is None else seed_nested(estimator, *parts)

    def _split(self, X, y, is_member, rule, key):
        needs_calibration = rule.needs_members or rule.needs_non_members
        if self._is_frozen() and is_member is None:
            if needs_calibration:
                raise ValueError(
                    f"selection={self.selection!r} on a frozen estimator needs is_member, because only its owner knows "
                    "which rows trained it. Pass is_member to fit, or use selection='first' or 'swap'."
                )
            return split_rows(X, y, None, 0.0, with_members=False, key=key)
        if is_member is not None and rule.needs_non_members and is_member.all():
            raise ValueError(f"selection={self.selection!r} needs non-members, but is_member marks every row.")
        share = self.calibration_size
        if share == "auto":
            share = 0.1 if rule.needs_non_members else 0.0
        if rule.needs_non_members and share == 0 and is_member is None:
            raise ValueError(f"selection={self.selection!r} needs known non-members. Got calibration_size=0.")
        with_members = needs_calibration or share > 0 or is_member is not None
        return split_rows(X, y, is_member, share, with_members=with_members, key=key)

    def _fit_estimator(self, X, y, rows, seed, params):
        if isinstance(self.estimator, FrozenEstimator):
            self.estimator_, self.classes_ = self.estimator, frozen_classes(self.estimator)
            self.n_samples_fit_, held_out = None, rows.held_out
        else:
            self.estimator_, self.classes_, split_off = train(
                self.estimator,
                safe_indexing(X, rows.train),
                y[rows.train],
                y,
                seed,
                index_fit_params(params, rows.train, len(y)),
                seeded=self.random_state is not None,
            )
            split_off, rows.train = rows.train[split_off], np.delete(rows.train, split_off)
            rows.members = rows.members[~np.isin(rows.members, split_off)]
            # A defense inside may have kept rows to itself, which its own record names.
            n_trained = getattr(self.estimator_, "n_samples_fit_", len(rows.train))
            self.n_samples_fit_ = None if self._is_frozen() else n_trained
            held_out = np.concatenate((rows.held_out, split_off))
        self.not_trained_on_ = rows_outside(X, held_out)
        self._probe(safe_indexing(X, rows.train[:_MEASURED_ROWS]))

    def _probe(self, X):
        """Find out at once whether the classifier answers probabilities, and whose argmax is its label."""
        labels, proba = self._responses()(X)
        if not self._is_passthrough():
            warn_if_argmax_differs(labels, proba, nets.final_estimator(self.estimator_))

    def _fit_regenerator(self, X, rows, seed):
        if self._is_passthrough():
            self.regenerator_ = self.regenerator
            return
        X_denoise = as_numbers(safe_indexing(X, rows.denoise))
        regenerator = DiffusionRegenerator() if self.regenerator is None else self.regenerator
        if not isinstance(regenerator, FrozenEstimator):
            regenerator = self._seeded(clone(regenerator), seed, "regenerator", data_digest(X_denoise))
        self.regenerator_ = regenerator.fit(X_denoise, None)

    def _fit_selection(self, X, rule, rows, is_member):
        sides = {"members": rows.members, "non_members": rows.non_members}
        sides = {side: index for side, index in sides.items() if len(index)}
        if not sides:
            known = not self._is_frozen() or is_member is not None
            sides = {"members" if known else "rows": rows.train[:_MEASURED_ROWS]}
        needed = not self._is_passthrough() and (rule.needs_members or rule.needs_non_members)
        self.retention_, self.fallback_rate_ = {}, {}
        if not self._is_passthrough():
            answering = self._answering()
            measured = {
                side: answering.measure(safe_indexing(X, index), rule, calibrate=needed)
                for side, index in sides.items()
            }
            self.retention_ = {side: measured[side].retention for side in sides}
            self.fallback_rate_ = {side: measured[side].fallback_rate for side in sides}
            phi = {side: measured[side].phi for side in sides} if needed else {}
            rule.fit(phi.get("members"), phi.get("non_members"))
            warn_if_poor(self.retention_, self.fallback_rate_, self.regenerator_, self.n_candidates, swaps=rule.swaps)
        self.selection_ = rule
        calibrated = np.concatenate((rows.members, rows.non_members)) if needed else np.empty(0, dtype=int)
        self.calibrated_on_ = RowSet.of(safe_indexing(X, calibrated)) if len(calibrated) else RowSet.empty()

    # Answering

    def _responses(self):
        exact = not self._is_passthrough() and getattr(getattr(self, "regenerator_", None), "exact", False)
        return Responses(self.estimator_, len(self.classes_), _EXACT_BATCH if exact else None)

    def _answering(self):
        return Answering(
            self._responses(),
            self.regenerator_,
            n_candidates=self.n_candidates,
            fallback=self.fallback,
            lazy=self.search == "lazy",
        )

    def _select_undefended(self, X):
        _, proba = self._responses()(X)
        n = len(proba)
        nothing = np.zeros(n, dtype=int)
        return Bunch(proba=proba, candidate=nothing - 1, kept=np.ones(n, dtype=bool), n_regenerations=nothing)

    def _blocks(self, n):
        """Slices of n rows whose candidates fit in memory."""
        row_bytes = 4 * max(int(np.prod(self.input_shape_)), 1)
        size = max(_BLOCK_BYTES // row_bytes // _SMALLEST_BLOCK, 1) * _SMALLEST_BLOCK
        return [slice(start, start + size) for start in range(0, n, size)]


def _advance(bar, start, n):
    """Move a progress bar to n rows after a start."""
    bar.update(start + n - bar.n)
