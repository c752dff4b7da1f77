"""Disjoint parts of a data set, such as members and non-members, from one shuffle."""

from numbers import Integral

import numpy as np
from sklearn.utils import Bunch

from skdiffence.utils._random import draw_seed
from skdiffence.utils._sklearn import Interval, validate_params


@validate_params(
    {
        "n_samples": [Interval(Integral, 1, None, closed="left")],
        "sizes": [dict],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def membership_partition(n_samples, sizes, *, random_state=None):
    """Split a data set at random into disjoint parts.

    All parts come from one shuffle, so members and non-members have the same distribution, and an attack cannot tell
    them apart by their source.

    Parameters
    ----------
    n_samples : int
        Number of rows of the data set.
    sizes : dict of str to int
        Number of rows of each part, such as ``{"public": 900, "members": 100, "non_members": 300}``.
    random_state : int, RandomState instance or None, default=None
        Seeds the shuffle.

    Returns
    -------
    parts : Bunch of int64 ndarrays
        Sorted row numbers of each part, and of all other rows as ``rest``. The parts of a data set that is sorted by
        class are sorted as well. Let a net shuffle its training rows, with ``iterator_train__shuffle=True`` in skorch.

    Raises
    ------
    ValueError
        If a size is not a positive integer, or the parts need more rows than there are.

    Examples
    --------
    >>> from skdiffence.datasets import membership_partition
    >>> parts = membership_partition(10, {"members": 4, "non_members": 4}, random_state=0)
    >>> len(parts.members), len(parts.non_members), len(parts.rest)
    (4, 4, 2)
    """
    for name, size in sizes.items():
        if not isinstance(size, Integral) or isinstance(size, bool) or size < 1 or not _is_name(name):
            raise ValueError(
                "sizes must map names to integers of at least 1; 'rest' and the methods of a dict, such as 'items', "
                f"can't be names. Got {name!r}: {size!r}."
            )
    # Sizes may be NumPy integers of few bits, whose sum overflows.
    n_samples, sizes = int(n_samples), {name: int(size) for name, size in sizes.items()}
    needed = sum(sizes.values())
    if needed > n_samples:
        raise ValueError(f"sizes need {needed} rows in all, but n_samples={n_samples}.")
    order = np.random.default_rng(draw_seed(random_state)).permutation(n_samples)
    stops = np.cumsum([0, *sizes.values(), n_samples - needed])
    names = [*sizes, "rest"]
    return Bunch(**{name: np.sort(order[a:b]) for name, a, b in zip(names, stops[:-1], stops[1:], strict=True)})


def _is_name(name):
    return isinstance(name, str) and name != "rest" and not hasattr(dict, name)
