"""Digests of objects by what they mean, equal in every process, to find again what was computed from them."""

import functools
import hashlib
import platform
import sys
import types
from collections import OrderedDict
from pathlib import Path

import numpy as np
import scipy
import sklearn
import skorch
import torch
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator
from skorch import NeuralNet

import skdiffence

_SIZE = 16
_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(Ellipsis), type(NotImplemented), range)
_BUILT_IN = (types.BuiltinFunctionType, np.ufunc, types.MethodDescriptorType, types.WrapperDescriptorType)
_WRAPPERS = (staticmethod, classmethod)
# Parameters that change how a result is shown, how fast it comes or where it is kept, not the result.
_IRRELEVANT = {"cache_dir", "checkpoint_dir", "n_jobs", "verbose"}
# State of a net that its predictions do not depend on.
_OF_TRAINING = {"callbacks", "callbacks_", "history_"}


def fingerprint(*values):
    """Return a digest that is equal for values that mean the same, in this process or another.

    The digest depends on

    - the content of numbers, strings, arrays, frames, sparse matrices, tensors and containers
    - the class and the parameters of an estimator whose fitted state ``clone`` removes, without ``verbose``, ``n_jobs``
      and folders of what is kept: one of the values or a parameter of another, itself or in a list, tuple, set or dict
    - the class and the state of every other estimator, such as one that is frozen, or whose method is a parameter, of a
      torch module and of any other object
    - of the state of a net, only what its predictions depend on
    - the name of a function or class and the version of its library
    - the bytecode of a function or class of no installed library, and the values of the global names in it: other
      functions and classes, numbers, and files of Python modules

    Parameters
    ----------
    *values : object
        Any objects.

    Returns
    -------
    digest : bytes of length 16

    Raises
    ------
    TypeError
        If a value has a state that cannot be read, such as an open file.
    """
    return _Digester().of(values)


def named_versions():
    """Return the versions of Python and of the libraries that training and predictions depend on, by name."""
    packages = (np, scipy, sklearn, skdiffence, skorch, torch)
    return {"python": platform.python_version(), **{each.__name__: str(each.__version__) for each in packages}}


def library_versions():
    """Return the versions of Python and of the libraries that training and predictions depend on."""
    return list(named_versions().values())


def is_library(module):
    """Return whether a module, given by name, is part of Python, of skdiffence or of an installed package."""
    top = (module or "").partition(".")[0]
    if top in sys.stdlib_module_names or top == "skdiffence":
        return True
    if top in {"__main__", "__mp_main__"}:
        return False  # a notebook runs it from a file of an installed package
    file = getattr(sys.modules.get(module), "__file__", None)
    return file is not None and bool({"site-packages", "dist-packages"} & set(Path(file).parts))


