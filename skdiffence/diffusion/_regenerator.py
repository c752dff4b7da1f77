"""The transformer that regenerates inputs by diffusion."""

import contextlib
import copy
import math
import numbers
import os
import secrets
import threading
import warnings
from functools import partial

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils import gen_batches
from sklearn.utils.validation import check_is_fitted, validate_data
from tqdm.auto import tqdm

from skdiffence.base import InferenceOnlyMixin
from skdiffence.diffusion._batches import in_batches, rows_per_batch, rows_to_fill
from skdiffence.diffusion._compiled import bucket_above, bucket_below, compiled, next_batch
from skdiffence.diffusion._denoisers import (
    call_network,
    check_channels,
    make_row_denoiser,
    make_unet,
    side_multiple,
)
from skdiffence.diffusion._noise import KEY_SIZE, N_CANDIDATES_MAX, Noise, derive_key
from skdiffence.diffusion._pretrained import Pretrained, load_pretrained, save_pretrained
from skdiffence.diffusion._schedule import Schedule, ddim_timesteps, make_scheduler
from skdiffence.diffusion._space import ImageSpace, RowSpace, check_range, detect_range
from skdiffence.diffusion._training import Trainer
from skdiffence.exceptions import DefenseWarning, RangeWarning
from skdiffence.utils._random import draw_seed, mix_seed, torch_seed
from skdiffence.utils._rows import data_digest
from skdiffence.utils._sklearn import Interval, StrOptions, fit_context
from skdiffence.utils._torch import resolve_device

_ROWS_PER_EXACT_BATCH = 32
_ROWS_CHECKED_AT_ONCE = 256
# Images of so many pixels are answered faster with their channels last, smaller ones on a CPU are not.
_PIXELS_FOR_CHANNELS_LAST = 16 * 16

_CUDNN_LOCK = threading.RLock()

# What max_epochs="auto" trains for: enough updates where rows are few, enough passes where they are many.
_AUTO_UPDATES = {"rows": 1000, "images": 400}
_AUTO_EPOCHS = 10


