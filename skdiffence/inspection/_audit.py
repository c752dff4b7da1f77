"""The audit: all attacks on a classifier, with controls, floor, utility and cost, in one report."""

import copy
import platform
import warnings
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import compress
from numbers import Integral, Real

import numpy as np
from scipy import sparse
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted
from tqdm.auto import tqdm

from skdiffence._evaluation._attack_metrics import honest_level, utility, warn_if_reversed
from skdiffence._evaluation._audit_attacks import ask, measure, run_attack, strongest
from skdiffence._evaluation._named_attacks import named_attacks
from skdiffence._evaluation._significance import compare_with_chance
from skdiffence._fitted import n_training_rows, unrecorded_validation_split
from skdiffence.attacks import attacks_on_regeneration, get_attack, get_attack_names
from skdiffence.defenses import DefendedClassifier
from skdiffence.exceptions import MembershipWarning
from skdiffence.inspection._audit_controls import blind_control, null_control, positive_control
from skdiffence.inspection._audit_defense import changed_labels, defense_facts
from skdiffence.inspection._audit_rows import audit_rows
from skdiffence.inspection.report._report import AuditReport
from skdiffence.metrics import logit_signal
from skdiffence.utils._random import draw_seed, mix_seed
from skdiffence.utils._sklearn import HasMethods, Interval, StrOptions, safe_indexing, validate_params

# "loss" is not among them, as it orders rows like "confidence", nor "neural", whose training takes long.
STANDARD = (
    "classifier",
    "confidence",
    "correctness",
    "entropy",
    "histogram",
    "label_only_augmentation",
    "label_only_noise",
    "logit",
    "modified_entropy",
    "non_monotone",
    "quantile",
)
SUITES = ("adaptive", "standard")
# They look at the rows themselves, which must be numbers, and not sparse; the first at images.
_NEED_NUMBERS = ("label_only_augmentation", "label_only_noise", "quantile")
_NEED_IMAGES = ("label_only_augmentation",)
_LEVELS = (0.001, 0.01, 0.05, 0.1)
_SHOWN_ROWS = 12


