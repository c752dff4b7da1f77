"""The defended classifier: the wrapped classifier's labels, with probabilities computed on regenerated inputs."""

import copy
from numbers import Integral, Real

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.utils import Bunch
from sklearn.utils.validation import check_is_fitted

from skdiffence._fitted import is_frozen
from skdiffence.defenses._answer import EXACT_BATCH, Candidates
from skdiffence.defenses._base import ClassifierWrapper, check_training_rows
from skdiffence.defenses._calibration import check_members_left, measure_candidates, split_for_rule
from skdiffence.defenses._classifier import FittedClassifier
from skdiffence.defenses._diagnosis import check_candidate_numbers, warn_if_argmax_differs, warn_if_poor
from skdiffence.defenses._fit_classifier import fit_on_rows
from skdiffence.defenses._portable import read_defended, write_defended
from skdiffence.defenses._temperature import fit_temperature, scale
from skdiffence.defenses._timesteps import thawed
from skdiffence.defenses.rules._base import Rule
from skdiffence.defenses.rules._registry import RULES, make_rule
from skdiffence.diffusion import DiffusionRegenerator
from skdiffence.metrics import label_columns
from skdiffence.utils import _skorch as nets
from skdiffence.utils._frames import as_numbers
from skdiffence.utils._images import check_channels_first
from skdiffence.utils._parallel import alone, blocks_of_workers, run
from skdiffence.utils._random import draw_seed, mix_seed, seed_nested
from skdiffence.utils._rows import RowSet, data_digest, take_rows
from skdiffence.utils._sklearn import HasMethods, Interval, StrOptions, fit_context, num_samples, safe_indexing

_MEASURED_ROWS = 256


