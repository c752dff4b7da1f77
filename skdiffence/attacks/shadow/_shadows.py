"""Shadow models: clones of the attacked classifier, each trained on another half of the rows."""

import time
from dataclasses import dataclass
from numbers import Integral
from os import PathLike
from pickle import PicklingError

import numpy as np
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from tqdm.auto import tqdm

from skdiffence._fitted import stored_rows, trained_nets
from skdiffence.diffusion import DiffusionRegenerator
from skdiffence.diffusion._pretrained import weights_on_disk
from skdiffence.utils import _skorch as nets
from skdiffence.utils._cache import Kept, check_cache_seed, make_cache_folder
from skdiffence.utils._fingerprint import fingerprint, library_versions
from skdiffence.utils._halves import check_canaries, check_n_models, complementary_halves, find_copies
from skdiffence.utils._parallel import run
from skdiffence.utils._params import may_use_torch, nested_params
from skdiffence.utils._random import draw_seed, mix_seed, seed_nested, torch_seed
from skdiffence.utils._sklearn import HasMethods, num_samples, safe_indexing, validate_params
from skdiffence.utils._validation import as_labels, index_fit_params

# What is kept of a shadow.
_KINDS = {"estimator": object, "held_out": np.ndarray, "fit_time": float}


@validate_params(
    {
        "estimator": [HasMethods(["fit", "predict", "predict_proba"])],
        "X": "no_validation",
        "y": "no_validation",
        "n_shadows": [Integral],
        "canaries": ["array-like", None],
        "cache_dir": [str, PathLike, None],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
        "fit_params": [dict, None],
    },
    prefer_skip_nested_validation=True,
)
def train_shadows(
    estimator,
    X,
    y,
    *,
    n_shadows=64,
    canaries=None,
    cache_dir=None,
    n_jobs=None,
    random_state=None,
    verbose=0,
    fit_params=None,
):
    """Train shadow models: clones of a classifier on complementary halves of the rows.

    Every row, or every canary, trains exactly half of the shadows, and equal rows train the same half. The halves are
    those of :class:`~skdiffence.model_selection.ShadowSplit` for the same ``random_state``.

    Parameters
    ----------
    estimator : classifier
        The target before training, with its defense if it has one. Skorch nets are trained on all their rows unless
        they have an explicit ``train_split``.
    X : array-like of shape (n_samples, ...)
        The pool.
    y : array-like of shape (n_samples,)
        True labels.
    n_shadows : int, default=64
        Number of shadows, even. The first shadows do not depend on it.
    canaries : array-like of int, default=None
        Indices of the rows whose membership varies; all other rows train every shadow. None varies all rows.
    cache_dir : str or Path, default=None
        Folder where each trained shadow is stored, so that an interrupted run continues with the first missing shadow.
        Needs a ``random_state``. The files are pickles, so others must not be able to write to the folder. They
        contain models of the rows, so protect them as you protect the rows: a folder that is made here, and its files,
        can be read by the current user only.
    n_jobs : int, default=None
        Number of shadows trained at the same time, by joblib. Results do not depend on it. Threads train nets one
        after the other.
    random_state : int, RandomState instance or None, default=None
        Seeds the halves and the training. Each shadow gets seeds of its own wherever the estimator, or one inside it,
        has no ``random_state``.
    verbose : int, default=0
        Whether to show a progress bar.
    fit_params : dict, default=None
        Parameters of ``fit``. Those with one entry for each row are indexed by the rows of the shadow.

    Returns
    -------
    shadows : dict
        As returned by :func:`sklearn.model_selection.cross_validate` with ``return_estimator`` and ``return_indices``:
        ``estimator``, the list of shadows; ``indices``, a dict of ``train`` and ``test``, lists of row indices;
        ``fit_time`` of shape (n_shadows,), in seconds. ``test`` are the rows that were left out. Rows that a shadow
        held out itself, by a ``train_split`` or for calibration, are in neither list.

    Raises
    ------
    ValueError
        If the classifier is frozen or contains trained weights, which all shadows would share; if ``n_shadows`` is odd;
        if the canaries are not distinct row indices; or if ``cache_dir`` is given without ``random_state``.
    TypeError
        If ``cache_dir`` is given and the estimator contains an object that can't be recognized in another process.

    See Also
    --------
    skdiffence.model_selection.ShadowSplit : The same halves for :func:`~sklearn.model_selection.cross_validate`.

    Notes
    -----
    Cost: ``n_shadows`` trainings. Shadows share a pretrained regenerator inside the estimator, but each has a key of
    its own, because an attacker does not know the target's.

    A stored shadow is reused only if nothing that its training depends on has changed: the class and parameters of the
    estimator and of those inside it, functions by their bytecode, weights and folders of weights by their content, the
    rows and their order, the labels, the half, the seed, and the versions of Python, NumPy, SciPy, scikit-learn, torch,
    skorch and skdiffence. Other configurations in the same folder do not matter.

    Skorch pickles a module class by its name, so a net whose class is defined in a notebook can't be trained in another
    process: put the class in a file, or leave ``n_jobs`` at None.

    References
    ----------
    Carlini et al., "Membership inference attacks from first principles", S&P 2022, section VI-A.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import RidgeClassifier
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from skdiffence.attacks import train_shadows
    >>> X, y = load_digits(return_X_y=True)
    >>> shadows = train_shadows(GaussianNB(), X, y, n_shadows=8, random_state=0)
    >>> len(shadows["estimator"])
    8
    >>> times_trained_on = np.bincount(np.concatenate(shadows["indices"]["train"]))
    >>> bool((times_trained_on == 4).all())
    True
    """
    y, canaries = _check_rows(X, y, n_shadows, canaries)
    check_trainable(estimator)
    check_cache_seed(cache_dir, random_state)
    seed = draw_seed(random_state)
    copies = find_copies(X) if canaries is None else None
    membership = complementary_halves(len(y), n_shadows, seed, canaries, copies)
    data = fingerprint(X, y)
    jobs = [_Job(mix_seed(seed, "shadow", index, data)) for index in range(n_shadows)]
    if cache_dir is not None:
        folder = make_cache_folder(cache_dir)
        context = fingerprint(estimator, weights_on_disk(estimator), fit_params or {}, data, library_versions())
        for job, is_in in zip(jobs, membership.T, strict=True):
            job.kept = Kept.at(folder, "shadow", fingerprint(context, is_in, job.seed).hex(), _KINDS)
    return _collect(_trained(jobs, membership, (estimator, X, y, fit_params or {}), n_jobs, verbose), membership)