@validate_params(
    {
        "estimator": [HasMethods(["predict", "predict_proba"])],
        "members": [tuple, list],
        "non_members": [tuple, list],
        "attacks": [StrOptions(set(SUITES)), list, tuple, dict],
        "undefended": [HasMethods(["predict", "predict_proba"]), None],
        "confidence": [Interval(Real, 0, 1, closed="neither")],
        "max_fpr": [Interval(Real, 0, 1, closed="neither"), StrOptions({"auto"})],
        "known": [Interval(Real, 0, 0.5, closed="right")],
        "show_rows": ["boolean"],
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
    confidence=0.95,
    max_fpr="auto",
    known=0.5,
    show_rows=False,
    n_permutations=1000,
    random_state=None,
    verbose=0,
):
    """Measure what a classifier's answers tell about who was in its training set.

    Every attack is run through the same machinery as its controls, and what it achieves is reported with an
    interval, beside what labels alone give away, what the answers are worth and what could not be tested.

    Parameters
    ----------
    estimator : classifier
        Fitted, with ``predict`` and ``predict_proba``. It is asked, never changed.
    members : tuple of (X, y)
        Rows that it was trained on, and their labels.
    non_members : tuple of (X, y)
        Rows of the same kind that it was not trained on, and their labels.
    attacks : str, list or dict, default="standard"
        What attacks: a list of names, attacks or pairs of both, a dict of attacks by name, or the name of a suite.
        "standard" stands for all attacks that need nothing but known rows, those on the labels of a row and its
        neighbors among them; "adaptive" adds :func:`~skdiffence.attacks.attacks_on_regeneration`, which repeat and
        change queries. Attacks that need more, such as shadow models or a denoiser, are passed as they are.
    undefended : classifier, default=None
        The same classifier without its defense, to be measured beside it. It is found by itself where the estimator
        is a :class:`~skdiffence.defenses.DefendedClassifier`.
    confidence : float, default=0.95
        Coverage of the intervals.
    max_fpr : float or "auto", default="auto"
        False positive rate that the report speaks of. "auto" is the smallest of 0.001, 0.01, 0.05 and 0.1 that ten
        non-members reach.
    known : float, default=0.5
        Share of the rows that the attacker knows, at most 0.5.
    show_rows : bool, default=False
        Whether the report holds images of the members that were found most surely. Rows of a training set are
        personal data: without this, no report contains one.
    n_permutations : int, default=1000
        Permutations of the memberships that the strongest attack is compared with, at least 100.
    random_state : int, RandomState instance or None, default=None
        Splits known from scored rows, by their content, and seeds attacks and controls. The seed is in the report.
    verbose : int, default=0
        Whether to show progress.

    Returns
    -------
    report : AuditReport

    Raises
    ------
    ValueError, TypeError
        If the estimator is not fitted or does not answer probabilities, the two sides do not fit together, or fewer
        than four rows of a side are left.

    Warns
    -----
    MembershipWarning
        If the estimator says that it was trained on fewer rows than are given as members.

    See Also
    --------
    skdiffence.model_selection.AttackScorer : The same attacks inside cross-validation.

    Notes
    -----
    The estimator is asked about each row once for all attacks that need no more. Attacks that repeat or change their
    queries are told what another attacker, or the attacker who knows the other half, was answered to the same question,
    and the null control asks about nothing that was asked before. The queries per row in the report are those that the
    attacker alone would need.

    Half of each side is known to the attacker and the other half scored, then the halves change roles. Rows that
    the estimator held out or was calibrated on, and rows with the same content on both sides, are left out.

    Three controls stand beside the attacks. Null: non-members called members at random must not be told apart.
    Positive: a classifier that remembers the members must be seen through (area of at least 0.95). Blind: trees that
    see the rows and never ask the classifier must not tell the sides apart. Each fails by chance in about one audit
    of a hundred; a report whose control failed opens with that.

    An audit is about these rows, these attacks and this classifier. It is a lower bound of what leaks.

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
    >>> report.worst["attack"], bool(report.worst["auc"] > 0.7)
    ('entropy', True)
    >>> report.verdict.headline
    'The answers reveal who was in the training set.'
    """
    targets = {"audited": _checked(estimator, "estimator")}
    if (other := _undefended(estimator, undefended)) is not None:
        targets["undefended"] = _checked(other, "undefended")
    seed = draw_seed(random_state)
    rows = audit_rows(list(targets.values()), members, non_members, mix_seed(seed, "rows"))
    named = named_attacks(_suite(attacks, estimator, rows) if isinstance(attacks, str) else attacks)
    settings = _settings(rows, named, confidence=confidence, max_fpr=max_fpr, known=known, seed=seed)
    settings["n_permutations"] = int(n_permutations)
    with tqdm(total=(len(targets) + 2) * len(named) + 1, disable=not verbose, unit="step", desc="audit") as bar:
        audited = {name: _audit_target(target, rows, named, settings, bar) for name, target in targets.items()}
        asked = audited["audited"]["asked"]
        controls = _controls(named, asked, rows, settings, bar)
    answers = {name: found["asked"].answers for name, found in audited.items()}
    return AuditReport(
        targets={name: found["facts"] for name, found in audited.items()},
        controls=controls,
        rows=rows.counts,
        defense=defense_facts(estimator) | changed_labels(answers),
        settings=settings,
        notes=_notes(estimator, rows, asked.answers),
        is_member=rows.is_member,
        scores={name: found["scores"] for name, found in audited.items()},
        phi={name: logit_signal(given.label, given.proba) for name, given in answers.items()},
        shown=_shown(rows, audited["audited"]) if show_rows else None,
    )


def _suite(name, estimator, rows):
    """Return the attacks of a suite that can be made on these rows."""
    left_out = set() if getattr(rows.X, "ndim", 0) == 4 else set(_NEED_IMAGES)
    if rows.counts["duplicates_left_out"] is None or sparse.issparse(rows.X):
        left_out |= set(_NEED_NUMBERS)
    present = set(get_attack_names()) - left_out
    attacks = {name: get_attack(name) for name in STANDARD if name in present}
    return attacks_on_regeneration(target=estimator) | attacks if name == "adaptive" else attacks


def _checked(estimator, name):
    if isinstance(estimator, type):
        raise TypeError(f"{name} must be a fitted classifier. Got the class {estimator.__name__}.")
    if hasattr(estimator, "fit"):
        check_is_fitted(estimator)
    return estimator


def _undefended(estimator, undefended):
    if undefended is not None:
        return undefended
    inner = estimator.estimator if isinstance(estimator, FrozenEstimator) else estimator
    if not isinstance(inner, DefendedClassifier) or isinstance(inner.regenerator, str):
        return None
    # The same object with the same labels and checks, answering around its regenerator.
    return copy.copy(inner).set_params(regenerator="passthrough")


def _settings(rows, attacks, *, confidence, max_fpr, known, seed):
    n_others = rows.counts["n_non_members"]
    level = honest_level(n_others) if isinstance(max_fpr, str) else float(max_fpr)
    levels = sorted({*_LEVELS, *(() if level is None else (level,))})
    libraries = ("skdiffence", "scikit-learn", "skorch", "torch", "numpy")
    return {
        "attacks": {name: type(attack).__name__ for name, attack in attacks.items()},
        "attack_facts": {
            name: {fact: getattr(attack, fact) for fact in ("family", "uses", "needs_shadows")}
            for name, attack in attacks.items()
        },
        "confidence": float(confidence),
        "known": float(known),
        "max_fpr": level,
        "levels": levels,
        "seed": int(seed),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in libraries},
    }


