"""Fitted estimators as JSON and arrays, and back, with no code run but that of classes that are named."""

import functools
import math
import os
import sys
from pathlib import Path

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils import Bunch
from skorch import NeuralNet
from skorch.dataset import Dataset
from skorch.history import History
from torch import nn
from torch.nn.utils import parametrize
from torch.utils.data import Dataset as TorchDataset

from skdiffence.utils._optional import import_optional
from skdiffence.utils._secret import Secret, SecretBytes
from skdiffence.utils._versions import STATE

_PLAIN = (type(None), bool, int, str)
_CONTAINERS = {"list": list, "tuple": tuple, "set": set}
# Where classes of a folder may come from without being named: what of these runs no code of a folder's own.
_LIBRARIES = {
    "torch": (nn.Module, torch.optim.Optimizer, torch.utils.data.DataLoader, TorchDataset),
    "skorch": (NeuralNet, Dataset),
    "sklearn": (Pipeline, FrozenEstimator),
    "builtins": (object,),
    "numpy": (np.generic,),
}
_OURS = ("skdiffence.defenses.", "skdiffence.diffusion.", "skdiffence.utils._rows", "skdiffence.utils._modules")
_BUILTINS = {"float", "int", "str", "bool"}
# Libraries whose objects are written here and not by skops, also inside an estimator of scikit-learn.
_NOT_FOR_SKOPS = ("skdiffence.", "skorch.", "torch.")
# Parts of a net that only matter while it is trained.
_OF_TRAINING = {"callbacks": None, "callbacks_": [], "optimizer_": None, "train_split": None, "virtual_params_": {}}
_MODULE_PARTS = set(vars(nn.Module()))
# What recurrent layers compute from their parameters.
_RNN_PARTS = {"_flat_weights", "_flat_weight_refs"}
# Hooks of torch's own that compute a weight which is saved beside them.
_HOOKS_OF_WEIGHTS = "torch.nn.utils."


