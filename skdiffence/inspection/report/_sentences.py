"""Sentences of a report about the rows, the defense and what was not tested."""

from datetime import datetime

from skdiffence.inspection.report._format import counted, percent, words


def subject(settings, rows):
    """Return what was audited: model, data, numbers of rows and time.

    Parameters
    ----------
    settings : dict
        Settings of the audit.
    rows : dict of str to int or None
        Numbers of rows.

    Returns
    -------
    lines : list of tuple of (str, str)
        Names and values, the head of a report.
    """
    named = [] if settings["subject"] is None else [("Subject", settings["subject"])]
    members, others = counted(rows["n_members"], "member"), counted(rows["n_non_members"], "non-member")
    return [
        *named,
        ("Model", settings["estimator"]),
        ("Data", f"{members} of the training set and {others}; {settings['data']}"),
        ("Audited", f"{datetime.fromisoformat(settings['created']):%d %B %Y, %H:%M} UTC"),
        ("By", f"skdiffence {settings['versions']['skdiffence']}, {counted(len(settings['attacks']), 'attack')}, "
               f"seed {settings['seed']}"),
    ]


def row_sentences(rows):
    """Return the numbers of rows that were attacked and left out.

    Parameters
    ----------
    rows : dict of str to int or None
        Numbers of rows.

    Returns
    -------
    sentences : list of str
    """
    sides = counted(rows["n_members"], "member"), counted(rows["n_non_members"], "non-member")
    text = [f"{' and '.join(sides)} were attacked."]
    if left_out := rows["held_out_or_calibrated_left_out"]:
        text.append(
            f"{counted(left_out, 'row')} that the classifier held out or was calibrated on {_was(left_out)} left out."
        )
    if left_out := rows["duplicates_left_out"]:
        text.append(f"{counted(left_out, 'row')} with the same content on both sides {_was(left_out)} left out.")
    if near := rows["near_duplicates"]:
        text.append(
            f"{near} of the attacked rows {'equals' if near == 1 else 'equal'} one of the other side after rounding to "
            "256 levels; each can hide a part of the leak."
        )
    return text


def _was(n):
    return "was" if n == 1 else "were"


def defense_sentences(report):
    """Return what the defense tells of itself.

    Parameters
    ----------
    report : AuditReport
        The report.

    Returns
    -------
    sentences : list of str
        Empty where nothing is regenerated.
    """
    facts = report.defense
    if "denoiser_saw_members" not in facts:
        return []
    saw = {
        True: "The denoiser was trained on members. What the denoiser itself leaks is not measured here.",
        False: "The denoiser was not trained on members.",
        None: "It is not known whether the denoiser was trained on members.",
    }
    text = [saw[facts["denoiser_saw_members"]]]
    if "selection" not in facts:
        return text
    if facts["key_is_secret"] is False:
        text.append("The key of the noise is not secret: it follows from a number in the code.")
    if facts["search"] == "lazy" and facts["ends_early"]:
        text.append('search="lazy": the time that an answer takes reveals membership to anybody who can measure it.')
    if facts["fallback"] == "original":
        text.append('fallback="original": rows without an acceptable candidate are answered undefended.')
    return text + [_retention(side, rates, facts["fallback_rate"][side]) for side, rates in facts["retention"].items()]


def _retention(side, rates, fallback):
    return (
        f"On {rates['n_rows']} {side.replace('_', '-')}, {percent(rates['overall'])} of the candidates kept their "
        f"label and {percent(fallback['overall'])} of the rows had no candidate that did."
    )


def _left_out(report):
    """Return a sentence for each reason why attacks that were asked for could not be run."""
    by_reason = {}
    for name, reason in report.settings["left_out"].items():
        by_reason.setdefault(reason, []).append(words(name))
    return [f"Attacks of which each {reason}: {', '.join(names)}." for reason, names in by_reason.items()]


def untested(report):
    """Return what the audit did not test.

    Parameters
    ----------
    report : AuditReport
        The report.

    Returns
    -------
    sentences : list of str
    """
    ran = report.settings["attack_facts"].values()
    tested = {
        "Attacks with shadow models (LiRA, RMIA), the strongest known where training can be imitated.": any(
            facts["needs_shadows"] for facts in ran
        ),
        "Repeated, shifted or precompensated queries about one row, and an attacker's own denoiser.": any(
            facts["family"] == "adaptive" and facts["uses"] == "proba" for facts in ran
        ),
        "Attacks that query labels many times about one row: the floor may lie higher.": any(
            attack.label_only and attack.queries_per_row > 1 for attack in report.targets["audited"].attacks
        ),
        "Timing side channels: how long an answer takes, and how much work it is.": any(
            facts["uses"] == "cost" for facts in ran
        ),
    }
    return _left_out(report) + [text for text, was_tested in tested.items() if not was_tested] + [
        "Single persons: all figures are averages over these rows. Rare or mislabeled rows can leak far more.",
        "Attackers who see weights, gradients or intermediate values, and questions other than membership.",
    ]