class _Digester:
    """Digests of nested values, each computed once, with an end to cycles."""

    def __init__(self):
        self._open = {}  # values whose digest is being computed, with their depth
        self._done = {}
        self._is_stripped = True  # whether clone would remove the fitted state of an estimator found here

    def of(self, value):
        """Return the digest of a value."""
        if type(value) in _PLAIN:
            return _join(type(value).__name__, repr(value))
        if isinstance(value, np.generic) and type(value.item()) in _PLAIN:
            return self.of(value.item())
        if self._is_stripped and not _is_cloned_by_parts(value):
            return self._with_state(value)
        name = id(value), self._is_stripped
        if name in self._done:
            return self._done[name][0]
        if name in self._open:
            return _join("itself", str(len(self._open) - self._open[name]))
        self._open[name] = len(self._open)
        try:
            digest = self._digest(value)
        finally:
            del self._open[name]
        self._done[name] = digest, value  # the value is kept so that no other one gets its id
        return digest

    def _with_state(self, value):
        self._is_stripped = False
        try:
            return self.of(value)
        finally:
            self._is_stripped = True

    def _digest(self, value):
        if sparse.issparse(value):  # first, as those in DOK format are dicts
            rows = value.tocsr()
            return self._named(type(value), [rows.shape, rows.data, rows.indices, rows.indptr])
        for kinds, digest in _BY_KIND:
            if isinstance(value, kinds):
                return digest(self, value)
        for kinds, parts in _PARTS_BY_KIND:
            if isinstance(value, kinds):
                return self._named(type(value), parts(value))
        if hasattr(value, "iloc"):
            return self._frame(value)
        if hasattr(value, "get_params") and self._is_stripped:
            return self._named(type(value), _relevant(value.get_params(deep=False)))
        return self._object(value)

    def _named(self, name, content):
        name = name.encode() if isinstance(name, str) else self.of(name)
        return _join(name, self.of(content))

    def _sequence(self, value):
        return _join(type(value).__qualname__, *map(self.of, value))

    def _mapping(self, value):
        items = [self.of(key) + self.of(value[key]) for key in value]
        return _join(type(value).__qualname__, *(items if isinstance(value, OrderedDict) else sorted(items)))

    def _set(self, value):
        return _join(type(value).__qualname__, *sorted(map(self.of, value)))

    def _array(self, value):
        if type(value) not in (np.ndarray, np.memmap):
            return self._object(value)
        if value.dtype.hasobject:
            return _join("array of objects", repr(value.shape), *map(self.of, value.ravel().tolist()))
        whole = np.ascontiguousarray(value)
        # Dates and times have no buffer of their own.
        content = whole.view(np.int64) if value.dtype.kind in "mM" else whole
        return _join("array", value.dtype.str, repr(value.shape), content.data)

    def _frame(self, value):
        if not hasattr(value, "columns"):
            return _join("column", str(value.dtype), self.of(np.asarray(value)))
        columns = [self.of(value.iloc[:, place]) for place in range(len(value.columns))]
        return _join("frame", self.of(list(value.columns)), *columns)

    def _tensor(self, value):
        flat = value.detach().cpu().contiguous().reshape(-1)
        return _join("tensor", str(value.dtype), repr(tuple(value.shape)), flat.view(torch.uint8).numpy().data)

    def _frozen(self, value):
        return _join("frozen", self.of(value.estimator))

    def _net(self, value):
        if self._is_stripped:
            return self._named(type(value), _relevant(value.get_params(deep=False)))
        state = {name: part for name, part in _relevant(vars(value)).items() if name not in _OF_TRAINING}
        parts = {name: part for name, part in state.items() if not isinstance(part, torch.optim.Optimizer)}
        modules = {name: _layers(part) for name, part in parts.items() if isinstance(part, torch.nn.Module)}
        return self._named(type(value), parts | modules)

    def _module(self, value):
        name = _join("python module", value.__name__, _version(value.__name__))
        file = getattr(value, "__file__", None)
        return name if file is None or is_library(value.__name__) else _join(name, Path(file).read_bytes())

    def _built_in(self, value):
        owner = getattr(value, "__self__", None)
        owner = None if isinstance(owner, types.ModuleType) else owner
        return _join("built-in", _name(value), self.of(owner))

    def _class(self, value):
        name = _join("class", _name(value), _version(value.__module__))
        if is_library(value.__module__):
            return name
        members = {key: member for key, member in vars(value).items() if _is_written(key, member)}
        return _join(name, self.of(value.__bases__), self._lenient(members))

    def _function(self, value):
        cells = [_cell_content(cell) for cell in value.__closure__ or ()]
        parts = [value.__code__, value.__defaults__, value.__kwdefaults__, cells]
        digest = _join("function", _name(value), _version(value.__module__), self.of(parts))
        if is_library(value.__module__):
            return digest
        names = _used_names(value.__code__) & value.__globals__.keys()
        used = {name: value.__globals__[name] for name in names}
        return _join(digest, self._lenient(used), self._lenient(vars(value)))

    def _lenient(self, values):
        """Return a digest of values by name. Only the type counts if a state cannot be read, such as that of a lock."""

        def digest(value):
            try:
                return self.of(value)
            except TypeError:
                return _join("unreadable", type(value).__qualname__)

        return _join(*(part for name in sorted(values) for part in (name, digest(values[name]))))

    def _object(self, value):
        try:
            reduced = value.__reduce_ex__(4)
        except Exception as error:
            raise TypeError(
                f"{type(value).__qualname__} has a state that cannot be read, so it cannot be recognized again: {error}"
            ) from None
        if isinstance(reduced, str):
            return _join("global", _name(type(value)), reduced)
        make, arguments, state, items, pairs = (*reduced, None, None, None)[:5]
        if hasattr(value, "get_params") and isinstance(state, dict):
            state = _relevant(state)
        parts = [make, arguments, state, None if items is None else list(items), None if pairs is None else dict(pairs)]
        return self._named("object", parts)


