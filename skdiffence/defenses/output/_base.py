"""The base of defenses that modify the predicted probabilities of a fitted classifier."""

from abc import ABCMeta, abstractmethod

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skdiffence._fitted import is_frozen, stored_rows
from skdiffence.defenses._base import ClassifierWrapper, check_training_rows
from skdiffence.defenses._calibration import split_rows
from skdiffence.defenses._classifier import in_blocks, put_label_on_top
from skdiffence.defenses._defended import DefendedClassifier
from skdiffence.metrics import label_columns
from skdiffence.utils._random import draw_seed, mix_seed
from skdiffence.utils._rows import RowSet
from skdiffence.utils._secret import SecretBytes
from skdiffence.utils._sklearn import fit_context, safe_indexing


class OutputDefense(ClassifierWrapper, metaclass=ABCMeta):
    """Base of classifiers with the labels of another classifier and modified probabilities.

    A subclass has the parameters ``estimator`` and ``random_state`` and writes ``_change(proba, X)``, which gets a
    block of the rows at a time. One that is fitted to calibration rows also writes ``_calibrate`` and
    ``_share_to_calibrate``.
    """

    _needs_members = False

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y, *, is_member=None, **fit_params):
        """Fit the classifier, and the defense to its probabilities on calibration rows.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features) or (n_samples, channels, height, width)
            Inputs.
        y : array-like of shape (n_samples,)
            Labels.
        is_member : array-like of shape (n_samples,), dtype bool, default=None
            True for rows that train, or trained, the classifier. The others are known non-members. None trains on all
            rows but the share that is held out for calibration.
        **fit_params : dict
            Passed to the classifier's ``fit`` by metadata routing, cut to the rows that train it.

        Returns
        -------
        self : classifier

        Raises
        ------
        ValueError
            If X, y, ``is_member`` or a parameter is invalid, or there are no calibration rows.
        """
        self._check_params()
        X, y = self._check_fit_data(X, y)
        is_member = check_training_rows(is_member, len(y))
        seed = draw_seed(self.random_state)
        self.key_ = SecretBytes(mix_seed(seed, "answers").to_bytes(8, "little"))
        rows = self._split(X, y, is_member, mix_seed(seed, "calibration").to_bytes(8, "little"))
        undefended = self._fit_undefended(X, y, is_member, rows, seed, fit_params)
        self.classes_, self.not_trained_on_ = undefended.classes_, undefended.not_trained_on_
        self.undefended_ = undefended
        # A net, or a classifier inside, can hold out some of the members by itself.
        rows.members = rows.members[~stored_rows(undefended, safe_indexing(X, rows.members)).not_trained_on]
        self.calibrated_on_ = self._calibrate_on(X, y, rows, seed)
        self.n_samples_fit_ = undefended.n_samples_fit_
        return self

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
        X = self._check_question(X)
        return self.classes_[self._classifier().predict(X)]

    def predict_proba(self, X):
        """Return modified probabilities with the argmax preserved.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features) or (n_samples, channels, height, width)
            Inputs.

        Returns
        -------
        proba : ndarray of shape (n_samples, n_classes)

        Raises
        ------
        ValueError
            If X is invalid, or a parameter that was set after ``fit``.
        """
        return in_blocks(self._defended, self._check_question(X))

    @property
    def estimator_(self):
        """The fitted classifier; undefended."""
        return self.undefended_.estimator_

    # For subclasses

    def _check_params(self):
        """Raise an error for a parameter that ``_parameter_constraints`` let pass."""

    def _check_question(self, X):
        """Return validated X, to be answered with the parameters as they are now."""
        check_is_fitted(self)
        # Answers follow parameters that were set after fit.
        self._validate_params()
        self._check_params()
        return self._check_data(X)

    def _share_to_calibrate(self):
        """Return the share of the rows to hold out if ``is_member`` is None; 0 if no calibration rows are needed."""
        return 0.0

    def _calibrate(self, members, non_members, seed):
        """Fit to (proba, true labels as column indices) of each side; a label without a column is -1."""

    @abstractmethod
    def _change(self, proba, X):
        """Return modified probabilities, as a new array."""

    # Inside

    def _split(self, X, y, is_member, key):
        share = self._share_to_calibrate()
        if share and is_member is not None and is_member.all():
            raise ValueError(f"{type(self).__name__} needs known non-members, but is_member marks every row.")
        if share and is_member is None and is_frozen(self.estimator):
            raise ValueError(
                f"{type(self).__name__} on a frozen estimator needs is_member, because only its owner knows which rows "
                "trained it. Pass is_member to fit."
            )
        return split_rows(X, y, is_member, share, with_members=self._needs_members, key=key)

    def _fit_undefended(self, X, y, is_member, rows, seed, fit_params):
        if is_member is None and len(rows.held_out):
            is_member = np.ones(len(y), dtype=bool)
            is_member[rows.held_out] = False
        random_state = None if self.random_state is None else mix_seed(seed, "estimator") % 2**31
        undefended = DefendedClassifier(self.estimator, "passthrough", random_state=random_state)
        return undefended.fit(X, y, is_member=is_member, **fit_params)

    def _calibrate_on(self, X, y, rows, seed):
        if not self._share_to_calibrate():
            return RowSet.empty()
        n = min(len(rows.members), len(rows.non_members)) if self._needs_members else len(rows.non_members)
        used = {"members": rows.members[:n], "non_members": rows.non_members[:n]}
        if not n:
            raise ValueError(
                f"calibration_size={self.calibration_size!r} leaves {type(self).__name__} no calibration rows: the "
                "classifier inside holds them out itself. Raise it."
            )
        sides = [self._known(safe_indexing(X, index), y[index]) for index in used.values()]
        self._calibrate(*sides, seed)
        return RowSet.of(safe_indexing(X, np.concatenate(list(used.values()))))

    def _known(self, X, y):
        if not len(y):
            return None
        return self._answers(X)[1], label_columns(y, self.classes_)

    def _classifier(self):
        return self.undefended_._classifier()

    def _defended(self, X):
        labels, proba = self._answers(X)
        return put_label_on_top(self._change(proba, X), labels)

    def _answers(self, X):
        """Return labels as column indices, and probabilities in float64 whose argmax is the label."""
        labels, proba = self._classifier().predict_both(X)
        return labels, put_label_on_top(np.array(proba, dtype=np.float64), labels)
