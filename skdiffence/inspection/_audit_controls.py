"""Controls of an audit: null, positive and blind."""

from dataclasses import replace

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.neighbors import NearestNeighbors

from skdiffence._evaluation._answer_memory import AnswerMemory
from skdiffence._evaluation._cross_fit import AttackScores, lowest, split_halves
from skdiffence._evaluation._measure import measure_attack
from skdiffence._evaluation._results import ControlResult
from skdiffence._evaluation._rows import FEWEST_ROWS, seed_key
from skdiffence._evaluation._run_attack import QueriedTarget, run_attack
from skdiffence.attacks import Answers
from skdiffence.inspection.report._format import words
from skdiffence.metrics import label_columns
from skdiffence.utils._flat_rows import FlatRows
from skdiffence.utils._random import mix_seed
from skdiffence.utils._rows import row_digests
from skdiffence.utils._sklearn import fit_context

_CHANCE = 0.01  # of a control to fail where all is well, whatever the number of attacks
_FOUND = 0.95  # area that the positive control must reach
_MOST_COMPARED = 2000  # rows of a side, in the blind control
_MOST_MEMORIZED = 1000  # rows of a side, in the positive control: distances are computed between all pairs
_N_TREES = 64
_MOST_NUMBERS = 10**8  # of a sparse matrix


def audit_controls(attacks, queried, rows, settings, bar):
    """Run the controls of an audit.

    Parameters
    ----------
    attacks : dict of str to MembershipAttack
        The attacks.
    queried : QueriedTarget
        The target and its answers to all rows.
    rows : AttackedRows
        All rows.
    settings : dict
        Settings of the audit.
    bar : tqdm
        Progress bar, moved on by one for each attack of a control.

    Returns
    -------
    controls : list of ControlResult
        The null, the positive and the blind one.
    """
    bar.set_postfix_str("controls")
    seed, known = mix_seed(settings["seed"], "controls"), settings["known"]
    attack_seed = mix_seed(settings["seed"], "attack")
    controls = [null_control(attacks, queried, rows, known=known, seed=seed, attack_seed=attack_seed)]
    bar.update(len(attacks))
    controls.append(positive_control(attacks, rows, known=known, seed=seed))
    bar.update(len(attacks))
    controls.append(blind_control(rows, seed=seed))
    bar.update()
    return controls


def null_control(attacks, queried, rows, *, known, seed, attack_seed):
    """Attack non-members that are called members at random.

    Parameters
    ----------
    attacks : dict of str to MembershipAttack
        The attacks.
    queried : QueriedTarget
        The target and its answers to all rows.
    rows : AttackedRows
        All rows.
    known : float
        Share of the rows that the attacker knows.
    seed : int
        Seeds the split.
    attack_seed : int
        Seeds the attacks. With the seed of the audit they repeat its queries where they can.

    Returns
    -------
    control : ControlResult
    """
    outside, seed = np.flatnonzero(~rows.is_member), mix_seed(seed, "null")
    # By content, so that duplicates stay together.
    place = np.unique(_rekeyed(rows.keys[outside], seed), return_inverse=True)[1]
    if place.max() + 1 < 2 * FEWEST_ROWS:
        return _not_run("null", f"it needs {2 * FEWEST_ROWS} different non-members, and there are {place.max() + 1}")
    split = replace(rows.take(outside), is_member=place % 2 == 0)
    of_split = replace(queried, answers=queried.answers.take(outside))
    areas = _areas(attacks, of_split, split, known=known, seed=attack_seed)
    wrong = [name for name, auc in areas.items() if not auc.low <= 0.5 <= auc.high]
    found = f"{', '.join(map(words, wrong)) or 'no attack'} separated non-members from non-members"
    why = f"{found}: {len(split)} of them were called members and non-members at random"
    return ControlResult("null", not wrong, why, areas)


def _rekeyed(keys, seed):
    return row_digests(np.frombuffer(keys.tobytes(), np.uint8).reshape(len(keys), -1), seed_key(seed))


def positive_control(attacks, rows, *, known, seed):
    """Attack a classifier that memorizes the members, with the attacks that need one answer for each row.

    Parameters
    ----------
    attacks : dict of str to MembershipAttack
        The attacks; those that compare with shadow models of the audited target are left out, and those that see
        labels only: a label that is right tells no member from another row that is labeled right.
    rows : AttackedRows
        All rows.
    known : float
        Share of the rows that the attacker knows.
    seed : int
        Seeds the attacks.

    Returns
    -------
    control : ControlResult
    """
    if rows.y is None:
        return _not_run("positive", "a classifier that memorizes the members needs their true labels")
    usable = {name: attack for name, attack in attacks.items() if attack.asks_once and not attack.needs_shadows}
    if not usable:
        return _not_run("positive", "none of the attacks works on one answer for each row")
    usable = {name: attack for name, attack in usable.items() if attack.uses != "labels"}
    if not usable:
        return _not_run("positive", "attacks that see labels only can't identify all that is memorized")
    rows = _lowest_of_both_sides(rows, _MOST_MEMORIZED)
    members = rows.take(rows.is_member)
    try:
        reference = MemorizingClassifier().fit(members.X, members.y)
    except ValueError:
        return _not_run("positive", "the rows can't be compared as points")
    if len(reference.classes_) < 2:
        return _not_run("positive", "all members have the same label")
    queried = _query_once(reference, rows)
    areas = _areas(usable, queried, rows, known=known, seed=mix_seed(seed, "positive"))
    best = max(areas, key=lambda name: areas[name].value)
    why = (
        f"the strongest attack on a classifier that memorizes all members, {words(best)}, has an AUC of "
        f"{areas[best].value:.3f}; at least {_FOUND} is expected"
    )
    return ControlResult("positive", areas[best].value >= _FOUND, why, areas)


