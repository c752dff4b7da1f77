"""The distilled defense: the wrapped classifier's labels, with the probabilities of a student that saw public rows."""

import warnings

import numpy as np
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils import Bunch
from sklearn.utils.validation import check_is_fitted, has_fit_parameter

from skdiffence._fitted import is_frozen, n_training_rows, stored_rows
from skdiffence.defenses._base import ClassifierWrapper, check_training_rows
from skdiffence.defenses._classes import frozen_classes
from skdiffence.defenses._classifier import FittedClassifier, put_label_on_top
from skdiffence.defenses._defended import DefendedClassifier
from skdiffence.defenses._fit_classifier import rows_outside
from skdiffence.defenses.training._distillation import check_student, distill, output_order, student_proba
from skdiffence.exceptions import MembershipWarning
from skdiffence.utils._frames import is_frame
from skdiffence.utils._random import draw_seed, mix_seed, seed_nested
from skdiffence.utils._rows import RowSet, data_digest
from skdiffence.utils._sklearn import HasMethods, Hidden, fit_context, num_samples, safe_indexing
from skdiffence.utils._skorch import check_uninstantiated
from skdiffence.utils._unsaved import Unsaved

# In place of the number of a candidate: no single one gives the answer.
_NO_CANDIDATE = -2


class PublicRows(Unsaved):
    """Public rows as a parameter."""

    _name = "public data"
    _lost = (
        "public has no rows here: a DistilledDefense is saved without them. To fit it again, give it the rows: "
        "set_params(public=X_public)."
    )


