"""Keys that are never printed."""

_SHOWN = "<secret key>"


class SecretBytes(bytes):
    """Bytes that print as a placeholder, in a fitted attribute."""

    def __repr__(self):
        return _SHOWN

    __str__ = __repr__


class Secret:
    """A key as a parameter of an estimator, which prints as a placeholder.

    Parameters
    ----------
    value : object
        The key; checked when it is used.
    """

    def __init__(self, value):
        self._value = value

    def reveal(self, name, types, longest=None):
        """Return the key.

        Parameters
        ----------
        name : str
            Name of the parameter, for errors.
        types : tuple of types
            What the key may be.
        longest : int, default=None
            Largest number of bytes or characters.

        Returns
        -------
        value : bytes, str or int

        Raises
        ------
        TypeError
            If it is of another type.
        ValueError
            If it is empty, blank or too long.
        """
        value = self._value
        if not isinstance(value, types) or isinstance(value, bool):
            allowed = ", ".join(each.__name__ for each in types)
            raise TypeError(f"{name} must be None or of one of the types {allowed}. Got {type(value).__name__}.")
        if isinstance(value, (bytes, str)) and not value.strip():
            raise ValueError(f"{name} must not be empty or blank. Got {type(value).__name__} of length {len(value)}.")
        if longest is not None and len(value) > longest:
            raise ValueError(
                f"{name} must be of length {longest} at most. Got {type(value).__name__} of length {len(value)}."
            )
        return bytes(value) if isinstance(value, bytes) else value

    def __eq__(self, other):
        return self._value == (other._value if isinstance(other, Secret) else other)

    def __hash__(self):
        return hash(self._value)

    def __deepcopy__(self, memo):
        return self  # it is never changed, so that clones of an estimator can share it

    def __repr__(self):
        return _SHOWN


class SecretParameter:
    """Descriptor of a parameter that is wrapped in a :class:`Secret` where it is set, unless it is None."""

    def __init__(self):
        self.__doc__ = "Secret key, in a wrapper that is never printed."

    def check(self, estimator, types, longest=None):
        """Return the key of an estimator, or None; see :meth:`Secret.reveal`."""
        value = self.__get__(estimator)
        if value is None:
            return None
        return (value if isinstance(value, Secret) else Secret(value)).reveal(self._name, types, longest)

    def __set_name__(self, owner, name):
        self._name = name

    def __get__(self, estimator, owner=None):
        if estimator is None:
            return self
        try:
            return vars(estimator)[self._name]
        except KeyError:
            raise AttributeError(f"{type(estimator).__name__} has no attribute {self._name!r}") from None

    def __set__(self, estimator, value):
        # Under its own name, as scikit-learn expects of a parameter. Its checks set floats and want them back.
        vars(estimator)[self._name] = value if isinstance(value, (type(None), float, Secret)) else Secret(value)
