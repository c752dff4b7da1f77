"""The tables, the checks and the conclusion of the demo."""

import numpy as np

from skdiffence._demo._split import CHOSEN, RULES, UNDEFENDED
from skdiffence._demo._table import format_means, mean_and_margin

TPR = "entropy_tpr_at_fpr"

PRIVACY = [
    ("entropy_roc_auc", "entropy AUC", 3),
    ("confidence_roc_auc", "confid. AUC", 3),
    ("non_monotone_roc_auc", "non-mono. AUC", 3),
    ("worst_roc_auc", "worst AUC", 3),
    ("entropy_correct_roc_auc", "AUC if right", 3),
    ("correctness_roc_auc", "floor AUC", 3),
    ("confidence_attack_accuracy", "attack acc.", 3),
    (TPR, "TPR", 3),
]
UTILITY = [
    ("accuracy", "test acc.", 3),
    ("labels_changed", "changed", 0),
    ("retention", "retention", 3),
    ("fallback", "fall-back", 3),
    ("nll", "NLL", 3),
    ("expected_calibration_error", "ECE", 3),
    ("failure_detection_auc", "fail. AUC", 3),
    ("calls", "calls/row", 2),
    ("milliseconds", "ms/row", 2),
]


def write_table(records, settings):
    """Return both halves of the table as text, rows in the order in which they were measured."""
    chosen = _values(records, CHOSEN, "rule")
    counts = ", ".join(f"{rule} {chosen.count(rule)}x" for rule in dict.fromkeys(chosen))
    fpr = next(key for key in records[0] if key.startswith(TPR)).removeprefix(f"{TPR}_")
    heading = (
        f"means over {settings.n_splits} splits ± half of a 95 % interval; {settings.n_members} members, "
        f"N={settings.n_candidates}, timestep {settings.timestep}; TPR of the entropy attack at {fpr} FPR;\n"
        f"chosen: the rule that leaks least on calibration rows ({counts}); controls below it use the same rule"
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
    rows = [record for record in records if record["name"] in {*RULES, CHOSEN}]
    retention = min(record["retention"] for record in rows)
    leak, margin = mean_and_margin(_values(records, UNDEFENDED, "entropy_roc_auc"))
    change, _ = paired_difference(records, CHOSEN, UNDEFENDED, "entropy_roc_auc")
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
    """Return the conclusion from the table in two sentences."""

    def value(name, key):
        return mean_and_margin(_values(records, name, key))

    (before, b), (after, a) = value(UNDEFENDED, "entropy_roc_auc"), value(CHOSEN, "entropy_roc_auc")
    floor, _ = value(UNDEFENDED, "correctness_roc_auc")
    asked, changed = (sum(_values(records, CHOSEN, key)) for key in ("labels_asked", "labels_changed"))
    return (
        f"An attacker who sees the undefended answers tells members from non-members with an entropy AUC of "
        f"{before:.3f}±{b:.3f}; behind Diffence it is {after:.3f}±{a:.3f}, which removes "
        f"{removed_share(records, CHOSEN, 'entropy_roc_auc'):.0%} of what exceeds a guess (0.5) and "
        f"{removed_share(records, CHOSEN, 'confidence_roc_auc', 'correctness_roc_auc'):.0%} of what the confidence "
        f"attack gains over labels alone ({floor:.3f}, the floor that no label-preserving defense can pass), with "
        f"{changed} of {asked} labels changed. The price is in what confidence is worth: NLL on non-members goes from "
        f"{value(UNDEFENDED, 'nll')[0]:.3f} to {value(CHOSEN, 'nll')[0]:.3f} and failure-detection "
        f"AUC from {value(UNDEFENDED, 'failure_detection_auc')[0]:.3f} to "
        f"{value(CHOSEN, 'failure_detection_auc')[0]:.3f}; means over {settings.n_splits} random splits, ± half of a "
        "95 % interval, rule chosen on calibration rows, denoiser trained on public rows only."
    )