class DistilledDefense(ClassifierWrapper):
    """Answer with the probabilities of a student that learned from a defended classifier on public rows.

    The predicted label of a row is always the wrapped classifier's. The probabilities are the student's, with the
    largest one and the label's exchanged where they differ. The denoiser is needed by ``fit`` only.

    Read more in the :ref:`User Guide <distilled_defense>`.

    Parameters
    ----------
    defended : classifier
        The teacher: a :class:`DefendedClassifier`, or any classifier with ``predict`` and ``predict_proba``.
        ``FrozenEstimator(defended)`` is not trained again.
    student : classifier or regressor
        Learns the probabilities: a skorch net with ``train_split=None``, a pipeline that ends in one, a classifier
        whose ``fit`` takes ``sample_weight``, or a regressor of several outputs, which learns them by squared error.
    public : array-like or data frame of shape (n_public, ...), default=None
        Rows for the student to learn from, without labels; a data frame with the columns of X if X is one. They must
        not be training rows of the classifier; those that trained the denoiser will do. They are neither printed nor
        saved with the defense. None takes the rows that ``fit`` is given and the classifier is not trained on.
    random_state : int, RandomState instance or None, default=None
        Seeds the training of the student, and that of the teacher where it has no ``random_state`` of its own.

    Attributes
    ----------
    defended_ : classifier
        The fitted teacher; a classifier without a defense is inside a ``DefendedClassifier`` that passes it through.
    student_ : classifier or regressor
        The fitted student.
    student_trained_on_ : RowSet
        Keyed digests of the rows that trained the student. Scorers attack none of them.
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted, in the order of the columns of ``predict_proba``.
    n_features_in_ : int
        Number of features, or of channels of images.
    feature_names_in_ : ndarray of shape (n_features,)
        Column names, where X was a frame with names.
    n_samples_fit_ : int or None
        Number of rows that trained the wrapped classifier; None if it is frozen.

    See Also
    --------
    DefendedClassifier : Regenerates each row that it is given; a teacher.
    SELENAClassifier : Distills models of which none was trained on the row.

    Notes
    -----
    An answer is a function of the classifier's label and of the student's answer, and the student never saw the row.
    An attacker who has the label, and the teacher's answers on the public rows, can compute every answer without
    asking for it. What the answers tell beyond labels is therefore at most what the teacher's answers on public rows
    tell about its training rows. A teacher that regenerates its inputs tells less there than the classifier itself. The
    difference grows with the number of public rows.

    ``predict`` costs one call of the classifier, ``predict_proba`` one of the classifier and one of the student. The
    student answers worse than its teacher if public rows are few. More of them can be made:
    ``np.concatenate((X_public, regenerator.regenerate(X_public, 0)))``.

    References
    ----------
    Hinton, Vinyals and Dean: Distilling the Knowledge in a Neural Network, 2015.

    Shejwalkar and Houmansadr: Membership Privacy for Machine Learning Models Through Knowledge Transfer, AAAI 2021,
    who distill the undefended classifier and let the student choose the label, too.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from skdiffence.defenses import DistilledDefense
    >>> X, y = load_digits(return_X_y=True)
    >>> student = LogisticRegression(C=0.01)
    >>> distilled = DistilledDefense(KNeighborsClassifier(), student, public=X[1000:]).fit(X[:300], y[:300])
    >>> bool((distilled.predict(X) == KNeighborsClassifier().fit(X[:300], y[:300]).predict(X)).all())
    True
    """

    _wrapped = "defended"
    _parameter_constraints: dict = {
        "defended": [HasMethods(["fit", "predict", "predict_proba"])],
        "student": [HasMethods(["fit", "predict"])],
        "public": ["array-like", Hidden(PublicRows), None],
        "random_state": ["random_state"],
    }

    def __init__(self, defended, student, *, public=None, random_state=None):
        self.defended = defended
        self.student = student
        self.public = public
        self.random_state = random_state

    @property
    def public(self):
        """Public rows, in a wrapper that never pickles or prints them."""
        return vars(self)["public"]

    @public.setter
    def public(self, rows):
        hide = any(hasattr(rows, name) for name in ("__len__", "shape", "__array__"))
        vars(self)["public"] = PublicRows(rows) if hide and not isinstance(rows, (PublicRows, str)) else rows

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y=None, *, is_member=None, **fit_params):
        """Fit the teacher, and the student to its answers on public rows.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features) or (n_samples, channels, height, width)
            Inputs.
        y : array-like of shape (n_samples,), default=None
            Labels. Needed unless ``defended`` is frozen: then X without labels is taken as public rows, but for those
            that ``is_member`` marks.
        is_member : array-like of shape (n_samples,), dtype bool, default=None
            As :meth:`DefendedClassifier.fit` takes it.
        **fit_params : dict
            Passed to the teacher's ``fit`` by metadata routing.

        Returns
        -------
        self : DistilledDefense

        Raises
        ------
        ValueError
            If X, y or ``public`` is invalid, there is no public row, or the student can't be trained on probabilities.
        """
        self._check_student()
        params, seed = self._routed(fit_params), draw_seed(self.random_state)
        unlabeled = y is None and isinstance(self.defended, FrozenEstimator)
        n_rows = num_samples(X) if unlabeled else 0
        if unlabeled:
            X, y, is_member = self._with_any_labels(X, is_member)
        given = X
        X, y = self._check_fit_data(X, y)
        # Before the teacher is trained, where the rows are known before.
        X_public = None if self.public is None else self._check_public(given)
        if unlabeled and X_public is None:
            X_public = safe_indexing(X, _not_marked(X, is_member)[:n_rows])
        self.defended_ = self._fit_teacher(X, y, is_member, params, seed)
        self.classes_ = np.unique(self.defended_.classes_)
        frozen = is_frozen(self.defended)
        known = not frozen or is_member is not None
        if X_public is None:
            X_public = self._held_out_rows(X)
        elif self.public is not None and known:
            self._warn_of_members(X, X_public)
        soft = self._answers_of_teacher(X_public)
        columns, seeded = np.arange(len(self.classes_)), self.random_state is not None
        order = output_order(self.student, self.classes_)
        self.student_ = distill(self.student, X_public, soft, columns, seed, seeded=seeded, order=order)
        self.student_trained_on_ = RowSet.of(X_public)
        self.n_samples_fit_ = None if frozen else n_training_rows(self.defended_)
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
        check_is_fitted(self)
        return self.classes_[self._teacher().predict(self._check_data(X))]

    def predict_proba(self, X):
        """Return the student's class probabilities, with the label's as the largest.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features) or (n_samples, channels, height, width)
            Inputs.

        Returns
        -------
        proba : ndarray of shape (n_samples, n_classes)
            The argmax of each row is the label that ``predict`` returns.
        """
        return self.select(X).proba

    def select(self, X):
        """Return class probabilities in the form of :meth:`DefendedClassifier.select`.

        Only for the owner of the classifier.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features) or (n_samples, channels, height, width)
            Inputs.

        Returns
        -------
        selected : Bunch
            ``proba`` of shape (n_samples, n_classes), the probabilities of ``predict_proba``; ``kept`` of shape
            (n_samples,), whether the student's own answer has the label on top; ``candidate`` and ``n_regenerations``
            of shape (n_samples,), which are -2 and 0.
        """
        check_is_fitted(self)
        X = self._check_data(X)
        labels = self._teacher().predict(X)
        proba = np.array(student_proba(self.student_, X, len(self.classes_)))
        kept = proba.argmax(axis=1) == labels
        return Bunch(
            proba=put_label_on_top(proba, labels),
            candidate=np.full(len(labels), _NO_CANDIDATE),
            kept=kept,
            n_regenerations=np.zeros(len(labels), dtype=int),
        )

    def _check_student(self):
        check_uninstantiated(self.student)
        if is_frozen(self.student):
            raise ValueError(f"student must be trained on the teacher's answers. Got a frozen one, {self.student!r}.")
        check_student(self.student)

    def _with_any_labels(self, X, is_member):
        """Return unlabeled rows, at least two of them, with labels from which a frozen teacher learns nothing."""
        is_member = check_training_rows(is_member, num_samples(X))
        if num_samples(X) == 1:  # labels, real ones or not, must be of two classes
            X = safe_indexing(X, np.zeros(2, dtype=int))
            is_member = None if is_member is None else np.repeat(is_member, 2)
        return X, np.resize(frozen_classes(self.defended), num_samples(X)), is_member

    def _fit_teacher(self, X, y, is_member, params, seed):
        # Defenses decide themselves which rows train the classifier.
        decides = has_fit_parameter(self.defended, "is_member")
        teacher = clone(self.defended) if decides else DefendedClassifier(self.defended, "passthrough")
        if self.random_state is not None and getattr(teacher, "random_state", None) is None:
            seed_nested(teacher, mix_seed(seed, "teacher"), data_digest(X, y))
        return teacher.fit(X, y, is_member=is_member, **params)

    def _check_public(self, X):
        """Return validated public rows, in the container of X with its columns."""
        rows = self.public.data
        if is_frame(rows) != is_frame(X):
            kind = "a data frame" if is_frame(X) else "an array"
            raise ValueError(f"public must be {kind}, as X in fit. Got {type(rows).__name__}.")
        try:
            shape = np.shape(rows)[1:]
            if shape == self.input_shape_:
                return self._check_data(rows)
        except (ValueError, TypeError) as error:
            raise ValueError(f"public must have rows like those of X in fit. {error}") from error
        raise ValueError(f"public must have rows of shape {self.input_shape_}, as X in fit. Got shape {shape}.")

    def _held_out_rows(self, X):
        held_out = stored_rows(self.defended_, X).not_trained_on
        if not held_out.any():
            raise ValueError(
                "public must hold rows for the student to learn from, as fit was given none that the classifier "
                "was not trained on. Got None. Pass public, is_member, or a defended with a calibration_size."
            )
        return safe_indexing(X, np.flatnonzero(held_out))

    def _warn_of_members(self, X, rows):
        held_out = stored_rows(self.defended_, X).not_trained_on
        if n := np.count_nonzero(RowSet.of(safe_indexing(X, np.flatnonzero(~held_out))).contains(rows)):
            warnings.warn(
                f"{n} of the {len(rows)} public rows trained the classifier, whose answers on them the student learns. "
                "Leave them out.",
                MembershipWarning,
                stacklevel=4,
            )

    def _answers_of_teacher(self, rows):
        try:
            return self._teacher().predict_proba(rows)
        except ValueError as error:
            if self.public is None:
                raise
            # Such as missing values, which not every classifier takes.
            raise ValueError(f"public must have rows that the classifier can answer. {error}") from error

    def _teacher(self):
        return FittedClassifier(self.defended_, self.defended_.classes_)


def _not_marked(X, is_member):
    """Return the numbers of the rows that is_member does not mark, without duplicates of those that it marks."""
    if is_member is None:
        return np.arange(num_samples(X))
    rows = np.flatnonzero(rows_outside(X, np.flatnonzero(~is_member)).contains(X))
    if not len(rows):
        raise ValueError(
            "is_member must leave rows for the student to learn from. Got every row of X marked as one that trained "
            "the classifier. Pass public, or rows that did not."
        )
    return rows