class Encoder:
    """Turn nested objects into what JSON can hold, and gather arrays, secrets and parts of scikit-learn beside it.

    Attributes
    ----------
    arrays : dict of str to ndarray
    tensors : dict of str to tensor
    secrets : list of (kind, value)
        Keys, which are kept apart.
    parts : dict of str to bytes
        Estimators of scikit-learn, as skops writes them.
    left_out : list of str
        Names of settings of training that are not written.
    """

    def __init__(self):
        self.arrays, self.tensors, self.secrets, self.parts, self.left_out = {}, {}, [], {}, []
        self._seen = {}

    def encode(self, value, name):
        """Return a value as what JSON can hold.

        Parameters
        ----------
        value : object
            Any.
        name : str
            What it is, for errors.

        Returns
        -------
        encoded : object

        Raises
        ------
        TypeError
            If it can only be pickled.
        """
        if type(value) in _PLAIN:
            return value
        if type(value) is float:
            return value if math.isfinite(value) else {"is": "float", "value": str(value)}
        if isinstance(value, (type, functools.partial)):
            return self._named(value, name)
        if isinstance(value, (bytes, Secret)):
            return {"is": "secret", "place": self._add_secret(value)}
        if id(value) in self._seen:
            return {"is": "again", "place": self._seen[id(value)][0]}
        self._seen[id(value)] = len(self._seen), value  # kept, so that no other object gets its id
        return {"place": self._seen[id(value)][0], **self._encode(value, name)}

    def _encode(self, value, name):
        if isinstance(value, os.PathLike):
            # Not as plain text, which may stand for the name of a denoiser on the Hugging Face hub.
            return {"is": "path", "value": os.fsdecode(value)}
        if isinstance(value, np.generic):
            return {"is": "scalar", "dtype": value.dtype.str, "value": self.encode(value.item(), name)}
        if isinstance(value, np.ndarray):
            return self._array(np.asarray(value), name)
        if isinstance(value, torch.Tensor):
            learns = value.requires_grad if isinstance(value, nn.Parameter) else None
            return {"is": "tensor", "name": self._add_tensor(value), "learns": learns}
        if isinstance(value, History):
            return {"is": "history", "items": [self.encode(item, f"{name}[...]") for item in value]}
        for kind, cls in _CONTAINERS.items():
            if type(value) is cls or (kind == "list" and isinstance(value, list)):
                return {"is": kind, "items": [self.encode(item, f"{name}[...]") for item in value]}
        if isinstance(value, dict):
            items = [[self.encode(key, name), self.encode(item, f"{name}[{key!r}]")] for key, item in value.items()]
            return {"is": "bunch" if type(value).__name__ == "Bunch" else "dict", "items": items}
        return self._object(value, name)

    def _object(self, value, name):
        module = type(value).__module__
        if module.startswith("diffusers."):
            return self._diffusers(value, name)
        if isinstance(value, torch.device):
            return {"is": "device", "value": str(value)}
        if isinstance(value, nn.Module):
            return self._module(value, name)
        if isinstance(value, NeuralNet):
            left = {k: v for k, v in vars(value).items() if k in _OF_TRAINING and not isinstance(v, (str, type(None)))}
            self.left_out += [f"{name}.{part}" for part in ("callbacks", "train_split") if left.get(part)]
            return self._with_state(value, {k: v for k, v in vars(value).items() if k not in left}, name)
        if module.startswith("sklearn.") and not isinstance(value, (Pipeline, FrozenEstimator)):
            self.parts[f"part-{len(self.parts)}"] = _dump_part(value, name)
            return {"is": "part", "name": f"part-{len(self.parts) - 1}"}
        if module.startswith(_OURS) or isinstance(value, (BaseEstimator, Dataset)):
            state = value.__getstate__() or {}
            return self._with_state(value, {key: item for key, item in state.items() if key != STATE}, name)
        raise _only_pickled(name, type(value).__qualname__)

    def _with_state(self, value, state, name):
        state = {key: self.encode(item, f"{name}.{key}") for key, item in state.items()}
        return {"is": "object", "class": self._named(type(value), name), "state": state}

    def _named(self, value, name):
        if isinstance(value, functools.partial):
            parts = {"args": list(value.args), "kwargs": dict(value.keywords)}
            encoded = {key: self.encode(part, name) for key, part in parts.items()}
            return {"is": "partial", "func": self.encode(value.func, name), **encoded}
        return {"is": "class", "module": value.__module__, "name": value.__qualname__}

    def _array(self, value, name):
        if value.dtype.kind in "OU":
            items = [self.encode(item, name) for item in value.ravel().tolist()]
            return {"is": "words", "dtype": value.dtype.str, "shape": list(value.shape), "items": items}
        if value.dtype.kind not in "biufS" or value.dtype.itemsize > 8 and value.dtype.kind != "S":
            raise TypeError(f"{name} can't be written without pickle. Got an array of dtype {value.dtype}.")
        key = f"array-{len(self.arrays)}"
        raw = np.ascontiguousarray(value)
        self.arrays[key] = np.frombuffer(raw.tobytes(), dtype=np.uint8) if value.dtype.kind == "S" else raw
        return {"is": "array", "name": key, "dtype": value.dtype.str, "shape": list(value.shape)}

    def _module(self, value, name):
        _check_without_code(value, name)
        state = vars(value)
        left_out = _MODULE_PARTS - {"training"} | (_RNN_PARTS if isinstance(value, nn.RNNBase) else set())
        extra = {key: item for key, item in state.items() if key not in left_out}
        parts = {key: state[f"_{key}"] for key in ("parameters", "buffers", "modules")}
        return {
            "is": "module",
            "class": self._named(type(value), name),
            "attributes": {key: self.encode(item, f"{name}.{key}") for key, item in extra.items()},
            "not_saved": sorted(state["_non_persistent_buffers_set"]),
            **{k: {key: self.encode(item, f"{name}.{key}") for key, item in v.items()} for k, v in parts.items()},
        }

    def _diffusers(self, value, name):
        encoded = {"is": "diffusers", "class": type(value).__name__, "config": self.encode(dict(value.config), name)}
        if isinstance(value, nn.Module):
            weights = {key: self.encode(tensor, name) for key, tensor in value.state_dict().items()}
            encoded |= {"weights": weights, "training": value.training}
        return encoded

    def _add_tensor(self, value):
        name = f"tensor-{len(self.tensors)}"
        self.tensors[name] = value.detach().cpu().contiguous().clone()
        return name

    def _add_secret(self, value):
        plain = value._value if isinstance(value, Secret) else value
        kind = "parameter" if isinstance(value, Secret) else "attribute"
        if not isinstance(plain, (bytes, str, int)):
            raise TypeError(f"a key must be bytes, str or int. Got {type(plain).__name__}.")
        kind += f" {type(plain).__name__ if not isinstance(plain, bytes) else 'bytes'}"
        self.secrets.append((kind, plain.hex() if isinstance(plain, bytes) else str(plain)))
        return len(self.secrets) - 1


