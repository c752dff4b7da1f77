"""What rules that learn from calibration rows have in common: what they are given, and how they compare."""

import numpy as np

from skdiffence.defenses.rules._divergence import cramer_von_mises


def check_kept(members, non_members, selection):
    """Refuse to learn where no candidate of a side counts.

    Parameters
    ----------
    members, non_members : ndarray of shape (n, n_candidates + 1)
        As :meth:`~skdiffence.defenses.Rule.fit` gets them.
    selection : str
        Name of the rule.

    Raises
    ------
    ValueError
        Naming the side and what to do.
    """
    for name, phi in (("members", members), ("non-members", non_members)):
        if np.isnan(phi[:, :-1]).all():
            raise ValueError(
                f"selection={selection!r} found no candidate that keeps the label among the calibration {name}. The "
                "regenerator destroys the inputs: lower its timestep or train it longer."
            )


def quantile_grid(members, non_members, n_grid):
    """Return quantiles of the phi of all calibration candidates, equally spaced in rank, ends left out.

    Parameters
    ----------
    members, non_members : ndarray of shape (n, n_candidates + 1)
        As :meth:`~skdiffence.defenses.Rule.fit` gets them.
    n_grid : int
        How many; fewer come back where some are equal.

    Returns
    -------
    grid : ndarray
        Rising.
    """
    phi = np.concatenate((members[:, :-1].ravel(), non_members[:, :-1].ravel()))
    return np.unique(np.quantile(phi[~np.isnan(phi)], np.linspace(0, 1, n_grid + 2)[1:-1]))


def answered(phi, rule):
    """Return phi of the answers that a rule gives.

    Parameters
    ----------
    phi : ndarray of shape (n, n_candidates + 1)
        Of candidates, and of the fallback in the last column.
    rule : Rule
        Fitted, or with its interval set.

    Returns
    -------
    answered : ndarray
        Rows without any answer are left out.
    """
    chosen = rule.choose(phi[:, :-1])
    answers = np.take_along_axis(phi, chosen[:, None], axis=1)[:, 0]
    answers = np.where(np.isnan(answers), phi[:, -1], answers)
    return answers[~np.isnan(answers)]


def divergence(members, non_members, rule):
    """Return how far the answers to members and non-members are apart under a rule, less what chance gives."""
    return cramer_von_mises(answered(members, rule), answered(non_members, rule)).divergence