def blind_control(rows, *, seed):
    """Separate members from non-members by rows and known labels alone, without querying the target.

    Parameters
    ----------
    rows : AttackedRows
        All rows.
    seed : int
        Seeds the trees.

    Returns
    -------
    control : ControlResult
    """
    chosen = _lowest_of_both_sides(rows, _MOST_COMPARED)
    try:
        points = _as_points(FlatRows().fit(_dense(chosen.X)), chosen.X)
    except ValueError:
        return _not_run("blind", "the rows can't be compared as points")
    said = _scored_by_trees(points, chosen, mix_seed(seed, "blind"))
    auc = measure_attack("trees", said, chosen.is_member, confidence_level=1 - _CHANCE).roc_auc
    what = "rows" if rows.y is None else "rows and labels"
    why = (
        f"trees that see {what} but never query the classifier have an AUC of {auc.value:.3f} "
        f"[{auc.low:.3f}, {auc.high:.3f}]"
    )
    if auc.low > 0.5:
        why += ": the two sides differ as data, and what attacks find may be that difference and not membership"
    return ControlResult("blind", auc.low <= 0.5, why, {"trees": auc})


def _lowest_of_both_sides(rows, n_rows):
    """Return at most so many rows of each side, those with the lowest digests."""
    sides = (np.flatnonzero(rows.is_member), np.flatnonzero(~rows.is_member))
    return rows.take(np.sort(np.concatenate([lowest(rows.keys, side, n_rows) for side in sides])))


def _query_once(classifier, rows):
    """Query a classifier whose label is the largest probability, so that it searches for neighbors once."""
    proba = classifier.predict_proba(rows.X)
    y = label_columns(rows.y, classifier.classes_)
    answers = Answers(proba, proba.argmax(axis=1), y, classifier.classes_, rows.X)
    return QueriedTarget(AnswerMemory(classifier), answers, {"predict_proba": len(rows)}, 0.0)


def _scored_by_trees(points, rows, seed):
    labels = [] if rows.y is None else [label_columns(rows.y, np.unique(rows.y))]
    features = np.column_stack([points, *labels]).astype(np.float32)
    half, _ = split_halves(rows.keys, rows.is_member)
    scores = np.empty(len(half))
    for which in (0, 1):
        own = mix_seed(seed, which) % 2**32
        trees = ExtraTreesClassifier(_N_TREES, min_samples_leaf=2, class_weight="balanced", random_state=own)
        trees.fit(features[half == which], rows.is_member[half == which])
        scores[half != which] = trees.predict_proba(features[half != which])[:, 1]
    return AttackScores(scores, half=half)


def _areas(attacks, queried, rows, *, known, seed):
    """Return the area of each attack; all intervals hold together with the probability of a control."""
    level = 1 - _CHANCE / len(attacks)
    areas = {}
    for name, attack in attacks.items():
        run = run_attack(name, attack, queried, rows, known=known, seed=seed)
        areas[name] = measure_attack(name, run.said, rows.is_member, confidence_level=level).roc_auc
    return areas


def _not_run(name, why):
    return ControlResult(name, None, f"not run: {why}", {})


class MemorizingClassifier(ClassifierMixin, BaseEstimator):
    """Predict the label of the nearest training row, with a confidence that falls with the distance.

    It leaks all that a classifier can leak: only its training rows get a confidence of 1.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels.
    """

    _parameter_constraints: dict = {}

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y):
        """Store the rows.

        Parameters
        ----------
        X : array-like of shape (n, ...)
            Numeric rows.
        y : array-like of shape (n,)
            Their labels.

        Returns
        -------
        self : MemorizingClassifier
        """
        self.classes_, self.columns_ = np.unique(y, return_inverse=True)
        self.flat_ = FlatRows().fit(_dense(X))
        self.rows_ = _as_points(self.flat_, X)
        self.index_ = NearestNeighbors(n_neighbors=min(2, len(self.rows_))).fit(self.rows_)
        apart = self.index_.kneighbors(self.rows_)[0][:, -1]
        self.scale_ = float(np.median(apart)) or 1.0
        return self

    def predict_proba(self, X):
        """Return the confidence at the nearest row's label, and equal probabilities at the others.

        Parameters
        ----------
        X : array-like of shape (n, ...)
            Numeric rows.

        Returns
        -------
        proba : ndarray of shape (n, n_classes)
        """
        X, n_classes = _as_points(self.flat_, X), max(len(self.classes_), 2)
        nearest = self.index_.kneighbors(X, n_neighbors=1)[1][:, 0]
        # Computed again: the search may round the distance of a row to itself.
        distance = np.sqrt(((X - self.rows_[nearest]) ** 2).sum(axis=1))
        sure = 1 / n_classes + (1 - 1 / n_classes) * np.exp(-distance / self.scale_)
        proba = np.repeat(((1 - sure) / (n_classes - 1))[:, None], n_classes, axis=1)
        proba[np.arange(len(X)), self.columns_[nearest]] = sure
        return proba

    def predict(self, X):
        """Return the nearest row's label.

        Parameters
        ----------
        X : array-like of shape (n, ...)
            Numeric rows.

        Returns
        -------
        labels : ndarray of shape (n,)
        """
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


def _dense(X):
    if not sparse.issparse(X):
        return X
    if X.shape[0] * X.shape[1] > _MOST_NUMBERS:
        raise ValueError("X is too large for a dense array.")
    return X.toarray()


def _as_points(flat, X):
    """Return rows as points in float64, by a fitted FlatRows."""
    rows = flat.transform(_dense(X))
    return np.nan_to_num(rows, posinf=np.finfo(np.float32).max, neginf=np.finfo(np.float32).min).astype(np.float64)