def _dump_part(part, name):
    """Return an estimator of scikit-learn as skops writes it, unless it holds what is not for skops."""
    skops = import_optional("skops.io", extra="persistence")
    try:
        dumped = skops.dumps(part)
    except Exception as error:  # it raises whatever the parts inside raise
        raise _only_pickled(name, f"a {type(part).__qualname__} that skops can't write: {error}") from error
    untrusted = skops.get_untrusted_types(data=dumped)
    # Keys of ours would be in the folder for everybody to read, and nets as pickles.
    if found := [each for each in untrusted if each.startswith(_NOT_FOR_SKOPS)]:
        libraries = " and ".join(sorted({each.partition(".")[0] for each in found}))
        names = ", ".join(each.rpartition(".")[2] for each in found[:5])
        got = f"a {type(part).__qualname__} that holds objects of {libraries}, such as {names}"
        raise _only_pickled(name, f"{got}. Of scikit-learn, only Pipeline and FrozenEstimator may hold them")
    # skops writes the name alone of a lambda, of a function inside another, or of a method.
    if lost := [each for each in untrusted if not _is_in_module(each)]:
        got = f"a {type(part).__qualname__} that holds {lost[0]}, which its name does not lead to"
        raise _only_pickled(name, f"{got}. Define functions and classes at the top level of a module")
    return dumped


def _is_in_module(path):
    module, _, name = path.rpartition(".")
    return hasattr(sys.modules.get(module), name)


def _only_pickled(name, got):
    return TypeError(
        f"{name} can't be written without pickle. Got {got}. Keep this classifier with joblib.dump(..., compress=1), "
        "or set it to something else before fit."
    )


def _check_without_code(module, name):
    """Raise an error for a layer whose answers depend on code that is not that of its class."""
    hooks = [*module._forward_pre_hooks.values(), *module._forward_hooks.values()]
    foreign = [hook for hook in hooks if not type(hook).__module__.startswith(_HOOKS_OF_WEIGHTS)]
    if foreign:
        got, remedy = "forward hooks", "Remove them, or make what they do a part of forward"
    elif parametrize.is_parametrized(module):
        got, remedy = "parametrizations", "Make plain weights of them, by torch's remove_parametrizations"
    else:
        return
    raise TypeError(
        f"{name} can't be written without pickle. Got a {type(module).__qualname__} with {got}. {remedy}, or keep this "
        "classifier with joblib.dump(..., compress=1)."
    )


