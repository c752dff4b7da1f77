"""The training loop of a denoiser."""

import copy
import math
import time

import torch
from sklearn.utils import gen_batches
from torch.nn import functional
from tqdm.auto import tqdm

from skdiffence.diffusion._checkpoint import finished_state, restore, restore_finished, state_of
from skdiffence.diffusion._denoisers import call_network
from skdiffence.diffusion._inputs import ROWS_AT_ONCE
from skdiffence.utils._random import torch_seed

_CLIP_NORM = 1.0
_WARM_UP_SHARE = 0.05
_TIMED_UPDATES = 4  # after so many, the time of all is estimated


class MovingAverage:
    """Exponential moving average of the weights of a network.

    Unlike ``torch.optim.swa_utils.AveragedModel``, it does not synchronize a GPU at every update.

    Parameters
    ----------
    network : torch module
        It is copied.
    decay : float
        Weight of the average at each update, after the first ones.
    """

    def __init__(self, network, decay):
        self.network = copy.deepcopy(network).requires_grad_(False)
        self.decay = decay
        self.n_updates = 0

    @torch.no_grad()
    def update(self, network):
        """Update the average with the weights of the network."""
        # A lower decay at first, because the initial weights are random.
        decay = min(self.decay, (1 + self.n_updates) / (10 + self.n_updates)) if self.n_updates else 0.0
        torch._foreach_lerp_(list(self.network.parameters()), list(network.parameters()), 1.0 - decay)
        self.n_updates += 1

    @torch.no_grad()
    def finish(self, network):
        """Return the averaged network with the current buffers of the trained one."""
        for buffer, current in zip(self.network.buffers(), network.buffers(), strict=True):
            buffer.copy_(current)
        return self.network


class EncodedRows:
    """Rows in the input space of a denoiser: made as they are asked for on a CPU, and at once on a GPU.

    Parameters
    ----------
    X : ndarray of shape (n, ...)
        Images or rows, of any dtype; may be mapped from a file. On a CPU they are never all copied.
    space : ImageSpace or RowSpace
        Where the rows are encoded to.
    device : torch.device
        Where they are to be.
    """

    def __init__(self, X, space, device):
        self.X, self.space, self.device, self._encoded = X, space, device, None
        if device.type != "cpu":
            batches = gen_batches(len(X), ROWS_AT_ONCE)
            self._encoded = torch.cat([space.encode(X[rows], device) for rows in batches])

    def __len__(self):
        return len(self.X)

    def __getitem__(self, index):
        """Return the rows of an int64 tensor of indices, as a tensor."""
        if self._encoded is not None:
            return self._encoded[index]
        return self.space.encode(self.X[index.numpy()], self.device)


