"""What attacks look at: probabilities, labels alone, or the work of an answer, and the strongest of each kind."""

from skdiffence._evaluation._results import strongest

KINDS = ("probabilities", "labels", "cost")


def kind_of(report, attack):
    """Return what an attack looks at.

    Parameters
    ----------
    report : AuditReport
        The report.
    attack : AttackResult
        One of its attacks.

    Returns
    -------
    kind : {"probabilities", "labels", "cost"}
    """
    if attack.label_only:
        return "labels"
    return "cost" if report.settings["attack_facts"][attack.attack]["uses"] == "cost" else "probabilities"


def strongest_on(report, kind, target="audited"):
    """Return the strongest attack of a kind.

    Parameters
    ----------
    report : AuditReport
        The report.
    kind : {"probabilities", "labels", "cost"}
        What it looks at.
    target : str, default="audited"
        The attacked classifier.

    Returns
    -------
    attack : AttackResult or None
        None if none was run.
    """
    attacks = report.targets[target].attacks
    return strongest([attack for attack in attacks if kind_of(report, attack) == kind], "auc")