_BY_KIND = (
    (np.ndarray, _Digester._array),
    (torch.Tensor, _Digester._tensor),
    (type, _Digester._class),
    (types.FunctionType, _Digester._function),
    (types.ModuleType, _Digester._module),
    (_BUILT_IN, _Digester._built_in),
    (FrozenEstimator, _Digester._frozen),
    (NeuralNet, _Digester._net),
    ((list, tuple), _Digester._sequence),
    (dict, _Digester._mapping),
    ((set, frozenset), _Digester._set),
)


def _code_parts(code):
    # Line numbers and file names are left out.
    names = code.co_names, code.co_varnames, code.co_freevars, code.co_flags, code.co_argcount
    # co_code is the bytecode as compiled, before the interpreter specializes it.
    return code.co_code, code.co_consts, names, code.co_kwonlyargcount


_PARTS_BY_KIND = (
    (types.CodeType, _code_parts),
    (types.MethodType, lambda method: (method.__func__, method.__self__)),
    (functools.partial, lambda partial: (partial.func, partial.args, partial.keywords)),
    (functools._lru_cache_wrapper, lambda cached: cached.__wrapped__),
    (_WRAPPERS, lambda wrapper: wrapper.__func__),
    (property, lambda member: (member.fget, member.fset, member.fdel)),
    (np.random.RandomState, lambda state: state.get_state(legacy=False)),
    (np.random.Generator, lambda generator: generator.bit_generator.state),
)


def _join(*parts):
    """Return a digest of parts and of their lengths."""
    digest = hashlib.blake2b(digest_size=_SIZE)
    for part in parts:
        part = part.encode() if isinstance(part, str) else part
        size = part.nbytes if isinstance(part, memoryview) else len(part)
        digest.update(size.to_bytes(8, "little"))
        digest.update(part)
    return digest.digest()


def _is_cloned_by_parts(value):
    """Return whether clone makes a value anew from clones of its parts, and does not copy or share it."""
    if type(value) in (dict, frozenset, list, set, tuple):
        return True
    if isinstance(value, (type, FrozenEstimator)) or not hasattr(value, "get_params"):
        return False
    clone = getattr(type(value), "__sklearn_clone__", BaseEstimator.__sklearn_clone__)
    return clone.__module__.partition(".")[0] in ("sklearn", "skdiffence")


def _relevant(params):
    return {name: value for name, value in params.items() if name not in _IRRELEVANT}


def _layers(module):
    """Return the parts of a network without their training mode, which prediction changes."""
    apart = {"training", "_modules"}
    return [
        (name, type(part), {key: value for key, value in vars(part).items() if key not in apart})
        for name, part in module.named_modules()
    ]


def _name(value):
    return f"{getattr(value, '__module__', None)}:{getattr(value, '__qualname__', getattr(value, '__name__', ''))}"


def _is_written(key, member):
    """Return whether a member of a class is in its source. Python, abc and pickle add others, some of them later."""
    added = key == "_abc_impl" or (key.startswith("__") and key.endswith("__"))
    return not added or isinstance(member, (types.FunctionType, *_WRAPPERS))


def _version(module):
    return str(getattr(sys.modules.get((module or "").partition(".")[0]), "__version__", None))


def _cell_content(cell):
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None


def _used_names(code):
    """Return the global names that a function, and those defined inside it, may look up."""
    inner = (const for const in code.co_consts if isinstance(const, types.CodeType))
    return set(code.co_names).union(*map(_used_names, inner))
