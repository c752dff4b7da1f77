"""SELENA: an ensemble of sub-models that exclude rows, and self-distillation from it."""

from numbers import Integral
from os import PathLike

import numpy as np
from sklearn.utils.metadata_routing import MetadataRouter
from sklearn.utils.validation import check_is_fitted

from skdiffence._fitted import is_frozen
from skdiffence.defenses._base import ClassifierWrapper
from skdiffence.defenses._classifier import FittedClassifier
from skdiffence.defenses._fit_classifier import rows_outside, train
from skdiffence.defenses.training._distillation import check_student, distill, output_order, student_proba
from skdiffence.diffusion._pretrained import weights_on_disk
from skdiffence.metrics import label_columns
from skdiffence.utils._cache import Kept, check_cache_seed, make_cache_folder
from skdiffence.utils._fingerprint import fingerprint, library_versions
from skdiffence.utils._parallel import run
from skdiffence.utils._random import draw_seed, mix_seed
from skdiffence.utils._rows import row_digests
from skdiffence.utils._secret import SecretBytes
from skdiffence.utils._sklearn import HasMethods, Interval, fit_context, num_samples, safe_indexing
from skdiffence.utils._skorch import check_uninstantiated

# What is kept of a sub-model.
_KINDS = {"estimator": object, "classes": np.ndarray, "rows": np.ndarray}


