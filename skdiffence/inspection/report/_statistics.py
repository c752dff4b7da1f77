"""The figures that the verdict of an audit rests on, in sentences with intervals and p-values."""

import numpy as np

from skdiffence._evaluation._measure import LOW_RATE, SURE_RATIO
from skdiffence.inspection.report._format import counted, interval, number, percent, words
from skdiffence.inspection.report._strongest import strongest_on
from skdiffence.metrics._operating_point import FEWEST_AT_RATE

LEVEL = 0.05  # of significance
# Non-members that it takes to see whether members are identified at a low false positive rate.
FEWEST_FOR_LOW_RATE = round(FEWEST_AT_RATE / LOW_RATE)


def statistics(report):
    """Return the figures of an audit in sentences.

    Parameters
    ----------
    report : AuditReport
        The report.

    Returns
    -------
    sentences : list of str
    """
    sentences = [_strongest(report), _low_fpr(report), *_identified(report), _floor(report), *_beyond_labels(report)]
    return [*sentences, *_undefended(report), _utility(report), _significance(report)]


def leaks_beyond_labels(target, level):
    """Return whether attacks on answers find more than labels tell: in the area, or by identifying more members.

    Parameters
    ----------
    target : TargetResult
        What attacks achieved.
    level : float
        Level of significance.

    Returns
    -------
    leaks : bool
    """
    if target.identifies_beyond_labels():
        return True
    if target.beyond_labels is not None:
        return target.beyond_labels.difference.low > 0
    # Without a floor, what is found among correctly labeled rows is the best sign.
    return target.among_correct is not None and target.among_correct.p_value <= level


def labels_tell(target):
    """Return whether attacks on labels alone were run and find members, on average or at a low false positive rate.

    Parameters
    ----------
    target : TargetResult
        What attacks achieved.

    Returns
    -------
    tell : bool
    """
    return target.floor is not None and target.floor.auc.low > 0.5 or bool(target.identifies(label_only=True))


def most_identified(report):
    """Return the operating point of the attack that identifies most members at the audit's false positive rate.

    Parameters
    ----------
    report : AuditReport
        The report.

    Returns
    -------
    point : OperatingPoint or None
        None if the audit has no such rate.
    """
    level = report.settings["max_fpr"]
    if level is None:
        return None
    points = [point_at(attack, level) for attack in report.targets["audited"].attacks]
    return max(points, key=lambda point: point.tpr.value)


def _strongest(report):
    worst = report.worst
    return f"The strongest of {counted(worst.n_attacks, 'attack')}, {words(worst.attack)}: AUC {interval(worst.auc)}."


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
        f"At a false positive rate of {percent(level)}, the attack that identifies most members, {words(name)}, "
        f"identifies {percent(tpr.value)} of them ({percent(tpr.low)} to {percent(tpr.high)})."
    )
    if points[name].is_reliable:
        return text
    return f"{text} That rate is below 10 of the {n_others} non-members: the figure is noise."


def _identified(report):
    """Return a sentence on the attack that identifies members most clearly, with the corrected interval."""
    identified = report.targets["audited"].identified
    if not identified:
        return []
    clearest = identified[0]
    tpr, rate = clearest.point.tpr, clearest.point.max_fpr
    corrected = f"{percent(tpr.low)} to {percent(tpr.high)}, corrected for {counted(clearest.n_points, 'point')}"
    learned = "" if clearest.as_learned else " In the tables it has less: the direction that it learned is another one."
    return [
        f"At a false positive rate of {percent(rate)}, {words(clearest.attack)} identifies {percent(tpr.value)} of the "
        f"members ({corrected} that were looked at): with certainty at least {SURE_RATIO} times as many as "
        f"non-members.{learned}"
    ]


def point_at(attack, max_fpr):
    """Return the operating point of an attack at one of the audit's false positive rates."""
    return next(point for point in attack.tpr_at_fpr if point.max_fpr == max_fpr)


def _floor(report):
    floor = report.floor
    if floor is None:
        return "No attack that sees labels only was run, so the floor of defenses that keep labels is not known."
    return (
        f"The strongest attack that sees labels only, {words(floor.attack)} ({floor_kind(report)}), has an AUC of "
        f"{interval(floor.auc)}. This is the floor: a defense that keeps labels can't go below it."
    )


def floor_kind(report):
    """Return what the strongest attack that sees labels only makes use of, in words."""
    own_model = report.settings["attack_facts"][report.floor.attack]["own_model"]
    return "labels and own model" if own_model else "labels alone"


def _beyond_labels(report):
    target, sentences = report.targets["audited"], []
    if (beyond := target.beyond_labels) is not None:
        sentences.append(
            f"The AUC of the strongest attack {_on(report, beyond.attack)}, less that of the floor is "
            f"{interval(beyond.difference)}: {_what_it_shows(target)}."
        )
    if (correct := target.among_correct) is not None:
        sentences.append(
            f"Among correctly labeled rows the strongest attack {_on(report, correct.attack)}, has an AUC of "
            f"{interval(correct.auc)} (p = {correct.p_value:.2g}){_blind(report)}."
        )
    return sentences


def _what_it_shows(target):
    """Return what the difference to the floor shows, and what shows a leak where the difference does not."""
    if target.beyond_labels.difference.low > 0:
        return "a leak beyond labels"
    if target.identifies_beyond_labels():
        return "no leak beyond labels on average, but more members are identified than labels tell"
    by_chance = target.worst.p_value > LEVEL
    if labels_tell(target) or (by_chance and not target.identified):
        return "no leak beyond labels was found"
    shown = "members who are identified with certainty"
    if not by_chance:
        shown = f"the permutation test of all attacks together (p = {target.worst.p_value:.2g})"
    return (
        f"this difference alone shows no leak beyond labels. That the answers leak is shown by {shown}; labels alone "
        "were not found to"
    )


def _on(report, name):
    is_cost = report.settings["attack_facts"][name]["uses"] == "cost"
    return f"on {'the work of answers' if is_cost else 'probabilities'}, {words(name)}"


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
    n_rows = report.rows["n_members"] + report.rows["n_non_members"]
    changed = f"The defense changed {report.defense['labels_changed']} of {n_rows} labels."
    attack = strongest_on(report, "probabilities", "undefended")
    if attack is None:
        return [changed]
    return [
        f"Without the defense the strongest attack on probabilities, {words(attack.attack)}, has an AUC of "
        f"{interval(attack.auc)}. {changed}"
    ]


def _utility(report):
    after = report.targets["audited"].utility["non_members"]
    before = report.targets["undefended"].utility["non_members"] if "undefended" in report.targets else None

    if not report.settings["true_labels"]:
        return "The utility of the answers was not measured: it needs true labels."

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
        f"{words(worst.least_likely)}. The strongest of {counted(n_attacks, 'random-guess attack')} stays below an AUC "
        f"of {worst.null_quantile:.3f} in 97.5 % of the permutations of either half of the rows."
    )
    if worst.p_value <= LEVEL:
        return text
    return f"{text} With this many rows an AUC of up to {worst.auc.high:.3f} can't be ruled out."
