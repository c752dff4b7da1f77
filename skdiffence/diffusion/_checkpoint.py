"""The state of a denoiser's training in a file, from which an interrupted training continues."""

import hashlib
import json
import time

import torch
from safetensors import safe_open

# Older diffusers use safetensors.torch without importing it.
from safetensors.torch import save_file

from skdiffence.utils._cache import make_cache_folder
from skdiffence.utils._files import whole_file
from skdiffence.utils._fingerprint import fingerprint, library_versions

# An interrupted training loses at most this many seconds, and the update in progress.
SECONDS_BETWEEN = 60.0


class Checkpoint:
    """A file of tensors and notes that are written completely or not at all, with a key and a checksum.

    Parameters
    ----------
    folder : str or path
        Where the file is. The folder is made if it does not exist.
    key : str
        Digest of all that the training depends on. It names the file and is also in it, because a file can be renamed.
    """

    def __init__(self, folder, key):
        self.path = make_cache_folder(folder) / f"denoiser-{key}.safetensors"
        self.key = key
        self._written = time.monotonic()

    def is_due(self):
        """Return whether it is time to save."""
        return time.monotonic() - self._written >= SECONDS_BETWEEN

    def save(self, tensors, notes):
        """Replace what was saved before.

        Parameters
        ----------
        tensors : dict of str to tensor
            Copied to the CPU.
        notes : dict
            What JSON can hold.
        """
        tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
        notes = json.dumps(notes)
        metadata = {"key": self.key, "notes": notes, "checksum": _checksum(self.key, notes, tensors)}
        with whole_file(self.path, private=True) as unfinished:
            save_file(tensors, unfinished, metadata)
        self._written = time.monotonic()

    def load(self):
        """Return the tensors and the notes, or None if nothing was saved.

        Raises
        ------
        ValueError
            If the file is damaged, or not of this training.
        """
        if not self.path.exists():
            return None
        try:
            with safe_open(self.path, framework="pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dict)
        except Exception as error:  # whatever the first wrong byte leads to
            raise self._refusal(f"it is damaged or no checkpoint ({type(error).__name__}: {error})") from error
        if metadata.get("key") != self.key:
            raise self._refusal("it is of another training")
        if metadata.get("checksum") != _checksum(self.key, metadata["notes"], tensors):
            raise self._refusal("it is damaged, its checksum differs")
        return tensors, json.loads(metadata["notes"])

    def _refusal(self, why):
        return ValueError(
            f"checkpoint_dir has a file that can't be continued from, {self.path}: {why}. Remove it to train from the "
            "beginning."
        )


def training_key(regenerator, network, space, digest, settings):
    """Return a digest of all that the training of a denoiser depends on.

    Parameters
    ----------
    regenerator : DiffusionRegenerator
        Its parameters about the denoiser and the schedule are read.
    network : torch module
        With its initial weights.
    space : ImageSpace or RowSpace
        The input space.
    digest : bytes
        Digest of the training rows.
    settings : dict
        Settings of the trainer, its seed and the kind of device included.

    Returns
    -------
    key : str
    """
    weights = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    kinds = [type(module) for module in network.modules()]
    schedule = regenerator.n_train_timesteps, regenerator.beta_schedule
    parts = regenerator.denoiser, kinds, weights, space, digest, schedule, settings
    return fingerprint("denoiser", *parts, library_versions()).hex()


def state_of(trainer, network):
    """Return the tensors and the notes that the rest of a training depends on.

    Parameters
    ----------
    trainer : Trainer
        Between two updates.
    network : torch module
        The network that it trains.

    Returns
    -------
    tensors : dict of str to tensor
    notes : dict
    """
    optimizer = trainer.optimizer_.state_dict()["state"]
    tensors = {
        **_weights("network", network),
        **_weights("average", trainer.average_.network),
        **{f"optimizer.{place}.{name}": value for place, part in optimizer.items() for name, value in part.items()},
        **{f"generator.{name}": state for name, state in trainer.generator_states().items()},
        "total": trainer.total_,
    }
    n_updates = trainer.average_.n_updates
    notes = {"history": trainer.history_, "done": trainer.done_, "seconds": trainer.seconds_, "n_updates": n_updates}
    return tensors, notes


def restore(trainer, network, tensors, notes):
    """Put a training into a state that :func:`state_of` has returned.

    Parameters
    ----------
    trainer : Trainer
        Set up anew.
    network : torch module
        Changed in place.
    tensors, notes : dict
        The state.
    """
    _set_weights("network", network, tensors)
    _set_weights("average", trainer.average_.network, tensors)
    state = {}
    for name, value in tensors.items():
        kind, _, rest = name.partition(".")
        if kind == "optimizer":
            place, _, part = rest.partition(".")
            state.setdefault(int(place), {})[part] = value
    trainer.optimizer_.load_state_dict({**trainer.optimizer_.state_dict(), "state": state})
    trainer.set_generator_states(
        {name.removeprefix("generator."): value for name, value in tensors.items() if name.startswith("generator.")}
    )
    trainer.total_ = tensors["total"].to(trainer.total_.device)
    trainer.history_, trainer.done_, trainer.seconds_ = notes["history"], notes["done"], notes["seconds"]
    trainer.average_.n_updates = notes["n_updates"]
    trainer.set_rate(notes["n_updates"])


def finished_state(network, history):
    """Return the tensors and the notes of a finished training: the averaged network and its history."""
    return _weights("average", network), {"history": history, "finished": True}


def restore_finished(network, tensors):
    """Give a network the weights of a finished training."""
    _set_weights("average", network, tensors)
    return network.eval()


def _weights(prefix, network):
    named = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    return {f"{prefix}.{name}": value for name, value in named.items()}


@torch.no_grad()
def _set_weights(prefix, network, tensors):
    for name, value in _weights(prefix, network).items():
        value.copy_(tensors[name])


def _checksum(key, notes, tensors):
    digest = hashlib.blake2b(f"{key}:{notes}".encode(), digest_size=16)
    for name in sorted(tensors):
        tensor = tensors[name].reshape(-1)
        digest.update(f"{name}:{tensor.dtype}:{tuple(tensors[name].shape)}:".encode())
        digest.update(tensor.view(torch.uint8).numpy().data)
    return digest.hexdigest()