class Trainer:
    """Train a denoiser on noised rows and average its weights.

    Parameters
    ----------
    schedule : Schedule
        The noise schedule.
    n_levels : int
        Only the timesteps 0 to n_levels - 1 are trained.
    max_epochs, batch_size : int
        Passes over the rows, and rows per update.
    lr : float
        Highest learning rate, after a warm-up and before a cosine decay to 0.
    ema_decay : float
        Decay of the moving average.
    autocast : bool
        Whether to compute in bfloat16 where that is safe.
    seed : int
        Seeds order, noise, timesteps and dropout.
    verbose : int
        Whether to show a progress bar.
    on_estimate : callable(float) or None, default=None
        Takes the estimated seconds of the whole training, once, after a few updates.
    """

    def __init__(
        self, schedule, *, n_levels, max_epochs, batch_size, lr, ema_decay, autocast, seed, verbose, on_estimate=None
    ):
        self.schedule = schedule
        self.n_levels = n_levels
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.ema_decay = ema_decay
        self.autocast = autocast
        self.seed = seed
        self.verbose = verbose
        self.on_estimate = on_estimate

    def train(self, network, rows, checkpoint=None):
        """Train a network and return the average of its weights.

        Parameters
        ----------
        network : torch module
            The untrained denoiser, on the device of the rows. It is changed in place.
        rows : tensor of shape (n, ...) or EncodedRows
            All rows, in the input space of the denoiser.
        checkpoint : Checkpoint or None, default=None
            Where the training is continued from, and its state is saved once in a while and at the end.

        Returns
        -------
        averaged : torch module
            A copy with the moving average of the weights, in eval mode.
        history : list of dict
            "epoch", mean "loss" and "seconds" of each epoch.
        """
        self._set_up(network, rows)
        saved = None if checkpoint is None else checkpoint.load()
        if saved is not None and saved[1].get("finished"):
            return restore_finished(self.average_.network, saved[0]), saved[1]["history"]
        # Dropout draws from torch's global generator.
        with torch_seed(self.seed), tqdm(total=self.n_updates_, disable=not self.verbose, desc="denoiser") as bar:
            if saved is not None:
                restore(self, network, *saved)
                self.resumed_at_ = self.average_.n_updates
                bar.update(self.resumed_at_)
            while len(self.history_) < self.max_epochs:
                self._epoch(network.train(), rows, bar, checkpoint)
                bar.set_postfix(loss=f"{self.history_[-1]['loss']:.4f}")
        averaged = self.average_.finish(network).eval()
        if checkpoint is not None:
            checkpoint.save(*finished_state(averaged, self.history_))
        return averaged, self.history_

    def _set_up(self, network, rows):
        self.n_updates_ = self.max_epochs * math.ceil(len(rows) / self.batch_size)
        self.generator_ = torch.Generator(rows.device).manual_seed(self.seed)
        self.order_ = torch.Generator().manual_seed(self.seed)
        self.optimizer_ = torch.optim.Adam(network.parameters(), lr=self.lr, fused=True)
        self.rates_ = torch.optim.lr_scheduler.LambdaLR(self.optimizer_, self._rate)
        self.average_ = MovingAverage(network, self.ema_decay)
        self.history_, self.device_, self.resumed_at_ = [], rows.device, 0
        self._begin_epoch()

    def _begin_epoch(self):
        # Updates done in this epoch, the sum of their losses, and the seconds that they took.
        self.done_, self.seconds_ = 0, 0.0
        self.total_ = torch.zeros((), dtype=torch.float64, device=self.device_)

    def generator_states(self):
        """Return the states of all generators; for the order of rows, that at the beginning of the epoch."""
        states = {"noise": self.generator_.get_state(), "order": self.order_state_, "global": torch.get_rng_state()}
        return states | ({"cuda": torch.cuda.get_rng_state(self.device_)} if self.device_.type == "cuda" else {})

    def set_generator_states(self, states):
        """Set the states that :meth:`generator_states` has returned."""
        self.generator_.set_state(states["noise"])
        self.order_.set_state(states["order"])
        torch.set_rng_state(states["global"])
        if "cuda" in states:
            torch.cuda.set_rng_state(states["cuda"], self.device_)

    def set_rate(self, n_updates):
        """Set the learning rate to that after a number of updates."""
        self.rates_.last_epoch = n_updates
        for group in self.optimizer_.param_groups:
            group["lr"] = self.lr * self._rate(n_updates)

    def _rate(self, update):
        warm_up = max(1, int(_WARM_UP_SHARE * self.n_updates_))
        return min((update + 1) / warm_up, 0.5 * (1.0 + math.cos(math.pi * update / self.n_updates_)))

    def _epoch(self, network, rows, bar, checkpoint):
        start = time.perf_counter() - self.seconds_
        self.order_state_ = self.order_.get_state()
        order = torch.randperm(len(rows), generator=self.order_).to(rows.device)
        for batch in order.split(self.batch_size)[self.done_ :]:
            self.total_ += self._update(network, rows[batch]) * len(batch)
            self.done_ += 1
            bar.update()
            self._estimate()
            if checkpoint is not None and checkpoint.is_due():
                self.seconds_ = time.perf_counter() - start
                checkpoint.save(*state_of(self, network))
        loss, seconds = float(self.total_) / len(rows), time.perf_counter() - start
        self.history_.append({"epoch": len(self.history_) + 1, "loss": loss, "seconds": seconds})
        self._begin_epoch()

    def _estimate(self):
        done = self.average_.n_updates - self.resumed_at_
        if done == 1:
            self.start_ = time.perf_counter()  # the first update also allocates and compiles
        elif done == _TIMED_UPDATES and self.on_estimate is not None:
            seconds = (time.perf_counter() - self.start_) / (done - 1)
            self.on_estimate(seconds * (self.n_updates_ - self.resumed_at_))

    def _update(self, network, x):
        loss = self._loss(network, x)
        self.optimizer_.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), _CLIP_NORM)
        self.optimizer_.step()
        self.rates_.step()
        self.average_.update(network)
        return loss.detach()

    def _loss(self, network, x):
        draws = {"generator": self.generator_, "device": x.device}
        # The square root makes the highest timestep, where every regeneration starts, the most frequent.
        timesteps = (torch.rand(len(x), dtype=torch.float64, **draws).sqrt() * self.n_levels).long()
        noise = torch.randn(x.shape, dtype=x.dtype, **draws)
        noisy = self.schedule.add_noise(x, noise, timesteps)
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.autocast):
            predicted = call_network(network, noisy, timesteps, x.shape[1])
        return functional.mse_loss(predicted.to(x.dtype), self.schedule.target(x, noise, timesteps))
