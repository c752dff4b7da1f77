"""Who is a member: disjoint parts of a data set, drawn from one shuffle."""

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
    """Draw disjoint parts of a data set from one shuffle of all its rows.

    All parts come from the same shuffle, so that members and non-members have one distribution and an attack can't
    tell them apart by where they come from.

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
        Sorted row numbers of each part, and of all others as ``rest``. Where a data set is sorted by class its parts
        are too: let a net shuffle its training rows, as in ``iterator_train__shuffle=True`` of skorch.

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
        if not isinstance(size, Integral) or size < 1 or name == "rest":
            raise ValueError(f"sizes must map names but 'rest' to integers of at least 1. Got {name!r}: {size!r}.")
    needed = sum(sizes.values())
    if needed > n_samples:
        raise ValueError(f"sizes need {needed} rows in all, but n_samples={n_samples}.")
    order = np.random.default_rng(draw_seed(random_state)).permutation(n_samples)
    stops = np.cumsum([0, *sizes.values(), n_samples - needed])
    names = [*sizes, "rest"]
    return Bunch(**{name: np.sort(order[a:b]) for name, a, b in zip(names, stops[:-1], stops[1:], strict=True)})