def check_trainable(estimator):
    """Raise an error for an estimator whose clones would share what it has learned.

    Parameters
    ----------
    estimator : classifier
        The classifier that shadows are clones of.

    Raises
    ------
    ValueError
        If the classifier, or a classifier or regenerator inside it, is frozen, or a net has an instantiated module.
    """
    nets.check_uninstantiated(estimator)
    for prefix, value in nested_params(estimator).items():
        if isinstance(value, FrozenEstimator) and any(hasattr(value, answer) for answer in ("predict", "regenerate")):
            name = f"estimator__{prefix}".removesuffix("__")
            raise ValueError(
                f"{name} must be trained anew for every shadow, on the shadow's rows and with a key of its own. Got "
                f"FrozenEstimator({type(value.estimator).__name__}). Pass the estimator itself, or for a regenerator "
                "that was trained on other rows DiffusionRegenerator(denoiser=folder)."
            )


@dataclass
class _Job:
    """The training of one shadow.

    Parameters
    ----------
    seed : int
        Seed of this shadow.
    kept : Kept or None, default=None
        File of the trained shadow.
    """

    seed: int
    kept: Kept | None = None


def _run(estimator, X, y, fit_params, job, is_in):
    """Train a clone on the rows that are in, and store it if it has a file."""
    rows = np.flatnonzero(is_in)
    shadow, started = _prepared(estimator, job.seed), time.perf_counter()
    params = index_fit_params(fit_params, rows, len(y))
    held_out = _fit(shadow, safe_indexing(X, rows), y[rows], params, job.seed)
    made = {"estimator": shadow, "held_out": rows[held_out], "fit_time": time.perf_counter() - started}
    if job.kept is not None:
        job.kept.save(made)
    return made


def _check_rows(X, y, n_shadows, canaries):
    if y is None:
        raise ValueError("y must hold one label for each row of X. Got None.")
    y, n_samples = as_labels(y), num_samples(X)
    if y.shape != (n_samples,):
        raise ValueError(f"y must hold one label for each of the {n_samples} rows of X. Got shape {y.shape}.")
    check_n_models(n_shadows, "n_shadows")
    return y, check_canaries(canaries, n_samples)


def _prepared(estimator, seed):
    """Return a clone with its own seeds and without the key of the target's noise."""
    shadow = clone(estimator)
    keys = {
        f"{prefix}key": None
        for prefix, value in nested_params(shadow).items()
        if isinstance(value, DiffusionRegenerator) and value.key is not None
    }
    return seed_nested(shadow.set_params(**keys) if keys else shadow, seed)


def _fit(shadow, X, y, params, seed):
    """Fit a shadow in place and return the rows that it held out of its training."""
    recorders = nets.prepare_splits(shadow)
    if may_use_torch(shadow):
        with torch_seed(mix_seed(seed, "net")):
            shadow.fit(X, y, **params)
    else:
        shadow.fit(X, y, **params)
    trained = trained_nets(shadow)
    nets.check_trained_to_the_end(part.estimator for part in trained)
    return np.union1d(nets.restore_splits(shadow, recorders, trained), np.flatnonzero(stored_rows(shadow, X).any))


def _trained(jobs, membership, shared, n_jobs, verbose):
    """Run the jobs without a stored result, and return the results of all."""
    made = [None if job.kept is None else job.kept.load() for job in jobs]
    missing = [index for index, kept in enumerate(made) if kept is None]
    results = run(_run, [(jobs[index], membership[:, index]) for index in missing], shared=shared, n_jobs=n_jobs)
    with tqdm(total=len(jobs), initial=len(jobs) - len(missing), desc="training shadows", disable=not verbose) as bar:
        try:
            for index, result in zip(missing, results, strict=True):
                made[index] = result
                bar.update()
        except PicklingError as error:
            error.add_note("Put classes of a notebook or script that nets are made of in a file, or set n_jobs=None.")
            raise
    return made


def _collect(made, membership):
    rows = np.arange(len(membership))
    is_in = [np.setdiff1d(rows[mask], each["held_out"]) for each, mask in zip(made, membership.T, strict=True)]
    return {
        "estimator": [each["estimator"] for each in made],
        "fit_time": np.array([each["fit_time"] for each in made]),
        "indices": {"train": is_in, "test": [rows[~mask] for mask in membership.T]},
    }
