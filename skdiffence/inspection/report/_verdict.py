"""The verdict of an audit in sentences: what was found, how bad it is, and what to do."""

from dataclasses import dataclass

import numpy as np

from skdiffence.inspection.report._format import counted, interval, number, percent

_LEVEL = 0.05  # of significance

_HEADLINES = {
    "invalid": "A control failed: the figures below can't be relied on.",
    "leak": "The answers reveal who was in the training set.",
    "labels only": "The labels reveal who was in the training set; no leak beyond them was found.",
    "none found": "No leak was found with these attacks on these rows.",
}
_ADVICE = {
    "invalid": "What to do: find out why the control failed, and audit again.",
    "leak": "What to do: add or strengthen a defense, or release labels instead of probabilities, and audit again.",
    "labels only": (
        "What to do: no defense that keeps labels lowers this leak. Train with less overfitting or with differential "
        "privacy, and audit again."
    ),
    "none found": "What to do: see what was not tested. No leak found is not the same as no leak.",
}
CONTROLS = {
    "null": "Null control: attacks must not separate non-members that are called members at random",
    "positive": "Positive control: attacks on a classifier that memorizes its members must succeed",
    "blind": "Blind control: members and non-members must not be separable without the classifier",
}


@dataclass(frozen=True)
class Verdict:
    """What an audit found, in words.

    Parameters
    ----------
    status : {"invalid", "leak", "labels only", "none found"}
        "invalid" if a control failed; "labels only" if the labels leak and no leak beyond them was found.
    headline : str
        One sentence.
    sentences : list of str
        How bad it is, what to do, and the figures that the headline rests on.
    """

    status: str
    headline: str
    sentences: list


def verdict(report):
    """Return the verdict of an audit. Failed controls come first.

    Parameters
    ----------
    report : AuditReport
        The report.

    Returns
    -------
    verdict : Verdict
    """
    status = _status(report)
    sentences = [f"{CONTROLS[control.name]}. It failed: {control.why}." for control in report.failed_controls]
    sentences += [_audited(report), _strongest(report), _ADVICE[status], _low_fpr(report), _floor(report)]
    sentences += [*_beyond_labels(report), *_undefended(report), _utility(report), _significance(report)]
    return Verdict(status, _HEADLINES[status], sentences)


def _status(report):
    if report.failed_controls:
        return "invalid"
    if report.worst.p_value > _LEVEL:
        return "none found"
    return "leak" if _leaks_beyond_labels(report.targets["audited"]) else "labels only"


def _leaks_beyond_labels(target):
    if target.beyond_labels is not None:
        return target.beyond_labels.difference.low > 0
    # Without a floor, what is found among correctly labeled rows is the best sign.
    return target.among_correct is not None and target.among_correct.p_value <= _LEVEL


def _audited(report):
    settings, rows = report.settings, report.rows
    return (
        f"Audited: {settings['estimator']}, with {counted(rows['n_members'], 'member')} and "
        f"{counted(rows['n_non_members'], 'non-member')}."
    )


def _strongest(report):
    worst = report.worst
    return (
        f"The strongest of {counted(worst.n_attacks, 'attack')}, {worst.attack}, ranks a random member above a random "
        f"non-member in {100 * worst.auc.value:.0f} of 100 cases, where guessing does so in 50 (AUC "
        f"{interval(worst.auc)})."
    )


def _low_fpr(report):
    level, n_others = report.settings["max_fpr"], report.rows["n_non_members"]
    if level is None:
        return (
            f"With {n_others} non-members no true positive rate at a low false positive rate can be estimated: it "
            "takes at least 100."
        )
    points = {attack.attack: point_at(attack, level) for attack in report.targets["audited"].attacks}
    name = max(points, key=lambda name: points[name].tpr.value)
    tpr = points[name].tpr
    text = (
        f"At a false positive rate of {percent(level)}, the attack that identifies most members, {name}, identifies "
        f"{percent(tpr.value)} of them ({percent(tpr.low)} to {percent(tpr.high)})."
    )
    if points[name].is_reliable:
        return text
    return f"{text} That rate is below 10 of the {n_others} non-members: the figure is noise."


