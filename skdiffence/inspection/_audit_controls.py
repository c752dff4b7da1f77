"""Controls of an audit: no leak where there is none, a leak where there is one, and two sides that are alike."""

from functools import partial

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from skdiffence._evaluation._audit_attacks import Asked, ask, run_attack
from skdiffence._evaluation._cross_fit import split_halves
from skdiffence._evaluation._cross_fit_intervals import cross_fit_interval
from skdiffence.inspection._audit_rows import AuditRows
from skdiffence.metrics import auc_interval, label_columns
from skdiffence.utils._random import mix_seed
from skdiffence.utils._rows import canonical_rows, row_digests
from skdiffence.utils._sklearn import fit_context

# A control that is as it should be fails by chance in one audit of a hundred, however many attacks it runs.
_CHANCE = 0.01
_FOUND = 0.95
_FEWEST = 8  # rows that can be split into two sides of four
_MOST_COMPARED = 2000  # rows of a side
_N_TREES = 64
_MOST_NUMBERS = 10**8  # of a sparse matrix


class MemorisingReference(ClassifierMixin, BaseEstimator):
    """Answer with the label of the nearest known row, the surer the nearer it is.

    A classifier that leaks all it can: it is sure of its own rows alone.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels.
    """

    _parameter_constraints: dict = {}

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y):
        """Remember all rows.

        Parameters
        ----------
        X : array-like of shape (n, ...)
            Numeric rows.
        y : array-like of shape (n,)
            Their labels.

        Returns
        -------
        self : MemorisingReference
        """
        self.classes_, self.columns_ = np.unique(y, return_inverse=True)
        self.rows_ = _as_points(X)
        self.index_ = NearestNeighbors(n_neighbors=min(2, len(self.rows_))).fit(self.rows_)
        apart = self.index_.kneighbors(self.rows_)[0][:, -1]
        self.scale_ = float(np.median(apart)) or 1.0
        return self

    def predict_proba(self, X):
        """Answer one share for the nearest row's label and equal ones for the others.

        Parameters
        ----------
        X : array-like of shape (n, ...)
            Numeric rows.

        Returns
        -------
        proba : ndarray of shape (n, n_classes)
        """
        X, n_classes = _as_points(X), max(len(self.classes_), 2)
        nearest = self.index_.kneighbors(X, n_neighbors=1)[1][:, 0]
        # Measured anew: the search may round the distance of a row to itself.
        distance = np.sqrt(((X - self.rows_[nearest]) ** 2).sum(axis=1))
        sure = 1 / n_classes + (1 - 1 / n_classes) * np.exp(-distance / self.scale_)
        proba = np.repeat(((1 - sure) / (n_classes - 1))[:, None], n_classes, axis=1)
        proba[np.arange(len(X)), self.columns_[nearest]] = sure
        return proba

    def predict(self, X):
        """Answer the nearest row's label.

        Parameters
        ----------
        X : array-like of shape (n, ...)
            Numeric rows.

        Returns
        -------
        labels : ndarray of shape (n,)
        """
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


def _as_points(X):
    if sparse.issparse(X):
        if X.shape[0] * X.shape[1] > _MOST_NUMBERS:
            raise ValueError("X has too many numbers to be written out.")
        X = X.toarray()
    rows = canonical_rows(X)
    return np.nan_to_num(rows, posinf=np.finfo(np.float32).max, neginf=np.finfo(np.float32).min).astype(np.float64)


def null_control(attacks, asked, rows, *, known, seed, attack_seed):
    """Attack non-members that are called members at random.

    Parameters
    ----------
    attacks : dict of str to MembershipAttack
        The attacks.
    asked : Asked
        The target and its answers to all rows.
    rows : AuditRows
        All rows.
    known : float
        Share of the rows that the attacker knows.
    seed : int
        Seeds the split.
    attack_seed : int
        Seeds the attacks. With that of the audit they ask, where they can, what was answered before.

    Returns
    -------
    control : dict
        ``holds`` (None where it could not be run), ``why`` and what each attack achieved.
    """
    name, seed = "null", mix_seed(seed, "null")
    outside = np.flatnonzero(~rows.is_member)
    # By content, so that duplicates stay together.
    place = np.unique(_rekeyed(rows.keys[outside], seed), return_inverse=True)[1]
    if place.max() + 1 < _FEWEST:
        return _not_run(name, f"it needs {_FEWEST} different non-members, and there are {place.max() + 1}")
    chosen = rows.take(outside)
    split = AuditRows(chosen.X, chosen.y, place % 2 == 0, chosen.keys, chosen.counts)
    own = Asked(asked.memory, asked.answers.take(outside), {}, 0.0)
    records = _control_records(attacks, own, split, known=known, seed=attack_seed)
    wrong = [key for key, record in records.items() if not record["low"] <= 0.5 <= record["high"]]
    why = (
        f"{', '.join(wrong)} told non-members from non-members" if wrong else "no attack told non-members apart"
    ) + f": {len(split.y)} of them were called members and non-members at random"
    return {"name": name, "holds": not wrong, "why": why, "attacks": records}