class Decoder:
    """Turn what :class:`Encoder` has made back into objects.

    Parameters
    ----------
    classes : iterable of classes
        Classes that are named by the user; those of torch, skorch and skdiffence are known.
    arrays, tensors, parts : dict
        As gathered by the encoder, the parts as callables that return an estimator.
    secrets : list of (kind, value)
        The keys.
    """

    def __init__(self, classes, *, arrays, tensors, parts, secrets):
        self.classes, self._moved = list(classes), {}
        self.arrays, self.tensors, self.parts, self.secrets = arrays, tensors, parts, secrets
        self._made = {}

    def decode(self, value):
        """Return the object of an encoded value.

        Raises
        ------
        ValueError
            If it needs a class that is neither known nor named.
        """
        if not isinstance(value, dict):
            return value
        if value["is"] == "again":
            return self._made[value["place"]]
        made = getattr(self, f"_{value['is']}")(value)
        if "place" in value and value["is"] != "secret":
            self._made[value["place"]] = made
        return made

    def _float(self, value):
        return float(value["value"])

    def _secret(self, value):
        kind, text = self.secrets[value["place"]]
        use, _, of = kind.partition(" ")
        plain = bytes.fromhex(text) if of == "bytes" else int(text) if of == "int" else text
        return Secret(plain) if use == "parameter" else SecretBytes(plain)

    def _scalar(self, value):
        return np.dtype(value["dtype"]).type(self.decode(value["value"]))

    def _array(self, value):
        stored = self.arrays[value["name"]]
        stored = stored.view(value["dtype"]) if np.dtype(value["dtype"]).kind == "S" else stored
        return stored.reshape(value["shape"])

    def _words(self, value):
        items = np.empty(len(value["items"]), dtype=object)
        items[:] = [self.decode(item) for item in value["items"]]
        return items.astype(np.dtype(value["dtype"])).reshape(value["shape"])

    def _tensor(self, value):
        tensor = self.tensors[value["name"]]
        return tensor if value["learns"] is None else nn.Parameter(tensor, requires_grad=value["learns"])

    def _list(self, value):
        return [self.decode(item) for item in value["items"]]

    def _history(self, value):
        return History(self._list(value))

    def _tuple(self, value):
        return tuple(self._list(value))

    def _set(self, value):
        return set(self._list(value))

    def _dict(self, value):
        return {self.decode(key): self.decode(item) for key, item in value["items"]}

    def _bunch(self, value):
        return Bunch(**self._dict(value))

    def _path(self, value):
        return Path(value["value"])

    def _device(self, value):
        return torch.device(value["value"])

    def _part(self, value):
        return self.parts[value["name"]]()

    def _partial(self, value):
        return functools.partial(
            self.decode(value["func"]), *self.decode(value["args"]), **self.decode(value["kwargs"])
        )

    def _object(self, value):
        cls = self._class(value["class"])
        made = cls.__new__(cls)
        state = {key: self.decode(item) for key, item in value["state"].items()}
        if isinstance(made, NeuralNet):
            missing = {key: default for key, default in _OF_TRAINING.items() if key not in state}
            vars(made).update(state | missing)
        elif hasattr(made, "__setstate__"):
            made.__setstate__(state)
        else:
            vars(made).update(state)
        return made

    def _module(self, value):
        cls = self._class(value["class"])
        made = cls.__new__(cls)
        nn.Module.__init__(made)
        for key, item in value["attributes"].items():
            object.__setattr__(made, key, self.decode(item))
        for kind in ("parameters", "buffers", "modules"):
            vars(made)[f"_{kind}"].update({key: self.decode(item) for key, item in value[kind].items()})
        made._non_persistent_buffers_set = set(value["not_saved"])
        if isinstance(made, nn.RNNBase):
            made._init_flat_weights()
        return made

    def _diffusers(self, value):
        import diffusers

        if value["class"] not in ("UNet2DModel", "DDPMScheduler"):
            raise ValueError(f"{value['class']} of diffusers is not known to be safe to load.")
        made = getattr(diffusers, value["class"]).from_config(self.decode(value["config"]))
        if "weights" in value:
            made.load_state_dict({key: self.decode(item).data for key, item in value["weights"].items()})
            made.train(value["training"]).requires_grad_(False)
        return made

    def _class(self, value):
        module, name = value["module"], value["name"]
        called_so = [cls for cls in self.classes if cls.__qualname__ == name]
        if found := [cls for cls in called_so if cls.__module__ == module]:
            return found[0]
        cls = sys.modules.get(module)
        for part in name.split("."):
            cls = getattr(cls, part, None)
        library = module.partition(".")[0]
        if isinstance(cls, type):
            if module.startswith(_OURS) or (library == "builtins" and name in _BUILTINS):
                return cls
            if library != "builtins" and issubclass(cls, _LIBRARIES.get(library, ())):
                return cls
        # A class may have moved to another module, but takes the place of one class only.
        if len(called_so) == 1 and self._moved.setdefault(called_so[0], module) == module:
            return called_so[0]
        if called_so:
            given = ", ".join(f"{each.__module__}.{name}" for each in called_so)
            raise ValueError(
                f"The folder holds objects of the class {name} of {module}, and classes= has {given}, which may be "
                f"others. Import the class from {module}."
            )
        raise ValueError(
            f"The folder holds objects of the class {name} of {module}, which is not loaded unless you name it: "
            f"from_pretrained(folder, classes=[{name.rpartition('.')[2]}])."
        )


def read_part(path, classes):
    """Read an estimator of scikit-learn by skops, which loads types that it trusts and those that are named."""
    skops = import_optional("skops.io", extra="persistence")
    named = [f"{cls.__module__}.{cls.__qualname__}" for cls in classes]
    try:
        return skops.load(path, trusted=named)
    except skops.exceptions.UntrustedTypesFoundException as error:
        unknown = sorted(set(skops.get_untrusted_types(file=path)) - set(named))
        raise ValueError(
            f"{path} holds types that are not loaded unless you name them: {', '.join(unknown)}. If you trust the "
            "folder, pass the classes, from_pretrained(folder, classes=[...])."
        ) from error
