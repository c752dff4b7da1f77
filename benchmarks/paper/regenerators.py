"""Regenerations that are made once for each row and candidate and kept on disk, and the official code's noising."""

import time

import numpy as np
import torch
from sklearn.base import BaseEstimator

from skdiffence._demo._engine import Noise, Schedule, call_network, resolve_device, row_digests, whole_file
from skdiffence.base import InferenceOnlyMixin

_BLOCK = 512
_SECONDS_BETWEEN_NOTES = 20
_STRANGERS_BYTES = 1 << 30


class RegenerationStore(InferenceOnlyMixin, BaseEstimator):
    """A fitted regenerator whose regenerations of some rows are kept in a file, and found there again.

    The latest regenerations of other rows, such as near-duplicates, are kept in memory, up to a GiB.

    Parameters
    ----------
    regenerator : regenerator
        Fitted, with noise that is a function of its key.
    folder : path
        Where to keep them; it must belong to this regenerator and these rows alone.
    n_candidates : int
        How many of each row there can be.

    Attributes
    ----------
    n_made_ : int
        Regenerations that were made by this object.
    """

    def __init__(self, regenerator, folder, n_candidates):
        self.regenerator = regenerator
        self.folder = folder
        self.n_candidates = n_candidates

    def fit(self, X, y=None):
        """Open the files for the rows of X."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.strangers_ = {}
        self.digests_, self.places_ = np.unique(row_digests(X), return_index=True)
        shape = (self.n_candidates, len(X), *X.shape[1:])
        path, self.n_made_, self._noted = self.folder / "candidates.npy", 0, time.monotonic()
        mask = self.folder / "made.npy"
        # The mask alone says what is there, so a file without one starts anew.
        known = mask.exists() and path.exists()
        self.kept_ = np.lib.format.open_memmap(path, "r+" if known else "w+", np.float32, None if known else shape)
        self.made_ = np.load(mask) if known else np.zeros(shape[:2], dtype=bool)
        return self

    def regenerate(self, X, candidate=0):
        """Return regenerations of shape (n, channels, height, width), float32."""
        candidates = np.broadcast_to(np.asarray(candidate), len(X))
        digests = row_digests(X)
        found = np.searchsorted(self.digests_, digests).clip(max=len(self.digests_) - 1)
        known = (self.digests_[found] == digests) & (candidates < self.n_candidates)
        places = self.places_[found]
        answer = np.empty(X.shape, dtype=np.float32)
        strangers = np.flatnonzero(~known)
        if len(strangers):
            answer[strangers] = self._strange(X[strangers], candidates[strangers], digests[strangers])
        known = np.flatnonzero(known)
        self._complete(X[known], candidates[known], places[known])
        answer[known] = self.kept_[candidates[known], places[known]]
        return answer

    def transform(self, X):
        """Return candidate 0 of each row."""
        return self.regenerate(X, 0)

    def _strange(self, X, candidates, digests):
        names = list(zip(candidates.tolist(), digests.tolist(), strict=True))
        new = {name: i for i, name in enumerate(names) if name not in self.strangers_}
        if new:
            rows = list(new.values())
            made = self.regenerator.regenerate(X[rows], candidates[rows])
            self.strangers_.update(zip(new, made, strict=True))
            self.n_made_ += len(rows)
        answer = np.stack([self.strangers_[name] for name in names])
        for name in list(self.strangers_)[: max(0, len(self.strangers_) - _STRANGERS_BYTES // answer[0].nbytes)]:
            del self.strangers_[name]
        return answer

    def _complete(self, X, candidates, places):
        missing = np.flatnonzero(~self.made_[candidates, places])
        for start in range(0, len(missing), _BLOCK):
            rows = missing[start : start + _BLOCK]
            where = candidates[rows], places[rows]
            self.kept_[where] = self.regenerator.regenerate(X[rows], candidates[rows])
            self.made_[where] = True
            self.n_made_ += len(rows)
            if time.monotonic() - self._noted > _SECONDS_BETWEEN_NOTES:
                self.note()

    def note(self):
        """Write what was made so far: first the regenerations, then the mask that vouches for them."""
        self.kept_.flush()
        with whole_file(self.folder / "made.npy") as path:
            np.save(path, self.made_)
        self._noted = time.monotonic()


class ShippedRegenerator(InferenceOnlyMixin, BaseEstimator):
    """Regenerate as the code does that was published with the paper, with the denoiser of one of ours.

    It noises by x_t = (x + sqrt(1 - abar) e) / sqrt(abar) at index timestep - 1, where a DDPM has
    sqrt(abar) x + sqrt(1 - abar) e, and denoises from index timestep to index 0 in one step of DDIM. It pays for two
    network calls, the first of which goes from a timestep to itself and changes nothing; only the other is made here.

    Parameters
    ----------
    regenerator : DiffusionRegenerator
        Fitted to images; gives network, schedule, timestep, key and value range.
    """

    def __init__(self, regenerator):
        self.regenerator = regenerator

    def fit(self, X, y=None):
        """Do nothing."""
        return self

    def __sklearn_is_fitted__(self):
        return True

    def regenerate(self, X, candidate=0):
        """Return regenerations of shape (n, channels, height, width), float32."""
        candidates = np.broadcast_to(np.asarray(candidate, dtype=np.int64), len(X))
        answer = np.empty(X.shape, dtype=np.float32)
        for start in range(0, len(X), _BLOCK):
            rows = slice(start, start + _BLOCK)
            answer[rows] = self._regenerate(X[rows], np.array(candidates[rows]))
        return answer

    def _regenerate(self, X, candidates):
        ours = self.regenerator
        device, t = resolve_device(ours.device), ours.timestep
        abar = Schedule(ours.scheduler_).alphas_cumprod.tolist()
        network, space = ours.denoiser_.to(device), ours.space_
        with torch.inference_mode():
            clean = space.encode(X, device)
            noise = Noise("shared", ours.key_, None, candidates, space.shape, device)(slice(None))
            noisy = (clean + (1 - abar[t - 1]) ** 0.5 * noise) / abar[t - 1] ** 0.5
            steps = torch.full((len(X),), t, device=device)
            predicted = call_network(network, noisy, steps, clean.shape[1])
            estimate = (noisy - (1 - abar[t]) ** 0.5 * predicted) / abar[t] ** 0.5
            return space.decode(abar[0] ** 0.5 * estimate + (1 - abar[0]) ** 0.5 * predicted, X)

    def transform(self, X):
        """Return candidate 0 of each row."""
        return self.regenerate(X, 0)


class ByTimestep(InferenceOnlyMixin, BaseEstimator):
    """Fitted regenerators of several timesteps as one whose timestep can be set."""

    def __init__(self, regenerators, timestep):
        self.regenerators = regenerators
        self.timestep = timestep

    def fit(self, X, y=None):
        """Return self: the regenerators are fitted."""
        return self

    def __sklearn_is_fitted__(self):
        return True

    def regenerate(self, X, candidate=0):
        """Return regenerations at the timestep."""
        return self.regenerators[self.timestep].regenerate(X, candidate)
