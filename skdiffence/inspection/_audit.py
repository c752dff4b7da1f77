"""Audit a fitted classifier: attacks, controls, floor, utility and cost in one report."""

import platform
import warnings
from datetime import UTC, datetime
from importlib.metadata import version
from numbers import Integral, Real

import numpy as np
from sklearn.utils.validation import check_is_fitted
from tqdm.auto import tqdm

from skdiffence._evaluation._measure import LEVELS, describe_reversal, lowest_reliable_level
from skdiffence._evaluation._named_attacks import check_row_types, named_attacks, row_types
from skdiffence._evaluation._run_attack import describe_unknown_labels
from skdiffence._fitted import n_training_rows, unrecorded_validation_split
from skdiffence.attacks import attacks_on_regeneration, get_attack
from skdiffence.attacks._targets import check_target
from skdiffence.exceptions import MembershipWarning
from skdiffence.inspection._audit_controls import audit_controls
from skdiffence.inspection._audit_defense import changed_labels, defense_facts, without_defense
from skdiffence.inspection._audit_rows import audit_rows
from skdiffence.inspection._audit_target import audit_target
from skdiffence.inspection.report._report import AuditReport
from skdiffence.inspection.report._verdict import NO_ARRAY, NO_LABELS, NO_NUMBERS
from skdiffence.metrics import logit_signal
from skdiffence.utils._random import draw_seed, mix_seed
from skdiffence.utils._sklearn import Interval, StrOptions, safe_indexing, validate_params
from skdiffence.utils._skorch import final_estimator

# "loss" is not among them, as it orders rows like "confidence", nor "neural", whose training takes long.
STANDARD = (
    "classifier",
    "confidence",
    "correctness",
    "entropy",
    "histogram",
    "label_only_augmentation",
    "label_only_noise",
    "label_only_reference",
    "label_only_reference_noise",
    "logit",
    "modified_entropy",
    "non_monotone",
    "quantile",
    "reference",
)
# One query for each row, and little work at any number of rows, features and classes.
QUICK = ("confidence", "correctness", "entropy", "histogram", "logit", "modified_entropy", "non_monotone")
SUITES = ("adaptive", "quick", "standard")
_SHOWN_ROWS = 12
_FACTS = ("family", "uses", "needs_true_labels", "needs_shadows", "own_model")