def _audit_target(target, rows, attacks, settings, bar):
    """Ask a target, attack its answers, and say what they are worth."""
    seed = settings["seed"]
    asked = ask(target, rows, attacks.values())
    runs, records = [], []
    for name, attack in attacks.items():
        bar.set_postfix_str(name)
        # The same seed for every target, so that they are attacked alike.
        run = run_attack(name, attack, asked, rows, known=settings["known"], seed=mix_seed(seed, "attack"))
        runs.append(run)
        records.append(
            measure(
                run,
                rows,
                asked.answers.correct,
                levels=settings["levels"],
                confidence=settings["confidence"],
                seed=mix_seed(seed, "measure", name),
            )
        )
        bar.update()
    facts = _facts(asked, runs, records, rows, settings)
    return {"asked": asked, "facts": facts, "scores": {run.name: run.scores for run in runs}}


def _facts(asked, runs, records, rows, settings):
    correct, beyond_labels = asked.answers.correct, [not run.label_only for run in runs]
    floor = strongest([record for record in records if record["label_only"]])
    for record in records:
        weaker = floor is not None and not record["label_only"] and record["auc"] < floor["auc"]
        record["weaker_than_labels"] = weaker
    return {
        "attacks": records,
        "worst": _compared(runs, records, rows, "auc", np.ones(len(correct), dtype=bool), settings),
        "beyond_labels": _compared(
            list(compress(runs, beyond_labels)),
            list(compress(records, beyond_labels)),
            rows,
            "correct_auc",
            correct,
            settings,
        ),
        "floor": None if floor is None else floor["attack"],
        "utility": {
            "members": utility(asked.answers.take(rows.is_member)),
            "non_members": utility(asked.answers.take(~rows.is_member)),
        },
        "rows_asked": asked.counts,
        "seconds_asked": asked.seconds,
    }


def _compared(runs, records, rows, key, kept, settings):
    """Return the strongest attack beside what as many attacks that know nothing reach."""
    best = strongest(records, key)
    if best is None:
        return None
    chance = compare_with_chance(
        runs,
        rows.is_member,
        kept,
        rows.keys,
        n_permutations=settings["n_permutations"],
        seed=mix_seed(settings["seed"], key),
    )
    ends = {"auc" + end: best[key + end] for end in ("", "_low", "_high")}
    return {"attack": best["attack"], **ends, "n_attacks": len(runs), **chance}


def _controls(attacks, asked, rows, settings, bar):
    seed, known = mix_seed(settings["seed"], "controls"), settings["known"]
    bar.set_postfix_str("controls")
    attack_seed = mix_seed(settings["seed"], "attack")
    controls = [null_control(attacks, asked, rows, known=known, seed=seed, attack_seed=attack_seed)]
    bar.update(len(attacks))
    controls.append(positive_control(attacks, rows, known=known, seed=seed))
    bar.update(len(attacks))
    controls.append(blind_control(rows, seed=seed))
    bar.update()
    return {control["name"]: control for control in controls}


def _notes(estimator, rows, answers):
    """Collect what makes the memberships or labels of an audit doubtful."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", MembershipWarning)
        warn_if_reversed(answers, rows.is_member)
    notes = [str(warning.message) for warning in caught]
    if unknown := int(np.count_nonzero(answers.y < 0)):
        notes.append(f"{unknown} rows have a label that the classifier does not know.")
    if (reason := unrecorded_validation_split(estimator)) is not None:
        notes.append(
            f"{reason} kept rows out of its training without telling which. Those among the members are attacked as "
            "members all the same, so that the leak looks smaller than it is."
        )
    n_trained, n_members = n_training_rows(estimator), rows.counts["n_members"]
    if n_trained is not None and n_trained < n_members:
        notes.append(
            f"{n_members} rows were given as members, but the classifier was trained on {n_trained}: some of them "
            "are no members, and the leak looks smaller than it is."
        )
        warnings.warn(notes[-1], MembershipWarning, stacklevel=3)
    return notes


def _shown(rows, audited):
    """Return images of the members that the strongest attack is surest of; None where rows are no images."""
    X = rows.X
    if getattr(X, "ndim", 0) != 4 or X.shape[1] not in (1, 3):
        return None
    scores = audited["scores"][audited["facts"]["worst"]["attack"]]
    found = np.flatnonzero(rows.is_member)
    found = found[np.argsort(-scores[found], kind="stable")[:_SHOWN_ROWS]]
    images = np.asarray(safe_indexing(X, found), dtype=np.float64)
    low, high = float(np.min(X)), float(np.max(X))
    pixels = np.rint((images - low) / max(high - low, 1e-12) * 255).astype(np.uint8)
    return {"images": pixels, "labels": [str(label) for label in rows.y[found]]}