def point_at(attack, max_fpr):
    """Return the operating point of an attack at one of the audit's false positive rates."""
    return next(point for point in attack.tpr_at_fpr if point.max_fpr == max_fpr)


def _floor(report):
    floor = report.floor
    if floor is None:
        return "No attack that sees labels only was run, so the floor of defenses that keep labels is not known."
    return (
        f"The strongest attack that sees labels only, {floor.attack} ({floor_kind(report)}), has an AUC of "
        f"{interval(floor.auc)}. This is the floor: a defense that keeps labels can't go below it."
    )


def floor_kind(report):
    """Return what the strongest attack that sees labels only makes use of, in words."""
    own_model = report.settings["attack_facts"][report.floor.attack]["own_model"]
    return "labels and own model" if own_model else "labels alone"


def _beyond_labels(report):
    target = report.targets["audited"]
    found = "a leak beyond labels" if _leaks_beyond_labels(target) else "no leak beyond labels was found"
    sentences = []
    if (beyond := target.beyond_labels) is not None:
        sentences.append(
            f"The AUC of the strongest attack on answers, {beyond.attack}, less that of the floor is "
            f"{interval(beyond.difference)}: {found}."
        )
    if (correct := target.among_correct) is not None:
        sentences.append(
            f"Among correctly labeled rows the strongest attack on answers, {correct.attack}, has an AUC of "
            f"{interval(correct.auc)} (p = {correct.p_value:.2g}){_blind(report)}."
        )
    return sentences


def _blind(report):
    """Return what a model that saw none of the rows gives among correctly labeled rows, if that was measured."""
    facts = report.settings["attack_facts"]
    areas = [
        attack.correct_auc
        for attack in report.targets["audited"].attacks
        if attack.label_only and facts[attack.attack]["own_model"] and not np.isnan(attack.correct_auc.value)
    ]
    if not areas:
        return ""
    highest = max(areas, key=lambda area: area.value)
    return f"; labels and a model that saw none of the rows have one of {interval(highest)}"


def _undefended(report):
    if "undefended" not in report.targets:
        return []
    worst, n_rows = report.targets["undefended"].worst, report.rows["n_members"] + report.rows["n_non_members"]
    return [
        f"Without the defense the strongest attack, {worst.attack}, has an AUC of {interval(worst.auc)}. The "
        f"defense changed {report.defense['labels_changed']} of {n_rows} labels."
    ]


def _utility(report):
    after = report.targets["audited"].utility["non_members"]
    before = report.targets["undefended"].utility["non_members"] if "undefended" in report.targets else None

    def change(name, key, sign=1):
        end = number(sign * after[key])
        return f"{name} {end}" if before is None else f"{name} {end} (undefended: {number(sign * before[key])})"

    return (
        f"On non-members {percent(after['accuracy'])} of the labels are right, with a "
        f"{change('log-loss of', 'neg_log_loss', -1)}, a {change('calibration error of', 'expected_calibration_error')}"
        f" and a {change('failure-detection AUC of', 'failure_detection_auc')}."
    )


def _significance(report):
    worst = report.worst
    n_attacks = worst.n_attacks
    text = (
        f"Permutation test of all attacks together: p = {worst.p_value:.2g}; the most significant is "
        f"{worst.least_likely}. The strongest of {counted(n_attacks, 'random-guess attack')} stays below an AUC of "
        f"{worst.null_quantile:.3f} in 97.5 % of the permutations of either half of the rows."
    )
    if worst.p_value <= _LEVEL:
        return text
    return f"{text} With this many rows an AUC of up to {worst.auc.high:.3f} can't be ruled out."