@validate_params(
    {
        "estimator": "no_validation",
        "members": [tuple, list, "array-like", "sparse matrix"],
        "non_members": [tuple, list, "array-like", "sparse matrix"],
        "attacks": [StrOptions(set(SUITES)), list, tuple, dict],
        "undefended": "no_validation",
        "confidence_level": [Interval(Real, 0, 1, closed="neither")],
        "max_fpr": [Interval(Real, 0, 1, closed="neither"), StrOptions({"auto"})],
        "known": [Interval(Real, 0, 0.5, closed="right")],
        "show_rows": ["boolean"],
        "subject": [str, None],
        "n_permutations": [Interval(Integral, 100, None, closed="left")],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    },
    prefer_skip_nested_validation=False,
)
def audit(
    estimator,
    members,
    non_members,
    *,
    attacks="standard",
    undefended=None,
    confidence_level=0.95,
    max_fpr="auto",
    known=0.5,
    show_rows=False,
    subject=None,
    n_permutations=1000,
    random_state=None,
    verbose=0,
):
    """Measure what a classifier's answers reveal about who was in its training set.

    Attacks and controls are run and measured by the same code. The report has each attack's figures with confidence
    intervals, the floor that labels alone give, the utility of the answers, and what could not be tested.

    Parameters
    ----------
    estimator : classifier
        Fitted classifier, or any object with ``predict_proba``. Without ``predict`` its label of a row is that of the
        largest probability; without ``classes_`` labels are the numbers of its columns. It is queried, never changed.
    members : tuple of (X, y), or X
        Rows that it was trained on, and their true labels. If these are not known, pass ``(X, None)``, or X alone as an
        array or a frame.
    non_members : tuple of (X, y), or X
        Rows of the same kind that it was not trained on, and their true labels if they are known.
    attacks : str, list or dict, default="standard"
        Attacks to run: a list of names, attacks or pairs of both, a dict of attacks by name, or the name of a suite.
        "standard" stands for all attacks that need nothing but known rows, including those on the labels of a row and
        its neighbors, with and without a reference model. "quick" is those of them that take one query and little
        work, for a first look: the floor is then that of a single label. "adaptive" adds to "standard"
        :func:`~skdiffence.attacks.attacks_on_regeneration`, which repeat and change queries. Attacks that need more,
        such as shadow models or a denoiser, are passed as instances.
    undefended : classifier, default=None
        The same classifier without its defense, to be measured beside it. None takes it from an estimator that
        regenerates its inputs or changes its answers, also behind other steps of a pipeline, in a search or frozen.
    confidence_level : float, default=0.95
        Coverage of the intervals.
    max_fpr : float or "auto", default="auto"
        False positive rate that the report highlights. "auto" is the smallest of 0.001, 0.01, 0.05 and 0.1 that
        stands for at least ten non-members.
    known : float, default=0.5
        Share of the rows that the attacker knows, at most 0.5.
    show_rows : bool, default=False
        Whether the report shows images of the members with the highest scores. Rows of a training set are personal
        data: a report contains none unless this is True.
    subject : str, default=None
        Name of the model and of its data, for the head of the report.
    n_permutations : int, default=1000
        Number of permutations of the memberships for p-values, at least 100.
    random_state : int, RandomState instance or None, default=None
        Seeds the split into known and scored rows, attacks and controls. The seed is in the report.
    verbose : int, default=0
        Whether to show progress.

    Returns
    -------
    report : AuditReport

    Raises
    ------
    ValueError, TypeError
        If the estimator is not fitted or does not return probabilities, members and non-members do not fit together,
        fewer than four rows of a side are left, or all attacks need true labels that are not given.

    Warns
    -----
    MembershipWarning
        If the estimator was trained on fewer rows than are given as members.

    See Also
    --------
    skdiffence.model_selection.AttackScorer : The same attacks inside cross-validation.

    Notes
    -----
    One query about each row serves all attacks that need no more. Attacks that repeat or change queries share the
    answers to equal queries, among themselves, between the two halves and with the null control. The queries per row
    in the report are those that the attack alone would need.

    The attacker knows one half of each side and scores the other half, then the halves change roles. Rows that the
    estimator held out or was calibrated on, and rows with the same content on both sides, are left out.

    There are three controls. Null: attacks must not separate non-members that are called members at random from other
    non-members. Positive: attacks must find the members of a classifier that memorizes them (an area of at least
    0.95). Blind: trees that see the rows and never query the classifier must not separate the sides. Each control
    fails by chance in about one audit of a hundred; a report with a failed control begins with it.

    Without true labels of both sides, the attacks that do not read them are run. The report names the others, what
    could not be measured and the control that could not be run. Predicted labels never stand in for true ones.

    An audit is a statement about these rows, these attacks and this classifier: a lower bound of what leaks.

    References
    ----------
    Carlini et al., "Membership inference attacks from first principles", S&P 2022.

    Aerni, Zhang and Tramèr, "Evaluations of machine learning privacy defenses are misleading", CCS 2024.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from skdiffence.datasets import membership_partition
    >>> from skdiffence.inspection import audit
    >>> X, y = load_digits(return_X_y=True)
    >>> parts = membership_partition(len(y), {"members": 200, "others": 200}, random_state=0)
    >>> members, others = ((X[rows], y[rows]) for rows in (parts.members, parts.others))
    >>> forest = RandomForestClassifier(20, random_state=0).fit(*members)
    >>> report = audit(forest, members, others, attacks=["entropy"], random_state=0)
    >>> report.worst.attack, bool(report.worst.auc.value > 0.7)
    ('entropy', True)
    >>> report.verdict.headline
    'The answers reveal who was in the training set.'
    """
    targets = {"audited": _checked(estimator, "estimator")}
    if undefended is None:
        undefended = without_defense(estimator)
    if undefended is not None:
        targets["undefended"] = _checked(undefended, "undefended")
    seed = draw_seed(random_state)
    rows, counts = audit_rows(list(targets.values()), members, non_members, mix_seed(seed, "rows"))
    named, left_out = _runnable(attacks, estimator, rows)
    settings = _settings(estimator, counts, named, left_out, confidence_level, max_fpr, known, n_permutations, seed)
    settings = {"subject": subject, "data": _described_rows(rows), "true_labels": rows.y is not None} | settings
    with tqdm(total=(len(targets) + 2) * len(named) + 1, disable=not verbose, unit="step", desc="audit") as bar:
        audited = {name: audit_target(target, rows, named, settings, bar) for name, target in targets.items()}
        controls = audit_controls(named, audited["audited"].queried, rows, settings, bar)
    answers = {name: target.queried.answers for name, target in audited.items()}
    worst = audited["audited"].result.worst.attack
    return AuditReport(
        targets={name: target.result for name, target in audited.items()},
        controls={control.name: control for control in controls},
        rows=counts,
        defense=defense_facts(estimator) | changed_labels(answers),
        settings=settings,
        notes=_notes(estimator, rows, counts, answers["audited"]),
        is_member=rows.is_member,
        place=rows.place,
        scores={name: target.scores for name, target in audited.items()},
        phi={name: logit_signal(given.label, given.proba) for name, given in answers.items()},
        shown=_shown(rows, audited["audited"].scores[worst]) if show_rows else None,
    )