class DiffusionRegenerator(InferenceOnlyMixin, BaseEstimator):
    """Regenerate inputs by diffusion: add noise up to a timestep, then remove it with a denoiser.

    What is regenerated keeps what the denoiser knows of such inputs in general and loses what is particular
    to one of them, by which a classifier betrays that it was trained on it. Images of shape
    (n, channels, height, width) are denoised by a ``diffusers.UNet2DModel``, rows of shape (n, d) by a
    multilayer perceptron. ``fit`` trains the denoiser, unless it is pretrained.

    Inside a :class:`~sklearn.pipeline.Pipeline` only prediction regenerates: ``fit_transform(X)`` returns X
    unchanged, because the classifier must learn from real inputs. That Pipeline changes labels; use
    :class:`~skdiffence.defenses.DefendedClassifier` to keep every one of them.

    Parameters
    ----------
    denoiser : None, dict, callable, str, path or torch module, default=None
        None, a dict of arguments merged over the defaults (of ``diffusers.UNet2DModel`` for images; "width"
        and "n_blocks" for rows) or a ``callable(shape)`` that returns a module are trained by ``fit``; shape is
        (channels, height, width), or (d,) with d the number of features that vary.
        A folder written by ``save_pretrained`` (of this class, a ``UNet2DModel`` or a ``DDPMPipeline``, whose
        scheduler is then used), a hub name "owner/name" or a module is pretrained: it is copied and never
        trained, and ``fit`` only records shape and value range. Modules are called with (x, timesteps).
        Pickled weights are refused: loading them can run any code.
    timestep : int, default=160
        Noise level to regenerate from, a 0-based index into the schedule. More noise hides more and keeps
        fewer labels. It may be lowered after ``fit``.
    n_steps : int, default=1
        Network calls per regeneration.
    n_train_timesteps : int, default=1000
        Number of noise levels in the schedule, unless a pretrained denoiser comes with its own.
    beta_schedule : {"linear", "scaled_linear", "squaredcos_cap_v2"}, default="linear"
        How the noise grows with the timestep, unless a pretrained denoiser comes with its own schedule.
    train_timesteps : int or "auto", default="auto"
        Number of noise levels to train, the lowest ones; "auto" is ``timestep + 1``, all that are needed.
    max_epochs : int or "auto", default="auto"
        Passes over the training rows; "auto" makes at least 10, and as many as give 1,000 updates
        for rows or 400 for images: enough to start with, while a denoiser of photographs wants far more.
    lr : float, default=0.002
        Highest learning rate of Adam, after a warm-up and before a cosine decay to 0.
    batch_size : int, default=64
        Rows per update.
    ema_decay : float, default=0.995
        Decay of the moving average of the weights, which is what denoises.
    value_range : "auto" or pair, default="auto"
        Lowest and highest value of an image, as numbers or as one number per channel. "auto" is (0, 255) for
        uint8, else the first of (0, 1), (-1, 1), (0, 255) that the data fill, else their minimum and maximum.
        Not used for rows, which are standardized feature by feature.
    noise : {"shared", "row", "fresh"}, default="shared"
        "shared" noise is a function of the secret key and the candidate number, the same for all rows. "row"
        noise is also of the row, at 8 bits of its value range. "fresh" noise is drawn anew from the operating
        system at every call, as in the paper, so its answers can't be repeated, whatever ``random_state``.
    key : bytes, str, int or None, default=None
        Secret that the noise is made from. None takes one from the operating system, or, where
        ``random_state`` is given, derives it from that and from the training rows.
    device : "auto", str or torch.device, default="auto"
        Where to compute; "auto" is a GPU where there is one.
    precision : {"auto", "float32", "bfloat16"}, default="auto"
        Precision of the network for images; "auto" is bfloat16 autocast on a GPU and float32 on a CPU. Rows
        are always computed in float64.
    exact : bool, default=False
        Run the network at one fixed batch shape, so that the answer for a row is the same to the last bit
        whatever other rows are asked for with it. Otherwise it is the same to float32 rounding.
    compile : bool, default=False
        Compile the denoiser with ``torch.compile`` when it first answers, which needs a C++ compiler on a CPU and takes
        tens of seconds for each of a few batch shapes. The answers are the same to float32 rounding.
    random_state : int, RandomState instance or None, default=None
        Seeds initial weights, order and noise of the training, together with a digest of the training rows.
    verbose : int, default=0
        1 shows the number of parameters and a progress bar while training.

    Attributes
    ----------
    denoiser_ : torch module
        The denoiser, in eval mode.
    denoiser_saw_members_ : True or None
        True if ``fit`` trained the denoiser on the rows that it was given, None if it is pretrained, so that
        what it saw is not known here.
    history_ : list of dict
        "epoch", "loss" and "seconds" of each epoch of training; empty if the denoiser is pretrained.
    image_shape_ : tuple of int or None
        (channels, height, width); None for rows.
    key_ : bytes of length 32
        The key of the noise. Who knows it can compute the noise.
    key_is_secret_ : bool
        Whether the key came from the operating system's entropy.
    max_timestep_ : int
        Highest timestep that the denoiser was trained for.
    n_features_in_ : int
        Number of channels, or of features.
    n_parameters_ : int
        Number of weights of the denoiser.
    scheduler_ : diffusers.DDPMScheduler
        The noise schedule, this estimator's own.
    space_ : object
        Maps inputs to the space in which the denoiser works, and back.
    value_range_ : float64 ndarray of shape (2,), (2, channels) or (2, d)
        Lowest and highest value of images; for rows, four standard deviations on either side of the mean.

    See Also
    --------
    skdiffence.defenses.DefendedClassifier : Regenerates behind a classifier and keeps every label.
    skdiffence.base.InferenceOnly : Gives any other transformer this behavior inside a Pipeline.

    Notes
    -----
    A timestep t is the same 0-based index for noising, x_t = sqrt(abar_t) x + sqrt(1 - abar_t) e, and for
    denoising, which ends on the estimate of x itself after exactly ``n_steps`` network calls. Images are
    clamped to the value range at the end and nowhere before; rows are not clamped. Image values outside the
    range are clipped to it before noising, with a warning.

    Except with "fresh" noise an answer depends on nothing but the key and the row: not on other rows, their order, the
    process, or how often it is asked. The noise itself is equal to the last bit on every device. Where a GPU's memory
    runs out, batches are halved until they fit, unless ``exact`` fixes their shape.

    Do not put a :class:`~sklearn.frozen.FrozenEstimator` around this transformer in a Pipeline: it hides
    ``fit_transform``, so that the classifier would be trained on regenerated inputs. Save the denoiser and
    pass its folder.

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
        "key": [bytes, str, numbers.Integral, None],
        "device": [str, torch.device],
        "precision": [StrOptions({"auto", "float32", "bfloat16"})],
        "exact": ["boolean"],
        "compile": ["boolean"],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        denoiser=None,
        *,
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
        random_state=None,
        verbose=0,
    ):
        self.denoiser = denoiser
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
        self.random_state = random_state
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Learn to denoise X, or only record its shape and value range if the denoiser is pretrained.

        Parameters
        ----------
        X : array-like of shape (n_samples, channels, height, width) or (n_samples, n_features)
            Training images or rows, float or uint8.
        y : None
            Ignored.

        Returns
        -------
        self : DiffusionRegenerator

        Raises
        ------
        ValueError
            If X or a parameter can't be used; the message names it.
        """
        pretrained = self._pretrained()
        X = self._check_input(X, reset=True, n_rows_min=2 if pretrained is None else 1)
        device = resolve_device(self.device)
        draw, digest = draw_seed(self.random_state), data_digest(X)
        seed = mix_seed("denoiser", draw, digest)
        fitted = self._prepare(X, pretrained, seed)
        if pretrained is None:
            fitted |= self._train(X, fitted, device, seed)
        # Only now, all at once: an interrupted training leaves nothing that looks fitted.
        vars(self).update(fitted | self._new_key(draw, digest))
        return self

    def fit_transform(self, X, y=None):
        """Fit to X and return X unchanged.

        This differs from ``fit(X).transform(X)`` on purpose: a Pipeline calls this method while it is being
        fitted, and the classifier behind it must learn from real inputs.

        Parameters
        ----------
        X : array-like of shape (n_samples, channels, height, width) or (n_samples, n_features)
            Training images or rows, float or uint8.
        y : None
            Ignored.

        Returns
        -------
        X : array-like
            The very object that was given.
        """
        return super().fit_transform(X, y)

    def transform(self, X):
        """Regenerate X with the noise of candidate 0.

        This is what answers are made on. It is not what ``fit_transform`` returns, which is X unchanged.

        Parameters
        ----------
        X : array-like of shape (n_samples, channels, height, width) or (n_samples, n_features)
            Images or rows, as in ``fit``.

        Returns
        -------
        X_regenerated : float32 ndarray of the shape of X
            In the value range of X.
        """
        return self.regenerate(X, 0)

    def regenerate(self, X, candidate=0):
        """Regenerate X with the noise of a candidate number.

        Parameters
        ----------
        X : array-like of shape (n_samples, channels, height, width) or (n_samples, n_features)
            Images or rows, as in ``fit``.
        candidate : int or array-like of int of shape (n_samples,), default=0
            Which of the regenerations to make, for all rows or for each. Not used by "fresh" noise.

        Returns
        -------
        X_regenerated : float32 ndarray of the shape of X
            In the value range of X.

        Raises
        ------
        ValueError
            If X is not as in ``fit``, a candidate number is negative or not an integer, or ``timestep`` was set
            above what the denoiser was trained for.
        """
        check_is_fitted(self)
        X = self._check_input(X, reset=False)
        candidates = _check_candidates(candidate, len(X))
        schedule = Schedule(self.scheduler_)
        self._check_steps(schedule, self.max_timestep_)
        device = resolve_device(self.device)
        denoiser = _moved(self.denoiser_, device)
        regenerated = np.empty(X.shape, dtype=np.float32)
        with torch.inference_mode(), self._steady_kernels(device):
            network = self._network(denoiser, device)
            noise = Noise(
                self.noise, self.key_, lambda rows: self.space_.quantize(X[rows]), candidates, self.space_.shape, device
            )

            def work(rows):
                x = self.space_.encode(X[rows], device)
                x = schedule.add_noise(x, noise(rows).to(x.dtype), self.timestep)
                x = schedule.denoise(network, x, self.timestep, self.n_steps)
                regenerated[rows] = self.space_.decode(x, X[rows])

            size, take = self._batches(denoiser, device)
            in_batches(work, len(X), size, may_halve=not self.exact, take=take)
        return regenerated

    @property
    def rows_to_fill(self):
        """How many candidates a search should make at a time, on the device in use, so that none runs alone."""
        check_is_fitted(self)
        if self.exact:
            return _ROWS_PER_EXACT_BATCH
        return rows_to_fill(self.space_.shape, resolve_device(self.device))

    def rotate_key(self):
        """Take a new key from the operating system's entropy.

        Do it rarely: each rotation gives everybody fresh draws of the same row, which can be averaged.

        Returns
        -------
        self : DiffusionRegenerator
        """
        check_is_fitted(self)
        self.key_, self.key_is_secret_ = secrets.token_bytes(KEY_SIZE), True
        return self

    def save_pretrained(self, folder):
        """Write the denoiser to a folder that ``denoiser=folder`` and, for images, diffusers load.

        Images: the layout of a ``diffusers.DDPMPipeline``. Weights are written as safetensors. The key of the
        noise is not written. The folder is written whole or not at all.

        Parameters
        ----------
        folder : str or path
            Where to write. An earlier denoiser there is replaced.

        Raises
        ------
        FileExistsError
            If the folder holds something else.
        ValueError
            If the denoiser is a module of your own, which only joblib can save.
        """
        check_is_fitted(self)
        notes = {"n_levels": self.max_timestep_ + 1}
        if self.image_shape_ is None:
            notes |= {"mean": self.space_.mean, "scale": self.space_.scale}
        save_pretrained(folder, Pretrained(self.denoiser_, self.scheduler_, notes))

    def _check_input(self, X, *, reset, n_rows_min=1):
        shape = getattr(self, "image_shape_", None)
        if not reset and shape is not None and np.shape(X)[1:] != shape:
            raise ValueError(
                f"X must be images of shape (n_samples, {', '.join(map(str, shape))}), as in fit (channels, height, "
                f"width). Got shape {np.shape(X)}."
            )
        X = validate_data(self, X, dtype="numeric", allow_nd=True, ensure_min_samples=n_rows_min, reset=reset)
        if X.ndim not in (2, 4) or 0 in X.shape or (not reset and shape is None and X.ndim != 2):
            raise ValueError(
                "X must be images of shape (n_samples, channels, height, width) or rows of shape (n_samples, "
                f"n_features), as in fit. Got shape {X.shape}."
            )
        largest = np.finfo(np.float32).max
        if X.dtype == np.float64 and (X.max() > largest or X.min() < -largest):
            raise ValueError(f"X must be finite in float32. Got values between {X.min()} and {X.max()}.")
        if not reset:
            self._check_values(X)
        return X

    def _check_values(self, X):
        batches = gen_batches(len(X), _ROWS_CHECKED_AT_ONCE)
        n_outside = sum(self.space_.outside(X[rows]) for rows in batches)
        if n_outside:
            low, high = (np.array2string(end, precision=6) for end in self.value_range_)
            warnings.warn(
                f"{n_outside} of {X.size} values of X lie outside the value range {low} to {high} of fit and are "
                "clipped to it. Scale X as in fit, or give value_range.",
                RangeWarning,
                stacklevel=4,
            )

    def _pretrained(self):
        if isinstance(self.denoiser, (str, os.PathLike)):
            return load_pretrained(self.denoiser)
        if isinstance(self.denoiser, torch.nn.Module):
            return Pretrained(copy.deepcopy(self.denoiser))
        return None

    def _prepare(self, X, pretrained, seed):
        """Return all fitted attributes but the key; the network untrained unless it is pretrained."""
        scheduler = getattr(pretrained, "scheduler", None) or make_scheduler(self.n_train_timesteps, self.beta_schedule)
        schedule = Schedule(scheduler)
        n_levels = self._n_levels(schedule, pretrained)
        self._check_steps(schedule, n_levels - 1)
        make_space = self._row_space if X.ndim == 2 else self._image_space
        network, space, value_range = make_space(X, pretrained, seed)
        # Wherever a module of the user's is, it is tried here on the CPU; answers move it to the device.
        network = _moved(_cast(network, space.dtype).eval().requires_grad_(False), torch.device("cpu"))
        _try_network(network, space)
        return {
            "denoiser_": network,
            "denoiser_saw_members_": None,
            "history_": [],
            "image_shape_": None if X.ndim == 2 else X.shape[1:],
            "max_timestep_": n_levels - 1,
            "n_parameters_": sum(weight.numel() for weight in network.parameters()),
            "scheduler_": scheduler,
            "space_": space,
            "value_range_": value_range,
        }

    def _n_levels(self, schedule, pretrained):
        if pretrained is not None:
            return min(int(pretrained.notes.get("n_levels", len(schedule))), len(schedule))
        if self.train_timesteps == "auto":
            return min(self.timestep + 1, len(schedule))
        if self.train_timesteps > len(schedule):
            raise ValueError(
                f"train_timesteps must be at most n_train_timesteps={len(schedule)}. Got {self.train_timesteps}."
            )
        return self.train_timesteps

    def _check_steps(self, schedule, highest):
        schedule.check_timestep(self.timestep, highest)
        ddim_timesteps(self.timestep, self.n_steps)

    def _row_space(self, X, pretrained, seed):
        space = RowSpace.of(X)
        if pretrained is not None and "mean" in pretrained.notes:
            space = RowSpace(*(np.array(pretrained.notes[name], dtype=np.float64) for name in ("mean", "scale")))
            if len(space.mean) != X.shape[1]:
                raise ValueError(
                    f"denoiser was trained on rows of {len(space.mean)} features. X has {X.shape[1]} features."
                )
        if not space.shape[0]:
            raise ValueError("X must have a feature that varies over its rows. All features are constant.")
        network = self._make(make_row_denoiser, space.shape, pretrained, seed)
        return network, space, space.value_range

    def _image_space(self, X, pretrained, seed):
        auto = isinstance(self.value_range, str)
        value_range = detect_range(X) if auto else check_range(self.value_range, X.shape[1])
        network = self._make(make_unet, X.shape[1:], pretrained, seed)
        check_channels(network, X.shape[1])
        return network, ImageSpace(X.shape[1:], value_range, side_multiple(network)), value_range

    def _make(self, make_default, shape, pretrained, seed):
        if pretrained is not None:
            return pretrained.network
        with torch_seed(seed):
            if self.denoiser is None or isinstance(self.denoiser, dict):
                return make_default(shape if len(shape) > 1 else shape[0], self.denoiser)
            network = self.denoiser(shape)
        if not isinstance(network, torch.nn.Module):
            raise ValueError(f"denoiser must return a torch module. It returned a {type(network).__name__}.")
        return network

    def _train(self, X, fitted, device, seed):
        space, is_rows = fitted["space_"], X.ndim == 2
        network = fitted["denoiser_"].requires_grad_(True).to(device)
        if self.verbose:
            tqdm.write(f"denoiser: {fitted['n_parameters_']:,} parameters, {device}")
        trainer = Trainer(
            Schedule(fitted["scheduler_"]),
            n_levels=fitted["max_timestep_"] + 1,
            max_epochs=self._count_epochs(X),
            batch_size=self.batch_size,
            lr=self.lr,
            ema_decay=self.ema_decay,
            autocast=not is_rows and self._uses_bfloat16(device),
            seed=seed,
            verbose=self.verbose,
        )
        encoded = [space.encode(X[rows], device) for rows in gen_batches(len(X), _ROWS_CHECKED_AT_ONCE)]
        averaged, history = trainer.train(network, torch.cat(encoded))
        return {"denoiser_": averaged, "history_": history, "denoiser_saw_members_": True}

    def _count_epochs(self, X):
        if self.max_epochs != "auto":
            return self.max_epochs
        n_updates = _AUTO_UPDATES["rows" if X.ndim == 2 else "images"]
        return max(_AUTO_EPOCHS, math.ceil(n_updates / math.ceil(len(X) / self.batch_size)))

    def _new_key(self, draw, digest):
        if self.key is not None:
            key = self.key if isinstance(self.key, (bytes, str)) else int(self.key)
            return {"key_": derive_key(key), "key_is_secret_": False}
        if self.random_state is not None:
            return {"key_": derive_key("random_state", draw, digest), "key_is_secret_": False}
        return {"key_": secrets.token_bytes(KEY_SIZE), "key_is_secret_": True}

    def _uses_bfloat16(self, device):
        return self.precision == "bfloat16" or (self.precision == "auto" and device.type == "cuda")

    def _batches(self, denoiser, device):
        if self.exact:
            return _ROWS_PER_EXACT_BATCH, None
        size = rows_per_batch(denoiser, self.space_.shape, device)
        return (bucket_below(size), next_batch) if self.compile else (size, None)

    def _padded_rows(self, n_rows):
        if self.exact:
            return _ROWS_PER_EXACT_BATCH
        return bucket_above(n_rows) if self.compile else n_rows

    def _network(self, denoiser, device):
        call = compiled(self, denoiser) if self.compile else partial(_call, denoiser)
        is_image = self.image_shape_ is not None
        autocast = is_image and self._uses_bfloat16(device)
        last = is_image and math.prod(self.space_.shape[1:]) >= _PIXELS_FOR_CHANNELS_LAST
        # One layout for every batch: another one would be compiled for anew.
        layout = torch.channels_last if last else torch.contiguous_format

        def network(x, timestep):
            n_rows = len(x)
            n_padded = self._padded_rows(n_rows)
            if n_padded > n_rows:
                x = torch.cat([x, x.new_zeros(n_padded - n_rows, *x.shape[1:])])
            x = x.contiguous(memory_format=layout)
            timesteps = torch.full((len(x),), timestep, device=device)
            with torch.autocast(device.type, torch.bfloat16, enabled=autocast):
                predicted = call(x, timesteps)
            return predicted[:n_rows].to(x.dtype)

        return network

    @contextlib.contextmanager
    def _steady_kernels(self, device):
        # cuDNN would otherwise choose its algorithm by timing, and round products to 10 bits. Its flags are the whole
        # process's: threads that put them back in another order than they set them would leave them changed.
        if device.type != "cuda":
            yield
            return
        flags = {"enabled": True, "benchmark": False, "deterministic": self.exact, "allow_tf32": False}
        with _CUDNN_LOCK, torch.backends.cudnn.flags(**flags):
            yield

    def __sklearn_is_fitted__(self):
        return hasattr(self, "denoiser_")

    def __sklearn_clone__(self):
        if getattr(self, "denoiser_saw_members_", None):
            warnings.warn(
                "A fitted DiffusionRegenerator is being cloned, and the clone's denoiser will be trained again. To use "
                "this one, call save_pretrained(folder) and make the regenerator with denoiser=folder.",
                DefenseWarning,
                stacklevel=3,
            )
        return super().__sklearn_clone__()

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def __getstate__(self):
        # Weights travel on the CPU, so that what a GPU fitted loads where there is none.
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