class SELENAClassifier(ClassifierWrapper):
    """Answer for each row with sub-models that excluded the row from training.

    ``n_estimators`` sub-models are trained, and each row is excluded from ``n_excluded`` of them. The mean of their
    probabilities comes from models that never saw the row, for members as for non-members. With ``distill`` a single
    student is trained on these probabilities and replaces the sub-models; without, the sub-models answer.

    Read more in the :ref:`User Guide <training_defenses>`.

    Parameters
    ----------
    estimator : classifier
        With ``predict`` and ``predict_proba``: a skorch net, a pipeline or any scikit-learn classifier.
    n_estimators : int, default=25
        Number of sub-models.
    n_excluded : int, default=10
        Number of sub-models that each row is excluded from.
    student : classifier or None, default=None
        The student: a skorch net, a pipeline that ends in one, or a classifier whose ``fit`` takes ``sample_weight``.
        None is a clone of ``estimator``.
    distill : bool, default=True
        Whether a student answers.
    cache_dir : str, path or None, default=None
        Folder where each trained sub-model is stored, so that an interrupted ``fit`` continues with the first missing
        one. Needs a ``random_state``. The files are pickles that contain models of the rows: protect them as you
        protect the rows. A folder that is made here, and its files, can be read by the current user only.
    n_jobs : int or None, default=None
        Number of sub-models trained in parallel by joblib. The result does not depend on it.
    random_state : int, RandomState instance or None, default=None
        Seeds training and which rows are excluded from which sub-models.
    verbose : int, default=0
        Verbosity of joblib.

    Attributes
    ----------
    estimator_ : classifier
        The student; with ``distill`` only.
    estimators_ : list of classifier
        The sub-models; without ``distill`` only.
    n_estimators_, n_excluded_ : int
        The parameters as they were in ``fit``. Others have no effect until the next.
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.
    n_features_in_ : int
        Number of features, or of channels of images.
    feature_names_in_ : ndarray of shape (n_features,)
        Column names, where X was a frame with names.
    n_samples_fit_ : int
        Number of rows that trained a sub-model or the student.
    not_trained_on_ : RowSet
        Keyed digests of rows given to ``fit`` that trained no sub-model, because the ``train_split`` of each held them
        out.

    See Also
    --------
    RelaxLossClassifier : Changes the loss of a single net.

    Notes
    -----
    Training costs about as much as ``n_estimators - n_excluded`` trainings on all rows, and the student's. An answer
    costs one call of the student, or of ``n_excluded`` sub-models.

    The sub-models that a row is excluded from are a keyed hash of its content. Duplicates are therefore excluded from
    the same ones; with the paper's independent draws, a sub-model trained on one copy answers for the other. For a row
    that was not given to ``fit`` sub-models are drawn in the same way. Near-duplicates are excluded from different
    sub-models and answer for each other, which attacks exploit.

    A student trained on answers for members memorizes some of them as well.

    A classifier that is not a net is trained on probabilities by repeating each row once for every class, weighted.

    References
    ----------
    Tang, Mahloujifar, Song, Shejwalkar, Nasr, Houmansadr and Mittal, "Mitigating membership inference attacks by
    self-distillation through a novel ensemble architecture", USENIX Security 2022, section 4.

    Aerni, Zhang and Tramèr, "Evaluations of machine learning privacy defenses are misleading", CCS 2024, on near
    duplicates.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> from skdiffence.defenses import SELENAClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> tree = DecisionTreeClassifier(random_state=0)
    >>> selena = SELENAClassifier(tree, n_estimators=5, n_excluded=2, distill=False, random_state=0)
    >>> selena = selena.fit(X[:300], y[:300])
    >>> tree = tree.fit(X[:300], y[:300])
    >>> print(f"members: {selena.score(X[:300], y[:300]):.2f} instead of {tree.score(X[:300], y[:300]):.2f}")
    members: 0.75 instead of 1.00
    """

    _parameter_constraints: dict = {
        "estimator": [HasMethods(["fit", "predict", "predict_proba"])],
        "n_estimators": [Interval(Integral, 2, None, closed="left")],
        "n_excluded": [Interval(Integral, 1, None, closed="left")],
        "student": [HasMethods(["fit", "predict", "predict_proba"]), None],
        "distill": ["boolean"],
        "cache_dir": [str, PathLike, None],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        estimator,
        *,
        n_estimators=25,
        n_excluded=10,
        student=None,
        distill=True,
        cache_dir=None,
        n_jobs=None,
        random_state=None,
        verbose=0,
    ):
        self.estimator = estimator
        self.n_estimators = n_estimators
        self.n_excluded = n_excluded
        self.student = student
        self.distill = distill
        self.cache_dir = cache_dir
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y):
        """Fit the sub-models, and the student to their probabilities.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features) or (n_samples, channels, height, width)
            Inputs.
        y : array-like of shape (n_samples,)
            Labels.

        Returns
        -------
        self : SELENAClassifier

        Raises
        ------
        ValueError
            If X or y is invalid, ``n_excluded`` leaves no sub-model to train, a sub-model would get one class only, an
            estimator is frozen, the student can't be trained on probabilities, or ``cache_dir`` is given without
            ``random_state``.
        """
        check_cache_seed(self.cache_dir, self.random_state)
        X, y = self._check_fit_data(X, y)
        self._check_estimators()
        seed = draw_seed(self.random_state)
        self.key_ = SecretBytes(mix_seed(seed, "lists").to_bytes(8, "little"))
        self.n_estimators_, self.n_excluded_ = self.n_estimators, self.n_excluded
        excluded = self._excluded(X)
        outcomes = self._train_submodels(X, y, excluded, seed)
        # Nets keep a column for classes that y lacks.
        self.classes_ = np.unique(np.concatenate([y, *(classes for _, classes, _ in outcomes)]))
        submodels = [(trained, label_columns(classes, self.classes_)) for trained, classes, _ in outcomes]
        held_out = set(range(len(y))).difference(*(rows.tolist() for _, _, rows in outcomes))
        if self.distill:
            student = self.estimator if self.student is None else self.student
            soft = self._mean_proba(submodels, X, excluded)
            seeded, order = self.random_state is not None, output_order(student, self.classes_)
            self.estimator_ = distill(student, X, soft, self.classes_, seed, seeded=seeded, order=order)
            held_out = set()
        else:
            self.estimators_, self.columns_ = ([model[part] for model in submodels] for part in (0, 1))
        self.not_trained_on_ = rows_outside(X, np.array(sorted(held_out), dtype=int))
        self.n_samples_fit_ = len(y) - len(held_out)
        return self

    def predict(self, X):
        """Return the label of the largest probability.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features) or (n_samples, channels, height, width)
            Inputs.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
        """
        proba = self.predict_proba(X)
        return self.classes_[proba.argmax(axis=1)]

    def predict_proba(self, X):
        """Return the probabilities of the student, or the mean of those of the sub-models that excluded the row.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features) or (n_samples, channels, height, width)
            Inputs.

        Returns
        -------
        proba : ndarray of shape (n_samples, n_classes)
        """
        check_is_fitted(self)
        X = self._check_data(X)
        if hasattr(self, "estimator_"):
            return student_proba(self.estimator_, X, len(self.classes_))
        submodels = list(zip(self.estimators_, self.columns_, strict=True))
        return self._mean_proba(submodels, X, self._excluded(X))

    def get_metadata_routing(self):
        """Return the metadata that ``fit`` consumes; none is passed to the sub-models.

        Returns
        -------
        router : MetadataRouter
        """
        return MetadataRouter(owner=self).add_self_request(self)

    def _check_estimators(self):
        if self.n_excluded >= self.n_estimators:
            raise ValueError(
                f"n_excluded must be below n_estimators={self.n_estimators}, so that every row trains a sub-model. Got "
                f"{self.n_excluded}."
            )
        for name in ("estimator", "student"):
            inner = getattr(self, name)
            if inner is not None and is_frozen(inner):
                raise ValueError(f"{name} must not be frozen, because it is trained several times. Got {inner!r}.")
        if self.student is not None:
            check_uninstantiated(self.student)
        if self.distill:
            check_student(self.estimator if self.student is None else self.student)

    def _excluded(self, X):
        """Return the sub-models that each row is excluded from, as a mask of shape (n, n_estimators)."""
        # As they were in fit: with other numbers, sub-models would answer for rows that trained them.
        mask = np.zeros((num_samples(X), self.n_estimators_), dtype=bool)
        for row, digest in enumerate(row_digests(X, self.key_, as_float32=True)):
            stream = np.random.Generator(np.random.Philox(key=int.from_bytes(bytes(digest), "little")))
            mask[row, stream.permutation(self.n_estimators_)[: self.n_excluded_]] = True
        return mask

    def _train_submodels(self, X, y, excluded, seed):
        """Return each sub-model with its classes and the indices of the rows that trained it."""
        parts = [np.flatnonzero(~excluded[:, number]) for number in range(self.n_estimators)]
        for number, rows in enumerate(parts):
            if len(np.unique(y[rows])) < 2:
                raise ValueError(
                    f"Every sub-model must get rows of two classes. Got {len(np.unique(y[rows]))} in the "
                    f"{len(rows)} rows of sub-model {number}: lower n_excluded={self.n_excluded}, or give more rows."
                )
        seeded = self.random_state is not None
        seeds = [mix_seed(seed, "clone", number) for number in range(len(parts))]
        kept = self._kept(X, y, parts, seeds)
        shared, tasks = (self.estimator, X, y, seeded), list(zip(parts, seeds, kept, strict=True))
        return list(run(_train_submodel, tasks, shared=shared, n_jobs=self.n_jobs, verbose=self.verbose))

    def _kept(self, X, y, parts, seeds):
        """Return the files of the sub-models, or None for each."""
        if self.cache_dir is None:
            return [None] * len(parts)
        folder = make_cache_folder(self.cache_dir)
        context = fingerprint(self.estimator, weights_on_disk(self.estimator), X, y, library_versions())
        keys = [fingerprint(context, *each).hex() for each in zip(parts, seeds, strict=True)]
        return [Kept.at(folder, "submodel", key, _KINDS) for key in keys]

    def _mean_proba(self, submodels, X, excluded):
        """Return the mean probabilities of the sub-models that each row is excluded from."""
        total = np.zeros((num_samples(X), len(self.classes_)))
        for number, (trained, columns) in enumerate(submodels):
            rows = np.flatnonzero(excluded[:, number])
            if len(rows):
                # Its columns as they are: each has its place in the sum.
                proba = FittedClassifier(trained, np.arange(len(columns))).predict_proba(safe_indexing(X, rows))
                total[np.ix_(rows, columns)] += proba
        return total / self.n_excluded_


def _train_submodel(estimator, X, y, seeded, rows, seed, kept):
    """Return a sub-model with its classes and the rows that trained it, or those that were kept of it."""
    made = None if kept is None else kept.load()
    if made is None:
        trained, classes, held_out = train(estimator, safe_indexing(X, rows), y[rows], y, seed, {}, seeded=seeded)
        made = {"estimator": trained, "classes": classes, "rows": np.delete(rows, held_out)}
        if kept is not None:
            kept.save(made)
    return tuple(made.values())
