"""Transformer that regenerates inputs by diffusion."""

import copy
import numbers
import os
import secrets
import warnings

import numpy as np
import torch
from sklearn.base import BaseEstimator, OneToOneFeatureMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skdiffence.base import InferenceOnlyMixin
from skdiffence.diffusion._batches import in_batches, rows_to_fill
from skdiffence.diffusion._calls import ROWS_PER_EXACT_BATCH, DenoiserCalls
from skdiffence.diffusion._denoisers import count_parameters
from skdiffence.diffusion._fitting import PRETRAINED, fit_denoiser, uses_bfloat16
from skdiffence.diffusion._inputs import check_candidates, check_rows, check_training_rows
from skdiffence.diffusion._noise import KEY_SIZE, Noise, derive_key
from skdiffence.diffusion._pretrained import Pretrained, save_pretrained
from skdiffence.diffusion._schedule import Schedule, check_steps
from skdiffence.exceptions import DefenseWarning
from skdiffence.utils._cache import check_cache_seed
from skdiffence.utils._frames import is_frame, like, ready_for
from skdiffence.utils._parallel import blocks_of_workers, run
from skdiffence.utils._random import draw_seed, mix_seed
from skdiffence.utils._rows import data_digest
from skdiffence.utils._secret import SecretBytes, SecretParameter
from skdiffence.utils._sklearn import Interval, StrOptions, fit_context, output_container
from skdiffence.utils._torch import resolve_device
from skdiffence.utils._versions import VersionedMixin


