"""Versions of the libraries that saved estimators depend on, compared where they are loaded."""

import warnings

from skdiffence.exceptions import VersionWarning
from skdiffence.utils._fingerprint import named_versions

STATE = "_skdiffence_versions"


def warn_if_other_versions(saved, name):
    """Warn if something was saved with other versions than those of this process.

    Parameters
    ----------
    saved : dict of str to str
        Versions by name.
    name : str
        What was saved.

    Warns
    -----
    VersionWarning
        With the names of the libraries and both versions.
    """
    here = named_versions()
    other = {each: version for each, version in sorted(saved.items()) if version != here.get(each)}
    changed = [f"{each} {version} (here {here.get(each)})" for each, version in other.items()]
    if changed:
        warnings.warn(
            f"{name} was saved with {', '.join(changed)}. Its answers may differ, or it may fail. Load it with the "
            "versions that it was saved with, or compare answers that you have kept.",
            VersionWarning,
            stacklevel=3,
        )


class VersionedMixin:
    """Mixin that pickles an estimator with the versions of the libraries, and compares them where it is loaded."""

    def __getstate__(self):
        state = super().__getstate__()
        return {**state, STATE: named_versions()} if isinstance(state, dict) else state

    def __setstate__(self, state):
        saved = state.get(STATE)
        super().__setstate__({key: value for key, value in state.items() if key != STATE})
        if saved is not None:
            warn_if_other_versions(saved, type(self).__name__)