def _check_candidates(candidate, n_rows):
    candidates = np.asarray(candidate)
    if candidates.dtype.kind not in "iu" or candidates.shape not in {(), (n_rows,)}:
        raise ValueError(
            f"candidate must be an integer or an array of {n_rows} integers, one for each row of X. Got {candidate!r}."
        )
    if candidates.min() < 0 or candidates.max() >= N_CANDIDATES_MAX:
        raise ValueError(f"candidate must be in [0, 2**32). Got {candidate!r}.")
    return np.broadcast_to(candidates.astype(np.int64), n_rows)


def _call(network, x, timesteps):
    return call_network(network, x, timesteps, x.shape[1])


def _moved(network, device):
    # Looking at one weight is much faster than asking a network to move where it is already.
    weight = next(network.parameters(), None)
    index = None if weight is None else weight.device.index
    there = weight is not None and weight.device.type == device.type and device.index in (None, index)
    return network if there else network.to(device)


def _cast(network, dtype):
    # Networks of diffusers log a message at every cast, even one that changes nothing.
    floating = [weight for weight in network.parameters() if weight.is_floating_point()]
    return network.to(dtype) if any(weight.dtype != dtype for weight in floating) else network


def _try_network(network, space):
    """Call the network once, so that one that doesn't fit is an error of fit that names it."""
    x = torch.zeros(2, *space.shape, dtype=space.dtype)
    try:
        with torch.inference_mode():
            answer = call_network(network, x, torch.zeros(2, dtype=torch.int64), x.shape[1])
    except Exception as error:  # a module of one's own may raise anything
        raise ValueError(f"denoiser can't be called with inputs of shape {tuple(x.shape)}: {error}") from error
    if answer.shape != x.shape:
        raise ValueError(f"denoiser must answer in the shape of its input {tuple(x.shape)}. Got {tuple(answer.shape)}.")
