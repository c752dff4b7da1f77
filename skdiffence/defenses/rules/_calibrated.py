"""The template of rules that search a setting on calibration rows."""

from abc import ABCMeta, abstractmethod
from itertools import combinations
from operator import itemgetter

import numpy as np

from skdiffence.defenses.rules._base import cheapest, check_phi
from skdiffence.defenses.rules._divergence import cramer_von_mises
from skdiffence.utils._sklearn import fit_context

#: The interval that every candidate is in: the first one answers.
EVERYTHING = (-np.inf, np.inf)


class CalibratedRule(metaclass=ABCMeta):
    """Mixin of choosing rules that search the setting under which members and non-members are most alike.

    A setting is whatever the costs of candidates depend on, for example an interval of phi. A subclass writes
    ``_settings``, ``_cost`` and ``_keep``, and may write another ``_objective``. The settings that are tried are
    arguments: the rule is changed when the best one is kept, and not before.
    """

    needs_members = True
    needs_non_members = True

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, members, non_members):
        """Search the setting on the candidates of known members and non-members.

        Parameters
        ----------
        members, non_members : array-like of shape (n, n_candidates + 1)
            phi of candidates, NaN where one changes the label; the last column is the fallback's answer. Rules with
            ``relabels`` get phi of all candidates and do not read the last column.

        Returns
        -------
        self : Rule
            The fitted rule.

        Raises
        ------
        ValueError
            If one of the sides is not such an array, or no candidate on it keeps its label.
        """
        members, non_members = check_sides(self, members=members, non_members=non_members)
        settings = self._settings(members, non_members)
        tried = [(self._objective(setting, members, non_members), setting) for setting in settings]
        objective, setting = min(tried, key=itemgetter(0))
        self._keep(setting, objective, members, non_members)
        return self

    @abstractmethod
    def _settings(self, members, non_members):
        """Return the settings to try; of equally good ones the first is kept."""

    @abstractmethod
    def _cost(self, phi, setting):
        """Return the cost of candidates under a setting."""

    @abstractmethod
    def _keep(self, setting, objective, members, non_members):
        """Set the fitted attributes."""

    def _objective(self, setting, members, non_members):
        """Return the divergence between the answers to members and to non-members, less what chance gives."""
        return cramer_von_mises(*self._answers(setting, members, non_members)).divergence

    def _answers(self, setting, *sides, n_candidates=None):
        """Return phi of the answers to each side under a setting; rows without any answer are left out."""
        n = self.max_candidates if n_candidates is None else n_candidates
        return [_answered(side, self._cost(side[:, :-1][:, :n], setting)) for side in sides]


def _answered(phi, cost):
    """Return phi of the candidates of lowest cost, or of the fallback."""
    chosen = cheapest(phi[:, : cost.shape[1]], cost)
    answers = np.take_along_axis(phi, chosen[:, None], axis=1)[:, 0]
    answers = np.where(np.isnan(answers), phi[:, -1], answers)
    return answers[~np.isnan(answers)]


def check_sides(rule, **sides):
    """Return phi of calibration rows as arrays in which some candidates keep their labels.

    Parameters
    ----------
    rule : Rule
        Named in the message.
    **sides : array-like of shape (n, n_candidates + 1)
        phi by side, as :meth:`Rule.fit` gets it.

    Returns
    -------
    sides : list of ndarray of shape (n, n_candidates + 1)

    Raises
    ------
    ValueError
        If a side is not such an array, sides have different numbers of columns, or no candidate of a side keeps its
        label; naming the side and the remedy.
    """
    sides = {side: check_phi(phi, side, f"(n_{side}, n_candidates + 1)", fewest=(1, 2)) for side, phi in sides.items()}
    if len({phi.shape[1] for phi in sides.values()}) > 1:
        got = " and ".join(str(phi.shape) for phi in sides.values())
        raise ValueError(f"{' and '.join(sides)} must have the same number of columns. Got arrays of shape {got}.")
    for side, phi in sides.items():
        if np.isnan(phi[:, :-1]).all():
            raise ValueError(
                f"{type(rule).__name__} found no candidate that keeps the label among the calibration "
                f"{side.replace('_', '-')}. The regenerator destroys the inputs: lower its timestep or train it longer."
            )
    return list(sides.values())


def quantile_grid(members, non_members, n_grid):
    """Return inner quantiles of phi over the candidates of all calibration rows, equally spaced in rank.

    Parameters
    ----------
    members, non_members : ndarray of shape (n, n_candidates + 1)
        phi as :meth:`Rule.fit` gets it.
    n_grid : int
        Number of quantiles, of which equal ones are returned once.

    Returns
    -------
    grid : list of float
        In increasing order.
    """
    phi = np.concatenate((members[:, :-1].ravel(), non_members[:, :-1].ravel()))
    return np.unique(np.quantile(phi[~np.isnan(phi)], np.linspace(0, 1, n_grid + 2)[1:-1])).tolist()


def intervals_between(grid):
    """Return all intervals between the values of a grid, minus and plus infinity included, in increasing order."""
    return list(combinations([-np.inf, *grid, np.inf], 2))
