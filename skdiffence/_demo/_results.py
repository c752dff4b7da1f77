"""The tables, the checks and the conclusion of the demo."""

import numpy as np

from skdiffence._demo._split import DEFAULT, RULES, UNDEFENDED
from skdiffence._demo._table import format_means, mean_and_margin

TPR = "entropy_tpr_at_fpr"

PRIVACY = [
    ("entropy_roc_auc", "entropy", 3),
    ("non_monotone_roc_auc", "non-mono.", 3),
    ("entropy_correct_roc_auc", "if right", 3),
    ("worst_roc_auc", "strongest", 3),
    ("reference_roc_auc", "own model", 3),
    ("label_only_reference_roc_auc", "floor", 3),
    ("leak_beyond_labels", "beyond", 3),
    ("confidence_attack_accuracy", "attack acc.", 3),
    (TPR, "TPR", 3),
]
UTILITY = [
    ("accuracy", "test acc.", 3),
    ("labels_changed", "changed", 0),
    ("retention", "retention", 3),
    ("nll", "NLL", 3),
    ("recalibrated_nll", "recal. NLL", 3),
    ("expected_calibration_error", "ECE", 3),
    ("failure_detection_auc", "fail. AUC", 3),
    ("calls", "calls/row", 2),
    ("milliseconds", "ms/row", 2),
]


def write_table(records, settings):
    """Return both halves of the table as text, rows in the order in which they were measured."""
    fpr = next(key for key in records[0] if key.startswith(TPR)).removeprefix(f"{TPR}_")
    heading = (
        f"means over {settings.n_splits} splits ± half of a 95 % interval; {settings.n_members} members, "
        f"N={settings.n_candidates}, timestep {settings.timestep}\n"
        f"AUC of attacks, and the TPR of the entropy attack at {fpr} FPR; own model: the answer and a model of the "
        "attacker's own;\nfloor: the label and that model; beyond: the strongest attack on answers less the strongest "
        f'on labels\ncontrols below "{DEFAULT}" use the same rule'
    )
    records = [{**record, TPR: record[f"{TPR}_{fpr}"]} for record in records]
    privacy = format_means(records, PRIVACY, "privacy")
    utility = format_means(records, UTILITY, "utility")
    return f"{privacy}\n\n{utility}\n\n{heading}"


def removed_share(records, name, key, floor=None):
    """Compute the share of an attack's excess over a floor that a defense removes, from means over splits.

    Parameters
    ----------
    records : list of dict
        Of all splits.
    name : str
        The defense.
    key : str
        The AUC.
    floor : str or None, default=None
        Key of the AUC that is the floor, on undefended answers; None is 0.5.

    Returns
    -------
    share : float
    """
    before, after = np.mean(_values(records, UNDEFENDED, key)), np.mean(_values(records, name, key))
    level = 0.5 if floor is None else np.mean(_values(records, UNDEFENDED, floor))
    return float(1 - abs(after - level) / (before - level))


def paired_difference(records, name, other, key):
    """Return the mean difference of two rows over splits, and the half-width of its 95 % interval."""
    return mean_and_margin(np.subtract(_values(records, name, key), _values(records, other, key)))


def _values(records, name, key):
    """Return the values of one row of the table, in the order of the splits."""
    return [record[key] for record in records if record["name"] == name]


def check_run(records, settings):
    """Check that the table shows a working defense, and no artifact of a broken one.

    Returns
    -------
    checks : list of (str, bool)
        Each condition, and whether it holds.
    """
    rows = [record for record in records if record["name"] in {*RULES}]
    retention = min(record["retention"] for record in rows)
    leak, margin = mean_and_margin(_values(records, UNDEFENDED, "entropy_roc_auc"))
    change, _ = paired_difference(records, DEFAULT, UNDEFENDED, "entropy_roc_auc")
    return [
        ("no label is changed", all(record["labels_changed"] == 0 for record in rows)),
        ("no answer is the undefended one", all(record["undefended_answers"] == 0 for record in rows)),
        (
            f"at least {settings.min_retention:.0%} of the candidates keep their label (lowest: {retention:.0%})",
            retention >= settings.min_retention,
        ),
        (f"the undefended classifier leaks (entropy AUC {leak:.3f}±{margin:.3f})", leak - margin > 0.5),
        (f"the defense lowers the leak (entropy AUC by {-change:.3f})", change < 0),
    ]


def explain(records, settings):
    """Return the conclusion from the table in a few sentences."""

    def value(name, key):
        return "{:.3f}±{:.3f}".format(*mean_and_margin(_values(records, name, key)))

    def change(key):
        return f"from {value(UNDEFENDED, key)} to {value(DEFAULT, key)}"

    asked, changed = (sum(_values(records, DEFAULT, key)) for key in ("labels_asked", "labels_changed"))
    removed = removed_share(records, DEFAULT, "entropy_roc_auc")
    return (
        "The strongest attack tells members from non-members by the undefended answers with an AUC of "
        f"{value(UNDEFENDED, 'worst_roc_auc')}, and behind Diffence, by the mean of four regenerations, with "
        f"{value(DEFAULT, 'worst_roc_auc')}. Labels and a model of the attacker's own give "
        f"{value(UNDEFENDED, 'label_only_reference_roc_auc')}, which no defense that keeps labels can lower. "
        f"What answers tell beyond labels goes {change('leak_beyond_labels')}. "
        f"The entropy attack goes {change('entropy_roc_auc')}, which removes {removed:.0%} of what exceeds a guess, "
        f"with {changed} of {asked} labels changed. The price is in what confidence is worth for non-members: "
        f"the log-loss after recalibration goes {change('recalibrated_nll')}, "
        f"and the failure-detection AUC {change('failure_detection_auc')}. "
        f"Means over {settings.n_splits} random splits ± half of a 95 % interval; the denoiser and the attacker's "
        "model were trained on public rows only."
    )