class DiffusionRegenerator(VersionedMixin, InferenceOnlyMixin, OneToOneFeatureMixin, BaseEstimator):
    """Regenerate inputs by diffusion: add noise up to a timestep, then remove it with a denoiser.

    Regenerated inputs keep what is typical of the data and lose the detail of single inputs, by which the confidence of
    a classifier reveals its training rows. Images of shape (n, channels, height, width) are denoised by a
    ``diffusers.UNet2DModel``, rows of shape (n, d) by a multilayer perceptron. ``fit`` trains the denoiser, unless it
    is pretrained.

    Inside a :class:`~sklearn.pipeline.Pipeline` inputs are regenerated at prediction only: ``fit_transform(X)`` returns
    X unchanged, because the classifier must be trained on real inputs. Such a Pipeline changes predicted labels. Use
    :class:`~skdiffence.defenses.DefendedClassifier` to keep all labels.

    Parameters
    ----------
    denoiser : None, dict, callable, str, path or torch module, default=None
        Trained by ``fit``:

        - None: the default network.
        - dict: arguments that replace the defaults, of ``diffusers.UNet2DModel`` for images and "width" and "n_blocks"
          for rows.
        - callable: ``denoiser(shape)`` returns a module. The shape is (channels, height, width), or (d,) for d features
          that vary.

        Pretrained, and never trained. ``fit`` only records the shape and the value range:

        - str or path: a folder written by ``save_pretrained`` of this class, of a ``UNet2DModel`` or of a
          ``DDPMPipeline``, whose scheduler is then used, or a name "owner/name" on the Hugging Face hub. What cannot be
          used is refused by name; see the table in :ref:`bring_your_own`. Pickled weights are refused, because loading
          them can run any code.
        - module: called with (x, timesteps). It is copied.

        A pretrained denoiser is given images in [-1, 1]. One of 3 channels is used for images of 1 as well: the channel
        is repeated, and the mean of the three is the result.
    resize : "auto", int, (int, int) or None, default="auto"
        Height and width that images are resized to for the denoiser, by bicubic interpolation. The result is resized
        back. "auto" is the size that a pretrained denoiser was trained at, if that is known, and the images' own size
        for one that ``fit`` trains. An int is both height and width. None leaves images as they are. Ignored for rows.
    class_label : int or None, default=None
        For a pretrained ``UNet2DModel`` that is conditional on classes: the label that stands for no class. It is
        called with this label for every image.
    timestep : int, default=160
        Noise level to regenerate from, a 0-based index into the schedule. A higher level protects more and keeps fewer
        labels. It can be lowered after ``fit``.
    n_steps : int, default=1
        Number of network calls per regeneration.
    n_train_timesteps : int, default=1000
        Number of noise levels in the schedule, unless a pretrained denoiser comes with its own.
    beta_schedule : {"linear", "scaled_linear", "squaredcos_cap_v2"}, default="linear"
        How the noise grows with the timestep, unless a pretrained denoiser comes with its own schedule.
    train_timesteps : int or "auto", default="auto"
        Number of noise levels to train, starting with the lowest. "auto" is ``timestep + 1``, all that are needed.
    max_epochs : int or "auto", default="auto"
        Number of epochs. "auto" is at least 10, and enough for 1,000 updates for rows or 400 for images. Denoisers of
        photographs need far more.
    lr : float, default=0.002
        Highest learning rate of Adam, after a warm-up and before a cosine decay to 0.
    batch_size : int, default=64
        Rows per update.
    ema_decay : float, default=0.995
        Decay of the moving average of the weights. The averaged weights are used.
    value_range : "auto" or pair, default="auto"
        Lowest and highest value of an image, as numbers or as one number per channel. "auto" is (0, 255) for uint8, and
        for values within it of which some are above 127. Otherwise it is the first of (0, 1) and (-1, 1) that fits the
        data, or their minimum and maximum. Ignored for rows, which are standardized by feature.
    noise : {"shared", "row", "fresh"}, default="shared"
        - "shared": a function of the secret key and the candidate number, the same for all rows.
        - "row": also a function of the row, quantized to 8 bits of its value range.
        - "fresh": drawn at every call from the entropy of the operating system, as in the paper. Results cannot be
          reproduced, whatever ``random_state`` is.
    key : bytes, str, int or None, default=None
        Secret key of the noise, not empty. It is stored in a wrapper that is never printed. None takes one from the
        entropy of the operating system. If ``random_state`` is given, None derives it from that and from the training
        rows.
    device : "auto", str or torch.device, default="auto"
        Where to compute. "auto" is a GPU if there is one.
    precision : {"auto", "float32", "bfloat16"}, default="auto"
        Precision of the network for images. "auto" is bfloat16 autocast on a GPU that computes in it, and float32
        elsewhere. A CPU without instructions for bfloat16 takes many times as long for it, which a
        :class:`~skdiffence.exceptions.TrainingTimeWarning` says. Rows are always computed in float64.
    exact : bool, default=False
        Whether to run the network at one fixed batch shape. The result for a row is then bit-identical whatever the
        other rows of a call are. Otherwise it is equal up to float32 rounding.
    compile : bool, default=False
        Whether to compile the denoiser with ``torch.compile`` at its first use. This needs a C++ compiler on a CPU and
        takes tens of seconds for each of a few batch shapes. Results are equal up to float32 rounding. Threads of a
        process take turns in calls of compiled denoisers.
    checkpoint_dir : str, path or None, default=None
        Folder for the state of the training, which is saved every minute and at the end, completely or not at all. A
        training that was interrupted, also by a kill, continues from there when ``fit`` is called again with the same
        parameters and rows, and a finished one is read. On a CPU the result is that of an uninterrupted training, bit
        for bit. Needs an integer ``random_state``; call ``rotate_key`` afterwards for a secret key. Trainings of
        other rows or parameters have files of their own. Remove the folder when you need it no longer.
    random_state : int, RandomState instance or None, default=None
        Seeds initial weights, order and noise of the training, together with a digest of the training rows.
    verbose : int, default=0
        1 shows the number of parameters, a progress bar and the estimated time of the training, and what images are
        resized to for the denoiser, with the effective noise. A training of more than an hour is a
        :class:`~skdiffence.exceptions.TrainingTimeWarning` whatever this is.

    Attributes
    ----------
    denoiser_ : torch module
        The denoiser, in eval mode.
    effective_noise_ : float
        Noise at ``timestep`` as it is at the size and the channels of X, in halves of the value range:
        ``noise_gain_`` times sqrt((1 - abar) / abar). Follows ``timestep``.
    effective_timestep_ : int
        Timestep at which noise of the size of X would have ``effective_noise_``. ``timestep`` itself if images are not
        resized.
    denoiser_saw_members_ : True or None
        True if ``fit`` trained the denoiser on the rows that it was given. None if it is pretrained, and its training
        rows are not known.
    history_ : list of dict
        "epoch", "loss" and "seconds" of each epoch of training. Empty if the denoiser is pretrained.
    image_shape_ : tuple of int or None
        (channels, height, width), or None for rows.
    key_ : bytes of length 32
        The key of the noise, which is never printed. Whoever knows it can compute the noise.
    key_is_secret_ : bool
        Whether the key came from the entropy of the operating system.
    max_timestep_ : int
        Highest timestep that the denoiser was trained for.
    n_features_in_ : int
        Number of channels, or of features.
    n_parameters_ : int
        Number of weights of the denoiser.
    noise_gain_ : float
        Standard deviation, at the size of X, of noise that has 1 at the size of the denoiser. Noise averages out where
        denoised images are shrunk, and where the channels of a color denoiser are averaged. 1 if neither is done.
    scheduler_ : diffusers.DDPMScheduler
        The noise schedule. It is not shared with other estimators.
    space_ : object
        Maps inputs to the input space of the denoiser, and back.
    value_range_ : float64 ndarray of shape (2,), (2, channels) or (2, d)
        Lowest and highest value of images. For rows, four standard deviations on both sides of the mean.

    See Also
    --------
    skdiffence.defenses.DefendedClassifier : Defends a classifier by regeneration and keeps all labels.
    skdiffence.base.InferenceOnly : Skips any other transformer while a Pipeline is fitted.

    Notes
    -----
    A timestep t is the same 0-based index for noising, x_t = sqrt(abar_t) x + sqrt(1 - abar_t) e, and for denoising,
    which returns the estimate of x after exactly ``n_steps`` network calls. Images are clamped to the value range at
    the end only. Rows are not clamped. Image values outside the range are clipped to it before noising, with a warning.

    Rows may have missing values. To the denoiser, a missing value is the mean of its feature, and it is missing in the
    result as well, so that regeneration does not hide which values are missing.

    Except with "fresh" noise, the result for a row depends only on the key and the row. It does not depend on other
    rows, their order, the process or the number of calls. The noise is bit-identical on all devices. If the memory of a
    GPU runs out, batches are halved until they fit, unless ``exact`` fixes their shape. On a CPU, rows by the thousand
    are regenerated by several workers where ``joblib.parallel_config`` says so; see :ref:`scaling`.

    Do not wrap this transformer in a :class:`~sklearn.frozen.FrozenEstimator` in a Pipeline. It hides
    ``fit_transform``, and the classifier would be trained on regenerated inputs. Save the denoiser and pass its folder
    instead.

    References
    ----------
    .. [1] Peng, Naseh and Houmansadr, "Diffence: Fencing membership privacy with diffusion
       models", NDSS 2025.
    .. [2] Ho, Jain and Abbeel, "Denoising diffusion probabilistic models", NeurIPS 2020.

    Examples
    --------
    >>> from sklearn.datasets import make_blobs
    >>> from skdiffence.diffusion import DiffusionRegenerator
    >>> X, _ = make_blobs(100, n_features=4, random_state=0)
    >>> regenerator = DiffusionRegenerator(timestep=100, max_epochs=5, random_state=0)
    >>> regenerator.fit(X).transform(X).shape
    (100, 4)
    >>> regenerator.fit_transform(X) is X
    True
    """

    _parameter_constraints: dict = {
        "denoiser": [dict, str, os.PathLike, torch.nn.Module, callable, None],
        "resize": [StrOptions({"auto"}), Interval(numbers.Integral, 1, None, closed="left"), tuple, list, None],
        "class_label": [Interval(numbers.Integral, 0, None, closed="left"), None],
        "timestep": [Interval(numbers.Integral, 0, None, closed="left")],
        "n_steps": [Interval(numbers.Integral, 1, None, closed="left")],
        "n_train_timesteps": [Interval(numbers.Integral, 1, None, closed="left")],
        "beta_schedule": [StrOptions({"linear", "scaled_linear", "squaredcos_cap_v2"})],
        "train_timesteps": [StrOptions({"auto"}), Interval(numbers.Integral, 1, None, closed="left")],
        "max_epochs": [StrOptions({"auto"}), Interval(numbers.Integral, 1, None, closed="left")],
        "lr": [Interval(numbers.Real, 0, None, closed="neither")],
        "batch_size": [Interval(numbers.Integral, 1, None, closed="left")],
        "ema_decay": [Interval(numbers.Real, 0, 1, closed="left")],
        "value_range": [StrOptions({"auto"}), tuple, list, np.ndarray],
        "noise": [StrOptions({"shared", "row", "fresh"})],
        "key": "no_validation",  # by its descriptor, which does not print it
        "device": [str, torch.device],
        "precision": [StrOptions({"auto", "float32", "bfloat16"})],
        "exact": ["boolean"],
        "compile": ["boolean"],
        "checkpoint_dir": [str, os.PathLike, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    key = SecretParameter()

    def __init__(
        self,
        denoiser=None,
        *,
        resize="auto",
        class_label=None,
        timestep=160,
        n_steps=1,
        n_train_timesteps=1000,
        beta_schedule="linear",
        train_timesteps="auto",
        max_epochs="auto",
        lr=2e-3,
        batch_size=64,
        ema_decay=0.995,
        value_range="auto",
        noise="shared",
        key=None,
        device="auto",
        precision="auto",
        exact=False,
        compile=False,
        checkpoint_dir=None,
        random_state=None,
        verbose=0,
    ):
        self.denoiser = denoiser
        self.resize = resize
        self.class_label = class_label
        self.timestep = timestep
        self.n_steps = n_steps
        self.n_train_timesteps = n_train_timesteps
        self.beta_schedule = beta_schedule
        self.train_timesteps = train_timesteps
        self.max_epochs = max_epochs
        self.lr = lr
        self.batch_size = batch_size
        self.ema_decay = ema_decay
        self.value_range = value_range
        self.noise = noise
        self.key = key
        self.device = device
        self.precision = precision
        self.exact = exact
        self.compile = compile
        self.checkpoint_dir = checkpoint_dir
        self.random_state = random_state
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Train the denoiser on X, or only record the shape and the value range if it is pretrained.

        Parameters
        ----------
        X : array-like of shape (n_samples, channels, height, width) or (n_samples, n_features)
            Training images or rows, float or integer. Rows may be a data frame, and have missing values.
        y : None
            Ignored.

        Returns
        -------
        self : DiffusionRegenerator

        Raises
        ------
        ValueError
            If X or a parameter is invalid, ``checkpoint_dir`` is given without ``random_state``, or the file there is
            damaged or of another training.
        """
        key = type(self).key.check(self, (bytes, str, numbers.Integral))
        is_pretrained = isinstance(self.denoiser, PRETRAINED)
        if not is_pretrained:
            check_cache_seed(self.checkpoint_dir, self.random_state, "checkpoint_dir")
        X = check_training_rows(self, X, n_rows_min=1 if is_pretrained else 2)
        draw, digest = draw_seed(self.random_state), data_digest(X)
        fitted = fit_denoiser(self, X, resolve_device(self.device), mix_seed("denoiser", draw, digest), digest)
        self.denoiser_, self.history_ = fitted.network, fitted.history
        self.denoiser_saw_members_ = None if is_pretrained else True
        self.n_parameters_ = count_parameters(fitted.network)
        self.scheduler_, self.max_timestep_ = fitted.scheduler, fitted.n_levels - 1
        self.space_, self.value_range_ = fitted.space, fitted.space.value_range
        self.noise_gain_ = fitted.space.noise_gain()
        self.image_shape_ = None if X.ndim == 2 else X.shape[1:]
        self.key_, self.key_is_secret_ = self._make_key(key, draw, digest)
        return self

    @property
    def signal_to_noise_(self):
        """Scale of the input divided by that of the noise at the timestep, sqrt(abar_t / (1 - abar_t))."""
        abar = Schedule(self.scheduler_).alphas_cumprod[self.timestep].item()
        return (abar / (1 - abar)) ** 0.5

    def fit_transform(self, X, y=None):
        """Fit to X and return X unchanged.

        This differs from ``fit(X).transform(X)`` on purpose: a Pipeline calls this method while it is fitted, and the
        classifier behind it must be trained on real inputs.

        Parameters
        ----------
        X : array-like of shape (n_samples, channels, height, width) or (n_samples, n_features)
            Training images or rows, float or uint8.
        y : None
            Ignored.

        Returns
        -------
        X : array-like
            The given object itself, or its values in the container that ``set_output`` asks for.
        """
        return super().fit_transform(X, y)

    def transform(self, X):
        """Regenerate X with the noise of candidate 0.

        It differs from ``fit_transform``, which returns X unchanged.

        Parameters
        ----------
        X : array-like of shape (n_samples, channels, height, width) or (n_samples, n_features)
            Images or rows, as in ``fit``.

        Returns
        -------
        X_regenerated : ndarray or data frame of the shape of X
            See :meth:`regenerate`. If ``set_output`` or scikit-learn's configuration asks for a container, rows are in
            that one, and images, which have no names of features, in an array.

        Raises
        ------
        ValueError
            As :meth:`regenerate`.
        """
        return ready_for(self.regenerate(X, 0), output_container(self))

    def _has_rows(self):
        return getattr(self, "image_shape_", None) is None

    @available_if(_has_rows)
    def get_feature_names_out(self, input_features=None):
        """Return the names of the features of regenerated rows, which are those of the rows. Images have none.

        Parameters
        ----------
        input_features : array-like of str of shape (n_features,), default=None
            Names of the features. None is those of the frame that ``fit`` was given, or "x0", "x1" and so on.

        Returns
        -------
        names : ndarray of shape (n_features,), dtype object

        Raises
        ------
        ValueError
            If the names are not those of ``fit``.
        """
        return super().get_feature_names_out(input_features)

    def regenerate(self, X, candidate=0):
        """Regenerate X with the noise of a candidate.

        Parameters
        ----------
        X : array-like of shape (n_samples, channels, height, width) or (n_samples, n_features)
            Images or rows, as in ``fit``.
        candidate : int or array-like of int of shape (n_samples,), default=0
            The number of the candidate, for all rows or for each row. The noise of candidate ~j = -1 - j is that of
            candidate j with the opposite sign. "fresh" noise ignores the number, and refuses negative ones.

        Returns
        -------
        X_regenerated : ndarray or data frame of the shape of X
            Images as float32, in the value range of X. Rows as float32, or float64 if float32 does not hold the values
            of the dtype of X; a data frame has the columns and dtypes of X. Missing values stay missing.

        Raises
        ------
        ValueError
            If X has another shape than in ``fit``, a candidate number is not an integer in [-2**32, 2**32), one is
            negative and the noise is "fresh", or ``timestep`` is above the highest timestep that the denoiser was
            trained for.
        """
        check_is_fitted(self)
        given, X = X, check_rows(self, X)
        candidates = check_candidates(candidate, len(X))
        check_steps(Schedule(self.scheduler_), self.timestep, self.n_steps, self.max_timestep_)
        if len(blocks := blocks_of_workers(len(X), self.device)) == 1:
            regenerated = self._regenerate(X, candidates)
        else:
            tasks = [(X[rows], candidates[rows]) for rows in blocks]
            regenerated = np.concatenate(list(run(_regenerate, tasks, shared=(self,))))
        return like(regenerated, given) if is_frame(given) else regenerated

    def _regenerate(self, X, candidates):
        """Return validated rows regenerated with the noise of a candidate each."""
        schedule, space, device = Schedule(self.scheduler_), self.space_, resolve_device(self.device)
        calls = DenoiserCalls(
            self.denoiser_,
            space.shape,
            device,
            autocast=self.image_shape_ is not None and uses_bfloat16(self.precision, device),
            exact=self.exact,
            owner=self if self.compile else None,
        )
        regenerated = np.empty(X.shape, dtype=space.answer_dtype(X))
        with torch.inference_mode(), calls.steady_kernels():
            noise = Noise(self.noise, self.key_, lambda rows: space.quantize(X[rows]), candidates, space.shape, device)

            def work(rows):
                x = space.encode(X[rows], device)
                x = schedule.add_noise(x, noise(rows).to(x.dtype), self.timestep)
                x = schedule.denoise(calls, x, self.timestep, self.n_steps)
                regenerated[rows] = space.decode(x, X[rows])

            in_batches(work, len(X), calls.batch_size, may_halve=not self.exact, take=calls.next_batch)
        return regenerated

    @property
    def rows_to_fill(self):
        """Number of candidates that a search should make at a time, so that its batches are not too small."""
        check_is_fitted(self)
        if self.exact:
            return ROWS_PER_EXACT_BATCH
        return rows_to_fill(self.space_.shape, resolve_device(self.device))

    def rotate_key(self):
        """Replace the key by a new one from the entropy of the operating system.

        Rotate rarely: each key gives new draws of the same row, which an attacker can average.

        Returns
        -------
        self : DiffusionRegenerator
        """
        check_is_fitted(self)
        self.key_, self.key_is_secret_ = SecretBytes(secrets.token_bytes(KEY_SIZE)), True
        return self

    def save_pretrained(self, folder):
        """Write the denoiser to a folder, to be loaded by ``denoiser=folder``.

        The layout for images is that of a ``diffusers.DDPMPipeline``. Weights are written as safetensors. The key of
        the noise is not written. The folder is written completely or not at all, and may be loaded by other processes
        meanwhile: they find the earlier version or the new one, also if this process is killed.

        Parameters
        ----------
        folder : str or path
            Where to write. An existing denoiser is replaced.

        Raises
        ------
        FileExistsError
            If the folder exists and does not hold a denoiser.
        ValueError
            If the denoiser is a user's module, which only joblib can save.
        """
        check_is_fitted(self)
        notes = {"n_levels": self.max_timestep_ + 1}
        if self.image_shape_ is None:
            notes |= {"mean": self.space_.mean, "scale": self.space_.scale}
        else:
            notes["image_size"] = self.space_.size
        save_pretrained(folder, Pretrained(self.denoiser_, self.scheduler_, notes))

    @property
    def effective_noise_(self):
        """Standard deviation of the noise over the signal's coefficient, at the size and the channels of X."""
        check_is_fitted(self)
        return self.noise_gain_ * Schedule(self.scheduler_).noise_to_signal(self.timestep)

    @property
    def effective_timestep_(self):
        """Timestep at which noise of the size of X would have ``effective_noise_``."""
        check_is_fitted(self)
        return Schedule(self.scheduler_).effective_timestep(self.timestep, self.noise_gain_)

    def _make_key(self, key, draw, digest):
        """Return the key of the noise and whether it is secret."""
        if key is not None:
            return SecretBytes(derive_key(key if isinstance(key, (bytes, str)) else int(key))), False
        if self.random_state is not None:
            return SecretBytes(derive_key("random_state", draw, digest)), False
        return SecretBytes(secrets.token_bytes(KEY_SIZE)), True

    def __sklearn_is_fitted__(self):
        return hasattr(self, "denoiser_")

    def __sklearn_clone__(self):
        if getattr(self, "denoiser_saw_members_", None):
            warnings.warn(
                "A fitted DiffusionRegenerator is being cloned, and the denoiser of the clone will be trained again. "
                "To use this one, call save_pretrained(folder) and create the regenerator with denoiser=folder.",
                DefenseWarning,
                stacklevel=3,
            )
        return super().__sklearn_clone__()

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        tags.input_tags.allow_nan = True
        return tags

    def __getstate__(self):
        # Weights are pickled on the CPU, so that they can be loaded without a GPU.
        state = super().__getstate__()
        denoiser = state.get("denoiser_")
        if denoiser is not None and any(weight.device.type != "cpu" for weight in denoiser.parameters()):
            state = {**state, "denoiser_": copy.deepcopy(denoiser).to("cpu")}
        return state

    def __repr__(self, N_CHAR_MAX=700):
        text = super().__repr__(N_CHAR_MAX)
        if getattr(self, "denoiser_saw_members_", None):
            text += "  # denoiser trained on the rows given to fit"
        return text


def _regenerate(regenerator, X, candidates):
    return regenerator._regenerate(X, candidates)