def _rekeyed(keys, seed):
    return row_digests(np.frombuffer(keys.tobytes(), np.uint8).reshape(len(keys), -1), seed.to_bytes(8, "little"))


def positive_control(attacks, rows, *, known, seed):
    """Attack a classifier that remembers the members, with the attacks that need one answer a row.

    Parameters
    ----------
    attacks : dict of str to MembershipAttack
        The attacks; those that compare with shadow models of the audited target are passed over.
    rows : AuditRows
        All rows.
    known : float
        Share of the rows that the attacker knows.
    seed : int
        Seeds the attacks.

    Returns
    -------
    control : dict
        ``holds`` (None where it could not be run), ``why`` and what each attack achieved.
    """
    name, seed = "positive", mix_seed(seed, "positive")
    usable = {
        key: attack for key, attack in attacks.items() if attack.asks_once and "shadows" not in attack.get_params()
    }
    if not usable:
        return _not_run(name, "none of the attacks works on one answer a row")
    members = rows.take(rows.is_member)
    try:
        reference = MemorisingReference().fit(members.X, members.y)
    except ValueError:
        return _not_run(name, "the rows can't be compared as points")
    records = _control_records(usable, ask(reference, rows, usable.values()), rows, known=known, seed=seed)
    best = max(records, key=lambda key: records[key]["auc"])
    why = (
        f"the strongest attack on a classifier that remembers all members, {best}, has an AUC of "
        f"{records[best]['auc']:.3f}; at least {_FOUND} is expected"
    )
    return {"name": name, "holds": bool(records[best]["auc"] >= _FOUND), "why": why, "attacks": records}


def blind_control(rows, *, seed):
    """Tell members from non-members by the rows and labels alone, without asking the target.

    Parameters
    ----------
    rows : AuditRows
        All rows.
    seed : int
        Seeds the trees.

    Returns
    -------
    control : dict
        ``holds`` (None where it could not be run), ``why`` and what the trees achieved.
    """
    name, seed = "blind", mix_seed(seed, "blind")
    few = np.sort(np.concatenate([_lowest(rows.keys, side) for side in (rows.is_member, ~rows.is_member)]))
    chosen = rows.take(few)
    try:
        points = _as_points(chosen.X)
    except ValueError:
        return _not_run(name, "the rows can't be compared as points")
    features = np.column_stack([points, label_columns(chosen.y, np.unique(chosen.y))]).astype(np.float32)
    half, _ = split_halves(chosen.keys, chosen.is_member)
    scores = np.empty(len(half))
    for which in (0, 1):
        trees = ExtraTreesClassifier(
            _N_TREES, min_samples_leaf=2, class_weight="balanced", random_state=mix_seed(seed, which) % 2**32
        )
        trees.fit(features[half == which], chosen.is_member[half == which])
        scores[half != which] = trees.predict_proba(features[half != which])[:, 1]
    low, high = cross_fit_interval(partial(auc_interval, confidence_level=1 - _CHANCE), chosen.is_member, scores, half)
    auc, holds = roc_auc_score(chosen.is_member, scores), low <= 0.5
    why = (
        f"trees that see rows and labels but never ask the classifier have an AUC of {auc:.3f} [{low:.3f}, {high:.3f}]"
    )
    if not holds:
        why += ": the two sides differ as data, and what attacks find may be that difference and not membership"
    record = {"auc": float(auc), "low": low, "high": high}
    return {"name": name, "holds": bool(holds), "why": why, "attacks": {"trees": record}}


def _lowest(keys, side):
    rows = np.flatnonzero(side)
    return rows[np.argsort(keys[rows], kind="stable")[:_MOST_COMPARED]]


def _control_records(attacks, asked, rows, *, known, seed):
    of_auc = partial(auc_interval, confidence_level=1 - _CHANCE / len(attacks))
    records = {}
    for name, attack in attacks.items():
        run = run_attack(name, attack, asked, rows, known=known, seed=seed)
        low, high = cross_fit_interval(of_auc, rows.is_member, run.scores, run.half)
        records[name] = {"auc": float(roc_auc_score(rows.is_member, run.scores)), "low": low, "high": high}
    return records


def _not_run(name, why):
    return {"name": name, "holds": None, "why": f"not run: {why}", "attacks": {}}
