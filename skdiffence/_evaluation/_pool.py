"""All rows that a scorer compares with: in memory and in worker processes, never in a saved object."""

import functools
import secrets

from skdiffence.utils._rows import row_digests
from skdiffence.utils._sklearn import num_samples
from skdiffence.utils._unsaved import Unsaved
from skdiffence.utils._validation import as_class_labels, check_is_member

_KEY_SIZE = 32


class Pool(Unsaved):
    """Rows, labels and, where given, membership of all rows that an evaluation is about.

    Parameters
    ----------
    data : tuple of (X, y) or (X, y, is_member)
        Stored as it is; checked when it is used. None reads it from the file.
    token : bytes, default=None
        Name of the pool in this process; None draws one.
    spill : tuple of (path, checksum), default=None
        The file, once it is written.
    """

    _name = "pool"
    _lost = (
        "pool has no rows here: an AttackScorer is saved without them, so that no training row is saved with it. "
        "Give it the rows again: scorer.set_params(pool=(X, y))."
    )

    @functools.cached_property
    def digest_key(self):
        """Key of the pool's digests."""
        return secrets.token_bytes(_KEY_SIZE)

    @functools.cached_property
    def keys(self):
        """Digests of the rows in order."""
        return row_digests(self.X, self.digest_key)

    @property
    def X(self):
        """The rows."""
        return self.data[0]

    @property
    def y(self):
        """The labels, as an array."""
        return as_class_labels(self.data[1], "y of pool")

    @property
    def is_member(self):
        """Membership as booleans, None if it is to be inferred."""
        return check_is_member(self.data[2], len(self), both_sides=True) if len(self.data) == 3 else None

    def __len__(self):
        return num_samples(self.X)

    def check(self):
        """Check the form of the data.

        Returns
        -------
        is_member : ndarray of shape (n_samples,), dtype bool, or None
            Membership, None if it is to be inferred.

        Raises
        ------
        ValueError
            If it is not a tuple of two or three, or lengths differ.
        """
        if not isinstance(self.data, (tuple, list)) or len(self.data) not in (2, 3):
            raise ValueError(
                f"pool must be a tuple (X, y) or (X, y, is_member). Got {type(self.data).__name__}"
                + (f" of length {len(self.data)}." if isinstance(self.data, (tuple, list)) else ".")
            )
        if self.y.shape != (len(self),):
            raise ValueError(
                f"pool must hold one label for each row. Got {len(self)} rows and labels of shape {self.y.shape}."
            )
        return self.is_member