class DefendedClassifier(ClassifierWrapper):
    """Defend a classifier against membership inference by predicting probabilities on regenerated inputs.

    The predicted label of a row is always the wrapped classifier's. The probabilities are computed on regenerations of
    the row: it is noised and denoised into candidates, and a rule averages the classifier's answers to them, or chooses
    one, so that the answers for members and for non-members of the training set become alike.

    Read more in the :ref:`User Guide <how_it_works>`.

    Parameters
    ----------
    estimator : classifier
        With ``predict`` and ``predict_proba``: a skorch net, a pipeline or any scikit-learn classifier. Nets get
        inputs in the precision of their weights and encoded labels, all others get X unchanged. A net has a column for
        each of its outputs: labels that are numbers from 0 are numbers of outputs, others need skorch's ``classes=`` if
        the rows lack one. These are in the order of the outputs. ``FrozenEstimator(net)`` is not trained again.
    regenerator : DiffusionRegenerator, "passthrough" or None, default=None
        Makes the candidates; any estimator with ``fit(X)`` and ``regenerate(X, candidate)``. None is
        ``DiffusionRegenerator()``. "passthrough" is the undefended baseline, with the same rows held out. "mean" asks
        for negative candidate numbers, too; see :class:`MeanRule`.
    n_candidates : int, default=30
        Number of candidates for each row, at most. Rules that use fewer make fewer.
    selection : str or Rule, default="mean"
        The rule that makes the answer from the candidates. "mean" is the mean of the first four. "first", "members" and
        "matched" are those of the paper. "first", "lowest", "mean" and "swap" need no calibration rows, "members" needs
        known members, "budgeted", "matched", "nearest" and "within" need known members and non-members. "swap" takes
        one regeneration for every row, "lowest", "mean", "nearest" and "within" take four, "budgeted" at most three on
        average.
    fallback : {"swap", "original"}, default="swap"
        The answer if no candidate keeps the label: the last candidate's with the largest probability and the label's
        exchanged, or the undefended one, as in the paper.
    search : {"lazy", "constant"}, default="lazy"
        "lazy" makes no further candidates once the rule has accepted one. The number of candidates, and so the response
        time, then depends on membership. "constant" makes all candidates for every row. The answers are the same.
    calibrate : "temperature" or None, default=None
        "temperature" scales the logits of all answers by one number, which is fitted to the answers for known
        non-members. Labels, and the order of the classes in each answer, stay the same.
    calibration_size : float or "auto", default="auto"
        Share of the rows that ``fit`` holds out as known non-members, in [0, 1). "auto" is 0.1 if the rule or
        ``calibrate`` needs them and 0 otherwise.
    random_state : int, RandomState instance or None, default=None
        Seeds training, and the regenerator unless it has a ``random_state`` of its own. From an integer the
        regenerator's key can be computed.
    verbose : int, default=0
        Whether to show a progress bar.

    Attributes
    ----------
    estimator_ : classifier
        The fitted classifier; undefended.
    regenerator_ : regenerator or "passthrough"
        The fitted regenerator.
    selection_ : Rule
        The fitted rule.
    interval_ : tuple of two floats
        Values of phi that the rule accepts, for rules that choose.
    lipschitz_ : float
        How much the probit of a class's expected probability can change from one input to another, divided by the
        distance between the two as the denoiser gets them: the signal-to-noise ratio sqrt(abar_t / (1 - abar_t)) of the
        regenerator's timestep. It holds for "mean" with many candidates, before labels are put on top. A higher
        timestep lowers it. For regenerators that have ``signal_to_noise_`` only.
    temperature_ : float
        What the logits are divided by, with ``calibrate="temperature"`` only.
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted, in the order of the columns of ``predict_proba``.
    column_classes_ : ndarray of shape (n_classes,)
        The labels in the order of the columns of ``estimator_``: for a net with ``classes=`` that of these.
    n_features_in_ : int
        Number of features, or of channels of images.
    feature_names_in_ : ndarray of shape (n_features,)
        Column names, where X was a frame with names.
    n_samples_fit_ : int or None
        Number of rows that trained ``estimator_``; None if it, or a classifier inside it, is frozen.
    retention_ : dict of str to Bunch
        Share of candidates that keep the label, by side ("members", "non_members", or "rows" if the side is unknown):
        ``overall``, ``by_class`` and ``n_rows``.
    fallback_rate_ : dict of str to Bunch
        Share of rows without any candidate that keeps the label, in the same form.
    not_trained_on_ : RowSet
        Keyed digests of rows given to ``fit`` that did not train ``estimator_``.
    calibrated_on_ : RowSet
        Keyed digests of the calibration rows, those of the temperature included.
    denoiser_saw_members_ : bool or None
        Whether the denoiser was trained on training rows of the classifier; None if this is unknown.

    See Also
    --------
    skdiffence.diffusion.DiffusionRegenerator : Makes the candidates.
    skdiffence.model_selection.AttackScorer : Scores how much the answers leak about membership.

    Notes
    -----
    ``predict`` costs one call of the wrapped classifier. ``predict_proba`` costs one more call for each candidate, and
    as many calls of the denoiser: exactly four under "mean", exactly one under "swap", on average one divided by the
    label retention under "first". Label-only attacks are not affected. Probabilities of a classifier with few distinct
    values, such as a small forest, can coincide with the undefended ones by chance. Rows by the thousand are answered
    by several workers where ``joblib.parallel_config`` says so; see :ref:`scaling`.

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
        "selection": [StrOptions(set(RULES)), Rule],
        "fallback": [StrOptions({"swap", "original"})],
        "search": [StrOptions({"lazy", "constant"})],
        "calibrate": [StrOptions({"temperature"}), None],
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
        selection="mean",
        fallback="swap",
        search="lazy",
        calibrate=None,
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
        self.calibrate = calibrate
        self.calibration_size = calibration_size
        self.random_state = random_state
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y, *, is_member=None, **fit_params):
        """Fit the classifier, the regenerator and the rule.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features) or (n_samples, channels, height, width)
            Inputs.
        y : array-like of shape (n_samples,)
            Labels.
        is_member : array-like of shape (n_samples,), dtype bool, default=None
            True for rows that train, or trained, the classifier. The others are known non-members, to calibrate the
            rule and to fit the temperature. None trains on all rows but a stratified share of ``calibration_size``.
        **fit_params : dict
            Passed to the classifier's ``fit`` by metadata routing, cut to the rows that train it.

        Returns
        -------
        self : DefendedClassifier

        Raises
        ------
        ValueError
            If X, y or a parameter of the rule is invalid, a net holds an instantiated module, the rule or ``calibrate``
            needs calibration rows of a frozen classifier and ``is_member`` is None, or the classifier does not return
            probabilities.
        """
        params = self._routed(fit_params)
        X, y = self._check_fit_data(X, y)
        if self.regenerator is None or isinstance(self.regenerator, DiffusionRegenerator):
            check_channels_first(X)  # before the classifier is trained
        is_member = check_training_rows(is_member, len(y))
        seed = draw_seed(self.random_state)
        rule = self._new_rule(seed)
        rows = split_for_rule(
            rule,
            X,
            y,
            is_member,
            selection=self.selection,
            calibrate=self.calibrate,
            calibration_size=self.calibration_size,
            frozen=self._is_frozen(),
            key=mix_seed(seed, "calibration").to_bytes(8, "little"),
        )
        self._fit_estimator(X, y, rows, seed, params)
        if rule.needs_members and not self._is_passthrough():
            check_members_left(rows, self.selection, self.calibration_size)
        self._fit_regenerator(X, rule, rows, seed)
        self._fit_rule(X, rule, rows, is_member)
        self._fit_temperature(safe_indexing(X, rows.temperature), label_columns(y[rows.temperature], self.classes_))
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
        check_is_fitted(self, "selection_")
        return self.classes_[self._classifier().predict(self._check_data(X))]

    def predict_proba(self, X):
        """Return class probabilities computed on regenerations of each row.

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
        """Return class probabilities with the chosen candidate of each row.

        Only for the owner of the classifier. Served or logged for each row, it leaks membership.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features) or (n_samples, channels, height, width)
            Inputs.

        Returns
        -------
        selected : Bunch
            ``proba`` of shape (n_samples, n_classes), the probabilities of ``predict_proba``; ``candidate`` of shape
            (n_samples,), the number of the chosen candidate, -1 for the original and -2 if candidates are combined;
            ``n_regenerations`` of shape (n_samples,), the number of candidates that the rule was given, without those
            that a lazy search made ahead to fill a batch; ``kept`` of shape (n_samples,), whether the candidate keeps
            the label.
        """
        check_is_fitted(self, "selection_")
        self._check_as_fitted()
        selected = self._select(self._check_data(X))
        if self.calibrate is not None:
            selected.proba = scale(selected.proba, self.temperature_)
        return selected

    def rotate_key(self):
        """Replace the key of the regenerator by a new one; see :meth:`DiffusionRegenerator.rotate_key`.

        A frozen regenerator, which others may use as well, keeps its key. This classifier then has a copy of its own.

        Returns
        -------
        self : DefendedClassifier

        Raises
        ------
        ValueError
            If the regenerator has no ``rotate_key``.
        """
        check_is_fitted(self, "selection_")
        regenerator = "passthrough" if self._is_passthrough() else thawed(self.regenerator_)
        if not hasattr(regenerator, "rotate_key"):
            got = repr(regenerator) if isinstance(regenerator, str) else type(regenerator).__name__
            raise ValueError(f"regenerator must have a key to rotate, as DiffusionRegenerator has. Got {got}.")
        if isinstance(self.regenerator_, FrozenEstimator):
            regenerator = copy.copy(regenerator)
            self.regenerator_ = FrozenEstimator(regenerator)
        regenerator.rotate_key()
        return self

    def save_pretrained(self, folder, *, key_file=None):
        """Write the fitted classifier to a folder that is loaded without pickle, by :meth:`from_pretrained`.

        Arrays and weights are written as safetensors, parts of scikit-learn by skops, and everything else as JSON. The
        keys, that of the noise and those of the digests, are in a file of their own that only the current user can
        read. The folder is replaced as a whole, and other processes may load it meanwhile.

        Read more in the :ref:`User Guide <persistence>`.

        Parameters
        ----------
        folder : str or path
            Where to write. An earlier classifier is replaced; the folder keeps its permissions.
        key_file : str or path, default=None
            File of the keys, which keeps the keys of other folders in it, outside of this folder. None is the file that
            the environment variable ``SKDIFFENCE_KEY_FILE`` names, or ``noise.key`` in the folder.

        Raises
        ------
        FileExistsError
            If the folder exists and holds something else.
        TypeError
            If a part of the classifier can only be pickled, such as a function, the hook of a layer, or a defense or
            net inside an ensemble of scikit-learn. Nothing is written then.
        ValueError
            If ``key_file`` is in the folder.

        Warns
        -----
        DefenseWarning
            If the key follows from ``random_state``, or callbacks of a net are left out.
        """
        check_is_fitted(self, "selection_")
        write_defended(self, folder, key_file)

    @classmethod
    def from_pretrained(cls, folder, *, classes=(), key_file=None):
        """Load a classifier from a folder that :meth:`save_pretrained` has written.

        Nothing is unpickled. No code runs but that of torch, skorch, scikit-learn, diffusers and skdiffence, and of the
        classes that are named here.

        Parameters
        ----------
        folder : str or path
            The folder.
        classes : list of classes, default=()
            Classes of your own that the classifier is made of, such as the module of a net.
        key_file : str or path, default=None
            File of the keys. None is ``noise.key`` in the folder if it is there, and otherwise the file that the
            environment variable ``SKDIFFENCE_KEY_FILE`` names.

        Returns
        -------
        defended : DefendedClassifier
            Answers as the saved one.

        Raises
        ------
        ValueError
            If the folder is damaged, needs classes that are not named, or the key is not there.

        Warns
        -----
        VersionWarning
            If it was saved with other versions of the libraries.
        """
        return read_defended(cls, folder, classes, key_file)

    @property
    def interval_(self):
        """Values of phi that the rule accepts, for rules that choose."""
        return self.selection_.interval_

    @property
    def denoiser_saw_members_(self):
        """Whether the denoiser was trained on training rows of the classifier; None if this is unknown."""
        if self._is_passthrough():
            return False
        # The training rows of a frozen regenerator are unknown.
        frozen = isinstance(self.regenerator_, FrozenEstimator)
        return None if frozen else getattr(self.regenerator_, "denoiser_saw_members_", None)

    @property
    def lipschitz_(self):
        """Bound on the change of the probit of an expected probability, per distance between denoiser inputs."""
        if self._is_passthrough():
            raise AttributeError("lipschitz_ is that of a regenerator. There is none with regenerator='passthrough'.")
        return thawed(self.regenerator_).signal_to_noise_

    def __sklearn_is_fitted__(self):
        return hasattr(self, "selection_")

    # Fitting

    def _is_passthrough(self):
        return isinstance(self.regenerator, str)

    def _is_frozen(self):
        return is_frozen(self.estimator)

    def _new_rule(self, seed):
        return self._seeded(make_rule(self.selection), seed, "selection")

    def _seeded(self, estimator, *parts):
        """Seed nested estimators that have no seed of their own, unless ``random_state`` is None."""
        return estimator if self.random_state is None else seed_nested(estimator, *parts)

    def _fit_estimator(self, X, y, rows, seed, params):
        seeded = self.random_state is not None
        fitted = fit_on_rows(self.estimator, X, y, rows, seed, params, seeded=seeded)
        self.estimator_, self.column_classes_, self.n_samples_fit_ = fitted.estimator, fitted.classes, fitted.n_samples
        self.classes_, self.not_trained_on_ = np.unique(fitted.classes), fitted.not_trained_on
        # Any invalid probabilities are found before the regenerator is trained.
        labels, proba = self._classifier().predict_both(safe_indexing(X, rows.train[:_MEASURED_ROWS]))
        if not self._is_passthrough():
            warn_if_argmax_differs(labels, proba, nets.final_estimator(self.estimator_))

    def _fit_regenerator(self, X, rule, rows, seed):
        if self._is_passthrough():
            self.regenerator_ = self.regenerator
            return
        X_denoise = as_numbers(take_rows(X, rows.denoise))
        regenerator = DiffusionRegenerator() if self.regenerator is None else self.regenerator
        if not isinstance(regenerator, FrozenEstimator):
            regenerator = self._seeded(clone(regenerator), seed, "regenerator", data_digest(X_denoise))
        self.regenerator_ = regenerator.fit(X_denoise, None)
        check_candidate_numbers(self.regenerator_, rule, X_denoise)

    def _fit_rule(self, X, rule, rows, is_member):
        self.retention_, self.fallback_rate_, phi = {}, {}, {}
        calibrate = rule.needs_calibration and not self._is_passthrough()
        sides = {} if self._is_passthrough() else self._measured_rows(rows, is_member)
        for side, index in sides.items():
            measured = measure_candidates(self._candidates(), safe_indexing(X, index), rule, calibrate=calibrate)
            self.retention_[side], self.fallback_rate_[side] = measured.retention, measured.fallback_rate
            phi[side] = measured.phi
        if not self._is_passthrough():
            rule.fit(phi.get("members"), phi.get("non_members"))
            settings = {"n_candidates": self.n_candidates, "relabels": rule.relabels}
            warn_if_poor(self.retention_, self.fallback_rate_, self.regenerator_, **settings)
        self.selection_ = rule
        by_rule = (rows.members, rows.non_members) if calibrate else ()
        calibrated = np.concatenate((*by_rule, rows.temperature))
        self.calibrated_on_ = RowSet.of(safe_indexing(X, calibrated)) if len(calibrated) else RowSet.empty()

    def _fit_temperature(self, X, columns):
        if self.calibrate is not None:
            self.temperature_ = fit_temperature(self._select(X).proba, columns)

    def _measured_rows(self, rows, is_member):
        """Return the rows whose candidates are measured, by side."""
        sides = {side: rows[side] for side in ("members", "non_members") if len(rows[side])}
        if sides:
            return sides
        known = not self._is_frozen() or is_member is not None
        return {"members" if known else "rows": rows.train[:_MEASURED_ROWS]}

    # Answering

    def _check_as_fitted(self):
        """Raise an error if a parameter was changed to one that only another fit can follow."""
        if not self._is_passthrough() and isinstance(self.regenerator_, str):
            raise NotFittedError(
                "regenerator must be fitted to defend answers. It was 'passthrough' in fit and is another one now. "
                "Call fit again."
            )
        if self.calibrate is not None:
            check_is_fitted(
                self,
                "temperature_",
                msg=f"calibrate={self.calibrate!r} needs the temperature that fit finds. It was None in fit. Call fit "
                "again.",
            )

    def _classifier(self):
        exact = not self._is_passthrough() and getattr(getattr(self, "regenerator_", None), "exact", False)
        return FittedClassifier(self.estimator_, self.column_classes_, EXACT_BATCH if exact else None)

    def _candidates(self):
        return Candidates(
            self._classifier(),
            self.regenerator_,
            n_candidates=self.n_candidates,
            fallback=self.fallback,
            lazy=self.search == "lazy",
        )

    def _select(self, X):
        """Return the answers before temperature scaling."""
        if self._is_passthrough():
            return self._select_undefended(X)
        blocks = blocks_of_workers(num_samples(X), getattr(self.regenerator_, "device", "cpu"))
        if len(blocks) == 1:
            return self._candidates().answer_in_blocks(X, self.selection_, verbose=self.verbose)
        tasks = [(safe_indexing(X, rows),) for rows in blocks]
        parts = list(run(_select_alone, tasks, shared=(self,), verbose=self.verbose))
        return Bunch(**{name: np.concatenate([part[name] for part in parts]) for name in parts[0]})

    def _select_undefended(self, X):
        _, proba = self._classifier().predict_both(X)
        n = len(proba)
        nothing = np.zeros(n, dtype=int)
        return Bunch(proba=proba, candidate=nothing - 1, kept=np.ones(n, dtype=bool), n_regenerations=nothing)


def _select_alone(defended, X):
    return alone(defended._select, X)