def _suite(name, estimator):
    """Return the attacks of a suite."""
    attacks = {name: get_attack(name) for name in (QUICK if name == "quick" else STANDARD)}
    if name == "adaptive":
        attacks = attacks_on_regeneration(target=estimator) | attacks
    return attacks


def _runnable(attacks, estimator, rows):
    """Return the attacks by name, and why others of them can't be run on the rows."""
    named = named_attacks(_suite(attacks, estimator) if isinstance(attacks, str) else attacks)
    if not isinstance(attacks, str):
        check_row_types(named, rows.X)
    suited, left_out = row_types(rows.X), {}
    # Attacks on images are not missed where there are none.
    why = {"numeric": NO_NUMBERS, "arrays": NO_ARRAY if "numeric" in suited else NO_NUMBERS}
    for name, attack in named.items():
        if attack.row_type in why and attack.row_type not in suited:
            left_out[name] = why[attack.row_type]
        elif attack.needs_true_labels and attack.row_type in suited and rows.y is None:
            left_out[name] = NO_LABELS
    named = {name: each for name, each in named.items() if each.row_type in suited and name not in left_out}
    if not named:
        raise ValueError(
            f"attacks: {', '.join(left_out)} need true labels, which members or non_members lack. Pass (X, y) for "
            'both, or attacks that need none, such as "entropy".'
        )
    return named, left_out


def _checked(estimator, name):
    check_target(estimator, name=name)
    # Classes that are not of scikit-learn do not tell.
    if hasattr(estimator, "fit") and hasattr(final_estimator(estimator), "__sklearn_tags__"):
        check_is_fitted(estimator)
    return estimator


def _settings(estimator, counts, attacks, left_out, confidence_level, max_fpr, known, n_permutations, seed):
    level = lowest_reliable_level(counts["n_non_members"]) if isinstance(max_fpr, str) else float(max_fpr)
    levels = sorted({*LEVELS, *(() if level is None else (level,))})
    libraries = ("skdiffence", "scikit-learn", "skorch", "torch", "numpy")
    return {
        "estimator": _described(estimator),
        "attacks": {name: type(attack).__name__ for name, attack in attacks.items()},
        "attack_facts": {
            name: {fact: getattr(attack, fact) for fact in _FACTS}
            for name, attack in attacks.items()
        },
        "left_out": left_out,
        "confidence_level": float(confidence_level),
        "known": float(known),
        "max_fpr": level,
        "levels": levels,
        "n_permutations": int(n_permutations),
        "seed": int(seed),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in libraries},
    }


def _described(estimator):
    """Return the class of an estimator, with that of the estimator inside it."""
    params = estimator.get_params(deep=False) if hasattr(estimator, "get_params") else {}
    inner = params.get("estimator")
    return type(estimator).__name__ + ("" if inner is None else f"({_described(inner)})")


def _described_rows(rows):
    """Return the form of the rows and the number of classes."""
    shape = rows.X.shape[1:]
    if not shape:
        what = "one text a row"
    elif len(shape) == 1:
        what = f"{shape[0]} {'columns' if hasattr(rows.X, 'columns') else 'features'}"
    else:
        what = f"rows of shape {' x '.join(map(str, shape))}"
    return f"{what}, {'without true labels' if rows.y is None else f'{len(np.unique(rows.y))} classes'}"


def _notes(estimator, rows, counts, answers):
    """Return what makes memberships or labels doubtful."""
    notes = [] if (reversal := describe_reversal(answers, rows.is_member)) is None else [reversal]
    if (unknown := describe_unknown_labels(answers)) is not None:
        notes.append(unknown)
    if (reason := unrecorded_validation_split(estimator)) is not None:
        notes.append(
            f"{reason} kept rows out of its training without recording which. Those among the members are attacked as "
            "members all the same, so that the leak looks smaller than it is."
        )
    n_trained, n_members = n_training_rows(estimator), counts["n_members"]
    if n_trained is not None and n_trained < n_members:
        notes.append(
            f"{n_members} rows were given as members, but the classifier was trained on {n_trained}: some of them "
            "are not members, and the leak looks smaller than it is."
        )
        warnings.warn(notes[-1], MembershipWarning, stacklevel=3)
    return notes


def _shown(rows, scores):
    """Return images of the members with the highest scores; None where rows are no images."""
    X = rows.X
    if getattr(X, "ndim", 0) != 4 or X.shape[1] not in (1, 3):
        return None
    found = np.flatnonzero(rows.is_member)
    found = found[np.argsort(-scores[found], kind="stable")[:_SHOWN_ROWS]]
    images = np.asarray(safe_indexing(X, found), dtype=np.float64)
    low, high = float(np.min(X)), float(np.max(X))
    pixels = np.rint((images - low) / max(high - low, 1e-12) * 255).astype(np.uint8)
    labels = [""] * len(found) if rows.y is None else [str(label) for label in rows.y[found]]
    return {"images": pixels, "labels": labels}
