"""What evaluations return: frozen dataclasses, each with its form as plain values."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Estimate:
    """A figure with its confidence interval.

    Parameters
    ----------
    value : float
        NaN where it can't be measured.
    low, high : float
        Ends of the interval.
    """

    value: float
    low: float
    high: float

    def folded(self):
        """Return an area under the ROC curve, one below 0.5 as that of the reversed scores."""
        return Estimate(1 - self.value, 1 - self.high, 1 - self.low) if self.value < 0.5 else self

    def to_dict(self, name):
        """Return the value under a name and the ends under the name with ``_low`` and ``_high``."""
        ends = {"": self.value, "_low": self.low, "_high": self.high}
        return {name + end: float(value) for end, value in ends.items()}


NOT_MEASURED = Estimate(np.nan, np.nan, np.nan)


@dataclass(frozen=True)
class OperatingPoint:
    """The point of an attack's ROC curve at a false positive rate.

    Parameters
    ----------
    max_fpr : float
        False positive rate allowed.
    tpr : Estimate
        True positive rate.
    fpr : float
        False positive rate reached.
    is_reliable : bool
        Whether ``max_fpr`` stands for at least ten non-members.
    """

    max_fpr: float
    tpr: Estimate
    fpr: float
    is_reliable: bool

    def to_dict(self):
        """Return all fields as plain values."""
        return {
            "max_fpr": self.max_fpr,
            **self.tpr.to_dict("tpr"),
            "fpr": float(self.fpr),
            "is_reliable": bool(self.is_reliable),
        }


@dataclass(frozen=True)
class AttackResult:
    """What an attack achieved.

    Parameters
    ----------
    attack : str
        Its name.
    roc_auc : Estimate
        Area under the ROC curve.
    accuracy : Estimate
        Balanced accuracy at the threshold learned on known rows.
    correct_roc_auc : Estimate
        Area among correctly labeled rows.
    tpr_at_fpr, tnr_at_fnr : tuple of OperatingPoint
        One for each level. In the second, members and non-members have changed roles.
    by_class : dict of str to dict of str to float, default=None
        Area, its interval and the numbers of rows for each label.
    epsilon_lower_bound : float, default=None
        Lower bound of the differential-privacy epsilon of training.
    label_only : bool, default=None
        Whether the attack reads nothing but labels.
    queries_per_row : float, default=None
        Queries that the attacker alone would need for each row, known or scored.
    seconds : float, default=None
        Duration, without the query that attacks share.
    """

    attack: str
    roc_auc: Estimate
    accuracy: Estimate
    correct_roc_auc: Estimate
    tpr_at_fpr: tuple
    tnr_at_fnr: tuple
    by_class: dict | None = None
    epsilon_lower_bound: float | None = None
    label_only: bool | None = None
    queries_per_row: float | None = None
    seconds: float | None = None

    @property
    def auc(self):
        """Area under the ROC curve, of the reversed scores where it is below 0.5."""
        return self.roc_auc.folded()

    @property
    def correct_auc(self):
        """The same among correctly labeled rows."""
        return self.correct_roc_auc.folded()

    def to_dict(self):
        """Return the figures of an audit as plain values."""
        return {
            "attack": self.attack,
            "label_only": self.label_only,
            **self.auc.to_dict("auc"),
            **self.accuracy.to_dict("accuracy"),
            **self.correct_auc.to_dict("correct_auc"),
            "tpr_at_fpr": [point.to_dict() for point in self.tpr_at_fpr],
            "epsilon_lower_bound": self.epsilon_lower_bound,
            "by_class": self.by_class,
            "queries_per_row": self.queries_per_row,
            "seconds": self.seconds,
        }


@dataclass(frozen=True)
class ChanceComparison:
    """The strongest of several attacks, compared with as many random-guess attacks.

    Parameters
    ----------
    attack : str
        Name of the strongest attack.
    auc : Estimate
        Its area under the ROC curve.
    n_attacks : int
        Number of attacks.
    p_value : float
        Permutation p-value of all attacks together.
    least_likely : str
        The attack with the smallest p-value.
    null_quantile : float
        In each half, the strongest of as many random-guess attacks stays below this area in 97.5 % of the cases.
    """

    attack: str
    auc: Estimate
    n_attacks: int
    p_value: float
    least_likely: str
    null_quantile: float

    def to_dict(self):
        """Return all fields as plain values."""
        return vars(self) | self.auc.to_dict("auc")


@dataclass(frozen=True)
class LeakBeyondLabels:
    """The strongest attack on answers, compared with the floor: the strongest attack that never sees a confidence.

    Parameters
    ----------
    attack : str
        Name of the strongest attack on answers.
    floor : str
        Name of the strongest attack that reads labels only.
    difference : Estimate
        The area under the ROC curve of the former less that of the latter, with the interval of the paired difference.
    """

    attack: str
    floor: str
    difference: Estimate

    def to_dict(self):
        """Return all fields as plain values."""
        return {"attack": self.attack, "floor": self.floor} | self.difference.to_dict("difference")


@dataclass(frozen=True)
class Identification:
    """The point of an attack that identifies members with certainty at a low false positive rate.

    Parameters
    ----------
    attack : str
        Its name.
    point : OperatingPoint
        Its operating point, whose interval has the confidence level below.
    confidence_level : float
        Coverage of that interval, corrected for the number of points that were looked at.
    n_points : int
        Number of points that were looked at, of all attacks and directions together.
    as_learned : bool
        Whether the attack itself has that point: False if it learned another direction of its signal.
    """

    attack: str
    point: OperatingPoint
    confidence_level: float
    n_points: int
    as_learned: bool

    @property
    def ratio(self):
        """How many times as often members are identified as non-members, at least."""
        return self.point.tpr.low / self.point.max_fpr

    def to_dict(self):
        """Return all fields as plain values."""
        how = {name: value for name, value in vars(self).items() if name != "point"}
        return how | self.point.to_dict()


@dataclass(frozen=True)
class TargetResult:
    """What attacks achieved on a classifier, and what its answers are worth.

    Parameters
    ----------
    attacks : tuple of AttackResult
        All attacks.
    worst : ChanceComparison
        The strongest of them.
    beyond_labels : LeakBeyondLabels or None
        The strongest attack that reads more than labels compared with the floor; None if one of them was not run.
    among_correct : ChanceComparison or None
        The strongest among correctly labeled rows of those that read more than labels.
    utility : dict of str to dict of str to float
        Figures of the classifier itself on members and non-members. NaN without true labels.
    rows_asked : dict of str to int
        Rows that the classifier was asked about for all attacks together, by method.
    seconds_asked : float
        How long that took.
    identified : tuple of Identification, default=()
        Of each attack that identifies members with certainty at a low false positive rate, the clearest point; the
        clearest of all comes first.
    """

    attacks: tuple
    worst: ChanceComparison
    beyond_labels: LeakBeyondLabels | None
    among_correct: ChanceComparison | None
    utility: dict
    rows_asked: dict
    seconds_asked: float
    identified: tuple = ()

    @property
    def floor(self):
        """The strongest attack that reads labels only, None if there is none."""
        return strongest([attack for attack in self.attacks if attack.label_only], "auc")

    def is_weaker_than_labels(self, attack):
        """Return whether an attack that reads more than labels finds less than the floor."""
        return self.floor is not None and not attack.label_only and attack.auc.value < self.floor.auc.value

    def identifies(self, *, label_only):
        """Return the attacks of one kind that identify members with certainty.

        Parameters
        ----------
        label_only : bool
            Whether to look at attacks that read labels only, or at all others.

        Returns
        -------
        identified : list of Identification
        """
        names = {attack.attack for attack in self.attacks if attack.label_only == label_only}
        return [each for each in self.identified if each.attack in names]

    def identifies_beyond_labels(self):
        """Return whether an attack that reads more than labels surely identifies more members than labels do."""
        return any(
            each.point.tpr.low > max((point.tpr.high for point in self._of_labels(each.point.max_fpr)), default=0.0)
            for each in self.identifies(label_only=False)
        )

    def _of_labels(self, max_fpr):
        points = [point for attack in self.attacks if attack.label_only for point in attack.tpr_at_fpr]
        points += [each.point for each in self.identifies(label_only=True)]
        return [point for point in points if point.max_fpr == max_fpr]

    def to_dict(self):
        """Return all fields and the floor as plain values."""
        return {
            "attacks": [
                attack.to_dict() | {"weaker_than_labels": self.is_weaker_than_labels(attack)} for attack in self.attacks
            ],
            "worst": self.worst.to_dict(),
            "beyond_labels": self.beyond_labels and self.beyond_labels.to_dict(),
            "among_correct": self.among_correct and self.among_correct.to_dict(),
            "floor": self.floor and self.floor.attack,
            "identified": [each.to_dict() for each in self.identified],
            "utility": self.utility,
            "rows_asked": self.rows_asked,
            "seconds_asked": self.seconds_asked,
        }


@dataclass(frozen=True)
class ControlResult:
    """What a control of an audit found.

    Parameters
    ----------
    name : {"null", "positive", "blind"}
        The control.
    holds : bool or None
        None if it could not be run.
    why : str
        What was found.
    attacks : dict of str to Estimate
        Area under the ROC curve of each attack.
    """

    name: str
    holds: bool | None
    why: str
    attacks: dict

    def to_dict(self):
        """Return all fields as plain values."""
        attacks = {name: {"auc": auc.value, "low": auc.low, "high": auc.high} for name, auc in self.attacks.items()}
        return {**vars(self), "attacks": attacks}


def strongest(attacks, figure):
    """Return the attack of the highest value, None if it is known of none.

    Parameters
    ----------
    attacks : iterable of AttackResult
        To choose from.
    figure : {"auc", "correct_auc"}
        What to compare.

    Returns
    -------
    attack : AttackResult or None
    """
    known = [attack for attack in attacks if not np.isnan(getattr(attack, figure).value)]
    return max(known, key=lambda attack: getattr(attack, figure).value, default=None)
